//! Moodle as people see it: pages, the file picker's uploads, files and the way out, each by MoodleSession.

use serde_json::json;

use super::answer::Answer;
use super::files;
use super::login::{self, to_login};
use super::php::Request;
use super::{Session, Site};

const JSON: &str = "application/json; charset=utf-8";

/// The session of somebody who is logged in.
fn known<'a>(request: &Request, site: &'a mut Site) -> Option<(&'a mut Session, String)> {
    let session = site.sessions.get_mut(request.cookie("MoodleSession")?)?;
    let user = session.user.clone()?;
    Some((session, user))
}

/// A page at which Moodle asks for something. Its form posts to itself, and leads to where the person was going; that of the
/// profile does not.
pub fn wanted(request: &Request, site: &mut Site) -> Answer {
    let root = site.settings.wwwroot.clone();
    if let Some((session, user)) = known(request, site).filter(|_| request.text("done").is_some()) {
        (session.policy_open, session.incomplete_profile, session.factor) = (false, false, true);
        let wants = session.wants.take().filter(|_| !request.path.ends_with("edit.php"));
        let account = site.accounts.get_mut(&user).unwrap();
        (account.policy_open, account.incomplete_profile, account.new_password) = (false, false, false);
        return Answer::redirect(303, &wants.unwrap_or_else(|| format!("{root}/my/")));
    }
    match known(request, site) {
        Some((session, user)) => {
            session.just_logged_in = false;
            Answer::html(200, &format!("Moodle asks {user}"))
        }
        None => to_login(request, site),
    }
}

/// The start page, the dashboard or a course. Whoever has seen one is no longer just logged in.
pub fn page(request: &Request, site: &mut Site) -> Answer {
    if let Some((session, user)) = known(request, site).filter(|_| request.path != "/") {
        let session = session.clone();
        if let Some(wanted) = login::wanted(site, &session, &user) {
            return wanted;
        }
    }
    match known(request, site) {
        Some((session, user)) => {
            session.just_logged_in = false;
            let sesskey = &session.sesskey;
            let what = if request.path == "/" { "Dashboard" } else { "Course" };
            Answer::html(
                200,
                &format!("{what} of {user} <a href=\"/login/logout.php?sesskey={sesskey}\">Log out</a>"),
            )
        }
        None => to_login(request, site),
    }
}

/// `repository/repository_ajax.php?action=upload`: a form with the file as `repo_upload_file`.
pub fn upload(request: &Request, site: &mut Site) -> Answer {
    let refuse = |code: &str, text: &str| Answer::error(200, JSON, code, text);
    let Some((session, user)) = known(request, site) else {
        return refuse("requireloginerror", "Course or activity not accessible.");
    };
    if request.text("sesskey") != Some(&session.sesskey) {
        return refuse(
            "invalidsesskey",
            "Your session has most likely timed out. Please log in again.",
        );
    }
    let Some(file) = request.files.first() else {
        return refuse("maxbytes", "The file is larger than the maximum size allowed.");
    };
    let item: u64 = request
        .text("itemid")
        .and_then(|item| item.parse().ok())
        .unwrap_or_default();
    let path = files::keep(site, &user, item, file);
    let url = format!("{}/draftfile.php{path}", site.settings.wwwroot);
    let body = json!({ "url": url, "id": item, "file": file.name });
    Answer::new(200, JSON, Answer::json(&body))
}

/// `pluginfile.php` without a token.
pub fn file(request: &Request, info: &str, site: &mut Site) -> Answer {
    match known(request, site) {
        Some((_, user)) => files::of(request, info, &user, site),
        None => to_login(request, site),
    }
}

/// With the session's key: over, and on to the CAS server. Without, it asks by a form that holds the key.
pub fn logout(request: &Request, site: &mut Site) -> Answer {
    let root = site.settings.wwwroot.clone();
    let Some((session, _)) = known(request, site) else {
        return Answer::redirect(303, &format!("{root}/"));
    };
    if request.text("sesskey") != Some(&session.sesskey) {
        session.just_logged_in = false;
        let form = format!(
            "Do you really want to log out?<form method=\"post\" action=\"{root}/login/logout.php\">\
             <input type=\"hidden\" name=\"sesskey\" value=\"{}\"></form>",
            session.sesskey
        );
        return Answer::html(200, &form);
    }
    site.sessions
        .remove(request.cookie("MoodleSession").unwrap_or_default());
    let service: String = form_urlencoded::byte_serialize(root.as_bytes()).collect();
    Answer::redirect(302, &format!("{}/logout?service={service}", site.settings.cas_public))
}
