//! Functions by name: groups, files of names, how often one person may call, what is counted, and what is told of it.

use serde_json::json;

use super::explained::{SCRIPT, explain};
use super::school::{Browser, FILE, SITE_INFO, School, script};
use crate::support::http::Response;
use crate::support::tools::{Ran, janua};
use crate::support::{Config, Request, Site, eventually};

const WRAPPER: &str = "tool_mobile_call_external_functions";

/// A route at `/<name>/webservice/…` with these functions.
fn route(name: &str, functions: &str) -> String {
    format!(
        "[[routes]]\nname = \"{name}\"\npath = \"/{name}/webservice/{{*rest}}\"\nstrip = \"/{name}\"\n\
         upstream = \"moodle\"\npresent = \"moodle-token\"\naccept = [\"session\"]\nsign_in = \"campus\"\n\
         functions = {functions}\nallow = [{{ signed_in = true }}]\n"
    )
}

fn school(site: &Site, routes: &[(&str, &str)], more: &str) -> Option<School> {
    let sections = routes.iter().map(|(name, functions)| route(name, functions));
    let config = sections.fold(Config::new(), |config, section| config.section(&section));
    School::at(site, config, &format!("[\"cas-launch\"]\n{more}"))
}

/// A call on such a route, by GET.
fn target(name: &str, function: &str) -> String {
    format!("/{name}/webservice/rest/server.php?wsfunction={function}&moodlewsrestformat=json")
}

/// The same by a form.
fn form(browser: &Browser<'_>, name: &str, body: String) -> Response {
    let request = script(Request::new("POST", &format!("/{name}/webservice/rest/server.php")));
    browser.send(
        request
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body),
    )
}

/// A batch of these.
fn batch(functions: &[&str]) -> String {
    let inner = functions.iter().enumerate();
    let inner = inner
        .map(|(index, function)| format!("&requests[{index}][function]={function}&requests[{index}][arguments]={{}}"));
    format!("wsfunction={WRAPPER}{}", inner.collect::<String>())
}

