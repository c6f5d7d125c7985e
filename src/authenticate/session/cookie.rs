//! The gateway's cookies: what they are called, how they are set, and how they are found again (RFC 6265).
//!
//! Over https every name begins with `__Host-`, which browsers keep for this very host; over http, which is for loopback,
//! they have neither that nor `Secure`.

use http::{HeaderMap, HeaderValue};

use crate::headers::cookies;

/// The cookie of a session.
pub const SESSION: &str = "janua";

/// The cookie of a launch session.
pub const LAUNCH: &str = "janua-launch";

/// How a cookie is called and set for clients of one public URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jar {
    pub https: bool,
}

impl Jar {
    /// The name with the prefix that it has here.
    pub fn name(self, name: &str) -> String {
        match self.https {
            true => format!("__Host-{name}"),
            false => name.to_owned(),
        }
    }

    /// The values of all cookies of this name, in the order of the request.
    pub fn all<'a>(self, headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
        cookies::values(headers, &self.name(name)).collect()
    }

    /// Names, without the prefix, and values of all cookies whose names begin so.
    pub fn beginning_with<'a>(self, headers: &'a HeaderMap, beginning: &str) -> Vec<(&'a str, &'a str)> {
        let prefix = if self.https { "__Host-" } else { "" };
        cookies::pairs(headers)
            .filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, cookies::text(value)?)))
            .filter_map(|(name, value)| Some((name.strip_prefix(prefix)?, value)))
            .filter(|(name, _)| name.starts_with(beginning))
            .collect()
    }

    /// `Set-Cookie` for this host, out of reach for scripts, sent to us by other sites' links but not by their forms and
    /// scripts. `seconds`: how long the browser keeps it; `None`: until it ends.
    pub fn set(self, name: &str, value: &str, seconds: Option<u32>) -> Option<HeaderValue> {
        self.line(name, value, "Lax", seconds, "")
    }

    /// `Set-Cookie` for this host inside other sites' frames: each site that frames it has a cookie of its own (CHIPS).
    /// Browsers do that over https only; over http it is like any other.
    pub fn set_framed(self, name: &str, value: &str, seconds: Option<u32>) -> Option<HeaderValue> {
        match self.https {
            true => self.line(name, value, "None", seconds, "; Partitioned"),
            false => self.set(name, value, seconds),
        }
    }

    fn line(self, name: &str, value: &str, site: &str, seconds: Option<u32>, more: &str) -> Option<HeaderValue> {
        let secure = if self.https { "; Secure" } else { "" };
        let age = seconds.map_or_else(String::new, |seconds| format!("; Max-Age={seconds}"));
        let name = self.name(name);
        HeaderValue::try_from(format!(
            "{name}={value}; HttpOnly; SameSite={site}{secure}; Path=/{age}{more}"
        ))
        .ok()
    }

    /// `Set-Cookie` that takes it away.
    pub fn remove(self, name: &str) -> Option<HeaderValue> {
        self.set(name, "", Some(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTTPS: Jar = Jar { https: true };
    const HTTP: Jar = Jar { https: false };

    #[test]
    fn over_https_a_cookie_is_this_hosts_and_no_scripts() {
        assert_eq!(
            HTTPS.set(SESSION, "abc", None).unwrap(),
            "__Host-janua=abc; HttpOnly; SameSite=Lax; Secure; Path=/"
        );
        assert_eq!(
            HTTP.set(SESSION, "abc", Some(60)).unwrap(),
            "janua=abc; HttpOnly; SameSite=Lax; Path=/; Max-Age=60"
        );
        assert_eq!(
            HTTPS.set_framed(LAUNCH, "abc", None).unwrap(),
            "__Host-janua-launch=abc; HttpOnly; SameSite=None; Secure; Path=/; Partitioned"
        );
        assert_eq!(
            HTTP.set_framed(LAUNCH, "abc", None).unwrap(),
            "janua-launch=abc; HttpOnly; SameSite=Lax; Path=/"
        );
        assert!(HTTPS.remove(SESSION).unwrap().to_str().unwrap().contains("Max-Age=0"));
    }

    #[test]
    fn only_the_name_in_force_counts() {
        let mut headers = HeaderMap::new();
        headers.append(
            "cookie",
            "janua=a; __Host-janua=b;__Host-janua=c; __host-janua=d"
                .parse()
                .unwrap(),
        );
        headers.append(
            "cookie",
            "__Host-janua-login-1=x; janua-login-2=y; __Host-janua = e"
                .parse()
                .unwrap(),
        );
        assert_eq!(HTTPS.all(&headers, SESSION), ["b", "c", "e"]);
        assert_eq!(HTTP.all(&headers, SESSION), ["a"]);
        assert_eq!(HTTPS.beginning_with(&headers, "janua-login-"), [("janua-login-1", "x")]);
        assert_eq!(HTTP.beginning_with(&headers, "janua-login-"), [("janua-login-2", "y")]);
    }
}
