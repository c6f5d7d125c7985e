//! Real sign-in servers as campuses run them, on request: `make test-peers`. A server takes a minute to start, so all tests of a
//! kind are steps of one, which names those that failed.

mod bearer;
mod cas;
mod keycloak;
mod moodle;

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::check_machine::{check, told};
use crate::oidc::campus::leads_to;
use crate::sign_in::campus::{Visitor, target};
use crate::support::cas::query;
use crate::support::peers::browser::Page;
use crate::support::peers::{Landed, Pages, Person};
use crate::support::secrets;
use crate::support::wait::within;
use crate::support::{Config, Gateway, Request, Reserved, Site, eventually};

/// Each part of a server is made when it is first asked for, which may take longer than a gateway waits.
const WARM: Duration = Duration::from_secs(180);

/// A sign-in of the gateway's.
struct SignIn {
    name: &'static str,
    /// Of its table: `cas`, `oauth2` or `oidc`.
    kind: &'static str,
    /// Lines of that table, and what stands in the secret's file.
    lines: String,
    secret: Option<&'static str>,
}

/// A gateway in front of nothing: `/at/<sign-in>/…` is for who signed in there, `/staff/<sign-in>/…` for those of one role,
/// `/open/<sign-in>/…` for everybody, and `/app/…` for who signed in anywhere.
struct School {
    gateway: Gateway,
    /// Of all sign-ins that are as they should be.
    good: Config,
    /// Of one that has a wrong secret, each.
    wrong: Vec<(&'static str, Config)>,
    _port: Reserved,
}

impl School {
    /// `roles` are those of every sign-in, and `staff` the role for `/staff/…`.
    fn start(port: Reserved, roles: &str, staff: &str, good: &[SignIn], wrong: &[SignIn]) -> Self {
        let site = Site::new();
        let config = |sign_ins: &[&SignIn]| {
            let mut text = String::new();
            for SignIn {
                name,
                kind,
                lines,
                secret,
            } in sign_ins
            {
                let secret = secret.map(|secret| site.write(&format!("secrets/{name}"), format!("{secret}\n")));
                let secret = secret
                    .map(|file| format!("client_secret_file = {file:?}"))
                    .unwrap_or_default();
                writeln!(
                    text,
                    "[sign_in.{name}]\nroles = [{roles}]\n[sign_in.{name}.{kind}]\n{lines}\n{secret}"
                )
                .unwrap();
            }
            for (place, allow) in [
                ("at", "{ signed_in = true }"),
                ("staff", &*format!("{{ role = {staff:?} }}")),
                ("open", "{ signed_in = true }, { anyone = true }"),
            ] {
                for SignIn { name, .. } in sign_ins {
                    writeln!(
                        text,
                        "[[routes]]\nname = \"{place}-{name}\"\npath = \"/{place}/{name}/{{*rest}}\"\n\
                         respond = {{ status = 200 }}\naccept = [\"session\"]\nsign_in = {name:?}\nallow = [{allow}]"
                    )
                    .unwrap();
                }
            }
            let names: Vec<&str> = sign_ins.iter().map(|sign_in| sign_in.name).collect();
            writeln!(
                text,
                "[[routes]]\nname = \"app\"\npath = \"/app/{{*rest}}\"\nrespond = {{ status = 200 }}\n\
                 accept = [\"session\"]\nsign_in = {names:?}\nallow = [{{ signed_in = true }}]"
            )
            .unwrap();
            Config::new()
                .server("public_urls", &format!("[\"http://{}\"]", port.address()))
                .section(&text)
        };
        let all: Vec<&SignIn> = good.iter().chain(wrong).collect();
        let listening = config(&all).server("listen", &format!("[\"{}\"]", port.address()));
        Self {
            gateway: site.start(&listening),
            good: config(&good.iter().collect::<Vec<_>>()),
            wrong: wrong.iter().map(|one| (one.name, config(&[one]))).collect(),
            _port: port,
        }
    }

    fn visitor(&self) -> Visitor {
        Visitor::of(&self.gateway)
    }

    fn origin(&self) -> String {
        format!("http://{}", self.gateway.http())
    }

    fn outcomes(&self, sign_in: &str, outcome: &str) -> f64 {
        let series = format!("janua_sign_ins_total{{outcome=\"{outcome}\",sign_in=\"{sign_in}\"}}");
        self.gateway.metric(&series).unwrap_or_default()
    }

