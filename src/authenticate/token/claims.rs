//! What a token says about its bearer: reads the claims of the schema that Opencast's issuers share, then
//! cuts them down to what their issuers may say.
//!
//! Reading decides about shapes only; whether the token is genuine and in time is decided elsewhere.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::header::malformed;
use super::json;
use crate::config::pattern::NoParams;
use crate::config::{Issuer, Jwt};
use crate::identity::{Grant, GrantKind, Identity};
use crate::rejection::Rejection;

/// The last second of the year 9999. A later time is as good as this one and would not fit everywhere.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// What issuers write, and Opencast assumes, where there is no name. Taken for one, it would make all
/// of them the same person, who shares rights in Opencast and the limits here.
const NO_NAME: &str = "unknown-jwt-user";

/// The claims as the token has them.
#[derive(Debug)]
pub(super) struct Claims {
    pub(super) expires: SystemTime,
    pub(super) not_before: Option<SystemTime>,
    pub(super) issuer: Option<String>,
    pub(super) audience: Vec<String>,
    subject: Option<String>,
    roles: Vec<String>,
    grants: Vec<Grant>,
}

/// What a token says that caps may cut.
pub(super) struct Said {
    pub(super) roles: Vec<String>,
    pub(super) grants: Vec<Grant>,
}

impl Claims {
    /// Reads the claims of a token. `config.roles_claims` names those that hold roles; all of them count.
    ///
    /// Errors: `malformed_token` when `exp` is missing, a known claim has another shape than its own, or the token has more
    /// roles or grants than are allowed: rules would have to walk them on every request.
    pub(super) fn parse(text: &[u8], config: &Jwt) -> Result<Self, Rejection> {
        let members = json::parse_object(text).map_err(|error| malformed(format!("claims: {error}")))?;
        let subject = json::set(&members, "sub").map(|sub| json::text(sub).ok_or_else(|| malformed("sub is no text")));
        let subject = subject
            .transpose()?
            .filter(|sub| !sub.trim().is_empty() && sub != NO_NAME);
        Ok(Self {
            expires: time("exp", members.get("exp").ok_or_else(|| malformed("no exp"))?)?,
            not_before: json::set(&members, "nbf").map(|nbf| time("nbf", nbf)).transpose()?,
            issuer: json::set(&members, "iss").and_then(Value::as_str).map(str::to_owned),
            audience: audience(&members),
            subject,
            roles: roles(&members, config)?,
            grants: grants(&members, config.max_grants)?,
        })
    }

    /// Roles and grants before any cap, grants in the form of a role among both.
    pub(super) fn said(&self) -> Said {
        let magic = self.roles.iter().filter_map(|role| magic_grant(role));
        Said {
            roles: self.roles.clone(),
            grants: self.grants.iter().cloned().chain(magic).collect(),
        }
    }

    /// The person behind the claims, as far as all of these issuers may say it. `issuers` are indices into `all`;
    /// several of them (one key, published by each) allow only what each of them allows.
    pub(super) fn capped(self, issuers: &[usize], all: &[Issuer]) -> Identity {
        let mut grants = self.grants;
        grants.extend(self.roles.iter().filter_map(|role| magic_grant(role)));
        let first = issuers.iter().find_map(|&index| all.get(index));
        let mut who = Identity {
            issuers: issuers.to_vec(),
            source: first.map_or_else(|| Arc::from(""), |issuer| Arc::clone(&issuer.name)),
            subject: self.subject,
            named: false,
            roles: self.roles,
            grants,
            expires: self.expires,
            access: None,
        };
        cap(&mut who, all);
        who
    }
}

/// Cuts down what somebody holds to what all of their issuers, of which there must be one, allow; so it is with the name.
pub(in crate::authenticate) fn cap(who: &mut Identity, all: &[Issuer]) {
    let issuing: Vec<&Issuer> = who.issuers.iter().filter_map(|&index| all.get(index)).collect();
    who.named = !issuing.is_empty() && issuing.iter().all(|issuer| issuer.may_name_users);
    let may_act = |action: &str| {
        let listed = |issuer: &&Issuer| issuer.allow_actions.iter().any(|allowed| allowed == action);
        !issuing.is_empty() && issuing.iter().all(listed)
    };
    let may_hold = |role: &str| {
        let matched = |issuer: &&Issuer| {
            let mut patterns = issuer.allow_roles.iter();
            patterns.any(|pattern| pattern.matches(role, &NoParams))
        };
        !issuing.is_empty() && issuing.iter().all(matched)
    };
    who.roles
        .retain(|role| may_hold(role) && magic_grant(role).is_none_or(|grant| may_act(&grant.action)));
    who.grants.retain(|grant| may_act(&grant.action));
}

