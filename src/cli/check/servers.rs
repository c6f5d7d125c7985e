//! One cause is told once: of a server that nobody can reach, the upstream's line says BAD, and what else needs that server
//! is a note.

use std::cell::RefCell;
use std::collections::HashMap;

use tokio::sync::watch;
use url::Url;

use super::Report;

/// What has been told of servers, each by its `host:port`.
pub(super) struct Servers<'a> {
    report: &'a Report,
    /// Those of upstreams that gave no answer, each with what said so and the error.
    away: RefCell<HashMap<String, (String, String)>>,
    /// The errors of others, each with its server and what said so first.
    told: RefCell<HashMap<(String, String), String>>,
    asked: watch::Sender<bool>,
}

impl<'a> Servers<'a> {
    pub(super) fn new(report: &'a Report) -> Self {
        Self {
            report,
            away: RefCell::default(),
            told: RefCell::default(),
            asked: watch::Sender::new(false),
        }
    }

    /// An upstream's server gave no answer.
    pub(super) fn away(&self, what: &str, server: &str, error: &str) {
        let line = format!("{what} {server}");
        let known = self.away.borrow().get(server).cloned();
        match known {
            Some((first, same)) if same == error && first != what => self.as_told(&line, error, &first),
            _ => {
                self.report.bad(&line, error);
                let told = (what.to_owned(), error.to_owned());
                self.away.borrow_mut().entry(server.to_owned()).or_insert(told);
            }
        }
    }

    fn as_told(&self, what: &str, error: &str, first: &str) {
        self.report.note(what, &format!("{error}, as {first} above"));
    }

    /// Every upstream has been asked: [`Servers::failed`] need not wait any longer.
    pub(super) fn upstreams_are_asked(&self) {
        self.asked.send_replace(true);
    }

    /// Something that needs one of these servers has failed. The same `cause` at the same servers is told once. Waits until
    /// the upstreams are asked.
    pub(super) async fn failed(&self, what: &str, servers: &[String], error: &str, cause: &str) {
        let mut asked = self.asked.subscribe();
        // Its sender lives as long as this does.
        drop(asked.wait_for(|asked| *asked).await);
        let of_upstream = {
            let away = self.away.borrow();
            let mut known = servers.iter().map(|server| away.get(server));
            let first = known.next().flatten().map(|(upstream, _)| upstream.clone());
            first.filter(|_| known.all(|known| known.is_some()))
        };
        if let Some(upstream) = of_upstream {
            return self.as_told(what, error, &upstream);
        }
        let cause = (servers.join(" "), cause.to_owned());
        // What was answered is about the address that was asked for, and each may be wrong by itself.
        let is_answer = ["answered", "web page"].iter().any(|word| cause.1.contains(word));
        let before = self.told.borrow().get(&cause).cloned().filter(|_| !is_answer);
        match before {
            Some(first) if first != what => self.as_told(what, error, &first),
            _ => {
                self.report.bad(what, error);
                self.told.borrow_mut().insert(cause, what.to_owned());
            }
        }
    }
}

/// The server that this address is asked at.
pub(super) fn server_of(url: &Url) -> Vec<String> {
    let host = url.host_str().map(|host| host.trim_matches(['[', ']']));
    let server = host.zip(url.port_or_known_default());
    server
        .map(|(host, port)| format!("{host}:{port}"))
        .into_iter()
        .collect()
}
