//! Moodle itself, behind the gateway, stays as it is.

use super::school::School;
use crate::support::Request;

#[test]
fn a_password_form_passes_through_whole() {
    let Some(school) = School::start("[\"cas-launch\"]") else {
        return;
    };
    let form = "username=x&password=y&service=moodle_mobile_app";
    let post = Request::new("POST", "/login/token.php")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form);
    school.browser().send(post);
    let seen = school.moodle.site().requests.clone();
    assert!(
        seen.iter()
            .any(|(_, target, body)| target == "/login/token.php" && body == form),
        "{seen:?}"
    );
}
