//! Deep linking: whoever runs a course chooses a page here for it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::support::tools::{missing, run};

const SETTINGS: &str = "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings";
const ITEMS: &str = "https://purl.imsglobal.org/spec/lti-dl/claim/content_items";

fn choosing() -> Value {
    json!({
        claim("message_type"): "LtiDeepLinkingRequest",
        SETTINGS: {
            "accept_types": ["ltiResourceLink"], "accept_presentation_document_targets": ["frame", "iframe", "window"],
            "accept_multiple": true, "auto_create": false, "data": "\"<b>&",
            "deep_link_return_url": "https://lms.test/mod/lti/contentitem_return.php?course=4&id=1&sesskey=x",
        },
    })
}

/// A gateway that has a key, made by openssl as an operator would.
fn stage() -> Option<Stage> {
    if missing("openssl") {
        return None;
    }
    let (platform, zoo, site) = (LtiPlatform::start(TOOL), Upstream::start(), Site::new());
    site.write_keys("other.json", &[&Signer::new()]);
    site.write("secrets/lti.pem", "");
    let path = site.path("secrets/lti.pem");
    let bits = [
        "genpkey",
        "-quiet",
        "-algorithm",
        "RSA",
        "-pkeyopt",
        "rsa_keygen_bits:2048",
        "-out",
    ];
    run("openssl", bits.into_iter().chain([path.to_str().unwrap()])).ok();
    let more = "key_file = \"secrets/lti.pem\"\ncontent = \"/play/{id}\"";
    let gateway = site.start(&config(&[("moodle", &platform, more)], &zoo));
    Some(Stage { platform, zoo, gateway })
}

fn field(page: &str, name: &str) -> String {
    let (_, rest) = page
        .split_once(&format!("name=\"{name}\" value=\""))
        .unwrap_or_else(|| panic!("no {name}: {page}"));
    rest.split('"').next().unwrap().replace("&amp;", "&")
}

fn chosen(stage: &Stage, choice: &str, title: &str, page: &str) -> Response {
    let fields = [("choice", choice), ("title", title), ("page", page)];
    let form = Form {
        action: format!("{TOOL}/choose"),
        fields: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
    };
    stage.gateway.send(form.posted())
}

#[test]
fn a_page_is_chosen_and_signed_for_the_platform() {
    let Some(stage) = stage() else { return };
    let asks = stage.launch_with(&choosing()).expect(200);
    let policy = asks.header("content-security-policy").unwrap();
    assert!(
        policy.contains(&format!("frame-ancestors {}", stage.platform.url(""))),
        "{policy}"
    );
    assert!(
        !asks.all("set-cookie").iter().any(|line| line.contains("janua-launch")),
        "nobody is launched"
    );
    let choice = field(&asks.text(), "choice");
    for (written, url) in [
        ("ID-dual-stream", format!("{ORIGIN}/play/ID-dual-stream")),
        ("/studio/", format!("{ORIGIN}/studio/")),
        (&format!("{ORIGIN}/play/2?a=b"), format!("{ORIGIN}/play/2?a=b")),
    ] {
        let page = chosen(&stage, &choice, "A <title>", written).expect(200);
        assert!(!page.text().contains("<title>A"), "{}", page.text());
        assert!(
            page.text()
                .contains("action=\"https://lms.test/mod/lti/contentitem_return.php?course=4&amp;id=1&amp;sesskey=x\"")
        );
        let token = field(&page.text(), "JWT");
        let part = |at: usize| -> Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(at).unwrap()).unwrap()).unwrap()
        };
        let (header, claims) = (part(0), part(1));
        assert_eq!(
            claims[ITEMS],
            json!([{ "type": "ltiResourceLink", "title": "A <title>", "url": url }])
        );
        assert_eq!(
            (&claims["iss"], &claims["aud"]),
            (&json!("client-of-janua"), &json!("https://lms.test"))
        );
        assert_eq!(claims["https://purl.imsglobal.org/spec/lti-dl/claim/data"], "\"<b>&");
        assert_eq!(claims[claim("deployment_id")], "1");
        assert_eq!(claims[claim("message_type")], "LtiDeepLinkingResponse");
        let keys = stage.gateway.get("/_janua/lti/moodle/jwks").expect(200).json();
        let key = &keys["keys"][0];
        assert_eq!((&header["alg"], &header["kid"]), (&json!("RS256"), &key["kid"]));
        assert!(key["d"].is_null() && key["n"].is_string(), "{keys}");
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
        let public = aws_lc_rs::signature::RsaPublicKeyComponents {
            n: bytes("n"),
            e: bytes("e"),
        };
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let by = &aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256;
        public.verify(by, signed.as_bytes(), &signature).unwrap();
    }
}

#[test]
fn only_pages_of_this_host_are_chosen() {
    let Some(stage) = stage() else { return };
    let choice = field(&stage.launch_with(&choosing()).expect(200).text(), "choice");
    for page in ["https://evil.test/play/", "//evil.test/", "/search/a", "/_janua/me", ""] {
        chosen(&stage, &choice, "t", page).told_refused(400, "bad_request");
    }
    chosen(&stage, &choice, "", "/play/1").told_refused(400, "bad_request");
    for forged in [
        "",
        "x",
        &choice[1..],
        stage.platform.auth(&stage.begun().0).unwrap().get("state"),
    ] {
        chosen(&stage, forged, "t", "/play/1").told_refused(401, "launch_stale");
    }
    let mut claims = choosing();
    claims[SETTINGS]["deep_link_return_url"] = json!("javascript:alert(1)");
    stage.launch_with(&claims).told_refused(403, "not_allowed");
    claims[SETTINGS]["accept_types"] = json!(["file"]);
    stage.launch_with(&claims).told_refused(403, "not_allowed");
}

#[test]
fn without_a_key_nothing_is_chosen() {
    let stage = Stage::new();
    stage.launch_with(&choosing()).told_refused(403, "not_allowed");
    stage.gateway.logged(&["not_allowed", "key_file"]);
    assert_eq!(
        stage.gateway.get("/_janua/lti/moodle/jwks").expect(200).json(),
        json!({ "keys": [] })
    );
}