    /// Signs in until that works.
    fn warms_up<P: Pages>(&self, sign_in: &str, person: impl Fn() -> Person<P>) {
        within(WARM, &format!("{sign_in} is quick"), || {
            let visitor = self.visitor();
            let away = visitor.open(&format!("/at/{sign_in}/x"));
            let to = (away.status == 303).then(|| leads_to(&away))?;
            let callback = person().sign_in(&to);
            (visitor.open(target(&callback)).status == 303).then_some(())
        });
    }

    /// The whole way, from a page and back to its very address.
    #[track_caller]
    fn signs_in<P: Pages>(&self, sign_in: &str, person: &Person<P>) -> Visitor {
        let visitor = self.visitor();
        let page = format!("/at/{sign_in}/deep/link?b=2&a=%20x+y&empty=&b=1");
        let callback = person.sign_in(&leads_to(&visitor.open(&page)));
        let back = visitor.open(target(&callback)).expect(303);
        assert_eq!(back.header("location"), Some(&*format!("{}{page}", self.origin())));
        visitor.open(&page).expect(200);
        assert_eq!(visitor.me()["sign_in"], sign_in);
        visitor
    }

    /// `staff` may go where `others` may not.
    #[track_caller]
    fn tells_roles<P: Pages>(&self, sign_in: &str, staff: &Person<P>, others: &Person<P>, roles: &[&str]) {
        let page = format!("/staff/{sign_in}/x");
        let visitor = self.signs_in(sign_in, staff);
        visitor.open(&page).expect(200);
        self.signs_in(sign_in, others).open(&page).expect(403);
        let me = visitor.me();
        for role in roles {
            assert!(
                me["roles"].as_array().unwrap().contains(&(*role).into()),
                "{role}: {me}"
            );
        }
    }

    /// At a sign-in that is passive.
    #[track_caller]
    fn goes_on_as_nobody<P: Pages>(&self, sign_in: &str, person: &Person<P>) {
        let (visitor, page) = (self.visitor(), format!("/open/{sign_in}/x?a=%2F"));
        let before = self.outcomes(sign_in, "nobody");
        let callback = person.look(&leads_to(&visitor.open(&page))).back();
        let on = visitor.open(target(&callback)).expect(303);
        assert_eq!(on.header("location"), Some(&*format!("{}{page}", self.origin())));
        visitor.open(&page).expect(200);
        assert_eq!(visitor.me()["signed_in"], false);
        assert_eq!(self.outcomes(sign_in, "nobody"), before + 1.0);
        // Where nobody may go, the question is not silent any more.
        let to = leads_to(&visitor.open(&format!("/at/{sign_in}/x")));
        assert!(matches!(person.look(&to), Landed::Asked), "{to}");
    }

    /// At a sign-in that is passive; the person has signed in by another one.
    #[track_caller]
    fn finds_somebody<P: Pages>(&self, sign_in: &str, other: &str, person: &Person<P>) {
        let known = self.signs_in(other, person).me()["user"].clone();
        let (visitor, page) = (self.visitor(), format!("/open/{sign_in}/x"));
        let callback = person.look(&leads_to(&visitor.open(&page))).back();
        visitor.open(target(&callback)).expect(303);
        visitor.open(&page).expect(200);
        assert_eq!(visitor.me()["user"], known);
    }

    /// At a sign-in that renews; the person has signed in by another one.
    #[track_caller]
    fn asks_again<P: Pages>(&self, sign_in: &str, other: &str, person: &Person<P>) {
        self.signs_in(other, person);
        let visitor = self.visitor();
        let to = leads_to(&visitor.open(&format!("/at/{other}/x")));
        person.look(&to).back();
        let to = leads_to(&visitor.open(&format!("/at/{sign_in}/x")));
        assert!(matches!(person.look(&to), Landed::Asked), "{to}");
        visitor.open(target(&person.sign_in(&to))).expect(303);
        visitor.open(&format!("/at/{sign_in}/x")).expect(200);
    }

    /// By the server, and back to a page of the gateway's. The server has forgotten the person.
    #[track_caller]
    fn signs_out_and_comes_back<P: Pages>(&self, sign_in: &str, person: &Person<P>) {
        let visitor = self.signs_in(sign_in, person);
        let back = format!("/open/{sign_in}/bye?a=%2F");
        let to = leads_to(&visitor.post("/_janua/sign-out", &query(&[("everywhere", "1"), ("return", &back)])));
        secrets::sending(&to);
        assert!(!visitor.is_signed_in());
        let callback = person.look(&to).back();
        let on = visitor.open(target(&callback)).expect(303);
        assert_eq!(on.header("location"), Some(&*format!("{}{back}", self.origin())));
        self.is_forgotten(sign_in, person);
    }

