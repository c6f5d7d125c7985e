use proptest::prelude::*;

use super::*;
use crate::sign_in::cas::FailureCode;

/// What a real server answered, by file name.
macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded/cas/", $name))
    };
}

fn cas_3(body: &str) -> Result<Answer, BadAnswer> {
    parse(Protocol::Cas3, Some("text/xml; charset=utf-8"), body.as_bytes())
}

#[track_caller]
fn principal(body: &str) -> Principal {
    match cas_3(body) {
        Ok(Answer::Success(principal)) => principal,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn failure(body: &str) -> Failure {
    match cas_3(body) {
        Ok(Answer::Failure(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(body: &str, error: BadAnswer) {
    assert_eq!(cas_3(body), Err(error), "{body:.300}");
}

/// A success with this within it.
fn success_with(inner: &str) -> String {
    format!(
        "<cas:serviceResponse xmlns:cas='http://www.yale.edu/tp/cas'><cas:authenticationSuccess>{inner}\
         </cas:authenticationSuccess></cas:serviceResponse>"
    )
}

#[test]
fn recorded_successes_are_read() {
    let alice = principal(recorded!("success.xml"));
    assert_eq!(alice.user, "alice");
    assert!(alice.proxies.is_empty());
    let attributes: Vec<(&str, Vec<&str>)> = alice
        .attributes
        .iter()
        .map(|(name, values)| (name, values.iter().map(String::as_str).collect()))
        .collect();
    assert_eq!(
        attributes,
        [
            ("authenticationDate", vec!["2026-11-20T21:50:45+00:00"]),
            ("longTermAuthenticationRequestTokenUsed", vec!["false"]),
            ("isFromNewLogin", vec!["false"]),
            ("mail", vec!["alice@example.test"]),
            ("email", vec!["alice@example.test", "a.liddell@example.test"]),
            ("givenName", vec!["Alice"]),
            ("sn", vec!["Liddell & <Söhne>"]),
            ("eduPersonAffiliation", vec!["student", "member"]),
            ("displayName", vec!["Alicia Núñez"]),
        ]
    );
    let mut with_grant = principal(recorded!("success-with-pgtiou.xml"));
    let grant = with_grant.withheld.take(|_| true);
    assert!(grant.get("proxyGrantingTicket")[0].starts_with("PGTIOU-"));
    assert_eq!(with_grant, alice, "nothing else is made of it");
    let renewed = principal(recorded!("success-renewed.xml"));
    assert_eq!(renewed.attributes.get("isFromNewLogin"), ["true"]);
    assert_eq!(
        principal(recorded!("success-without-attributes.xml"))
            .attributes
            .iter()
            .count(),
        3
    );
    assert_eq!(
        principal(recorded!("success-renamed-user.xml")).user,
        "alice@example.test"
    );
    let proxied = principal(recorded!("success-proxied.xml"));
    assert_eq!(
        (proxied.user.as_str(), proxied.proxies.as_slice()),
        ("alice", &["https://gw.test:8445/pgt".to_owned()][..])
    );
}

#[test]
fn recorded_failures_have_their_code_and_tell_no_ticket() {
    use FailureCode as C;
    for (body, code, text) in [
        (
            recorded!("invalid-service.xml"),
            C::InvalidService,
            "https://gw.test:8445/other",
        ),
        (
            recorded!("invalid-ticket-used.xml"),
            C::InvalidTicket,
            "ticket not found",
        ),
        (
            recorded!("invalid-ticket-not-renewed.xml"),
            C::InvalidTicket,
            "ticket not found",
        ),
        (recorded!("invalid-ticket-proxied.xml"), C::InvalidTicket, "PT-…"),
        (
            recorded!("unauthorized-service.xml"),
            C::UnauthorizedService,
            "the service https://noattr.test/a does not allow proxy tickets",
        ),
    ] {
        assert_eq!(
            failure(body),
            Failure {
                code,
                text: text.to_owned()
            }
        );
    }
    for (body, code) in [
        (recorded!("invalid-ticket-unknown.xml"), C::InvalidTicket),
        (recorded!("invalid-request.xml"), C::InvalidRequest),
        (
            recorded!("invalid-proxy-callback-not-allowed.xml"),
            C::InvalidProxyCallback,
        ),
        (recorded!("unauthorized-user.xml"), C::UnauthorizedUser),
    ] {
        assert_eq!(failure(body).code, code);
    }
    let unreachable = failure(recorded!("invalid-proxy-callback-unreachable.xml"));
    assert_eq!(unreachable.code, C::InvalidProxyCallback);
    assert!(
        unreachable.text.contains("pgtId=PGT-…&pgtIou=PGTIOU-…"),
        "{}",
        unreachable.text
    );
}

#[test]
fn what_is_no_validation_answer_signs_nobody_in() {
    for other in [recorded!("proxy-success.xml"), recorded!("saml-validate.xml")] {
        refused(other, BadAnswer::Form);
    }
    refused("", BadAnswer::Form);
    refused("yes\nalice\n", BadAnswer::Form);
    refused("<a/>", BadAnswer::Form);
    refused(
        "<cas:serviceResponse xmlns:cas='http://www.yale.edu/tp/cas'/>",
        BadAnswer::Form,
    );
    let both = success_with("<cas:user>alice</cas:user>").replace(
        "</cas:serviceResponse>",
        "<cas:authenticationFailure code='INVALID_TICKET'/></cas:serviceResponse>",
    );
    refused(&both, BadAnswer::Form);
}

#[test]
fn a_failure_without_a_code_is_one() {
    let no = failure("<serviceResponse><authenticationFailure>not you</authenticationFailure></serviceResponse>");
    assert_eq!(
        (no.code, no.text.as_str()),
        (FailureCode::Unknown(String::new()), "not you")
    );
    let no = failure(r#"{"serviceResponse":{"authenticationFailure":{"description":"not you"}}}"#);
    assert_eq!(no.text, "not you");
}

#[test]
fn the_first_protocol_is_read_line_by_line() {
    let cas_1 = |body: &str| parse(Protocol::Cas1, Some("text/plain; charset=utf-8"), body.as_bytes());
    for yes in [
        recorded!("cas1-success.txt"),
        "yes\r\nalice\r\n",
        "yes\nalice",
        "yes\nalice\n \r\n\n",
    ] {
        let Ok(Answer::Success(alice)) = cas_1(yes) else {
            panic!("{yes:?} signs alice in")
        };
        assert_eq!((alice.user.as_str(), alice.attributes.is_empty()), ("alice", true));
    }
    for no in [
        recorded!("cas1-failure.txt"),
        "no\n\n",
        "no\r\n\r\n",
        "no",
        "no\nyes\nalice\n",
    ] {
        let Ok(Answer::Failure(failure)) = cas_1(no) else {
            panic!("{no:?} is a refusal")
        };
        assert_eq!(failure.code, FailureCode::InvalidTicket);
    }
    for (odd, error) in [
        ("yes", BadAnswer::Form),
        ("yes\n", BadAnswer::Form),
        ("nobody\n", BadAnswer::Form),
        ("YES\nalice\n", BadAnswer::Form),
        ("\nyes\nalice\n", BadAnswer::Form),
        ("yes\n\n", BadAnswer::UserName),
        ("yes\nali\rce\n", BadAnswer::UserName),
        ("yes\nalice\nbob\n", BadAnswer::Form),
        ("yes\nalice\n\nbob\n", BadAnswer::Form),
        ("yes\n alice\n", BadAnswer::UserName),
        (recorded!("success.xml"), BadAnswer::Form),
    ] {
        assert_eq!(cas_1(odd), Err(error), "{odd:.100}");
    }
}

#[test]
fn json_says_the_same() {
    let alice = principal(
        r#" {"serviceResponse":{"authenticationSuccess":{"user":"alice","proxyGrantingTicket":"PGTIOU-1",
            "proxies":["https://b.test/pgt","https://a.test/pgt"],"attributes":{"mail":"a@x","n":[1,true,null,"b",["c"]],
            "o":{"p":"q"},"empty":[]}},"authenticationFailure":null}}"#,
    );
    assert_eq!(alice.user, "alice");
    assert_eq!(alice.proxies, ["https://b.test/pgt", "https://a.test/pgt"]);
    assert_eq!(alice.attributes.get("mail"), ["a@x"]);
    assert_eq!(alice.attributes.get("n"), ["1", "true", "b", "c"]);
    assert_eq!(alice.attributes.get("o"), ["q"]);
    assert_eq!(alice.attributes.iter().count(), 3);
    let no = failure(
        r#"{"serviceResponse":{"authenticationFailure":{"code":"INVALID_TICKET","description":"Ticket ST-1 is not known"}}}"#,
    );
    assert_eq!(
        (no.code, no.text.as_str()),
        (FailureCode::InvalidTicket, "Ticket ST-… is not known")
    );
    for (odd, error) in [
        ("{}", BadAnswer::Form),
        (r#"{"serviceResponse":{}}"#, BadAnswer::Form),
        (
            r#"{"serviceResponse":{"authenticationSuccess":"alice"}}"#,
            BadAnswer::Form,
        ),
        (r#"{"serviceResponse":{"authenticationSuccess":{}}}"#, BadAnswer::User),
        (
            r#"{"serviceResponse":{"authenticationSuccess":{"user":1.5}}}"#,
            BadAnswer::User,
        ),
        (
            r#"{"serviceResponse":{"authenticationSuccess":{"user":"a","attributes":["staff"]}}}"#,
            BadAnswer::Form,
        ),
        (
            r#"{"serviceResponse":{"authenticationSuccess":{"user":["alice"]}}}"#,
            BadAnswer::User,
        ),
        (
            r#"{"serviceResponse":{"authenticationSuccess":{"user":" "}}}"#,
            BadAnswer::UserName,
        ),
        (
            r#"{"serviceResponse":{"authenticationSuccess":{"user":"a","user":"b"}}}"#,
            BadAnswer::Json,
        ),
        (
            r#"{"serviceResponse":{"authenticationSuccess":{"user":"a","proxies":"x"}}}"#,
            BadAnswer::Proxies,
        ),
        (
            r#"{"serviceResponse":{"authenticationSuccess":{"user":"a","proxies":[1]}}}"#,
            BadAnswer::Proxies,
        ),
        (
            r#"{"serviceResponse":{"authenticationSuccess":{"user":"a"},"authenticationFailure":{"code":"X"}}}"#,
            BadAnswer::Form,
        ),
        (
            r#"{"serviceResponse":{"authenticationSuccess":{"user":"alice"}}}{}"#,
            BadAnswer::Json,
        ),
        (
            r#"{"serviceResponse":{"authenticationSuccess":{"user":"alice"}}"#,
            BadAnswer::Json,
        ),
    ] {
        refused(odd, error);
    }
}

#[test]
fn json_as_php_writes_it_is_read() {
    let told = |members: &str| {
        principal(&format!(
            r#"{{"serviceResponse":{{"authenticationSuccess":{{{members}}}}}}}"#
        ))
    };
    for none in ["[]", "null", "{}"] {
        assert!(
            told(&format!(r#""user":"alice","attributes":{none}"#))
                .attributes
                .is_empty()
        );
    }
    let alice = told(
        r#""user":" alice\n","attributes":[{"aff":{"0":" staff ","2":"member"}},{"groups":{"group":["a","b"]},
           "odd":{"credential":"secret"}}]"#,
    );
    assert_eq!(alice.user, "alice");
    assert_eq!(alice.attributes.get("aff"), ["staff", "member"]);
    assert_eq!(alice.attributes.get("groups"), ["a", "b"]);
    assert_eq!(alice.attributes.iter().count(), 2);
    assert_eq!(told(r#""user":4711"#).user, "4711");
}

#[test]
fn a_user_counts_only_in_its_place() {
    for (inner, error) in [
        ("", BadAnswer::User),
        (
            "<cas:attributes><cas:user>alice</cas:user></cas:attributes>",
            BadAnswer::User,
        ),
        (
            "<cas:extension><cas:user>alice</cas:user></cas:extension>",
            BadAnswer::User,
        ),
        ("<cas:user>alice</cas:user><cas:user>bob</cas:user>", BadAnswer::User),
        ("<cas:user><cas:user>alice</cas:user></cas:user>", BadAnswer::User),
        ("<cas:user>alice<cas:x/></cas:user>", BadAnswer::User),
        ("<user>alice</user>", BadAnswer::User),
        (
            "<user xmlns='http://www.yale.edu/tp/cas/'>alice</user>",
            BadAnswer::User,
        ),
        ("<cas:attribute name='user' value='alice'/>", BadAnswer::User),
        ("<cas:User>alice</cas:User>", BadAnswer::User),
        ("<cas:user/>", BadAnswer::UserName),
        ("<cas:user>\n</cas:user>", BadAnswer::UserName),
        ("<cas:user>ali\nce</cas:user>", BadAnswer::UserName),
        ("<cas:user>ali&#x9;ce</cas:user>", BadAnswer::UserName),
    ] {
        refused(&success_with(inner), error);
    }
    let long = "x".repeat(257);
    refused(
        &success_with(&format!("<cas:user>{long}</cas:user>")),
        BadAnswer::UserName,
    );
    // A comment ends no name: what is read is what the server signed in.
    let whole = success_with("<cas:user>alice<!-- -->.evil</cas:user>");
    assert_eq!(principal(&whole).user, "alice.evil");
    for foreign in [
        "<user>eve</user>",
        "<x:user xmlns:x='urn:x'>eve</x:user>",
        "<cas::user>eve</cas::user>",
    ] {
        let both = success_with(&format!("{foreign}<cas:user>alice</cas:user>{foreign}"));
        assert_eq!(principal(&both).user, "alice", "{foreign}");
        refused(&success_with(foreign), BadAnswer::User);
    }
    let odd = success_with("<cas:attributes><cas:user>eve</cas:user></cas:attributes><cas:user>alice</cas:user>");
    assert_eq!(principal(&odd).user, "alice");
}

#[test]
fn the_namespace_counts_and_not_its_prefix() {
    let good = success_with("<cas:user>alice</cas:user>");
    for prefix in ["c", "saml"] {
        let other = good.replace("cas:", &format!("{prefix}:"));
        assert_eq!(
            principal(&other.replace("xmlns:cas=", &format!("xmlns:{prefix}="))).user,
            "alice"
        );
    }
    let default = good.replace("xmlns:cas=", "xmlns=").replace("cas:", "");
    assert_eq!(principal(&default).user, "alice");
    // EU Login has one of its own, others forget theirs.
    for other in [
        "https://ecas.ec.europa.eu/cas/schemas",
        "https://www.yale.edu/tp/cas",
        "",
    ] {
        let other = default.replace("http://www.yale.edu/tp/cas", other);
        assert_eq!(principal(&other).user, "alice");
    }
    let undeclared = good.replace(" xmlns:cas='http://www.yale.edu/tp/cas'", "");
    assert_eq!(principal(&undeclared).user, "alice");
    refused(&undeclared.replace("cas:user", "user"), BadAnswer::User);
    refused(&undeclared.replace("cas:user", "x:user"), BadAnswer::User);
    let foreign = success_with("<cas:user>alice</cas:user><x:user xmlns:x='urn:x'>eve</x:user>");
    assert_eq!(principal(&foreign).user, "alice");
}

#[test]
fn attributes_are_united_from_both_spellings() {
    let alice = principal(&success_with(
        "<cas:user>alice</cas:user><cas:attributes><cas:mail>a</cas:mail><cas:mail>b</cas:mail>\
         <cas:attribute name='mail' value='c'/><cas:attribute>plain</cas:attribute><cas:empty/></cas:attributes>\
         <cas:attribute name='mail' value='b'/><cas:attribute name='mail' value='d'/><cas:attribute name='sn' value='e'/>\
         <cas:attribute name='text'> f </cas:attribute>",
    ));
    assert_eq!(alice.attributes.get("mail"), ["a", "b", "c", "d"]);
    assert_eq!(alice.attributes.get("attribute"), ["plain"]);
    assert_eq!(alice.attributes.get("sn"), ["e"]);
    assert_eq!(alice.attributes.get("text"), ["f"]);
    assert_eq!(alice.attributes.iter().count(), 4);
    let many: String = (0..=2_000).map(|number| format!("<cas:a>{number}</cas:a>")).collect();
    let many = success_with(&format!(
        "<cas:user>alice</cas:user><cas:attributes>{many}</cas:attributes>"
    ));
    refused(&many, BadAnswer::Attributes);
}

#[test]
fn attributes_may_be_in_any_namespace_or_none() {
    for inner in [
        "<aff>staff</aff>",
        "<x:aff xmlns:x='urn:x'>staff</x:aff>",
        "<undeclared:aff>staff</undeclared:aff>",
        "<cas:attributes><aff>staff</aff></cas:attributes>",
        "<attributes><aff>staff</aff></attributes>",
        "<attribute name='aff' value='staff'/>",
        "<attributes xmlns='urn:x'><aff>staff</aff><proxyGrantingTicket>PGT-1</proxyGrantingTicket></attributes>",
    ] {
        let alice = principal(&success_with(&format!("<cas:user>alice</cas:user>{inner}")));
        assert_eq!(alice.attributes.get("aff"), ["staff"], "{inner}");
        assert_eq!(alice.attributes.iter().count(), 1, "{inner}");
    }
    let chain = success_with("<cas:user>alice</cas:user><proxies><proxy>https://a/pgt</proxy></proxies>");
    assert!(principal(&chain).proxies.is_empty(), "no chain in another namespace");
}

#[test]
fn an_element_of_elements_is_a_list_of_values() {
    let attributes = |inner: &str| principal(&success_with(&format!("<cas:user>alice</cas:user>{inner}"))).attributes;
    // EU Login
    let groups = "<cas:groups number=\"2\">\n <cas:group>A</cas:group>\n <cas:group> B </cas:group></cas:groups>";
    for list in [groups, &format!("<cas:attributes>{groups}</cas:attributes>")] {
        let found = attributes(list);
        assert_eq!(found.get("groups"), ["A", "B"]);
        assert_eq!(found.get("group"), ["A", "B"]);
    }
    for aff in [
        "<cas:aff><cas:value>staff</cas:value><cas:value>member</cas:value></cas:aff>",
        "<cas:attribute name='aff'><cas:value>staff</cas:value><cas:value>member</cas:value></cas:attribute>",
    ] {
        assert_eq!(attributes(aff).get("aff"), ["staff", "member"]);
    }
    for boss in [
        "<cas:boss><cas:uid>eve</cas:uid></cas:boss>",
        "<cas:boss><cas:uid>eve</cas:uid><cas:aff>staff</cas:aff></cas:boss>",
    ] {
        let of_another = attributes(boss);
        assert!(of_another.get("uid").is_empty() && of_another.get("aff").is_empty());
        assert_eq!(of_another.get("boss").first().map(String::as_str), Some("eve"));
    }
    for none in [
        "<cas:a>text<cas:b>x</cas:b></cas:a>",
        "<cas:a><cas:b><cas:c>x</cas:c></cas:b></cas:a>",
        "<cas:credential><cas:value>secret</cas:value></cas:credential>",
        "<cas:a><cas:credential>secret</cas:credential></cas:a>",
        "<cas:attribute name='credential'><cas:value>secret</cas:value></cas:attribute>",
    ] {
        assert!(attributes(none).is_empty(), "{none}");
    }
}

#[test]
fn rubys_yaml_is_a_list_or_nothing() {
    let aff = |yaml: &str| {
        let body = success_with(&format!("<cas:user>alice</cas:user><aff><![CDATA[{yaml}]]></aff>"));
        principal(&body).attributes.get("aff").to_vec()
    };
    for list in [
        "---\n- staff\n- member\n",
        "--- \r\n- staff\r\n- 'member'\r\n",
        "---\n- \"staff\"\n- member\n...\n",
    ] {
        assert_eq!(aff(list), ["staff", "member"], "{list}");
    }
    assert_eq!(aff("--- true\n...\n"), ["true"]);
    assert_eq!(aff("---staff"), ["---staff"]);
    for none in [
        "--- \n...\n",
        "---",
        "--- []\n",
        "--- {}\n",
        "--- ~\n",
        "---\n- null\n",
        "---\n- staff\n- a: b\n",
        "---\n:staff:\n- x\n",
        "---\nstaff:\n- x\n",
        "---\n- |\n  staff\n",
        "---\n- 'it''s'\n",
        "---\n- !ruby/object:X\n",
        "---\n- - staff\n",
    ] {
        assert!(aff(none).is_empty(), "{none}");
    }
}

#[test]
fn attributes_may_stand_beside_the_user() {
    let alice = principal(&success_with(
        "\n  <cas:user>\n   alice\r\n  </cas:user>\n <cas:proxyGrantingTicket>PGTIOU-1</cas:proxyGrantingTicket>\
         <cas:eduPersonAffiliation>\n    staff\n  </cas:eduPersonAffiliation><cas:eduPersonAffiliation> a b\t</cas:eduPersonAffiliation>\
         <cas:attributes><cas:mail>a@x</cas:mail><cas:credential>secret</cas:credential></cas:attributes>",
    ));
    assert_eq!(alice.user, "alice");
    assert_eq!(alice.attributes.get("eduPersonAffiliation"), ["staff", "a b"]);
    assert_eq!(alice.attributes.get("mail"), ["a@x"]);
    assert_eq!(alice.attributes.iter().count(), 2);
}

#[test]
fn names_that_are_none_of_xml_are_decoded() {
    let attributes = |name: &str| {
        let body = success_with(&format!(
            "<cas:user>alice</cas:user><cas:attributes><cas:{name}>v</cas:{name}></cas:attributes>"
        ));
        let attributes = principal(&body).attributes;
        attributes.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
    };
    let encoded = |name: &str| {
        name.bytes()
            .fold("_".to_owned(), |all, byte| format!("{all}{byte:02x}"))
    };
    for name in [
        "urn:oid:1.3.6.1.4.1.5923.1.1.1.6",
        "https://example.edu/role",
        "1st",
        "größe :",
    ] {
        assert_eq!(attributes(&encoded(name)), [encoded(name), name.to_owned()], "{name}");
    }
    // As some servers write it all the same: XML allows colons in names, its namespaces one alone.
    assert_eq!(attributes("urn:oid:1.3"), ["urn:oid:1.3"]);
    // Names as XML allows them, other digits, no UTF-8, half a byte.
    for raw in [
        &*encoded("mail"),
        "_75726E3A",
        "_ff3a",
        "_75726e3",
        "_",
        "_group",
        "_3a0a",
    ] {
        assert_eq!(attributes(raw), [raw], "{raw}");
    }
}

#[test]
fn an_answer_may_be_in_another_character_set() {
    let user = |content_type: &str, body: &[u8]| match parse(Protocol::Cas3, Some(content_type), body) {
        Ok(Answer::Success(principal)) => principal.user,
        other => panic!("{other:?}"),
    };
    let good = success_with("<cas:user>müller</cas:user>");
    let latin: Vec<u8> = good
        .chars()
        .map(|letter| u8::try_from(u32::from(letter)).unwrap())
        .collect();
    let declared =
        |name: &str, body: &[u8]| [format!("<?xml version=\"1.0\" encoding='{name}'?>\n").as_bytes(), body].concat();
    for (content_type, body) in [
        ("text/xml", good.as_bytes().to_vec()),
        ("text/xml", format!("\u{feff}{good}").into_bytes()),
        ("text/xml; Charset=\"iso-8859-1\"", latin.clone()),
        ("text/xml", latin.clone()),
        ("text/xml", declared("ISO-8859-1", &latin)),
        ("text/xml; charset=ISO-8859-1", declared("UTF-8", good.as_bytes())),
        ("text/xml; charset=UTF-8", declared("ISO-8859-1", good.as_bytes())),
        ("text/xml; charset=UTF-8", declared("ISO-8859-1", &latin)),
    ] {
        assert_eq!(user(content_type, &body), "müller", "{content_type}");
    }
    for named in [latin.clone(), declared("UTF-8", &latin)] {
        assert_eq!(
            parse(Protocol::Cas3, Some("text/xml; charset=UTF-8"), &named),
            Err(BadAnswer::Encoding)
        );
    }
    let utf_16 = std::iter::once('\u{feff}').chain(good.chars()).collect::<String>();
    let utf_16: Vec<u8> = utf_16.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(user("text/xml", &utf_16), "müller");
}

#[test]
fn a_chain_of_proxies_is_read_whole_or_not_at_all() {
    let chain = |proxies: &str| success_with(&format!("<cas:user>alice</cas:user>{proxies}"));
    let two = "<cas:proxies><cas:proxy>https://b/pgt</cas:proxy> <cas:proxy>https://a/pgt</cas:proxy></cas:proxies>";
    assert_eq!(principal(&chain(two)).proxies, ["https://b/pgt", "https://a/pgt"]);
    assert!(principal(&chain("<cas:proxies/>")).proxies.is_empty());
    for odd in [
        &format!("{two}{two}"),
        "<cas:proxies><proxy>https://a/pgt</proxy></cas:proxies>",
        "<cas:proxies><cas:proxy>https://a/ pgt</cas:proxy></cas:proxies>",
        "<cas:proxies><cas:proxy/></cas:proxies>",
        "<cas:proxies><cas:proxy>a<cas:x/></cas:proxy></cas:proxies>",
        &format!(
            "<cas:proxies>{}</cas:proxies>",
            "<cas:proxy>https://a/</cas:proxy>".repeat(17)
        ),
    ] {
        refused(&chain(odd), BadAnswer::Proxies);
    }
}

#[test]
fn hostile_answers_are_refused() {
    let good = success_with("<cas:user>alice</cas:user>");
    let entity = good.replace("alice", "&u;");
    refused(
        &format!("<!DOCTYPE x [<!ENTITY u 'alice'>]>{entity}"),
        BadAnswer::Xml(XmlError::DocumentType),
    );
    refused(
        &format!("<!DOCTYPE x SYSTEM 'file:///etc/passwd'>{good}"),
        BadAnswer::Xml(XmlError::DocumentType),
    );
    refused(&entity, BadAnswer::Xml(XmlError::Entity));
    refused(&format!("{good}{good}"), BadAnswer::Xml(XmlError::Outside));
    refused(&format!("{good}alice"), BadAnswer::Xml(XmlError::Outside));
    refused(&" ".repeat(10 << 20), BadAnswer::TooLong);
    let nested = good.replace("alice", &"<cas:x>".repeat(17));
    refused(&nested, BadAnswer::Xml(XmlError::Depth));
    for end in 0..good.len() {
        assert!(cas_3(&good[..end]).is_err(), "{}", &good[..end]);
    }
    let utf_8 = Some("text/xml; charset=utf-8");
    assert_eq!(parse(Protocol::Cas3, utf_8, b"<a>\xff</a>"), Err(BadAnswer::Encoding));
    let utf_16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(parse(Protocol::Cas3, None, &utf_16).is_err());
}

#[test]
fn a_web_page_is_named_as_one() {
    for page in [
        "<!DOCTYPE html><p>Error",
        "<html><body>yes</body></html>",
        "Not found",
        "",
        "\u{feff}",
    ] {
        for protocol in [Protocol::Cas1, Protocol::Cas2, Protocol::Cas3] {
            let answer = parse(protocol, Some("Text/HTML; charset=utf-8"), page.as_bytes());
            assert_eq!(answer, Err(BadAnswer::Page), "{page}");
        }
    }
    // What is an answer to the letter is one: PHP calls everything text/html that is not called otherwise.
    let good = parse(
        Protocol::Cas2,
        Some("text/html"),
        success_with("<cas:user>alice</cas:user>").as_bytes(),
    );
    assert!(matches!(good, Ok(Answer::Success(_))));
}

proptest! {
    #[test]
    fn nothing_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for protocol in [Protocol::Cas1, Protocol::Cas2, Protocol::Cas3] {
            drop(parse(protocol, None, &body));
        }
    }

    #[test]
    fn a_damaged_answer_names_nobody_else(place in any::<prop::sample::Index>(), byte in any::<u8>(), remove in any::<bool>()) {
        let mut body = recorded!("success-proxied.xml").as_bytes().to_vec();
        let place = place.index(body.len());
        if remove { body.remove(place); } else { body[place] = byte; }
        if let Ok(Answer::Success(principal)) = parse(Protocol::Cas3, None, &body) {
            let kept = |ours: &mut dyn Iterator<Item = (char, char)>| ours.take_while(|(one, other)| one == other).count();
            let user = principal.user.as_str();
            let same = kept(&mut user.chars().zip("alice".chars())) + kept(&mut user.chars().rev().zip("alice".chars().rev()));
            prop_assert!(same >= 4, "{user} is more than one letter away");
        }
    }

    #[test]
    fn any_name_and_value_come_through(name in "[a-zA-Z][a-zA-Z0-9_.-]{0,20}", user in "[^\\p{C}\\s]{1,40}", value in "[^\\p{C}]{1,40}") {
        let escaped = |text: &str| quick_xml::escape::escape(text).into_owned();
        let body = success_with(&format!(
            "<cas:user>{}</cas:user><cas:attributes><cas:{name}>{}</cas:{name}></cas:attributes>", escaped(&user), escaped(&value)
        ));
        let principal = principal(&body);
        prop_assert_eq!(principal.user, user);
        let value = value.trim_matches([' ', '\t', '\r', '\n']).to_owned();
        let expected: &[String] = if value.trim().is_empty() { &[] } else { &[value] };
        prop_assert_eq!(principal.attributes.get(&name), expected);
    }
}

#[test]
fn a_web_page_is_told_apart_from_an_answer_that_is_called_one() {
    let judged = |body: &str| parse(Protocol::Cas3, Some("text/html;charset=UTF-8"), body.as_bytes());
    assert_eq!(
        judged("<!DOCTYPE html><html><body>Log in</body></html>"),
        Err(BadAnswer::Page)
    );
    // Apereo CAS writes the name of an attribute as it is.
    let broken = "<cas:serviceResponse xmlns:cas='http://www.yale.edu/tp/cas'><cas:authenticationSuccess>\
                  <cas:user>anna</cas:user><cas:attributes><cas:a&b>x</cas:a&b></cas:attributes>\
                  </cas:authenticationSuccess></cas:serviceResponse>";
    assert!(matches!(judged(broken), Err(BadAnswer::Xml(_))), "{:?}", judged(broken));
}
