//! Two gateways on one Valkey vouch for people together: whichever one Moodle asks knows the other's tickets, and each
//! ticket is taken once.

use std::fs::Permissions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use super::school::{SITE_INFO, School};
use super::sources::FACADE;
use crate::support::double::Double;
use crate::support::{Config, Connection, Request, Site, Valkey};

/// 32 bytes, the same for both.
const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";

fn start(valkey: &Valkey) -> Option<School> {
    let site = Site::new();
    let key = site.write("master.key", MASTER_KEY);
    // As the gateway wants it: nobody else may read it.
    std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    let config = Config::new()
        .set("state", "store", "\"valkey\"")
        .set("state", "url", &format!("{:?}", valkey.url()))
        .set("state", "key_file", &format!("{key:?}"));
    School::at(&site, config, FACADE)
}

fn ask(gateway: SocketAddr, target: &str) -> String {
    let request = Request::get(target)
        .host(&gateway.to_string())
        .header("Connection", "close");
    Connection::open(gateway).exchange_raw(request.bytes()).unwrap().text()
}

/// What Moodle takes for its CAS server: it asks all gateways at once, several times, and passes on who it is.
fn asks_all(gateways: Vec<SocketAddr>, told: Arc<Mutex<Vec<usize>>>) -> Double {
    Double::start(move |mut wire| {
        let Ok((line, _)) = wire.head() else { return };
        let target = line.split(' ').nth(1).unwrap_or_default();
        let answers: Vec<String> = std::thread::scope(|scope| {
            let questions = gateways.iter().cycle().take(8);
            let asked: Vec<_> = questions
                .map(|gateway| scope.spawn(move || ask(*gateway, target)))
                .collect();
            asked.into_iter().map(|asked| asked.join().unwrap()).collect()
        });
        let names: Vec<&String> = answers.iter().filter(|answer| answer.contains("<cas:user>")).collect();
        told.lock().unwrap().push(names.len());
        let body = names.first().copied().cloned().unwrap_or_default();
        let head = format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        drop(wire.stream.write_all((head + &body).as_bytes()));
    })
}

#[test]
fn moodle_may_ask_either_about_the_others_tickets_and_each_is_taken_once() {
    let Some(valkey) = Valkey::start() else { return };
    let Some(school) = start(&valkey) else { return };
    let replica = school.replica();
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);

    // Moodle reaches the other one only.
    let facade = |of: &dyn std::fmt::Display| Some(format!("http://{of}/_janua/cas-facade"));
    school.moodle.site().tokens.clear();
    school.moodle.site().settings.cas = facade(&replica.http());
    assert_eq!(browser.call(SITE_INFO).expect(200).json()["username"], "alice");
    replica.logged(&["/_janua/cas-facade/serviceValidate", "status=200"]);

    let told = Arc::new(Mutex::new(Vec::new()));
    let all = asks_all(vec![school.gateway.http(), replica.http()], Arc::clone(&told));
    school.moodle.site().settings.cas = facade(&all.address);
    for _ in 0..5 {
        school.moodle.site().tokens.clear();
        assert_eq!(browser.call(SITE_INFO).expect(200).json()["username"], "alice");
    }
    assert_eq!(*told.lock().unwrap(), [1; 5]);

    // One that Moodle never asked about is over with the call that it was made for.
    school.moodle.site().settings.cas = None;
    school.moodle.site().tokens.clear();
    browser.call(SITE_INFO).refused(502, "upstream_failed");
    let asked = school.moodle.site().requests.clone();
    let tickets: Vec<&str> = asked
        .iter()
        .filter_map(|(_, target, _)| target.strip_prefix("/login/token.php?ticket="))
        .collect();
    assert!(tickets.len() >= 7, "{}", tickets.len());
    for ticket in tickets {
        let service = format!("{}/login/token.php", school.origin());
        let query = crate::support::cas::query(&[("service", &service), ("ticket", ticket)]);
        for gateway in [school.gateway.http(), replica.http()] {
            let answer = ask(gateway, &format!("/_janua/cas-facade/serviceValidate?{query}"));
            assert!(answer.contains("INVALID_TICKET"), "{answer}");
        }
    }
    school.keeps_its_secrets();
}
