//! The gateway.toml that does what an Octoka did.
//!
//! What Octoka lets pass without being asked is kept, so that nothing stops playing, and marked with WARNING; what is
//! different here is marked with NOTE.

use std::path::Path;

use anyhow::{Context as _, bail};
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, Value};
use url::Url;

use super::lines::{comment, inline, leave_out, list, put, remark, section, text, time, value};
use super::octoka::{Fallback, Http, Log, Octoka};
use super::sources;
use crate::text::safe;

const LARGEST: &str = "\
NOTE: Octoka sets no bounds to a token's size, roles and grants; these are the largest here.";
const ADMIN: &str = "\
WARNING: in Octoka, whoever holds one of these issuers' keys can call themselves ROLE_ADMIN, and that opens every event.
Remove the role here and in `allow` below if this issuer has no business with it.";
const LIFETIME: &str = "\
WARNING: Octoka sets no bound to how long a token may be valid; 366d is the longest here, and tokens beyond it are
refused. Moodle's are valid for 4h: a bound close to what your issuer needs makes a leaked link worth less.";
const ALGORITHMS: &str = "\
WARNING: Octoka takes every algorithm that fits a key. Remove those that your issuers do not use; most use ES256 alone.
NOTE: ES512, RS384, RS512, PS384 and PS512 are not taken here.";
const PROXIES: &str = "\
NOTE: is nginx in front? Then name its address, so that its X-Forwarded-For is believed:
trusted_proxies = [\"127.0.0.1\"]
NOTE: behind another web server all connections come from its address.";
const PUBLIC: &str = "How clients call this gateway: scheme, host, and port if unusual.    <--";
const KEEP_STALE: &str = "\
NOTE: Octoka drops the keys of an issuer that does not answer; here the last good ones serve on for this long.";
const STATE: &str = "\
NOTE: as with Octoka, nothing outlives a restart. To keep the issuers' keys and the watch passes over one:
store = \"embedded\" and path = \"/var/lib/janua/janua.redb\", in a folder that the gateway may write to.";
const WATCH: &str = "\
NOTE: a player that came with a token goes on when the token is over, by a cookie for its event; Octoka lets it stop.
To have it as before, remove `accept` and `watch`.";
const ELSE_ASK: &str = "\
NOTE: only the session cookie or Basic goes there; in Octoka every header, tokens included.";
const NO_TOKEN: &str = "\
NOTE: who has no valid token gets 401 here, 403 in Octoka. Does nginx go on to Opencast then? Name both in its
configuration: error_page 401 403 = @oc_static_files;";

/// Writes the file for an Octoka whose own file is in this folder. Errors: what has no counterpart.
pub(super) fn write(octoka: &Octoka, folder: &Path) -> anyhow::Result<String> {
    let mut document = DocumentMut::new();
    let root = document.as_table_mut();
    root.insert("server", Item::Table(server(&octoka.http).context("http")?));
    root.insert("log", Item::Table(log(&octoka.log)));
    root.insert("state", Item::Table(section([("store", text("memory"), STATE)])));
    root.insert("jwt", Item::Table(jwt(octoka)?));
    if octoka.opencast.fallback != Fallback::None {
        root.insert("upstreams", Item::Table(upstreams(octoka).context("opencast.host")?));
    }
    root.insert("routes", Item::ArrayOfTables(routes(octoka, folder)?));
    let mut head =
        "Made from Octoka's configuration by `janua import octoka`. `janua config example` explains every key."
            .to_owned();
    let strange = octoka.strange();
    if !strange.is_empty() {
        head.push_str(&format!(
            "\nNOTE: Octoka takes no notice of these keys: {}",
            safe(&strange.join(", "))
        ));
    }
    Ok(format!("{}{document}", comment(&head)))
}

fn server(http: &Http) -> anyhow::Result<Table> {
    // Both can run side by side until this one has shown that it does the same.
    let port = match http.port {
        0 => 4051,
        u16::MAX => u16::MAX - 1,
        // The port between is the admin listener's.
        9089 => 9091,
        port => port + 1,
    };
    let at = |port| std::net::SocketAddr::new(http.address, port).to_string();
    let beside = format!(
        "NOTE: beside Octoka, which listens on {0}. In its place, with Octoka stopped: listen = [\"{0}\"]",
        at(http.port)
    );
    let mut table = section([
        ("listen", list([at(port)]), &beside),
        ("public_url", text(format!("http://localhost:{port}")), PUBLIC),
    ]);
    if http.port == 9090 {
        let admin = ("admin", text("127.0.0.1:9092"), "NOTE: 9090, the default, is Octoka's.");
        put(&mut table, [admin]);
    }
    // Room for the longest token, see `jwt.max_token`.
    table.insert("max_header", text("128KiB"));
    let grace = http.shutdown_timeout.as_deref().unwrap_or("3s");
    time(&mut table, "shutdown_grace", grace, ["0", "1h"]).context("shutdown_timeout")?;
    let connections = inline([("max", 20_000.into()), ("per_address", 20_000.into())]);
    put(&mut table, [("connections", connections.into(), PROXIES)]);
    Ok(table)
}

fn log(log: &Log) -> Table {
    let mut table = Table::new();
    let level = log.filters.get("octoka").map_or("error", String::as_str);
    table.insert("level", text(if level == "off" { "error" } else { level }));
    if log.filters.keys().any(|target| target != "octoka") {
        let note = "NOTE: there is one level for all; the filters for parts of Octoka are left out.";
        remark(&mut table, "level", note);
    }
    if level == "off" {
        remark(
            &mut table,
            "level",
            "NOTE: Octoka's log was off; errors are always told here.",
        );
    }
    if let Some(file) = &log.file {
        let note = format!(
            "NOTE: the log goes to stderr, and not into Octoka's file {file:?}: file = \"/var/log/janua/janua.log\" names another."
        );
        remark(&mut table, "level", &note);
    }
    table
}

fn jwt(octoka: &Octoka) -> anyhow::Result<Table> {
    let jwt = &octoka.jwt;
    let algorithms = list(["ES256", "ES384", "EdDSA", "RS256", "PS256"]);
    let mut table = section([("algorithms", algorithms, ALGORITHMS)]);
    if let Some(given) = &octoka.http.jwt_sources {
        sources::write(&mut table, given).context("http.jwt_sources")?;
    }
    put(
        &mut table,
        [
            ("roles_claims", list(["roles"]), ""),
            ("max_token", text("64KiB"), LARGEST),
            ("max_roles", value(4096), ""),
            ("max_grants", value(4096), ""),
        ],
    );
    let leeway = jwt.allowed_clock_skew.as_deref().unwrap_or("3s");
    time(&mut table, "leeway", leeway, ["0", "5min"]).context("jwt.allowed_clock_skew")?;
    let refresh = jwt.key_cache_duration.as_deref().unwrap_or("10min");
    time(&mut table, "refresh", refresh, ["30s", "24h"]).context("jwt.key_cache_duration")?;
    if !jwt.background_key_refresh {
        let note = "NOTE: keys are always refreshed in the background; no request waits for it.";
        remark(&mut table, "refresh", note);
    }
    put(&mut table, [("keep_stale", text("24h"), KEEP_STALE)]);
    let mut issuers = ArrayOfTables::new();
    let mut names: Vec<String> = Vec::new();
    for jwks in &jwt.trusted_keys {
        let url = Url::parse(jwks).with_context(|| format!("jwt.trusted_keys: {jwks:?}"))?;
        let name = unique(url.host_str().unwrap_or("issuer"), &names);
        issuers.push(section([
            ("name", text(&name), ""),
            ("jwks", text(url.as_str()), ""),
            ("allow_roles", list(["ROLE_ADMIN"]), ADMIN),
            ("allow_actions", list(["read"]), ""),
            ("max_lifetime", text("366d"), LIFETIME),
        ]));
        names.push(name);
    }
    if issuers.is_empty() {
        bail!("jwt.trusted_keys is empty");
    }
    table.insert("issuers", Item::ArrayOfTables(issuers));
    Ok(table)
}

fn upstreams(octoka: &Octoka) -> anyhow::Result<Table> {
    let host = octoka.opencast.host.trim_end_matches('/');
    // Octoka's documentation names it without a scheme.
    let scheme = if host.contains("://") { "" } else { "http://" };
    let host = format!("{scheme}{host}");
    let url = Url::parse(&host)?;
    if url.path() != "/" {
        bail!("{host:?} has a path: name scheme, host and port alone");
    }
    let name = url.host_str().unwrap_or_default().trim_end_matches('.');
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let timeouts = inline([("connect", "2s".into()), ("read", "3s".into())]);
    let opencast = section([
        ("servers", list([format!("{}://{name}{port}", url.scheme())]), ""),
        ("timeouts", timeouts.into(), ""),
    ]);
    let mut all = section([("opencast", Item::Table(opencast), "")]);
    all.set_implicit(true);
    Ok(all)
}

/// One route for each prefix.
fn routes(octoka: &Octoka, folder: &Path) -> anyhow::Result<ArrayOfTables> {
    let opencast = &octoka.opencast;
    let mut routes = ArrayOfTables::new();
    let mut names: Vec<String> = Vec::new();
    let (prefixes, never) = sorted(&opencast.path_prefixes, plain);
    let (origins, unsent) = sorted(&octoka.http.cors_allowed_origins, origin);
    for prefix in &prefixes {
        let name = unique("media", &names);
        let path = format!("{prefix}/{{org}}/{{channel}}/{{event}}/{{*file}}");
        let mut route = section([
            ("name", text(&name), ""),
            ("path", text(path), ""),
            ("methods", list(["GET", "HEAD"]), ""),
        ]);
        names.push(name);
        let strips = act(&mut route, octoka, folder)?;
        if strips && !prefix.is_empty() {
            route.insert("strip", text(prefix));
        }
        if octoka.http.on_allow != "empty" {
            put(&mut route, [("accept", list(["jwt", "watch"]), WATCH)]);
            let carry: Array = ["cookie"].into_iter().collect();
            route.insert("watch", inline([("carry", carry.into())]).into());
        }
        route.insert("allow", allow());
        let ask = |method: &str| inline([("upstream", "opencast".into()), ("method", method.into())]).into();
        match opencast.fallback {
            Fallback::None => remark(&mut route, "allow", NO_TOKEN),
            Fallback::Head => put(&mut route, [("else_ask", ask("HEAD"), ELSE_ASK)]),
            Fallback::Get => put(&mut route, [("else_ask", ask("GET"), ELSE_ASK)]),
        }
        if !origins.is_empty() {
            let origins: Array = origins.iter().map(|origin| origin.replace("${", "$${")).collect();
            route.insert("cors", inline([("origins", origins.into())]).into());
        }
        let note = "NOTE: no browser sends these origins, which are";
        leave_out(&mut route, "path", note, &unsent);
        if octoka.http.on_deny != "empty" {
            let note =
                "NOTE: who is refused gets 403; Octoka's on_deny has no counterpart: let nginx's error_page do it.";
            remark(&mut route, "allow", note);
        }
        if routes.is_empty() {
            let warning = "WARNING: these of opencast.path_prefixes are";
            leave_out(&mut route, "path", warning, &never);
        }
        routes.push(route);
    }
    if routes.is_empty() {
        bail!("opencast.path_prefixes has none that can be the beginning of a path");
    }
    Ok(routes)
}

/// What a list becomes, each once, and what of it has no counterpart.
fn sorted(given: &[String], read: impl Fn(&str) -> Option<String>) -> (Vec<String>, Vec<String>) {
    let (mut kept, mut left_out) = (Vec::new(), Vec::new());
    for text in given {
        match read(text) {
            None => left_out.push(format!("{text:?}")),
            Some(read) if kept.contains(&read) => {}
            Some(read) => kept.push(read),
        }
    }
    (kept, left_out)
}

/// A prefix as `path` and `strip` have it: with one slash before and none behind, escapes decoded. Octoka takes it with
/// and without slashes. `None`: no path that the gateway serves begins so.
fn plain(prefix: &str) -> Option<String> {
    let decoded = percent_encoding::percent_decode_str(prefix.trim_matches('/')).decode_utf8();
    let decoded = decoded.ok()?;
    if decoded.is_empty() {
        return Some(String::new());
    }
    let is_odd = |letter: char| letter.is_control() || "{}*;%\\?#".contains(letter);
    let is_never = |segment: &str| matches!(segment, "" | "." | "..") || segment.contains(is_odd);
    let is_good = !decoded.split('/').any(is_never) && decoded.split('/').next() != Some("_janua");
    is_good.then(|| format!("/{decoded}"))
}

/// An origin as browsers write it (RFC 6454 section 6.2).
fn origin(text: &str) -> Option<String> {
    let is_odd = |letter: char| letter.is_whitespace() || letter.is_control() || "\\*".contains(letter);
    let url = Url::parse(text).ok().filter(|_| !text.contains(is_odd))?;
    let has_name = url.host_str().is_some_and(|host| !host.ends_with('.'));
    (has_name && url.port() != Some(0)).then(|| url.origin().ascii_serialization())
}

/// What an allowed request gets. True if the path is looked up without its prefix.
fn act(route: &mut Table, octoka: &Octoka, folder: &Path) -> anyhow::Result<bool> {
    let on_allow = octoka.http.on_allow.as_str();
    match (on_allow, on_allow.strip_prefix("x-accel-redirect:")) {
        ("file", _) => {
            let Some(downloads) = &octoka.opencast.downloads_path else {
                bail!("opencast.downloads_path is missing: on_allow = \"file\" needs it");
            };
            let downloads = folder.join(downloads);
            let downloads = downloads
                .to_str()
                .context("opencast.downloads_path: this name cannot be written here: name the folder by a link")?;
            route.insert("files", text(downloads));
            Ok(true)
        }
        ("empty", _) => {
            route.insert("respond", inline([("status", 204.into())]).into());
            Ok(false)
        }
        (_, Some(prefix)) => {
            accel(route, prefix);
            Ok(true)
        }
        _ => bail!("http.on_allow: {on_allow:?} is none of \"file\", \"empty\", \"x-accel-redirect:<prefix>\""),
    }
}

/// Octoka puts exactly one slash before and behind the prefix, which may be empty there, or have any letters of a path.
fn accel(route: &mut Table, given: &str) {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-._~/".contains(letter);
    let mut written: String = given
        .chars()
        .map(|letter| if is_plain(letter) { letter } else { '-' })
        .collect();
    let segments = written
        .split('/')
        .filter(|segment| !matches!(*segment, "" | "." | ".."));
    written = segments.map(|segment| format!("/{segment}")).collect();
    if written.is_empty() {
        written.push_str("/protected");
    }
    let is_same = written.trim_start_matches('/') == given.trim_matches('/');
    route.insert("accel", text(&written));
    if !is_same {
        let warning = format!(
            "WARNING: Octoka's prefix, {given:?}, cannot be written here: name nginx's internal location {written:?}."
        );
        remark(route, "accel", &warning);
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

#[cfg(test)]
mod tests;
