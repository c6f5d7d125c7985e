//! Where the demo listens, and what its page says beside the requests.

use std::fs;
use std::net::TcpListener;

use serde_json::{Value, json};

use super::{Demo, PROMISES};
use crate::support::browse;
use crate::support::tools::run;

const JANUA: &str = env!("CARGO_BIN_EXE_janua");

#[test]
fn explain_says_what_each_button_gets() {
    let demo = Demo::start();
    let folder = JANUA.rsplit_once('/').unwrap().0;
    for (case, (id, status, reason)) in demo.cases().iter().zip(PROMISES) {
        let command = case["explain"].as_str().unwrap();
        assert!(command.starts_with("janua explain --config "), "{command}");
        let explained = run("sh", ["-c", &format!("PATH='{folder}':$PATH; {command} --json")]);
        let code = if status < 300 { 0 } else { 3 };
        assert_eq!(explained.code, Some(code), "{id}: {}", explained.stderr);
        let told: Value = serde_json::from_str(&explained.stdout).unwrap();
        assert_eq!(told["reason"].as_str(), reason, "{id}: {told}");
    }
}

/// The ports on which a process listens.
fn listening(process: u32) -> usize {
    let open = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let open: Vec<String> = open
        .filter_map(|file| fs::read_link(file.unwrap().path()).ok())
        .map(|link| link.display().to_string())
        .collect();
    let tables = ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap());
    let sockets = tables.iter().flat_map(|table| table.lines());
    let columns = sockets.map(|line| line.split_whitespace().collect::<Vec<_>>());
    columns
        .filter(|columns| columns[3] == "0A" && open.contains(&format!("socket:[{}]", columns[9])))
        .count()
}

#[test]
fn all_that_stands_around_listens_on_one_port() {
    let demo = Demo::start();
    assert_eq!(
        listening(demo.child.id()),
        3,
        "the gateway, its admin listener, the rest"
    );
    let config = fs::read_to_string(demo.folder.join("gateway.toml")).unwrap();
    let config: toml::Table = config.parse().unwrap();
    let around = config["upstreams"]["opencast"]["servers"][0].as_str().unwrap();
    let port = around.rsplit_once(':').unwrap().1;
    assert_eq!(config["upstreams"]["moodle"]["servers"][0].as_str(), Some(around));
    let jwks = format!("{around}/.well-known/jwks.json");
    assert_eq!(config["jwt"]["issuers"][0]["jwks"].as_str(), Some(jwks.as_str()));
    let cas = format!("http://localhost:{port}/cas");
    assert_eq!(
        config["sign_in"]["campus"]["cas"]["server"].as_str(),
        Some(cas.as_str())
    );
}

#[test]
fn it_listens_where_it_is_told_over_ipv6_too() {
    if TcpListener::bind("[::1]:0").is_err() {
        let ended = run(JANUA, ["demo", "--no-open", "--listen", "[::1]:0"]);
        assert!(ended.stderr.contains("choose 127.0.0.1"), "{}", ended.stderr);
        return;
    }
    let demo = Demo::started(&["--listen", "[::1]:0"]);
    assert!(demo.link().starts_with("http://[::1]:"), "{}", demo.link());
    demo.attempt(&demo.case("event")).expect(206);
    demo.attempt(&demo.case("nothing")).expect(401);
    // Through the gateway to the Moodle behind it, which sends people to the gateway's own address.
    let courses = demo.get("/courses/").expect(200);
    assert!(
        courses
            .header("content-security-policy")
            .unwrap()
            .contains("form-action")
    );
}

#[test]
fn where_it_cannot_listen_it_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let told = [
        (taken.as_str(), 1, "choose another port"),
        ("0.0.0.0:0", 1, "choose 127.0.0.1 or [::1]"),
        ("[::]:0", 1, "choose 127.0.0.1 or [::1]"),
        ("192.0.2.1:8080", 1, "ssh -L"),
        ("localhost:8080", 2, "such as 127.0.0.1:8080 or [::1]:8080"),
        ("127.0.0.1", 2, "such as 127.0.0.1:8080 or [::1]:8080"),
    ];
    for (address, code, remedy) in told {
        let ended = run(JANUA, ["demo", "--no-open", "--listen", address]);
        assert_eq!(ended.code, Some(code), "{address}: {}", ended.stderr);
        assert!(
            ended.stderr.contains(address) && ended.stderr.contains(remedy),
            "{address}: {}",
            ended.stderr
        );
        assert!(ended.stdout.is_empty(), "{address}: {}", ended.stdout);
    }
    let both = run(JANUA, ["demo", "--listen", "127.0.0.1:0", "--port", "0"]);
    assert_eq!(both.code, Some(2), "{}", both.stderr);
}

#[test]
fn the_page_shows_explain_beside_curl_and_leads_to_the_status_page() {
    let script = r##"
        await page.goto(args.page);
        await page.click("[data-id=other-role]");
        await page.waitForSelector("[data-id=other-role][data-kept=yes]");
        const [curl, explain] = [await page.innerText("#curl"), await page.innerText("#explain")];
        await page.click("#status");
        await page.waitForLoadState();
        return { curl, explain, status: page.url(), title: await page.title() };
    "##;
    let demo = Demo::start();
    let Some(told) = browse(script, &json!({ "page": demo.link() })) else {
        return;
    };
    let asked = |name: &str| told[name].as_str().unwrap().split_once(" -H ").unwrap().1.to_owned();
    assert!(asked("curl").contains("Authorization: Bearer "), "{told}");
    assert_eq!(asked("curl"), asked("explain"));
    let config = fs::read_to_string(demo.folder.join("gateway.toml")).unwrap();
    let config: toml::Table = config.parse().unwrap();
    let admin = config["server"]["admin"].as_str().unwrap();
    assert_eq!(told["status"], format!("http://{admin}/"));
    assert!(told["title"].as_str().unwrap().contains("Janua"), "{told}");
}
