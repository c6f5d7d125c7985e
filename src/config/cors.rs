//! `routes.cors`, as the running gateway sees it.

use http::HeaderValue;

/// Which pages of other origins may call a route.
#[derive(Debug, Clone, PartialEq)]
pub struct Cors {
    /// Serialised origins, lower case; or `*` alone (then `credentials` is false).
    pub origins: Vec<String>,
    pub credentials: bool,
    /// Those of the site's own apps, always with cookies.
    pub apps: Vec<String>,
    /// What a page may send: a whole `Access-Control-Allow-Headers`.
    pub headers: HeaderValue,
    /// What a page may read: a whole `Access-Control-Expose-Headers`.
    pub expose: HeaderValue,
}

impl Cors {
    /// What a player sends: its token, ranges, conditions; the codings that Chromecast receivers ask about; the type of what
    /// it uploads; and what shows that a script has sent it.
    pub const HEADERS: &str = "authorization, range, if-range, if-none-match, if-modified-since, accept-encoding, \
                               content-type, x-requested-with";
    /// What a player reads: where a range lies, how long the file is, which version, and the id to report.
    pub const EXPOSE: &str = "content-range, accept-ranges, content-length, etag, x-request-id";
}

impl Default for Cors {
    /// For no page, with what every route has.
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            credentials: false,
            apps: Vec::new(),
            headers: HeaderValue::from_static(Self::HEADERS),
            expose: HeaderValue::from_static(Self::EXPOSE),
        }
    }
}
