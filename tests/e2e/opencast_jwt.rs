//! `present = "opencast-jwt"`: Opencast, which trusts one key set, trusts the gateway, and hears of somebody what the
//! issuer's caps have left.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::support::{Config, Gateway, Opencast, Request, Signer, Site, Valkey, eventually, in_seconds};

const STUDIO: &str = r#"
[[routes]]
name     = "opencast"
path     = "/{*rest}"
upstream = "opencast"
allow    = [{ signed_in = true }]
present  = "opencast-jwt"

[[routes]]
name    = "keys"
path    = "/.well-known/jwks.json"
respond = { jwks = true }
allow   = [{ anyone = true }]
"#;

struct Stage {
    site: Site,
    opencast: Opencast,
    lms: Signer,
    nameless: Signer,
    gateway: Gateway,
}

impl Stage {
    /// The issuer `lms` may name users, `nameless` may not; both may give ROLE_STUDIO and learners' roles. Opencast
    /// trusts the gateway alone.
    fn new() -> Self {
        let (site, opencast) = (Site::new(), Opencast::start());
        let (lms, nameless) = (Signer::new(), Signer::new());
        site.write_keys("lms.json", &[&lms]);
        site.write_keys("nameless.json", &[&nameless]);
        site.write("secrets/opencast", "letmein");
        let roles = r#"allow_roles = ["ROLE_STUDIO", "*_Learner"]"#;
        let config = Config::new()
            .issuer("lms", "lms.json", &format!("{roles}\nmay_name_users = true"))
            .issuer("nameless", "nameless.json", roles)
            .upstream("opencast", &[opencast.url()], "")
            .section("[opencast.main]\nupstream = \"opencast\"\nusername = \"gateway\"\npassword_file = \"secrets/opencast\"\n")
            .section(STUDIO);
        let gateway = site.start(&config);
        let keys = gateway.get("/.well-known/jwks.json").expect(200).json();
        opencast.site().jwks = Some(keys);
        Self {
            site,
            opencast,
            lms,
            nameless,
            gateway,
        }
    }

    fn token(signer: &Signer, subject: Option<&str>, roles: &[&str]) -> String {
        let mut claims = json!({ "exp": in_seconds(60), "roles": roles, "oc": { "e:one": ["read"] } });
        if let Some(subject) = subject {
            claims["sub"] = json!(subject);
        }
        signer.token(&claims)
    }

    /// Who Opencast thinks it is.
    fn me(&self, token: &str) -> Value {
        self.gateway.get_with("/info/me.json", token).expect(200).json()
    }
}

fn name(me: &Value) -> &str {
    me["user"]["username"].as_str().unwrap()
}

fn holds(me: &Value, role: &str) -> bool {
    me["roles"].as_array().unwrap().contains(&json!(role))
}

#[test]
fn opencast_knows_people_by_the_gateways_word() {
    let stage = Stage::new();
    let me = stage.me(&Stage::token(
        &stage.lms,
        Some("anna"),
        &["ROLE_STUDIO", "ROLE_ADMIN", "4_Learner"],
    ));
    assert_eq!(name(&me), "anna");
    assert!(holds(&me, "ROLE_STUDIO") && holds(&me, "4_Learner") && holds(&me, "ROLE_EPISODE_one_READ"));
    assert!(!holds(&me, "ROLE_ADMIN"), "what the caps took is not given back: {me}");
    let studio = Stage::token(&stage.lms, Some("anna"), &["ROLE_STUDIO"]);
    stage.gateway.get_with("/studio/index.html", &studio).expect(200);
    let mode = stage
        .site
        .path("state/opencast-es256.pem")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let keys = stage.gateway.get("/.well-known/jwks.json").json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    assert!(keys["keys"][0].get("d").is_none());
}

#[test]
fn who_may_not_be_named_has_a_pseudonym_of_its_own() {
    let stage = Stage::new();
    let learner = |signer, subject, roles: &[&str]| stage.me(&Stage::token(signer, subject, roles));
    let hidden = learner(&stage.nameless, Some("anna"), &["4_Learner"]);
    assert!(name(&hidden).starts_with("janua-"), "{hidden}");
    let same = learner(&stage.nameless, Some("bob"), &["4_Learner"]);
    assert_eq!(name(&hidden), name(&same), "nothing tells them apart there");
    let other_roles = learner(&stage.nameless, None, &["5_Learner"]);
    let other_issuer = learner(&stage.lms, None, &["4_Learner"]);
    assert_ne!(name(&hidden), name(&other_roles));
    assert_ne!(name(&hidden), name(&other_issuer));
}

