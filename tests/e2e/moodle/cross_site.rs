//! A real browser in which somebody is signed in opens pages of others: whatever these make it send to Moodle's web
//! services is refused, and the pages that may call them go on calling them.
//!
//! Names below `localhost` are this machine to every browser. `evil.localhost` is another site; `other.school.localhost` is
//! a sibling of `moodle.school.localhost`, so that the browser sends it the session's cookie along; and
//! `app.school.localhost` is one of `app_origins`.

use std::collections::BTreeSet;
use std::io::Write as _;

use serde_json::json;

use super::school::School;
use crate::support::cas::PASSWORD;
use crate::support::double::Double;
use crate::support::wait::DEADLINE;
use crate::support::{Config, Site, browse};

const CALL: &str = "/webservice/rest/server.php?wsfunction=core_webservice_get_site_info&moodlewsrestformat=json";

/// Every attempt is told apart by a parameter's name, which the access log has if it is short.
const SCRIPT: &str = r#"
    // When the browser is done with a request, however that ended.
    const waiting = new Map();
    const done = (request) => {
      for (const [name, resolve] of waiting) if (request.url().includes(`${name}=1`)) resolve();
    };
    context.on("requestfinished", done);
    context.on("requestfailed", done);
    const attempt = async (name, act) => {
      let timer;
      const ended = new Promise((resolve, reject) => {
        waiting.set(name, resolve);
        timer = setTimeout(() => reject(new Error(`${name} never ended`)), args.deadline);
      });
      await act();
      await ended;
      clearTimeout(timer);
      waiting.delete(name);
    };

    await page.goto(`${args.moodle}/_janua/sign-in?with=campus&moodle=campus&return=/_janua/me`);
    await signIn(page, "alice", args.password);
    await page.waitForURL((url) => url.pathname === "/_janua/me");

    for (const [who, origin] of [["evil", args.evil], ["sibling", args.sibling]]) {
      const tab = await context.newPage();
      const url = (name) => `${args.moodle}${args.call}&${who}_${name}=1`;
      const go = async (name, act, more) => attempt(`${who}_${name}`, async () => {
        await tab.goto(`${origin}/${name}`);
        await tab.evaluate(act, { url: url(name), name, ...more });
      });
      await go("img", ({ url }) => { new Image().src = url; });
      await go("script", ({ url }) => { document.head.append(Object.assign(document.createElement("script"), { src: url })); });
      await go("beacon", ({ url }) => { navigator.sendBeacon(url, "x=1"); });
      for (const [kind, enctype] of [
        ["pairs", "application/x-www-form-urlencoded"], ["parts", "multipart/form-data"], ["text", "text/plain"],
      ]) {
        const form = ({ url, enctype, target, referrer }) => {
          if (referrer) document.head.insertAdjacentHTML("beforeend", `<meta name="referrer" content="${referrer}">`);
          document.body.innerHTML = `<iframe name="frame"></iframe>
            <form method="post" action="${url}" enctype="${enctype}" target="${target}"><input name="a" value="b"></form>`;
          setTimeout(() => document.forms[0].submit());
        };
        await go(`form_${kind}`, form, { enctype, target: "frame" });
        await go(`form_top_${kind}`, form, { enctype, target: "_blank" });
        // The browser then says `Origin: null`.
        await go(`form_null_${kind}`, form, { enctype, target: "frame", referrer: "no-referrer" });
      }
      for (const [name, options] of Object.entries({
        fetch: {}, fetch_with: { credentials: "include" }, fetch_without: { credentials: "omit" },
        fetch_no_cors: { credentials: "include", mode: "no-cors" },
        fetch_post: { credentials: "include", mode: "no-cors", method: "POST", body: "a=b",
          headers: { "Content-Type": "application/x-www-form-urlencoded" } },
        fetch_cors_post: { credentials: "include", method: "POST", body: "a=b" },
        fetch_preflight: { credentials: "include", headers: { "X-Requested-With": "XMLHttpRequest" } },
      })) {
        await go(name, ({ url, options }) => { fetch(url, options).catch(() => {}); }, { options });
      }
      // Pages without an origin: `Origin: null`.
      const inner = (name, how) => how === "fetch"
        ? `<script>fetch(${JSON.stringify(url(name))}, { credentials: "include", mode: "no-cors", method: "POST", body: "a=b" })
             .finally(() => parent.postMessage("done", "*"))</script>`
        : `<form method="${how}" target="${how === "get" ? "_blank" : "_self"}" action="${url(name).split("?")[0]}">
             ${new URL(url(name)).search.slice(1).split("&").map((pair) => {
               const [name, value] = pair.split("=");
               return `<input name="${name}" value="${value}">`;
             }).join("")}</form><script>document.forms[0].submit()</script>`;
      const frame = ({ html, attribute }) => {
        const frame = document.createElement("iframe");
        if (attribute === "data") frame.src = `data:text/html,${encodeURIComponent(html)}`;
        else {
          frame.setAttribute("sandbox", "allow-scripts allow-forms allow-popups allow-popups-to-escape-sandbox");
          frame.srcdoc = html;
        }
        const told = new Promise((resolve) => addEventListener("message", resolve, { once: true }));
        document.body.append(frame);
        // Its own word: not every request of such a page is told to who drives the browser.
        return html.includes("postMessage") ? told.then(() => {}) : null;
      };
      for (const attribute of ["sandbox", "data"]) {
        for (const how of ["fetch", "get"]) {
          const name = `${attribute}_${how}`;
          const more = { html: inner(name, how), attribute };
          if (how === "get") await go(name, frame, more);
          else {
            await tab.goto(`${origin}/${name}`);
            await tab.evaluate(frame, more);
          }
        }
      }
      await go("iframe", ({ url }) => { document.body.append(Object.assign(document.createElement("iframe"), { src: url })); });
      await go("top", ({ url }) => { setTimeout(() => { location.href = url; }); });
      await go("popup", ({ url }) => { window.open(url); });
      // By way of the gateway's own redirect to somebody who is signed in.
      await go("redirected", ({ url, moodle }) => {
        const back = encodeURIComponent(url);
        setTimeout(() => { location.href = `${moodle}/_janua/sign-in?with=campus&return=${back}`; });
      }, { moodle: args.moodle });
    }
    for (const tab of context.pages()) if (tab !== page) await tab.close();

    // Those that may, in the same browser: a page of Moodle's own, and the app.
    const call = async (url) => {
      const answer = await fetch(url, { credentials: "include", headers: { "X-Requested-With": "fetch" } });
      return { status: answer.status, user: (await answer.json()).username };
    };
    await page.goto(`${args.moodle}/course/view.php?id=2`);
    const title = await page.innerText("body");
    const own = await page.evaluate(call, `${args.moodle}${args.call}&own_page=1`);
    await page.goto(`${args.app}/`);
    const app = await page.evaluate(call, `${args.moodle}${args.call}&app_page=1`);
    return { title, own, app };
