//! The end of a session in Moodle, as the link and the button for it have it: `login/logout.php`.
//!
//! Without the session's key it asks whether one really wants to, in a form that holds the key. What plugins do afterwards, such
//! as leading a browser to the CAS server's logout, is an answer that nobody follows.

use http::Method;

use super::{Conversation, Cookie, TokenError};

/// Below `wwwroot`.
const PATH: &str = "/login/logout.php";
/// Where a page of Moodle's names the session's key: in the form, and in what its scripts are told (`M.cfg`).
const KEYS: [&str; 2] = ["name=\"sesskey\" value=\"", "\"sesskey\":\""];
/// Characters of a key: ten, since there are any.
const LONGEST: usize = 64;

/// Ends it. False: it had ended before.
pub async fn end(moodle: &Conversation, session: &Cookie) -> Result<bool, TokenError> {
    let page = moodle.send(Method::GET, PATH, &[], &[session]).await?;
    if page.status.is_redirection() {
        return Ok(false);
    }
    let page = String::from_utf8_lossy(&page.body);
    let key = sesskey(&page).ok_or(TokenError::Misconfigured("logout.php shows no form to sign out by"))?;
    let ended = moodle.send(Method::POST, PATH, &[("sesskey", key)], &[session]).await?;
    match ended.status.is_redirection() {
        true => Ok(true),
        false => Err(TokenError::Misconfigured(
            "logout.php does not take the key of its own form",
        )),
    }
}

fn sesskey(page: &str) -> Option<&str> {
    KEYS.iter().find_map(|before| {
        let key = page.split_once(before)?.1.split('"').next()?;
        let sound = (1..=LONGEST).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
        sound.then_some(key)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stands_in_the_form_or_in_what_scripts_are_told() {
        let form = "<form method=\"post\"><input type=\"hidden\" name=\"sesskey\" value=\"aB3dE5gH7j\"></form>";
        let scripts =
            "M.cfg = {\"wwwroot\":\"https:\\/\\/moodle.test\",\"sesskey\":\"aB3dE5gH7j\",\"themerev\":\"1\"};";
        assert_eq!(sesskey(form), Some("aB3dE5gH7j"));
        assert_eq!(sesskey(scripts), Some("aB3dE5gH7j"));
        let empty = "<input name=\"sesskey\" value=\"\">";
        assert_eq!(sesskey(&format!("{empty}{scripts}")), Some("aB3dE5gH7j"));
        for page in [
            "",
            empty,
            "\"sesskey\":\"a b\"",
            "\"sesskey\":\"",
            "name=\"sesskey\" value=\"\u{e4}\"",
        ] {
            assert_eq!(sesskey(page), None, "{page}");
        }
        assert_eq!(sesskey(&format!("\"sesskey\":\"{}\"", "a".repeat(LONGEST + 1))), None);
    }
}