fn multipart(functions: &[&str]) -> String {
    let part = |name: &str, value: &str| {
        format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let mut body = part("wsfunction", WRAPPER);
    for (index, function) in functions.iter().enumerate() {
        body += &part(&format!("requests[{index}][function]"), function);
    }
    body + "--edge--\r\n"
}

#[test]
fn a_read_only_route_takes_what_reads_and_nothing_else() {
    let site = Site::new();
    let Some(school) = school(
        &site,
        &[
            ("reading", "[\"read-only\"]"),
            ("named", "[\"core_*\"]"),
            (
                "staff",
                "[\"read-only\", { names = [\"writing\"], role = \"ROLE_STAFF\" }]",
            ),
        ],
        "",
    ) else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    browser
        .call(&target("reading", "core_webservice_get_site_info"))
        .expect(200);
    form(
        &browser,
        "reading",
        batch(&["core_webservice_get_site_info", "core_enrol_get_users_courses"]),
    )
    .expect(200);

    let before = school.moodle.site().requests.len();
    let refused = |answer: Response, what: &str| {
        assert_eq!(answer.expect(403).json()["reason"], "function_not_allowed", "{what}");
    };
    for function in [
        "mod_assign_save_submission",
        "local_exam_get_everything",
        "core_webservice_get_site_info2",
        // Moodle calls these `read`.
        "core_get_fragment",
        "mod_quiz_get_attempt_data",
        "core_calendar_get_calendar_export_token",
        "tool_mobile_get_tokens_for_qr_login",
    ] {
        refused(browser.call(&target("reading", function)), function);
        refused(browser.call(&target("staff", function)), function);
        refused(
            form(&browser, "reading", format!("a=1&wsfunction={function}")),
            function,
        );
        let inner = ["core_webservice_get_site_info", function];
        refused(form(&browser, "reading", batch(&inner)), function);
        let request = script(Request::new("POST", "/reading/webservice/rest/server.php"));
        let request = request.header("Content-Type", "multipart/form-data; boundary=edge");
        refused(browser.send(request.body(multipart(&inner))), function);
        let in_query = target("reading", &batch(&inner).replacen("wsfunction=", "", 1));
        refused(browser.call(&in_query), function);
    }
    refused(form(&browser, "reading", batch(&[WRAPPER])), WRAPPER);
    let upload = |name: &str| {
        let request = script(Request::new("POST", &format!("/{name}/webservice/upload.php?itemid=0")));
        let request = request.header("Content-Type", "multipart/form-data; boundary=edge");
        let part = "Content-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\na";
        browser.send(request.body(format!("--edge\r\n{part}\r\n--edge--\r\n")))
    };
    refused(upload("reading"), "upload.php");
    assert_eq!(school.moodle.site().requests.len(), before);
    upload("named").expect(200);
    school.keeps_its_secrets();
}

#[test]
fn a_file_of_functions_is_read_again_with_a_reload() {
    let site = Site::new();
    site.write("lists/functions.txt", "# nothing much yet\ncore_user_*\n");
    let Some(school) = school(&site, &[("listed", "[\"@lists/functions.txt\"]")], "") else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    let call = || browser.call(&target("listed", "core_webservice_get_site_info"));
    call().expect(403);

    // As an editor of Windows leaves it.
    site.write(
        "lists/functions.txt",
        "\u{feff}core_user_*\r\n\r\ncore_webservice_get_site_info # who am I\r\n",
    );
    school.gateway.signal("HUP");
    eventually("the list is in effect", || (call().status == 200).then_some(()));

    site.write("lists/functions.txt", "core_user_*\nwho am I\nCore_X\n");
    school.gateway.signal("HUP");
    school.gateway.logged(&["not reloaded"]);
    let said = school.gateway.said();
    assert!(said.contains("lists/functions.txt:2: one function a line"), "{said}");
    assert!(
        said.contains("lists/functions.txt:3: this cannot be the name of a function"),
        "{said}"
    );
    assert!(!said.contains("who am I"), "what stands there is not repeated: {said}");
    call().expect(200);
}

fn check(site: &Site, functions: &str, service: &str) -> Ran {
    let config = Config::new()
        .server("public_urls", "[\"https://moodle.test\"]")
        .upstream("moodle", &["http://127.0.0.1:9".to_owned()], "")
        .section("[sign_in.campus.cas]\nserver = \"http://127.0.0.1:9/cas\"\n")
        .section(&format!(
            "[moodle.campus]\nupstream = \"moodle\"\npublic_url = \"https://moodle.test\"\nsign_in = \"campus\"\n\
             tokens = [\"vault\"]\nservice = \"{service}\"\n"
        ))
        .section(&route("listed", functions));
    let file = site.write("gateway.toml", config.text());
    janua(["check", "--offline", "--config", file.to_str().unwrap()])
}

#[test]
fn check_tells_what_the_service_does_not_have() {
    let site = Site::new();
    site.write("own.txt", "local_exam_get_all\ncore_webservice_get_siteinfo\n");
    let app = "moodle_mobile_app";
    let ran = check(
        &site,
        "[\"read-only\", \"core_role_assign_roles\", \"core_enrol_*\", \"@own.txt\"]",
        app,
    )
    .ok();
    let known = "moodle_mobile_app of Moodle 4.4.12+ and 5.0";
    let line = format!("note route listed, functions: {known} does not have core_role_assign_roles (gateway.toml:");
    assert!(
        ran.stdout.contains(&line) && !ran.stdout.contains("core_enrol_*"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("have no local_exam_get_all (own.txt:1)"),
        "{}",
        ran.stdout
    );
    let warned = &ran.stderr;
    assert!(
        warned.contains("own.txt:2: Moodle 4.4.12+ and 5.0 have no function of this name"),
        "{warned}"
    );
    assert!(
        warned.contains("did you mean \"core_webservice_get_site_info\"?"),
        "{warned}"
    );
    assert!(!warned.contains("own.txt:1"), "another plugin's: {warned}");

    let ran = check(&site, "[\"core_webservice_get_site_info\"]", app).ok();
    assert!(
        ran.stdout
            .contains(&format!("ok   route listed, functions: {known} has what is named")),
        "{}",
        ran.stdout
    );
    let ran = check(&site, "[\"core_role_assign_roles\"]", "own_service").ok();
    assert!(
        ran.stdout
            .contains("what the service own_service has is not seen from outside"),
        "{}",
        ran.stdout
    );

    for (functions, told) in [
        ("[\"@away.txt\"]", "there is no such file"),
        ("[\"readonly-\"]", "did you mean \"read-only\"?"),
        ("[\"@large.txt\"]", "large.txt is larger than 256 KiB"),
        ("[\"@binary.txt\"]", "binary.txt is no text in UTF-8"),
        (
            "[{ names = [\"@self.txt\"], role = \"A\" }]",
            "self.txt:1: a list names no other file",
        ),
    ] {
        site.write("large.txt", "core_x\n".repeat(40_000));
        site.write("binary.txt", b"core_\xff\n");
        site.write("self.txt", "@self.txt\n");
        let ran = check(&site, functions, app);
        assert!(
            ran.code == Some(1) && ran.stderr.contains(told),
            "{functions}: {}",
            ran.stderr
        );
    }
    site.write("odd.txt", "Core_X\n".repeat(5000));
    let ran = check(&site, "[\"@odd.txt\"]", app);
    assert!(ran.stderr.contains("4990 more such lines"), "{}", ran.stderr);
    site.write("empty.txt", "# all of them, for now\n");
    let ran = check(&site, "[\"@empty.txt\"]", app).ok();
    assert!(ran.stderr.contains("empty.txt names no function"), "{}", ran.stderr);
}

#[test]
fn calls_are_limited_for_each_person() {
    let site = Site::new();
    let Some(school) = school(&site, &[], "calls = \"1/h\"\ncalls_burst = 3\n") else {
        return;
    };
    let (alice, bob) = (school.cas.person("alice"), school.cas.person("bob"));
    let (browser, other, bobs) = (school.browser(), school.browser(), school.browser());
    browser.sign_in(&alice).expect(200);
    other.sign_in(&alice).expect(200);
    bobs.sign_in(&bob).expect(200);
    for _ in 0..3 {
        browser.call(SITE_INFO).expect(200);
    }
    let before = school.moodle.site().requests.len();
    let refused = |browser: &Browser<'_>| {
        let answer = browser.call(SITE_INFO).expect(429);
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=3600).contains(&wait), "{wait}");
        assert_eq!(answer.json()["reason"], "rate_limited");
    };
    refused(&browser);
    // Another browser of the same person, and functions that are not allowed.
    refused(&other);
    let function = SITE_INFO.replace("core_webservice_get_site_info", "local_x");
    browser.call(&function).expect(429);
    let upload = script(Request::new("POST", "/webservice/upload.php?itemid=0"));
    let upload = upload.header("Content-Type", "multipart/form-data; boundary=edge");
    browser.send(upload.body("--edge--\r\n")).expect(429);
    assert_eq!(school.moodle.site().requests.len(), before);
    assert_ne!(browser.call(FILE).status, 429, "files do not count");

    let (words, report) = explain(&school, &browser, SITE_INFO, &SCRIPT, true);
    assert_eq!(
        (&report["status"], &report["reason"]),
        (&json!(429), &json!("rate_limited"))
    );
    assert!(words.contains("moodle.campus.calls"), "{words}");
    let labels = "group=\"-\",moodle=\"campus\",outcome=\"rate_limited\",script=\"rest\"";
    let counted = school.gateway.metric(&format!("janua_moodle_calls_total{{{labels}}}"));
    assert_eq!(counted, Some(3.0));

    // A reload forgives nothing.
    let taken = || school.gateway.metric("janua_config_reloads_total{outcome=\"ok\"}");
    school.gateway.signal("HUP");
    eventually("reloaded", || (taken() == Some(1.0)).then_some(()));
    refused(&browser);
    for _ in 0..3 {
        bobs.call(SITE_INFO).expect(200);
    }
    refused(&bobs);
}

