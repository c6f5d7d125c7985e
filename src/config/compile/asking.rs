//! Routes that speak with others about a request: `accel` prefixes, `respond.decide`, `else_ask`.

use http::{HeaderName, Method, header};

use super::{Checker, Known};
use crate::config::diagnostics::Diagnostic;
use crate::config::path_pattern::PathPattern;
use crate::config::read::{At, Key};
use crate::config::{Decide, ElseAsk, file};

impl Checker<'_> {
    /// What stands before the name of a file in `X-Accel-Redirect`. Plain letters only, so that it reads the same
    /// encoded and decoded.
    pub(super) fn accel_prefix(&mut self, prefix: &At<String>, name: &str) -> Option<String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        let is_segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(plain);
        let is_good = prefix
            .value
            .strip_prefix('/')
            .is_some_and(|inside| inside.split('/').all(is_segment));
        if !is_good {
            let problem = Diagnostic::error(prefix.at, format!("`{name}`: this cannot stand before a path"));
            self.report(
                problem.help("write \"/protected\": a slash first, none last, letters, digits and -._~ between"),
            );
        }
        is_good.then(|| prefix.value.clone())
    }

    pub(super) fn decide(&mut self, decide: file::Decide) -> Option<Decide> {
        let place = decide.place;
        let uri = self.required(decide.uri, "uri", place, "uri = \"X-Original-URI\"");
        let method = self.required(decide.method, "method", place, "method = \"X-Original-Method\"");
        // The default may be written, too.
        let host = decide.host.given().filter(|host| host.value != header::HOST);
        let named = [uri.as_ref(), method.as_ref(), host];
        self.unique(
            "header",
            named.into_iter().flatten().map(|name| (name.at, name.value.clone())),
        );
        for name in named.into_iter().flatten().filter(|name| has_a_meaning(&name.value)) {
            let problem = Diagnostic::error(name.at, "this header says something else already");
            self.report(problem.help("choose a name of its own, such as \"X-Original-URI\""));
        }
        Some(Decide {
            uri: uri?.value,
            method: method?.value,
            host: decide.host.or(header::HOST),
        })
    }

    pub(super) fn else_ask(
        &mut self,
        ask: file::ElseAsk,
        path: Option<&At<PathPattern>>,
        known: &Known,
    ) -> Option<ElseAsk> {
        let example = "upstream = \"opencast\", the upstream that is asked";
        let upstream = self.required(ask.upstream, "upstream", ask.place, example);
        let upstream = upstream.and_then(|upstream| self.reference(&upstream, "upstream", &known.upstreams));
        let method = match ask.method {
            Key::Given(method) if !matches!(method.value, Method::GET | Method::HEAD) => {
                let problem = Diagnostic::error(method.at, "`method`: asking must change nothing");
                self.report(problem.help("use \"HEAD\", or \"GET\" for an Opencast that does not answer HEAD"));
                None
            }
            Key::Bad => None,
            method => Some(method.or(Method::HEAD)),
        };
        Some(ElseAsk {
            upstream: upstream?,
            method: method?,
            event_depth: path?.value.depth_of("event"),
        })
    }
}

/// Headers that the gateway reads, or that HTTP does. Traefik and Caddy name the request in question in three that the
/// gateway does not read.
fn has_a_meaning(name: &HeaderName) -> bool {
    let own = [
        header::AUTHORIZATION,
        header::COOKIE,
        header::HOST,
        header::ORIGIN,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::FORWARDED,
    ];
    let describes = ["x-forwarded-uri", "x-forwarded-method", "x-forwarded-host"].contains(&name.as_str());
    own.contains(name) || (name.as_str().starts_with("x-forwarded-") && !describes)
}
