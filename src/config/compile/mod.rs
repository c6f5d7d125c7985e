//! From what was written to what the modules work with: what values mean together, references, files; all problems at once.
//!
//! One file per section. A function here returns `None` only after it has reported why, so that the others go on and
//! nothing is hidden behind the first mistake.

mod accept;
mod action;
mod asking;
mod bearer;
mod checks;
mod conflicts;
mod cors;
mod frames;
mod functions;
mod hosts;
mod jwt;
mod launch;
mod log;
mod lti;
mod moodle;
mod moodle_launch;
mod moodle_sources;
mod moodle_username;
mod named;
mod opencast;
mod outgoing;
mod pages;
mod people;
mod routes;
mod rules;
mod s3;
mod server;
mod sign_in;
mod signed_url;
mod state;
mod statistics;
mod unmet;
mod unused;
mod upstreams;
mod watch;

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::moodle::KnownMoodle;
pub(crate) use self::rules::Checks;
pub(crate) use self::unmet::List;
use self::unmet::Source;
use super::diagnostics::{Diagnostic, Diagnostics, Span};
use super::file::File;
use super::read::{At, Env, read};
use super::{Config, Proxy, SignedUrlForm, SignedUrls, TokenSource};

/// A configuration that may be run, and what is odd about it.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// No errors among them.
    pub warnings: Diagnostics,
}

/// No configuration is larger; something else is, named by mistake.
const MAX_FILE: u64 = 4 << 20;

/// Reads, checks and compiles a gateway.toml. The error holds every problem found, warnings too.
pub fn load(path: &Path) -> Result<Loaded, Diagnostics> {
    load_with(path, &|name| std::env::var(name).ok())
}

/// [`load`] with the environment as a function from a variable's name to its value.
pub fn load_with(path: &Path, env: Env<'_>) -> Result<Loaded, Diagnostics> {
    let refused = |why: &io::Error| {
        let problem = Diagnostic::error_nowhere(format!("cannot read {}: {why}", path.display()));
        let problem = problem.help("name the file with --config, or in the variable JANUA_CONFIG");
        Diagnostics::new(path, String::new(), vec![problem])
    };
    let source = read_file(path).map_err(|why| refused(&why))?;
    let folder = std::path::absolute(path).map_err(|why| refused(&why))?;
    let folder = folder.parent().map(Path::to_owned).unwrap_or_default();

    let (file, problems) = read::<File>(&source, env);
    let name = path.file_name().unwrap_or(path.as_os_str());
    let mut checker = Checker {
        source: &source,
        name: name.to_string_lossy().into(),
        folder,
        problems,
        proxy: None,
        counts_views: None,
    };
    let config = file.and_then(|file| checker.file(file));
    let diagnostics = Diagnostics::new(path, source.clone(), checker.problems);
    match config {
        Some(config) if !diagnostics.has_errors() => Ok(Loaded {
            config,
            warnings: diagnostics,
        }),
        _ => Err(diagnostics),
    }
}

fn read_file(path: &Path) -> io::Result<String> {
    let mut source = String::new();
    fs::File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut source)?;
    match source.len() as u64 > MAX_FILE {
        true => Err(io::Error::other("it is larger than 4 MiB")),
        false => Ok(source),
    }
}

/// What routes may refer to, even when what is named has mistakes of its own.
struct Known {
    /// Hosts of the public URLs; `None` when they could not be read.
    hosts: Option<Names>,
    upstreams: Names,
    /// Indices of those that are buckets.
    buckets: Vec<usize>,
    issuers: Names,
    /// Of these, by index: may they name users?
    naming: Vec<bool>,
    /// What the tokens of each issuer may say, by index.
    caps: Vec<Source>,
    /// What the sessions of each sign-in say, by index.
    given_roles: Vec<Source>,
    /// Where tokens are looked for; `None` when that could not be read.
    sources: Option<Vec<TokenSource>>,
    sign_ins: Names,
    bearers: Names,
    /// What the tokens of each bearer say, by index.
    bearer_roles: Vec<Source>,
    /// Of these, by index: whose people bring them; empty where one has a mistake.
    bearer_people: Vec<Option<Arc<str>>>,
    signed_urls: Names,
    /// Of these, by index; `None` where one has a mistake.
    signed_url_forms: Vec<Option<SignedUrlForm>>,
    /// Of the sign-ins, by index: is it one of CAS?
    by_cas: Vec<bool>,
    /// Of these, by index: whose people their people are; empty where a sign-in has a mistake.
    people: Vec<Arc<str>>,
    /// What launches of each platform say.
    platforms: Vec<Source>,
    platform_names: Names,
    /// Does one of them name people?
    platforms_name: bool,
    moodles: Vec<KnownMoodle>,
    /// Is every Moodle among them?
    moodles_complete: bool,
    /// Upstreams of the Opencasts; `None` where one has a mistake.
    opencasts: Vec<Option<usize>>,
}

impl Known {
    fn is_bucket(&self, upstream: usize) -> bool {
        self.buckets.contains(&upstream)
    }
}

/// Names and where they were given, in the order of their indices.
type Names = Vec<At<String>>;

/// What every check needs, and what they have found.
pub(super) struct Checker<'a> {
    source: &'a str,
    /// Of the file, without its folder.
    name: Arc<str>,
    folder: PathBuf,
    problems: Vec<Diagnostic>,
    /// Of `[outgoing]`.
    proxy: Option<Arc<Proxy>>,
    /// The first `views` of a route.
    counts_views: Option<Span>,
}

