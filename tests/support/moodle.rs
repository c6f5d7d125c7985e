//! A Moodle on a port of the system's choice that behaves as the recorded exchanges in tests/recorded/moodle say: how
//! PHP merges parameters, errors with status 200, the steps from a ticket to a session and to a token.
//!
//! Tickets are validated by asking the CAS server that it is given. It remembers every secret that it hands out.

mod answer;
mod files;
mod login;
mod pages;
mod php;
pub mod provider;
mod service;

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard};

pub use self::answer::Answer;
use super::double::Double;
use super::held::Held;
use super::http::{Wire, values};
use super::secrets::{self, Kind};

/// Digits of a session's id.
const SESSION: usize = 26;

/// Switches of the site, as an administrator has them.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `$CFG->wwwroot`.
    pub wwwroot: String,
    /// Where tickets are validated: `http://127.0.0.1:…/cas`; without, no ticket is good.
    pub cas: Option<String>,
    /// What browsers know the CAS server by.
    pub cas_public: String,
    pub web_services: bool,
    pub rest: bool,
    /// `enablemobilewebservice`.
    pub mobile_service: bool,
    pub maintenance: bool,
    /// The only `Host` that it is called by; `None`: whichever.
    pub host: Option<String>,
    /// `auth_cas|multiauth`: there are other ways to log in, and a page on which one chooses.
    pub multiauth: bool,
    /// The authentication plugin `auth_cas` is enabled.
    pub auth_cas: bool,
    /// It is `auth_casattras` in its place, which is chosen by an address of its own.
    pub casattras: bool,
    /// `casversion`: where below its server the plugin asks about a ticket.
    pub validates_at: &'static str,
    /// 1: app, 2: browser, 3: embedded browser.
    pub type_of_login: u8,
    pub forced_url_scheme: String,
    /// `authpreventaccountcreation`.
    pub prevent_account_creation: bool,
    /// `tool_mfa` wants a factor in each session.
    pub mfa: bool,
    /// `sessioncookiedomain`; empty: this host's alone.
    pub session_cookie_domain: String,
    /// The login page has a form, and this is everybody's password.
    pub password: Option<String>,
    /// The authentication plugin `auth_oauth2` is enabled.
    pub auth_oauth2: bool,
    /// Ids of its services, which its login page offers.
    pub oauth2_ids: Vec<u64>,
    /// The authentication plugin `auth_oidc` is enabled.
    pub auth_oidc: bool,
    /// The authorization endpoint of the provider of both.
    pub provider: String,
    /// What Moodle's requests to it say besides.
    pub login_params: String,
    /// `requireconfirmation` of the service: a mail is sent before an account is linked.
    pub require_confirmation: bool,
    /// What `launch.php` answers instead of anything else.
    pub launch: Option<Answer>,
    /// A function is refused with this code.
    pub refuses: Option<&'static str>,
    /// `$CFG->debugdisplay`: what goes wrong is told with the query and its parameters.
    pub debug: bool,
    /// Where the policy stands; `tool_policy` has one of its own.
    pub policy_page: String,
    /// PHP's `post_max_size`.
    pub post_max_size: usize,
    /// `client_max_body_size` of the nginx in front.
    pub client_max_body_size: usize,
    /// PHP does not run behind it.
    pub php_is_down: bool,
    /// Moodle 4.5 and later: exceptions have their names in a namespace.
    pub is_4_5: bool,
}

/// An account.
#[derive(Debug, Clone, Default)]
pub struct Account {
    pub id: u64,
    pub first_name: String,
    pub suspended: bool,
    pub deleted: bool,
    pub unconfirmed: bool,
    pub nologin: bool,
    /// Has not agreed to the site's policy.
    pub policy_open: bool,
    pub incomplete_profile: bool,
    /// `auth_forcepasswordchange`; the account's method is CAS, so there is nowhere to change it.
    pub forced_password: bool,
    /// The same of an account whose method has a password in Moodle.
    pub new_password: bool,
    /// `webservice/rest:use`, which everyone has.
    pub no_rest: bool,
    /// `moodle/webservice:createmobiletoken`, which everyone has.
    pub no_mobile_token: bool,
    /// Of an account whose password Moodle checks itself; `None`: by `auth_cas`.
    pub password: Option<String>,
}

