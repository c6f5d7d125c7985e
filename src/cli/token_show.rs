//! `janua token show`: what a token says, in words, and what the gateway would think of it.
//!
//! Nothing of a token is believed for being shown; the signature is never printed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use url::Url;

use crate::authenticate::token::inspect;
use crate::config::pattern::RolePattern;
use crate::config::{Algorithm, Issuer, JwksLocation, Jwt, Outgoing, is_loopback};
use crate::rate::Rate;
use crate::rejection::{Reason, Rejection};
use crate::server;
use crate::text::safe;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The token, a file that holds it, or `-` for stdin (other users of this machine can read command lines)
    token: String,
    /// The key set to verify it with: a file or a URL
    #[arg(long, value_name = "FILE|URL")]
    jwks: Option<String>,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  janua token show - < token.txt
  janua token show token.txt --jwks https://moodle.example.edu/.well-known/jwks.json

Exit code: 0 if the token counts; without --jwks, if it is well-formed. 1 if not, with the reason that the gateway
gives. What a route and an issuer's caps make of a good token is not asked here.";

const ID_TOKEN: &str = "an ID token: it tells its client who signed in, and opens nothing";
const LEARNING: &str = "a token of a learning platform: for routes with accept = [\"jwt\"], which is the default";

/// Longer input is no token.
const MAX_INPUT: u64 = 64 * 1024;
/// Characters of what was given that are told again.
const MAX_ECHO: usize = 80;

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(neither) = neither(&args.token) {
        super::put(&format!("verdict\n  {}\n", refused(&neither)))?;
        return Ok(ExitCode::FAILURE);
    }
    let token = read(&args.token)?;
    let now = SystemTime::now();
    let mut out = described(&token, now);
    let jwks = args.jwks.as_deref().map(location).transpose()?;
    let config = config(jwks.clone());
    let judged = match (inspect::well_formed(&token, &config), jwks) {
        (Ok(()), Some(_)) => {
            server::install_crypto();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let judged = runtime.block_on(inspect::judge(&token, &config, now));
            judged
                .context("the key set cannot be used")?
                .map(|_| "verified: the signature is good, and the token counts now")
        }
        (judged, _) => judged.map(|()| "well-formed; the signature was not checked (--jwks)"),
    };
    let (verdict, code) = match judged {
        Ok(told) => (told.to_owned(), ExitCode::SUCCESS),
        Err(rejection) => (refused(&rejection), ExitCode::FAILURE),
    };
    writeln!(out, "verdict\n  {verdict}")?;
    super::put(&out)?;
    Ok(code)
}

/// What was given, or what stands in it.
fn read(given: &str) -> anyhow::Result<String> {
    if given != "-" && !is_there(given) {
        return Ok(given.trim().to_owned());
    }
    if given != "-" && Path::new(given).is_dir() {
        bail!("{given} is a folder: name the file in it that holds the token");
    }
    let text = super::read_text(given, MAX_INPUT).with_context(|| match given {
        "-" => "what comes on stdin cannot be read".to_owned(),
        path => format!("{path} cannot be read"),
    })?;
    Ok(text.trim().to_owned())
}

/// Is there something of this name, be it a link that leads nowhere?
fn is_there(path: &str) -> bool {
    Path::new(path).symlink_metadata().is_ok()
}

/// What was given is neither a file nor meant as a token: the first part of one, good or not, is an object, which mostly
/// begins with `{"`.
fn neither(given: &str) -> Option<Rejection> {
    let is_token = || given.trim().starts_with("eyJ") || part(given.trim().split('.').next()).is_some();
    if given == "-" || is_there(given) || is_token() {
        return None;
    }
    let given: String = given.chars().take(MAX_ECHO).collect();
    let detail =
        format!("there is no file {given}, and the text is no token: three parts in base64url with dots between");
    Some(Rejection::because(Reason::MalformedToken, detail))
}

/// As for the gateway: over http from this machine only.
fn location(jwks: &str) -> anyhow::Result<JwksLocation> {
    let Some((scheme, _)) = jwks.split_once("://") else {
        return Ok(JwksLocation::File(PathBuf::from(jwks)));
    };
    let url = Url::parse(jwks).context("--jwks")?;
    match scheme {
        "https" => Ok(JwksLocation::Url(url)),
        "http" if url.host_str().is_some_and(is_loopback) => Ok(JwksLocation::Url(url)),
        "http" => bail!("--jwks: over http, whoever is on the way chooses the keys; use https or a file"),
        _ => bail!("--jwks: use a file or an https:// URL"),
    }
}

