//! What an access token says, in its claims or in the server's answer about it: whether it counts here, for whom, and for
//! which client (RFC 9068 section 4, RFC 7662 section 2.2).

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use crate::authenticate::oauth::claims;
use crate::authenticate::oauth::error::words;
use crate::authenticate::session::roles::roles;
use crate::authenticate::session::{Attributes, is_user};
use crate::authenticate::token::json;
use crate::config;
use crate::identity::{Access, Identity};
use crate::rejection::{Reason, Rejection};

/// The last second of the year 9999.
const LAST_SECOND: f64 = 253_402_300_799.0;
/// Scopes of one token, and bytes of each.
const MOST_SCOPES: usize = 256;
const LONGEST_SCOPE: usize = 256;
/// How Keycloak calls the account of a client.
const SERVICE_ACCOUNT: &str = "service-account-";
/// Claims that stand in ID tokens alone (OIDC Core 1.0 section 2).
const OF_ID_TOKEN: [&str; 4] = ["nonce", "at_hash", "c_hash", "s_hash"];
/// Where it is told what kind of token it is: RFC 7662, Apereo's servers, Keycloak, Ory's.
const KIND: [&str; 4] = ["token_type", "tokenType", "typ", "token_use"];
/// Where the client is named: RFC 9068 and RFC 7662, OIDC Core 1.0, Entra; Apereo's servers, and others.
const CLIENT: [&str; 5] = ["client_id", "azp", "appid", "oauthClientId", "clientId"];

/// What a token says that counts.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) identity: Identity,
    /// From then on it counts no more.
    pub(super) until: Option<SystemTime>,
    pub(super) not_before: Option<SystemTime>,
}

/// What is held against what a token says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) config: &'a config::Bearer,
    /// What `iss` must be, and whether it must be there.
    pub(super) issuer: Option<(&'a str, bool)>,
    /// Must it say what kind of token it is? A server that knows refresh tokens calls them active as well.
    pub(super) says_kind: bool,
    /// Of a signed token, which must say until when it counts and for which client it was made; the longest that it may live.
    pub(super) signed: Option<Duration>,
    pub(super) leeway: Duration,
    /// How long an answer holds that names no end.
    pub(super) holds: Duration,
    pub(super) now: SystemTime,
}

/// Judges the claims of a token whose signature is good, or the answer of the server that knows it.
pub(super) fn judged(members: &Map<String, Value>, expected: &Expected<'_>) -> Result<Told, Rejection> {
    is_access_token(members, expected)?;
    if is_set(members, "cnf") {
        return Err(Rejection::because(
            Reason::SenderConstrained,
            "sender-constrained tokens are not supported (cnf)",
        ));
    }
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    if let Some((issuer, is_needed)) = expected.issuer {
        match text("iss") {
            Some(named) if named == issuer => {}
            None if !is_needed && !is_set(members, "iss") => {}
            named => {
                let named = named.map_or_else(|| "missing".to_owned(), |named| format!("{:?}", words(named)));
                let detail = format!("iss is {named}: it must be {issuer:?} to the letter");
                return Err(Rejection::because(Reason::WrongIssuer, detail));
            }
        }
    }
    let (until, not_before) = times(members, expected)?;
    let is_profile = expected.signed.is_none() && !expected.says_kind;
    let client = client(members, is_profile)?;
    if client.is_none() && expected.signed.is_some() {
        let detail = "neither client_id nor azp in it: so are ID tokens";
        return Err(Rejection::because(Reason::WrongType, detail));
    }
    is_meant_here(members, client.as_deref(), expected.config)?;
    let scopes = scopes(members)?;
    let person = person(members, client.as_deref(), expected.config)?;
    let access = Access {
        client,
        scopes,
        attributes: person.attributes,
        signed_url: false,
    };
    Ok(Told {
        identity: Identity {
            issuers: Vec::new(),
            source: Arc::clone(&expected.config.name),
            people: expected.config.people.clone(),
            subject: person.subject,
            named: true,
            roles: person.roles,
            grants: Vec::new(),
            expires: until.unwrap_or(expected.now + expected.holds),
            access: Some(Arc::new(access)),
        },
        until,
        not_before,
    })
}

/// A member that says something: JSON libraries write null or nothing in it where a value is not set.
fn is_set(members: &Map<String, Value>, name: &str) -> bool {
    members.get(name).is_some_and(|value| match value {
        Value::Null => false,
        Value::Object(object) => !object.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::String(text) => !text.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    })
}