/// An external service.
#[derive(Debug, Clone, Default)]
pub struct Service {
    pub disabled: bool,
    /// Only for these.
    pub restricted: Option<Vec<String>>,
    pub requires_capability: bool,
    /// One of the site's own: nobody may make a token.
    pub custom: bool,
    /// `None`: all.
    pub functions: Option<Vec<String>>,
}

/// A row of `external_tokens`.
#[derive(Debug, Clone)]
pub struct Row {
    pub token: String,
    pub user: String,
    pub service: String,
    pub expired: bool,
    pub ip_restricted: bool,
}

/// A MoodleSession.
#[derive(Debug, Clone, Default)]
pub(super) struct Session {
    user: Option<String>,
    /// The ticket was good for this name; the next request to the login page signs it in.
    ticket_of: Option<String>,
    just_logged_in: bool,
    /// Whether the policy was open when the session began (`$USER->policyagreed`).
    policy_open: bool,
    /// The same of the profile, which lies in `$USER` too.
    incomplete_profile: bool,
    /// The factor of `tool_mfa` was given.
    factor: bool,
    guest: bool,
    /// CAS was asked whether it knows the browser (`gateway=true`).
    asked: bool,
    /// Where the person wanted to go (`$SESSION->wantsurl`).
    wants: Option<String>,
    /// What forms and scripts of the session's pages send.
    sesskey: String,
}

/// Everything behind the double.
pub struct Site {
    pub settings: Settings,
    pub accounts: HashMap<String, Account>,
    pub services: HashMap<String, Service>,
    pub tokens: Vec<Row>,
    /// Tokens that were made, not those given again.
    pub made: usize,
    /// Every secret handed out.
    pub secrets: Vec<String>,
    /// Method and target of every request, and what PHP saw in the body.
    pub requests: Vec<(String, String, String)>,
    sessions: HashMap<String, Session>,
    /// Codes of the provider's, and whose they are.
    codes: HashMap<String, String>,
    oidc_states: Vec<String>,
    php_sessions: HashMap<String, String>,
    files: HashMap<String, files::Stored>,
    drafts: u64,
    /// What CAS servers answered about tickets.
    pub told: Vec<String>,
    /// Where tickets that begin with [`HELD`] wait.
    pub holds: Option<Arc<Held>>,
    /// Where requests for `launch.php` wait.
    pub holds_launch: Option<Arc<Held>>,
    /// A script, and where requests for it wait.
    pub holds_at: Option<(&'static str, Arc<Held>)>,
    /// Whose every token is said to be.
    pub says: Option<String>,
}

/// What tickets begin with that are not looked at before they are let go.
pub const HELD: &str = "ST-held-";

/// The running double. Ends on drop.
pub struct Moodle {
    double: Double,
    site: Arc<Mutex<Site>>,
}

impl Moodle {
    /// With accounts `alice` (3) and `bob` (4), the app's service, and Moodle's own defaults.
    pub fn start() -> Self {
        let site = Arc::new(Mutex::new(Site::new()));
        let served = Arc::clone(&site);
        let double = Double::start(move |mut wire| while let Ok(true) = serve(&mut wire, &served) {});
        Self { double, site }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.double.address)
    }

    pub fn site(&self) -> MutexGuard<'_, Site> {
        self.site.lock().unwrap()
    }
}

