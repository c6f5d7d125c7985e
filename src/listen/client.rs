//! Who the client is: the peer of the connection, or whom a trusted proxy names.
//!
//! `X-Forwarded-For` and `Forwarded` are lists that grow to the right. They are walked from the right, and the first
//! address that is no trusted proxy is the client; what stands to its left anyone may have written.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

use crate::headers::list;
use crate::request::Client;

/// Hops looked at in a forwarding header; more than any real installation has.
const MAX_HOPS: usize = 32;

/// The client of a request that came over a connection from `peer`.
pub fn identify(peer: SocketAddr, tls: bool, headers: &HeaderMap, trusted: &[IpNet]) -> Client {
    let peer = canonical(peer.ip());
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    if trusted.is_empty() || !is_trusted(&peer) {
        return Client {
            address: peer,
            peer,
            https: tls,
            hops: Vec::new(),
        };
    }
    let mut believed: Vec<IpAddr> = Vec::new();
    for hop in hops(headers).iter().rev().take(MAX_HOPS) {
        let Some(address) = hop else {
            break; // `unknown` or nonsense: whoever stands left of it cannot be known
        };
        believed.insert(0, *address);
        if !is_trusted(address) {
            break;
        }
    }
    Client {
        address: believed.first().copied().unwrap_or(peer),
        peer,
        https: forwarded_https(headers, believed.len()).unwrap_or(tls),
        hops: believed,
    }
}

/// An IPv4 address that came as IPv6 (`::ffff:192.0.2.1`) is the IPv4 address.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// The addresses of the forwarding header in use, left to right; `None` for a hop without an address.
fn hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    // By bytes: what a client has written in front, in whatever character set, hides nothing that a proxy has added.
    let hop = |hop| node(std::str::from_utf8(hop).ok()?);
    let forwarded_for: Vec<_> = list(headers, "x-forwarded-for").map(hop).collect();
    if !forwarded_for.is_empty() {
        return forwarded_for;
    }
    let hop = |element| node(&parameter(std::str::from_utf8(element).ok()?, "for")?);
    list(headers, "forwarded").map(hop).collect()
}

/// `X-Forwarded-Proto`, or `proto` of `Forwarded`: did the client speak TLS with its proxy? Each proxy may add what it saw; of
/// several schemes counts the one that stands as far from the right as the client's address, after so many `hops`. Where
/// there are fewer, the first proxies have replaced what came: the leftmost one.
fn forwarded_https(headers: &HeaderMap, hops: usize) -> Option<bool> {
    let at_client = |name: &str| {
        let elements: Vec<&[u8]> = list(headers, name).collect();
        let place = elements.len().saturating_sub(hops.max(1));
        let element = elements.get(place)?;
        Some(std::str::from_utf8(element).unwrap_or_default().to_owned())
    };
    if let Some(proto) = at_client("x-forwarded-proto") {
        return Some(is_https(&proto));
    }
    let proto = parameter(&at_client("forwarded")?, "proto")?;
    Some(is_https(&proto))
}

/// Traefik says `wss` of a websocket.
fn is_https(proto: &str) -> bool {
    ["https", "wss"].iter().any(|known| proto.eq_ignore_ascii_case(known))
}

