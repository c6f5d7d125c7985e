//! `[moodle.<name>]`, and what routes say of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use url::Url;

use super::jwt::rate;
use super::server::values;
use super::{Checker, Known, every};
use crate::config::diagnostics::{Diagnostic, Span};
use crate::config::file::{self, FunctionEntry};
use crate::config::net::is_loopback;
use crate::config::read::{At, Key, Named};
use crate::config::value::PerSecond;
use crate::config::{Action, Bearer, Credential, Facade, FunctionRule, Moodle, MoodleSource, SURROGATE};
use crate::rate::Rate;

/// What routes must know of a Moodle: its upstream and its sign-in.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownMoodle {
    pub(super) upstream: usize,
    sign_in: usize,
    /// Where its `public_url` stands.
    pub(super) url_at: Span,
}

/// What a route says that concerns Moodle.
pub(super) struct OfRoute<'a> {
    /// `present = "moodle-token"`, where it stands.
    pub(super) present: Option<Span>,
    pub(super) functions: Key<Vec<At<FunctionEntry>>>,
    /// Where `rewrite_urls` stands.
    pub(super) rewrites: Option<Span>,
    pub(super) action: Option<&'a Action>,
    pub(super) accept: (&'a [Credential], Span),
    pub(super) sign_ins: Option<&'a [usize]>,
    pub(super) bearers: Option<&'a [usize]>,
}