#[test]
fn some_names_are_never_told() {
    let stage = Stage::new();
    for never in ["admin", "Admin", "opencast_system_account", "gateway"] {
        let token = Stage::token(&stage.lms, Some(never), &["ROLE_STUDIO"]);
        stage
            .gateway
            .get_with("/info/me.json", &token)
            .refused(403, "denied_by_rule");
        let hidden = stage.me(&Stage::token(&stage.nameless, Some(never), &["ROLE_STUDIO"]));
        assert!(!holds(&hidden, "ROLE_ADMIN") && name(&hidden).starts_with("janua-"));
    }
}

/// Opencast keeps the key set that it has fetched for an hour: tokens have to verify by it as long.
#[test]
fn the_key_stays_over_a_reload_and_a_restart_and_two_gateways_share_it() {
    let stage = Stage::new();
    let token = Stage::token(&stage.lms, Some("anna"), &["ROLE_STUDIO"]);
    let keys = |gateway: &Gateway| gateway.get("/.well-known/jwks.json").expect(200).json();
    let told = |gateway: &Gateway| {
        let me = gateway.get_with("/info/me.json", &token).expect(200).json();
        assert_eq!(name(&me), "anna");
    };
    let Stage { site, gateway, .. } = &stage;
    let first = keys(gateway);
    told(gateway);
    let config = std::fs::read_to_string(site.path("gateway.toml")).unwrap();
    let marked = format!(
        "{config}\n[[routes]]\nname = \"mark\"\npath = \"/mark\"\nrespond = {{ status = 204 }}\nallow = [{{ anyone = true }}]\n"
    );
    site.write("gateway.toml", &marked);
    gateway.signal("HUP");
    eventually("the reload is in effect", || {
        (gateway.get("/mark").status == 204).then_some(())
    });
    assert_eq!(keys(gateway), first);
    told(gateway);

    // Beside it, with the same key file, and a store in common or not.
    let second_site = Site::new();
    for file in ["lms.json", "nameless.json", "secrets/opencast"] {
        second_site.write(file, std::fs::read(site.path(file)).unwrap());
    }
    let shared = format!("sign_key_file = {:?}\n", site.path("state/opencast-es256.pem"));
    let config = config.replace("[opencast.main]\n", &format!("[opencast.main]\n{shared}"));
    let store = Valkey::start().map(|valkey| {
        let key = second_site.write("master.key", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        let state = format!("store = \"valkey\"\nurl = {:?}\nkey_file = {key:?}\n", valkey.url());
        (valkey, state)
    });
    let state = store
        .as_ref()
        .map_or("store = \"memory\"\n", |(_, state)| state.as_str());
    let config = config.replace("store = \"memory\"\n", state);
    let second = Gateway::start(&second_site, &config);
    assert_eq!(keys(&second), first);
    told(&second);
    assert!(!second_site.path("state/opencast-es256.pem").exists());

    // Opencast knows the first set still.
    let Stage {
        site,
        gateway,
        opencast,
        ..
    } = stage;
    gateway.stop();
    let gateway = Gateway::start(&site, &marked);
    assert_eq!(keys(&gateway), first);
    told(&gateway);
    assert_eq!(opencast.site().jwks, Some(first));
}

#[test]
fn the_clients_own_sessions_neither_come_nor_go() {
    let stage = Stage::new();
    let token = Stage::token(&stage.lms, Some("anna"), &["ROLE_STUDIO"]);
    let request = Request::get("/info/me.json?jwt=other")
        .bearer(&token)
        .header("Cookie", "JSESSIONID=stolen; a=b");
    let answer = stage.gateway.send(request).expect(200);
    assert_eq!(answer.header("set-cookie"), None);
    stage.gateway.get_with("/info/me.json", &token).expect(200);
    let site = stage.opencast.site();
    let seen: Vec<_> = site
        .requests
        .iter()
        .filter(|seen| seen.target == "/info/me.json")
        .collect();
    let shown: Vec<_> = seen.iter().map(|seen| seen.header("authorization").unwrap()).collect();
    assert_eq!(shown.len(), 2);
    assert_eq!(shown[0], shown[1], "a token is used again");
    assert!(!shown[0].contains(&token));
    assert!(seen.iter().all(|seen| seen.header("cookie").is_none()));
    let said = stage.gateway.said();
    let signature = shown[0].rsplit('.').next().unwrap();
    assert!(!said.contains(signature), "{said}");
}
