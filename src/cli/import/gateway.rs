//! The gateway.toml that does what an Octoka did.
//!
//! What Octoka lets pass without being asked is kept, so that nothing stops playing, and marked with WARNING; what is
//! different here is marked with NOTE.

use std::path::Path;

use anyhow::{Context as _, bail};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value};
use url::Url;

use super::octoka::{Fallback, Http, Octoka, Source, duration};

const ADMIN: &str = "\
WARNING: in Octoka, whoever holds one of these issuers' keys can call themselves ROLE_ADMIN, and that opens every event.
Remove the role here and in `allow` below if this issuer has no business with it.";
const LIFETIME: &str = "\
WARNING: Octoka sets no bound to how long a token may be valid. Moodle's are valid for 4h: a bound close to what your
issuer needs makes a leaked link worth less.";
const ALGORITHMS: &str = "\
WARNING: Octoka takes every algorithm that fits a key. Remove those that your issuers do not use; most use ES256 alone.
NOTE: ES512, RS384, RS512, PS384 and PS512 are not taken here.";
const PER_ADDRESS: &str = "\
NOTE: behind another web server all connections come from its address.";
const PROXIES: &str = "\
NOTE: is nginx in front? Then name its address, so that its X-Forwarded-For is believed:
trusted_proxies = [\"127.0.0.1\"]";
const KEEP_STALE: &str = "\
NOTE: Octoka drops the keys of an issuer that does not answer; here the last good ones serve on for this long.";
const STATE: &str = "\
NOTE: as with Octoka, nothing outlives a restart. To keep the issuers' keys and the watch passes over one:
store = \"embedded\" and path = \"/var/lib/janua/janua.redb\", in a folder that the gateway may write to.";
const WATCH: &str = "\
NOTE: a player that came with a token goes on when the token is over, by a cookie for its event; Octoka lets it stop.
To have it as before, remove `accept` and `watch`.";
const MIN_REFRESH: &str = "NOTE: Octoka fetches keys more often; 30s is the shortest time here.";
const FIRST_VALID: &str = "\
NOTE: the first *valid* token counts; in Octoka the first one found.";

/// Writes the file. Errors: what has no counterpart.
pub(super) fn write(octoka: &Octoka) -> anyhow::Result<String> {
    let mut document = DocumentMut::new();
    let root = document.as_table_mut();
    root.insert("server", Item::Table(server(&octoka.http).context("http")?));
    root.insert("log", Item::Table(log(octoka)));
    root.insert("state", Item::Table(state()));
    root.insert("jwt", Item::Table(jwt(octoka)?));
    if octoka.opencast.fallback != Fallback::None {
        root.insert("upstreams", Item::Table(upstreams(octoka).context("opencast.host")?));
    }
    root.insert("routes", Item::ArrayOfTables(routes(octoka)?));
    Ok(format!(
        "# Made from Octoka's configuration by `janua import octoka`. `janua config example` explains every key.\n{document}"
    ))
}

fn server(http: &Http) -> anyhow::Result<Table> {
    let mut table = Table::new();
    // Both can run side by side until this one has shown that it does the same.
    let port = http.port.checked_add(1).unwrap_or(http.port - 1);
    let at = |port| std::net::SocketAddr::new(http.address, port).to_string();
    table.insert("listen", list([at(port)]));
    let beside = format!(
        "NOTE: beside Octoka, which listens on {0}. In its place, with Octoka stopped: listen = [\"{0}\"]",
        at(http.port)
    );
    remark(&mut table, "listen", &beside);
    table.insert("public_url", text(format!("http://localhost:{port}")));
    remark(
        &mut table,
        "public_url",
        "How clients call this gateway: scheme, host, and port if unusual.    <--",
    );
    table.insert(
        "shutdown_grace",
        text(time(http.shutdown_timeout.as_deref(), "3s", "shutdown_timeout")?),
    );
    let connections = inline([("max", 20_000.into()), ("per_address", 20_000.into())]);
    table.insert("connections", connections.into());
    remark(&mut table, "connections", &format!("{PROXIES}\n{PER_ADDRESS}"));
    Ok(table)
}

fn log(octoka: &Octoka) -> Table {
    let mut table = Table::new();
    let level = octoka.log.filters.get("octoka").map_or("error", String::as_str);
    let mut remarks = Vec::new();
    if octoka.log.filters.keys().any(|target| target != "octoka") {
        remarks.push("NOTE: there is one level for all; the filters for parts of Octoka are left out.");
    }
    let level = match level {
        "off" => {
            remarks.push("NOTE: Octoka's log was off; errors are always told here.");
            "error"
        }
        level => level,
    };
    table.insert("level", text(level));
    let file = octoka.log.file.as_ref().map(|file| {
        format!(
            "NOTE: the log goes to stderr, and not into Octoka's file {file:?}: file = \"/var/log/janua/janua.log\" names another."
        )
    });
    remarks.extend(file.as_deref());
    if !remarks.is_empty() {
        remark(&mut table, "level", &remarks.join("\n"));
    }
    table
}

fn state() -> Table {
    let mut table = Table::new();
    table.insert("store", text("memory"));
    remark(&mut table, "store", STATE);
    table
}

fn jwt(octoka: &Octoka) -> anyhow::Result<Table> {
    let jwt = &octoka.jwt;
    let mut table = Table::new();
    table.insert("algorithms", list(["ES256", "ES384", "EdDSA", "RS256", "PS256"]));
    remark(&mut table, "algorithms", ALGORITHMS);
    if let Some(sources) = &octoka.http.jwt_sources {
        let different = sources
            .iter()
            .enumerate()
            .filter(|(place, source)| !sources.iter().take(*place).any(|other| other == *source));
        let sources = different
            .map(|(_, found)| source(found))
            .collect::<anyhow::Result<Array>>();
        table.insert("sources", value(sources.context("http.jwt_sources")?));
        remark(&mut table, "sources", FIRST_VALID);
    }
    table.insert("roles_claims", list(["roles"]));
    table.insert(
        "leeway",
        text(time(jwt.allowed_clock_skew.as_deref(), "3s", "jwt.allowed_clock_skew")?),
    );
    let refresh = time(jwt.key_cache_duration.as_deref(), "10min", "jwt.key_cache_duration")?;
    let mut remarks = Vec::new();
    if !jwt.background_key_refresh {
        remarks.push("NOTE: keys are always refreshed in the background; no request waits for it.");
    }
    if is_shorter_than_30s(&refresh) {
        remarks.push(MIN_REFRESH);
        table.insert("refresh", text("30s"));
    } else {
        table.insert("refresh", text(refresh));
    }
    if !remarks.is_empty() {
        remark(&mut table, "refresh", &remarks.join("\n"));
    }
    table.insert("keep_stale", text("24h"));
    remark(&mut table, "keep_stale", KEEP_STALE);
    let mut issuers = ArrayOfTables::new();
    let mut names: Vec<String> = Vec::new();
    for jwks in &jwt.trusted_keys {
        let url = Url::parse(jwks).with_context(|| format!("jwt.trusted_keys: {jwks:?}"))?;
        let name = unique(url.host_str().unwrap_or("issuer"), &names);
        let mut issuer = Table::new();
        issuer.insert("name", text(&name));
        issuer.insert("jwks", text(jwks));
        issuer.insert("allow_roles", list(["ROLE_ADMIN"]));
        remark(&mut issuer, "allow_roles", ADMIN);
        issuer.insert("allow_actions", list(["read"]));
        issuer.insert("max_lifetime", text("366d"));
        remark(&mut issuer, "max_lifetime", LIFETIME);
        issuers.push(issuer);
        names.push(name);
    }
    if issuers.is_empty() {
        bail!("jwt.trusted_keys is empty");
    }
    table.insert("issuers", Item::ArrayOfTables(issuers));
    Ok(table)
}

fn source(source: &Source) -> anyhow::Result<Value> {
    match source {
        Source::Query { name } => Ok(inline([("query", name.into())]).into()),
        Source::Header { name, prefix } => {
            // Without a prefix the token stands alone.
            let prefix = prefix.as_deref().unwrap_or_default();
            let scheme = match prefix.is_empty() {
                true => Some(""),
                false => prefix.strip_suffix(' '),
            };
            let scheme = scheme.filter(|scheme| !scheme.contains(' ') && scheme.is_empty() == prefix.is_empty());
            let Some(scheme) = scheme else {
                bail!("the header {name:?} needs a prefix such as \"Bearer \", one word and a blank, or none");
            };
            Ok(inline([("header", name.into()), ("scheme", scheme.into())]).into())
        }
    }
}

fn upstreams(octoka: &Octoka) -> anyhow::Result<Table> {
    let host = octoka.opencast.host.trim_end_matches('/');
    // Octoka's documentation names it without a scheme.
    let host = match host.contains("://") {
        true => host.to_owned(),
        false => format!("http://{host}"),
    };
    let url = Url::parse(&host)?;
    if url.path() != "/" {
        bail!("{host:?} has a path: name scheme, host and port alone");
    }
    let mut opencast = Table::new();
    opencast.insert("servers", list([host]));
    opencast.insert(
        "timeouts",
        inline([("connect", "2s".into()), ("read", "3s".into())]).into(),
    );
    let mut all = Table::new();
    all.set_implicit(true);
    all.insert("opencast", Item::Table(opencast));
    Ok(all)
}

/// One route for each prefix.
fn routes(octoka: &Octoka) -> anyhow::Result<ArrayOfTables> {
    let opencast = &octoka.opencast;
    let mut routes = ArrayOfTables::new();
    let mut names: Vec<String> = Vec::new();
    let mut prefixes: Vec<String> = Vec::new();
    for prefix in &opencast.path_prefixes {
        let prefix = plain(prefix)?;
        if !prefixes.contains(&prefix) {
            prefixes.push(prefix);
        }
    }
    for prefix in &prefixes {
        let mut route = Table::new();
        let name = unique("media", &names);
        route.insert("name", text(&name));
        names.push(name);
        route.insert(
            "path",
            text(format!("{prefix}/{{org}}/{{channel}}/{{event}}/{{*file}}")),
        );
        route.insert("methods", list(["GET", "HEAD"]));
        let strips = act(&mut route, octoka)?;
        if strips && !prefix.is_empty() {
            route.insert("strip", text(prefix));
        }
        if octoka.http.on_allow != "empty" {
            route.insert("accept", list(["jwt", "watch"]));
            remark(&mut route, "accept", WATCH);
            let carry: Array = ["cookie"].into_iter().collect();
            route.insert("watch", inline([("carry", carry.into())]).into());
        }
        route.insert("allow", allow());
        if let Some(method) = match opencast.fallback {
            Fallback::None => None,
            Fallback::Head => Some("HEAD"),
            Fallback::Get => Some("GET"),
        } {
            let ask = inline([("upstream", "opencast".into()), ("method", method.into())]);
            route.insert("else_ask", ask.into());
            let note = "NOTE: only the session cookie or Basic goes there; in Octoka every header, tokens included.";
            remark(&mut route, "else_ask", note);
        }
        if !octoka.http.cors_allowed_origins.is_empty() {
            let origins: Array = octoka.http.cors_allowed_origins.iter().collect();
            route.insert("cors", inline([("origins", origins.into())]).into());
        }
        if octoka.http.on_deny != "empty" {
            let note =
                "NOTE: who is refused gets 403; Octoka's on_deny has no counterpart: let nginx's error_page do it.";
            remark(&mut route, "allow", note);
        }
        routes.push(route);
    }
    if routes.is_empty() {
        bail!("opencast.path_prefixes is empty");
    }
    Ok(routes)
}

/// A prefix as `path` and `strip` have it: with one slash before and none behind, escapes decoded. Octoka takes it with
/// and without slashes.
fn plain(prefix: &str) -> anyhow::Result<String> {
    let decoded = percent_encoding::percent_decode_str(prefix.trim_matches('/')).decode_utf8();
    let decoded = decoded.with_context(|| format!("opencast.path_prefixes: {prefix:?}"))?;
    if decoded.contains(['{', '}', '*']) {
        bail!("opencast.path_prefixes: {prefix:?} cannot be the beginning of a path");
    }
    Ok(match decoded.is_empty() {
        true => String::new(),
        false => format!("/{decoded}"),
    })
}

/// Of a duration as [`duration`] writes it.
fn is_shorter_than_30s(written: &str) -> bool {
    let digits = written.find(|c: char| !c.is_ascii_digit()).unwrap_or(written.len());
    let (number, unit) = written.split_at(digits);
    let number: u64 = number.parse().unwrap_or(u64::MAX);
    match unit {
        "ms" => number < 30_000,
        "s" => number < 30,
        _ => number == 0,
    }
}

/// What an allowed request gets. True if the path is looked up without its prefix.
fn act(route: &mut Table, octoka: &Octoka) -> anyhow::Result<bool> {
    let on_allow = octoka.http.on_allow.as_str();
    match (on_allow, on_allow.strip_prefix("x-accel-redirect:")) {
        ("file", _) => {
            let Some(folder) = &octoka.opencast.downloads_path else {
                bail!("opencast.downloads_path is missing: on_allow = \"file\" needs it");
            };
            route.insert("files", text(folder));
            if !Path::new(folder).is_absolute() {
                remark(route, "files", "NOTE: relative paths begin at the folder of this file.");
            }
            Ok(true)
        }
        ("empty", _) => {
            route.insert("respond", inline([("status", 204.into())]).into());
            Ok(false)
        }
        (_, Some(prefix)) => {
            // Octoka puts exactly one slash before and behind it.
            route.insert("accel", text(format!("/{}", prefix.trim_matches('/'))));
            Ok(true)
        }
        _ => bail!("http.on_allow: {on_allow:?} is none of \"file\", \"empty\", \"x-accel-redirect:<prefix>\""),
    }
}

fn allow() -> Item {
    let mut list = Array::new();
    let lines = [
        inline([("grant", "read".into()), ("event", "{event}".into())]),
        inline([("role", "ROLE_ADMIN".into())]),
    ];
    for (place, line) in lines.into_iter().enumerate() {
        let mut line = Value::from(line);
        let remark = if place == 0 {
            ""
        } else {
            "# WARNING: see allow_roles.\n    "
        };
        line.decor_mut().set_prefix(format!("\n    {remark}"));
        list.push_formatted(line);
    }
    list.set_trailing_comma(true);
    list.set_trailing("\n");
    value(list)
}

/// A name that is not taken yet.
fn unique(name: &str, taken: &[String]) -> String {
    let numbered = (2..).map(|number| format!("{name} {number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    names.find(|name| !taken.contains(name)).unwrap_or_default()
}

fn time(given: Option<&str>, default: &str, key: &'static str) -> anyhow::Result<String> {
    duration(given.unwrap_or(default)).context(key)
}

fn text(text: impl Into<String>) -> Item {
    value(text.into())
}

fn list<T: Into<Value>>(items: impl IntoIterator<Item = T>) -> Item {
    value(items.into_iter().collect::<Array>())
}

fn value(value: impl Into<Value>) -> Item {
    Item::Value(value.into())
}

fn inline<const N: usize>(members: [(&str, Value); N]) -> InlineTable {
    members.into_iter().collect()
}

/// Puts comment lines above a key.
fn remark(table: &mut Table, key: &str, remark: &str) {
    if let Some(mut key) = table.key_mut(key) {
        let lines: String = remark.lines().map(|line| format!("# {line}\n")).collect();
        key.leaf_decor_mut().set_prefix(lines);
    }
}
