//! The `serviceResponse` of CAS 2 and 3 as XML (CAS 3.0 sections 2.5, 2.6 and appendix A).
//!
//! Every element counts by its namespace and its place: a `user` anywhere but right below `authenticationSuccess` is
//! nobody.

use super::answer::{Answer, BadAnswer, success};
use super::element::Element;
use super::failure::Failure;
use super::principal::{Attributes, Principal};

const NAMESPACE: &str = "http://www.yale.edu/tp/cas";

/// Back ends that a ticket may have come through; one is usual, two are rare.
pub(super) const MAX_PROXIES: usize = 16;

/// Longest `pgtUrl`.
pub(super) const MAX_PROXY: usize = 2_048;

pub(super) fn parse(text: &str) -> Result<Answer, BadAnswer> {
    let root = Element::parse(text)?;
    if !is_cas(&root, "serviceResponse") {
        return Err(BadAnswer::Form);
    }
    match root.children.as_slice() {
        [told] if is_cas(told, "authenticationSuccess") => success(principal(told)?),
        [told] if is_cas(told, "authenticationFailure") => failure(told),
        _ => Err(BadAnswer::Form),
    }
}

/// An element that the protocol does not know is passed over; one that it knows stands there once.
fn principal(told: &Element) -> Result<Principal, BadAnswer> {
    let mut user = None;
    let mut attributes = Attributes::default();
    let mut chain = None;
    for child in told.children.iter().filter(|child| child.namespace == NAMESPACE) {
        match child.name.as_str() {
            "user" if user.is_some() => return Err(BadAnswer::User),
            "user" => user = Some(child.only_text().ok_or(BadAnswer::User)?),
            "attributes" => {
                for attribute in child.children.iter().filter(|child| child.namespace == NAMESPACE) {
                    add(&mut attributes, attribute)?;
                }
            }
            // The second spelling, which django-cas-server sends beside the first.
            "attribute" => add(&mut attributes, child)?,
            "proxies" if chain.is_some() => return Err(BadAnswer::Proxies),
            "proxies" => chain = Some(proxies(child)?),
            _ => {}
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
    match value {
        Some(value) => attributes.add(name, value).map_err(|_| BadAnswer::Attributes),
        None => Ok(()),
    }
}

fn proxies(element: &Element) -> Result<Vec<String>, BadAnswer> {
    let proxy = |child: &Element| {
        let url = child.only_text().filter(|_| is_cas(child, "proxy"));
        url.filter(|url| is_proxy(url)).map(str::to_owned)
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

fn is_cas(element: &Element, name: &str) -> bool {
    element.is(NAMESPACE, name)
}
