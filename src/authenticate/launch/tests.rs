//! Launch sessions over a store in memory: whose they are, by which configuration, how many, and how they end.

use super::*;
use crate::authenticate::session::{Carried, REMEMBERED};
use crate::config;
use crate::sealing::MasterKeys;
use crate::store::Store;

const HOUR: Duration = Duration::from_secs(3600);
const NOW: SystemTime = SystemTime::UNIX_EPOCH;

/// A checked gateway.toml with these launch times and roles of the issuer, who may name users.
fn config(launch: &str, roles: &str) -> Arc<Config> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("keys.json"), "{\"keys\":[]}").unwrap();
    let file = folder.path().join("gateway.toml");
    let text = format!(
        r#"
        [server]
        listen = ["127.0.0.1:0"]
        public_url = "https://video.test"
        [[jwt.issuers]]
        name = "other"
        jwks = "keys.json"
        allow_roles = ["*"]
        [[jwt.issuers]]
        name = "lms"
        jwks = "keys.json"
        allow_roles = [{roles}]
        may_name_users = true
        [[routes]]
        name = "studio"
        path = "/studio/{{*rest}}"
        respond = {{ status = 204 }}
        accept = ["launch"]
        allow = [{{ role = "ROLE_STUDIO" }}]
        launch = {{ {launch} }}
        "#
    );
    std::fs::write(&file, text).unwrap();
    match config::load(&file) {
        Ok(loaded) => Arc::new(loaded.config),
        Err(problems) => panic!("{}", problems.render(false)),
    }
}

fn usual() -> Arc<Config> {
    config("", "\"ROLE_STUDIO\", \"*_Learner\"")
}

fn who(issuer: usize, subject: Option<&str>) -> Identity {
    Identity {
        issuers: vec![issuer],
        source: ["other", "lms"][issuer].into(),
        people: None,
        subject: subject.map(str::to_owned),
        named: issuer == 1,
        roles: vec!["ROLE_STUDIO".to_owned(), "4_Learner".to_owned()],
        grants: vec![Grant {
            kind: GrantKind::Series,
            id: "s".to_owned(),
            action: "write".to_owned(),
        }],
        expires: NOW + Duration::from_secs(15),
        access: None,
    }
}

async fn begin(launches: &Launches, who: &Identity, config: &Arc<Config>, now: SystemTime) -> String {
    let new = NewLaunch {
        who,
        client: IpAddr::from([192, 0, 2, 7]),
        said: None,
        route: "studio",
        launch: config.routes[0].launch.unwrap(),
        config,
    };
    let begun = launches.begin(LaunchRecord::new(new, now), config, now).await;
    begun.unwrap().0
}

fn launches() -> Arc<Launches> {
    Launches::new(&Store::in_memory(), &MasterKeys::random(), None)
}

async fn find(launches: &Launches, secret: &str, config: &Arc<Config>, now: SystemTime) -> Option<Arc<LaunchSession>> {
    launches.find(&Carried::cookie(secret), config, now).await.unwrap()
}

async fn peek(launches: &Launches, secret: &str, config: &Arc<Config>, now: SystemTime) -> Option<Arc<LaunchSession>> {
    launches.peek(&Carried::cookie(secret), config, now).await.unwrap()
}

#[tokio::test]
async fn it_is_the_tokens_person_until_its_own_end() {
    let (launches, config) = (launches(), usual());
    let anna = who(1, Some("anna"));
    let secret = begin(&launches, &anna, &config, NOW).await;
    let found = find(&launches, &secret, &config, NOW + 9 * HOUR).await.unwrap();
    let lasting = Identity {
        expires: NOW + 10 * HOUR,
        ..anna
    };
    assert_eq!(*found.identity, lasting);
    assert_eq!((found.created, found.idle), (NOW, 2 * HOUR));
    assert!(find(&launches, &secret, &config, NOW + 10 * HOUR).await.is_none());
    for strange in ["", "x", &secret[1..], &format!("{secret}A")] {
        assert!(find(&launches, strange, &config, NOW).await.is_none());
        assert!(peek(&launches, strange, &config, NOW).await.is_none());
    }
    let others = Launches::new(&Store::in_memory(), &MasterKeys::random(), None);
    assert!(find(&others, &secret, &config, NOW).await.is_none());
}

#[tokio::test]
async fn the_configuration_that_runs_counts() {
    let (launches, first) = (launches(), usual());
    let secret = begin(&launches, &who(1, Some("anna")), &first, NOW).await;
    let roles = async |config: &Arc<Config>, now| {
        let found = find(&launches, &secret, config, now).await;
        let peeked = peek(&launches, &secret, config, now).await;
        assert_eq!(found.is_some(), peeked.is_some());
        found.map(|session| session.identity.roles.clone())
    };
    assert_eq!(roles(&first, NOW).await.unwrap(), ["ROLE_STUDIO", "4_Learner"]);
    let narrow = config("absolute = \"1h\"", "\"4_Learner\"");
    assert_eq!(roles(&narrow, NOW).await.unwrap(), ["4_Learner"]);
    assert_eq!(roles(&narrow, NOW + HOUR).await, None);
    assert!(roles(&first, NOW + HOUR).await.is_some());
    let longer = config("absolute = \"20h\"", "\"ROLE_STUDIO\"");
    assert_eq!(roles(&longer, NOW + 11 * HOUR).await, None);
    let mut without = Config::clone(&first);
    without.jwt.issuers.remove(1);
    assert_eq!(roles(&Arc::new(without), NOW).await, None);
    let mut without = Config::clone(&first);
    Arc::make_mut(&mut without.routes[0]).launch = None;
    assert_eq!(roles(&Arc::new(without), NOW).await, None);
    let mut moved = Config::clone(&first);
    moved.jwt.issuers.reverse();
    let found = find(&launches, &secret, &Arc::new(moved), NOW).await.unwrap();
    assert_eq!(
        (&found.identity.issuers[..], &*found.identity.source),
        (&[0][..], "lms")
    );
}

