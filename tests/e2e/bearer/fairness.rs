//! Many at once, and somebody who means harm: one question for each token, and nobody takes the server from the others.

use std::sync::Barrier;
use std::time::Duration;

use serde_json::{Value, json};

use super::campus::{By, Campus, Plan, quietly};
use crate::support::bearer::Endpoint;
use crate::support::bearer::claims::{cas_nested, panva_answer};
use crate::support::bearer::double::opaque;
use crate::support::h2::Outcome;
use crate::support::oidc::Reply;
use crate::support::oidc::double::merge;
use crate::support::{Connection, Gateway, H2, Held, Request, Signer, eventually};

const STRANGER: &str = "203.0.113.1";
const INNOCENT: &str = "203.0.113.2";
/// No gateway waits so long for an answer: a machine that is slow to send all of a crowd spoils nothing.
const PATIENCE: Duration = Duration::from_secs(3);
/// More than is asked of a server at once.
const FLOOD: usize = 150;

fn campus() -> Campus {
    campus_with("", "")
}

fn campus_with(bearer: &str, lines: &str) -> Campus {
    Plan::by(By::Introspection)
        .bearer(bearer)
        .lines(lines)
        .behind_a_proxy()
        .start()
}

fn good(campus: &Campus) -> String {
    campus.server.issue(panva_answer(&campus.server.issuer()))
}

fn of(campus: &Campus, who: &str) -> String {
    let mut answer = panva_answer(&campus.server.issuer());
    merge(&mut answer, &json!({ "sub": who }));
    campus.server.issue(answer)
}

/// Junk that can be told from good tokens by whoever holds questions about it.
fn junk() -> String {
    format!("junk-{}", opaque())
}

fn is_junk(token: &str) -> bool {
    token.starts_with("junk-")
}

/// First calls with one token, all of which are there before the server answers: so many streams on each connection, each
/// connection for another address. What they were answered.
fn crowd(
    gateway: &Gateway,
    token: &str,
    connections: usize,
    streams: usize,
    then: impl FnOnce() + Send,
) -> Vec<Outcome> {
    let bearer = format!("Bearer {token}");
    let all_are_there = Barrier::new(connections + 1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|number| {
                let (bearer, all_are_there) = (&bearer, &all_are_there);
                scope.spawn(move || {
                    let address = format!("198.51.100.{number}");
                    let fields = [("authorization", bearer.as_str()), ("x-forwarded-for", &address)];
                    let mut connection = H2::open(gateway.http());
                    for stream in 0..streams {
                        let stream = 2 * u32::try_from(stream).unwrap() + 1;
                        connection.request(stream, "GET", "/quiet", &fields, true).unwrap();
                    }
                    connection.is_read();
                    all_are_there.wait();
                    connection.outcomes(streams)
                })
            })
            .collect();
        all_are_there.wait();
        then();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn five_thousand_first_calls_are_one_question() {
    let campus = campus();
    let token = good(&campus);
    let hold = campus.server.hold_for(PATIENCE, |_| true);
    let outcomes = crowd(&campus.gateway, &token, 50, 100, || {
        campus.server.is_asked(1);
        hold.let_go();
    });
    assert_eq!(outcomes.len(), 5000);
    let odd: Vec<&Outcome> = outcomes
        .iter()
        .filter(|outcome| **outcome != Outcome::Answered(204))
        .collect();
    assert!(odd.is_empty(), "{} of them: {:?}", odd.len(), &odd[..odd.len().min(5)]);
    assert_eq!(campus.server.asked(), 1);
    // A gateway of its own asks for itself.
    let replica = campus.replica();
    let request = || {
        Request::get("/quiet")
            .bearer(&token)
            .header("X-Forwarded-For", INNOCENT)
    };
    for _ in 0..3 {
        quietly(&replica, request()).expect(204);
    }
    assert_eq!(campus.server.asked(), 2);
}

/// The same when the answer is no, or none at all.
#[test]
fn five_hundred_calls_with_junk_are_one_question() {
    let campus = campus();
    for (status, fault) in [(401, None), (503, Some(Reply::html(500)))] {
        let token = junk();
        if let Some(fault) = fault {
            campus.server.answer(Endpoint::Introspection, fault);
        }
        let hold = campus.server.hold_for(PATIENCE, |_| true);
        let outcomes = crowd(&campus.gateway, &token, 10, 50, || {
            eventually("it is asked", || (campus.server.asked_about(&token) > 0).then_some(()));
            hold.let_go();
        });
        campus.server.hold_no_more();
        let odd = outcomes
            .iter()
            .filter(|outcome| **outcome != Outcome::Answered(status))
            .count();
        assert_eq!(odd, 0, "{status}: {outcomes:?}");
        // A failure is nothing to remember: each address may ask anew.
        let most = if status == 401 { 1 } else { 10 };
        let asked = campus.server.asked_about(&token);
        assert!(asked <= most, "{status}: {asked} questions");
    }
}

/// When an answer has ended, many find that out at once.
#[test]
fn an_answer_that_has_ended_is_asked_for_once() {
    let campus = campus_with("", "cache = \"1s\"");
    let token = good(&campus);
    quietly(&campus.gateway, Request::get("/quiet").bearer(&token)).expect(204);
    let hold = campus.server.hold_for(PATIENCE, |_| true);
    // Until one of its own is waiting.
    let asked = campus.server.asked();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            eventually("its answer has ended", || {
                let status = quietly(&campus.gateway, Request::get("/quiet").bearer(&token)).status;
                assert_eq!(status, 204);
                (campus.server.asked() > asked).then_some(())
            });
        });
        campus.server.is_asked(asked + 1);
        let others: Vec<_> = (0..50)
            .map(|_| scope.spawn(|| quietly(&campus.gateway, Request::get("/quiet").bearer(&token)).status))
            .collect();
        hold.let_go();
        first.join().unwrap();
        for other in others {
            assert_eq!(other.join().unwrap(), 204);
        }
    });
    assert!(campus.server.most_at_once() <= 1, "{}", campus.server.most_at_once());
}