/// Every algorithm, no caps: what is asked is the token, not a site's rules.
fn config(jwks: Option<JwksLocation>) -> Jwt {
    let issuer = |jwks| Issuer {
        name: "the key set".into(),
        jwks,
        outgoing: Outgoing::default(),
        allow_roles: RolePattern::parse("*").into_iter().collect(),
        allow_actions: Vec::new(),
        max_lifetime: Duration::MAX,
        may_name_users: false,
        iss: None,
        aud: Vec::new(),
        typ: None,
        watch_max: Duration::from_secs(12 * 60 * 60),
    };
    Jwt {
        algorithms: Algorithm::ALL.to_vec(),
        sources: Vec::new(),
        roles_claims: ["oc-roles", "roles"].map(str::to_owned).to_vec(),
        leeway: Duration::from_secs(3),
        refresh: Duration::from_secs(600),
        keep_stale: Duration::from_secs(600),
        cache: 0,
        bad_signatures: Rate {
            per_second: 1.0,
            burst: 1,
        },
        max_token: 64 << 10,
        max_key_set: 256 << 10,
        max_roles: 4096,
        max_grants: 4096,
        issuers: jwks.into_iter().map(issuer).collect(),
    }
}

fn refused(rejection: &Rejection) -> String {
    let text = rejection.reason.public_text();
    let mut verdict = format!("refused ({}): {text}", rejection.reason.label());
    if let Some(detail) = &rejection.detail {
        verdict.push_str(&format!(" [{}]", plain(detail)));
    }
    verdict
}

/// Header, claims and times, as far as they can be read.
fn described(token: &str, now: SystemTime) -> String {
    let mut parts = token.split('.');
    let (header, claims) = (part(parts.next()), part(parts.next()));
    let mut out = String::new();
    if let Some(kind) = header.as_ref().zip(claims.as_ref()).and_then(kind) {
        out.push_str(&format!("this is\n  {kind}\n"));
    }
    out.push_str("header\n");
    match header {
        Some(header) => header_lines(&mut out, &header),
        None => line(&mut out, "-", "cannot be read"),
    }
    out.push_str("claims\n");
    let Some(claims) = claims else {
        line(&mut out, "-", "cannot be read");
        return out;
    };
    claim_lines(&mut out, &claims);
    out.push_str("times\n");
    for (name, what) in [("exp", "expires"), ("nbf", "not before"), ("iat", "issued")] {
        match claims.get(name) {
            Some(value) => line(&mut out, what, &time(value, now)),
            None if name == "exp" => line(&mut out, what, "never said: such a token is refused"),
            None => {}
        }
    }
    out
}

/// What kind of token it says to be, and what takes such; `None`: none that is known.
fn kind((header, claims): (&Map<String, Value>, &Map<String, Value>)) -> Option<&'static str> {
    const ACCESS: &str = "an access token: for routes with accept = [\"bearer\"] and a [bearer.<name>] of its server";
    let lower = |members: &Map<String, Value>| Some(members.get("typ")?.as_str()?.to_ascii_lowercase());
    let (outer, inner) = (lower(header).unwrap_or_default(), lower(claims).unwrap_or_default());
    let has = |names: &[&str]| names.iter().any(|name| claims.contains_key(*name));
    Some(match (outer.trim_start_matches("application/"), inner.as_str()) {
        ("logout+jwt", _) | (_, "logout") => "a logout token: it ends sessions by the back channel, and opens nothing",
        ("dpop+jwt", _) => "a proof of a key (DPoP): it opens nothing",
        ("at+jwt", _) => ACCESS,
        (_, "refresh" | "offline") => "a refresh token: for the server that made it, and for nobody else",
        _ if has(&["events"]) => "a logout token: it ends sessions by the back channel, and opens nothing",
        (_, "bearer") => ACCESS,
        (_, "id") => ID_TOKEN,
        _ if has(&["nonce", "at_hash", "c_hash"]) => ID_TOKEN,
        _ if has(&["oc", "oc-roles"]) => LEARNING,
        _ if has(&["client_id", "azp", "scope", "scp"]) => ACCESS,
        _ if has(&["roles"]) => LEARNING,
        _ => return None,
    })
}