impl Checker<'_> {
    pub(super) fn moodles(
        &mut self,
        Named(moodles): Named<file::Moodle>,
        known: &Known,
    ) -> (Option<Vec<Moodle>>, Vec<KnownMoodle>) {
        let upstreams = moodles.iter().filter_map(|(_, moodle)| moodle.upstream.given());
        self.unique("upstream of a Moodle", upstreams);
        self.facade_paths(&moodles);
        let places: Vec<_> = moodles
            .iter()
            .map(|(name, moodle)| moodle.public_url.given().map_or(name.at, |url| url.at))
            .collect();
        let compiled: Vec<_> = moodles
            .into_iter()
            .map(|(name, moodle)| self.moodle(&name, moodle, known))
            .collect();
        let compiled_at = compiled.iter().zip(places);
        let found = compiled_at.filter_map(|(moodle, url_at): (&Option<Moodle>, Span)| {
            let moodle = moodle.as_ref()?;
            Some(KnownMoodle {
                upstream: moodle.upstream,
                sign_in: moodle.sign_in,
                url_at,
            })
        });
        let found = found.collect();
        (compiled.into_iter().collect(), found)
    }

    /// Writes into the bearers what the Moodles of their people ask for: of nothing else of a token anything is kept.
    pub(super) fn asked_of_bearers(bearers: &mut [Bearer], moodles: &[Moodle], people: &[Arc<str>]) {
        for bearer in bearers {
            let of_theirs =
                |moodle: &&Moodle| bearer.people.is_some() && people.get(moodle.sign_in) == bearer.people.as_ref();
            let mut theirs = moodles.iter().filter(of_theirs).peekable();
            if theirs.peek().is_none() {
                continue;
            }
            let asked: BTreeSet<&str> = theirs.flat_map(Moodle::attributes).chain(SURROGATE).collect();
            bearer.attributes = asked.into_iter().map(str::to_owned).collect();
        }
    }

    /// Each facade has a place of its own, not below another's.
    fn facade_paths(&mut self, moodles: &[(At<String>, file::Moodle)]) {
        let paths = moodles
            .iter()
            .filter_map(|(_, moodle)| moodle.facade.given()?.value.path.given());
        let paths: Vec<&At<String>> = paths.collect();
        let is_in = |path: &str, other: &str| {
            path.strip_prefix(other)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        for (place, path) in paths.iter().enumerate() {
            let mut before = paths.iter().take(place);
            let trimmed = path.value.trim_end_matches('/');
            if let Some(other) = before.find(|other| {
                let other = other.value.trim_end_matches('/');
                is_in(trimmed, other) || is_in(other, trimmed)
            }) {
                let problem = Diagnostic::error(path.at, "two Moodles would ask the gateway at one place");
                let problem = problem.also(other.at, "the other one's path");
                self.report(problem.help("give each facade a path of its own: path = \"/_janua/cas-facade-2\""));
            }
        }
    }

    fn moodle(&mut self, name: &At<String>, moodle: file::Moodle, known: &Known) -> Option<Moodle> {
        let named = self.name(name);
        let place = moodle.place;
        let upstream = moodle.upstream.given();
        let upstream = upstream.and_then(|upstream| self.reference(upstream, "upstream", &known.upstreams));
        let sign_in = moodle.sign_in.given();
        let sign_in = sign_in.and_then(|sign_in| self.reference(sign_in, "sign-in", &known.sign_ins));
        let root = moodle.public_url.given();
        let url = root.and_then(|root| self.wwwroot(root));
        let tokens = self.moodle_tokens(moodle.tokens);
        if let (Some(root), Some(url), Some(tokens)) = (root, &url, &tokens) {
            self.moodle_host(root.at, url, tokens, known);
        }
        let page = moodle.page.given();
        let takes_tokens = page.is_some_and(|page| page.value.forward_bearer_token.value);
        if let (Some(sign_in), Some(at), Some(tokens)) = (sign_in, moodle.sign_in.given(), &tokens)
            && known.by_cas.get(sign_in) == Some(&false)
            && let Some(source) = tokens
                .iter()
                .find(|source| source.needs_cas() && !(takes_tokens && **source == MoodleSource::Page))
        {
            let message = format!("\"{}\" needs a sign-in by CAS", source.label());
            let problem = Diagnostic::error(at.at, message).label("this one is of another kind");
            self.report(problem.help(match source {
                MoodleSource::Page => {
                    "write forward_bearer_token = true into its table: the page is asked with access tokens then"
                }
                _ => "write tokens = [\"oidc-launch\"], [\"launch\"], [\"cas-facade\"] or [\"vault\"], or name a sign-in by CAS",
            }));
        }
        let oidc_launch = self.oidc_launch(moodle.oidc_launch, tokens.as_deref());
        if let (Some(at), Some(Some(oidc_launch))) = (moodle.sign_in.given(), &oidc_launch)
            && sign_in.and_then(|sign_in| known.by_cas.get(sign_in)) == Some(&true)
        {
            self.provider_of_cas(at.at, oidc_launch);
        }
        let facade = self.facade(moodle.facade, tokens.as_deref(), place);
        let calls = self.calls(moodle.calls, moodle.calls_burst);
        let attribute = self.token_attribute(moodle.attribute, tokens.as_deref(), place);
        let clearpass = self.clearpass(moodle.clearpass, tokens.as_deref(), place);
        let page = self.token_page(moodle.page, tokens.as_deref(), place);
        let service = moodle.service.given().and_then(|service| self.short_name(service));
        let has_domain = moodle.username_domain.given().map(|domain| domain.at);
        let username = self.moodle_username(&moodle.username, moodle.username_domain);
        let is_user = username.as_ref().is_some_and(|username| username.attribute().is_none());
        if let Some(at) = has_domain.filter(|_| is_user) {
            let problem = Diagnostic::warning(at, "names that people sign in by rarely have a domain");
            self.report(
                problem
                    .help("of a name without this one no token is made: write username = \"{mail}\", if that is meant"),
            );
        }
        if let Some(sign_in) = sign_in.filter(|_| username.is_some() && !is_user) {
            self.others_attribute(moodle.username.at, sign_in, known);
        }
        named?;
        Some(Moodle {
            name: name.value.clone(),
            upstream: upstream?,
            wwwroot: root?.value.clone(),
            public_url: url?,
            sign_in: sign_in?,
            username: username?,
            service: service?,
            tokens: tokens?,
            never: moodle.never.iter().map(|name| name.to_lowercase()).collect(),
            facade: facade?,
            attribute: attribute?,
            clearpass: clearpass?,
            page: page?,
            oidc_launch: oidc_launch?,
            own_tokens: moodle.own_tokens,
            calls: calls?,
            drop_at_logout: moodle.drop_at_logout,
            function_metrics: moodle.function_metrics,
        })
    }

    /// `Some(None)`: as many as come.
    fn calls(&mut self, calls: Key<PerSecond>, burst: Key<u64>) -> Option<Option<Rate>> {
        let burst = self.burst(burst, ("calls_burst", "calls = \"10/s\""), calls.is_absent());
        calls.checked(|calls| Some(rate(calls.value, burst)))
    }

    /// Moodle signs with this text, so that a slash too many is a mistake.
    fn wwwroot(&mut self, root: &At<String>) -> Option<Url> {
        let url = Url::parse(&root.value).ok();
        let good = url.filter(|url| {
            // Browsers look up no name below `localhost` either (RFC 6761 section 6.3), and only they use this URL.
            let is_here = |host: &str| is_loopback(host) || host.ends_with(".localhost");
            let local = url.scheme() == "http" && url.host_str().is_some_and(is_here);
            let bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
            (url.scheme() == "https" || local) && url.has_host() && bare && !root.value.ends_with('/')
        });
        if good.is_none() {
            let problem = Diagnostic::error(root.at, "`public_url`: this cannot be Moodle's wwwroot");
            self.report(problem.help(
                "write $CFG->wwwroot as config.php has it: https (http only to this machine), no slash at its end",
            ));
        }
        good
    }

    fn moodle_tokens(&mut self, tokens: Key<Vec<At<MoodleSource>>>) -> Option<Vec<MoodleSource>> {
        let tokens = tokens.into_given()?;
        let help = "remove it for the default, or name at least one source";
        self.not_empty(&tokens, "tokens", help)?;
        self.unique("source", &tokens.value);
        Some(values(tokens.value))
    }

    /// The browser comes to Moodle's host with a ticket, or goes through Moodle itself; only who stands there can take what
    /// that brings.
    fn moodle_host(&mut self, at: Span, url: &Url, tokens: &[MoodleSource], known: &Known) {
        let by_browser = |source: &&MoodleSource| {
            matches!(
                source,
                MoodleSource::CasLaunch | MoodleSource::CasToken | MoodleSource::Launch | MoodleSource::OidcLaunch
            )
        };
        let (Some(source), Some(hosts), Some(host)) = (tokens.iter().find(by_browser), &known.hosts, url.host_str())
        else {
            return;
        };
        if !hosts.iter().any(|known| known.value == host) {
            let message = format!("\"{}\" needs the gateway in front of Moodle's own host", source.label());
            let problem = Diagnostic::error(at, message);
            self.report(problem.help("add this URL to server.public_urls, or use \"vault\" or \"cas-facade\""));
        }
    }

    /// `Some(None)`: none is wanted.
    fn facade(
        &mut self,
        facade: Key<file::Facade>,
        tokens: Option<&[MoodleSource]>,
        place: Span,
    ) -> Option<Option<Facade>> {
        let example = "facade = { path = \"/_janua/cas-facade\", from = [\"10.0.0.7/32\"] }, with Moodle's addresses";
        let of = (MoodleSource::CasFacade, "facade", example);
        let Some(facade) = self.of_source(facade, of, (tokens?, place))? else {
            return Some(None);
        };
        let facade = facade.value;
        let path = facade.path.given().and_then(|path| self.accel_prefix(path, "path"));
        let from = facade.from.into_given()?;
        self.not_empty(&from, "from", "name Moodle's addresses: nobody else is answered")?;
        if let Some(all) = from.value.iter().find(|network| network.value.prefix_len() == 0) {
            let problem = Diagnostic::error(all.at, "anyone could ask who a ticket is for");
            self.report(problem.help("name Moodle's own addresses"));
        }
        let is_name = |name: &At<String>| {
            let mut bytes = name.value.bytes();
            let begins = bytes
                .next()
                .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
            begins && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        if let Some(odd) = facade.attributes.iter().find(|name| !is_name(name)) {
            let problem = Diagnostic::error(odd.at, "this cannot be told as an attribute of CAS");
            self.report(
                problem.help("a name there begins with a letter or `_`, and goes on with those, digits, `-` and `.`"),
            );
        }
        Some(Some(Facade {
            path: path?,
            attributes: values(facade.attributes),
            from: values(from.value),
        }))
    }

    fn short_name(&mut self, service: &At<String>) -> Option<String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let good = !service.value.is_empty() && service.value.len() <= 255 && service.value.bytes().all(plain);
        if !good {
            let problem = Diagnostic::error(service.at, "`service`: this cannot be the short name of a service");
            self.report(problem.help("Site administration, Server, Web services, External services tells it"));
        }
        good.then(|| service.value.clone())
    }

    /// `functions` of a route, and whether tokens for it can be had. `Some(None)`: all functions.
    pub(super) fn moodle_route(&mut self, route: OfRoute<'_>, known: &Known) -> Option<Option<Vec<FunctionRule>>> {
        let Some(at) = route.present else {
            let functions = route.functions.given().map(|functions| functions.at);
            for (name, at) in [("functions", functions), ("rewrite_urls", route.rewrites)] {
                if let Some(at) = at {
                    let problem = Diagnostic::error(at, format!("`{name}` means nothing without Moodle's tokens"));
                    self.report(problem.help("add present = \"moodle-token\", or remove this key"));
                }
            }
            return Some(None);
        };
        self.moodle_sessions(at, &route, known);
        let functions = match route.functions {
            Key::Given(functions) => functions,
            Key::Absent => return Some(None),
            Key::Bad => return None,
        };
        self.not_empty(
            &functions,
            "functions",
            "remove it for all functions, or name at least one",
        )?;
        every(functions.value.into_iter().map(|entry| self.functions(entry))).map(Some)
    }

    /// A token belongs to a person, who comes by a session or an access token, and is one of the Moodle's sign-in's people.
    fn moodle_sessions(&mut self, at: Span, route: &OfRoute<'_>, known: &Known) {
        let (accept, accept_at) = route.accept;
        let names_people = |kind: &Credential| matches!(kind, Credential::Session | Credential::Bearer);
        if accept.is_empty() || !accept.iter().all(names_people) {
            let message = "tokens of Moodle's are for people with a session or an access token";
            let problem = Diagnostic::error(at, message).also(accept_at, "here");
            self.report(problem.help(
                "set accept = [\"session\"], or [\"session\", \"bearer\"]: whoever comes by a token of [jwt] has no account in \
                 Moodle",
            ));
        }
        let Some(Action::Upstream(upstream)) = route.action else {
            return;
        };
        let Some(moodle) = known.moodles.iter().find(|moodle| moodle.upstream == *upstream) else {
            // A Moodle with a mistake of its own has been told.
            if known.moodles_complete {
                let problem = Diagnostic::error(at, "no Moodle has this route's upstream");
                self.report(problem.help("add [moodle.main] with upstream, public_url and sign_in"));
            }
            return;
        };
        let is_its = |sign_in: &usize| known.people.get(*sign_in) == known.people.get(moodle.sign_in);
        if route.sign_ins.is_some_and(|named| !named.iter().any(is_its)) {
            let problem = Diagnostic::error(at, "this route takes no sessions of the sign-in that its Moodle names");
            self.report(problem.help("name the same sign-in in the route's `sign_in` and in [moodle.…]"));
        }
        let theirs = known
            .people
            .get(moodle.sign_in)
            .filter(|_| accept.contains(&Credential::Bearer));
        let Some(theirs) = theirs else { return };
        let mut bearers = known.bearer_people.iter().enumerate();
        let is_taken = |index: &usize| route.bearers.is_none_or(|named| named.contains(index));
        if !known.bearer_people.is_empty()
            && !bearers.any(|(index, people)| is_taken(&index) && people.as_ref() == Some(theirs))
        {
            let problem = Diagnostic::error(at, "nobody with an access token of this route is known to its Moodle");
            self.report(problem.help(format!(
                "write people = {:?} into the [bearer.…] whose server names the same people",
                &**theirs
            )));
        }
    }
}