/// Who asked first may lose patience; the others wait for the same answer.
#[test]
fn whoever_hangs_up_does_not_spoil_it_for_the_others() {
    let campus = campus();
    let token = good(&campus);
    let hold = campus.server.hold_for(PATIENCE, |_| true);
    let mut first = Connection::open(campus.gateway.http());
    first.write(Request::get("/quiet").bearer(&token).bytes()).unwrap();
    campus.server.is_asked(1);
    std::thread::scope(|scope| {
        let second = scope.spawn(|| campus.get("/quiet", &token).status);
        let mut stream = H2::open(campus.gateway.http());
        let bearer = format!("Bearer {token}");
        stream
            .request(1, "GET", "/quiet", &[("authorization", &bearer)], true)
            .unwrap();
        stream.is_read();
        drop(first);
        stream.reset(1).unwrap();
        stream
            .request(3, "GET", "/quiet", &[("authorization", &bearer)], true)
            .unwrap();
        stream.is_read();
        hold.let_go();
        assert_eq!(stream.outcome(3), Outcome::Answered(204));
        assert_eq!(second.join().unwrap(), 204);
    });
    assert_eq!(campus.server.asked(), 1);
    // Where nobody is left, the answer is remembered all the same.
    let token = good(&campus);
    let hold = campus.server.hold_for(PATIENCE, |_| true);
    let mut alone = Connection::open(campus.gateway.http());
    alone.write(Request::get("/quiet").bearer(&token).bytes()).unwrap();
    eventually("it is asked", || (campus.server.asked_about(&token) == 1).then_some(()));
    drop(alone);
    hold.let_go();
    campus.server.hold_no_more();
    campus.get("/quiet", &token).expect(204);
    assert_eq!(campus.server.asked_about(&token), 1);
}

/// Requests with junk from one address that wait for a server which is slow to say so.
fn flooded<T>(campus: &Campus, then: impl FnOnce() -> T) -> T {
    let hold = campus.server.hold(is_junk);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..FLOOD)
            .map(|_| {
                let request = Request::get("/quiet")
                    .bearer(&junk())
                    .header("X-Forwarded-For", STRANGER);
                scope.spawn(move || quietly(&campus.gateway, request).status)
            })
            .collect();
        campus.server.is_asked(1);
        let done = then();
        hold.let_go();
        campus.server.hold_no_more();
        for thread in threads {
            let status = thread.join().unwrap();
            assert!([401, 429, 503].contains(&status), "{status}");
        }
        done
    })
}

