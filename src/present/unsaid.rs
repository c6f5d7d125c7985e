//! Headers of a request that no client may say to an upstream: who says them decides something there.

use std::sync::LazyLock;

use http::HeaderName;

/// Every name with what an upstream would take it for. Names are compared with `_` read as `-`: CGI and WSGI cannot tell
/// the two apart.
const UNSAID: &[(&str, &str)] = &[
    // Who the person is, and in whose name they act.
    ("x-run-as-user", "Opencast: a user that another one acts for"),
    ("x-run-with-roles", "Opencast: roles that a user acts with"),
    ("x-opencast-matterhorn-user", "Opencast: the user of a job"),
    ("x-opencast-matterhorn-roles", "Opencast: the roles of a job"),
    ("x-opencast-matterhorn-organization", "Opencast: the tenant of a job"),
    ("x-opencast-matterhorn-current-job-id", "Opencast: a job"),
    ("x-requested-auth", "Opencast: which way to sign in"),
    ("x-remote-user", "servers behind a gateway that signs people in"),
    ("remote-user", "servers behind a gateway that signs people in"),
    ("x-webauth-user", "servers behind a gateway that signs people in"),
    ("x-authenticated-user", "servers behind a gateway that signs people in"),
    ("x-client-cert", "servers behind one that checks certificates"),
    ("x-arr-clientcert", "IIS, Azure: the client's certificate"),
    // Where the client is.
    ("forwarded", "RFC 7239"),
    ("client-ip", "Moodle's getremoteaddr() believes it first"),
    ("x-client-ip", "Apache's mod_remoteip, application servers"),
    ("x-real-ip", "nginx's name for it"),
    ("true-client-ip", "Akamai, Cloudflare"),
    ("cf-connecting-ip", "Cloudflare"),
    ("cf-connecting-ipv6", "Cloudflare"),
    ("cf-pseudo-ipv4", "Cloudflare"),
    ("fastly-client-ip", "Fastly"),
    ("x-cluster-client-ip", "Rackspace, Riverbed"),
    ("fly-client-ip", "Fly.io"),
    ("x-azure-clientip", "Azure Front Door"),
    ("x-azure-socketip", "Azure Front Door"),
    ("x-appengine-user-ip", "App Engine"),
    ("x-envoy-external-address", "Envoy"),
    ("x-original-forwarded-for", "ingress-nginx"),
    ("x-originating-ip", "Microsoft's proxies"),
    ("x-remote-ip", "application servers"),
    ("x-remote-addr", "application servers"),
    ("x-proxyuser-ip", "Google's proxies"),
    ("wl-proxy-client-ip", "WebLogic"),
    ("proxy-client-ip", "WebLogic"),
    ("x-forwarded", "the beginning of a name is a name too"),
    ("forwarded-for", "application servers"),
    // What is asked for.
    (
        "x-http-method-override",
        "Apache CXF (Opencast), Rails, Symfony: the method that counts",
    ),
    ("x-http-method", "OData: the method that counts"),
    ("x-method-override", "the method that counts"),
    (
        "x-original-method",
        "ingress-nginx's external auth: the method that counts",
    ),
    ("x-original-url", "IIS, Symfony, Zend: the path that counts"),
    ("x-original-uri", "nginx's auth_request: the path that counts"),
    ("x-rewrite-url", "IIS, Symfony: the path that counts"),
    ("x-original-host", "Application Gateway: the host that counts"),
    ("x-host", "the host that counts"),
    ("x-http-host-override", "the host that counts"),
    ("x-forwarded-host", "the host that counts"),
    ("base-url", "Zend: what addresses begin with"),
    ("x-script-name", "WSGI: what addresses begin with"),
    ("x-scheme", "ingress-nginx: whether it is https"),
    ("x-url-scheme", "whether it is https"),
    ("front-end-https", "Microsoft: whether it is https"),
    ("x-arr-ssl", "IIS, Azure: whether it is https"),
    // For servers of the same hop.
    ("proxy", "CGI: becomes HTTP_PROXY, a program's own proxy"),
    (
        "http2-settings",
        "RFC 7540 section 3.2.1: an upgrade that the gateway does not make",
    ),
    ("x-accel-internal", "an instruction among servers"),
    ("x-accel-mapping", "Rack: which folder of the server's stands for which"),
    ("x-sendfile-type", "Rack: how a file is named to the server in front"),
    ("surrogate-capability", "an instruction among caches"),
    ("x-request-id", "the gateway gives the number"),
];

/// The same of every name that begins so.
const UNSAID_BEGINNINGS: [(&str, &str); 4] = [
    ("x-forwarded-", "what a proxy tells of the client"),
    ("x-auth-request-", "oauth2-proxy: who the person is"),
    ("ssl-client-", "nginx, Apache: the client's certificate"),
    ("x-ssl-client-", "HAProxy, nginx: the client's certificate"),
];

/// By the first byte of a name, the lengths that [`UNSAID`] has such names of: bit 17 for 17 bytes. Of the headers of an
/// ordinary request hardly any is compared with the list, which every request would pay for.
static LENGTHS: LazyLock<[u64; 256]> = LazyLock::new(|| {
    let mut lengths = [0; 256];
    for (name, _) in UNSAID {
        let first = name.bytes().next().unwrap_or_default();
        if let Some(of) = lengths.get_mut(usize::from(first)) {
            *of |= bit(name.len());
        }
    }
    lengths
});

/// 0 beyond 63.
fn bit(length: usize) -> u64 {
    u32::try_from(length)
        .ok()
        .and_then(|length| 1_u64.checked_shl(length))
        .unwrap_or(0)
}

/// Is it for the gateway alone to say?
pub fn is_unsaid(name: &HeaderName) -> bool {
    let bytes = name.as_str().as_bytes();
    let first = bytes.first().copied().unwrap_or_default();
    let lengths = LENGTHS.get(usize::from(first)).copied().unwrap_or_default();
    let is_listed = lengths & bit(bytes.len()) != 0 && UNSAID.iter().any(|(known, _)| is_alike(name, known));
    is_listed
        || UNSAID_BEGINNINGS
            .iter()
            .any(|(beginning, _)| begins_alike(bytes, beginning))
}

/// The same name to CGI and WSGI, which cannot tell `_` from `-`.
pub fn is_alike(name: &HeaderName, known: &str) -> bool {
    name.as_str().len() == known.len() && begins_alike(name.as_str().as_bytes(), known)
}

fn begins_alike(name: &[u8], beginning: &str) -> bool {
    let same = |(a, b): (&u8, u8)| *a == b || (*a == b'_' && b == b'-');
    name.len() >= beginning.len() && name.iter().zip(beginning.bytes()).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_spelling_of_a_name_counts_and_no_other_name_does() {
        for (known, reason) in UNSAID {
            assert!(!reason.is_empty());
            for name in [(*known).to_owned(), known.replace('-', "_")] {
                assert!(is_unsaid(&name.parse().unwrap()), "{name}");
            }
        }
        for name in [
            "x-forwarded-for",
            "x_forwarded_anything",
            "x-forwarded_port",
            "x-auth-request-user",
            "ssl_client_s_dn",
            "x-ssl-client-cert",
        ] {
            assert!(is_unsaid(&name.parse().unwrap()), "{name}");
        }
        for name in [
            "x-requested-with",
            "accept",
            "host",
            "range",
            "x-client-ips",
            "proxy-x",
            "user-agent",
        ] {
            assert!(!is_unsaid(&name.parse().unwrap()), "{name}");
        }
    }
}