"#;

/// An empty page at every address.
fn pages() -> Double {
    Double::start(|mut wire| {
        while wire.head().is_ok() {
            let page = "<!doctype html><title>Somewhere</title><body></body>";
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n",
                page.len()
            );
            if wire.stream.write_all((head + page).as_bytes()).is_err() {
                return;
            }
        }
    })
}

/// `name=value` of a line of the access log.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let (_, rest) = line
        .split_once(&format!(" {name}="))
        .unwrap_or_else(|| panic!("{line}"));
    rest.split(' ').next().unwrap().trim_matches('"')
}

#[test]
fn no_other_site_calls_in_the_name_of_whoever_is_signed_in() {
    let pages = pages();
    let at = |host: &str| format!("http://{host}.localhost:{}", pages.address.port());
    let (evil, sibling, app) = (at("evil"), at("other.school"), at("app.school"));
    let config = Config::new().section(&format!("[sign_in.campus]\napp_origins = [{app:?}]\n"));
    let Some(school) = School::called("moodle.school.localhost", &Site::new(), config, "[\"cas-launch\"]") else {
        return;
    };
    let args = json!({
        "moodle": school.origin(), "call": CALL, "password": PASSWORD, "evil": evil, "sibling": sibling, "app": app,
        "deadline": u64::try_from(DEADLINE.as_millis()).unwrap(),
    });
    let Some(told) = browse(SCRIPT, &args) else { return };
    assert!(told["title"].as_str().unwrap().contains("Course of alice"), "{told}");
    let served = json!({ "status": 200, "user": "alice" });
    assert_eq!((&told["own"], &told["app"]), (&served, &served));

    let said = school.gateway.said();
    let lines = || said.lines().filter(|line| line.contains(" access: "));
    // Of whoever is another site to the browser, page loads of a whole tab come with the cookie, and nothing else does. A
    // sibling's requests do, unless it forgoes that or has no origin.
    let expected = |who: &str, what: &str| match what {
        "top" | "popup" | "redirected" | "sandbox_get" | "data_get" => "cross_site",
        _ if who == "evil" || what == "fetch" || what == "fetch_without" => "no_credentials",
        "sandbox_fetch" | "data_fetch" => "no_credentials",
        _ => "cross_site",
    };
    let mut attempts = BTreeSet::new();
    for line in lines().filter(|line| field(line, "path") == "/webservice/rest/server.php") {
        let query = field(line, "query");
        let tried = query.split(',').find_map(|name| Some((name, name.split_once('_')?)));
        let Some((name, (who, what))) = tried.filter(|(_, (who, _))| ["evil", "sibling"].contains(who)) else {
            continue;
        };
        if field(line, "method") == "OPTIONS" {
            assert_eq!(what, "fetch_preflight", "{line}");
        } else {
            assert_eq!((name, field(line, "reason")), (name, expected(who, what)), "{line}");
            assert!(["303", "401", "403"].contains(&field(line, "status")), "{line}");
        }
        attempts.insert(name);
    }
    // Each of 27 attempts was made by both.
    assert_eq!(attempts.len(), 54, "{attempts:?}");
    let asked = school.moodle.site().requests.clone();
    let is_theirs = |target: &str| {
        ["own_page=", "app_page=", "evil_", "sibling_"]
            .iter()
            .any(|what| target.contains(what))
    };
    let calls: Vec<_> = asked.iter().filter(|(_, target, _)| is_theirs(target)).collect();
    assert_eq!(calls.len(), 2, "{calls:?}");
    school.keeps_its_secrets();
}