/// Is it no ID token, no logout token and no refresh token? Keycloak gives all of them the same type in their headers, and its
/// introspection knows refresh tokens, too.
fn is_access_token(members: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), Rejection> {
    let other = |what: &str| {
        Err(Rejection::because(
            Reason::WrongType,
            format!("it is no access token: {what}"),
        ))
    };
    let is_signed = expected.signed.is_some();
    if let Some(name) = OF_ID_TOKEN
        .iter()
        .find(|name| is_signed && members.contains_key(**name))
    {
        return other(&format!("{name} stands in ID tokens"));
    }
    if is_set(members, "events") {
        return other("events stand in logout tokens");
    }
    if expected.says_kind {
        if !KIND.iter().any(|name| is_set(members, name)) {
            // So are the answers about refresh tokens of panva's oidc-provider.
            return other("the server does not say what it is (token_type)");
        }
        if is_set(members, "tokenType") && !is_set(members, "token_type") && !is_set(members, "grant_type") {
            return other("Apereo's servers tell the grant_type of access tokens, and none of refresh tokens");
        }
    }
    for (name, known) in [
        ("typ", &["bearer", "at+jwt", "jwt", "access_token"][..]),
        ("token_use", &["access", "access_token"]),
        ("token_type", &["bearer", "access", "access_token"]),
        ("tokenType", &["bearer", "access", "access_token"]),
    ] {
        let Some(value) = members.get(name).filter(|value| !value.is_null()) else {
            continue;
        };
        let said = value.as_str().unwrap_or_default();
        if said.eq_ignore_ascii_case("dpop") {
            return Err(Rejection::because(
                Reason::SenderConstrained,
                "sender-constrained tokens are not supported (DPoP)",
            ));
        }
        if !known.iter().any(|known| said.eq_ignore_ascii_case(known)) {
            return other(&format!("{name} is {:?}", words(said)));
        }
    }
    Ok(())
}

/// Until when it counts, and from when on.
fn times(
    members: &Map<String, Value>,
    expected: &Expected<'_>,
) -> Result<(Option<SystemTime>, Option<SystemTime>), Rejection> {
    let (now, leeway) = (expected.now, expected.leeway);
    let expires = time(members, "exp")?;
    if expires.is_none() && expected.signed.is_some() {
        return Err(malformed("no exp".to_owned()));
    }
    // What a server says is never extended.
    let grace = expected.signed.map_or(Duration::ZERO, |_| leeway);
    let until = expires.map(|expires| expires.checked_add(grace).unwrap_or(expires));
    if until.is_some_and(|until| until <= now) {
        return Err(Reason::TokenExpired.into());
    }
    if let (Some(until), Some(longest)) = (until, expected.signed)
        && until.duration_since(now).unwrap_or_default() > longest.saturating_add(leeway).saturating_add(leeway)
    {
        return Err(Reason::LifetimeTooLong.into());
    }
    let earlier = |time: SystemTime| time.checked_sub(leeway).unwrap_or(UNIX_EPOCH);
    let not_before = time(members, "nbf")?.map(earlier);
    let issued = time(members, "iat")?.map(earlier).filter(|_| expected.signed.is_some());
    if not_before.max(issued).is_some_and(|from| now < from) {
        return Err(Reason::TokenNotYetValid.into());
    }
    Ok((until, not_before))
}

/// A NumericDate (RFC 7519 section 2).
fn time(members: &Map<String, Value>, name: &str) -> Result<Option<SystemTime>, Rejection> {
    let Some(value) = members.get(name).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let seconds = value.as_f64().filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
    let since = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds.min(LAST_SECOND)).ok());
    let time = since.and_then(|since| UNIX_EPOCH.checked_add(since));
    time.map(Some).ok_or_else(|| malformed(format!("{name} is no time")))
}

/// The client that it was made for, which may be named several times, and is one. Apereo's profiles name it among the
/// attributes; elsewhere these are the person's, who may be able to write them.
fn client(members: &Map<String, Value>, is_profile: bool) -> Result<Option<String>, Rejection> {
    let beside = members
        .get("attributes")
        .filter(|_| is_profile)
        .and_then(Value::as_object);
    let mut found: Option<String> = None;
    for value in [Some(members), beside]
        .into_iter()
        .flatten()
        .flat_map(|place| CLIENT.iter().filter_map(|name| place.get(*name)))
        .filter(|value| !value.is_null())
    {
        let value = match value {
            Value::Array(list) if list.len() == 1 => list.first().unwrap_or(value),
            value => value,
        };
        let named = json::text(value).filter(|text| is_user(text));
        let named = named.ok_or_else(|| malformed("the client is no text".to_owned()))?;
        if found.as_ref().is_some_and(|known| *known != named) {
            return Err(malformed("two clients are named".to_owned()));
        }
        found = Some(named);
    }
    Ok(found)
}

