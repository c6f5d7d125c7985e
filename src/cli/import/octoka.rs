//! Octoka's configuration, as of 1.3: its keys, and their defaults. What they become is decided in `gateway`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The keys that Octoka takes no notice of.
type Strange = BTreeMap<String, IgnoredAny>;

#[derive(Deserialize)]
pub(super) struct Octoka {
    #[serde(default)]
    pub(super) opencast: Opencast,
    pub(super) jwt: Jwt,
    #[serde(default)]
    pub(super) http: Http,
    #[serde(default)]
    pub(super) log: Log,
    #[serde(flatten)]
    strange: Strange,
}

#[derive(Deserialize)]
#[serde(default)]
pub(super) struct Opencast {
    pub(super) downloads_path: Option<String>,
    pub(super) host: String,
    pub(super) fallback: Fallback,
    pub(super) path_prefixes: Vec<String>,
    #[serde(flatten)]
    strange: Strange,
}

impl Default for Opencast {
    fn default() -> Self {
        Self {
            downloads_path: None,
            host: "http://localhost:8080".to_owned(),
            fallback: Fallback::Head,
            path_prefixes: vec!["/static".to_owned()],
            strange: Strange::new(),
        }
    }
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fallback {
    None,
    Head,
    Get,
}

#[derive(Deserialize)]
pub(super) struct Jwt {
    pub(super) trusted_keys: Vec<String>,
    #[serde(default = "yes")]
    pub(super) background_key_refresh: bool,
    #[serde(default)]
    pub(super) key_cache_duration: Option<String>,
    #[serde(default)]
    pub(super) allowed_clock_skew: Option<String>,
    #[serde(flatten)]
    strange: Strange,
}

#[derive(Deserialize)]
#[serde(default)]
pub(super) struct Http {
    pub(super) on_allow: String,
    pub(super) on_deny: String,
    pub(super) cors_allowed_origins: Vec<String>,
    pub(super) jwt_sources: Option<Vec<Source>>,
    pub(super) port: u16,
    pub(super) address: std::net::IpAddr,
    pub(super) shutdown_timeout: Option<String>,
    #[serde(flatten)]
    strange: Strange,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            on_allow: "file".to_owned(),
            on_deny: "empty".to_owned(),
            cors_allowed_origins: Vec::new(),
            jwt_sources: None,
            port: 4050,
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            shutdown_timeout: None,
            strange: Strange::new(),
        }
    }
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "source", rename_all = "snake_case")]
pub(super) enum Source {
    Query { name: String },
    Header { name: String, prefix: Option<String> },
}

#[derive(Deserialize)]
#[serde(default)]
pub(super) struct Log {
    pub(super) filters: BTreeMap<String, String>,
    pub(super) file: Option<String>,
    pub(super) stdout: bool,
    #[serde(flatten)]
    strange: Strange,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            filters: [("octoka".to_owned(), "info".to_owned())].into(),
            file: None,
            stdout: true,
            strange: Strange::new(),
        }
    }
}

fn yes() -> bool {
    true
}

/// Reads the file as Octoka does: keys that it does not know are passed over. Errors name what is missing or of the wrong
/// type.
pub(super) fn read(text: &str) -> anyhow::Result<Octoka> {
    toml::from_str::<toml::Table>(text)?;
    toml::from_str(text).context("this is not what Octoka 1.3 takes")
}

impl Octoka {
    /// The keys that Octoka takes no notice of, by name.
    pub(super) fn strange(&self) -> Vec<String> {
        let sections = [
            ("opencast.", &self.opencast.strange),
            ("jwt.", &self.jwt.strange),
            ("http.", &self.http.strange),
            ("log.", &self.log.strange),
            ("", &self.strange),
        ];
        let names = sections.iter().flat_map(|(section, keys)| {
            let names = keys.keys();
            names.map(move |key| format!("`{section}{key}`"))
        });
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

/// A duration as Octoka writes it, and as gateway.toml does: minutes are `min` there and `m` here, and zero needs no unit
/// there.
pub(super) fn duration(text: &str) -> anyhow::Result<(Duration, String)> {
    if text == "0" {
        return Ok((Duration::ZERO, "0s".to_owned()));
    }
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (unit, millis) = match unit {
        "ms" => ("ms", 1),
        "s" => ("s", 1000),
        "min" => ("m", 60_000),
        "h" => ("h", 3_600_000),
        "d" => ("d", 86_400_000),
        _ => bail!("{text:?} is no duration such as \"3s\" or \"10min\""),
    };
    let number: u32 = number.parse().with_context(|| format!("{text:?} is no duration"))?;
    Ok((
        Duration::from_millis(u64::from(number) * millis),
        format!("{number}{unit}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_change_their_spelling() {
        let seconds = Duration::from_secs;
        assert_eq!(duration("10min").unwrap(), (seconds(600), "10m".to_owned()));
        assert_eq!(duration("3s").unwrap(), (seconds(3), "3s".to_owned()));
        assert_eq!(duration("0").unwrap(), (Duration::ZERO, "0s".to_owned()));
        assert_eq!(
            duration("4294967295d").unwrap().0,
            seconds(u64::from(u32::MAX) * 86_400)
        );
        for wrong in ["", "3", "s", "3 weeks", "3 s", "1.5s", "4294967296s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn unknown_keys_are_passed_over_and_named() {
        let text = "verbose = true\n[jwt]\ntrusted_keys = []\nissuer = 1\n[http]\nport = 1\nhost = 2\n\
                    [opencast]\nuse_as_fallback = 7\n";
        let strange = read(text).unwrap().strange();
        assert_eq!(
            strange,
            ["`http.host`", "`jwt.issuer`", "`opencast.use_as_fallback`", "`verbose`"]
        );
        for wrong in [
            "",
            "[jwt]\ntrusted_keys = 7\n",
            "[jwt",
            "http = 1\n[jwt]\ntrusted_keys = []\n",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