#[test]
fn a_batch_counts_as_many_calls_as_are_in_it() {
    let site = Site::new();
    let Some(school) = school(
        &site,
        &[("reading", "[\"read-only\"]")],
        "calls = \"1/h\"\ncalls_burst = 6\n",
    ) else {
        return;
    };
    const INNER: &str = "core_webservice_get_site_info";
    let (alice, bob, browser, bobs) = (
        school.cas.person("alice"),
        school.cas.person("bob"),
        school.browser(),
        school.browser(),
    );
    browser.sign_in(&alice).expect(200);
    bobs.sign_in(&bob).expect(200);
    // More than there are: it is carried out, and nothing is left.
    form(&browser, "reading", batch(&[INNER; 20])).expect(200);
    browser.call(SITE_INFO).expect(429);

    let in_query = target("reading", &batch(&[INNER; 2]).replacen("wsfunction=", "", 1));
    bobs.call(&in_query).expect(200);
    let request = script(Request::new("POST", "/reading/webservice/rest/server.php"));
    let request = request.header("Content-Type", "multipart/form-data; boundary=edge");
    bobs.send(request.body(multipart(&[INNER; 3]))).expect(200);
    bobs.call(SITE_INFO).expect(200);
    bobs.call(SITE_INFO).expect(429);
}

