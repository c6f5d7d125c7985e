//! Wowza's SecureToken version 2, as Opencast's `WowzaUrlSigningProvider` makes it: a hash over the stream's path, the secret and
//! all parameters of the query that begin with a prefix. Only made here: Wowza checks it.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;

use crate::digest::sha256;

/// The stream that a path belongs to: all but its first slash and its last segment (`vod/lecture.mp4` of
/// `/vod/lecture.mp4/playlist.m3u8`), decoded.
fn stream(path: &str) -> &str {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.rsplit_once('/').map_or("", |(stream, _)| stream)
}

/// The parameters that allow this path until then. `path` is decoded; `begins`: seconds since 1970 from which on.
pub(super) fn query(
    (prefix, secret): (&str, &str),
    path: &str,
    (begins, until): (Option<u64>, SystemTime),
    client: Option<IpAddr>,
) -> String {
    let ends = until.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut hashed = vec![format!("{prefix}endtime={ends}")];
    hashed.extend(begins.map(|begins| format!("{prefix}starttime={begins}")));
    let hash = hash(secret, stream(path), client, hashed.clone());
    format!("{}&{prefix}hash={hash}", hashed.join("&"))
}

/// Parameters are sorted by their names.
fn hash(secret: &str, stream: &str, client: Option<IpAddr>, mut parameters: Vec<String>) -> String {
    parameters.sort();
    let client = client.map(|client| client.to_canonical().to_string());
    let parts = client.into_iter().chain([secret.to_owned()]).chain(parameters);
    let text = format!("{stream}?{}", parts.collect::<Vec<_>>().join("&"));
    URL_SAFE.encode(sha256(text.as_bytes()))
}

/// Does a parameter of a client's query speak in the server's name? Those are taken off.
pub(super) fn is_of(pair: &str, prefix: &str) -> bool {
    let name: Vec<u8> = percent_encoding::percent_decode_str(pair.split('=').next().unwrap_or_default()).collect();
    name.starts_with(prefix.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Address, secret, times and hash of Opencast's own `WowzaUrlSigningProviderTest`.
    #[test]
    fn the_hash_is_the_one_that_opencast_makes() {
        let parameters = [
            "myTokenPrefixstarttime=1395230",
            "myTokenPrefixendtime=1500000",
            "myTokenPrefixCustomParameter=abcdef",
        ];
        let client = "192.168.1.2".parse().ok();
        let stream = stream("/vod/sample.mp4/playlist.m3u8");
        assert_eq!(
            hash("mySharedSecret", stream, client, parameters.map(str::to_owned).to_vec()),
            "E4mSDMQXutPnj6ApllhzFoONFDQVzhAdV39Q9I9TGsU="
        );
    }

    #[test]
    fn a_stream_is_the_folder_of_what_is_asked_for() {
        for (path, expected) in [
            ("/vod/_definst_/a/b.mp4/chunklist_w1.m3u8", "vod/_definst_/a/b.mp4"),
            ("/vod/a.mp4", "vod"),
            ("/a", ""),
            ("/", ""),
        ] {
            assert_eq!(stream(path), expected);
        }
    }

    #[test]
    fn parameters_of_the_prefix_are_found_in_every_spelling() {
        assert!(is_of("tokenhash=1", "token") && is_of("%74oken%68ash=1", "token") && is_of("token", "token"));
        assert!(!is_of("t=token", "token"));
    }
}
