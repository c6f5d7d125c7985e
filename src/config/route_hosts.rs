//! The hosts of a route, and which of two routes with the same path is more specific by its host.

/// The hosts that a route is for: at least one, all of them public ones, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteHosts {
    hosts: Vec<RouteHost>,
    /// Written as `hosts`.
    pub listed: bool,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteHost {
    /// Lower case, no port.
    pub name: String,
    pub rank: HostRank,
}

/// How specific the word is by which a route has a host; the smaller one wins at the same path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostRank(u8);

impl HostRank {
    /// The name itself.
    pub const NAMED: Self = Self(0);
    /// `*`
    pub const ANY: Self = Self(u8::MAX);

    /// `*.example.edu`: the more labels follow, the more specific it is. A name has 127 labels at most (RFC 1035 section 2.3.4).
    fn below(suffix: &str) -> Self {
        let labels = suffix.matches('.').count();
        Self(u8::try_from(labels).map_or(1, |labels| u8::MAX.saturating_sub(labels).saturating_sub(1).max(1)))
    }

    /// How the entry `written` (lower case) has `host`: by its name, as one of one label or more below it (`*.example.edu`), or
    /// as any (`*`). `None`: it does not.
    pub fn of(written: &str, host: &str) -> Option<Self> {
        match written.strip_prefix('*') {
            None => (written == host).then_some(Self::NAMED),
            Some("") => Some(Self::ANY),
            Some(suffix) => {
                let label = host.strip_suffix(suffix)?;
                (!label.is_empty() && suffix.starts_with('.')).then(|| Self::below(suffix))
            }
        }
    }
}

impl RouteHosts {
    /// One host by its name.
    pub fn one(name: &str) -> Self {
        let host = RouteHost {
            name: name.to_owned(),
            rank: HostRank::NAMED,
        };
        Self {
            hosts: vec![host],
            listed: false,
        }
    }

    /// Those of the `public` hosts that any of the entries has, by the most specific of them. `None`: none.
    pub fn listed(entries: &[String], public: &[String]) -> Option<Self> {
        let hosts = public.iter().filter_map(|host| {
            let rank = entries.iter().filter_map(|entry| HostRank::of(entry, host)).min()?;
            Some(RouteHost {
                name: host.clone(),
                rank,
            })
        });
        let hosts: Vec<_> = hosts.collect();
        (!hosts.is_empty()).then_some(Self { hosts, listed: true })
    }

    pub fn iter(&self) -> impl Iterator<Item = &RouteHost> {
        self.hosts.iter()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|host| host.name.as_str())
    }

    /// How it has this host, if it does.
    pub fn rank(&self, host: &str) -> Option<HostRank> {
        self.iter().find(|own| own.name == host).map(|own| own.rank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label_or_more() {
        for (written, host, has) in [
            ("a.example.edu", "a.example.edu", true),
            ("a.example.edu", "b.a.example.edu", false),
            ("*.example.edu", "a.example.edu", true),
            ("*.example.edu", "b.a.example.edu", true),
            ("*.example.edu", "example.edu", false),
            ("*.example.edu", ".example.edu", false),
            ("*.example.edu", "badexample.edu", false),
            ("*", "example.edu", true),
            ("*", "[::1]", true),
        ] {
            assert_eq!(HostRank::of(written, host).is_some(), has, "{written} {host}");
        }
    }

    #[test]
    fn a_name_ranks_before_a_longer_wildcard_before_a_shorter_one_before_any() {
        let entries = ["a.b.edu", "*.b.edu", "*.edu", "*"];
        let ranks: Vec<_> = entries.iter().map(|entry| HostRank::of(entry, "a.b.edu")).collect();
        assert!(ranks.is_sorted_by(|one, other| one < other), "{ranks:?}");
        let long = format!("*.{}edu", "a.".repeat(300));
        let below = HostRank::of(&long, &format!("b{}", &long[1..])).unwrap();
        assert!(HostRank::NAMED < below && below < HostRank::ANY);
    }

    #[test]
    fn each_host_is_there_once_by_its_most_specific_entry() {
        let public = ["a.edu", "b.edu", "c.org"].map(str::to_owned);
        let entries = ["*.edu", "b.edu"].map(str::to_owned);
        let hosts = RouteHosts::listed(&entries, &public).unwrap();
        assert_eq!(hosts.names().collect::<Vec<_>>(), ["a.edu", "b.edu"]);
        assert_eq!(hosts.rank("b.edu"), Some(HostRank::NAMED));
        assert_eq!(hosts.rank("c.org"), None);
        assert_eq!(RouteHosts::listed(&entries, &public[2..]), None);
    }
}
