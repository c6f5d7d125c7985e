//! A watch pass in the addresses of a playlist, and what becomes of the playlist's entity tag.

use std::sync::Arc;

use http::Method;
use url::Url;

use crate::act::playlist::{self, RewriteContext};
use crate::authenticate::watch;
use crate::context::Context;
use crate::digest::{hex, sha256};
use crate::route::path::Path;
use crate::snapshot::{Route, Snapshot};

/// How playlists in the answer to this request are rewritten; `None`: not at all.
pub struct Rewriting {
    here: Url,
    also_here: Option<url::Origin>,
    parameter: String,
    params: Vec<(String, String)>,
    route: Arc<Route>,
    host: String,
    snapshot: Arc<Snapshot>,
    /// Tells this text of a playlist from the plain one and from those with other passes.
    pub tag: String,
}

impl Rewriting {
    pub fn of(ctx: &Context) -> Option<Self> {
        let pass = ctx.watch.rewrite.as_ref()?;
        let (request, path) = (&ctx.request, &ctx.path);
        let route = Arc::clone(ctx.route.as_ref()?);
        let watch = &route.watch.as_ref()?.config;
        let scheme = if ctx.client.https { "https" } else { "http" };
        let here = Url::parse(&format!("{scheme}://{}{}", request.authority, path.encoded())).ok()?;
        let urls = &ctx.snapshot.config.server.public_urls;
        let public = urls.iter().find(|url| url.host == request.host).or(urls.first());
        Some(Self {
            here,
            also_here: public.and_then(|url| Some(Url::parse(&url.origin()).ok()?.origin())),
            parameter: format!("{}={pass}", watch::PARAMETER),
            params: ctx
                .params
                .iter()
                .take(watch.params)
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            host: request.host.clone(),
            snapshot: Arc::clone(&ctx.snapshot),
            tag: hex(sha256(pass.as_bytes()).get(..8).unwrap_or_default()),
            route,
        })
    }

    /// The playlist with the pass in it; `None`: it goes out as it is.
    pub fn rewrite(&self, kind: playlist::Kind, text: &[u8]) -> Option<Vec<u8>> {
        playlist::rewrite(kind, text, &self.rewrite_context(&|path| self.covers(path)))
    }

    /// The same of the address that an answer redirects to.
    pub fn redirect(&self, location: &str) -> Option<String> {
        playlist::rewrite_one(location, &self.rewrite_context(&|path| self.covers(path)))
    }

    fn rewrite_context<'a>(&'a self, covers: &'a dyn Fn(&str) -> bool) -> RewriteContext<'a> {
        RewriteContext {
            here: &self.here,
            also_here: self.also_here.as_ref(),
            parameter: &self.parameter,
            covers,
        }
    }

    /// Is a GET of this path on the same route, for the same parameters?
    fn covers(&self, path: &str) -> bool {
        let Ok(path) = Path::parse(path) else { return false };
        let Ok(found) = self.snapshot.table.find(&self.host, path.decoded(), &Method::GET) else {
            return false;
        };
        let route = self.snapshot.routes.get(found.route);
        let known = self.params.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        route.is_some_and(|route| Arc::ptr_eq(route, &self.route))
            && found.params.iter().take(self.params.len()).eq(known)
    }
}

/// The entity tag of a rewritten playlist, from that of the plain one: `"abc"` becomes `"abc-w…"`. Opencast's has no
/// quotes.
pub fn tagged(etag: &str, tag: &str) -> String {
    match etag.strip_suffix('"') {
        Some(open) => format!("{open}-w{tag}\""),
        None => format!("{etag}-w{tag}"),
    }
}

/// A condition as the upstream may evaluate it: tags of this very text become those of the plain one, others go. `None`:
/// nothing is left to compare.
pub fn untagged(condition: &str, tag: &str) -> Option<String> {
    if condition.trim() == "*" {
        return Some("*".to_owned());
    }
    let tags = condition.split(',').filter_map(|one| {
        let one = one.trim();
        let suffix = format!("-w{tag}");
        match one.strip_suffix('"') {
            Some(open) => open.strip_suffix(&suffix).map(|plain| format!("{plain}\"")),
            None => one.strip_suffix(&suffix).map(str::to_owned),
        }
    });
    let tags: Vec<String> = tags.collect();
    (!tags.is_empty()).then(|| tags.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_rewritten_playlists_lead_back_to_the_plain_ones() {
        for (plain, rewritten) in [
            ("\"a-1\"", "\"a-1-wff\""),
            ("W/\"a\"", "W/\"a-wff\""),
            ("123", "123-wff"),
        ] {
            assert_eq!(tagged(plain, "ff"), rewritten);
            assert_eq!(untagged(rewritten, "ff").as_deref(), Some(plain));
            assert_eq!(untagged(plain, "ff"), None);
            assert_eq!(untagged(rewritten, "ee"), None);
        }
        assert_eq!(
            untagged("\"x\", \"a-wff\" , W/\"b-wff\"", "ff").as_deref(),
            Some("\"a\", W/\"b\"")
        );
        assert_eq!(untagged("*", "ff").as_deref(), Some("*"));
    }
}