impl Site {
    fn new() -> Self {
        let account = |id, first_name: &str| Account {
            id,
            first_name: first_name.to_owned(),
            ..Account::default()
        };
        let mut site = Self {
            settings: Settings {
                wwwroot: "https://moodle.test:8443".to_owned(),
                cas: None,
                cas_public: "https://cas.test:8444/cas".to_owned(),
                web_services: true,
                rest: true,
                mobile_service: true,
                maintenance: false,
                host: None,
                multiauth: false,
                auth_cas: true,
                casattras: false,
                validates_at: "serviceValidate",
                type_of_login: 1,
                forced_url_scheme: "moodlemobile".to_owned(),
                prevent_account_creation: false,
                mfa: false,
                session_cookie_domain: String::new(),
                password: None,
                auth_oauth2: false,
                oauth2_ids: vec![1],
                auth_oidc: false,
                provider: "https://idp.test/authorize".to_owned(),
                login_params: String::new(),
                require_confirmation: false,
                launch: None,
                refuses: None,
                debug: false,
                policy_page: "/user/policy.php".to_owned(),
                post_max_size: 8 << 20,
                client_max_body_size: usize::MAX,
                php_is_down: false,
                is_4_5: false,
            },
            accounts: HashMap::from([
                ("alice".to_owned(), account(3, "Alice")),
                ("bob".to_owned(), account(4, "Bob")),
            ]),
            services: HashMap::from([("moodle_mobile_app".to_owned(), Service::default())]),
            tokens: Vec::new(),
            made: 0,
            secrets: Vec::new(),
            requests: Vec::new(),
            sessions: HashMap::new(),
            codes: HashMap::new(),
            oidc_states: Vec::new(),
            php_sessions: HashMap::new(),
            files: HashMap::new(),
            drafts: 0,
            told: Vec::new(),
            holds: None,
            holds_launch: None,
            holds_at: None,
            says: None,
        };
        site.files = files::stored();
        site
    }

    /// A token that is there already.
    pub fn give(&mut self, token: &str, user: &str, service: &str) {
        self.secrets.push(token.to_owned());
        secrets::register(Kind::Moodle, token);
        self.tokens.push(Row {
            token: token.to_owned(),
            user: user.to_owned(),
            service: service.to_owned(),
            expired: false,
            ip_restricted: false,
        });
    }

    /// MoodleSessions in which this account is signed in.
    pub fn sessions_of(&self, user: &str) -> usize {
        let sessions = self.sessions.values();
        sessions.filter(|session| session.user.as_deref() == Some(user)).count()
    }

    /// Each MoodleSession of this account has begun when the policy was open.
    pub fn wants_policy(&mut self, user: &str) {
        for session in self
            .sessions
            .values_mut()
            .filter(|session| session.user.as_deref() == Some(user))
        {
            session.policy_open = true;
        }
    }

    /// Requests for a script.
    pub fn asked(&self, script: &str) -> usize {
        let requests = self.requests.iter();
        requests
            .filter(|(_, target, _)| target.split('?').next() == Some(script))
            .count()
    }

    /// A new secret of so many hexadecimal digits.
    fn secret(&mut self, digits: usize) -> String {
        let mut text = String::new();
        while text.len() < digits {
            text += &format!("{:032x}", rand::random::<u128>());
        }
        text.truncate(digits);
        let kind = if digits == SESSION { Kind::Session } else { Kind::Moodle };
        secrets::register(kind, &text);
        self.secrets.push(text.clone());
        text
    }
}