/// A NumericDate (RFC 7519 section 2): seconds since 1970, with or without a fraction, not before 1970.
fn time(name: &str, value: &Value) -> Result<SystemTime, Rejection> {
    let seconds = value
        .as_f64()
        .filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
        .ok_or_else(|| malformed(format!("{name} is no time")))?;
    let since_epoch = Duration::try_from_secs_f64(seconds.min(LAST_SECOND));
    let time = since_epoch.ok().and_then(|since| UNIX_EPOCH.checked_add(since));
    time.ok_or_else(|| malformed(format!("{name} is no time")))
}

fn roles(members: &Map<String, Value>, config: &Jwt) -> Result<Vec<String>, Rejection> {
    let mut roles = Vec::new();
    let mut known = HashSet::new();
    for (name, value) in config
        .roles_claims
        .iter()
        .filter_map(|name| Some((name, json::set(members, name)?)))
    {
        let list = json::list(value).ok_or_else(|| malformed(format!("{name} is no list")))?;
        // What is no text gives no role, and leaves the others as they are.
        for role in list.into_iter().filter_map(json::text) {
            if !role.is_empty() && known.insert(role.clone()) {
                roles.push(role);
            }
        }
    }
    if roles.len() > config.max_roles {
        let (length, most) = (roles.len(), config.max_roles);
        return Err(malformed(format!("{length} roles; `jwt.max_roles` allows {most}")));
    }
    Ok(roles)
}

/// The `oc` claim: `{"e:<id>": ["read", …]}`. What is no action of an event, a series or a playlist grants nothing and
/// leaves the rest as it is: so does Opencast (`DynamicLoginHandler`), and other kinds of item are not judged here.
fn grants(members: &Map<String, Value>, most: usize) -> Result<Vec<Grant>, Rejection> {
    let items = json::set(members, "oc").and_then(Value::as_object);
    let mut grants = Vec::new();
    for (item, actions) in items.into_iter().flatten() {
        let Some((kind, id)) = item.split_once(':').filter(|(_, id)| !id.is_empty()) else {
            continue;
        };
        let kind = match kind {
            "e" => GrantKind::Event,
            "s" => GrantKind::Series,
            "p" => GrantKind::Playlist,
            _ => continue,
        };
        for action in json::list(actions).into_iter().flatten().filter_map(Value::as_str) {
            grants.push(Grant {
                kind,
                id: id.to_owned(),
                action: action.to_owned(),
            });
        }
    }
    if grants.len() > most {
        let length = grants.len();
        return Err(malformed(format!(
            "{length} grants in oc; `jwt.max_grants` allows {most}"
        )));
    }
    Ok(grants)
}

