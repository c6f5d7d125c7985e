//! Signing in by a ticket, and the two ways from there to a token.

use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::answer::Answer;
use super::php::Request;
use super::provider;
use super::{Account, HELD, Row, SESSION, Session, Site};
use crate::support::http::Connection;
use crate::support::secrets::{self, Kind};

const JSON: &str = "application/json; charset=utf-8";

/// Who is behind a ticket: phpCAS asks about the address that it was called by.
fn validate(request: &Request, site: &Mutex<Site>, ticket: &str) -> Option<String> {
    secrets::register(Kind::Ticket, ticket);
    let holds = site.lock().unwrap().holds.clone();
    if let Some(holds) = holds.filter(|_| ticket.starts_with(HELD)) {
        holds.wait();
    }
    let (cas, root, validates_at) = {
        let settings = &site.lock().unwrap().settings;
        (settings.cas.clone()?, settings.wwwroot.clone(), settings.validates_at)
    };
    let origin = root.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    let service = format!("{origin}{}", request.target_without("ticket"));
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let url = url::Url::parse(&format!(
        "{cas}/{validates_at}?service={}&ticket={}",
        encode(&service),
        encode(ticket)
    ))
    .unwrap();
    let address = (url.host_str()?, url.port_or_known_default()?);
    let address = std::net::ToSocketAddrs::to_socket_addrs(&address).ok()?.next()?;
    let target = format!("{}?{}", url.path(), url.query()?);
    let mut connection = Connection::try_open(address).ok()?;
    let asked = crate::support::Request::get(&target)
        .host(&address.to_string())
        .header("Connection", "close");
    let answer = connection.exchange_raw(asked.bytes()).ok()?.text();
    site.lock().unwrap().told.push(answer.clone());
    if let Some(user) = answer.strip_prefix("yes\n") {
        return Some(user.trim_end().to_lowercase());
    }
    let (_, rest) = answer.split_once("<cas:user>")?;
    rest.split_once("</cas:user>").map(|(user, _)| user.to_lowercase())
}

impl Site {
    /// The account of a person whom CAS names, made if it may be.
    pub(super) fn signed_in(&mut self, user: &str) -> Option<Account> {
        if !self.accounts.contains_key(user) {
            if self.settings.prevent_account_creation {
                return None;
            }
            let account = Account {
                id: self.accounts.len() as u64 + 3,
                first_name: user.to_owned(),
                ..Account::default()
            };
            self.accounts.insert(user.to_owned(), account);
        }
        let account = self.accounts[user].clone();
        (!account.suspended && !account.deleted && !account.nologin).then_some(account)
    }

    /// The newest valid token of a service, or a new one.
    fn token_of(&mut self, user: &str, service: &str) -> Result<String, (&'static str, String)> {
        let Some(known) = self.services.get(service).filter(|known| !known.disabled) else {
            let text = "Web service is not available. (It doesn't exist or might be disabled.)";
            return Err(("servicenotavailable", text.to_owned()));
        };
        if known
            .restricted
            .as_ref()
            .is_some_and(|users| !users.iter().any(|one| one == user))
        {
            let text = format!(
                "The user is not allowed for this service. First you need to allow this user on the {service}'s allowed users administration page."
            );
            return Err(("usernotallowed", text));
        }
        let may_make = !known.custom && !self.accounts[user].no_mobile_token;
        self.tokens
            .retain(|row| !(row.expired && row.user == user && row.service == service));
        let fits = |row: &&Row| row.user == user && row.service == service && !row.ip_restricted;
        if let Some(row) = self.tokens.iter().rev().find(fits) {
            return Ok(row.token.clone());
        }
        if !may_make {
            let text = format!("No permission to create web service token for the service {service}.");
            return Err(("cannotcreatetoken", text));
        }
        let token = self.secret(32);
        self.give(&token, user, service);
        self.made += 1;
        Ok(token)
    }

    /// The session of a request, and whether it was there already.
    pub(super) fn session(&mut self, request: &Request) -> (String, bool) {
        let known = request
            .cookie("MoodleSession")
            .filter(|id| self.sessions.contains_key(*id));
        match known {
            Some(id) => (id.to_owned(), true),
            None => (self.new_session(Session::default()), false),
        }
    }

    pub(super) fn new_session(&mut self, session: Session) -> String {
        let (id, sesskey) = (self.secret(SESSION), format!("{:016x}", rand::random::<u64>()));
        self.sessions.insert(id.clone(), Session { sesskey, ..session });
        id
    }
}

