//! The `serviceResponse` of CAS 3 as JSON (CAS 3.0 section 2.5.1, appendix A): Apereo's servers send it where a service is
//! registered so, also unasked.

use serde_json::{Map, Value};

use super::answer::{Answer, BadAnswer, success, trimmed};
use super::failure::Failure;
use super::principal::{Principal, add, is_secret};
use super::proxy::GRANT;
use super::xml_answer::{MAX_PROXIES, is_proxy};
use crate::authenticate::session::Attributes;
use crate::authenticate::token::json;

pub(super) fn parse(text: &str) -> Result<Answer, BadAnswer> {
    let whole = json::parse_object(text.as_bytes()).map_err(|_| BadAnswer::Json)?;
    let response = object(&whole, "serviceResponse")?.ok_or(BadAnswer::Form)?;
    let told = object(response, "authenticationSuccess")?;
    match (told, object(response, "authenticationFailure")?) {
        (Some(told), None) => success(principal(told)?),
        (None, Some(told)) => {
            let text = |name| told.get(name).and_then(Value::as_str);
            let [code, words] = ["code", "description"].map(|name| text(name).unwrap_or_default());
            Ok(Answer::Failure(Failure::new(code, words)))
        }
        _ => Err(BadAnswer::Form),
    }
}

fn principal(told: &Map<String, Value>) -> Result<Principal, BadAnswer> {
    let user = match told.get("user") {
        Some(Value::String(user)) => trimmed(user).to_owned(),
        // A matriculation number, say, that a server written in PHP takes for one.
        Some(Value::Number(number)) if !number.is_f64() => number.to_string(),
        _ => return Err(BadAnswer::User),
    };
    let mut attributes = Attributes::default();
    for (name, value) in told.get("attributes").map(members).transpose()?.unwrap_or_default() {
        for value in parts(value).into_iter().flat_map(parts).filter_map(scalar) {
            add(&mut attributes, name, trimmed(&value))?;
        }
    }
    // Beside the attributes (CAS 3.0 section 2.5.1).
    if let Some(name) = told.get(GRANT).and_then(Value::as_str) {
        add(&mut attributes, GRANT, trimmed(name))?;
    }
    Ok(Principal {
        user,
        attributes,
        proxies: proxies(told)?,
        withheld: Attributes::default(),
    })
}

/// The attributes by name. An empty list is what PHP makes of none; in a list of objects, each holds some.
fn members(attributes: &Value) -> Result<Vec<(&String, &Value)>, BadAnswer> {
    match attributes {
        Value::Null => Ok(Vec::new()),
        Value::Object(all) => Ok(all.iter().collect()),
        Value::Array(some) => {
            let objects: Option<Vec<_>> = some.iter().map(Value::as_object).collect();
            Ok(objects.ok_or(BadAnswer::Form)?.into_iter().flatten().collect())
        }
        _ => Err(BadAnswer::Form),
    }
}

/// The values of a list, or of an object, which is what PHP makes of a list with gaps; anything else is one value.
fn parts(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(values) => values.iter().collect(),
        Value::Object(members) => {
            let kept = members.iter().filter(|(name, _)| !is_secret(name));
            kept.map(|(_, value)| value).collect()
        }
        value => vec![value],
    }
}

fn proxies(told: &Map<String, Value>) -> Result<Vec<String>, BadAnswer> {
    let chain = match told.get("proxies") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(chain)) if chain.len() <= MAX_PROXIES => chain,
        Some(_) => return Err(BadAnswer::Proxies),
    };
    let proxy = |url: &Value| url.as_str().filter(|url| is_proxy(url)).map(str::to_owned);
    chain.iter().map(proxy).collect::<Option<_>>().ok_or(BadAnswer::Proxies)
}

/// An attribute's value. What is nested more than two levels deep or null is none.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// A member that is an object, if it is there at all.
fn object<'a>(of: &'a Map<String, Value>, name: &str) -> Result<Option<&'a Map<String, Value>>, BadAnswer> {
    match of.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(members)) => Ok(Some(members)),
        Some(_) => Err(BadAnswer::Form),
    }
}
