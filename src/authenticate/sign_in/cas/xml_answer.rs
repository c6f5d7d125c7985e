//! The `serviceResponse` of CAS 2 and 3 as XML (CAS 3.0 sections 2.5, 2.6 and appendix A).
//!
//! Every element counts by its namespace, which is that of the root, and its place: a `user` anywhere but right below
//! `authenticationSuccess` is nobody. Which namespace it is does not matter: servers have their own, or none.

use super::answer::{Answer, BadAnswer, success};
use super::element::Element;
use super::failure::Failure;
use super::principal::{Attributes, Principal};

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
/// Space and line ends around a value are the document's, as phpCAS has it.
fn principal(told: &Element) -> Result<Principal, BadAnswer> {
    let mut user = None;
    let mut attributes = Attributes::default();
    let mut chain = None;
    let ours = |child: &&Element| child.namespace == told.namespace;
    for child in told.children.iter().filter(ours) {
        match child.name.as_str() {
            "user" if user.is_some() => return Err(BadAnswer::User),
            "user" => user = Some(child.only_text().ok_or(BadAnswer::User)?.trim_matches(is_space)),
            "attributes" => {
                for attribute in child.children.iter().filter(ours) {
                    add(&mut attributes, attribute)?;
                }
            }
            "proxies" if chain.is_some() => return Err(BadAnswer::Proxies),
            "proxies" => chain = Some(proxies(child)?),
            "proxyGrantingTicket" => {}
            // `attribute` is the second spelling, which django-cas-server sends beside the first.
            _ => add(&mut attributes, child)?,
        }
    }
    Ok(Principal {
        user: user.ok_or(BadAnswer::User)?.to_owned(),
        attributes,
        proxies: chain.unwrap_or_default(),
    })
}

/// `<cas:mail>a@b</cas:mail>` or `<cas:attribute name="mail" value="a@b"/>`. An element that holds elements is no value.
fn add(attributes: &mut Attributes, element: &Element) -> Result<(), BadAnswer> {
    let named = (element.name == "attribute").then(|| (element.attribute("name"), element.attribute("value")));
    let (name, value) = match named {
        Some((Some(name), Some(value))) => (name, Some(value)),
        _ => (element.name.as_str(), element.only_text()),
    };
    let Some(value) = value.map(|value| value.trim_matches(is_space)) else {
        return Ok(());
    };
    let names = [Some(name), encoded_name(name).as_deref()].map(|name| name.map(str::to_owned));
    for name in names.into_iter().flatten() {
        attributes.add(&name, value).map_err(|_| BadAnswer::Attributes)?;
    }
    Ok(())
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

/// White space of XML (XML 1.0 section 2.3).
fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r' | '\n')
}

fn proxies(element: &Element) -> Result<Vec<String>, BadAnswer> {
    let proxy = |child: &Element| {
        let url = child.only_text().filter(|_| child.is(&element.namespace, "proxy"));
        url.map(|url| url.trim_matches(is_space))
            .filter(|url| is_proxy(url))
            .map(str::to_owned)
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
    let code = told.attribute("code").ok_or(BadAnswer::Form)?;
    Ok(Answer::Failure(Failure::new(code, &told.text)))
}
