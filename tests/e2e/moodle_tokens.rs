//! A ticket becomes a token, by each of the ways, and every detour has its own error; never does a token of another
//! account come out.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use http::HeaderValue;
use janua::backchannel::Backchannel;
use janua::config::Outgoing;
use janua::moodle::answer::Probed;
use janua::moodle::token::Token;
use janua::moodle::tokens::cas_facade::{Facade, Vouched};
use janua::moodle::tokens::{
    Conversation, TokenError, cas_facade, cas_launch, cas_token, check_identity, check_never, probe,
};

use crate::support::Moodle;
use crate::support::double::Double;
use crate::support::moodle::{Service, Site};

const ROOT: &str = "https://moodle.test:8443";
const APP: &str = "moodle_mobile_app";

type Known = Arc<Mutex<HashMap<String, (String, String)>>>;

/// A CAS server that knows tickets by heart: one use each, for one service.
struct Cas {
    double: Double,
    tickets: Known,
}

impl Cas {
    fn start() -> Self {
        let tickets = Known::default();
        let known = Arc::clone(&tickets);
        Self {
            double: served(move |_, service, ticket| {
                let found = known.lock().unwrap().remove(ticket);
                let user = found.filter(|(expected, _)| expected == service).map(|(_, user)| user);
                user.map_or_else(|| "no".to_owned(), |user| format!("<cas:user>{user}</cas:user>"))
            }),
            tickets,
        }
    }

    fn ticket(&self, service: &str, user: &str) -> String {
        let ticket = format!("ST-{:032x}", rand::random::<u128>());
        let entry = (format!("{ROOT}{service}"), user.to_owned());
        self.tickets.lock().unwrap().insert(ticket.clone(), entry);
        ticket
    }
}

/// Answers `serviceValidate` from query, service and ticket.
fn served(answer: impl Fn(&str, &str, &str) -> String + Send + Sync + 'static) -> Double {
    Double::start(move |mut wire| {
        let Ok((line, _)) = wire.head() else { return };
        let target = line.split(' ').nth(1).unwrap();
        let (_, query) = target.split_once('?').unwrap();
        let named = |name: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(known, _)| known == name).unwrap().1.into_owned()
        };
        let body = answer(query, &named("service"), &named("ticket"));
        let head = format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        drop(wire.stream.write_all((head + &body).as_bytes()));
    })
}

fn stand(change: impl FnOnce(&mut Site)) -> (Moodle, Cas, Conversation) {
    let (moodle, cas) = (Moodle::start(), Cas::start());
    moodle.site().settings.cas = Some(format!("http://{}/cas", cas.double.address));
    change(&mut moodle.site());
    let conversation = talk(&moodle, ROOT, APP);
    (moodle, cas, conversation)
}

fn talk(moodle: &Moodle, wwwroot: &str, service: &str) -> Conversation {
    let backchannel = Backchannel::for_questions(&Outgoing::default()).unwrap();
    let host = HeaderValue::from_static("moodle.test:8443");
    Conversation::new(backchannel, moodle.url().parse().unwrap(), host, wwwroot, service)
}

/// The whole of `cas-launch` for a person.
async fn launched(cas: &Cas, moodle: &Conversation, user: &str) -> Result<Token, TokenError> {
    let ticket = cas.ticket(cas_launch::SERVICE, user);
    let signed = cas_launch::sign_in(moodle, cas_launch::SERVICE, &ticket).await?;
    let token = cas_launch::launch(moodle, &signed.session).await?;
    assert_eq!(check_identity(moodle, &token, user).await?, signed.user_id);
    Ok(token)
}

#[tokio::test]
async fn launch_makes_a_token_and_its_session_makes_another_one() {
    let (moodle, cas, talk) = stand(|_| {});
    let ticket = cas.ticket(cas_launch::SERVICE, "Alice");
    let signed = cas_launch::sign_in(&talk, cas_launch::SERVICE, &ticket).await.unwrap();
    assert_eq!(signed.user_id, 3);
    let first = cas_launch::launch(&talk, &signed.session).await.unwrap();
    assert_eq!(check_identity(&talk, &first, "ALICE").await.unwrap(), 3);
    assert_eq!(
        cas_launch::launch(&talk, &signed.session).await.unwrap(),
        first,
        "a valid one is given again"
    );
    assert_eq!(moodle.site().made, 1);
    moodle.site().tokens.clear();
    assert_eq!(probe(&talk, &first).await.unwrap(), Probed::ObtainAgain);
    let second = cas_launch::launch(&talk, &signed.session).await.unwrap();
    assert!(second != first && probe(&talk, &second).await.unwrap() == Probed::PassOn);
    // What came and went is in no Debug output.
    let printed = format!("{first:?} {:?}", signed.session);
    assert!(moodle.site().secrets.iter().all(|secret| !printed.contains(secret)));
}

