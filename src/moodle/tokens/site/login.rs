//! Which CAS server Moodle sends people to, as far as everybody can see it, and whether it is the right one.

use http::Method;
use url::Url;

use super::{Finding, SiteConfig};
use crate::config::MoodleSource;
use crate::moodle::tokens::conversation::location;
use crate::moodle::tokens::{Conversation, TokenError};

/// What `auth_cas` is asked by to send the browser on.
const BY_CAS: &str = "authCAS=CAS";
/// The same of the plugin `auth_casattras`, which looks at it beside other ways to sign in alone (its multiauth).
const BY_CASATTRAS: &str = "authCASattras=CASattras";

/// Where Moodle's login page sends a browser that chose CAS.
#[derive(Debug)]
pub struct Seen {
    /// What stands before `/login`.
    pub server: Url,
    /// Only by the address of `auth_casattras`.
    pub by_casattras: bool,
}

/// The CAS server that Moodle knows. `None`: it sends nobody anywhere.
pub async fn cas_server(moodle: &Conversation, site: &SiteConfig) -> Result<Option<Seen>, TokenError> {
    for (parameter, by_casattras) in [(BY_CAS, false), (BY_CASATTRAS, true)] {
        if by_casattras && !offers(site, parameter) {
            continue;
        }
        let target = format!("/login/index.php?{parameter}");
        let reply = moodle.send(Method::GET, &target, &[], &[]).await?;
        if let Some(server) = server_of(location(&reply)) {
            return Ok(Some(Seen { server, by_casattras }));
        }
    }
    Ok(None)
}

fn offers(site: &SiteConfig, parameter: &str) -> bool {
    let mut offered = site.login_urls.iter().flatten();
    offered.any(|url| url.ends_with(parameter))
}

fn server_of(location: &str) -> Option<Url> {
    let mut url = Url::parse(location).ok()?;
    let path = url.path().strip_suffix("/login")?.to_owned();
    url.set_path(&path);
    url.set_query(None);
    url.set_fragment(None);
    Some(url)
}

/// `seen` is the server to which Moodle sends people; `wanted` are the addresses of the one that it has to ask for this
/// source: several names, one of which is enough.
pub fn finding(site: &SiteConfig, source: MoodleSource, seen: Option<&Seen>, wanted: &[Url]) -> Finding {
    const SETTINGS: &str = "Site administration, Plugins, Authentication";
    // Other sources come by login/token.php, where the plugin takes a ticket in either case.
    if source == MoodleSource::CasLaunch && seen.is_some_and(|seen| seen.by_casattras) {
        return Finding::Bad(format!(
            "Moodle signs people in by auth_casattras beside other methods, which waits for {BY_CASATTRAS}: the \
             gateway asks as auth_cas does ({BY_CAS}). Switch its multiauth off, or use auth_cas, in {SETTINGS}"
        ));
    }
    let is_off = site.login_urls.as_ref().is_some_and(|urls| urls.is_empty());
    let Some(seen) = seen.filter(|_| !is_off).map(|seen| &seen.server) else {
        return Finding::Bad(format!(
            "Moodle offers no sign-in by CAS: switch on \"CAS server (SSO)\" (auth_cas) and set its hostname, in {SETTINGS}"
        ));
    };
    let is_same = |wanted: &Url| {
        wanted.host() == seen.host()
            && wanted.port_or_known_default() == seen.port_or_known_default()
            && wanted.path().trim_end_matches('/') == seen.path().trim_end_matches('/')
    };
    if wanted.iter().any(is_same) {
        return Finding::Good(format!("Moodle sends people to {seen} to sign in"));
    }
    let names: Vec<&str> = wanted.iter().map(Url::as_str).collect();
    let whose = if source.is_facade() {
        "the gateway's facade"
    } else {
        "the server of sign_in"
    };
    Finding::Bad(format!(
        "Moodle sends people to {seen} to sign in, and {whose} is {}: set hostname, port and baseuri of auth_cas, in {SETTINGS}",
        names.join(" or ")
    ))
}

#[cfg(test)]
mod tests {
    use super::super::tests::site;
    use super::*;

    /// `location` is where the address of `auth_cas` leads, or that of `auth_casattras`.
    fn found(source: MoodleSource, offered: Option<&[&str]>, (location, by_casattras): (&str, bool)) -> Finding {
        let site = SiteConfig {
            login_urls: offered.map(|urls| urls.iter().map(|url| (*url).to_owned()).collect()),
            ..site()
        };
        let wanted = ["https://cas.test/cas".parse().unwrap()];
        let seen = server_of(location).map(|server| Seen { server, by_casattras });
        finding(&site, source, seen.as_ref(), &wanted)
    }

    #[test]
    fn the_server_is_compared_with_the_one_that_the_gateway_asks() {
        const CAS: &str = "https://moodle.test/login/index.php?authCAS=CAS";
        const THERE: &str = "https://cas.test:443/cas/login?service=x&gateway=true";
        for offered in [Some(&[CAS][..]), Some(&["https://idp.test/", CAS]), None] {
            let found = found(MoodleSource::CasLaunch, offered, (THERE, false));
            assert!(matches!(found, Finding::Good(_)), "{offered:?}");
        }
        let other = "https://moodle.test/login/index.php?authCASattras=CASattras";
        for (source, by_casattras) in [
            // Without its multiauth it sends everybody there.
            (MoodleSource::CasLaunch, false),
            (MoodleSource::CasToken, true),
            (MoodleSource::CasFacade, true),
        ] {
            let found = found(source, Some(&[other]), (THERE, by_casattras));
            assert!(matches!(found, Finding::Good(_)), "{source:?}");
        }
        let Finding::Bad(text) = found(MoodleSource::CasLaunch, Some(&[other]), (THERE, true)) else {
            panic!("its login page waits for the other address");
        };
        assert!(text.contains("multiauth"), "{text}");
        for (offered, location, told) in [
            (Some(&[][..]), "", "no sign-in by CAS"),
            (Some(&[][..]), THERE, "no sign-in by CAS"),
            (
                None,
                "https://moodle.test/login/index.php?loginredirect=1",
                "no sign-in by CAS",
            ),
            (Some(&[other]), "", "no sign-in by CAS"),
            (
                Some(&[CAS]),
                "https://cas.test/login?service=x",
                "sends people to https://cas.test/",
            ),
            (
                Some(&[CAS]),
                "https://other.test/cas/login",
                "sends people to https://other.test/cas",
            ),
        ] {
            let Finding::Bad(text) = found(MoodleSource::CasLaunch, offered, (location, false)) else {
                panic!("{told}");
            };
            assert!(text.contains(told), "{text}");
        }
    }
}