/// A parameter of one element of `Forwarded` (RFC 7239 section 4).
fn parameter(element: &str, name: &str) -> Option<String> {
    element.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let wanted = key.trim().eq_ignore_ascii_case(name);
        wanted.then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// An address with or without port; IPv6 with or without brackets (RFC 7239 section 6).
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let address = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    address.ok().or_else(bracketed).map(canonical)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(peer: &str, headers: &[(&'static str, &'static str)], trusted: &[&str]) -> Client {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        identify(SocketAddr::new(peer.parse().unwrap(), 4000), false, &map, &trusted)
    }

    #[test]
    fn a_stranger_is_not_believed() {
        let seen = client(
            "192.0.2.7",
            &[("x-forwarded-for", "10.0.0.1"), ("x-forwarded-proto", "https")],
            &["127.0.0.0/8"],
        );
        assert_eq!(seen.address.to_string(), "192.0.2.7");
        assert!(!seen.https);
        assert_eq!(seen.chain(), "192.0.2.7");
    }

    #[test]
    fn the_list_is_walked_from_the_right() {
        let trusted = ["127.0.0.1/32", "10.0.0.0/8"];
        let forged = ("x-forwarded-for", "203.0.113.9, 192.0.2.7, 10.1.1.1");
        let seen = client("127.0.0.1", &[forged, ("x-forwarded-proto", "https")], &trusted);
        assert_eq!(seen.address.to_string(), "192.0.2.7");
        assert!(seen.https);
        assert_eq!(seen.chain(), "192.0.2.7, 10.1.1.1, 127.0.0.1");
    }

    #[test]
    fn several_header_lines_are_one_list() {
        let lines = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "192.0.2.7")];
        assert_eq!(
            client("127.0.0.1", &lines, &["127.0.0.1/32"]).address.to_string(),
            "192.0.2.7"
        );
    }

    #[test]
    fn an_empty_element_is_none() {
        let lines = [
            ("x-forwarded-for", "203.0.113.9, 192.0.2.7,"),
            ("x-forwarded-for", " , "),
        ];
        let lines = [&lines[..], &[("x-forwarded-proto", "http, https, ,")]].concat();
        let seen = client("127.0.0.1", &lines, &["127.0.0.1/32"]);
        assert_eq!((seen.address.to_string().as_str(), seen.https), ("192.0.2.7", true));
        let seen = client(
            "127.0.0.1",
            &[("forwarded", "for=192.0.2.7;proto=https,")],
            &["127.0.0.1/32"],
        );
        assert_eq!((seen.address.to_string().as_str(), seen.https), ("192.0.2.7", true));
    }

    #[test]
    fn a_websocket_over_tls_is_https() {
        assert!(client("127.0.0.1", &[("x-forwarded-proto", "wss")], &["127.0.0.1/32"]).https);
        assert!(!client("127.0.0.1", &[("x-forwarded-proto", "ws")], &["127.0.0.1/32"]).https);
    }

    #[test]
    fn of_several_schemes_the_clients_counts() {
        let trusted = ["127.0.0.1/32", "10.0.0.0/8"];
        let https = |addresses: &'static str, schemes: &[&'static str]| {
            let schemes = schemes.iter().map(|scheme| ("x-forwarded-proto", *scheme));
            let headers: Vec<_> = [("x-forwarded-for", addresses)].into_iter().chain(schemes).collect();
            client("127.0.0.1", &headers, &trusted).https
        };
        let two = "192.0.2.7, 10.0.0.9";
        assert!(https(two, &["https, http"]));
        assert!(https(two, &["https", "http"]));
        assert!(https(two, &["https"]), "the second proxy has passed it on");
        assert!(https(two, &["http, https, http"]), "a client has written the first");
        assert!(!https(two, &["http, https"]));
        assert!(
            !https("192.0.2.7", &["https, http"]),
            "one proxy, which has added what it saw"
        );
        let forwarded = ("forwarded", "for=192.0.2.7;proto=https, for=10.0.0.9;proto=http");
        assert!(client("127.0.0.1", &[forwarded], &trusted).https);
    }

    #[test]
    fn forwarded_is_read_where_nothing_else_is() {
        let forwarded = ("forwarded", r#"for="[2001:db8::7]:4711";proto=https;by=10.0.0.1"#);
        let seen = client("127.0.0.1", &[forwarded], &["127.0.0.1/32"]);
        assert_eq!(seen.address.to_string(), "2001:db8::7");
        assert!(seen.https);
    }

    #[test]
    fn a_byte_beyond_ascii_hides_no_proxys_word() {
        for name in ["x-forwarded-for", "forwarded"] {
            let mut headers = HeaderMap::new();
            let (address, proto) = match name {
                "forwarded" => ("for=192.0.2.7;proto=https", None),
                _ => ("192.0.2.7", Some(&b"\xfc, https"[..])),
            };
            let line = [b"\xfc\xff, ", address.as_bytes()].concat();
            headers.append(name, HeaderValue::from_bytes(&line).unwrap());
            if let Some(proto) = proto {
                headers.append("x-forwarded-proto", HeaderValue::from_bytes(proto).unwrap());
            }
            let trusted = ["127.0.0.1/32".parse().unwrap()];
            let seen = identify(SocketAddr::from(([127, 0, 0, 1], 4000)), false, &headers, &trusted);
            assert_eq!(
                (seen.address.to_string().as_str(), seen.https),
                ("192.0.2.7", true),
                "{name}"
            );
        }
    }

    #[test]
    fn nonsense_ends_the_walk() {
        for nonsense in ["unknown", "", "192.0.2.7 or so", "_hidden"] {
            let seen = client("::ffff:127.0.0.1", &[("x-forwarded-for", nonsense)], &["127.0.0.1/32"]);
            assert_eq!(seen.address.to_string(), "127.0.0.1", "{nonsense}");
        }
    }
}