#[test]
fn an_address_with_junk_takes_the_server_from_nobody() {
    let campus = campus();
    let known = good(&campus);
    campus.get_from(INNOCENT, "/quiet", &known).expect(204);
    flooded(&campus, || {
        for _ in 0..20 {
            campus.get_from(INNOCENT, "/quiet", &good(&campus)).expect(204);
            campus.get_from(INNOCENT, "/quiet", &known).expect(204);
        }
        // Nor what is known from itself.
        campus.get_from(STRANGER, "/quiet", &known).expect(204);
        campus.get_from(STRANGER, "/free", "junk").expect(204);
    });
    let most = campus.server.most_at_once();
    assert!(most <= 64, "{most} questions at once");
    assert!(most < FLOOD, "{most}: one address has all of it");
}

/// The same by a profile, whose questions are another code's.
#[test]
fn an_address_with_junk_takes_the_profile_from_nobody() {
    let campus = Plan::by(By::Profile)
        .bearer("username = \"id\"\nbad_tokens = \"1000/s\"")
        .behind_a_proxy()
        .start();
    flooded(&campus, || {
        for _ in 0..10 {
            campus
                .get_from(INNOCENT, "/quiet", &campus.server.issue(cas_nested()))
                .expect(204);
        }
    });
    assert!(campus.server.most_at_once() < FLOOD, "{}", campus.server.most_at_once());
}

/// Who hangs up at once leaves questions behind, which count as theirs until they are answered.
#[test]
fn questions_that_nobody_waits_for_are_bounded() {
    let campus = campus();
    let hold = campus.server.hold(is_junk);
    for _ in 0..4 {
        let connections: Vec<Connection> = (0..FLOOD)
            .map(|_| {
                let mut connection = Connection::open(campus.gateway.http());
                let request = Request::get("/quiet")
                    .bearer(&junk())
                    .header("X-Forwarded-For", STRANGER);
                connection.write(request.bytes()).unwrap();
                connection
            })
            .collect();
        campus.server.is_asked(1);
        drop(connections);
        campus.get_from(INNOCENT, "/quiet", &good(&campus)).expect(204);
    }
    campus.get_from(INNOCENT, "/quiet", &good(&campus)).expect(204);
    let most = campus.server.most_at_once();
    assert!(most <= 64, "{most} questions at once");
    hold.let_go();
    campus.server.hold_no_more();
    eventually("the stranger may ask again", || {
        (campus.get_from(STRANGER, "/quiet", &good(&campus)).status == 204).then_some(())
    });
}

/// All people of an application come from one address; only what is no token is charged to it.
#[test]
fn a_back_end_with_many_people_has_one_address() {
    let campus = campus_with("bad_tokens = \"3/m\"", "");
    for number in 0..60 {
        let token = of(&campus, &format!("person-{number}"));
        campus.get_from(STRANGER, "/quiet", &token).expect(204);
        campus.get_from(STRANGER, "/staff/x", &token).expect(403);
    }
}

#[test]
fn junk_is_charged_to_who_brings_it_and_to_nobody_else() {
    let campus = campus_with("bad_tokens = \"3/m\"", "");
    let known = good(&campus);
    campus.get_from(STRANGER, "/quiet", &known).expect(204);
    let before = campus.server.asked();
    let mut statuses = Vec::new();
    for _ in 0..40 {
        statuses.push(campus.get_from(STRANGER, "/quiet", &junk()).status);
    }
    let asked = campus.server.asked() - before;
    assert!(asked < 15, "{asked} questions for 40 tokens: {statuses:?}");
    assert_eq!(statuses[0], 401);
    let told = campus.get_from(STRANGER, "/quiet", &junk());
    told.refused(429, "rate_limited");
    // Known tokens go on, whoever brings them.
    campus.get_from(STRANGER, "/quiet", &known).expect(204);
    campus.get_from(INNOCENT, "/quiet", &known).expect(204);
    campus.get_from(INNOCENT, "/quiet", &good(&campus)).expect(204);
    campus.get_from(STRANGER, "/free", "x").expect(204);
    campus.get_from(STRANGER, "/open/x", "x").expect(200);
}

