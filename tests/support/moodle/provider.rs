//! Logging in at a provider: core's auth_oauth2, and Microsoft's auth_oidc, as they were recorded. The provider is whoever drives
//! the double: it has a code made for a person, and sends the browser back with it.

use super::answer::Answer;
use super::login::launch_of;
use super::php::Request;
use super::{Session, Site};
use crate::support::secrets::{self, Kind};

pub const OAUTH2_CALLBACK: &str = "/admin/oauth2callback.php";
pub const OIDC_CALLBACK: &str = "/auth/oidc/";
/// As what Moodle is known at the provider.
pub const CLIENT: &str = "moodle-at-the-idp";

impl Site {
    /// A code that the provider gives for Moodle's client, good once.
    pub fn code_for(&mut self, user: &str) -> String {
        let code = format!("code-{:032x}", rand::random::<u128>());
        secrets::register(Kind::Ticket, &code);
        self.codes.insert(code.clone(), user.to_owned());
        code
    }

    /// The id of the request's session, which may have begun now.
    fn at_login(&mut self, request: &Request) -> (String, Session, bool) {
        let (id, was_there) = self.session(request);
        let session = self.sessions[&id].clone();
        secrets::register(Kind::Session, &session.sesskey);
        (id, session, was_there)
    }
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Where `launch.php` sends whoever comes with `oauthsso`, whoever that is: with the session's own key.
pub fn sso(request: &Request, site: &mut Site, launch: &str) -> Option<Answer> {
    let id = request.text("oauthsso").filter(|id| *id != "0")?.to_owned();
    if !site.settings.auth_oauth2 {
        return None;
    }
    let (session_id, session, was_there) = site.at_login(request);
    let root = &site.settings.wwwroot;
    let text = |name: &str| request.text(name).unwrap_or_default();
    // As Moodle writes it: escaped for HTML, and cut.
    let wants = format!(
        "{root}/admin/tool/mobile/launch.php?service={}&amp;passport={}&amp;urlscheme={}&amp;confirmed",
        text("service"),
        text("passport"),
        text("urlscheme")
    );
    let location = format!(
        "{root}/auth/oauth2/login.php?id={id}&sesskey={}&wantsurl={}",
        session.sesskey,
        encoded(&wants)
    );
    let answer = Answer::redirect(302, &location).with("Set-Cookie", launch);
    Some(if was_there {
        answer
    } else {
        answer.moodle_session(&session_id)
    })
}

/// `auth/oauth2/login.php`.
pub fn oauth2(request: &Request, site: &mut Site) -> Answer {
    let (session_id, session, was_there) = site.at_login(request);
    let dressed = |answer: Answer| {
        if was_there {
            answer
        } else {
            answer.moodle_session(&session_id)
        }
    };
    let settings = site.settings.clone();
    let root = &settings.wwwroot;
    let id = request.text("id").and_then(|id| id.parse().ok()).unwrap_or_default();
    if !settings.auth_oauth2 {
        return dressed(Answer::error_page(
            "auth_oauth2",
            "notenabled",
            "Sorry, das OAuth 2-Plugin ist nicht aktiv",
        ));
    }
    if !settings.oauth2_ids.contains(&id) {
        return dressed(Answer::error_page(
            "moodle",
            "invalidrecord",
            "Kein Datensatz in oauth2_issuer",
        ));
    }
    if request.text("sesskey") != Some(&session.sesskey) {
        return dressed(Answer::error_page(
            "moodle",
            "invalidsesskey",
            "Ihre Sitzung ist abgelaufen",
        ));
    }
    let wants = request.text("wantsurl").unwrap_or("/").to_owned();
    let Some(code) = request.text("oauth2code") else {
        if session.user.is_some() {
            return dressed(Answer::redirect(303, &wants.replace("&amp;", "&")));
        }
        let state = format!(
            "/auth/oauth2/login.php?wantsurl={}&sesskey={}&id={id}",
            encoded(&wants),
            session.sesskey
        );
        let location = format!(
            "{}?client_id={CLIENT}&response_type=code&redirect_uri={}&state={}&scope=openid%20profile%20email{}",
            settings.provider,
            encoded(&format!("{root}{OAUTH2_CALLBACK}")),
            encoded(&state),
            settings.login_params
        );
        return dressed(Answer::redirect(303, &location));
    };
    let Some(user) = site.codes.remove(code) else {
        return Answer::redirect(303, &format!("{root}/login/index.php"));
    };
    if settings.require_confirmation {
        return Answer::html(200, "Link your accounts");
    }
    let to = wants.replace("&amp;", "&");
    log_in(site, &session_id, &user, &to)
}

/// `admin/oauth2callback.php`: GET alone, and only for the session whose key the state has.
pub fn oauth2_callback(request: &Request, site: &mut Site) -> Answer {
    let (session_id, session, _) = site.at_login(request);
    let root = site.settings.wwwroot.clone();
    let to_login = Answer::redirect(303, &format!("{root}/login/index.php"));
    if request.text("error").is_some() {
        return to_login;
    }
    let (Some(code), Some(state)) = (request.text("code"), request.text("state")) else {
        return Answer::error_page("moodle", "missingparam", "A required parameter (state) was missing");
    };
    let is_its =
        state.starts_with("/auth/oauth2/login.php?") && state.contains(&format!("sesskey={}&", session.sesskey));
    if !is_its {
        // Whoever is signed in here is no more.
        site.sessions.remove(&session_id);
        let id = site.new_session(Session::default());
        return to_login.moodle_session(&id);
    }
    Answer::redirect(303, &format!("{root}{state}&oauth2code={}", encoded(code)))
}

/// `auth/oidc/`: its state is of no session.
pub fn oidc(request: &Request, site: &mut Site) -> Answer {
    if !site.settings.auth_oidc {
        return Answer::new(404, "text/html", "<html>404 Not Found</html>");
    }
    let (session_id, session, was_there) = site.at_login(request);
    let dressed = |answer: Answer| {
        if was_there {
            answer
        } else {
            answer.moodle_session(&session_id)
        }
    };
    let root = site.settings.wwwroot.clone();
    let Some(state) = request.text("state") else {
        if session.user.is_some() {
            return dressed(Answer::redirect(303, &format!("{root}/")));
        }
        let state = format!("{:015x}", rand::random::<u64>() >> 4);
        secrets::register(Kind::Ticket, &format!("state-{state}"));
        let location = format!(
            "{}?response_type=code&client_id={CLIENT}&scope=openid&nonce=N{:x}&response_mode=form_post&state=state-{state}&\
             redirect_uri={}&resource={}",
            site.settings.provider,
            rand::random::<u64>(),
            encoded(&format!("{root}{OIDC_CALLBACK}")),
            site.settings.login_params
        );
        site.oidc_states.push(format!("state-{state}"));
        return dressed(Answer::redirect(303, &location));
    };
    if request.text("error_description").is_some() {
        return dressed(Answer::redirect(303, &root));
    }
    let Some(place) = site.oidc_states.iter().position(|known| known == state) else {
        return dressed(Answer::error_page(
            "auth_oidc",
            "errorauthunknownstate",
            "Unbekannter Status",
        ));
    };
    site.oidc_states.remove(place);
    let user = request.text("code").and_then(|code| site.codes.remove(code));
    let Some(user) = user else {
        return dressed(Answer::error_page("auth_oidc", "errorauthnoidtoken", "Kein ID-Token"));
    };
    let to = launch_of(request, &root).unwrap_or_else(|| format!("{root}/"));
    log_in(site, &session_id, &user, &to)
}

/// A new name for the same session, and on to where the person wanted to go.
fn log_in(site: &mut Site, id: &str, user: &str, to: &str) -> Answer {
    let root = site.settings.wwwroot.clone();
    let Some(account) = site.signed_in(user) else {
        return Answer::redirect(303, &format!("{root}/login/index.php"));
    };
    let before = site.sessions.remove(id).unwrap_or_default();
    let session = Session {
        user: Some(user.to_owned()),
        policy_open: account.policy_open,
        incomplete_profile: account.incomplete_profile,
        just_logged_in: true,
        ..before
    };
    let id = site.new_session(session);
    let to = match account.new_password {
        true => format!("{root}/login/change_password.php"),
        false => to.to_owned(),
    };
    Answer::redirect(303, &to).moodle_session(&id)
}

/// A person's own way in: from the login page's link, with the session's key.
pub(super) fn link(site: &Site, session: &Session) -> String {
    let wants = session.wants.as_deref().unwrap_or("/my/");
    format!(
        "{}/auth/oauth2/login.php?id=1&wantsurl={}&sesskey={}",
        site.settings.wwwroot,
        encoded(wants),
        session.sesskey
    )
}