/// Serves one request. `Ok(true)`: the connection may serve another.
fn serve(wire: &mut Wire, site: &Mutex<Site>) -> io::Result<bool> {
    let (line, headers) = wire.head()?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if !values(&headers, "expect").is_empty() {
        wire.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let (body, _) = wire.body(&headers, false)?;
    let request = php::Request::new(&method, &target, headers, body, &site.lock().unwrap().settings);
    let told = (
        method.clone(),
        target,
        String::from_utf8_lossy(&request.body).into_owned(),
    );
    site.lock().unwrap().requests.push(told);
    let mut answer = answer_to(&request, site);
    // Moodle does so for Chrome, whose pages may stand in frames of other sites.
    let is_chrome = request
        .header("user-agent")
        .is_some_and(|agent| agent.contains("Chrome"));
    let sets = answer
        .headers
        .iter_mut()
        .filter(|(name, _)| is_chrome && name == "Set-Cookie");
    sets.filter(|(_, value)| value.starts_with("MoodleSession="))
        .for_each(|(_, value)| value.push_str("; SameSite=None"));
    wire.stream.write_all(&answer.bytes(method == "HEAD"))?;
    Ok(values(&request.headers, "connection").first() != Some(&"close"))
}

fn answer_to(request: &php::Request, site: &Mutex<Site>) -> Answer {
    let (script, info) = request.script();
    let holds = site.lock().unwrap().holds_launch.clone();
    if let Some(holds) = holds.filter(|_| script.ends_with("/launch.php")) {
        holds.wait();
    }
    let holds = site.lock().unwrap().holds_at.clone();
    if let Some((_, holds)) = holds.filter(|(held, _)| *held == script) {
        holds.wait();
    }
    let settings = site.lock().unwrap().settings.clone();
    if request.body.len() > settings.client_max_body_size {
        return Answer::of_nginx(413, "Request Entity Too Large");
    }
    if settings.php_is_down {
        return Answer::of_nginx(502, "Bad Gateway");
    }
    if settings
        .host
        .as_deref()
        .is_some_and(|host| request.header("host") != Some(host))
    {
        return match script {
            "/login/token.php" => login::incorrect_access(),
            "/webservice/upload.php" | "/webservice/pluginfile.php" | "/lib/ajax/service-nologin.php" => {
                let text = "Unsupported redirect detected, script execution terminated";
                let body = format!(
                    "{{\"error\":\"{text}\",\"stacktrace\":null,\"debuginfo\":null,\"errorcode\":\"redirecterrordetected\"}}"
                );
                Answer::new(200, "application/json; charset=utf-8", body)
            }
            _ => Answer::redirect(303, &settings.wwwroot),
        };
    }
    match script {
        "/login/index.php" => login::index(request, site),
        "/login/token.php" => login::token(request, site),
        "/login/logout.php" => pages::logout(request, &mut site.lock().unwrap()),
        "/admin/tool/mobile/launch.php" => login::launch(request, &mut site.lock().unwrap()),
        "/auth/oauth2/login.php" => provider::oauth2(request, &mut site.lock().unwrap()),
        provider::OAUTH2_CALLBACK => provider::oauth2_callback(request, &mut site.lock().unwrap()),
        provider::OIDC_CALLBACK => provider::oidc(request, &mut site.lock().unwrap()),
        "/webservice/rest/server.php" => service::rest(request, &mut site.lock().unwrap()),
        "/webservice/rest/simpleserver.php" => service::simple(request),
        "/webservice/soap/server.php" => service::soap(request, &mut site.lock().unwrap()),
        "/webservice/upload.php" => files::upload(request, &mut site.lock().unwrap()),
        "/webservice/pluginfile.php" | "/webservice/draftfile.php" => {
            files::file(request, script, info, &mut site.lock().unwrap())
        }
        "/tokenpluginfile.php" => files::by_key(request, info, &site.lock().unwrap()),
        "/lib/ajax/service.php" => service::ajax(&mut site.lock().unwrap()),
        "/lib/ajax/service-nologin.php" => service::public_config(&site.lock().unwrap()),
        "/" | "/my/" | "/course/view.php" => pages::page(request, &mut site.lock().unwrap()),
        "/user/policy.php"
        | "/admin/tool/policy/index.php"
        | "/user/edit.php"
        | "/login/change_password.php"
        | "/admin/tool/mfa/auth.php" => pages::wanted(request, &mut site.lock().unwrap()),
        "/repository/repository_ajax.php" => pages::upload(request, &mut site.lock().unwrap()),
        "/pluginfile.php" => pages::file(request, info, &mut site.lock().unwrap()),
        // The web server's own.
        _ => Answer::new(404, "text/html", "<html>404 Not Found</html>"),
    }
}
