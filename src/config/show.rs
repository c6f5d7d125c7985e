//! The configuration that is in force: what was written, and the defaults of what was not, marked as such.
//!
//! What was written stands as it was written: a `${NAME}` stays a name. Keys whose absence is their default (no limit,
//! any method) stay absent. The output is a gateway.toml that means the same as the one it came from.

use std::fmt::Display;
use std::time::Duration;

use toml_edit::visit_mut::{VisitMut, visit_array_mut, visit_inline_table_mut, visit_table_mut};
use toml_edit::{Array, DocumentMut, Formatted, InlineTable, Item, Table, TableLike, TomlError, Value};

use super::cas::Protocol;
use super::value::duration_text;
use super::{Action, Balance, Config, Issuer, LogFormat, LogLevel, Present, Route, State, Upstream};
use super::{Carry, Credential, Jwt, Provider, Server, SignIn, TokenSource};
use crate::redact;

/// Fills the defaults of `config` into `source`, the text it was compiled from.
pub fn show(source: &str, config: &Config) -> Result<String, TomlError> {
    let mut document: DocumentMut = source.parse()?;
    Plain.visit_document_mut(&mut document);
    document.set_trailing("");
    let root = document.as_table_mut();
    server(section(root, "server"), &config.server);
    log(section(root, "log"), config);
    state(section(root, "state"), &config.state);
    jwt(section(root, "jwt"), &config.jwt);
    for sign_in in &config.sign_ins {
        let written = root.get_mut("sign_in").and_then(Item::as_table_like_mut);
        if let Some(item) = written.and_then(|all| all.get_mut(&sign_in.name)) {
            self::sign_in(item, sign_in);
        }
    }
    for moodle in &config.moodles {
        let written = root.get_mut("moodle").and_then(Item::as_table_like_mut);
        if let Some(item) = written.and_then(|all| all.get_mut(&moodle.name)) {
            let mut table = Section::of(item);
            table.default("username", "user");
            table.default("service", moodle.service.as_str());
            table.default("tokens", list(moodle.tokens.iter().map(|source| source.label())));
            table.default("never", Array::new());
            table.default("own_tokens", moodle.own_tokens.label());
        }
    }
    for opencast in &config.opencasts {
        let written = root.get_mut("opencast").and_then(Item::as_table_like_mut);
        if let Some(item) = written.and_then(|all| all.get_mut(&opencast.name)) {
            let mut table = Section::of(item);
            table.default("acl_ttl", duration_text(opencast.acl_ttl));
            table.default("acl_stale", duration_text(opencast.acl_stale));
            table.default("acl_timeout", duration_text(opencast.acl_timeout));
            table.default("unknown_events", format!("{}/s", opencast.unknown_events.per_second));
            table.default("sign_key_file", super::compile::DEFAULT_SIGN_KEY);
            table.default("never", list(super::compile::NEVER));
        }
    }
    for upstream in &config.upstreams {
        let written = root.get_mut("upstreams").and_then(Item::as_table_like_mut);
        if let Some(item) = written.and_then(|all| all.get_mut(&upstream.name)) {
            self::upstream(item, upstream);
        }
    }
    each(root.get_mut("routes"), &config.routes, |item, route| {
        let upstream = match route.action {
            Action::Upstream(index) => config.upstreams.get(index),
            _ => None,
        };
        let websocket = route.websocket.or(upstream.map(|upstream| upstream.websocket));
        self::route(item, route, websocket.unwrap_or_default(), &config.jwt.issuers, source);
    });
    Ok(document.to_string().trim_start().to_owned())
}

fn server(mut table: Section<'_>, server: &Server) {
    table.default("tls", Array::new());
    table.default("strict_host", server.strict_host);
    table.default("admin", server.admin.to_string());
    table.default("admin_hosts", Array::new());
    table.default("denials", number(server.denials));
    table.default("control", super::compile::DEFAULT_CONTROL);
    table.default("max_header", bytes(server.max_header as u64));
    table.default("trusted_proxies", Array::new());
    table.default("threads", number(server.threads));
    table.default("shutdown_grace", duration_text(server.shutdown_grace));
    let timeouts = &server.timeouts;
    table.durations(
        "timeouts",
        &[
            ("header", timeouts.header),
            ("keep_alive", timeouts.keep_alive),
            ("read", timeouts.read),
            ("write", timeouts.write),
        ],
    );
    let mut connections = table.inner("connections");
    connections.default("max", number(server.connections.max));
    connections.default("per_address", number(server.connections.per_address));
}

fn log(mut table: Section<'_>, config: &Config) {
    let level = match config.log.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    let format = match config.log.format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    table.default("level", level);
    table.default("format", format);
}

fn state(mut table: Section<'_>, state: &State) {
    match state {
        State::Memory => table.default("store", "memory"),
        State::Embedded { .. } => {
            table.default("store", "embedded");
            table.default("path", super::compile::DEFAULT_STATE);
            table.default("key_file", super::compile::DEFAULT_MASTER_KEY);
        }
        State::Valkey(_) => table.default("key_file", super::compile::DEFAULT_MASTER_KEY),
    }
}