/// Stores outlive a version, and replicas of two versions share one.
#[tokio::test]
async fn what_stands_in_a_store_stays_readable() {
    let (launches, config) = (launches(), usual());
    let text = r#"{"r":"studio","i":["lms"],"s":"anna","o":["ROLE_STUDIO"],"g":[["s","s","write"]],"c":0,"e":60,"n":"subject lms/anna"}"#;
    let key = Carried::cookie("made elsewhere").key();
    let name = key.text();
    launches
        .store
        .put(Table::Launches, &name, text.as_bytes(), None)
        .await
        .unwrap();
    let found = launches.named(key, &config, NOW).await.unwrap().unwrap();
    assert_eq!(found.identity.grants, who(1, None).grants);
    assert_eq!(found.expires, NOW + Duration::from_secs(60));
    assert_eq!(serde_json::to_string(&*found.record).unwrap(), text);
}

#[tokio::test]
async fn a_person_has_so_many_and_the_oldest_goes() {
    let (launches, config) = (launches(), usual());
    let anna = who(1, Some("anna"));
    let mut begun = Vec::new();
    for second in 0..=MOST as u64 {
        begun.push(begin(&launches, &anna, &config, NOW + Duration::from_secs(second)).await);
    }
    // Nobody else is touched: not the same name by another issuer, who may name nobody, nor another name.
    let others = [who(0, Some("anna")), who(1, Some("bob")), who(1, None)];
    let mut theirs = Vec::new();
    for other in &others {
        theirs.push(begin(&launches, other, &config, NOW).await);
    }
    let later = NOW + HOUR;
    assert!(find(&launches, &begun[0], &config, later).await.is_none());
    for secret in begun[1..].iter().chain(&theirs) {
        assert!(find(&launches, secret, &config, later).await.is_some());
    }
    launches.end_all("lms", "anna").await.unwrap();
    for secret in &begun {
        assert!(find(&launches, secret, &config, later).await.is_none());
    }
    for secret in &theirs {
        assert!(find(&launches, secret, &config, later).await.is_some());
    }
    let group = of_subject("lms", "anna");
    let left = launches.store.index_members(Index::LaunchesByOrigin, &group).await;
    assert_eq!(left.unwrap(), []);
}

#[tokio::test]
async fn one_that_ended_elsewhere_is_forgotten_here() {
    let (store, keys, config) = (Store::in_memory(), MasterKeys::random(), usual());
    let (here, there) = (Launches::new(&store, &keys, None), Launches::new(&store, &keys, None));
    let following = there.follow();
    let secret = begin(&here, &who(1, None), &config, NOW).await;
    let found = find(&there, &secret, &config, NOW).await.unwrap();
    here.end(found.key, "sign_out").await.unwrap();
    assert!(find(&here, &secret, &config, NOW).await.is_none());
    let heard = async {
        while find(&there, &secret, &config, NOW).await.is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(REMEMBERED, heard).await.unwrap();
    following.abort();
}

/// Each message of a platform ends at another moment.
#[test]
fn launches_of_nobody_in_a_course_are_counted_together() {
    let config = usual();
    let group = |subject: Option<&str>, client: [u8; 4], at: Duration| {
        let who = Identity {
            issuers: Vec::new(),
            source: "platform".into(),
            named: false,
            expires: NOW + at + HOUR,
            ..who(1, subject)
        };
        let said = Said {
            platform: "platform".to_owned(),
            subject: subject.map(str::to_owned),
            roles: Vec::new(),
            context: Some("4".to_owned()),
        };
        let new = NewLaunch {
            who: &who,
            client: client.into(),
            said: Some(&said),
            route: "",
            launch: config.routes[0].launch.unwrap(),
            config: &config,
        };
        LaunchRecord::new(new, NOW + at).group
    };
    let (here, there, later) = ([192, 0, 2, 7], [192, 0, 2, 8], Duration::from_secs(9));
    assert_eq!(group(None, here, Duration::ZERO), group(None, here, later));
    assert_ne!(group(None, here, Duration::ZERO), group(None, there, Duration::ZERO));
    // Who is named is one person, wherever they are, and whether the name counts or not.
    assert_eq!(group(Some("5"), here, Duration::ZERO), group(Some("5"), there, later));
    assert_eq!(group(Some("5"), here, Duration::ZERO), of_subject("platform", "5"));
}
