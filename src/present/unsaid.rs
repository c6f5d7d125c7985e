//! Headers of a request that no client may say to an upstream: who says them decides something there.

use std::sync::LazyLock;

use http::HeaderName;

/// Every name with what an upstream would take it for. Names are compared with `_` read as `-`: CGI and WSGI cannot tell
/// the two apart.
const UNSAID: &[(&str, &str)] = &[
    // Who the person is, and in whose name they act.
    ("x-run-as-user", "Opencast: a user that another one acts for"),
    ("x-run-with-roles", "Opencast: roles that a user acts with"),
    ("x-requested-auth", "Opencast: which way to sign in"),
    ("x-user", "servers behind a gateway that signs people in"),
    ("x-auth-user", "servers behind a gateway that signs people in"),
    ("auth-user", "servers behind a gateway that signs people in"),
    ("x-vouch-user", "Vouch: who the person is"),
    ("x-client-dn", "servers behind one that checks certificates"),
    ("x-client-verify", "servers behind one that checks certificates"),
    ("x-ssl-cert", "servers behind one that checks certificates"),
    ("ssl-cert", "servers behind one that checks certificates"),
    ("x-arr-clientcert", "IIS, Azure: the client's certificate"),
    // Where the client is.
    ("forwarded", "RFC 7239"),
    ("client-ip", "Moodle's getremoteaddr() believes it first"),
    ("real-ip", "application servers"),
    ("source-ip", "application servers"),
    ("x-source-ip", "application servers"),
    ("x-from-ip", "application servers"),
    ("x-ip", "application servers"),
    ("cdn-src-ip", "CDNs"),
    ("cf-connecting-ipv6", "Cloudflare"),
    ("cf-pseudo-ipv4", "Cloudflare"),
    ("cloudfront-viewer-address", "CloudFront"),
    ("x-azure-socketip", "Azure Front Door"),
    ("x-appengine-user-ip", "App Engine"),
    ("x-originating-ip", "Microsoft's proxies"),
    ("x-proxyuser-ip", "Google's proxies"),
    ("x-nf-client-connection-ip", "Netlify"),
    ("x-vercel-forwarded-for", "Vercel"),
    ("x-forward-for", "application servers"),
    ("x-forwarded", "the beginning of a name is a name too"),
    ("forwarded-for", "application servers"),
    // What is asked for.
    ("x-http-method", "OData: the method that counts"),
    ("x-method", "the method that counts"),
    ("method-override", "the method that counts"),
    ("x-http-path-override", "the path that counts"),
    ("x-http-destinationurl", "the path that counts"),
    ("x-request-uri", "the path that counts"),
    ("x-proxy-url", "the path that counts"),
    ("x-override-url", "the path that counts"),
    ("x-host", "the host that counts"),
    ("x-real-host", "the host that counts"),
    ("x-backend-host", "the host that counts"),
    ("proxy-host", "the host that counts"),
    ("x-http-host-override", "the host that counts"),
    ("x-forwarded-host", "the host that counts"),
    ("base-url", "Zend: what addresses begin with"),
    ("x-script-name", "WSGI: what addresses begin with"),
    ("x-scheme", "ingress-nginx: whether it is https"),
    ("x-url-scheme", "whether it is https"),
    ("x-https", "whether it is https"),
    ("x-proto", "whether it is https"),
    ("cf-visitor", "Cloudflare: whether it is https"),
    ("cloudfront-forwarded-proto", "CloudFront: whether it is https"),
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
const UNSAID_BEGINNINGS: &[(&str, &str)] = &[
    ("x-forwarded-", "what a proxy tells of the client"),
    (
        "x-original-",
        "ingress-nginx, IIS, Symfony: the path, method or host that counts",
    ),
    ("x-rewrite-", "IIS, Symfony: the path that counts"),
    (
        "x-envoy-",
        "Envoy: where the client is, and how often it is asked again",
    ),
    ("x-middleware-", "Next.js: which of its own checks were made already"),
    ("x-opencast-matterhorn-", "Opencast: user, roles and tenant of a job"),
    ("x-auth-request-", "oauth2-proxy: who the person is"),
    ("x-remote-", "who the person is, and where"),
    ("remote-", "Authelia, CGI: who the person is, and where"),
    ("x-authenticated-", "who the person is"),
    ("x-webauth-", "who the person is"),
    ("x-authentik-", "authentik: who the person is"),
    ("x-pomerium-", "Pomerium: who the person is"),
    ("x-consumer-", "Kong: who the person is"),
    ("x-tobira-", "Tobira: who the person is"),
    ("x-goog-", "Google's Identity-Aware Proxy: who the person is"),
    ("x-ms-client-principal", "Azure: who the person is"),
    ("x-amzn-oidc-", "AWS: who the person is"),
    ("cf-access-", "Cloudflare: who the person is"),
    ("oidc-", "mod_auth_openidc: who the person is"),
    ("shib-", "Shibboleth: who the person is"),
    ("client-cert", "RFC 9440: the client's certificate"),
    ("x-client-cert", "the client's certificate"),
    ("ssl-client-", "nginx, Apache: the client's certificate"),
    ("x-ssl-client-", "HAProxy, nginx: the client's certificate"),
];

/// The same of every name that ends so.
const UNSAID_ENDINGS: &[(&str, &str)] = &[
    (
        "-client-ip",
        "Akamai, Fastly, Fly.io, WebLogic, Apache's mod_remoteip: where the client is",
    ),
    ("-clientip", "Azure, Sucuri: where the client is"),
    ("-connecting-ip", "Cloudflare, DigitalOcean: where the client is"),
    ("-real-ip", "nginx, Alibaba: where the client is"),
    (
        "-method-override",
        "Apache CXF (Opencast), Rails, Symfony: the method that counts",
    ),
];

/// By the first byte of a name, the lengths that [`UNSAID`] has such names of: bit 17 for 17 bytes; and bit 0 where one of
/// [`UNSAID_BEGINNINGS`] has it. Of the headers of an ordinary request hardly any is compared with the lists, which every
/// request would pay for.
static LENGTHS: LazyLock<[u64; 256]> = LazyLock::new(|| {
    let mut lengths = [0; 256];
    let names = UNSAID.iter().map(|(name, _)| (name, bit(name.len())));
    let beginnings = UNSAID_BEGINNINGS.iter().map(|(beginning, _)| (beginning, bit(0)));
    for (name, bit) in names.chain(beginnings) {
        let first = name.bytes().next().unwrap_or_default();
        if let Some(of) = lengths.get_mut(usize::from(first)) {
            *of |= bit;
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
    let begins = |(beginning, _): &(&str, &str)| begins_alike(bytes, beginning);
    (lengths & bit(bytes.len()) != 0 && UNSAID.iter().any(|(known, _)| is_alike(name, known)))
        || (lengths & bit(0) != 0 && UNSAID_BEGINNINGS.iter().any(begins))
        || UNSAID_ENDINGS.iter().any(|(ending, _)| ends_alike(bytes, ending))
}

/// Does some server take it for the method that counts?
pub fn is_method_override(name: &HeaderName) -> bool {
    let names = ["x-http-method", "x-method", "method-override"];
    names.iter().any(|known| is_alike(name, known)) || ends_alike(name.as_str().as_bytes(), "-method-override")
}

/// The same name to CGI and WSGI, which cannot tell `_` from `-`.
pub fn is_alike(name: &HeaderName, known: &str) -> bool {
    name.as_str().len() == known.len() && begins_alike(name.as_str().as_bytes(), known)
}

fn begins_alike(name: &[u8], beginning: &str) -> bool {
    let same = |(a, b): (&u8, u8)| *a == b || (*a == b'_' && b == b'-');
    name.len() >= beginning.len() && name.iter().zip(beginning.bytes()).all(same)
}

fn ends_alike(name: &[u8], ending: &str) -> bool {
    let start = name.len().checked_sub(ending.len());
    // The last byte alone tells most of them apart.
    name.last() == ending.as_bytes().last()
        && start.is_some_and(|start| name.get(start..).is_some_and(|end| begins_alike(end, ending)))
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
            "x_opencast_matterhorn_foo",
            "client-cert-chain",
            "remote_groups",
            "shib_identity_provider",
            "x-original-url",
            "true-client-ip",
            "incap_client_ip",
            "x-sucuri-clientip",
            "do-connecting-ip",
            "x-http-method-override",
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
            "x-client",
            "sec-fetch-site",
            "connection",
            "origin",
            "referer",
            "x-original",
        ] {
            assert!(!is_unsaid(&name.parse().unwrap()), "{name}");
        }
    }
}