/// The same junk again is known to be junk, and costs no question.
#[test]
fn the_same_junk_is_one_question_for_a_while() {
    let campus = campus();
    let bad = junk();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    campus.get_from(STRANGER, "/quiet", &bad).expect(401);
                }
            });
        }
    });
    assert!(campus.server.asked() <= 20, "{}", campus.server.asked());
}

/// Requests that all come at once find the budget as it was before any of them was answered.
#[test]
fn a_budget_holds_for_what_comes_at_once() {
    let campus = campus_with("bad_tokens = \"3/m\"", "");
    flooded(&campus, || {
        campus.get_from(INNOCENT, "/quiet", &good(&campus)).expect(204)
    });
    let asked = campus.server.asked();
    assert!(asked <= 40, "{asked} questions at the cost of 3");
}

/// Junk for which the server is asked in vain pushes out nothing that is good.
#[test]
fn junk_pushes_out_nothing_good() {
    let campus = campus_with("bad_tokens = \"100000/s\"", "cache = \"1h\"");
    let known: Vec<String> = (0..20).map(|_| good(&campus)).collect();
    for token in &known {
        campus.get_from(INNOCENT, "/quiet", token).expect(204);
    }
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let campus = &campus;
            scope.spawn(move || {
                let address = format!("203.0.113.{}", 10 + thread);
                let mut connection = Connection::open(campus.gateway.http());
                for _ in 0..500 {
                    // Long ones, should the room be measured in bytes.
                    let long = format!("{}{}", junk(), "x".repeat(4000));
                    let request = Request::get("/quiet").bearer(&long).header("X-Forwarded-For", &address);
                    let answer = connection.exchange_raw(request.bytes()).unwrap();
                    assert_eq!(answer.status, 401);
                }
            });
        }
    });
    for token in &known {
        campus.get_from(INNOCENT, "/quiet", token).expect(204);
        assert_eq!(campus.server.asked_about(token), 1);
    }
}

/// A server that takes the question and is never heard of again.
#[test]
fn a_server_that_hangs_takes_nothing_else_with_it() {
    let signer = Signer::new();
    let plan = Plan::by(By::Introspection).behind_a_proxy().lines("cache = \"1h\"").more(
        "[[routes]]\nname = \"tokens\"\npath = \"/tokens\"\nrespond = { status = 204 }\nallow = [{ role = \"ROLE_A\" }]\n",
    );
    plan.site.write_keys("keys.json", &[&signer]);
    let config = plan.config.clone().issuer("moodle", "keys.json", "");
    let campus = Plan { config, ..plan }.start();
    let known = good(&campus);
    campus.get("/quiet", &known).expect(204);
    campus.server.answer(Endpoint::Introspection, Reply::never());
    let elsewhere = || {
        for _ in 0..20 {
            campus.get("/quiet", &known).expect(204);
            campus.get("/free", &known).expect(204);
            campus.get("/tokens", &signer.roles(&["ROLE_A"])).expect(204);
            campus.send(Request::get("/app/x")).expect(401);
        }
    };
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..20)
            .map(|number| {
                let (campus, token) = (&campus, good(&campus));
                scope.spawn(move || campus.get_from(&format!("198.51.100.{number}"), "/quiet", &token))
            })
            .collect();
        campus.server.is_asked(2);
        elsewhere();
        for thread in waiting {
            let answer = thread.join().unwrap();
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
            answer.expect(503);
        }
    });
    campus.server.recover();
    eventually("it is asked again", || {
        (campus.get("/quiet", &good(&campus)).status == 204).then_some(())
    });
}

