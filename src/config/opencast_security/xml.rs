//! Spring Security's configuration in XML, as far as it says who may call what.

use http::Method;
use roxmltree::{Document, Node};

use super::ant::AntPattern;
use super::{ANONYMOUS, Chain, Entry, MOST, SecurityList};

const NAMESPACE: &str = "http://www.springframework.org/schema/security";
/// What `access` says besides roles.
const ANYBODY: &str = "IS_AUTHENTICATED_ANONYMOUSLY";

/// What is wrong, behind the line in which it is.
pub(super) fn parse(text: &str) -> Result<SecurityList, String> {
    let document = Document::parse(text).map_err(|error| format!("is no XML: {error}"))?;
    let at = |node: Node<'_, '_>, what: &str| {
        let line = document.text_pos_at(node.range().start).row;
        format!("has a mistake in line {line}: {what}")
    };
    let is = |node: &Node<'_, '_>, name: &str| node.has_tag_name((NAMESPACE, name));
    let mut list = SecurityList::default();
    for http in document.descendants().filter(|node| is(node, "http")) {
        if let Some(matcher) = http.attribute("request-matcher").or(http.attribute("path-type"))
            && matcher != "ant"
        {
            return Err(at(
                http,
                "its patterns are not Ant's (request-matcher), and the gateway reads no others",
            ));
        }
        if http.attribute("use-expressions") == Some("true") {
            return Err(at(
                http,
                "use-expressions: the gateway reads lists of roles, no expressions",
            ));
        }
        if http.attribute("request-matcher-ref").is_some() {
            return Err(at(http, "request-matcher-ref: what this is for is said elsewhere"));
        }
        let line = |node: Node<'_, '_>| document.text_pos_at(node.range().start).row as usize;
        let pattern = http.attribute("pattern").map(AntPattern::new);
        let mut entries = Vec::new();
        if http.attribute("security") == Some("none") {
            entries.push(Entry {
                pattern: AntPattern::new("/**"),
                method: None,
                roles: vec![ANONYMOUS.to_owned()],
                line: line(http),
            });
        }
        for url in http.children().filter(|node| is(node, "intercept-url")) {
            let Some(pattern) = url.attribute("pattern") else {
                return Err(at(url, "an intercept-url without a pattern"));
            };
            // Without `access`, Spring passes on to the next one.
            let Some(access) = url.attribute("access") else {
                continue;
            };
            entries.push(Entry {
                pattern: AntPattern::new(pattern),
                method: method(url).map_err(|what| at(url, &what))?,
                roles: roles(access).map_err(|what| at(url, &what))?,
                line: line(url),
            });
        }
        list.chains.push(Chain { pattern, entries });
    }
    let count: usize = list.chains.iter().map(|chain| chain.entries.len()).sum();
    match count {
        0 => {
            Err("has no intercept-url of Spring Security: is it Opencast's etc/security/mh_default_org.xml?".to_owned())
        }
        count if count > MOST => Err(format!("has more than {MOST} entries")),
        _ => Ok(list),
    }
}

fn method(url: Node<'_, '_>) -> Result<Option<Method>, String> {
    let Some(written) = url.attribute("method") else {
        return Ok(None);
    };
    let is_known = written.bytes().all(|byte| byte.is_ascii_uppercase());
    let method = Method::from_bytes(written.as_bytes()).ok().filter(|_| is_known);
    method
        .map(Some)
        .ok_or_else(|| format!("method={written:?} is no method"))
}

/// Roles as Spring splits them. Its voter looks at what begins with `ROLE_`.
fn roles(access: &str) -> Result<Vec<String>, String> {
    let words: Vec<&str> = access
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .collect();
    let role = |word: &&str| {
        let is_word = word.bytes().all(|byte| byte.is_ascii_graphic());
        match *word {
            ANYBODY => Ok(ANONYMOUS.to_owned()),
            role if role.starts_with("ROLE_") && is_word && !role.contains(['(', '$', '\'']) => Ok(role.to_owned()),
            other => Err(format!("access={other:?} is no role")),
        }
    };
    match words.is_empty() {
        true => Err("an `access` without a role".to_owned()),
        false => words.iter().map(role).collect(),
    }
}
