//! Key sets without a programming language at hand: merged, published, and tokens looked at with them.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::http::Request;
use crate::support::tools::{Ran, janua, missing, run};
use crate::support::{Config, Site, eventually};

const KEYS_ROUTE: &str = r#"
[[routes]]
name    = "keys"
path    = "/.well-known/jwks.json"
respond = { jwks = "jwks.json" }
allow   = [{ anyone = true }]
"#;

fn keys_new(site: &Site, name: &str, kid: &str) {
    janua(["keys", "new", "--out", site.path(name).to_str().unwrap(), "--kid", kid]).ok();
}

fn jwks(site: &Site, files: &[&str]) -> Ran {
    let files = files.iter().map(|name| site.path(name).to_str().unwrap().to_owned());
    janua(["keys".to_owned(), "jwks".to_owned()].into_iter().chain(files))
}

fn keys(text: &str) -> Vec<Value> {
    let set: Value = serde_json::from_str(text).unwrap();
    set["keys"].as_array().unwrap().clone()
}

#[test]
fn keys_of_every_kind_become_one_public_set() {
    if missing("openssl") {
        return;
    }
    let site = Site::new();
    keys_new(&site, "es256", "a");
    let at = |name: &str| site.path(name).to_str().unwrap().to_owned();
    let openssl = |arguments: &[&str]| run("openssl", arguments).ok();
    openssl(&[
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-384",
        "-out",
        &at("es384.pem"),
    ]);
    openssl(&["genpkey", "-algorithm", "ED25519", "-out", &at("eddsa.pem")]);
    openssl(&[
        "genpkey",
        "-algorithm",
        "RSA",
        "-pkeyopt",
        "rsa_keygen_bits:2048",
        "-out",
        &at("rsa.pem"),
    ]);
    let mut files = vec!["es256/private.pem", "es256/jwks.json", "es256/public.jwk.json"];
    for (private, public) in [
        ("es384.pem", "es384.pub"),
        ("eddsa.pem", "eddsa.pub"),
        ("rsa.pem", "rsa.pub"),
    ] {
        openssl(&["pkey", "-in", &at(private), "-pubout", "-out", &at(public)]);
        files.extend([private, public]);
    }
    // Each key came in several times; its kid is kept.
    let set = jwks(&site, &files).ok().stdout;
    let algorithms: Vec<Value> = keys(&set).iter().map(|key| key["alg"].clone()).collect();
    assert_eq!(json!(algorithms), json!(["ES256", "ES384", "EdDSA", null]), "{set}");
    assert_eq!(keys(&set)[0]["kid"], "a");
    for member in ["d", "p", "q", "dp", "dq", "qi"] {
        assert!(keys(&set).iter().all(|key| key.get(member).is_none()), "{set}");
    }
    // The gateway takes every one of them.
    site.write("jwks.json", &set);
    let config = Config::new().issuer("moodle", "jwks.json", "").open_route();
    let config = config.jwt("algorithms", r#"["ES256", "ES384", "EdDSA", "RS256", "PS256"]"#);
    let file = site.write("gateway.toml", config.text());
    let checked = janua(["check", "--config", file.to_str().unwrap()]).ok().stdout;
    assert!(checked.contains("4 keys usable"), "{checked}");

    // What Moodle's settings page reads with the same library: PKCS#8, P-256.
    let private = fs::read_to_string(site.path("es256/private.pem")).unwrap();
    assert!(private.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    let read = openssl(&["pkey", "-in", &at("es256/private.pem"), "-noout", "-text"]);
    assert!(read.stdout.contains("prime256v1"), "the curve is another");

    openssl(&[
        "ecparam",
        "-name",
        "prime256v1",
        "-genkey",
        "-noout",
        "-out",
        &at("sec1.pem"),
    ]);
    let sec1 = jwks(&site, &["sec1.pem"]);
    assert_eq!(sec1.code, Some(0), "{sec1:?}");
    let set: Value = serde_json::from_str(&sec1.stdout).unwrap();
    assert_eq!(
        (&set["keys"][0]["crv"], &set["keys"][0]["d"]),
        (&"P-256".into(), &Value::Null)
    );
    // As `ecparam` writes it by default, behind the parameters of the curve.
    openssl(&[
        "ecparam",
        "-name",
        "prime256v1",
        "-genkey",
        "-out",
        &at("with_parameters.pem"),
    ]);
    for key in ["sec1.pem", "with_parameters.pem"] {
        let minted = janua([
            "token",
            "mint",
            "--key",
            &at(key),
            "--event",
            "one=read",
            "--expires",
            "1m",
        ]);
        assert_eq!(minted.code, Some(0), "{minted:?}");
    }
    openssl(&["genrsa", "-traditional", "-out", &at("rsa1.pem"), "2048"]);
    let refused = jwks(&site, &["rsa1.pem"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("openssl pkcs8 -topk8"), "{}", refused.stderr);
}

#[test]
fn a_private_jwk_leaves_its_private_part_behind() {
    let site = Site::new();
    keys_new(&site, "one", "a");
    let mut private: Value =
        serde_json::from_str(&fs::read_to_string(site.path("one/public.jwk.json")).unwrap()).unwrap();
    private["d"] = json!("c2VjcmV0LW51bWJlcg");
    private["comment"] = json!("mine");
    private["kid"] = json!("b");
    site.write("private.jwk.json", private.to_string());
    let set = jwks(&site, &["one/public.jwk.json", "private.jwk.json"]).ok().stdout;
    assert!(!set.contains("c2VjcmV0") && !set.contains("mine"), "{set}");
    let kids: Vec<Value> = keys(&set).iter().map(|key| key["kid"].clone()).collect();
    assert_eq!(json!(kids), json!(["a", "b"]), "tokens may name either");

    for (name, text) in [
        ("empty", ""),
        ("page", "<html>"),
        ("secret", r#"{"kty":"oct","k":"c2VjcmV0"}"#),
        ("off the curve", r#"{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}"#),
        ("broken", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
    ] {
        site.write("bad", text);
        let told = jwks(&site, &["one/jwks.json", "bad"]);
        assert_eq!((told.code, told.stdout.as_str()), (Some(1), ""), "{name}");
        assert!(told.stderr.contains("bad: "), "{name}: {}", told.stderr);
    }

    let out = site.path("out.json");
    let arguments = ["keys", "jwks", "--out", out.to_str().unwrap()];
    let one = site.path("one/jwks.json");
    let arguments = || arguments.iter().copied().chain([one.to_str().unwrap()]);
    janua(arguments()).ok();
    fs::write(&out, "mine").unwrap();
    assert_eq!(janua(arguments()).code, Some(1));
    assert_eq!(fs::read_to_string(&out).unwrap(), "mine");
}

#[test]
fn a_key_set_is_published_for_every_web_site() {
    let site = Site::new();
    keys_new(&site, "one", "a");
    keys_new(&site, "two", "b");
    site.write("jwks.json", fs::read(site.path("one/jwks.json")).unwrap());
    let gateway = site.start(&Config::new().section(KEYS_ROUTE));
    let path = "/.well-known/jwks.json";

    let answer = gateway
        .send(Request::get(path).header("Origin", "https://player.example.edu"))
        .expect(200);
    assert_eq!(answer.header("content-type"), Some("application/jwk-set+json"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    assert_eq!(keys(&answer.text())[0]["kid"], "a");
    let tag = answer.header("etag").unwrap().to_owned();
    for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let same = gateway
            .send(Request::get(path).header("If-None-Match", &known))
            .expect(304);
        assert_eq!(same.header("etag"), Some(tag.as_str()));
        assert_eq!(same.text(), "");
    }
    gateway
        .send(Request::get(path).header("If-None-Match", "\"x\""))
        .expect(200);
    gateway.send(Request::new("POST", path)).expect(405);

    // A new set is there without a restart; one with a private key never is.
    let kid = || keys(&gateway.get(path).expect(200).text())[0]["kid"].clone();
    site.write("jwks.json", fs::read(site.path("two/jwks.json")).unwrap());
    eventually("the new key", || (kid() == "b").then_some(()));
    site.write("jwks.json", r#"{"keys":[{"kty":"EC","kid":"c","d":"c2VjcmV0"}]}"#);
    eventually("the complaint", || gateway.said().contains("is private").then_some(()));
    assert_eq!(kid(), "b");
    assert!(!gateway.said().contains("c2VjcmV0"));
}

#[test]
fn a_key_set_may_have_a_policy_and_rules_of_its_own() {
    let site = Site::new();
    keys_new(&site, "one", "a");
    site.write("jwks.json", fs::read(site.path("one/jwks.json")).unwrap());
    let route = KEYS_ROUTE.replace("anyone = true", "from = [\"127.0.0.0/8\"]")
        + "cors = { origins = [\"https://moodle.example.edu\"] }\n";
    let gateway = site.start(&Config::new().section(&route));
    let from = |origin: &str| {
        let request = Request::get("/.well-known/jwks.json").header("Origin", origin);
        let answer = gateway.send(request).expect(200);
        answer.header("access-control-allow-origin").map(str::to_owned)
    };
    assert_eq!(
        from("https://moodle.example.edu").as_deref(),
        Some("https://moodle.example.edu")
    );
    assert_eq!(from("https://other.example.edu"), None);
}

fn show(token: &str, jwks: Option<&Path>) -> Ran {
    let jwks = jwks.map(|jwks| ["--jwks", jwks.to_str().unwrap()]);
    janua(["token", "show", token].into_iter().chain(jwks.into_iter().flatten()))
}

#[test]
fn a_token_is_laid_out_and_judged_as_by_the_gateway() {
    let site = Site::new();
    keys_new(&site, "one", "a");
    keys_new(&site, "two", "b");
    let (key, set) = (site.path("one/private.pem"), site.path("one/jwks.json"));
    let mint = |more: &[&str]| {
        let fixed = ["token", "mint", "--key", key.to_str().unwrap()];
        janua(fixed.iter().chain(more)).ok().stdout.trim().to_owned()
    };
    let good = mint(&[
        "--sub=anna",
        "--learner=4",
        "--event=l=read,write",
        "--expires=4h",
        r#"--claim=x="\u001b[31m""#,
    ]);
    let shown = show(&good, Some(&set)).ok().stdout;
    for words in [
        "sub         anna",
        "4_Learner",
        "read, write on the event l",
        "(in 3h 59m)",
        "verified",
    ] {
        assert!(shown.contains(words), "{words}\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'), "a claim steers the terminal");
    let signature = good.rsplit('.').next().unwrap();
    assert!(!shown.contains(signature), "the signature is printed");
    let unchecked = show(&good, None).ok().stdout;
    assert!(unchecked.contains("not checked"), "{unchecked}");
    // From a file too, since command lines can be read by others.
    show(site.write("token", format!("{good}\n")).to_str().unwrap(), Some(&set)).ok();

    let other = site.path("two/jwks.json");
    let (header, rest) = good.split_once('.').unwrap();
    for (token, set, reason) in [
        (good.as_str(), Some(&other), "bad_signature"),
        (&mint(&["--kid=c"]), Some(&set), "unknown_key"),
        (&mint(&["--claim=exp=1000000000"]), Some(&set), "token_expired"),
        (&mint(&["--claim=nbf=4000000000"]), Some(&set), "token_not_yet_valid"),
        (&mint(&["--claim=exp=\"soon\""]), None, "malformed_token"),
        ("abc", None, "malformed_token"),
        (header, None, "malformed_token"),
        (&format!("eyJhbGciOiJub25lIn0.{rest}"), None, "algorithm_not_allowed"),
    ] {
        let told = show(token, set.map(std::path::PathBuf::as_path));
        assert_eq!(told.code, Some(1), "{reason}: {}", told.stdout);
        assert!(
            told.stdout.contains(&format!("refused ({reason})")),
            "{reason}: {}",
            told.stdout
        );
    }
    let nowhere = show("nope.txt", None);
    assert_eq!(nowhere.code, Some(1));
    for part in ["refused (malformed_token)", "there is no file nope.txt", "is no token"] {
        assert!(nowhere.stdout.contains(part), "{nowhere:?}");
    }
    let no_set = show(&good, Some(&site.path("none.json")));
    assert_eq!(no_set.code, Some(1));
    assert!(no_set.stderr.contains("none.json"), "{}", no_set.stderr);
    assert_eq!(
        janua(["token", "show", &good, "--jwks", "http://keys.example.edu/"]).code,
        Some(1)
    );
}

#[test]
fn shells_and_the_manual_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = janua(["completions", shell]).ok().stdout;
        assert!(script.contains("jwks") && script.contains("octoka"), "{shell}");
    }
    let page = janua(["man"]).ok().stdout;
    for command in [
        "JANUA RUN",
        "JANUA KEYS JWKS",
        "JANUA TOKEN SHOW",
        "JANUA IMPORT OCTOKA",
        "JANUA CONFIG SCHEMA",
    ] {
        assert!(page.contains(command), "{command}");
    }
}