fn part(part: Option<&str>) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(part?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn header_lines(out: &mut String, header: &Map<String, Value>) {
    for (name, value) in header {
        line(out, name, &json(value));
    }
    if let Some(alg) = header.get("alg").and_then(Value::as_str).filter(|alg| *alg != "ES256") {
        line(
            out,
            "",
            &format!("the gateway takes {} only if jwt.algorithms names it", plain(alg)),
        );
    }
    if !header.contains_key("kid") {
        line(out, "kid", "none: every key of the set is tried");
    }
}

fn claim_lines(out: &mut String, claims: &Map<String, Value>) {
    for (name, value) in claims {
        match (name.as_str(), value) {
            ("exp" | "nbf" | "iat", _) => {}
            ("oc", Value::Object(items)) => {
                for (item, actions) in items {
                    let (what, id) = match item.split_once(':') {
                        Some(("e", id)) => ("event", id),
                        Some(("s", id)) => ("series", id),
                        Some(("p", id)) => ("playlist", id),
                        _ => ("unknown item", item.as_str()),
                    };
                    line(
                        out,
                        "grants",
                        &format!("{} on the {what} {}", words(actions), plain(id)),
                    );
                }
            }
            ("roles" | "oc-roles", roles) => line(out, name, &words(roles)),
            (_, value) => line(out, name, &json(value)),
        }
    }
}

/// A list of strings with commas; anything else as JSON.
fn words(value: &Value) -> String {
    let items = value.as_array().filter(|items| !items.is_empty());
    let words: Option<Vec<String>> =
        items.and_then(|items| items.iter().map(|item| item.as_str().map(plain)).collect());
    words.map_or_else(|| json(value), |words| words.join(", "))
}

fn json(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text),
        other => plain(&other.to_string()),
    }
}

/// What a token holds must not steer a terminal.
fn plain(text: &str) -> String {
    safe(text).into_owned()
}

/// `Sat, 21 Nov 2026 05:37:00 GMT (in 4h 12m)`.
fn time(value: &Value, now: SystemTime) -> String {
    /// The last second of the year 9999.
    const LAST: f64 = 253_402_300_799.0;
    let Some(seconds) = value.as_f64().filter(|seconds| (0.0..=LAST).contains(seconds)) else {
        return format!("{}: this is no time", json(value));
    };
    let at = UNIX_EPOCH + Duration::from_secs_f64(seconds);
    let away = match at.duration_since(now) {
        Ok(ahead) => format!("in {}", span(ahead)),
        Err(past) => format!("{} ago", span(past.duration())),
    };
    format!("{} ({away})", httpdate::fmt_http_date(at))
}

/// The two largest units.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m {}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

fn line(out: &mut String, name: &str, text: &str) {
    // Writing to a string cannot fail.
    writeln!(out, "  {:<11} {text}", plain(name)).ok();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_told_in_words() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        for (value, expected) in [
            (json!(1_000_059), "Mon, 12 Jan 1970 13:47:39 GMT (in 59s)"),
            (json!(1_000_061.9), "Mon, 12 Jan 1970 13:47:41 GMT (in 1m 1s)"),
            (json!(985_599), "Mon, 12 Jan 1970 09:46:39 GMT (4h 0m ago)"),
            (json!(0), "Thu, 01 Jan 1970 00:00:00 GMT (11d 13h ago)"),
            (
                json!(253_402_300_799_u64),
                "Fri, 31 Dec 9999 23:59:59 GMT (in 2932885d 10h)",
            ),
            (json!(253_402_300_800_u64), "253402300800: this is no time"),
            (json!(-1), "-1: this is no time"),
            (json!("soon"), "soon: this is no time"),
        ] {
            assert_eq!(time(&value, now), expected);
        }
    }

    #[test]
    fn kinds_are_told_by_what_servers_write() {
        let told = |header: Value, claims: Value| {
            let (header, claims) = (
                header.as_object().cloned().unwrap(),
                claims.as_object().cloned().unwrap(),
            );
            kind((&header, &claims)).unwrap_or("nothing").to_owned()
        };
        let jwt = || json!({ "alg": "RS256", "typ": "JWT" });
        let logout = "http://schemas.openid.net/event/backchannel-logout";
        for (header, claims, expected) in [
            (
                json!({ "typ": "at+jwt" }),
                json!({ "client_id": "app" }),
                "an access token",
            ),
            (json!({ "typ": "application/at+jwt" }), json!({}), "an access token"),
            (
                jwt(),
                json!({ "typ": "Bearer", "azp": "app", "nonce": "n" }),
                "an access token",
            ),
            (jwt(), json!({ "typ": "Refresh" }), "a refresh token"),
            (jwt(), json!({ "typ": "ID", "azp": "app" }), "an ID token"),
            (jwt(), json!({ "aud": "app", "at_hash": "x" }), "an ID token"),
            (jwt(), json!({ "events": { logout: {} } }), "a logout token"),
            (json!({ "typ": "logout+jwt" }), json!({}), "a logout token"),
            (jwt(), json!({ "oc": {} }), "a token of a learning platform"),
            (
                jwt(),
                json!({ "roles": ["ROLE_USER"] }),
                "a token of a learning platform",
            ),
            (jwt(), json!({ "sub": "anna" }), "nothing"),
        ] {
            let kind = told(header, claims.clone());
            assert!(kind.starts_with(expected), "{claims}: {kind}");
        }
    }

    #[test]
    fn no_claim_steers_the_terminal() {
        assert_eq!(plain("a\u{1b}[31m\n\u{202e}\u{fc}"), "a\\u001b[31m\\n\\u202e\u{fc}");
    }
}
