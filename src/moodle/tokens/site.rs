//! What a Moodle says of itself to whoever asks, without any sign-in, and what follows from it for each
//! source of tokens.

pub mod login;

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use super::conversation::location;
use super::{Conversation, TokenError, error_code, refused};
use crate::backchannel::Reply;
use crate::config::{Moodle, MoodleSource};
use crate::text::without_mark;

/// The service of Moodle's own app, which a switch of its own turns on.
const APP: &str = "moodle_mobile_app";
const ASK: &str = r#"[{"index":0,"methodname":"tool_mobile_get_public_config","args":{}}]"#;

/// Of `tool_mobile_get_public_config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteConfig {
    /// `$CFG->wwwroot`.
    pub wwwroot: String,
    pub web_services: bool,
    pub mobile_service: bool,
    pub maintenance: bool,
    /// `tool_mobile|typeoflogin`; 1: app, 2: browser, 3: embedded browser.
    pub type_of_login: u64,
    pub launch_url: String,
    /// Where one may sign in otherwise than by a password here (`identityproviders`). `None`: an old Moodle, which does not
    /// say.
    pub login_urls: Option<Vec<String>>,
}

/// One thing to tell the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    Good(String),
    Note(String),
    /// Has to be mended, and how.
    Bad(String),
}

/// Asks for the public settings.
pub async fn public_config(moodle: &Conversation) -> Result<SiteConfig, TokenError> {
    let target = "/lib/ajax/service-nologin.php";
    let reply = moodle
        .post(target, "application/json", Bytes::from_static(ASK.as_bytes()), &[])
        .await?;
    if reply.status.is_redirection() {
        return Err(elsewhere(&reply));
    }
    match error_code(&reply).as_deref() {
        None => {}
        // The same code is any other programming error's, but no call is made here that could have one.
        Some("codingerror") => {
            return Err(TokenError::Misconfigured(
                "$CFG->sslproxy is on, and $CFG->wwwroot does not begin with https: set it to the https address",
            ));
        }
        Some(code) => return Err(refused(code)),
    }
    let unreadable =
        TokenError::Misconfigured("lib/ajax/service-nologin.php gave no settings: is that a Moodle, with tool_mobile?");
    read(&reply.body).ok_or(unreadable)
}

/// Would `login/token.php` and the REST script take a call? A call without a token is refused for that alone.
pub async fn takes_calls(moodle: &Conversation) -> Result<(), TokenError> {
    let check = moodle
        .send(Method::GET, "/login/token.php?appsitecheck=1", &[], &[])
        .await?;
    if check.status.is_redirection() {
        return Err(elsewhere(&check));
    }
    if let Some(code) = error_code(&check) {
        return Err(refused(&code));
    }
    let rest = "/webservice/rest/server.php?wsfunction=core_webservice_get_site_info&moodlewsrestformat=json";
    let reply = moodle.send(Method::POST, rest, &[], &[]).await?;
    if reply.status.is_redirection() {
        return Err(elsewhere(&reply));
    }
    match error_code(&reply).as_deref() {
        Some("invalidtoken") => Ok(()),
        Some(code) => Err(refused(code)),
        None => Err(TokenError::Misconfigured(
            "webservice/rest/server.php does not answer in JSON",
        )),
    }
}

/// What the site has to switch on, and what is good already. `None`: it concerns all sources.
pub fn findings(site: &SiteConfig, moodle: &Moodle) -> Vec<(Option<MoodleSource>, Finding)> {
    let bad = |text: String| (None, Finding::Bad(text));
    let mut found = Vec::new();
    if site.wwwroot != moodle.wwwroot {
        found.push(bad(format!(
            "Moodle's $CFG->wwwroot is {}, but public_url says {}: they must be the same, letter by letter",
            site.wwwroot, moodle.wwwroot
        )));
    }
    if site.maintenance {
        found.push(bad(
            "maintenance mode is on: nobody gets a token or an answer until it is off (Site administration, Server, \
             Maintenance mode)"
                .to_owned(),
        ));
    }
    if !site.web_services {
        found.push(bad(
            "web services are off: no token is of use. Switch on \"Enable web services\" (enablewebservices) in Site \
             administration, General, Advanced features"
                .to_owned(),
        ));
    }
    for source in &moodle.tokens {
        found.extend(
            of_source(*source, site, moodle)
                .into_iter()
                .map(|finding| (Some(*source), finding)),
        );
    }
    found
}

fn of_source(source: MoodleSource, site: &SiteConfig, moodle: &Moodle) -> Vec<Finding> {
    let mut found = Vec::new();
    if source.needs_sign_in() {
        if moodle.service != APP {
            found.push(Finding::Note(format!(
                "{} is a service of the site's own: people need moodle/webservice:createtoken, or a token that is there \
                 already",
                moodle.service
            )));
        } else if !site.mobile_service {
            found.push(Finding::Note(format!(
                "\"Enable web services for mobile devices\" (enablemobilewebservice) is off: there are tokens only if {APP} \
                 itself is enabled in Site administration, Server, Web services, External services, which is not seen from here"
            )));
        }
    }
    found.push(source.finding(site, moodle));
    found
}

