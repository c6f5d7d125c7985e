//! `janua explain`: why would this request be allowed or refused?

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, bail};

use super::{ConfigArgs, in_colour, load_quietly, put, read_text};
use crate::authenticate::token::Tokens;
use crate::config::{Config, PublicUrl, TokenSource};
use crate::explain::{self, Outcome, Question, Report, render};
use crate::moodle::MoodleTokens;
use crate::observe::metrics::Metrics;
use crate::sealing::MasterKeys;
use crate::sign_in::People;
use crate::snapshot::{Passes, Snapshot};
use crate::store::Store;
use crate::{control, server, time};

/// Bytes of a file or of stdin that are read for a URL or token.
const MAX_INPUT: u64 = 64 * 1024;
/// Exit code for a request that is refused.
const REFUSED: u8 = 3;

/// Say why a request is allowed or refused
///
/// Walks the request through the rules of gateway.toml and says which route wins, what each token says and why it
/// counts or not, which condition of which rule holds, and what the upstream would get. Nothing is served or passed on,
/// and nothing is taken from a rate limit, but told what applies (with --live, whether it is exhausted now); but the
/// upstream of an `else_ask` is asked as the gateway would ask it. Without --live no gateway has to run: key sets are
/// read or fetched for this answer. Of a call of Moodle's web services it is told which source would bring the token;
/// none is obtained, and which one serves a person is known with --live only.
///
/// The exit code is 0 if the rules allow the request and 3 if they refuse it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The request's method, say GET
    method: String,
    /// The URL with all that the player sent, or its path alone (then for the first public URL); a file that holds
    /// the URL, or - for stdin
    url: String,
    #[command(flatten)]
    config: ConfigArgs,
    /// Ask the running gateway over its control socket: its rules, its keys
    #[arg(long)]
    live: bool,
    /// A header of the request; may be repeated
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// A file that holds a token, or - for stdin: sent as a player's header would send it
    #[arg(long, value_name = "FILE")]
    token_file: Option<String>,
    /// The address that the request comes from
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    from: IpAddr,
    /// Judge as at this time: 2026-11-21T00:58:12Z, or -1h, +5m from now
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = at)]
    at: Option<u64>,
    /// For scripts: one JSON object with "outcome" ("allow" or "deny") and "reason"
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  janua explain GET 'https://video.example.edu/static/org/player/lecture-1/a.mp4?jwt=eyJ…'
  janua explain GET /static/org/player/lecture-1/a.mp4 --token-file token.txt --live
  janua explain GET - --at -1h < url.txt           was it allowed an hour ago?
  janua explain GET /course/4/a --header 'Authorization: Bearer eyJ…' --from 10.0.0.7 --json | jq .reason

A URL on the command line stands in the shell's history, with its token: a file or - does not. No signature is printed.";

/// Exit code 0 if the request is allowed, 3 if it is refused, 1 if that cannot be said.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Some(loaded) = load_quietly(&args.config.path()?) else {
        return Ok(ExitCode::FAILURE);
    };
    let config = Arc::new(loaded.config);
    let question = question(args, &config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = if args.live {
        runtime.block_on(control::explain(&config.server.control, question))?
    } else {
        server::install_crypto();
        runtime.block_on(offline(&config, &question))?
    };
    put(&if args.json {
        format!("{}\n", serde_json::to_string_pretty(&report)?)
    } else {
        render::render(&report, in_colour(&io::stdout()))
    })?;
    Ok(match report.outcome {
        Outcome::Allow => ExitCode::SUCCESS,
        Outcome::Deny => ExitCode::from(REFUSED),
    })
}

/// By a snapshot of its own. The state store is left alone: a running gateway holds it.
async fn offline(config: &Arc<Config>, question: &Question) -> anyhow::Result<Report> {
    let metrics = Metrics::new();
    let store = Store::in_memory();
    let tokens = Tokens::start(&config.jwt, &store, &metrics).await?;
    let master_keys = MasterKeys::random();
    let people = People::new(&store, &master_keys, &metrics.sessions());
    let moodle_tokens = MoodleTokens::new(&store, &master_keys, metrics.moodle());
    let keys = tokens.fetch_once().await;
    let snapshot = Snapshot::new(
        config,
        tokens,
        people,
        Passes::of_nobody(),
        moodle_tokens,
        None,
        &metrics,
    )?;
    let snapshot = Arc::new(snapshot);
    for upstream in &snapshot.upstreams {
        upstream.resolve().await; // `else_ask` may ask one of them
    }
    let (time, instant) = (SystemTime::now(), Instant::now());
    Ok(explain::explain(&snapshot, question, &keys, false, time, instant).await)
}