/// Is it meant for this gateway, and made for a client that may call?
fn is_meant_here(members: &Map<String, Value>, client: Option<&str>, config: &config::Bearer) -> Result<(), Rejection> {
    let other = |detail: String| Err(Rejection::because(Reason::WrongAudience, detail));
    if !config.audience.is_empty() {
        let named = members.get("aud").and_then(json::list).unwrap_or_default();
        let named: Vec<&str> = named.into_iter().filter_map(Value::as_str).collect();
        if !named.iter().any(|one| config.audience.iter().any(|known| known == one)) {
            let named: Vec<String> = named.iter().take(8).map(|one| format!("{:?}", words(one))).collect();
            let said = if named.is_empty() {
                "missing".to_owned()
            } else {
                named.join(", ")
            };
            return other(format!(
                "aud is {said}, and none of bearer.{}.audience: let the server write one of these into its access tokens",
                config.name
            ));
        }
    }
    if !config.clients.is_empty() && !client.is_some_and(|client| config.clients.iter().any(|known| known == client)) {
        let said = client.map_or_else(|| "not told".to_owned(), |client| format!("{:?}", words(client)));
        return other(format!(
            "the client is {said}: bearer.{}.clients does not name it",
            config.name
        ));
    }
    Ok(())
}

/// What it was made for: `scope`, or Microsoft's `scp`; a text with spaces between, or a list.
fn scopes(members: &Map<String, Value>) -> Result<Vec<String>, Rejection> {
    let mut scopes: Vec<String> = Vec::new();
    let given = ["scope", "scp"].into_iter().filter_map(|name| members.get(name));
    let texts = given.flat_map(|value| match value {
        Value::String(text) => vec![text.as_str()],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    });
    for scope in texts.flat_map(|text| text.split(' ')).filter(|scope| !scope.is_empty()) {
        if scopes.len() >= MOST_SCOPES || scope.len() > LONGEST_SCOPE {
            return Err(malformed("more or longer scopes than any token has".to_owned()));
        }
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    Ok(scopes)
}

/// Who it is. A token of no person says nothing of one.
#[derive(Default)]
struct Person {
    subject: Option<String>,
    roles: Vec<String>,
    attributes: Attributes,
}

fn person(members: &Map<String, Value>, client: Option<&str>, config: &config::Bearer) -> Result<Person, Rejection> {
    let mut attributes = Attributes::default();
    claims::add(&mut attributes, members).map_err(|_| malformed("more values than any person has".to_owned()))?;
    let Some(subject) = subject(members, &attributes, client, config) else {
        return Ok(Person::default());
    };
    let mut wanted = config.roles.iter().filter_map(|rule| rule.attribute.as_deref());
    let left_out = wanted.find(|name| claims::is_left_out(members, name) && attributes.get(name).is_empty());
    if let Some(name) = left_out {
        // Not the same as none: a rule of `deny` may name one of them.
        return Err(malformed(format!(
            "`{name}` was left out because there are too many groups"
        )));
    }
    Ok(Person {
        subject: Some(subject),
        roles: roles(&config.roles, &attributes),
        attributes: attributes.only(&config.attributes),
    })
}

/// The person's name, if a person it is.
fn subject(
    members: &Map<String, Value>,
    attributes: &Attributes,
    client: Option<&str>,
    config: &config::Bearer,
) -> Option<String> {
    let text = |name: &str| members.get(name).and_then(json::text);
    // Apereo's profile calls it `id`.
    let sub = text("sub").or_else(|| text("id"))?;
    let [name] = attributes.get(&config.username) else {
        return None;
    };
    let is_client = |name: &str| client == Some(name);
    let names_of_account = ["preferred_username", "username"].into_iter().filter_map(text);
    let is_account = names_of_account
        .chain([name.clone()])
        .any(|name| name.starts_with(SERVICE_ACCOUNT));
    let grants = ["grant_type", "gty"].into_iter().filter_map(text);
    let is_by_itself = grants
        .into_iter()
        .any(|grant| grant.replace('-', "_") == "client_credentials")
        || attributes
            .get("grant_type")
            .iter()
            .any(|grant| grant == "client_credentials")
        || text("idtyp").is_some_and(|kind| kind == "app");
    // Whoever may write any address there becomes anybody.
    let is_unconfirmed =
        config.username == "email" && attributes.get("email_verified").iter().any(|told| told != "true");
    let is_nobody =
        sub.is_empty() || is_client(&sub) || is_client(name) || is_account || is_by_itself || is_unconfirmed;
    (!is_nobody && is_user(name)).then(|| name.clone())
}

fn malformed(detail: String) -> Rejection {
    Rejection::because(Reason::MalformedToken, detail)
}