#[tokio::test]
async fn a_state_in_the_service_address_reaches_moodle_as_cas_was_told_it() {
    let (_moodle, cas, talk) = stand(|_| {});
    let service = "/login/index.php?authCAS=CAS&gwstate=abc";
    let ticket = cas.ticket(service, "alice");
    assert_eq!(cas_launch::sign_in(&talk, service, &ticket).await.unwrap().user_id, 3);
}

#[tokio::test]
async fn token_php_takes_a_ticket() {
    let (moodle, cas, talk) = stand(|_| {});
    let ticket = cas.ticket(cas_token::SERVICE, "alice");
    let token = cas_token::obtain(&talk, cas_token::SERVICE, &ticket, "Alice")
        .await
        .unwrap();
    assert_eq!(check_identity(&talk, &token, "alice").await.unwrap(), 3);
    let again = cas_token::obtain(&talk, cas_token::SERVICE, &ticket, "alice").await;
    assert!(matches!(again, Err(TokenError::TicketRefused)), "{again:?}");
    let mine = cas.ticket(cas_token::SERVICE, "alice");
    let other = cas_token::obtain(&talk, cas_token::SERVICE, &mine, "bob").await;
    assert!(matches!(other, Err(TokenError::NoAccount)), "{other:?}");
    assert_eq!(moodle.site().made, 1);
}

#[tokio::test]
async fn the_gateway_vouches_where_moodle_asks_it() {
    let (moodle, _cas, talk) = stand(|_| {});
    let waiting: Arc<Mutex<HashMap<String, Vec<u8>>>> = Arc::default();
    let kept = Arc::clone(&waiting);
    let facade = served(move |query, _, _| {
        let networks = ["127.0.0.0/8".parse().unwrap()];
        let Facade::Asked(question) =
            cas_facade::judge("/serviceValidate", query, IpAddr::from([127, 0, 0, 1]), &networks)
        else {
            panic!("{query}");
        };
        let taken = kept.lock().unwrap().remove(question.ticket());
        question.answer(taken.and_then(|taken| Vouched::decode(&taken))).body
    });
    moodle.site().settings.cas = Some(format!("http://{}/cas", facade.address));
    for user in ["alice", "bob", "Alice"] {
        let vouched = cas_facade::vouch(cas_facade::token_service(&talk), user, Vec::new());
        let ticket = cas_facade::new_ticket();
        waiting.lock().unwrap().insert(ticket.clone(), vouched.encode());
        let token = cas_facade::obtain(&talk, &ticket, &vouched).await.unwrap();
        check_identity(&talk, &token, user).await.unwrap();
        let again = cas_facade::obtain(&talk, &ticket, &vouched).await;
        assert!(matches!(again, Err(TokenError::TicketRefused)), "{again:?}");
    }
    assert_eq!(moodle.site().made, 2);
}

#[tokio::test]
async fn a_token_of_another_account_is_never_taken() {
    let (_moodle, cas, talk) = stand(|_| {});
    let token = launched(&cas, &talk, "bob").await.unwrap();
    let taken = check_identity(&talk, &token, "alice").await;
    assert!(matches!(taken, Err(TokenError::OtherAccount)), "{taken:?}");
    assert!(check_identity(&talk, &token, "Bob").await.is_ok());
    assert!(matches!(
        check_never(&["admin".to_owned()], "Admin"),
        Err(TokenError::Never)
    ));
    assert!(check_never(&["admin".to_owned()], "alice").is_ok());
}

/// What is odd, how the site gets so, and the word for what comes of it.
type Detour = (&'static str, fn(&mut Site), &'static str);

