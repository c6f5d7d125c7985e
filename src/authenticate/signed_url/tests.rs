use std::time::UNIX_EPOCH;

use proptest::prelude::*;

use super::*;

const ONE: (&str, &str) = ("demoKeyOne", "6EDB5EDDCF994B7432C371D7C274F");
const TWO: (&str, &str) = ("demoKeyTwo", "C843C21ECF59F2B38872A1BCAA774");
/// 2100-01-01, until which the recorded addresses are good.
const UNTIL: Duration = Duration::from_secs(4_102_444_800);

fn section(name: &str, keys: &[(&str, &str)], form: SignedUrlForm) -> Arc<SignedUrls> {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys.iter().map(|(id, secret)| {
        let secret_file = folder.path().join(format!("{id}-{secret}"));
        std::fs::write(&secret_file, format!("{secret}\n")).unwrap();
        config::SignedUrlKey {
            id: (*id).to_owned(),
            secret_file,
        }
    });
    let config = config::SignedUrls {
        name: name.into(),
        keys: keys.collect(),
        strict: true,
        leeway: Duration::from_secs(3),
        form,
    };
    Arc::new(SignedUrls::new(&config).unwrap())
}

fn opencast(keys: &[(&str, &str)]) -> [Arc<SignedUrls>; 1] {
    [section("opencast", keys, SignedUrlForm::Opencast)]
}

/// A query with this policy, signed with the first key.
fn signed(policy: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, ONE.1.as_bytes());
    let signature = hex(hmac::sign(&key, policy.as_bytes()).as_ref());
    format!(
        "policy={}&keyId={}&signature={signature}",
        policy::encoded(policy),
        ONE.0
    )
}

fn reason(sections: &[Arc<SignedUrls>], query: &str) -> Option<Reason> {
    verify(sections, Some(query)).err().map(|refusal| refusal.reason)
}

#[test]
fn what_opencast_has_signed_is_verified_and_signed_again_to_the_letter() {
    let recorded = include_str!("../../../tests/recorded/opencast/signed_urls.tsv");
    let sections = opencast(&[ONE, TWO]);
    let mut seen = 0;
    for line in recorded.lines().filter(|line| !line.starts_with('#')) {
        let [resource, key_id, from, client, query] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let (by, policy) = verify(&sections, Some(query)).ok().flatten().unwrap();
        assert_eq!(&*by.name, "opencast");
        let address = |text: &str| text.parse().ok().map(|address: IpAddr| address.to_canonical());
        let expected = Policy {
            resource: resource.to_owned(),
            until: UNIX_EPOCH + UNTIL,
            from: from.parse().ok().map(|from| UNIX_EPOCH + Duration::from_millis(from)),
            client: address(client),
        };
        assert_eq!(policy, expected, "{line}");
        let text = expected.text();
        assert!(
            query.starts_with(&format!("policy={}&", policy::encoded(&text))),
            "{line}"
        );
        if from == "-" {
            let by = opencast(&[if key_id == ONE.0 { ONE } else { TWO }]);
            let made = by[0].sign(Signed {
                resource: resource.to_owned(),
                path: "",
                until: expected.until,
                client: address(client),
            });
            assert_eq!(made.as_deref(), Some(query));
        }
        // What another key, or another section, has signed is no other's.
        let other = opencast(&[if key_id == ONE.0 { TWO } else { ONE }]);
        assert_eq!(reason(&other, query), Some(Reason::SignedUrlUnknownKey));
        let renamed = opencast(&[(if key_id == ONE.0 { ONE.0 } else { TWO.0 }, "another")]);
        assert_eq!(reason(&renamed, query), Some(Reason::SignedUrlBadSignature));
        seen += 1;
    }
    assert_eq!(seen, 8);
}

