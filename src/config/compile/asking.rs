//! Routes that speak with others about a request: `accel` prefixes, `respond.decide`, `else_ask`.

use http::{HeaderName, Method, header};

use super::{Checker, Known};
use crate::config::diagnostics::Diagnostic;
use crate::config::path_pattern::PathPattern;
use crate::config::read::At;
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
        // The default may be written, too.
        let host = Some(&decide.host).filter(|host| host.value != header::HOST);
        let named = [decide.uri.given(), decide.method.given(), host];
        self.unique("header", named.into_iter().flatten());
        for name in named.into_iter().flatten().filter(|name| has_a_meaning(&name.value)) {
            let problem = Diagnostic::error(name.at, "this header says something else already");
            self.report(problem.help("choose a name of its own, such as \"X-Original-URI\""));
        }
        Some(Decide {
            uri: decide.uri.into_value()?,
            method: decide.method.into_value()?,
            host: decide.host.value,
        })
    }

    pub(super) fn else_ask(
        &mut self,
        ask: file::ElseAsk,
        path: Option<&At<PathPattern>>,
        known: &Known,
    ) -> Option<ElseAsk> {
        let upstream = ask.upstream.given();
        let upstream = upstream.and_then(|upstream| self.reference(upstream, "upstream", &known.upstreams));
        let is_safe = matches!(ask.method.value, Method::GET | Method::HEAD);
        if !is_safe {
            let problem = Diagnostic::error(ask.method.at, "`method`: asking must change nothing");
            self.report(problem.help("use \"HEAD\", or \"GET\" for an Opencast that does not answer HEAD"));
        }
        Some(ElseAsk {
            upstream: upstream?,
            method: is_safe.then_some(ask.method.value)?,
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
