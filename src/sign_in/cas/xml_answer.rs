//! The `serviceResponse` of CAS 2 and 3 as XML (CAS 3.0 sections 2.5, 2.6 and appendix A).
//!
//! What the protocol names counts by its namespace, which is that of the root, and its place: a `user` anywhere but right
//! below `authenticationSuccess` is nobody. Which namespace it is does not matter: servers have their own, or none.
//! Attributes may be in any other, too: RubyCAS-Server writes them without a prefix, and phpCAS takes them by local name.

use super::answer::{Answer, BadAnswer, success, trimmed};
use super::element::Element;
use super::failure::Failure;
use super::principal::{self, Principal, is_secret};
use crate::authenticate::session::Attributes;

/// Back ends that a ticket may have come through; one is usual, two are rare.
pub(super) const MAX_PROXIES: usize = 16;

/// Longest `pgtUrl`.
pub(super) const MAX_PROXY: usize = 2_048;

pub(super) fn parse(text: &str) -> Result<Answer, BadAnswer> {
    let root = Element::parse(text)?;
    if root.name != "serviceResponse" {
        return Err(BadAnswer::Form);
    }
    match root.children.as_slice() {
        [told] if told.is(&root.namespace, "authenticationSuccess") => success(principal(told)?),
        [told] if told.is(&root.namespace, "authenticationFailure") => failure(told),
        _ => Err(BadAnswer::Form),
    }
}

/// An element that the protocol does not know is an attribute (EU Login, RubyCAS); one that it knows stands there once.
fn principal(told: &Element) -> Result<Principal, BadAnswer> {
    let mut user = None;
    let mut attributes = Attributes::default();
    let mut chain = None;
    for child in &told.children {
        let is_ours = child.namespace == told.namespace;
        match child.name.as_str() {
            "user" if is_ours && user.is_some() => return Err(BadAnswer::User),
            "user" if is_ours => user = Some(trimmed(child.only_text().ok_or(BadAnswer::User)?)),
            "proxies" if is_ours && chain.is_some() => return Err(BadAnswer::Proxies),
            "proxies" if is_ours => chain = Some(proxies(child)?),
            "attributes" => {
                for attribute in &child.children {
                    add(&mut attributes, attribute)?;
                }
            }
            // `attribute` is the second spelling, which django-cas-server sends beside the first.
            _ => add(&mut attributes, child)?,
        }
    }
    Ok(Principal {
        user: user.ok_or(BadAnswer::User)?.to_owned(),
        attributes,
        proxies: chain.unwrap_or_default(),
        withheld: Attributes::default(),
    })
}

/// `<cas:mail>a@b</cas:mail>`, `<cas:attribute name="mail" value="a@b"/>` or, with the value as its text,
/// `<cas:attribute name="mail">a@b</cas:attribute>`. An element that holds nothing but elements with text has several values;
/// where it is named after these (EU Login's `groups` of `group`s), they are values of that name, too. Of another's name they
/// are not: the `uid` in a `manager` is not the person's.
fn add(attributes: &mut Attributes, element: &Element) -> Result<(), BadAnswer> {
    let named = element.attribute("name").filter(|_| element.name == "attribute");
    let name = named.unwrap_or(&element.name);
    if let Some(value) = named.and_then(|_| element.attribute("value")).or(element.only_text()) {
        return put(attributes, name, value);
    }
    if is_secret(name) || !trimmed(&element.text).is_empty() {
        return Ok(());
    }
    let inner = element.children.iter().filter(|child| !is_secret(&child.name));
    let inner: Option<Vec<(&str, &str)>> = inner
        .map(|child| Some((child.name.as_str(), child.only_text()?)))
        .collect();
    for (inner_name, value) in inner.unwrap_or_default() {
        put(attributes, name, value)?;
        if name.starts_with(inner_name) {
            put(attributes, inner_name, value)?;
        }
    }
    Ok(())
}

fn put(attributes: &mut Attributes, name: &str, text: &str) -> Result<(), BadAnswer> {
    let encoded = encoded_name(name);
    for value in values(trimmed(text)) {
        for name in [Some(name), encoded.as_deref()].into_iter().flatten() {
            principal::add(attributes, name, value)?;
        }
    }
    Ok(())
}

/// RubyCAS-Server writes what is no text as YAML: a list of words is one of values, a lone word one value; anything else,
/// such as nil or an empty list, is none. Other texts are what they are.
fn values(text: &str) -> Vec<&str> {
    let yaml = text.strip_prefix("---");
    let Some(yaml) = yaml.filter(|yaml| yaml.is_empty() || yaml.starts_with([' ', '\r', '\n'])) else {
        return vec![text];
    };
    let lines = yaml.lines().map(str::trim).filter(|line| !matches!(*line, "" | "..."));
    let words = lines.map(|line| yaml_word(line.strip_prefix("- ").unwrap_or(line)));
    words.collect::<Option<_>>().unwrap_or_default()
}

/// A scalar of YAML 1.2 that stands for its own letters, without the quotes that it may have. `None`: it may mean something else.
fn yaml_word(text: &str) -> Option<&str> {
    for quote in ['\'', '"'] {
        if let Some(inside) = text.strip_prefix(quote) {
            let inside = inside.strip_suffix(quote)?;
            return (!inside.contains(['\'', '"', '\\'])).then_some(inside);
        }
    }
    let is_plain = !text.starts_with(|first: char| "-?:,[]{}#&*!|>%@`~".contains(first));
    let is_scalar = !text.contains(": ") && !text.ends_with(':') && !text.contains(" #") && text != "null";
    (is_plain && is_scalar).then_some(text)
}

/// The name that Apereo's servers write as `_` and its bytes in hex, since it is none of XML's: `urn:oid:…` and the like.
fn encoded_name(name: &str) -> Option<String> {
    let digits = name.strip_prefix('_').filter(|digits| !digits.is_empty())?;
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let byte = |pair: &[u8]| match *pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
    let decoded = String::from_utf8(bytes?).ok()?;
    let begins = decoded.starts_with(|letter: char| letter.is_alphabetic() || letter == '_');
    let goes_on = |letter: char| letter.is_alphanumeric() || "-._".contains(letter);
    let is_xml_name = begins && decoded.chars().all(goes_on);
    (!is_xml_name && !decoded.contains(char::is_control)).then_some(decoded)
}

fn proxies(element: &Element) -> Result<Vec<String>, BadAnswer> {
    let proxy = |child: &Element| {
        let url = child.only_text().filter(|_| child.is(&element.namespace, "proxy"));
        url.map(trimmed).filter(|url| is_proxy(url)).map(str::to_owned)
    };
    if element.children.len() > MAX_PROXIES {
        return Err(BadAnswer::Proxies);
    }
    let chain: Option<Vec<String>> = element.children.iter().map(proxy).collect();
    chain.ok_or(BadAnswer::Proxies)
}

/// What can be the URL of a proxy: it is compared as it stands.
pub(super) fn is_proxy(url: &str) -> bool {
    !url.is_empty() && url.len() <= MAX_PROXY && url.bytes().all(|byte| byte.is_ascii_graphic())
}

fn failure(told: &Element) -> Result<Answer, BadAnswer> {
    // Some say no without a code.
    let code = told.attribute("code").unwrap_or_default();
    Ok(Answer::Failure(Failure::new(code, &told.text)))
}