    #[track_caller]
    fn is_forgotten<P: Pages>(&self, sign_in: &str, person: &Person<P>) {
        let to = leads_to(&self.visitor().open(&format!("/at/{sign_in}/x")));
        assert!(matches!(person.look(&to), Landed::Asked), "{to}");
    }

    /// Who signs out at the server is signed out here, and nobody else is.
    #[track_caller]
    fn hears_of_a_logout<P: Pages>(&self, sign_in: &str, person: impl Fn(&str) -> Person<P>) {
        let (anna, elsewhere, bert) = (person("anna"), person("anna"), person("bert"));
        let [visitor, same, other] = [&anna, &elsewhere, &bert].map(|person| self.signs_in(sign_in, person));
        anna.sign_out();
        eventually("the session has ended", || (!visitor.is_signed_in()).then_some(()));
        assert!(same.is_signed_in(), "one session has ended, not the person");
        assert!(other.is_signed_in());
    }

    /// The page that says that somebody is signed out has an address of the gateway's, which the browser opens: does that end
    /// the session?
    #[track_caller]
    fn is_told_by_the_page<P: Pages>(&self, sign_in: &str, person: impl Fn(&str) -> Person<P>) -> bool {
        let (anna, bert) = (person("anna"), person("bert"));
        let (visitor, other) = (self.signs_in(sign_in, &anna), self.signs_in(sign_in, &bert));
        let page = anna.sign_out();
        let address = self.address_in(&page, &format!("/_janua/oidc/{sign_in}/frontchannel-logout?"));
        assert!(visitor.is_signed_in(), "nobody has opened it yet");
        // No cookie comes there from another site's page.
        let request = Request::get(&address)
            .header("Sec-Fetch-Site", "cross-site")
            .header("Sec-Fetch-Mode", "navigate")
            .header("Sec-Fetch-Dest", "iframe");
        self.visitor().send(request).expect(200);
        assert!(other.is_signed_in());
        !visitor.is_signed_in()
    }

    /// Path and query of an address of the gateway's in a page, be it in an attribute or in a script.
    #[track_caller]
    fn address_in(&self, page: &Page, begins: &str) -> String {
        let text = page
            .text
            .replace("\\/", "/")
            .replace("\\u0026", "&")
            .replace("&amp;", "&");
        let begins = format!("{}{begins}", self.origin());
        let at = text.find(&begins).unwrap_or_else(|| panic!("no {begins} in {text}"));
        let end = text[at..].find(['"', '\'', '<', ' ']).unwrap_or(text.len() - at);
        text[at + self.origin().len()..at + end].to_owned()
    }

    /// A page, and no loop; and the log says why.
    #[track_caller]
    fn refuses_for_its_secret<P: Pages>(&self, sign_in: &str, person: &Person<P>, code: &str) {
        let visitor = self.visitor();
        let callback = person.sign_in(&leads_to(&visitor.open(&format!("/at/{sign_in}/x"))));
        let page = visitor.open(target(&callback)).expect(502);
        assert_eq!(page.header("location"), None);
        let kind = page.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("text/html"), "{kind}");
        assert_eq!(self.outcomes(sign_in, "provider_error"), 1.0);
        assert!(!visitor.is_signed_in());
        self.gateway.logged(&[
            "sign_in_unavailable",
            &format!("the token endpoint refused with {code}"),
        ]);
    }

    /// `janua check` is green, but for wrong secrets.
    #[track_caller]
    fn is_checked(&self) {
        let ran = check(&Site::new(), &self.good.text(), &[]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        for (name, config) in &self.wrong {
            let ran = check(&Site::new(), &config.text(), &[]);
            told(&ran, 1, &format!("BAD  sign_in {name}"), &["refuses this client"]);
        }
    }
}

/// One of a test.
type Step<W> = fn(&W);

/// Runs every step, and fails with the names of those that failed.
fn run<W>(world: &W, steps: &[(&str, Step<W>)]) {
    let mut failed = Vec::new();
    for (name, step) in steps {
        let held = catch_unwind(AssertUnwindSafe(|| step(world))).is_ok();
        eprintln!("step {name} ... {}", if held { "ok" } else { "FAILED" });
        if !held {
            failed.push(*name);
        }
    }
    assert!(failed.is_empty(), "of {} steps failed: {failed:?}", steps.len());
}

/// [`run`] with functions by their own names.
macro_rules! steps {
    ($world:expr, $($step:ident),+ $(,)?) => {
        $crate::peers::run($world, &[$((stringify!($step), $step)),+])
    };
}
use steps;
