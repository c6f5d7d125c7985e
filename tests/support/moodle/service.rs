//! Web services: REST, SOAP, which tells the token to whoever asks, and AJAX.

use serde_json::{Value, json};

use super::answer::{Answer, WS_CACHE};
use super::php::Request;
use super::{Account, Site};

const INVALID_TOKEN: &str = "Invalid token - token not found";
const ACCESS: &str = "Access control exception";
/// What `moodle_mobile_app` offers here.
pub const FUNCTIONS: [&str; 4] = [
    "core_badges_get_user_badges",
    "core_badges_get_user_badge_by_hash",
    "core_webservice_get_site_info",
    "core_user_get_users_by_field",
];

/// Why a token is not taken: class, code, message.
pub type Refused = (&'static str, String, String);

impl Site {
    fn account_refused(name: &str, account: &Account) -> Option<Refused> {
        let word = match account {
            Account { deleted: true, .. } => "deleted",
            Account { suspended: true, .. } => "suspended",
            Account { unconfirmed: true, .. } => "unconfirmed",
            Account { nologin: true, .. } => "nologin",
            _ => return None,
        };
        let what = if word == "nologin" {
            "nologin authentication"
        } else {
            word
        };
        Some((
            "moodle_exception",
            format!("wsaccessuser{word}"),
            format!("Refused web service access for {what} username: {name}"),
        ))
    }

    /// Whose token it is and which service's. An expired one is told once, then it is gone.
    pub fn take_token(&mut self, token: Option<&str>) -> Result<(String, String), Refused> {
        let access = || {
            (
                "webservice_access_exception",
                "accessexception".to_owned(),
                ACCESS.to_owned(),
            )
        };
        if self.settings.maintenance {
            let message = "The site is undergoing maintenance and is currently not available".to_owned();
            return Err(("moodle_exception", "sitemaintenance".to_owned(), message));
        }
        let found = self.tokens.iter().position(|row| Some(row.token.as_str()) == token);
        let Some(found) = found else {
            return Err(("moodle_exception", "invalidtoken".to_owned(), INVALID_TOKEN.to_owned()));
        };
        let row = self.tokens[found].clone();
        if row.expired {
            self.tokens.remove(found);
            return Err(access());
        }
        if row.ip_restricted {
            return Err(access());
        }
        let account = self.accounts.get(&row.user).cloned().unwrap_or_default();
        if let Some(refused) = Self::account_refused(&row.user, &account) {
            return Err(refused);
        }
        let service = self.services.get(&row.service).cloned().unwrap_or_default();
        let outside = service
            .restricted
            .as_ref()
            .is_some_and(|users| !users.contains(&row.user));
        if service.disabled || outside || service.requires_capability {
            return Err(access());
        }
        Ok((row.user, row.service))
    }
}

pub fn rest(request: &Request, site: &mut Site) -> Answer {
    if !site.settings.web_services || !site.settings.rest {
        return Answer::new(403, "text/html; charset=utf-8", "");
    }
    let format = request.text("moodlewsrestformat");
    let is_4_5 = site.settings.is_4_5;
    let refuse = |(class, code, message): Refused| {
        let class = match (class, is_4_5, format) {
            ("moodle_exception", true, Some("json")) => r"core\\exception\\moodle_exception",
            ("moodle_exception", true, _) => r"core\exception\moodle_exception",
            (class, ..) => class,
        };
        Answer::exception(format, class, &code, &message)
    };
    let (user, service) = match site.take_token(request.text("wstoken")) {
        Ok(taken) => taken,
        Err(refused) => return refuse(refused),
    };
    let access = || Answer::exception(format, "webservice_access_exception", "accessexception", ACCESS);
    if site.accounts[&user].no_rest {
        return access();
    }
    let invalid = || {
        let message = "Invalid parameter value detected";
        Answer::exception(format, "invalid_parameter_exception", "invalidparameter", message)
    };
    let debug = site.settings.debug.then(|| request.text("wstoken")).flatten();
    let missing = |table: &str| {
        let message = format!("Can't find data record in database table {table}.");
        let answer = Answer::exception(format, "dml_missing_record_exception", "invalidrecord", &message);
        match debug {
            Some(token) => answer.with_debug_info(&format!("WHERE token = '{token}'")),
            None => answer,
        }
    };
    let Some(function) = request.text("wsfunction") else {
        return invalid();
    };
    if let Some(code) = site.settings.refuses {
        return refuse(("moodle_exception", code.to_owned(), "Refused".to_owned()));
    }
    let functions = site
        .services
        .get(&service)
        .and_then(|service| service.functions.as_ref());
    if functions.is_some_and(|functions| !functions.iter().any(|known| known == function)) {
        return access();
    }
    match function {
        "core_webservice_get_site_info" => Answer::rest(format, site_info(format, &user, site)),
        "core_user_get_users_by_field" if request.param("values").is_some() => Answer::rest(
            format,
            String::from_utf8(Answer::json(&json!([person(&user, site)]))).unwrap(),
        ),
        "core_user_get_users_by_field" => invalid(),
        "core_enrol_get_users_courses" => {
            let courses = if site.accounts[&user].policy_open {
                json!([])
            } else {
                json!([{ "id": 2, "fullname": "Course" }])
            };
            Answer::rest(format, courses.to_string())
        }
        "core_course_get_contents" => Answer::rest(format, contents(format, &site.settings.wwwroot)),
        "mod_assign_get_submission_status" => missing("assign"),
        _ => missing("external_functions"),
    }
}

/// A file, and a text with a picture: the one by the address that takes tokens, the other by that of pages.
fn contents(format: Option<&str>, root: &str) -> String {
    let file = format!(
        "{root}/webservice/pluginfile.php/17/assignsubmission_file/submission_files/1/essay.txt?forcedownload=1"
    );
    let text = format!("<img src=\"{root}/pluginfile.php/17/assignsubmission_file/submission_files/1/essay.txt\">");
    match format {
        Some("json") => {
            let module = json!({ "url": format!("{root}/mod/resource/view.php?id=1"), "description": text, "contents": [{ "fileurl": file }] });
            String::from_utf8(Answer::json(&json!([{ "id": 1, "modules": [module] }]))).unwrap()
        }
        _ => format!(
            "<RESPONSE><VALUE>{file}</VALUE><VALUE>{}</VALUE></RESPONSE>",
            text.replace('<', "&lt;")
        ),
    }
}

fn site_info(format: Option<&str>, user: &str, site: &mut Site) -> String {
    let said = site.says.clone();
    let user = said.as_deref().unwrap_or(user);
    let account = site.accounts[user].clone();
    let root = site.settings.wwwroot.clone();
    let key = site.secret(32);
    let first = &account.first_name;
    let picture = format!("{root}/theme/image.php/boost/core/1795211347/u/f1");
    let pairs = [
        ("sitename", json!("Stand Moodle")),
        ("username", json!(user)),
        ("firstname", json!(first)),
        ("lastname", json!("Test")),
        ("fullname", json!(format!("{first} Test"))),
        ("lang", json!("en")),
        ("userid", json!(account.id)),
        ("siteurl", json!(root)),
        ("userpictureurl", json!(picture)),
    ];
    if format == Some("json") {
        let text = |value: &Value| String::from_utf8(Answer::json(value)).unwrap();
        let mut fields: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("\"{name}\":{}", text(value)))
            .collect();
        let functions = FUNCTIONS.map(|name| format!("{{\"name\":\"{name}\",\"version\":\"2024042212.01\"}}"));
        fields.push(format!("\"functions\":[{}]", functions.join(",")));
        fields.push(format!(
            "\"downloadfiles\":1,\"uploadfiles\":1,\"userprivateaccesskey\":\"{key}\",\"theme\":\"boost\""
        ));
        return format!("{{{}}}", fields.join(","));
    }
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let field = |name: &str, value: &str| format!("<KEY name=\"{name}\"><VALUE>{value}</VALUE>\n</KEY>\n");
    let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<RESPONSE>\n<SINGLE>\n".to_owned();
    xml.extend(pairs.iter().map(|(name, value)| field(name, &plain(value))));
    xml += "<KEY name=\"functions\"><MULTIPLE>\n";
    xml.extend(FUNCTIONS.map(|name| {
        format!(
            "<SINGLE>\n{}{}</SINGLE>\n",
            field("name", name),
            field("version", "2024042212.01")
        )
    }));
    xml += "</MULTIPLE>\n</KEY>\n";
    xml + &field("userprivateaccesskey", &key) + "</SINGLE>\n</RESPONSE>\n"
}

