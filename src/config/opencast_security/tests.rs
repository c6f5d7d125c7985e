use super::*;

/// Which roles are asked for, as Spring Security itself has said it: method, path, roles.
const BY_SPRING: &str = include_str!("by_spring.txt");

const FILE: &str = r#"<?xml version="1.0"?>
<beans xmlns="http://www.springframework.org/schema/beans" xmlns:sec="http://www.springframework.org/schema/security">
  <sec:http pattern="/open/**" security="none" />
  <sec:http>
    <sec:intercept-url pattern="/a/*" method="GET" access="ROLE_A, ROLE_B" />
    <sec:intercept-url pattern="/a/*" />
    <!-- <sec:intercept-url pattern="/a/*" access="ROLE_ANONYMOUS" /> -->
    <sec:intercept-url pattern="/user" access="ROLE_USER" />
    <sec:intercept-url pattern="/me" access="IS_AUTHENTICATED_ANONYMOUSLY" />
    <sec:intercept-url pattern="/a/**" access="ROLE_ADMIN" requires-channel="https" />
  </sec:http>
</beans>"#;

fn takes(list: &SecurityList, method: &Method, path: &str, signed_in: bool, roles: &[&str]) -> bool {
    let entry = list.find(method, path);
    entry.is_some_and(|entry| entry.takes(signed_in, roles.iter().copied()))
}

#[test]
fn the_first_entry_that_fits_counts() {
    let list = SecurityList::parse(FILE).unwrap();
    let (get, put) = (&Method::GET, &Method::PUT);
    assert!(takes(&list, get, "/a/x", true, &["ROLE_B"]));
    assert!(takes(&list, &Method::HEAD, "/a/x", true, &["ROLE_B"]));
    assert!(!takes(&list, get, "/a/x", true, &["ROLE_ADMIN"]), "the one behind it");
    assert!(takes(&list, put, "/a/x", true, &["ROLE_ADMIN"]));
    assert!(!takes(
        &list,
        put,
        "/a/x",
        true,
        &["ROLE_B", "role_admin", "ROLE_ADMIN "]
    ));
    assert!(takes(&list, put, "/open/x", false, &[]));
    assert!(takes(&list, get, "/me", false, &[]));
    assert!(takes(&list, get, "/user", true, &[]) && !takes(&list, get, "/user", false, &[]));
    assert!(!takes(&list, get, "/other", true, &["ROLE_ADMIN"]), "no entry");
    assert_eq!(list.find(get, "/a/x").unwrap().name(), "GET /a/* (line 5)");
}

#[test]
fn what_cannot_be_read_is_refused_with_its_line() {
    for (from, to, told) in [
        (
            "ROLE_A, ROLE_B",
            "hasRole('ROLE_A')",
            "line 5: access=\"hasRole('ROLE_A')\" is no role",
        ),
        ("ROLE_A, ROLE_B", "${admin.role}", "line 5"),
        ("ROLE_A, ROLE_B", " , ", "line 5: an `access` without a role"),
        (
            "method=\"GET\"",
            "method=\"Get\"",
            "line 5: method=\"Get\" is no method",
        ),
        (
            "<sec:http>",
            "<sec:http use-expressions=\"true\">",
            "line 4: use-expressions",
        ),
        ("<sec:http>", "<sec:http request-matcher=\"regex\">", "line 4"),
        ("<sec:http>", "<sec:http request-matcher-ref=\"mine\">", "line 4"),
        ("pattern=\"/me\"", "", "line 9: an intercept-url without a pattern"),
        ("</beans>", "", "is no XML"),
        (
            "<?xml version=\"1.0\"?>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]>",
            "is no XML",
        ),
        ("schema/security", "schema/other", "has no intercept-url"),
    ] {
        assert!(FILE.contains(from), "{from}");
        let error = SecurityList::parse(&FILE.replace(from, to)).unwrap_err();
        assert!(error.contains(told), "{to}: {error}");
    }
    assert!(SecurityList::parse("").is_err());
}

#[test]
fn the_lists_are_whole() {
    for (version, entries) in [("17", 284), ("18", 290)] {
        let list = SecurityList::builtin(version).unwrap();
        let all: Vec<_> = list.chains.iter().flat_map(|chain| &chain.entries).collect();
        assert_eq!(all.len(), entries, "{version}");
        assert!(
            all.iter()
                .all(|entry| !entry.roles.is_empty() && entry.pattern.text().starts_with('/'))
        );
        let last = all.last().unwrap();
        assert_eq!(
            (last.pattern.text(), &*last.roles),
            ("/**", &["ROLE_ADMIN".to_owned()][..])
        );
    }
    assert!(SecurityList::builtin("16").is_none());
    // In version 17, an entry before it takes the address.
    let tobira = |version| {
        takes(
            &SecurityList::builtin(version).unwrap(),
            &Method::GET,
            "/tobira/version",
            false,
            &[],
        )
    };
    assert!(!tobira("17") && tobira("18"));
}

/// The entries of version 17, and addresses around each of their patterns.
#[test]
fn spring_security_says_the_same() {
    let list = SecurityList::builtin("17").unwrap();
    let mut count = 0;
    for line in BY_SPRING.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let entry = list.find(&method.parse().unwrap(), path).unwrap();
        assert_eq!(entry.roles, words.collect::<Vec<_>>(), "{method} {path}");
        count += 1;
    }
    assert!(count > 1_000, "{count}");
}