fn jwt(mut table: Section<'_>, jwt: &Jwt) {
    table.default(
        "algorithms",
        list(jwt.algorithms.iter().map(|algorithm| algorithm.name())),
    );
    table.default("sources", jwt.sources.iter().map(source).collect::<Array>());
    table.default("roles_claims", list(&jwt.roles_claims));
    table.default("leeway", duration_text(jwt.leeway));
    table.default("refresh", duration_text(jwt.refresh));
    table.default("keep_stale", duration_text(jwt.keep_stale));
    table.default("cache", bytes(jwt.cache));
    table.default("bad_signatures", format!("{}/s", jwt.bad_signatures.per_second));
    table.default("max_token", bytes(jwt.max_token as u64));
    table.default("max_key_set", bytes(jwt.max_key_set as u64));
    table.default("max_roles", i64::try_from(jwt.max_roles).unwrap_or(i64::MAX));
    table.default("max_grants", i64::try_from(jwt.max_grants).unwrap_or(i64::MAX));
    each(table.item("issuers"), &jwt.issuers, |item, issuer| {
        let mut table = Section::of(item);
        table.default("allow_actions", list(&issuer.allow_actions));
        table.default("max_lifetime", duration_text(issuer.max_lifetime));
        table.default("may_name_users", issuer.may_name_users);
        table.default("watch_max", duration_text(issuer.watch_max));
        table.default("allow_http", false);
    });
}

fn source(source: &TokenSource) -> Value {
    let mut table = InlineTable::new();
    match source {
        TokenSource::Header { name, scheme } => {
            table.insert("header", name.as_str().into());
            table.insert("scheme", scheme.into());
        }
        TokenSource::Query { parameter } => {
            table.insert("query", parameter.into());
        }
        TokenSource::Form { parameter } => {
            table.insert("form", parameter.into());
        }
    }
    table.into()
}

fn upstream(item: &mut Item, upstream: &Upstream) {
    let mut table = Section::of(item);
    table.default(
        "balance",
        match upstream.balance {
            Balance::RoundRobin => "round_robin",
            Balance::Consistent => "consistent",
        },
    );
    table.default("websocket", upstream.websocket);
    table.default("host", "keep");
    table.durations("health", &[("every", upstream.health.every)]);
    let timeouts = [("connect", upstream.connect_timeout), ("read", upstream.read_timeout)];
    table.durations("timeouts", &timeouts);
}

fn sign_in(item: &mut Item, sign_in: &SignIn) {
    let mut table = Section::of(item);
    table.default("roles", Array::new());
    table.default("app_origins", Array::new());
    let mut session = table.inner("session");
    session.default("idle", duration_text(sign_in.session.idle));
    session.default("absolute", duration_text(sign_in.session.absolute));
    session.default("per_subject", number(sign_in.session.per_subject));
    let Provider::Cas(cas) = &sign_in.provider;
    let mut table = table.inner("cas");
    let protocol = match cas.protocol {
        Protocol::Cas1 => 1,
        Protocol::Cas2 => 2,
        Protocol::Cas3 => 3,
    };
    table.default("protocol", protocol);
    table.default("username", "user");
    table.default("renew", cas.renew);
    table.default("passive", cas.passive);
    table.default("single_logout", cas.single_logout);
    table.default("proxy_chains", Array::new());
}

fn route(item: &mut Item, route: &Route, websocket: bool, issuers: &[Issuer], source: &str) {
    // These defaults repeat what stands elsewhere in the file; not what a variable holds, which stands nowhere.
    let is_written = |text: &str| source.to_ascii_lowercase().contains(&text.to_ascii_lowercase());
    let mut table = Section::of(item);
    if is_written(&route.host) {
        table.default("host", route.host.as_str());
    }
    if let Some(methods) = &route.methods {
        table.default("methods", list(methods));
    }
    if let Action::Files(_) | Action::Accel(_) = route.action {
        table.default("well_known", route.well_known);
    }
    if let Action::Upstream(_) = route.action {
        table.default("path_params", route.path_params);
        table.default("websocket", websocket);
        let present = match route.present {
            Present::Pass => "pass",
            Present::None => "none",
            Present::MoodleToken => "moodle-token",
            Present::OpencastJwt => "opencast-jwt",
            Present::Headers => "headers",
        };
        table.default("present", present);
        if let Some(headers) = &route.identity_headers {
            let mut inner = table.inner("headers");
            inner.default("subject", headers.subject.as_str());
            inner.default("roles", headers.roles.as_str());
        }
    }
    table.default("accept", list(route.accept.iter().map(credential)));
    if route.issuers.is_none() && !issuers.is_empty() && issuers.iter().all(|issuer| is_written(&issuer.name)) {
        table.default("issuers", list(issuers.iter().map(|issuer| &issuer.name)));
    }
    table.default("deny", Array::new());
    if let Some(watch) = &route.watch {
        let mut table = table.inner("watch");
        let carry = watch.carry.iter().map(|carry| match carry {
            Carry::Cookie => "cookie",
            Carry::Rewrite => "rewrite",
        });
        table.default("carry", list(carry));
        table.default("ttl", duration_text(watch.ttl));
    }
    if let Some(launch) = &route.launch {
        table.durations("launch", &[("idle", launch.idle), ("absolute", launch.absolute)]);
    }
    if let Some(ask) = &route.else_ask {
        table.inner("else_ask").default("method", ask.method.as_str());
    }
    if let Action::Decide(_) = route.action {
        table.inner("respond").inner("decide").default("host", "Host");
    }
    if let Some(cors) = &route.cors {
        let mut table = table.inner("cors");
        table.default("origins", list(&cors.origins));
        table.default("credentials", cors.credentials);
        table.default("headers", list::<&str>([]));
        table.default("expose", list::<&str>([]));
    }
    if let Some(rate) = &route.limits.rate {
        table.inner("limits").default("burst", i64::from(rate.burst));
    }
}