/// `login/index.php`, with what auth_cas does there.
pub fn index(request: &Request, site: &Mutex<Site>) -> Answer {
    let ticket = request.text("ticket").map(str::to_owned);
    let here = request.target_without("ticket");
    let asks_cas = {
        let settings = &site.lock().unwrap().settings;
        let is_on = settings.auth_cas && !settings.cas_public.is_empty();
        let is_chosen = match settings.casattras {
            true => request.text("authCASattras") == Some("CASattras"),
            false => request.text("authCAS") == Some("CAS"),
        };
        is_on && (!settings.multiauth || is_chosen)
    };
    if let Some(ticket) = ticket.filter(|_| asks_cas) {
        let user = validate(request, site, &ticket);
        let mut site = site.lock().unwrap();
        if user.is_none() {
            return Answer::error_page("moodle", "generalexceptionmessage", "CAS Authentication failed!");
        }
        let (id, was_there) = site.session(request);
        site.sessions.get_mut(&id).unwrap().ticket_of = user;
        let answer = Answer::redirect(302, &format!("{}{here}", site.settings.wwwroot));
        return if was_there { answer } else { answer.moodle_session(&id) };
    }
    let mut site = site.lock().unwrap();
    let root = site.settings.wwwroot.clone();
    let (id, was_there) = site.session(request);
    let dressed = |answer: Answer| if was_there { answer } else { answer.moodle_session(&id) };
    let session = site.sessions[&id].clone();
    if let Some(tested) = request.text("testsession") {
        // Does the browser keep cookies? Then it goes where the person wanted to go.
        let account = session.user.as_ref().map(|user| site.accounts[user].id.to_string());
        if account.as_deref() != Some(tested) {
            return dressed(Answer::html(200, "Cookies are not enabled in your browser"));
        }
        let wanted = site.sessions.get_mut(&id).unwrap().wants.take();
        return Answer::redirect(303, &wanted.unwrap_or_else(|| format!("{root}/")));
    }
    let typed = request.text("username").zip(request.text("password"));
    let by_form = typed.filter(|(_, password)| site.settings.password.as_deref() == Some(password));
    let by_form = by_form.map(|(user, _)| user.to_lowercase());
    if by_form.is_none() && !asks_cas {
        let said = match &session.user {
            Some(user) => {
                format!("You are already logged in as {user}, you need to log out before logging in as different user.")
            }
            None if site.settings.auth_oauth2 => format!(
                "Log in to the site <a href=\"{}\">IdP</a>",
                provider::link(&site, &session)
            ),
            None => "Log in to the site <a href=\"/login/index.php?authCAS=CAS\">CAS</a>".to_owned(),
        };
        return dressed(Answer::html(200, &said));
    }
    if let Some(user) = session.ticket_of.clone().or(by_form) {
        let Some(account) = site.signed_in(&user) else {
            return Answer::redirect(303, &format!("{root}/login/index.php?loginredirect=1"));
        };
        // A new name for the same session.
        site.sessions.remove(&id);
        if account.forced_password {
            return Answer::error_page(
                "auth",
                "nopasswordchangeforced",
                "Sie können das Kennwort nicht ändern.",
            );
        }
        let session = Session {
            user: Some(user),
            policy_open: account.policy_open,
            incomplete_profile: account.incomplete_profile,
            just_logged_in: true,
            guest: request.text("username") == Some("guest"),
            ticket_of: None,
            wants: session
                .wants
                .clone()
                .filter(|wants| wants.contains(LAUNCH))
                .or(launch_of(request, &root))
                .or(session.wants),
            ..session
        };
        let id = site.new_session(session);
        if account.new_password {
            return Answer::redirect(303, &format!("{root}/login/change_password.php")).moodle_session(&id);
        }
        return Answer::redirect(303, &format!("{root}/login/index.php?testsession={}", account.id))
            .moodle_session(&id)
            .with(
                "Set-Cookie",
                "MOODLEID1_=deleted; expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0; path=/; secure; HttpOnly",
            )
            .with(
                "Set-Cookie",
                "MOODLEID1_=%25CD; expires=Tue, 19 Jan 2027 22:12:05 GMT; Max-Age=5184000; path=/; secure; HttpOnly",
            );
    }
    // Also for a logoutRequest: Moodle takes no notice of it. First quietly, then with the form.
    site.sessions.get_mut(&id).unwrap().asked = true;
    let service: String = form_urlencoded::byte_serialize(format!("{root}{here}").as_bytes()).collect();
    let quietly = if session.asked { "" } else { "&gateway=true" };
    let location = format!("{}/login?service={service}{quietly}", site.settings.cas_public);
    dressed(Answer::redirect(302, &location))
}

