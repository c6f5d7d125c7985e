//! `upstreams.<name>.s3`, and what cannot be said beside a bucket.

use std::sync::Arc;

use url::Url;

use super::{Checker, Known};
use crate::config::diagnostics::{Diagnostic, Span};
use crate::config::read::{At, Key};
use crate::config::{Route, S3, UpstreamServer, file};

/// Of an upstream, what a bucket has to do with.
pub(super) struct OfUpstream<'a> {
    pub(super) servers: Option<&'a [UpstreamServer]>,
    /// Where a `host` is, written or not.
    pub(super) host: Option<&'a str>,
    /// A key that means nothing for a bucket, and where it stands.
    pub(super) others: Vec<(&'static str, Span)>,
}

impl Checker<'_> {
    /// `Some(None)`: it is no bucket.
    pub(super) fn s3(&mut self, s3: Key<file::S3>, upstream: &OfUpstream<'_>) -> Option<Option<S3>> {
        let s3 = match s3 {
            Key::Given(s3) => s3,
            Key::Absent => return Some(None),
            Key::Bad => return None,
        };
        for (key, at) in &upstream.others {
            let problem = Diagnostic::error(*at, format!("`{key}` means nothing for a bucket"));
            self.report(problem.also(s3.at, "this makes it one").help("remove it"));
        }
        let at = s3.at;
        let s3 = s3.value;
        let bucket = s3.bucket.given().cloned().filter(|bucket| {
            let is_good = (1..=255).contains(&bucket.value.len())
                && bucket
                    .value
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
                && !matches!(bucket.value.as_str(), "." | "..");
            if !is_good {
                let problem = Diagnostic::error(bucket.at, "this cannot be the name of a bucket");
                self.report(problem.help("letters, digits, `-`, `_` and `.`; a folder in it is `prefix`"));
            }
            is_good
        });
        let region = &s3.region;
        if region.value.is_empty() || !region.value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/') {
            let problem = Diagnostic::error(region.at, "this cannot be a region");
            self.report(
                problem.help("write the one of the bucket, such as \"eu-central-1\"; MinIO's is \"us-east-1\""),
            );
        }
        let prefix = s3.prefix.checked(|prefix| {
            let odd = |segment: &str| matches!(segment, "." | "..");
            if !prefix.value.starts_with('/')
                && !prefix.value.split('/').any(odd)
                && !prefix.value.contains(char::is_control)
            {
                return Some(prefix.value);
            }
            let problem = Diagnostic::error(prefix.at, "`prefix` is not the beginning of a key");
            self.report(
                problem.help("write \"opencast/downloads/\": no slash first, and one last where it is a folder"),
            );
            None
        });
        let credentials_file = s3.credentials_file.given();
        let credentials_file = credentials_file.and_then(|path| self.existing_file(path, "credentials_file"));
        let endpoint = self.endpoint(at, upstream, s3.path_style, bucket.as_ref());
        Some(Some(S3 {
            bucket: bucket?.value,
            region: s3.region.value,
            endpoint: endpoint?,
            path_style: s3.path_style,
            prefix: prefix?.unwrap_or_default(),
            credentials_file: credentials_file?,
            profile: s3.profile.value,
            valid: s3.valid,
        }))
    }

    /// Scheme and host as the store sees them: they are signed.
    fn endpoint(
        &mut self,
        at: Span,
        upstream: &OfUpstream<'_>,
        path_style: bool,
        bucket: Option<&At<String>>,
    ) -> Option<Url> {
        let servers = upstream.servers?;
        let first = servers.first()?;
        if upstream.host.is_none() && servers.len() > 1 {
            let problem = Diagnostic::error(at, "several servers, and requests are signed for one name");
            self.report(problem.help("add host = \"s3.example.edu\" to the upstream: what all of them are called"));
            return None;
        }
        let scheme = if first.https { "https" } else { "http" };
        let authority = match upstream.host {
            Some(host) => host.to_owned(),
            None if first.host.contains(':') => format!("[{}]:{}", first.host, first.port),
            None => format!("{}:{}", first.host, first.port),
        };
        // A default port goes: no client says it in `Host`.
        let endpoint = Url::parse(&format!("{scheme}://{authority}")).ok();
        let in_host = |endpoint: &Url| {
            let host = format!("{}.{}", bucket?.value, endpoint.domain()?);
            Url::parse(&format!("{scheme}://{host}"))
                .ok()
                .filter(|url| url.host_str() == Some(&host))
        };
        match endpoint {
            Some(endpoint) if path_style || bucket.is_none() || in_host(&endpoint).is_some() => Some(endpoint),
            _ => {
                let problem = Diagnostic::error(at, "this bucket and server make no host together");
                self.report(
                    problem.help("write path_style = true, where the server is an address or the bucket has capitals"),
                );
                None
            }
        }
    }

    /// Who is asked, or has a Moodle or an Opencast behind it, is no bucket.
    pub(super) fn asked_buckets(&mut self, routes: &[Arc<Route>], known: &Known) {
        let is_bucket = |index: Option<usize>| index.is_some_and(|index| known.is_bucket(index));
        for route in routes {
            if is_bucket(route.else_ask.as_ref().map(|ask| ask.upstream)) {
                let message = format!("the route `{}` asks a bucket who may", route.name);
                self.report(Diagnostic::error_nowhere(message).help("remove `else_ask`"));
            }
        }
        let moodles = known.moodles.iter().map(|moodle| Some(moodle.upstream));
        let opencasts = known.opencasts.iter().copied();
        if moodles.chain(opencasts).any(is_bucket) {
            let problem = Diagnostic::error_nowhere("a Moodle or an Opencast is behind an upstream with `s3`");
            self.report(problem.help("a bucket has objects only: give it an upstream of its own"));
        }
    }
}