fn person(user: &str, site: &Site) -> Value {
    let account = &site.accounts[user];
    json!({
        "id": account.id, "username": user, "firstname": account.first_name, "lastname": "Test",
        "fullname": format!("{} Test", account.first_name), "email": format!("{user}@example.test"), "department": "",
        "firstaccess": 1, "lastaccess": 1, "auth": "cas", "suspended": false, "confirmed": true, "lang": "en", "theme": "",
        "timezone": "99", "mailformat": 1, "trackforums": 0, "profileimageurlsmall": site.settings.wwwroot,
        "profileimageurl": site.settings.wwwroot, "preferences": [{ "name": "_lastloaded", "value": "1" }],
    })
}

/// Needs a plugin that is off.
pub fn simple(request: &Request) -> Answer {
    let format = request.text("moodlewsrestformat");
    Answer::exception(format, "webservice_access_exception", "accessexception", ACCESS)
}

/// Repeats the token in what it answers.
pub fn soap(request: &Request, site: &mut Site) -> Answer {
    let envelope = |fault: &str, text: &str| {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<SOAP-ENV:Envelope xmlns:SOAP-ENV=\"http://schemas.xmlsoap.org/soap/envelope/\"><SOAP-ENV:Body><SOAP-ENV:Fault><faultcode>{fault}</faultcode><faultstring>{text}</faultstring></SOAP-ENV:Fault></SOAP-ENV:Body></SOAP-ENV:Envelope>\n"
        )
    };
    let answer = |body: String| {
        Answer::new(200, "application/xml; charset=utf-8", body)
            .with("Cache-Control", WS_CACHE)
            .with("Expires", "Thu, 01 Jan 1970 00:00:00 GMT")
            .with("Pragma", "no-cache")
            .with("Content-Disposition", "inline; filename=\"response.xml\"")
    };
    let token = request.text("wstoken").unwrap_or_default().to_owned();
    match site.take_token(Some(&token)) {
        Err((_, _, message)) => answer(envelope("MOODLE:error", &message)),
        Ok((_, service)) if service == "moodle_mobile_app" => answer(envelope(
            "MOODLE:error",
            "syntax error, unexpected token \"$\", expecting variable",
        )),
        Ok(_) if request.text("wsdl").is_some() => {
            let root = &site.settings.wwwroot;
            let namespace = format!("{root}/webservice/soap/server.php?wstoken={token}");
            answer(format!(
                "<?xml version=\"1.0\"?>\n<definitions xmlns=\"http://schemas.xmlsoap.org/wsdl/\" xmlns:tns=\"{namespace}\" targetNamespace=\"{namespace}\"/>"
            ))
        }
        Ok(_) => Answer::new(
            500,
            "text/xml; charset=utf-8",
            envelope("SOAP-ENV:Client", "Missing parameter"),
        ),
    }
}