#[test]
fn a_long_batch_counts_although_it_is_sent_on_in_pieces() {
    let site = Site::new();
    let Some(school) = school(
        &site,
        &[("reading", "[\"read-only\"]")],
        "calls = \"1/h\"\ncalls_burst = 6\n",
    ) else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    let padding = format!("wsfunction={WRAPPER}&a={}", "x".repeat(200 << 10));
    let inner: String = (0..6)
        .map(|n| format!("&requests[{n}][function]=core_webservice_get_site_info"))
        .collect();
    form(&browser, "reading", padding + &inner).expect(200);
    browser.call(SITE_INFO).expect(429);
}

#[test]
fn functions_are_counted_by_name_if_that_is_wanted() {
    let counted = |school: &School, function: &str| {
        let labels = format!("function=\"{function}\",moodle=\"campus\",outcome=\"ok\"");
        school
            .gateway
            .metric(&format!("janua_moodle_functions_total{{{labels}}}"))
    };
    for wanted in [true, false] {
        let site = Site::new();
        let more = format!("function_metrics = {wanted}\n");
        let Some(school) = school(&site, &[], &more) else {
            return;
        };
        let (alice, browser) = (school.cas.person("alice"), school.browser());
        browser.sign_in(&alice).expect(200);
        browser.call(SITE_INFO).expect(200);
        for made_up in ["core_made_up_1", "core_made_up_2"] {
            browser
                .call(&SITE_INFO.replace("core_webservice_get_site_info", made_up))
                .expect(200);
        }
        let count = |count: f64| wanted.then_some(count);
        assert_eq!(counted(&school, "core_webservice_get_site_info"), count(1.0));
        assert_eq!(counted(&school, "other"), count(2.0));
        let labels = "group=\"core\",moodle=\"campus\",outcome=\"ok\",script=\"rest\"";
        assert_eq!(
            school.gateway.metric(&format!("janua_moodle_calls_total{{{labels}}}")),
            Some(3.0)
        );
        assert!(!school.gateway.admin("/metrics").text().contains("made_up"));
    }
}

#[test]
fn explain_tells_the_entry_that_permits_a_function_or_why_there_is_none() {
    let site = Site::new();
    site.write("own.txt", "# ours\nmod_forum_*\n");
    let functions = "[\"read-only\", \"@own.txt\", { names = [\"mod_assign_*\"], role = \"ROLE_STAFF\" }]";
    let Some(school) = school(&site, &[("listed", functions)], "") else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    let text = std::fs::read_to_string(site.path("gateway.toml")).unwrap();
    let line = 1 + text.lines().position(|line| line.contains("own.txt")).unwrap();
    for (function, permitted, why) in [
        ("core_webservice_get_site_info", true, format!("named by read-only (gateway.toml:{line})")),
        ("mod_forum_add_discussion", true, "named by mod_forum_* (own.txt:2)".to_owned()),
        (
            "mod_assign_save_submission",
            false,
            format!("named only for holders of a role that is not held, by mod_assign_* (gateway.toml:{line})"),
        ),
        (
            "core_get_fragment",
            false,
            "no entry of `functions` names it; \"read-only\" does not have it: Moodle declares it `read`, but it runs code \
             that its arguments name"
                .to_owned(),
        ),
        (
            "local_x",
            false,
            "no entry of `functions` names it; \"read-only\" does not have it: Moodle 4.4.12+ and 5.0 have no such function, \
             and what is not known counts as writing"
                .to_owned(),
        ),
    ] {
        let (words, report) = explain(&school, &browser, &target("listed", function), &SCRIPT, true);
        let told = &report["moodle"]["functions"][0];
        assert_eq!(*told, json!({ "name": function, "permitted": permitted, "why": why }));
        assert_eq!(report["reason"] == "function_not_allowed", !permitted, "{report}");
        assert!(words.contains(&format!("{function}: {why}")), "{words}");
        assert_eq!(browser.call(&target("listed", function)).status == 403, !permitted, "{function}");
        // Without a session, as for a person without roles.
        let (_, report) = explain(&school, &browser, &target("listed", function), &SCRIPT, false);
        assert_eq!(report["moodle"]["functions"][0], *told);
    }
    let inner = batch(&["core_user_get_users", "mod_assign_save_submission"]).replacen("wsfunction=", "", 1);
    let (_, report) = explain(
        &school,
        &browser,
        &target("listed", &inner.replace("{}", "")),
        &SCRIPT,
        true,
    );
    let told = report["moodle"]["functions"].as_array().unwrap().iter();
    let told: Vec<_> = told.map(|one| one["permitted"] == true).collect();
    assert_eq!(told, [true, true, false]);
}
