//! The `serviceResponse` of CAS 3 as JSON (CAS 3.0 section 2.5.1, appendix A): Apereo's servers send it where a service is
//! registered so, also unasked.

use serde_json::{Map, Value};

use super::answer::{Answer, BadAnswer, success};
use super::failure::Failure;
use super::principal::{Attributes, Principal};
use super::xml_answer::{MAX_PROXIES, is_proxy};
use crate::authenticate::token::json;

pub(super) fn parse(text: &str) -> Result<Answer, BadAnswer> {
    let whole = json::parse_object(text.as_bytes()).map_err(|_| BadAnswer::Json)?;
    let response = object(&whole, "serviceResponse")?.ok_or(BadAnswer::Form)?;
    let told = object(response, "authenticationSuccess")?;
    match (told, object(response, "authenticationFailure")?) {
        (Some(told), None) => success(principal(told)?),
        (None, Some(told)) => {
            let text = |name| told.get(name).and_then(Value::as_str);
            let code = text("code").ok_or(BadAnswer::Form)?;
            Ok(Answer::Failure(Failure::new(
                code,
                text("description").unwrap_or_default(),
            )))
        }
        _ => Err(BadAnswer::Form),
    }
}

fn principal(told: &Map<String, Value>) -> Result<Principal, BadAnswer> {
    let user = told.get("user").and_then(Value::as_str).ok_or(BadAnswer::User)?;
    let mut attributes = Attributes::default();
    for (name, value) in object(told, "attributes")?.into_iter().flatten() {
        let values = match value {
            Value::Array(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        for value in values.iter().filter_map(scalar) {
            attributes.add(name, &value).map_err(|_| BadAnswer::Attributes)?;
        }
    }
    Ok(Principal {
        user: user.to_owned(),
        attributes,
        proxies: proxies(told)?,
    })
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

/// An attribute's value. What is an object, an array within an array or null is none.
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