/// Wants a session and ignores tokens.
pub fn ajax(site: &mut Site) -> Answer {
    let body = json!([{ "error": true, "exception": {
        "message": "Web service is not available. (It doesn't exist or might be disabled.)", "errorcode": "servicenotavailable",
        "link": format!("{}/", site.settings.wwwroot),
        "moreinfourl": "https://docs.moodle.org/404/en/error/webservice/servicenotavailable",
    } }]);
    let id = site.secret(super::SESSION);
    Answer::new(200, "application/json; charset=utf-8", Answer::json(&body))
        .moodle_session(&id)
        .with("Expires", "Thu, 19 Nov 1981 08:52:00 GMT")
        .with("Cache-Control", "no-store, no-cache, must-revalidate")
        .with("Pragma", "no-cache")
}

pub fn public_config(site: &Site) -> Answer {
    let (settings, number) = (&site.settings, |on: bool| u8::from(on));
    // Only with CAS on and its hostname set; its name is empty by default.
    let mut offered = Vec::new();
    if settings.auth_cas && !settings.cas_public.is_empty() {
        let chosen = if settings.casattras {
            "authCASattras=CASattras"
        } else {
            "authCAS=CAS"
        };
        let url = format!("{}/login/index.php?{chosen}", settings.wwwroot);
        offered.push(json!({ "name": "", "iconurl": "", "url": url }));
    }
    for id in settings.oauth2_ids.iter().filter(|_| settings.auth_oauth2) {
        let url = format!(
            "{}/auth/oauth2/login.php?id={id}&wantsurl=%2F&sesskey=x",
            settings.wwwroot
        );
        offered.push(json!({ "name": "IdP", "iconurl": "", "url": url }));
    }
    if settings.auth_oidc {
        let url = format!("{}/auth/oidc/?source=loginpage", settings.wwwroot);
        offered.push(json!({ "name": "OpenID Connect", "iconurl": "", "url": url }));
    }
    let body = json!([{ "error": false, "data": {
        "wwwroot": settings.wwwroot, "httpswwwroot": settings.wwwroot, "sitename": "Stand Moodle", "guestlogin": 1,
        "rememberusername": 2, "authloginviaemail": 0, "registerauth": "", "forgottenpasswordurl": "",
        "authinstructions": "", "authnoneenabled": 0, "enablewebservices": number(settings.web_services),
        "enablemobilewebservice": number(settings.mobile_service), "maintenanceenabled": number(settings.maintenance), "maintenancemessage": "",
        "typeoflogin": settings.type_of_login, "launchurl": format!("{}/admin/tool/mobile/launch.php", settings.wwwroot),
        "mobilecssurl": "", "tool_mobile_disabledfeatures": "", "identityproviders": offered, "country": "0",
        "agedigitalconsentverification": false, "supportpage": "", "supportavailability": 1, "autolang": 1, "lang": "en",
        "langmenu": 1, "langlist": "", "locale": "", "tool_mobile_minimumversion": "",
        "tool_mobile_iosappid": "633359593", "tool_mobile_androidappid": "com.moodle.moodlemobile",
        "tool_mobile_setuplink": "https://download.moodle.org/mobile", "tool_mobile_qrcodetype": 2, "warnings": [],
    } }]);
    Answer::new(200, "application/json; charset=utf-8", Answer::json(&body))
}
