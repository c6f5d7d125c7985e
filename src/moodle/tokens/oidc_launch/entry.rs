//! By which of Moodle's logins at a provider people come in: what the configuration says, or the only one that Moodle offers.

use url::Url;

use super::TokenError;
use crate::config::{LoginPlugin, OidcLaunch};
use crate::moodle::tokens::site::{Finding, SiteConfig};

/// One login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// By the OAuth 2 service of this id.
    OAuth2(u64),
    Oidc,
}

/// Why none is taken.
enum Unclear {
    None,
    Several(Vec<Entry>),
}

impl Entry {
    pub fn plugin(self) -> LoginPlugin {
        match self {
            Self::OAuth2(_) => LoginPlugin::OAuth2,
            Self::Oidc => LoginPlugin::Oidc,
        }
    }

    fn told(self) -> String {
        match self {
            Self::OAuth2(id) => format!("auth_oauth2 with the service of id {id}"),
            Self::Oidc => "auth_oidc".to_owned(),
        }
    }

    /// What the configuration must say for it.
    fn written_as(self) -> String {
        match self {
            Self::OAuth2(id) => format!("issuer_id = {id}"),
            Self::Oidc => "plugin = \"auth_oidc\"".to_owned(),
        }
    }
}

/// The one that the configuration names, if Moodle need not be asked.
pub fn written(config: &OidcLaunch) -> Option<Entry> {
    match (config.plugin, config.issuer_id) {
        (Some(LoginPlugin::Oidc), _) => Some(Entry::Oidc),
        (_, Some(id)) => Some(Entry::OAuth2(id)),
        (_, None) => None,
    }
}

/// The one that Moodle offers.
pub fn of(site: &SiteConfig, config: &OidcLaunch) -> Result<Entry, TokenError> {
    chosen(site, config).map_err(|unclear| {
        TokenError::Misconfigured(match unclear {
            Unclear::None => {
                "Moodle's login page offers no login by auth_oauth2 or auth_oidc: switch one on, or name it in oidc_launch"
            }
            Unclear::Several(_) => {
                "Moodle's login page offers several logins at providers: name one in oidc_launch (`issuer_id` or `plugin`; \
                 `janua check` lists them)"
            }
        })
    })
}

fn chosen(site: &SiteConfig, config: &OidcLaunch) -> Result<Entry, Unclear> {
    if let Some(entry) = written(config) {
        return Ok(entry);
    }
    let mut offered = offered(site);
    offered.retain(|entry| config.plugin.is_none_or(|plugin| entry.plugin() == plugin));
    match *offered {
        [] => Err(Unclear::None),
        [only] => Ok(only),
        _ => Err(Unclear::Several(offered)),
    }
}

/// The logins on Moodle's login page (`identityproviders`), each once.
fn offered(site: &SiteConfig) -> Vec<Entry> {
    let mut found = Vec::new();
    for url in site.login_urls.iter().flatten() {
        let Some(below) = url.strip_prefix(&site.wwwroot).filter(|below| below.starts_with('/')) else {
            continue;
        };
        // Moodle may write the address as HTML does.
        let Ok(url) = Url::parse(&format!("http://localhost{}", below.replace("&amp;", "&"))) else {
            continue;
        };
        let entry = match url.path() {
            "/auth/oauth2/login.php" => {
                let id = url.query_pairs().find(|(name, _)| name == "id");
                id.and_then(|(_, id)| id.parse().ok()).map(Entry::OAuth2)
            }
            "/auth/oidc/" => Some(Entry::Oidc),
            _ => None,
        };
        found.extend(entry.filter(|entry| !found.contains(entry)));
    }
    found
}