/// `login/token.php` under another name than its own.
pub fn incorrect_access() -> Answer {
    Answer::error(200, JSON, "requirecorrectaccess", "Invalid url or port.")
}

/// `login/token.php`.
pub fn token(request: &Request, site: &Mutex<Site>) -> Answer {
    if request.text("appsitecheck").is_some() {
        return Answer::new(200, JSON, "{\"appsitecheck\":\"ok\"}").with("Access-Control-Allow-Origin", "*");
    }
    let refuse = |code: &str, text: &str| Answer::error(200, JSON, code, text);
    let settings = site.lock().unwrap().settings.clone();
    if settings.maintenance {
        return refuse("sitemaintenance", "Site is undergoing maintenance");
    }
    if !settings.web_services {
        return refuse(
            "enablewsdescription",
            "Web services must be enabled in Advanced features.",
        );
    }
    let named = ["username", "password", "service"].map(|name| request.text(name).map(str::to_owned));
    let [Some(username), Some(password), Some(service)] = named else {
        return refuse("missingparam", "A required parameter (username) was missing");
    };
    if let Some(ticket) = request.text("ticket") {
        if !ticket.starts_with("ST-") && !ticket.starts_with("PT-") {
            return Answer::new(200, JSON, "");
        }
        let user = validate(request, site, ticket);
        let mut site = site.lock().unwrap();
        let id = site.secret(SESSION);
        let cookie = format!("PHPSESSID={id}; path=/");
        let Some(user) = user else {
            let text = format!(
                "Exception - CAS URL: {}/serviceValidate?service=x\nReason: [INVALID_TICKET]",
                settings.cas_public
            );
            return refuse("generalexceptionmessage", &text).with("Set-Cookie", &cookie);
        };
        site.php_sessions.insert(id, user);
        let mut answer = Answer::redirect(
            302,
            &format!("{}{}", settings.wwwroot, request.target_without("ticket")),
        );
        answer.headers.retain(|(name, _)| name != "Content-Type");
        return answer
            .with("Content-Type", JSON)
            .with("Set-Cookie", &cookie)
            .with("Access-Control-Allow-Origin", "*");
    }
    let mut site = site.lock().unwrap();
    let user = request
        .cookie("PHPSESSID")
        .and_then(|id| site.php_sessions.get(id))
        .cloned();
    let by_password = site.accounts.get(&username.to_lowercase()).is_some_and(|account| {
        let is_right = account.password.as_ref() == Some(&password);
        is_right && !account.suspended && !account.deleted && !account.nologin
    });
    let user = user.or(by_password.then(|| username.to_lowercase()));
    let Some(user) = user.filter(|user| *user == username.to_lowercase() && site.signed_in(user).is_some()) else {
        return refuse("invalidlogin", "Invalid login, please try again");
    };
    match site.token_of(&user, &service) {
        Err((code, text)) => refuse(code, &text),
        Ok(token) => {
            let private = site.secret(64);
            let body = json!({ "token": token, "privatetoken": private }).to_string();
            Answer::new(200, JSON, body)
                .with("Access-Control-Allow-Origin", "*")
                .with("Expires", "Thu, 19 Nov 1981 08:52:00 GMT")
                .with("Cache-Control", "no-store, no-cache, must-revalidate")
                .with("Pragma", "no-cache")
        }
    }
}

const LAUNCH: &str = "/admin/tool/mobile/launch.php";

/// Where an app's launch goes on that was begun within the last quarter of an hour (`after_login_completed`).
pub(super) fn launch_of(request: &Request, root: &str) -> Option<String> {
    let text = request.cookie("tool_mobile_launch")?;
    let text = percent_encoding::percent_decode_str(text).decode_utf8_lossy();
    let of: serde_json::Value = serde_json::from_str(&text).ok()?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    for name in ["service", "passport", "urlscheme", "confirmed", "oauthsso"] {
        let value = of[name].as_str().map_or_else(|| of[name].to_string(), str::to_owned);
        query.append_pair(name, &value);
    }
    Some(format!("{root}{LAUNCH}?{}", query.finish()))
}

/// Where a page leads instead, as long as Moodle wants something of the session's person: `require_login`, and `tool_mfa`,
/// which comes before the policy.
pub(super) fn wanted(site: &Site, session: &Session, user: &str) -> Option<Answer> {
    let account = &site.accounts[user];
    let to = |page: &str| Some(Answer::redirect(303, &format!("{}{page}", site.settings.wwwroot)));
    if account.forced_password {
        let text = "Sie können das Kennwort nicht ändern.";
        return Some(Answer::error_page("auth", "nopasswordchangeforced", text));
    }
    if account.new_password {
        return to("/login/change_password.php");
    }
    // What is done elsewhere changes the account, not what another session remembers of it.
    if session.incomplete_profile {
        return to(&format!("/user/edit.php?id={}&course=1", account.id));
    }
    if site.settings.mfa && !session.factor {
        return to("/admin/tool/mfa/auth.php");
    }
    if session.policy_open {
        return to(&site.settings.policy_page);
    }
    None
}

