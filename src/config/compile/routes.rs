//! `[[routes]]`, one by one. What they mean to each other is in `conflicts`, their rules are in `rules`.

use std::ops::RangeInclusive;
use std::sync::Arc;

use http::{HeaderName, Method, header};

use super::action::{Actions, Kind, kind};
use super::bearer::OfRoute as OfBearer;
use super::conflicts::Claim;
use super::jwt::rate;
use super::launch::{self, Launched};
use super::moodle::OfRoute;
use super::server::values;
use super::signed_url;
use super::unmet::Vouching;
use super::{Checker, Known, every};
use crate::config::diagnostics::{Diagnostic, Span};
use crate::config::path_pattern::PathPattern;
use crate::config::read::{At, Key};
use crate::config::{Action, Cors, IdentityHeaders, Limits, Present, Route, file};
use crate::request::REQUEST_ID;

/// Headers that say something else already.
const FRAMING: [HeaderName; 13] = [
    header::HOST,
    header::COOKIE,
    header::AUTHORIZATION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::TE,
    header::UPGRADE,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    REQUEST_ID,
];

/// Bounds of `burst`, whose default depends on `rate`.
const MOST_AT_ONCE: RangeInclusive<u64> = 1..=1_000_000;

impl Checker<'_> {
    pub(super) fn routes(&mut self, routes: Key<Vec<At<file::Route>>>, known: &Known) -> Option<Vec<Arc<Route>>> {
        let routes = match routes {
            Key::Given(routes) if !routes.value.is_empty() => routes.value,
            Key::Bad => return None,
            Key::Given(_) | Key::Absent => {
                let message = "there is no [[routes]]: nothing is published";
                let help = "add [[routes]] with name, path, allow, and one of upstream, files, accel, respond";
                self.report(Diagnostic::error_nowhere(message).help(help));
                return None;
            }
        };
        let names = routes.iter().filter_map(|route| route.value.name.given());
        self.unique("route name", names);
        self.rules_for_nobody(&routes, known);
        let mut linking = routes
            .iter()
            .map(|route| &route.value.watch_urls)
            .filter(|urls| urls.value);
        let linking = linking.find_map(|urls| urls.written());
        let mut claims = Vec::new();
        let mut launched = Vec::new();
        let compiled = every(routes.into_iter().map(|route| {
            let route = self.route(route.value, known, &mut claims, &mut launched);
            route.map(Arc::new)
        }));
        self.conflicts(&claims);
        self.launches(&launched, known);
        if let (Some(at), Some(routes)) = (linking, &compiled) {
            self.urls_of_nothing(at, routes);
        }
        compiled
    }

    fn route(
        &mut self,
        route: file::Route,
        known: &Known,
        claims: &mut Vec<Claim>,
        launched: &mut Vec<Launched>,
    ) -> Option<Route> {
        let place = route.place;
        let personal = launch::personal(&route);
        let name = route.name.given().filter(|name| self.name(name).is_some());
        let hosts = self.hosts(route.host, route.hosts, known);
        let path = route.path.given();
        if let Some(path) = path.filter(|path| path.value.is_reserved()) {
            let problem = Diagnostic::error(path.at, "the gateway keeps the paths under /_janua/ for itself");
            self.report(problem.help("publish it under another path"));
        }
        let actions = Actions {
            upstream: route.upstream,
            files: route.files,
            accel: route.accel,
            respond: route.respond,
        };
        let kind = kind(&actions);
        let action = match kind {
            // What it does may be what the strange key says.
            None if route.has_unknown_keys => None,
            _ => self.action(actions, place, known),
        };
        let kind = match &action {
            Some(Action::Upstream(index)) if known.is_bucket(*index) => Some(Kind::Bucket),
            _ => kind,
        };
        let methods_at = route.methods.given().map(|methods| methods.at);
        let methods = match self.route_methods(route.methods, kind) {
            Some(None) if action == Some(Action::Launch) => Some(Some(vec![Method::POST])),
            methods => methods,
        };
        if let (Some(path), Some(hosts), Some(methods)) = (path, &hosts, &methods) {
            claims.push(Claim {
                at: methods_at.unwrap_or(path.at),
                path_at: path.at,
                hosts: hosts.clone(),
                shape: path.value.shape(),
                methods: methods.clone(),
            });
        }
        let strip_at = route.strip.given().map(|strip| strip.at);
        let strip = self.strip(route.strip, path, kind);
        self.only_for_upstreams(route.path_params.written(), "path_params", kind);
        self.only_for_upstreams(route.websocket.given().map(|given| given.at), "websocket", kind);
        self.only_for_files(route.well_known.written(), action.as_ref());
        self.only_for_upstreams(route.present.written(), "present", kind);
        self.only_for_upstreams(
            route.keep_token.written().filter(|_| route.keep_token.value),
            "keep_token",
            kind,
        );
        let watch_urls = route.watch_urls.written().filter(|_| route.watch_urls.value);
        self.only_for_upstreams(watch_urls, "watch_urls", kind);
        let accept_at = route.accept.written().unwrap_or(place);
        self.unique("kind of credential", &route.accept.value);
        let accept = values(route.accept.value);
        let asks_at = route.else_ask.given().map(|ask| ask.at);
        self.urls_nobody_earns(watch_urls, (&accept, accept_at));
        self.upstream_judges((&accept, accept_at), action.as_ref(), strip_at, asks_at, &known.buckets);
        let issuers = self.accepted_issuers(route.issuers, known);
        let sign_ins = self.route_sign_ins(route.sign_in, (&accept, accept_at), known);
        let of_bearer = OfBearer {
            accept: &accept,
            accept_at,
        };
        let bearers = self.route_bearers(route.bearer, &of_bearer, known);
        let of_signed = signed_url::OfRoute {
            accept: (&accept, accept_at),
            present: &route.present,
            action: action.as_ref(),
            place,
        };
        let signed_urls = self.route_signed_urls(route.signed_urls, &of_signed, known);
        let sign = self.sign(route.sign, &of_signed, known);
        let identity_headers = self.identity_headers(&route.present, route.headers);
        let of_moodle = OfRoute {
            present: (route.present.value == Present::MoodleToken).then_some(route.present.at),
            functions: route.functions,
            rewrites: route.rewrite_urls.written().filter(|_| route.rewrite_urls.value),
            action: action.as_ref(),
            accept: (&accept, accept_at),
            sign_ins: sign_ins.as_ref().and_then(|named| named.as_deref()),
            bearers: bearers.as_ref().and_then(|named| named.as_deref()),
        };
        let functions = self.moodle_route(of_moodle, known);
        let vouching = Vouching {
            accept: &accept,
            issuers: issuers.as_ref().and_then(Option::as_deref),
            sign_ins: sign_ins.as_ref().and_then(Option::as_deref),
            bearers: bearers.as_ref().and_then(Option::as_deref),
            strip: strip_at,
            known,
        };
        self.lists(&route.allow, &route.deny, &vouching, path);
        let allow = self.allow(route.allow, place, path, known);
        let deny = self.rules(route.deny.or_default(), path, known);
        let else_ask = route.else_ask.checked(|ask| self.else_ask(ask.value, path, known));
        let opencast = self.asked_opencast(
            allow.as_deref().unwrap_or_default(),
            action.as_ref(),
            else_ask.as_ref().and_then(Option::as_ref),
            place,
            known,
        );
        let opencast_jwt = self.presenting_opencast(&route.present, action.as_ref(), known);
        if route.watch.is_absent() {
            self.passes_nobody_earns(&accept, accept_at);
        }
        let watch = route.watch;
        let rules = allow.as_deref().unwrap_or_default();
        let watch =
            watch.checked(|watch| self.watch(watch.value, (&accept, accept_at), path, (action.as_ref(), rules)));
        let of_launch = launch::OfRoute {
            place,
            hosts: hosts.as_ref(),
            action: action.as_ref(),
            accept: (&accept, accept_at),
            methods: methods.as_ref().and_then(Option::as_deref).zip(methods_at),
            personal,
        };
        let launch = self.launch(route.launch, &of_launch, known, launched);
        let views = self.views(route.views, path, action.as_ref());
        let cors = match route.cors {
            // Public keys are for everyone: any web page may verify a token itself.
            Key::Absent if matches!(action, Some(Action::KeySet(_) | Action::OwnKeys)) => Some(Some(Cors {
                origins: vec!["*".to_owned()],
                ..Cors::default()
            })),
            cors => cors.checked(|cors| self.cors(cors.value)),
        };
        let frames = self.frames(route.frame_ancestors, route.permissions);
        let limits = route.limits.or_empty().and_then(|limits| self.limits(limits));
        Some(Route {
            name: name?.value.as_str().into(),
            hosts: hosts?,
            path: path?.value.text.clone(),
            path_params: route.path_params.value,
            websocket: route.websocket.into_value(),
            well_known: route.well_known.value,
            methods: methods?,
            action: action?,
            strip: strip?,
            accept,
            issuers: issuers?,
            sign_ins: sign_ins?,
            bearers: bearers?,
            signed_urls: signed_urls?,
            sign: sign?,
            allow: allow?,
            deny: deny?,
            else_ask: else_ask?,
            opencast: opencast?,
            opencast_jwt: opencast_jwt?,
            watch: watch?,
            launch: launch?,
            views: views?,
            cors: cors?,
            frames: frames?,
            limits: limits?,
            present: route.present.value,
            identity_headers: identity_headers?,
            functions: functions?,
            rewrite_urls: route.rewrite_urls.value,
            keep_token: route.keep_token.value,
            watch_urls: route.watch_urls.value,
        })
    }

    /// `Some(None)`: any method.
    fn route_methods(&mut self, methods: Key<Vec<At<Method>>>, kind: Option<Kind>) -> Option<Option<Vec<Method>>> {
        let reads_only = matches!(kind, Some(Kind::Files | Kind::Bucket | Kind::Respond(true)));
        let methods = match methods {
            Key::Given(methods) => methods,
            Key::Absent if reads_only => return Some(Some(vec![Method::GET, Method::HEAD])),
            Key::Absent => return Some(None),
            Key::Bad => return None,
        };
        self.not_empty(
            &methods,
            "methods",
            "remove it for the default, or name at least one method",
        )?;
        self.unique("method", &methods.value);
        if reads_only {
            let is_read = |method: &Method| *method == Method::GET || *method == Method::HEAD;
            for method in methods.value.iter().filter(|method| !is_read(&method.value)) {
                let problem = Diagnostic::error(method.at, "a file can only be read");
                self.report(problem.help("GET and HEAD; OPTIONS is answered by `cors`"));
            }
        }
        Some(Some(values(methods.value)))
    }

    fn strip(&mut self, strip: Key<String>, path: Option<&At<PathPattern>>, kind: Option<Kind>) -> Option<String> {
        let strip = match strip {
            Key::Given(strip) => strip,
            Key::Absent => return Some(String::new()),
            Key::Bad => return None,
        };
        if matches!(kind, Some(Kind::Respond(_))) {
            let problem = Diagnostic::error(strip.at, "`strip` means nothing for a fixed answer");
            self.report(problem.help("remove this key"));
            return None;
        }
        let path = path?;
        let rest = path.value.text.strip_prefix(&strip.value);
        let is_prefix = strip.value.starts_with('/')
            && !strip.value.contains('{')
            && rest.is_some_and(|rest| rest.starts_with('/'));
        if is_prefix {
            return Some(strip.value);
        }
        let problem = Diagnostic::error(strip.at, "`strip` is not the beginning of `path`").also(path.at, "this path");
        let longest = path.value.longest_strip();
        self.report(problem.help(match longest.as_str() {
            "" => "this path has nothing that can be stripped: remove the key".to_owned(),
            longest => format!("whole literal segments, without a slash at the end: at most \"{longest}\""),
        }));
        None
    }

    /// `Some(None)`: the route does not name people.
    fn identity_headers(
        &mut self,
        present: &At<Present>,
        headers: Key<file::IdentityHeaders>,
    ) -> Option<Option<IdentityHeaders>> {
        if present.value != Present::Headers {
            if let Some(headers) = headers.given() {
                let problem = Diagnostic::error(headers.at, "`headers` means nothing here");
                self.report(problem.help("add present = \"headers\", or remove this key"));
            }
            return Some(None);
        }
        let headers = headers.or_empty()?;
        let mut is_good = true;
        for name in [&headers.subject, &headers.roles] {
            if FRAMING.contains(&name.value) {
                let problem = Diagnostic::error(name.at, "this header has a meaning of its own");
                self.report(problem.help("choose another name, such as \"X-Forwarded-User\""));
                is_good = false;
            }
        }
        let at = headers.roles.written().or(headers.subject.written());
        let headers = IdentityHeaders {
            subject: headers.subject.value,
            roles: headers.roles.value,
        };
        // What a CGI upstream sees of either is the same variable: HTTP_X_NAME.
        let as_variable = |name: &HeaderName| name.as_str().replace('-', "_");
        if let Some(at) = at.filter(|_| as_variable(&headers.subject) == as_variable(&headers.roles)) {
            let problem = Diagnostic::error(at, "one header for both the name and the roles");
            self.report(problem.help("give them two names that differ in more than `-` and `_`"));
            is_good = false;
        }
        is_good.then_some(Some(headers))
    }

    fn only_for_upstreams(&mut self, given: Option<Span>, name: &str, kind: Option<Kind>) {
        if let (Some(at), Some(Kind::Bucket)) = (given, kind) {
            let problem = Diagnostic::error(at, format!("`{name}` means nothing for a bucket"));
            self.report(problem.help("remove this key: an object store is shown nothing of the client"));
        }
        if let (Some(at), Some(Kind::Files | Kind::Respond(_))) = (given, kind) {
            let problem = Diagnostic::error(at, format!("`{name}` is only for routes with an upstream"));
            self.report(problem.help("remove this key"));
        }
    }

    fn only_for_files(&mut self, given: Option<Span>, action: Option<&Action>) {
        let has_files = matches!(action, None | Some(Action::Files(_) | Action::Accel(_)));
        if let Some(at) = given.filter(|_| !has_files) {
            let problem = Diagnostic::error(at, "`well_known` is only for routes with `files` or `accel`");
            self.report(problem.help("remove this key"));
        }
    }

    /// So many at once within a rate: the key `name` of a rate that is written as in `example`.
    pub(super) fn burst(&mut self, burst: Key<u64>, (name, example): (&str, &str), has_no_rate: bool) -> Option<u32> {
        let burst = burst.into_given()?;
        if has_no_rate {
            let rate = example.split(' ').next().unwrap_or(example);
            let problem = Diagnostic::error(burst.at, format!("`{name}` means nothing without `{rate}`"));
            self.report(problem.help(format!("add {example}, or remove this key")));
        }
        if !MOST_AT_ONCE.contains(&burst.value) {
            let size = if burst.value == 0 { "small" } else { "large" };
            let problem = Diagnostic::error(burst.at, format!("`{name}` is too {size}"));
            let (least, most) = MOST_AT_ONCE.into_inner();
            self.report(problem.label(format!("allowed: {least} to {most}")));
        }
        u32::try_from(burst.value).ok()
    }

    fn limits(&mut self, limits: file::Limits) -> Option<Limits> {
        let burst = self.burst(limits.burst, ("burst", "rate = \"50/s\""), limits.rate.is_absent());
        Some(Limits {
            body: limits.body.value().map(|size| size.0),
            rate: limits.rate.into_value().map(|per_second| rate(per_second, burst)),
        })
    }
}
