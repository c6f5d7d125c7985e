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
        for (const tab of tabs) await signIn(tab, "alice", args.password);
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
fn a_script_is_told_401_after_signing_out() {
    let script = r#"
        await page.goto(args.origin + args.page);
        await signIn(page, "alice", args.password);
        const signedIn = await page.evaluate(async () => (await fetch("/app/x")).status);
        await page.evaluate(() => fetch("/_janua/sign-out", { method: "POST" }));
        const signedOut = await page.evaluate(async () => (await fetch("/app/x")).status);
        return [signedIn, signedOut];
    "#;
    let Some((_campus, told)) = with_campus(script) else {
        return;
    };
    assert_eq!(told, json!([200, 401]));
}