/// What the site's settings mean for it.
pub fn finding(site: &SiteConfig, config: &OidcLaunch) -> Finding {
    const SETTINGS: &str = "Site administration, Plugins, Authentication";
    let listed = |entries: &[Entry], told: fn(Entry) -> String, between: &str| {
        let told: Vec<String> = entries.iter().map(|entry| told(*entry)).collect();
        told.join(between)
    };
    match chosen(site, config) {
        Ok(entry) if written(config).is_none() || offered(site).contains(&entry) => {
            Finding::Good(format!("people log in to Moodle by {}", entry.told()))
        }
        Ok(entry) => Finding::Note(format!(
            "Moodle's login page does not offer {}: it must be switched on all the same, in {SETTINGS}",
            entry.told()
        )),
        Err(Unclear::None) => Finding::Bad(format!(
            "Moodle's login page offers no login by auth_oauth2 or auth_oidc: switch \"OAuth 2\" on, in {SETTINGS}, and show its \
             service on the login page; or, if it is hidden there, write oidc_launch = {{ issuer_id = 1 }} with its id"
        )),
        Err(Unclear::Several(entries)) => Finding::Bad(format!(
            "Moodle's login page offers several logins ({}): write oidc_launch = {{ {} }}",
            listed(&entries, Entry::told, ", "),
            listed(&entries, Entry::written_as, " }, or { ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moodle::tokens::site::tests::site;

    fn offering(urls: &[&str]) -> SiteConfig {
        SiteConfig {
            login_urls: Some(urls.iter().map(|below| format!("https://moodle.test{below}")).collect()),
            ..site()
        }
    }

    const FIRST: &str = "/auth/oauth2/login.php?id=1&wantsurl=%2F&sesskey=x";
    const SECOND: &str = "/auth/oauth2/login.php?wantsurl=%2F&amp;id=12&amp;sesskey=x";
    const OIDC: &str = "/auth/oidc/?source=loginpage";

    #[test]
    fn the_only_login_is_taken_and_of_several_the_one_that_is_named() {
        let any = OidcLaunch::default();
        let by = |plugin| OidcLaunch {
            plugin: Some(plugin),
            ..OidcLaunch::default()
        };
        let id = |id| OidcLaunch {
            issuer_id: Some(id),
            ..OidcLaunch::default()
        };
        let chosen = |urls: &[&str], config: &OidcLaunch| of(&offering(urls), config).ok();
        assert_eq!(chosen(&[FIRST], &any), Some(Entry::OAuth2(1)));
        assert_eq!(chosen(&[SECOND, SECOND], &any), Some(Entry::OAuth2(12)));
        assert_eq!(chosen(&[OIDC, "/login/index.php?authCAS=CAS"], &any), Some(Entry::Oidc));
        for urls in [
            &[FIRST, SECOND][..],
            &[FIRST, OIDC],
            &[],
            &["/auth/oauth2/login.php"],
            &["/auth/oidcx/"],
        ] {
            assert_eq!(chosen(urls, &any), None, "{urls:?}");
        }
        assert_eq!(chosen(&[FIRST, OIDC], &by(LoginPlugin::Oidc)), Some(Entry::Oidc));
        assert_eq!(chosen(&[FIRST, OIDC], &by(LoginPlugin::OAuth2)), Some(Entry::OAuth2(1)));
        assert_eq!(chosen(&[FIRST, SECOND], &by(LoginPlugin::OAuth2)), None);
        assert_eq!(chosen(&[FIRST, SECOND], &id(12)), Some(Entry::OAuth2(12)));
        assert_eq!(chosen(&[], &id(3)), Some(Entry::OAuth2(3)));
        let elsewhere = SiteConfig {
            login_urls: Some(vec!["https://moodle.test.evil.test/auth/oidc/".to_owned()]),
            ..site()
        };
        assert!(of(&elsewhere, &any).is_err());
    }

    #[test]
    fn the_operator_is_told_which_key_says_it() {
        let any = OidcLaunch::default();
        let Finding::Bad(several) = finding(&offering(&[FIRST, SECOND, OIDC]), &any) else {
            panic!("several");
        };
        for told in [
            "id 1,",
            "{ issuer_id = 1 }",
            "{ issuer_id = 12 }",
            "{ plugin = \"auth_oidc\" }",
        ] {
            assert!(several.contains(told), "{told} in {several}");
        }
        assert!(matches!(finding(&offering(&[]), &any), Finding::Bad(text) if text.contains("issuer_id")));
        assert!(matches!(finding(&offering(&[FIRST]), &any), Finding::Good(text) if text.contains("id 1")));
        let hidden = OidcLaunch {
            issuer_id: Some(7),
            ..OidcLaunch::default()
        };
        assert!(matches!(finding(&offering(&[FIRST]), &hidden), Finding::Note(text) if text.contains("id 7")));
    }
}