impl Checker<'_> {
    fn file(&mut self, file: File) -> Option<Config> {
        let (server, hosts) = file.server.or_empty().map(|server| self.server(server)).unzip();
        let (server, hosts) = (server.flatten(), hosts.flatten());
        let pages = self.pages(file.pages);
        let log = self.log(file.log);
        let proxy = self.proxy(file.outgoing);
        self.proxy = proxy.clone().flatten();
        let state = self.state(file.state);
        let statistics_at = file.statistics.place;
        let statistics = self.statistics(file.statistics);
        let counted = statistics.as_ref().and_then(Option::as_ref);
        self.file_of_views(statistics_at, counted, log.as_ref(), state.as_ref());
        let jwt = file.jwt;
        let form = launch::form_source(&jwt.sources.value);
        let named = jwt.issuers.value().into_iter().flatten();
        let named = named.filter(|issuer| issuer.value.name.given().is_some());
        let naming = named.clone().map(|issuer| issuer.value.may_name_users).collect();
        let caps = named.map(|issuer| Source::of_issuer(&issuer.value)).collect();
        let given_roles = Source::of_sign_ins(&file.sign_in);
        let max_token = jwt.max_token.written();
        let (jwt, issuers) = self.jwt(jwt);
        if let (Some(at), Some(jwt), Some(server)) = (max_token, &jwt, &server) {
            self.room_for_tokens(at, jwt.max_token, server.max_header);
        }
        let by_cas = file
            .sign_in
            .0
            .iter()
            .map(|(_, sign_in)| sign_in.oidc.is_absent() && sign_in.oauth2.is_absent())
            .collect();
        let (mut sign_ins, sign_in_names) = self.sign_ins(file.sign_in, &issuers);
        let bearer_roles = Source::of_bearers(&file.bearer);
        let (mut bearers, bearer_names) = self.bearers(
            file.bearer,
            &issuers,
            (&sign_in_names, sign_ins.as_deref().unwrap_or_default()),
        );
        let platforms = Source::of_platforms(&file.lti);
        let platform_names: Names = file.lti.0.iter().map(|(name, _)| name.clone()).collect();
        let platforms_name = file.lti.0.iter().any(|(_, lti)| lti.may_name_users);
        let others = [
            (&issuers, "an issuer has"),
            (&sign_in_names, "a sign-in has"),
            (&bearer_names, "a bearer has"),
        ];
        let lti = self.platforms(file.lti, &others);
        let (signed_urls, signed_url_names) = self.signed_urls(file.signed_urls);
        // By what is written: also where another upstream has a mistake.
        let written = file.upstreams.0.iter().enumerate();
        let buckets = written.filter(|(_, (_, upstream))| !upstream.s3.is_absent());
        let buckets = buckets.map(|(index, _)| index).collect();
        let (upstreams, upstream_names) = self.upstreams(file.upstreams);
        let mut known = Known {
            hosts,
            buckets,
            upstreams: upstream_names,
            issuers,
            naming,
            caps,
            given_roles,
            sources: jwt.as_ref().map(|jwt| jwt.sources.clone()),
            sign_ins: sign_in_names,
            bearers: bearer_names,
            signed_url_forms: forms(signed_urls.as_deref(), &signed_url_names),
            signed_urls: signed_url_names,
            bearer_roles,
            bearer_people: bearers.iter().flatten().map(|one| one.people.clone()).collect(),
            by_cas,
            people: sign_ins.iter().flatten().map(|one| Arc::clone(&one.people)).collect(),
            platforms,
            platform_names,
            platforms_name,
            moodles: Vec::new(),
            moodles_complete: false,
            opencasts: Vec::new(),
        };
        let (moodles, known_moodles) = self.moodles(file.moodle, &known);
        known.moodles = known_moodles;
        known.moodles_complete = moodles.is_some();
        if let (Some(sign_ins), Some(bearers), Some(moodles)) = (&mut sign_ins, &mut bearers, &moodles) {
            self.asked_for_moodles((sign_ins, bearers), moodles, &known);
        }
        let (opencasts, their_upstreams) = self.opencasts(file.opencast, &known);
        known.opencasts = their_upstreams;
        let routes = self.routes(file.routes, &known);
        if let Some(routes) = &routes {
            self.unused(routes, &known);
            self.unread_form(form, routes);
            if let Some(statistics) = &statistics {
                self.counted_for_nobody(statistics_at, statistics.is_some(), routes);
            }
            self.asked_buckets(routes, &known);
            self.launch_scripts(moodles.as_deref().unwrap_or_default(), routes, &known);
            self.decisions_for_nobody(routes, server.as_ref());
            if let (Some(jwt), Some(bearers)) = (&jwt, &bearers) {
                self.shown_by_mistake(routes, &known, (&jwt.issuers, bearers));
            }
        }
        Some(Config {
            server: server?,
            pages: pages?,
            log: log?,
            state: state?,
            jwt: jwt?,
            sign_ins: sign_ins?,
            bearers: bearers?,
            lti: lti?,
            moodles: moodles?,
            opencasts: opencasts?,
            signed_urls: signed_urls?,
            upstreams: upstreams?,
            proxy: proxy?,
            statistics: statistics?,
            routes: routes?,
        })
    }

    pub(super) fn report(&mut self, problem: Diagnostic) {
        self.problems.push(problem);
    }
}

/// Of each, in the order of the names.
fn forms(sections: Option<&[SignedUrls]>, names: &Names) -> Vec<Option<SignedUrlForm>> {
    match sections {
        Some(sections) => sections.iter().map(|section| Some(section.form)).collect(),
        None => vec![None; names.len()],
    }
}

/// All of them, or none if one is missing: only after each has been looked at.
fn every<T>(checked: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let checked: Vec<_> = checked.collect();
    checked.into_iter().collect()
}