fn read(body: &[u8]) -> Option<SiteConfig> {
    let answer: Value = serde_json::from_slice(without_mark(body)).ok()?;
    let data = answer.get(0)?.get("data")?;
    let text = |name: &str| Some(data.get(name)?.as_str()?.to_owned());
    // PHP writes 1, and sometimes "1" or true.
    let number = |name: &str| match data.get(name)? {
        Value::String(text) => text.parse().ok(),
        Value::Bool(on) => Some(u64::from(*on)),
        number => number.as_u64(),
    };
    Some(SiteConfig {
        wwwroot: text("wwwroot")?,
        web_services: number("enablewebservices")? != 0,
        mobile_service: number("enablemobilewebservice")? != 0,
        maintenance: number("maintenanceenabled")? != 0,
        type_of_login: number("typeoflogin")?,
        launch_url: text("launchurl")?,
        login_urls: data.get("identityproviders").and_then(Value::as_array).map(|offered| {
            let urls = offered.iter().filter_map(|one| one.get("url")?.as_str());
            urls.map(str::to_owned).collect()
        }),
    })
}

/// Moodle sends whoever calls it by another name to its own.
fn elsewhere(reply: &Reply) -> TokenError {
    match location(reply).starts_with("http:") {
        true => TokenError::Misconfigured(
            "it redirects to http: set $CFG->wwwroot to the https address, and $CFG->sslproxy = true behind a gateway \
             that ends TLS",
        ),
        false => TokenError::Misconfigured(
            "it redirects instead of answering: it takes the request for one to another site. Compare $CFG->wwwroot with \
             public_url and upstreams.host; behind a gateway that ends TLS it needs $CFG->sslproxy = true",
        ),
    }
}

#[cfg(test)]
pub(in crate::moodle::tokens) mod tests {
    use super::*;
    use crate::config::MoodleUsername;

    fn moodle(tokens: &[MoodleSource]) -> Moodle {
        Moodle {
            name: "campus".to_owned(),
            upstream: 0,
            wwwroot: "https://moodle.test".to_owned(),
            public_url: "https://moodle.test".parse().unwrap(),
            sign_in: 0,
            username: MoodleUsername::parse("user", None).unwrap(),
            service: APP.to_owned(),
            tokens: tokens.to_vec(),
            never: Vec::new(),
            facade: None,
            attribute: None,
            clearpass: None,
            page: None,
            oidc_launch: Some(crate::config::OidcLaunch {
                issuer_id: Some(1),
                ..Default::default()
            }),
            own_tokens: crate::config::OwnTokens::Pass,
            calls: None,
            drop_at_logout: false,
            function_metrics: false,
        }
    }

    pub(in crate::moodle::tokens) fn site() -> SiteConfig {
        SiteConfig {
            wwwroot: "https://moodle.test".to_owned(),
            web_services: true,
            mobile_service: true,
            maintenance: false,
            type_of_login: 1,
            launch_url: "https://moodle.test/admin/tool/mobile/launch.php".to_owned(),
            login_urls: Some(vec!["https://moodle.test/login/index.php?authCAS=CAS".to_owned()]),
        }
    }

    fn bad(site: &SiteConfig, moodle: &Moodle) -> Vec<String> {
        let found = findings(site, moodle).into_iter();
        found
            .filter_map(|(_, finding)| match finding {
                Finding::Bad(text) => Some(text),
                Finding::Good(_) | Finding::Note(_) => None,
            })
            .collect()
    }

    #[test]
    fn each_source_needs_what_it_needs() {
        let all = moodle(MoodleSource::ALL);
        assert_eq!(bad(&site(), &all), [""; 0]);
        let no_mobile = SiteConfig {
            mobile_service: false,
            ..site()
        };
        assert_eq!(bad(&no_mobile, &all), [""; 0], "the service itself may be on");
        let own = Moodle {
            service: "gw_ext".to_owned(),
            ..all.clone()
        };
        assert_eq!(bad(&no_mobile, &own), [""; 0]);
        let moved = SiteConfig {
            launch_url: "https://moodle.test/manage/tool/mobile/launch.php".to_owned(),
            ..site()
        };
        assert_eq!(bad(&moved, &all).len(), 3, "of each source that asks it");
        assert_eq!(bad(&moved, &moodle(&[MoodleSource::CasToken])), [""; 0]);
        let off = SiteConfig {
            wwwroot: "https://moodle.test/".to_owned(),
            web_services: false,
            maintenance: true,
            ..site()
        };
        assert_eq!(bad(&off, &moodle(&[MoodleSource::Vault])).len(), 3);
    }

    #[test]
    fn settings_are_read_as_php_writes_them() {
        let body = r#"[{"error":false,"data":{"wwwroot":"https:\/\/moodle.test","enablewebservices":1,
            "enablemobilewebservice":"1","maintenanceenabled":false,"typeoflogin":1,
            "launchurl":"https:\/\/moodle.test\/admin\/tool\/mobile\/launch.php","identityproviders":[{"name":"",
            "iconurl":"","url":"https:\/\/moodle.test\/login\/index.php?authCAS=CAS"}]}}]"#;
        assert_eq!(read(body.as_bytes()), Some(site()));
        let old = SiteConfig {
            login_urls: None,
            ..site()
        };
        assert_eq!(read(body.replace("identityproviders", "x").as_bytes()), Some(old));
        for body in ["", "[]", "{}", r#"[{"error":true,"exception":{}}]"#] {
            assert_eq!(read(body.as_bytes()), None, "{body}");
        }
    }
}
