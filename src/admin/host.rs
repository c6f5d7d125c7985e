//! Who the admin listener takes itself for: an address, `localhost`, or a name of `server.admin_hosts`.
//!
//! A page on `evil.example` may let that name point to 127.0.0.1 and read what is served there as its own (DNS
//! rebinding). Its browser then still names `evil.example` in `Host`; nobody can own an address or `localhost`, and which
//! names belong to the operator only the operator knows.

use std::net::IpAddr;

use http::header::HOST;
use http::uri::Authority;
use http::{Request, Version};

use crate::headers::at_most_one;

/// Is the request meant for us? It must name one host, and the one of an absolute request target counts too. `names` are
/// the operator's, in lower case.
pub(super) fn is_own<B>(request: &Request<B>, names: &[String]) -> bool {
    let Ok(host) = at_most_one(request.headers(), HOST) else {
        return false;
    };
    let Some(host) = host else {
        // A probe of a load balancer's. Browsers do not speak HTTP/1.0, where it need not name one.
        return request.version() == Version::HTTP_10 && request.uri().authority().is_none();
    };
    let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    let is_own = |authority: &Authority| is_own_name(authority, names);
    host.as_ref().is_some_and(is_own) && request.uri().authority().is_none_or(is_own)
}

fn is_own_name(authority: &Authority, names: &[String]) -> bool {
    // `user@host` is no host; and what precedes the `@` is a place to hide in.
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    // A dot at the end says that the name is whole (RFC 1034 section 3.1).
    let host = undotted(host);
    let is_named = || names.iter().any(|name| host.eq_ignore_ascii_case(undotted(name)));
    address.parse::<IpAddr>().is_ok() || host.eq_ignore_ascii_case("localhost") || is_named()
}

fn undotted(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(hosts: &[&str], target: &str) -> bool {
        let mut request = Request::builder().uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        is_own(&request.body(()).unwrap(), &["janua-1".to_owned()])
    }

    #[test]
    fn addresses_and_localhost_are_own() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9090",
            "10.1.2.3:9090",
            "[::1]:9090",
            "[::1]",
            "localhost",
            "LocalHost:9",
            "janua-1:9090",
            "JANUA-1",
            "janua-1.:9090",
            "localhost.",
        ] {
            assert!(own(&[host], "/metrics"), "{host}");
        }
        assert!(own(&["127.0.0.1:9090"], "http://127.0.0.1:9090/metrics"));
    }

    #[test]
    fn no_name_that_somebody_can_own_is() {
        for host in [
            "evil.example",
            "evil.example:9090",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1@evil.example",
            "evil.example@127.0.0.1",
            "janua-1.evil.example",
            "janua-2",
            "janua-1..",
            ".",
            "evil.example@janua-1",
            "",
        ] {
            assert!(!own(&[host], "/metrics"), "{host}");
        }
        assert!(!own(&[], "/metrics"));
        assert!(!own(&["localhost", "evil.example"], "/metrics"));
        assert!(!own(&["localhost"], "http://evil.example/metrics"));
    }
}