/// `aud` (RFC 7519 section 4.1.3): one or several strings.
fn audience(members: &Map<String, Value>) -> Vec<String> {
    let all = json::set(members, "aud").and_then(json::list).into_iter().flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// `ROLE_EPISODE_<id>_<ACTION>`: Opencast reads such a role as a grant, so an issuer that hands it out means
/// one. The action is the last word; the id may hold underscores.
fn magic_grant(role: &str) -> Option<Grant> {
    let (id, action) = role.strip_prefix("ROLE_EPISODE_")?.rsplit_once('_')?;
    let genuine = !id.is_empty() && !action.is_empty() && !action.contains(|c: char| c.is_ascii_lowercase());
    genuine.then(|| Grant {
        kind: GrantKind::Event,
        id: id.to_owned(),
        action: action.to_ascii_lowercase(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, issuer};
    use super::*;
    use crate::rejection::Reason;

    fn read(text: &str) -> Result<Claims, Reason> {
        let mut config = config(Vec::new());
        config.roles_claims = ["roles", "oc-roles"].map(str::to_owned).to_vec();
        Claims::parse(text.as_bytes(), &config).map_err(|rejection| rejection.reason)
    }

    fn grant(kind: GrantKind, id: &str, action: &str) -> Grant {
        Grant {
            kind,
            id: id.to_owned(),
            action: action.to_owned(),
        }
    }

    #[test]
    fn the_whole_schema() {
        let claims = read(
            r#"{"exp":100,"nbf":1.5,"sub":"anna","roles":["4_Learner","ROLE_STUDIO"],"oc-roles":"4_Learner",
                "oc":{"e:a:b":["read","write"],"s:x":"read","p:y":["annotate"],"zzz":7,"x:y":{},"e:":["read"]},
                "iss":"other","aud":["x"],"jti":null}"#,
        )
        .unwrap();
        assert_eq!(claims.expires, UNIX_EPOCH + Duration::from_secs(100));
        assert_eq!(claims.not_before, Some(UNIX_EPOCH + Duration::from_millis(1500)));
        assert_eq!(claims.subject.as_deref(), Some("anna"));
        assert_eq!(claims.roles, ["4_Learner", "ROLE_STUDIO"]);
        let expected = [
            grant(GrantKind::Event, "a:b", "read"),
            grant(GrantKind::Event, "a:b", "write"),
            grant(GrantKind::Playlist, "y", "annotate"),
            grant(GrantKind::Series, "x", "read"),
        ];
        assert_eq!(claims.grants, expected);
    }

    #[test]
    fn a_placeholder_is_no_name() {
        let subject = |sub: &str| read(&format!(r#"{{"exp":1,"sub":"{sub}"}}"#)).unwrap().subject;
        for nobody in ["", "  ", "unknown-jwt-user"] {
            assert_eq!(subject(nobody), None, "{nobody}");
        }
        for somebody in ["anna", "unknown", "Unknown-JWT-User", "unknown-jwt-user2"] {
            assert_eq!(subject(somebody).as_deref(), Some(somebody));
        }
    }

    #[test]
    fn times_are_numbers() {
        let expires = |exp: &str| read(&format!(r#"{{"exp":{exp}}}"#)).map(|claims| claims.expires);
        assert_eq!(expires("4e9"), Ok(UNIX_EPOCH + Duration::from_secs(4_000_000_000)));
        assert_eq!(expires("0.25"), Ok(UNIX_EPOCH + Duration::from_millis(250)));
        assert_eq!(expires("1e300"), expires("18446744073709551615"));
        assert_eq!(expires("-0.0"), Ok(UNIX_EPOCH));
        for odd in [r#""100""#, "-1", "null", "[100]", "{}", "true", "1e999", "NaN"] {
            assert_eq!(expires(odd), Err(Reason::MalformedToken), "{odd}");
        }
        assert_eq!(read("{}").err(), Some(Reason::MalformedToken));
        assert_eq!(read(r#"{"exp":1,"nbf":"0"}"#).err(), Some(Reason::MalformedToken));
    }

    #[test]
    fn what_is_not_set_is_absent() {
        let bare = read(r#"{"exp":1}"#).unwrap();
        for unset in ["null", "[]", "{}", "false"] {
            let names = ["sub", "nbf", "roles", "oc-roles", "oc", "iat", "aud", "iss", "jti"];
            let members = names.map(|name| format!(r#""{name}":{unset}"#)).join(",");
            let claims = read(&format!(r#"{{"exp":1,{members}}}"#)).unwrap();
            assert_eq!(format!("{claims:?}"), format!("{bare:?}"), "{unset}");
            assert_eq!(
                read(&format!(r#"{{"exp":{unset}}}"#)).err(),
                Some(Reason::MalformedToken)
            );
        }
    }

    #[test]
    fn an_array_with_gaps_is_a_list() {
        let claims = read(
            r#"{"exp":1,"roles":{"-1":"a","2":"b","10":"c","11":null},"oc-roles":["d",null,""],
                "oc":{"e:x":{"0":"read","1":"write","3":"annotate-admin"}}}"#,
        )
        .unwrap();
        let mut roles = claims.roles.clone();
        roles.sort();
        assert_eq!(roles, ["a", "b", "c", "d"]);
        let actions: Vec<_> = claims.grants.iter().map(|grant| grant.action.as_str()).collect();
        assert_eq!(actions, ["read", "write", "annotate-admin"]);
    }

    #[test]
    fn an_odd_entry_grants_nothing_and_spoils_nothing() {
        let claims = read(
            r#"{"exp":1,"roles":"r","oc":{"e:a":1,"e:b":null,"e:c":["read",1,null,["write"]],"e:d":{"x":"read"},"e:e":[],
                "e:f":{"0":"read","x":"write"},"e:g":true,"nonsense":[],"":"read"}}"#,
        )
        .unwrap();
        assert_eq!(claims.grants, [grant(GrantKind::Event, "c", "read")]);
        assert_eq!(claims.roles, ["r"]);
        for oc in ["\"\"", "true", "7", "[\"read\"]", "\"e:a\""] {
            assert!(
                read(&format!(r#"{{"exp":1,"oc":{oc}}}"#)).unwrap().grants.is_empty(),
                "{oc}"
            );
        }
        let odd = r#"{"exp":1,"sub":42,"roles":["a",5,5,1.5,["b"],{"c":"d"},true],"more":"#;
        let nested = format!("{odd}{}{}}}", "[".repeat(50), "]".repeat(50));
        let claims = read(&nested).unwrap();
        assert_eq!(claims.roles, ["a", "5"]);
        assert_eq!(claims.subject.as_deref(), Some("42"));
    }

    #[test]
    fn other_shapes_are_malformed() {
        let many = |n: usize| (0..n).map(|i| format!("\"r{i}\"")).collect::<Vec<_>>().join(",");
        for member in [
            r#""sub":1.5"#,
            r#""sub":true"#,
            r#""sub":["anna"]"#,
            r#""roles":{"a":"b"}"#,
            r#""roles":{"0":"a","0":"b"}"#,
            r#""roles":1"#,
            r#""nbf":true"#,
            r#""nbf":"""#,
            r#""oc":{"e:a":{"0":"read","0":"write"}}"#,
            r#""other":{"a":1,"a":1}"#,
            r#""oc":{"e:a":"read","e:a":"write"}"#,
            r#""exp":2"#,
            &format!(r#""roles":[{}]"#, many(257)),
            &format!(r#""oc":{{"e:a":[{}]}}"#, many(257)),
        ] {
            let text = format!(r#"{{"exp":1,{member}}}"#);
            assert_eq!(read(&text).err(), Some(Reason::MalformedToken), "{member}");
        }
        assert!(read(&format!(r#"{{"exp":1,"roles":[{}]}}"#, many(256))).is_ok());
    }

    #[test]
    fn a_refusal_names_the_setting() {
        let mut config = config(Vec::new());
        (config.max_roles, config.max_grants) = (1, 1);
        for (text, setting) in [
            (r#"{"exp":1,"roles":["a","b"]}"#, "jwt.max_roles"),
            (r#"{"exp":1,"oc":{"e:a":["read","write"]}}"#, "jwt.max_grants"),
        ] {
            let detail = Claims::parse(text.as_bytes(), &config).err().unwrap().detail.unwrap();
            assert!(detail.contains(setting), "{detail}");
        }
    }

    #[test]
    fn a_name_counts_where_all_issuers_may_give_it() {
        let mut all = [issuer("moodle", &[], &[]), issuer("tobira", &[], &[])];
        all[0].may_name_users = true;
        let named = |issuers: &[usize]| {
            let who = read(r#"{"exp":1,"sub":"anna"}"#).unwrap().capped(issuers, &all);
            who.name().map(str::to_owned)
        };
        assert_eq!(named(&[0]).as_deref(), Some("anna"));
        assert_eq!((named(&[1]), named(&[0, 1]), named(&[])), (None, None, None));
    }

    #[test]
    fn issuers_cap_roles_and_actions() {
        let all = [
            issuer(
                "moodle",
                &["*_Learner", "ROLE_STUDIO", "ROLE_EPISODE_*"],
                &["read", "annotate"],
            ),
            issuer("tobira", &["*"], &["read", "write"]),
        ];
        let text = r#"{"exp":1,"roles":["4_Learner","ROLE_ADMIN","ROLE_EPISODE_a_b_READ","ROLE_EPISODE_a_WRITE",
            "ROLE_EPISODE_x_Read","*"],"oc":{"e:e":["read","READ","write"],"s:s":"annotate"}}"#;
        let capped = |issuers: &[usize]| read(text).unwrap().capped(issuers, &all);

        let moodle = capped(&[0]);
        assert_eq!(&*moodle.source, "moodle");
        assert_eq!(
            moodle.roles,
            ["4_Learner", "ROLE_EPISODE_a_b_READ", "ROLE_EPISODE_x_Read"]
        );
        let event = |id, action| grant(GrantKind::Event, id, action);
        let annotate = grant(GrantKind::Series, "s", "annotate");
        assert_eq!(moodle.grants, [event("e", "read"), annotate, event("a_b", "read")]);

        // The same key in both sets: the narrower caps of each.
        let both = capped(&[0, 1]);
        assert_eq!(both.issuers, [0, 1]);
        assert_eq!(both.roles, moodle.roles);
        assert_eq!(both.grants, [event("e", "read"), event("a_b", "read")]);

        let tobira = capped(&[1]);
        assert!(tobira.roles.contains(&"ROLE_ADMIN".to_owned()) && tobira.roles.contains(&"*".to_owned()));
        assert!(tobira.grants.contains(&event("a", "write")));
    }

    #[test]
    fn no_issuer_no_right() {
        let identity = read(r#"{"exp":1,"roles":"a","oc":{"e:a":"read"}}"#)
            .unwrap()
            .capped(&[], &[]);
        assert!(identity.roles.is_empty() && identity.grants.is_empty());
    }

    #[test]
    fn magic_roles() {
        assert_eq!(
            magic_grant("ROLE_EPISODE_a-b_c_ANNOTATE-ADMIN"),
            Some(grant(GrantKind::Event, "a-b_c", "annotate-admin"))
        );
        for role in [
            "ROLE_EPISODE_a",
            "ROLE_EPISODE__READ",
            "ROLE_EPISODE_a_",
            "role_EPISODE_a_READ",
            "ROLE_EPISODE_a_read",
        ] {
            assert_eq!(magic_grant(role), None, "{role}");
        }
    }
}