/// `admin/tool/mobile/launch.php`.
pub fn launch(request: &Request, site: &mut Site) -> Answer {
    let settings = site.settings.clone();
    if let Some(answer) = settings.launch {
        return answer;
    }
    if settings.maintenance {
        return Answer::html(503, "This site is undergoing maintenance");
    }
    let (Some(service), Some(passport)) = (request.text("service"), request.text("passport")) else {
        return Answer::error_page("moodle", "missingparam", "A required parameter (passport) was missing");
    };
    if site.services.get(service).is_none_or(|known| known.disabled) {
        return Answer::error_page("webservice", "servicenotavailable", "Web service is not available.");
    }
    let scheme = request.text("urlscheme").unwrap_or("moodlemobile").to_owned();
    let launch =
        json!({ "service": service, "passport": passport, "urlscheme": scheme, "confirmed": 0, "oauthsso": 0 })
            .to_string();
    let launch: String = form_urlencoded::byte_serialize(launch.as_bytes()).collect();
    let domain = match settings.session_cookie_domain.as_str() {
        "" => String::new(),
        domain => format!("; domain={domain}"),
    };
    let launch =
        format!("tool_mobile_launch={launch}; expires=Fri, 20 Nov 2026 22:27:05 GMT; Max-Age=900; path=/{domain}");
    if let Some(answer) = provider::sso(request, site, &launch) {
        return answer;
    }
    // Before anything else is looked at, and whatever comes of it.
    let (id, was_there) = site.session(request);
    let dressed = |answer: Answer| {
        let answer = if was_there { answer } else { answer.moodle_session(&id) };
        answer.with("Set-Cookie", &launch)
    };
    let session = site.sessions[&id].clone();
    let by_browser = settings.type_of_login != 1 || settings.auth_oauth2;
    if !session.just_logged_in && !by_browser {
        let page = Answer::error_page("tool_mobile", "pluginnotenabledorconfigured", "Plugin ist nicht aktiv");
        return dressed(page.in_body(session.user.is_some()));
    }
    let Some(user) = session.user.clone() else {
        return to_login(request, site).with("Set-Cookie", &launch);
    };
    if let Some(wanted) = wanted(site, &session, &user) {
        site.sessions.get_mut(&id).unwrap().wants = Some(format!("{}{}", settings.wwwroot, request.target_without("")));
        return dressed(wanted);
    }
    if session.guest {
        let page = Answer::error_page("moodle", "guestsarenotallowed", "Das geht als Gast nicht.");
        return dressed(page.in_body(true));
    }
    let token = match site.token_of(&user, service) {
        Ok(token) => token,
        Err((code, _)) => return Answer::error_page("webservice", code, "Leider nein."),
    };
    let private = site.secret(64);
    let signature = md5(&format!("{}{passport}", settings.wwwroot));
    let scheme = match settings.forced_url_scheme.as_str() {
        "" => scheme.as_str(),
        forced => forced,
    };
    let encoded = STANDARD.encode(format!("{signature}:::{token}:::{private}"));
    secrets::register(Kind::Moodle, &encoded);
    let location = format!("{scheme}://token={encoded}");
    if request
        .header("user-agent")
        .is_some_and(|agent| agent.contains("iPhone"))
    {
        return Answer::new(
            200,
            "text/html; charset=utf-8",
            format!("<a id=\"launchapp\" href=\"{location}\">"),
        );
    }
    dressed(Answer::redirect(302, &location)).with(
        "Set-Cookie",
        "tool_mobile_launch=deleted; expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0; path=/",
    )
}

/// By the tool of the same name: the double must not share what it is there to check.
fn md5(text: &str) -> String {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let mut tool = Command::new("md5sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    tool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..32].to_owned()
}

/// To the login page, and from there back here.
pub fn to_login(request: &Request, site: &mut Site) -> Answer {
    let (id, was_there) = site.session(request);
    let root = site.settings.wwwroot.clone();
    site.sessions.get_mut(&id).unwrap().wants = Some(format!("{root}{}", request.target_without("")));
    let answer = Answer::redirect(303, &format!("{root}/login/index.php"));
    if was_there { answer } else { answer.moodle_session(&id) }
}