/// The Apache plugin signs the bytes as they come, and other programs write their members in another order.
#[test]
fn the_bytes_are_signed_however_they_are_written() {
    let sections = opencast(&[ONE]);
    let policy = r#" { "Statement": {"Resource":"/a.mp4", "Condition":{"IpAddress":" ","DateLessThan":"4102444800000","DateGreaterThan":null}}}"#;
    let query = signed(policy);
    let (_, read) = verify(&sections, Some(&query)).ok().flatten().unwrap();
    assert_eq!((&*read.resource, read.client, read.from), ("/a.mp4", None, None));
    // Padding, either alphabet and upper case are other ways to write the same.
    let (before, signature) = query.rsplit_once('=').unwrap();
    let upper = format!("{before}={}", signature.to_uppercase());
    let padded = query.replacen("&keyId", "%3D%3D&keyId", 1);
    for same in [upper, padded, format!("t=1&{query}&u=2")] {
        assert!(matches!(verify(&sections, Some(&same)), Ok(Some(_))), "{same}");
    }
}

#[test]
fn one_name_may_stand_for_two_secrets_while_keys_change() {
    let old = section("old", &[ONE], SignedUrlForm::Opencast);
    let new = section("new", &[(ONE.0, "new secret")], SignedUrlForm::Opencast);
    let query = signed(r#"{"Statement":{"Condition":{"DateLessThan":1},"Resource":"/a"}}"#);
    for sections in [[Arc::clone(&old), Arc::clone(&new)], [new, old]] {
        let (by, _) = verify(&sections, Some(&query)).ok().flatten().unwrap();
        assert_eq!(&*by.name, "old");
    }
    let wowza = [section("wowza", &[ONE], SignedUrlForm::Wowza)];
    assert_eq!(
        reason(&wowza, &query),
        Some(Reason::SignedUrlUnknownKey),
        "those are never checked"
    );
}

#[test]
fn what_is_missing_twice_or_unreadable_is_no_signature() {
    let sections = opencast(&[ONE]);
    let good = signed(r#"{"Statement":{"Condition":{"DateLessThan":1},"Resource":"/a"}}"#);
    let [policy, key, signature] = good.split('&').collect::<Vec<_>>().try_into().unwrap();
    for query in [
        format!("{policy}&{key}"),
        format!("{policy}&{signature}"),
        format!("{key}&{signature}"),
        signature.to_owned(),
        format!("{good}&{policy}"),
        format!("{good}&{key}"),
        format!("{good}&%73ignature=x"),
        format!("policy=&{key}&{signature}"),
        format!("policy=%00&{key}&{signature}"),
        format!("policy=a&{key}&{signature}"),
        format!("policy={}&{key}&{signature}", "A".repeat(9 << 10)),
        format!("{policy}&{key}&signature=0"),
        format!("{policy}&{key}&{signature}00"),
        format!("{policy}&{key}&signature={}", "g".repeat(64)),
        format!("{policy}&{key}&signature={}", "ä".repeat(32)),
    ] {
        assert_eq!(reason(&sections, &query), Some(Reason::SignedUrlMalformed), "{query}");
    }
    for query in [
        "",
        "Policy=a&keyid=b&Signature=c",
        "policy=&keyId=&signature=",
        "a=policy",
    ] {
        assert!(matches!(verify(&sections, Some(query)), Ok(None)), "{query}");
    }
    for (query, expected) in [
        (
            format!("{policy}&keyId=demokeyone&{signature}"),
            Reason::SignedUrlUnknownKey,
        ),
        (format!("{policy}A&{key}&{signature}"), Reason::SignedUrlBadSignature),
        (
            format!("{policy}&{key}&signature={}", "0".repeat(64)),
            Reason::SignedUrlBadSignature,
        ),
    ] {
        assert_eq!(reason(&sections, &query), Some(expected), "{query}");
    }
}

#[test]
fn a_policy_that_cannot_be_kept_is_none() {
    for policy in [
        "",
        "[]",
        "{}",
        "null",
        r#"{"Statement":{"Condition":{"DateLessThan":1}}}"#,
        r#"{"Statement":{"Condition":{"DateLessThan":1},"Resource":""}}"#,
        r#"{"Statement":{"Condition":{"DateLessThan":1},"Resource":["/a"]}}"#,
        r#"{"Statement":{"Condition":{},"Resource":"/a"}}"#,
        r#"{"Statement":{"Condition":{"DateLessThan":1.5},"Resource":"/a"}}"#,
        r#"{"Statement":{"Condition":{"DateLessThan":-1},"Resource":"/a"}}"#,
        r#"{"Statement":{"Condition":{"DateLessThan":"soon"},"Resource":"/a"}}"#,
        r#"{"Statement":{"Condition":{"DateLessThan":{"AWS:EpochTime":1}},"Resource":"/a"}}"#,
        r#"{"Statement":{"Condition":{"DateLessThan":1,"DateGreaterThan":[]},"Resource":"/a"}}"#,
        r#"{"Statement":{"Condition":{"DateLessThan":1,"IpAddress":"10.0.0.0/8"},"Resource":"/a"}}"#,
        r#"{"Statement":{"Condition":{"DateLessThan":1,"IpAddress":7},"Resource":"/a"}}"#,
        r#"{"Statement":{"Condition":{"DateLessThan":1,"Referer":"x"},"Resource":"/a"}}"#,
        r#"{"Statement":{"Condition":{"DateLessThan":1,"DateLessThan":2},"Resource":"/a"}}"#,
        r#"{"Statement":[{"Condition":{"DateLessThan":1},"Resource":"/a"}]}"#,
    ] {
        let query = signed(policy);
        assert_eq!(
            reason(&opencast(&[ONE]), &query),
            Some(Reason::SignedUrlMalformed),
            "{policy}"
        );
    }
}

#[test]
fn a_policy_is_for_its_time_and_its_client() {
    let now = UNIX_EPOCH + Duration::from_secs(1_000);
    let client: IpAddr = [192, 0, 2, 7].into();
    let policy = |from: Option<u64>, until: u64, only: Option<&str>| Policy {
        resource: String::new(),
        from: from.map(|from| UNIX_EPOCH + Duration::from_secs(from)),
        until: UNIX_EPOCH + Duration::from_secs(until),
        client: only.map(|only| only.parse().unwrap()),
    };
    for (policy, expected) in [
        (policy(None, 1_000, None), None),
        (policy(None, 997, None), None),
        (policy(None, 996, None), Some(Reason::SignedUrlExpired)),
        (policy(Some(1_003), 2_000, None), None),
        (policy(Some(1_004), 2_000, None), Some(Reason::SignedUrlNotYetValid)),
        (policy(Some(2_000), 10, None), Some(Reason::SignedUrlExpired)),
        (policy(None, 2_000, Some("192.0.2.7")), None),
        (policy(None, 2_000, Some("::ffff:192.0.2.7")), None),
        (
            policy(None, 2_000, Some("192.0.2.8")),
            Some(Reason::SignedUrlOtherClient),
        ),
        (
            policy(None, 2_000, Some("2001:db8::1")),
            Some(Reason::SignedUrlOtherClient),
        ),
    ] {
        let checked = policy.check(client, now, Duration::from_secs(3));
        assert_eq!(checked.err().map(|refusal| refusal.reason), expected, "{policy:?}");
    }
}

#[test]
fn a_query_loses_what_signs_it_and_nothing_else() {
    for (query, expected) in [
        ("policy=a&x=%20+&keyId=b&signature=c", Some("x=%20+")),
        ("%70olicy=a&keyId&y", Some("y")),
        ("policy=a&keyId=b&signature=c", None),
        ("Policy=a&xpolicy=b", Some("Policy=a&xpolicy=b")),
        ("", Some("")),
    ] {
        assert_eq!(strip_query(query).as_deref(), expected, "{query}");
    }
}

proptest! {
    #[test]
    fn nothing_is_too_strange(query in "((policy|keyId|signature)=[A-Za-z0-9_=%&-]{0,40}&?){0,5}|.{0,60}", policy in ".{0,80}") {
        let sections = opencast(&[ONE]);
        prop_assert!(!matches!(verify(&sections, Some(&query)), Ok(Some(_))));
        drop(verify(&sections, Some(&signed(&policy))));
        drop(Policy::parse(policy.as_bytes()));
    }

    #[test]
    fn what_is_signed_verifies(resource in "[ -~äöü\u{2028}/\"\\\\]{1,60}", seconds in 0u64..1 << 40) {
        let until = UNIX_EPOCH + Duration::from_secs(seconds);
        let sections = opencast(&[ONE]);
        let query = sections[0].sign(Signed { resource: resource.clone(), path: "", until, client: None }).unwrap();
        let (_, policy) = verify(&sections, Some(&query)).ok().flatten().unwrap();
        prop_assert_eq!(policy, Policy { resource, until, from: None, client: None });
    }
}