/// Sent byte by byte, an answer takes as long as its sender likes: that is not waited for either.
#[test]
fn a_server_that_drips_is_not_waited_for() {
    let pace = Held::for_at_most(Duration::from_millis(100));
    let dripping = crate::support::double::Double::start(move |mut wire| {
        let asked = wire.head().and_then(|(_, headers)| wire.body(&headers, false));
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n";
        let mut sent = asked.and_then(|_| std::io::Write::write_all(&mut wire.stream, head.as_bytes()));
        while sent.is_ok() {
            pace.wait();
            sent = std::io::Write::write_all(&mut wire.stream, b" ");
        }
    });
    let mut plan = Plan::by(By::Introspection);
    plan.endpoint = Some(format!("http://{}/introspect", dripping.address));
    let campus = plan.start();
    campus.get("/quiet", &opaque()).refused(503, "token_server_unavailable");
}

/// Tokens by keys cost a check each; an address with bad ones pays for them itself.
#[test]
fn junk_by_keys_is_charged_to_who_brings_it() {
    let campus = Plan::by(By::Jwks)
        .bearer("bad_tokens = \"3/m\"")
        .behind_a_proxy()
        .start();
    let evil = Signer::rs256().named("rsa");
    let claims: Value = crate::support::bearer::claims::rfc9068(&campus.server.issuer());
    let mut statuses = Vec::new();
    for number in 0..20 {
        let mut claims = claims.clone();
        claims["jti"] = json!(format!("jti-{number}"));
        let token = evil.sign(
            &json!({ "alg": "RS256", "typ": "at+jwt", "kid": "rsa" }).to_string(),
            &claims.to_string(),
        );
        let request = Request::get("/quiet")
            .bearer(&token)
            .header("X-Forwarded-For", STRANGER);
        statuses.push(quietly(&campus.gateway, request).status);
    }
    assert_eq!(statuses[0], 401);
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    campus
        .get_from(INNOCENT, "/quiet", &campus.access_token(&json!({})))
        .expect(204);
}

/// It is asked about anew now and then, and whoever else has used up what the address may bring in vain does not end it.
#[test]
fn a_token_that_was_good_is_no_junk() {
    let campus = campus_with("bad_tokens = \"3/m\"", "cache = \"1s\"");
    let known = good(&campus);
    let from_there = |token: &str| campus.get_from(STRANGER, "/quiet", token).status;
    assert_eq!(from_there(&known), 204);
    eventually("nothing is left", || (from_there(&junk()) == 429).then_some(()));
    let asked = campus.server.asked_about(&known);
    eventually("it is asked about again", || {
        assert_eq!(from_there(&known), 204);
        (campus.server.asked_about(&known) > asked).then_some(())
    });
    assert_eq!(from_there(&known), 204);
}

/// A filter in front of the server that breaks off where it does not like a token is not the server's end.
#[test]
fn a_token_that_breaks_the_servers_answer_breaks_no_other() {
    let campus = campus();
    for reply in [Reply::hang_up(), Reply::html(500), Reply::html(403), Reply::halfway()] {
        campus.server.answer_about(is_junk, reply);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..4 {
                    let status = campus.get_from(STRANGER, "/quiet", &junk()).status;
                    assert!([401, 429, 503].contains(&status), "{status}");
                }
            });
            for _ in 0..20 {
                campus.get_from(INNOCENT, "/quiet", &good(&campus)).expect(204);
            }
        });
    }
}

/// From many addresses at once: whoever has brought a good token before has places of their own.
#[test]
fn many_addresses_with_junk_leave_room_for_who_is_known() {
    let campus = campus();
    campus.get_from(INNOCENT, "/quiet", &good(&campus)).expect(204);
    let hold = campus.server.hold(is_junk);
    std::thread::scope(|scope| {
        for number in 0..160 {
            let address = format!("198.51.100.{}", number % 16);
            let request = Request::get("/quiet")
                .bearer(&junk())
                .header("X-Forwarded-For", &address);
            let campus = &campus;
            scope.spawn(move || quietly(&campus.gateway, request).status);
        }
        hold.0.holds(20);
        for _ in 0..10 {
            campus.get_from(INNOCENT, "/quiet", &good(&campus)).expect(204);
        }
        hold.let_go();
        campus.server.hold_no_more();
    });
}