fn credential(credential: &Credential) -> &'static str {
    match credential {
        Credential::Jwt => "jwt",
        Credential::Session => "session",
        Credential::Watch => "watch",
        Credential::Launch => "launch",
    }
}

fn list<T: Display>(items: impl IntoIterator<Item = T>) -> Array {
    items.into_iter().map(|item| item.to_string()).collect()
}

/// What no machine has more of than fits is written as what fits.
fn number(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn bytes(size: u64) -> String {
    match size {
        0 => "0".to_owned(),
        size if size.is_multiple_of(1 << 20) => format!("{}MiB", size >> 20),
        size => format!("{size}B"),
    }
}

/// A table of the root; made if missing.
fn section<'a>(root: &'a mut Table, name: &str) -> Section<'a> {
    Section::of(root.entry(name).or_insert_with(|| Item::Table(Table::new())))
}

/// The tables of a list, however it is written, beside what they became.
fn each<T>(list: Option<&mut Item>, made: &[T], fill: impl Fn(&mut Item, &T)) {
    match list {
        Some(Item::ArrayOfTables(tables)) => {
            for (table, made) in tables.iter_mut().zip(made) {
                let mut item = Item::Table(std::mem::take(table));
                fill(&mut item, made);
                if let Ok(filled) = item.into_table() {
                    *table = filled;
                }
            }
        }
        Some(Item::Value(Value::Array(values))) => {
            for (value, made) in values.iter_mut().zip(made) {
                let mut item = Item::Value(value.clone());
                fill(&mut item, made);
                if let Ok(filled) = item.into_value() {
                    *value = filled;
                }
            }
        }
        _ => {}
    }
}

/// A table in which defaults are filled in. Comments can stand only where each key has a line of its own.
struct Section<'a> {
    table: Option<&'a mut dyn TableLike>,
    has_lines: bool,
}

impl<'a> Section<'a> {
    fn of(item: &'a mut Item) -> Self {
        let has_lines = item.is_table();
        let table = item.as_table_like_mut();
        Self { table, has_lines }
    }

    fn item(&mut self, key: &str) -> Option<&mut Item> {
        self.table.as_mut()?.get_mut(key)
    }

    fn default(&mut self, key: &str, value: impl Into<Value>) {
        let Some(table) = self.table.as_mut().filter(|table| !table.contains_key(key)) else {
            return;
        };
        let mut value = value.into();
        if self.has_lines {
            value.decor_mut().set_suffix("  # default");
        }
        table.insert(key, Item::Value(value));
    }

    /// A table inside this one; made if missing.
    fn inner(&mut self, key: &str) -> Section<'_> {
        self.default(key, InlineTable::new());
        match self.item(key) {
            Some(item) => Section::of(item),
            None => Section {
                table: None,
                has_lines: false,
            },
        }
    }

    fn durations(&mut self, key: &str, durations: &[(&str, Duration)]) {
        let mut inner = self.inner(key);
        for (name, duration) in durations {
            inner.default(name, duration_text(*duration));
        }
    }
}

/// Takes comments and layout away, and passwords out of URLs.
struct Plain;

impl VisitMut for Plain {
    fn visit_table_mut(&mut self, table: &mut Table) {
        table.decor_mut().set_prefix("\n");
        table.decor_mut().set_suffix("");
        table.fmt();
        visit_table_mut(self, table);
    }

    fn visit_inline_table_mut(&mut self, table: &mut InlineTable) {
        table.fmt();
        visit_inline_table_mut(self, table);
    }

    fn visit_array_mut(&mut self, array: &mut Array) {
        array.fmt();
        array.set_trailing_comma(false);
        visit_array_mut(self, array);
    }

    fn visit_string_mut(&mut self, string: &mut Formatted<String>) {
        if let Some(hidden) = redact::user_info(string.value()) {
            let decor = string.decor().clone();
            *string = Formatted::new(hidden);
            *string.decor_mut() = decor;
        }
    }
}
