//! The smallest apps of docs/apps, started as `janua demo` says and used as people use them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use serde_json::{Value, json};
use url::Url;

use super::Demo;
use crate::support::http::Response;
use crate::support::tools::missing;
use crate::support::wait::DEADLINE;
use crate::support::{Connection, Request, browse, eventually};

/// Sessions that a person has at most: `per_subject` of `sign_in.<name>.session`.
const SESSIONS: usize = 20;

/// A running app. Killed on drop.
struct App {
    child: Child,
    /// Its address.
    home: Url,
}

impl App {
    /// As the line of the invitation says that begins so, with further variables. `None`: the program is missing.
    fn start(demo: &Demo, line: &str, program: &str, more: &str) -> Option<Self> {
        if missing(program) {
            return None;
        }
        let command = demo.told.iter().find_map(|told| told.trim_start().strip_prefix(line));
        let command = command.unwrap_or_else(|| panic!("no {line:?} in {:?}", demo.told));
        assert!(command.contains(program), "{command}");
        let mut child = Command::new("sh")
            .args(["-c", &format!("exec env NO_PROXY='*' no_proxy='*' {more} {command}")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        // What it says later is read, so that it is never held up.
        std::thread::spawn(move || {
            stdout
                .lines()
                .map_while(Result::ok)
                .for_each(|line| drop(send.send(line)));
        });
        // It says where it is as soon as it is there; a program that ends first says nothing.
        let home = lines.recv_timeout(DEADLINE).unwrap().parse().unwrap();
        Some(Self { child, home })
    }

    fn at(&self, path: &str) -> Url {
        self.home.join(path).unwrap()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A person's browser. It follows where it is led, and keeps cookies by host, whatever the port (RFC 6265 section 8.5).
#[derive(Default)]
struct Browser {
    cookies: BTreeMap<String, BTreeMap<String, String>>,
    /// All that it has opened.
    opened: Vec<Url>,
}

/// Where it has come to, and what is there.
struct Page {
    url: Url,
    answer: Response,
}

impl Page {
    fn shows(&self, words: &[&str]) {
        let text = self.answer.text();
        for word in words {
            assert!(text.contains(word), "no {word:?} at {}: {text}", self.url);
        }
        // The secrets of a back end stay there.
        for secret in ["jns_", "PGT", "PT-", "Bearer", "wstoken"] {
            assert!(!text.contains(secret), "{secret} at {}: {text}", self.url);
        }
    }

    fn shows_nothing_of(&self, words: &[&str]) {
        let text = self.answer.text();
        for word in words {
            assert!(!text.contains(word), "{word:?} at {}: {text}", self.url);
        }
    }

    /// Where a link with this text leads.
    fn link(&self, name: &str) -> Url {
        let text = self.answer.text();
        let before = text
            .split_once(&format!(">{name}</a>"))
            .unwrap_or_else(|| panic!("no link {name:?}: {text}"))
            .0;
        let (_, address) = before.rsplit_once("href=").unwrap();
        let address = address
            .trim_matches(['"', '\''])
            .replace("&amp;", "&")
            .replace("&#38;", "&");
        self.url.join(&address).unwrap()
    }
}

impl Browser {
    fn get(&mut self, url: Url) -> Page {
        self.open(url, None)
    }

    fn post(&mut self, url: Url, form: &str) -> Page {
        self.open(url, Some(form))
    }

    fn open(&mut self, url: Url, form: Option<&str>) -> Page {
        let (mut url, mut form) = (url, form);
        for _ in 0..12 {
            let answer = self.once(&url, form.take());
            self.opened.push(url.clone());
            match answer.header("location") {
                Some(location) => url = url.join(location).unwrap(),
                None => return Page { url, answer },
            }
        }
        panic!("led round and round: {:?}", self.opened);
    }

    fn once(&mut self, url: &Url, form: Option<&str>) -> Response {
        let (host, port) = (url.host_str().unwrap(), url.port().unwrap());
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let kept = self.cookies.entry(host.to_owned()).or_default();
        let cookies: Vec<String> = kept.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = Request::new(if form.is_some() { "POST" } else { "GET" }, target)
            .host(&format!("{host}:{port}"))
            .header("Accept", "text/html")
            .header("Connection", "close")
            .header("Cookie", &cookies.join("; "));
        if let Some(form) = form {
            request = request
                .header("Content-Type", "application/x-www-form-urlencoded")
                .body(form);
        }
        let answer = Connection::open(([127, 0, 0, 1], port).into()).exchange(request);
        for set in answer.all("set-cookie") {
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            match set.contains("Max-Age=0") {
                true => kept.remove(name),
                false => kept.insert(name.to_owned(), value.to_owned()),
            };
        }
        answer
    }

    /// Says at the sign-in server's form to be somebody.
    fn signs_in(&mut self, at: Url, username: &str) -> Page {
        let form = self.get(at);
        assert!(
            form.answer.text().contains("Who are you?"),
            "{}: {}",
            form.url,
            form.answer.text()
        );
        self.post(form.url, &format!("username={username}"))
    }
}

/// Ends all sessions that somebody has at the gateway, by as many new ones as there may be.
fn crowd_out(demo: &Demo, username: &str) {
    let sign_in: Url = format!("{}_janua/sign-in?with=campus&return=/_janua/me", demo.link())
        .parse()
        .unwrap();
    for _ in 0..=SESSIONS {
        let me = Browser::default().signs_in(sign_in.clone(), username);
        assert!(me.answer.text().contains(username), "{}: {}", me.url, me.answer.text());
    }
}

/// The lines of the gateway's log with these words.
fn logged(demo: &Demo, words: &[&str]) -> usize {
    let log = fs::read_to_string(demo.folder.join("janua.log")).unwrap();
    log.lines()
        .filter(|line| words.iter().all(|word| line.contains(word)))
        .count()
}

const ANNAS: [&str; 3] = [
    "Signed in as Anna Atkins",
    "British Algae in Cyanotype",
    "Light and Iron Salts",
];
const BERTHAS: [&str; 2] = ["Signed in as Bertha Benz", "Engines, and How to Mend Them"];

#[test]
fn a_cas_client_shows_people_their_courses_and_says_who_is_refused() {
    let demo = Demo::start();
    let Some(app) = App::start(&demo, "a CAS client ", "python3", "") else {
        return;
    };
    let [mut anna, mut bertha, mut charles] = [(); 3].map(|()| Browser::default());
    let page = anna.get(app.home.clone());
    page.shows(&["Nobody is signed in."]);
    page.shows_nothing_of(&ANNAS);
    let page = anna.signs_in(page.link("Sign in"), "anna");
    page.shows(&ANNAS);
    page.shows_nothing_of(&BERTHAS);
    let page = bertha.signs_in(app.at("/sign-in"), "bertha");
    page.shows(&BERTHAS);
    page.shows_nothing_of(&ANNAS);
    anna.get(app.home.clone()).shows(&ANNAS);

    // No account in Moodle. The link leads there and back here, and changes nothing.
    let page = charles.signs_in(app.at("/sign-in"), "charles");
    page.shows(&["data-reason='no_moodle_token'", "Moodle has no account for you."]);
    page.shows_nothing_of(&[ANNAS[1], BERTHAS[1], "Signed in as"]);
    let visit = page.link("Let Moodle know you");
    assert!(visit.as_str().starts_with(&demo.link()), "{visit}");
    let refused = charles.get(visit);
    assert_eq!(refused.answer.status, 403, "{}: {}", refused.url, refused.answer.text());
    charles.get(app.home.clone()).shows(&["data-reason='no_moodle_token'"]);

    // A sign-in that another browser has begun signs nobody in.
    let mut other = Browser::default();
    let page = other.get(app.at("/callback?state=1&ticket=ST-1"));
    assert_eq!(page.answer.status, 400);
    other.get(app.home.clone()).shows(&["Nobody is signed in."]);

    bertha.post(app.at("/sign-out"), "");
    let ended = || logged(&demo, &["path=\"/_janua/sign-out\"", "status=204"]) == 1;
    eventually("the session at the gateway is ended", || ended().then_some(()));
    bertha.get(app.home.clone()).shows(&["Nobody is signed in."]);
}

#[test]
fn a_cas_client_goes_on_with_another_session_until_the_cas_server_gives_none() {
    let demo = Demo::start();
    let Some(app) = App::start(&demo, "a CAS client ", "python3", "") else {
        return;
    };
    let mut anna = Browser::default();
    anna.signs_in(app.at("/sign-in"), "anna").shows(&ANNAS);
    crowd_out(&demo, "anna");
    let refused = || logged(&demo, &["route=\"campus app calls\"", "status=401"]);
    assert_eq!(refused(), 0);
    anna.get(app.home.clone()).shows(&ANNAS);
    eventually("its session had ended", || (refused() == 1).then_some(()));

    crowd_out(&demo, "anna");
    let form = anna.opened.iter().find(|url| url.path() == "/cas/login").unwrap();
    anna.get(form.join("/cas/logout").unwrap());
    let page = anna.get(app.home.clone());
    page.shows(&["data-reason='signed_out'", "Your sign-in has ended."]);
    page.shows_nothing_of(&ANNAS);
    let page = anna.signs_in(page.link("Sign in"), "bertha");
    page.shows(&BERTHAS);

    // Single logout.
    let landed = anna.opened.iter().rfind(|url| url.path() == "/callback").unwrap();
    let ticket = landed
        .query_pairs()
        .find(|(name, _)| name == "ticket")
        .unwrap()
        .1
        .into_owned();
    for (named, is_out) in [("ST-0", false), (ticket.as_str(), true)] {
        let told = format!(
            "<samlp:LogoutRequest xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\">\
             <samlp:SessionIndex>{named}</samlp:SessionIndex></samlp:LogoutRequest>"
        );
        let told: String = form_urlencoded::byte_serialize(told.as_bytes()).collect();
        let heard = Browser::default().post(app.at("/callback"), &format!("logoutRequest={told}"));
        assert_eq!(heard.answer.status, 200);
        let page = anna.get(app.home.clone());
        page.shows(&[if is_out { "Nobody is signed in." } else { BERTHAS[0] }]);
    }
}

#[test]
fn a_back_end_with_access_tokens_shows_people_their_courses_and_says_what_is_refused() {
    let demo = Demo::start();
    let Some(app) = App::start(&demo, "an access token ", "node", "") else {
        return;
    };
    let [mut anna, mut bertha, mut charles] = [(); 3].map(|()| Browser::default());
    let page = anna.get(app.home.clone());
    page.shows(&["Nobody is signed in."]);
    page.shows_nothing_of(&ANNAS);
    let page = anna.signs_in(page.link("Sign in"), "anna");
    page.shows(&ANNAS);
    page.shows_nothing_of(&BERTHAS);
    bertha.signs_in(app.at("/sign-in"), "bertha").shows(&BERTHAS);
    anna.get(app.home.clone()).shows(&ANNAS);
    let page = charles.signs_in(app.at("/sign-in"), "charles");
    page.shows(&["data-reason=\"no_moodle_token\"", "Moodle has no account for you."]);
    page.shows_nothing_of(&[ANNAS[1], BERTHAS[1], "Signed in as"]);

    let page = Browser::default().get(app.at("/callback?state=1&code=1"));
    assert_eq!(page.answer.status, 400);
    bertha.post(app.at("/sign-out"), "");
    bertha.get(app.home.clone()).shows(&["Nobody is signed in."]);
    drop(app);

    // The same with tokens that are meant for something else.
    let app = App::start(&demo, "an access token ", "node", "RESOURCE=https://elsewhere.test").unwrap();
    let page = Browser::default().signs_in(app.at("/sign-in"), "anna");
    page.shows(&["data-reason=\"wrong_audience\"", "not set up for Janua"]);
    page.shows_nothing_of(&ANNAS);
    let mut forgotten = Browser::default();
    forgotten.signs_in(app.at("/sign-in"), "bertha");
    forgotten.get(app.home.clone()).shows(&["Nobody is signed in."]);
}

#[test]
fn a_page_shows_people_their_courses_and_files_and_says_who_is_refused() {
    let script = r##"
        const shown = async () => ({ text: await page.innerText("body"), url: page.url() });
        const ready = async (selector) => { await page.waitForSelector(selector); return shown(); };
        await page.goto(args.page);
        const nobody = await ready("#way:not([hidden])");
        await page.click("#way");
        await page.click("text=Anna Atkins");
        const anna = await ready("#courses li");
        await page.click("#courses a");
        await page.waitForLoadState();
        const file = await shown();
        await page.goto(args.page);
        await ready("#courses li");
        // Somebody ends the session in another tab; the page that is open asks once more.
        await page.click("text=Sign out");
        await page.click("button[name=everywhere], form button");
        await page.waitForLoadState();
        await page.goto(args.page);
        const after = await ready("#way:not([hidden])");
        await page.click("#way");
        await page.click("text=Charles Babbage");
        await page.waitForLoadState();
        await page.goto(args.page);
        await page.waitForFunction(() => !document.getElementById("who").textContent.startsWith("One moment"));
        const charles = await shown();
        return { nobody, anna, file, after, charles };
    "##;
    let demo = Demo::start();
    let page = format!("{}campus-app/", demo.link());
    let Some(told) = browse(script, &json!({ "page": page })) else {
        return;
    };
    let text = |path: &str| {
        told.pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("{path} in {told}"))
    };
    for nobody in ["/nobody", "/after"] {
        let shown = text(&format!("{nobody}/text"));
        assert!(
            shown.contains("Nobody is signed in.") && !shown.contains("Algae"),
            "{shown}"
        );
    }
    let anna = text("/anna/text");
    assert!(ANNAS.iter().all(|word| anna.contains(word)), "{anna}");
    assert!(!anna.contains("Engines") && text("/anna/url") == page, "{told}");
    assert!(
        text("/file/url").contains("/campus-app/webservice/pluginfile.php/4/"),
        "{told}"
    );
    assert!(text("/file/text").contains("For Anna Atkins."), "{told}");
    assert!(!text("/file/url").contains("token"), "{told}");
    let charles = text("/charles/text");
    assert!(charles.contains("Moodle has no account for you."), "{told}");
    assert!(
        !charles.contains("Algae") && !charles.contains("Signed in"),
        "{charles}"
    );
}

#[test]
fn the_guide_shows_the_code_that_runs_here() {
    let (guide, page) = (
        include_str!("../../../docs/moodle-app.md"),
        include_str!("../../../docs/apps/page.html"),
    );
    let (_, example) = guide.split_once("\n```js\n").unwrap();
    let (example, _) = example.split_once("```\n").unwrap();
    assert!(
        example.contains("async function moodle(") && page.contains(example),
        "{example}"
    );
}
