//! What an issuer requires of its tokens beyond a good signature (RFC 8725 sections 3.8, 3.9 and 3.11): that they name it,
//! that they are meant for this gateway, and that they are of the kind that is used here.

use std::sync::Arc;

use super::claims::Claims;
use crate::config::{Issuer, JwksLocation, Jwt};
use crate::rejection::Reason;

/// What a token of this issuer lacks; `None` if it is all there. `typ` is the header's.
pub(super) fn unmet(issuer: &Issuer, typ: Option<&str>, claims: &Claims) -> Option<(Reason, Arc<str>)> {
    let name = &issuer.name;
    let told = |what: &str, said: Option<String>, needed: &str| {
        let said = said.unwrap_or_else(|| "missing".to_owned());
        Arc::from(format!("{what} is {said}; issuer `{name}` requires {needed}"))
    };
    let quoted = |text: &str| format!("{:?}", text.chars().take(80).collect::<String>());
    if let Some(needed) = &issuer.typ
        && !typ.is_some_and(|typ| is_same_type(typ, needed))
    {
        return Some((Reason::WrongType, told("typ", typ.map(quoted), &quoted(needed))));
    }
    if let Some(needed) = &issuer.iss
        && claims.issuer.as_ref() != Some(needed)
    {
        let said = claims.issuer.as_deref().map(quoted);
        return Some((Reason::WrongIssuer, told("iss", said, &quoted(needed))));
    }
    if !issuer.aud.is_empty() && !claims.audience.iter().any(|audience| issuer.aud.contains(audience)) {
        let all = |list: &[String]| {
            list.iter()
                .take(8)
                .map(|one| quoted(one))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let said = Some(all(&claims.audience)).filter(|said| !said.is_empty());
        return Some((Reason::WrongAudience, told("aud", said, &all(&issuer.aud))));
    }
    None
}

/// Media types have no case, and `application/` may be left out (RFC 7515 section 4.1.9).
fn is_same_type(one: &str, other: &str) -> bool {
    let bare = |text: &str| {
        let text = text.to_ascii_lowercase();
        let short = text.strip_prefix("application/").filter(|rest| !rest.contains('/'));
        short.map_or_else(|| text.clone(), str::to_owned)
    };
    bare(one) == bare(other)
}

/// Does a token that names this issuer mean the one of this index? Its keys are tried first, no more.
pub(super) fn is_claimed(config: &Jwt, index: usize, claimed: &str) -> bool {
    config.issuers.get(index).is_some_and(|issuer| match &issuer.iss {
        Some(iss) => iss == claimed,
        None => match &issuer.jwks {
            JwksLocation::Url(url) => claimed.len() > "https://".len() && url.as_str().starts_with(claimed),
            JwksLocation::File(_) => *issuer.name == *claimed,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, issuer};
    use super::*;

    fn reason(issuer: &Issuer, typ: Option<&str>, claims: &str) -> Option<Reason> {
        let claims = Claims::parse(claims.as_bytes(), &config(Vec::new())).unwrap();
        unmet(issuer, typ, &claims).map(|(reason, _)| reason)
    }

    #[test]
    fn nothing_is_required_unless_it_is_configured() {
        assert_eq!(reason(&issuer("a", &[], &[]), None, r#"{"exp":1}"#), None);
    }

    #[test]
    fn what_is_configured_is_required() {
        let mut strict = issuer("a", &[], &[]);
        strict.iss = Some("https://login.test".to_owned());
        strict.aud = vec!["janua".to_owned(), "video".to_owned()];
        strict.typ = Some("at+jwt".to_owned());
        let good = r#"{"exp":1,"iss":"https://login.test","aud":["other","video"]}"#;
        for typ in ["at+jwt", "AT+JWT", "application/at+jwt"] {
            assert_eq!(reason(&strict, Some(typ), good), None);
        }
        for typ in [None, Some("JWT"), Some("text/at+jwt")] {
            assert_eq!(reason(&strict, typ, good), Some(Reason::WrongType));
        }
        let typ = Some("at+jwt");
        for iss in ["null", r#""https://login.test/""#, "[]", "7"] {
            let claims = format!(r#"{{"exp":1,"iss":{iss},"aud":"janua"}}"#);
            assert_eq!(reason(&strict, typ, &claims), Some(Reason::WrongIssuer), "{iss}");
        }
        for (aud, is_good) in [
            (r#""janua""#, true),
            (r#"{"1":"janua"}"#, true),
            (r#"["x",7,"janua"]"#, true),
            (r#""janua2""#, false),
            ("null", false),
            ("[]", false),
            (r#"[["janua"]]"#, false),
        ] {
            let claims = format!(r#"{{"exp":1,"iss":"https://login.test","aud":{aud}}}"#);
            assert_eq!(
                reason(&strict, typ, &claims),
                (!is_good).then_some(Reason::WrongAudience),
                "{aud}"
            );
        }
    }
}