/// Each way off the road, and where it leads.
#[tokio::test]
async fn every_detour_has_its_error() {
    let cases: [Detour; 15] = [
        ("no cas", |site| site.settings.cas = None, "ticket_refused"),
        (
            "suspended",
            |site| site.accounts.get_mut("alice").unwrap().suspended = true,
            "no_account",
        ),
        (
            "no account",
            |site| {
                site.accounts.remove("alice");
                site.settings.prevent_account_creation = true;
            },
            "no_account",
        ),
        (
            "policy",
            |site| site.accounts.get_mut("alice").unwrap().policy_open = true,
            "moodle_policy_not_agreed",
        ),
        (
            "policy of tool_policy",
            |site| {
                site.settings.policy_page = "/admin/tool/policy/index.php".to_owned();
                site.accounts.get_mut("alice").unwrap().policy_open = true;
            },
            "moodle_policy_not_agreed",
        ),
        (
            "profile",
            |site| site.accounts.get_mut("alice").unwrap().incomplete_profile = true,
            "moodle_profile_incomplete",
        ),
        (
            "password",
            |site| site.accounts.get_mut("alice").unwrap().new_password = true,
            "moodle_password_change",
        ),
        (
            "no password",
            |site| site.accounts.get_mut("alice").unwrap().forced_password = true,
            "moodle_password_unchangeable",
        ),
        ("factor", |site| site.settings.mfa = true, "moodle_second_factor"),
        ("maintenance", |site| site.settings.maintenance = true, "maintenance"),
        (
            "service off",
            |site| site.services.get_mut(APP).unwrap().disabled = true,
            "denied",
        ),
        (
            "not on its list",
            |site| site.services.get_mut(APP).unwrap().restricted = Some(vec!["bob".to_owned()]),
            "denied",
        ),
        (
            "no capability",
            |site| site.accounts.get_mut("alice").unwrap().no_mobile_token = true,
            "denied",
        ),
        (
            "other root",
            |site| site.settings.wwwroot = "https://elsewhere.test".to_owned(),
            "ticket_refused",
        ),
        ("rest off", |site| site.settings.rest = false, "misconfigured"),
    ];
    for (name, change, outcome) in cases {
        let (_moodle, cas, talk) = stand(change);
        let error = launched(&cas, &talk, "alice").await.unwrap_err();
        assert_eq!(error.outcome(), outcome, "{name}: {error}");
        assert!(!error.to_string().contains("ST-"), "{error}");
    }
}

#[tokio::test]
async fn launch_closes_after_a_page_and_without_a_session() {
    let (moodle, cas, talk) = stand(|_| {});
    let ticket = cas.ticket(cas_launch::SERVICE, "alice");
    let signed = cas_launch::sign_in(&talk, cas_launch::SERVICE, &ticket).await.unwrap();
    let address = moodle.url().trim_start_matches("http://").parse().unwrap();
    let page = crate::support::Request::get("/course/view.php").header("Cookie", &signed.session.reveal());
    assert_eq!(crate::support::Connection::open(address).exchange(page).status, 200);
    assert!(matches!(
        cas_launch::launch(&talk, &signed.session).await,
        Err(TokenError::SessionEnded)
    ));
    moodle.site().settings.type_of_login = 2;
    assert!(cas_launch::launch(&talk, &signed.session).await.is_ok());
}

/// The signature is over Moodle's own idea of its address.
#[tokio::test]
async fn a_wwwroot_that_is_not_exact_is_told() {
    let (moodle, cas, talk_well) = stand(|_| {});
    let ticket = cas.ticket(cas_launch::SERVICE, "alice");
    let signed = cas_launch::sign_in(&talk_well, cas_launch::SERVICE, &ticket)
        .await
        .unwrap();
    let talk_badly = talk(&moodle, "https://moodle.test", APP);
    let error = cas_launch::launch(&talk_badly, &signed.session).await.unwrap_err();
    assert!(error.to_string().contains("$CFG->wwwroot"), "{error}");
}

#[tokio::test]
async fn a_service_of_the_sites_own_gives_only_tokens_that_are_there() {
    let (moodle, cas, _) = stand(|site| {
        site.services.insert(
            "gw_ext".to_owned(),
            Service {
                custom: true,
                ..Service::default()
            },
        );
    });
    let talk = talk(&moodle, ROOT, "gw_ext");
    let ticket = cas.ticket(cas_token::SERVICE, "alice");
    let refused = cas_token::obtain(&talk, cas_token::SERVICE, &ticket, "alice").await;
    assert!(matches!(refused, Err(TokenError::Denied(_))), "{refused:?}");
    moodle
        .site()
        .give("acc245e8a79445d6c8fd7f6490952815", "alice", "gw_ext");
    let ticket = cas.ticket(cas_token::SERVICE, "alice");
    assert!(
        cas_token::obtain(&talk, cas_token::SERVICE, &ticket, "alice")
            .await
            .is_ok()
    );
}
