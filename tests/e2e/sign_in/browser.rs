//! The same with a real browser.

use serde_json::{Value, json};

use super::campus::{Campus, PAGE};
use crate::support::browse;
use crate::support::cas::PASSWORD;

/// Runs a script against a campus of its own.
fn with_campus(script: &str) -> Option<(Campus, Value)> {
    let campus = Campus::start()?;
    let args = json!({ "origin": campus.origin(), "page": PAGE, "password": PASSWORD });
    let told = browse(script, &args)?;
    Some((campus, told))
}

#[test]
fn a_person_comes_to_the_deep_link_by_the_form() {
    let script = r#"
        await page.goto(args.origin + args.page);
        await signIn(page, "alice", args.password);
        await page.reload();
        const cookies = await context.cookies(args.origin);
        return { url: page.url(), text: await page.innerText("body"), cookies };
    "#;
    let Some((campus, told)) = with_campus(script) else {
        return;
    };
    assert_eq!(told["url"], format!("{}{PAGE}", campus.origin()));
    let session = told["cookies"]
        .as_array()
        .unwrap()
        .iter()
        .find(|cookie| cookie["name"] == "janua");
    let session = session.unwrap_or_else(|| panic!("{told}"));
    assert_eq!(
        (&session["httpOnly"], &session["sameSite"]),
        (&json!(true), &json!("Lax"))
    );
    assert!(
        !told["text"]
            .as_str()
            .unwrap()
            .contains(session["value"].as_str().unwrap()),
        "the upstream saw it"
    );
}

#[test]
fn ten_tabs_at_once_all_end_signed_in() {
    let script = r#"
        const tabs = await Promise.all(Array.from({ length: 10 }, () => context.newPage()));
        await Promise.all(tabs.map((tab, number) => tab.goto(`${args.origin}/app/tab?n=${number}`)));
        // Each was given a session by the server, and the last one counts.
        await tabs[0].reload();
        await signIn(tabs[0], "alice", args.password);
        // The server now knows who it is: its forms in the other tabs are old, and looked at again they lead on.
        await Promise.all(tabs.slice(1).map((tab) => tab.reload()));
        return tabs.map((tab) => tab.url());
    "#;
    let Some((campus, told)) = with_campus(script) else {
        return;
    };
    let expected: Vec<String> = (0..10)
        .map(|number| format!("{}/app/tab?n={number}", campus.origin()))
        .collect();
    assert_eq!(told, json!(expected));
}

#[test]
fn a_person_signs_out_by_the_page_and_going_back_shows_nothing() {
    let script = r#"
        await page.goto(args.origin + args.page);
        await signIn(page, "alice", args.password);
        await page.goto(args.origin + "/_janua/sign-out");
        const asked = await page.innerText("main, body");
        await page.setViewportSize({ width: 390, height: 800 });
        const [first, second] = await Promise.all((await page.$$("button")).map((button) => button.boundingBox()));
        const apart = Math.max(second.x - first.x - first.width, second.y - first.y - first.height);
        await Promise.all([page.waitForLoadState(), page.click("text=Sign out here")]);
        await page.waitForFunction(() => document.title.includes("Signed out"));
        const links = await page.$$eval("main a", (found) => found.map((link) => link.href));
        const after = (await context.cookies(args.origin)).map((cookie) => cookie.name);
        await page.goBack();
        await page.goBack();
        await page.reload();
        return { asked, apart, links, after, url: page.url() };
    "#;
    let Some((campus, told)) = with_campus(script) else {
        return;
    };
    let asked = told["asked"].as_str().unwrap();
    assert!(
        asked.contains("alice") && asked.contains("leaves you signed in at 127.0.0.1"),
        "{told}"
    );
    assert!(told["apart"].as_f64().unwrap() >= 8.0, "the buttons of a phone: {told}");
    assert_eq!(told["links"], json!([format!("{}/", campus.origin())]), "no dead end");
    assert!(!told["after"].as_array().unwrap().contains(&json!("janua")), "{told}");
    // The CAS server's own session lives on, so the page is there again, by a new ticket and a new session.
    assert_eq!(told["url"], format!("{}{PAGE}", campus.origin()));
    assert_eq!(campus.gateway.metric_sum("janua_sessions_begun_total"), 2.0);
}

#[test]
fn a_script_is_told_where_to_sign_in_once_the_session_is_over() {
    let script = r#"
        await page.goto(args.origin + args.page);
        await signIn(page, "alice", args.password);
        const ask = async () => {
            const answer = await fetch("/app/x");
            const told = answer.status === 401 ? (await answer.json()).sign_in : null;
            return { status: answer.status, url: answer.url, sign_in: told };
        };
        const before = await page.evaluate(ask);
        await page.evaluate(() => fetch("/_janua/sign-out", { method: "POST" }));
        const after = await page.evaluate(ask);
        await page.goto(after.sign_in);
        return { before, after, url: page.url() };
    "#;
    let Some((campus, told)) = with_campus(script) else {
        return;
    };
    let own = campus.origin();
    assert_eq!(told["before"]["status"], 200);
    let page: String = form_urlencoded::byte_serialize(format!("{own}{PAGE}").as_bytes()).collect();
    let sign_in = format!("{own}/_janua/sign-in?with=campus&return={page}");
    assert_eq!(
        told["after"],
        json!({ "status": 401, "url": format!("{own}/app/x"), "sign_in": sign_in })
    );
    assert_eq!(
        told["url"],
        format!("{own}{PAGE}"),
        "known to the CAS server, back by itself"
    );
}
