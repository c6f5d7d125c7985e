//! `janua explain` about sessions: who it is and until when, where a browser is sent, and no secret.

use serde_json::Value;

use super::campus::{Campus, PAGE, Plan};
use crate::support::tools::{Ran, janua};

/// What is said about a GET of the gateway with these headers.
fn ask(campus: &Campus, path: &str, headers: &[&str], more: &[&str]) -> Ran {
    let config = campus.gateway.site.path("gateway.toml");
    let url = format!("{}{path}", campus.origin());
    let mut arguments = vec!["explain", "--config", config.to_str().unwrap(), "GET", &url];
    arguments.extend(headers.iter().flat_map(|header| ["--header", header]));
    arguments.extend(more);
    janua(arguments)
}

fn report(campus: &Campus, path: &str, headers: &[&str]) -> Value {
    let ran = ask(campus, path, headers, &["--live", "--json"]);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

#[test]
fn a_session_is_told_as_a_credential_and_its_secret_is_not() {
    let Some(campus) = Campus::start() else { return };
    let visitor = campus.visitor();
    visitor.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
    let secret = visitor.session().unwrap();
    let cookie = format!("Cookie: janua={secret}");
    let told = report(&campus, "/students/x", &[&cookie]);
    assert_eq!(told["outcome"], "allow", "{told}");
    let credential = &told["credentials"][0];
    assert_eq!(
        (&credential["place"], &credential["valid"], &credential["counts"]),
        (&"session: cookie janua".into(), &true.into(), &true.into())
    );
    let session = &credential["session"];
    assert_eq!(
        (&session["sign_in"], &session["subject"], &session["idle"]),
        (&"campus".into(), &"alice".into(), &7200.into())
    );
    assert!(
        session["expires"]["unix"].as_u64() > told["at"]["unix"].as_u64(),
        "{told}"
    );
    let roles = credential["roles"]["kept"].as_array().unwrap();
    assert!(roles.contains(&"ROLE_AFFILIATION_student".into()), "{roles:?}");
    for more in [&["--live"][..], &["--live", "--json"], &[], &["--json"]] {
        let ran = ask(&campus, "/students/x", &[&cookie], more);
        assert!(
            !ran.stdout.contains(&secret) && !ran.stderr.contains(&secret),
            "{more:?}"
        );
    }
    let words = ask(&campus, "/students/x", &[&cookie], &["--live"]).ok().stdout;
    assert!(words.contains("alice, signed in by campus"), "{words}");

    // Another process knows of no session, and says who does.
    let offline = ask(&campus, "/students/x", &[&cookie], &[]);
    assert_eq!(offline.code, Some(3));
    assert!(offline.stdout.contains("--live"), "{}", offline.stdout);

    visitor.post("/_janua/sign-out", "").expect(200);
    let told = report(&campus, "/students/x", &[&cookie]);
    assert_eq!(
        (&told["reason"], &told["credentials"][0]["valid"]),
        (&"no_credentials".into(), &false.into())
    );
}

#[test]
fn a_browser_is_told_to_be_sent_to_sign_in_and_a_script_to_be_refused() {
    let Some(campus) = Campus::start() else { return };
    let page = [
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-Dest: document",
        "Accept: text/html",
    ];
    let told = report(&campus, PAGE, &page);
    assert_eq!(
        (&told["status"], &told["action"], &told["reason"]),
        (&303.into(), &"sign_in".into(), &"no_credentials".into())
    );
    let told = report(&campus, PAGE, &[]);
    assert_eq!((&told["status"], &told["action"]), (&401.into(), &Value::Null));
}

#[test]
fn explaining_uses_nothing_up() {
    let Some(campus) = Campus::planned(Plan {
        sign_in: "session = { idle = \"1s\" }".to_owned(),
        ..Plan::default()
    }) else {
        return;
    };
    let visitor = campus.visitor();
    visitor.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
    let cookie = format!("Cookie: janua={}", visitor.session().unwrap());
    // However often it is asked about, it ends when it is not used.
    crate::support::eventually("it has ended", || {
        (report(&campus, "/app/x", &[&cookie])["outcome"] == "deny").then_some(())
    });
    // Nor is anything judged or ended at addresses where only doing it would tell.
    let told = report(&campus, "/_janua/cas/campus/callback?state=x&ticket=ST-1", &[]);
    assert_eq!((&told["action"], &told["status"]), (&"own".into(), &Value::Null));
    assert_eq!(campus.gateway.metric_sum("janua_sign_ins_total"), 1.0);
}