fn question(args: &Args, config: &Config) -> anyhow::Result<Question> {
    if args.url == "-" && args.token_file.as_deref() == Some("-") {
        bail!("URL and token cannot both come from stdin: name a file for one of them");
    }
    let url = url(&args.url)?;
    let Url {
        https,
        authority,
        target,
    } = take_apart(&url);
    let public = config.server.public_urls.first();
    let https = https.unwrap_or_else(|| public.is_some_and(|public| public.https));
    let mut headers = args.headers.clone();
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        let origin = public.map(PublicUrl::origin).unwrap_or_default();
        let ours = origin.split_once("://").map_or("", |(_, authority)| authority);
        headers.push(("host".to_owned(), authority.unwrap_or(ours).to_owned()));
    }
    if let Some(file) = &args.token_file {
        let token = read(file).with_context(|| format!("the token in {file}"))?;
        headers.push(token_header(token.trim(), &config.jwt.sources));
    }
    Ok(Question {
        method: args.method.clone(),
        target,
        headers,
        from: args.from,
        https,
        at: args.at,
    })
}

/// As the first header among the sources wants it.
fn token_header(token: &str, sources: &[TokenSource]) -> (String, String) {
    let header = sources.iter().find_map(|source| match source {
        TokenSource::Header { name, scheme } => Some((name.to_string(), scheme.as_str())),
        TokenSource::Query { .. } | TokenSource::Form { .. } => None,
    });
    let (name, scheme) = header.unwrap_or_else(|| ("authorization".to_owned(), "Bearer"));
    (name, format!("{scheme} {token}").trim_start().to_owned())
}

struct Url<'a> {
    https: Option<bool>,
    authority: Option<&'a str>,
    target: String,
}

/// By hand: a library would make `/a/../b` another path than the client sends.
fn take_apart(url: &str) -> Url<'_> {
    let url = url.split('#').next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://").filter(|_| !url.starts_with('/')) else {
        return Url {
            https: None,
            authority: None,
            target: url.to_owned(),
        };
    };
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let slash = if target.starts_with('/') { "" } else { "/" };
    Url {
        https: Some(scheme.eq_ignore_ascii_case("https")),
        authority: Some(authority),
        target: format!("{slash}{target}"),
    }
}

/// The URL itself, or what stands in the file that is named instead. A path that is also a file is a file only if a
/// whole URL stands in it.
fn url(argument: &str) -> anyhow::Result<String> {
    if argument == "-" {
        return Ok(read("-").context("the URL on stdin")?.trim().to_owned());
    }
    if argument.contains("://") && !argument.starts_with('/') {
        return Ok(argument.to_owned());
    }
    let found = std::path::Path::new(argument).is_file().then(|| read(argument));
    match found {
        Some(Ok(text)) if is_url(text.trim()) => Ok(text.trim().to_owned()),
        _ if argument.starts_with('/') => Ok(argument.to_owned()),
        Some(Ok(text)) if text.starts_with('/') => Ok(text.trim().to_owned()),
        Some(Err(error)) => Err(error).with_context(|| format!("the URL in {argument}")),
        _ => bail!("{argument:?} is neither a URL, nor a path that begins with a slash, nor a file that holds one"),
    }
}

fn is_url(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

fn read(file: &str) -> io::Result<String> {
    read_text(file, MAX_INPUT)
}

fn header(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once(':').ok_or("write NAME: VALUE, say 'Range: bytes=0-'")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn at(text: &str) -> Result<u64, &'static str> {
    time::parse(text, SystemTime::now()).map(time::unix_seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_keep_their_bytes() {
        let apart = |url: &str| {
            let Url {
                https,
                authority,
                target,
            } = take_apart(url);
            (https, authority.map(str::to_owned), target)
        };
        let video = || Some("video.test:8443".to_owned());
        assert_eq!(
            apart("https://video.test:8443/a/../b%2f?x=1#t=3"),
            (Some(true), video(), "/a/../b%2f?x=1".to_owned())
        );
        assert_eq!(apart("http://video.test:8443"), (Some(false), video(), "/".to_owned()));
        assert_eq!(
            apart("http://video.test:8443?a"),
            (Some(false), video(), "/?a".to_owned())
        );
        assert_eq!(apart("/a?u=http://x/y"), (None, None, "/a?u=http://x/y".to_owned()));
    }

    #[test]
    fn a_token_goes_where_tokens_are_looked_for() {
        let plain = TokenSource::Header {
            name: http::HeaderName::from_static("x-token"),
            scheme: String::new(),
        };
        assert_eq!(token_header("t", &[plain]), ("x-token".to_owned(), "t".to_owned()));
        let none = [TokenSource::Query {
            parameter: "jwt".to_owned(),
        }];
        assert_eq!(
            token_header("t", &none),
            ("authorization".to_owned(), "Bearer t".to_owned())
        );
    }
}
