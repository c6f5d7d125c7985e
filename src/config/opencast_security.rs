//! Opencast's own list of who may call what (`etc/security/mh_default_org.xml`), as Spring Security reads it: the first entry
//! that fits path and method says which roles it takes.
//!
//! Opencast's file is read as it stands, or a list of its defaults is taken. HEAD is what GET is: an Opencast before version 19
//! answers it by another entry, and refuses it where everybody may GET.

mod ant;
mod xml;

use std::sync::LazyLock;

use http::Method;

use self::ant::{AntPattern, Segments};

/// Larger files are none of Opencast's.
pub(crate) const LARGEST: u64 = 1 << 20;
/// Entries of one list.
const MOST: usize = 5_000;
/// What stands before the name of a list that the gateway has.
pub(crate) const BUILTIN: &str = "builtin:";
/// Whoever calls holds it.
const ANONYMOUS: &str = "ROLE_ANONYMOUS";
/// Whoever is signed in holds it.
const USER: &str = "ROLE_USER";

/// The lists by the version of Opencast, as they come with it.
const VERSIONS: [&str; 2] = ["17", "18"];
/// A line an entry: method or `*`, pattern, roles. What one version alone has begins with its number.
const BUILTINS: &str = include_str!("opencast_security/defaults.txt");

/// The whole list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SecurityList {
    chains: Vec<Chain>,
}

/// One `http` element: what it is for, and its entries.
#[derive(Debug, Clone, PartialEq)]
struct Chain {
    /// `None`: every path.
    pattern: Option<AntPattern>,
    entries: Vec<Entry>,
}

/// One `intercept-url`.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pattern: AntPattern,
    /// `None`: any.
    method: Option<Method>,
    /// One of them must be held.
    roles: Vec<String>,
    /// Where it stands in the file, from 1.
    line: usize,
}

impl SecurityList {
    /// What Opencast of this version comes with. `None`: there is no list of it here.
    pub(crate) fn builtin(version: &str) -> Option<Self> {
        static LISTS: LazyLock<[SecurityList; VERSIONS.len()]> =
            LazyLock::new(|| VERSIONS.map(SecurityList::of_version));
        let index = VERSIONS.iter().position(|known| *known == version)?;
        LISTS.get(index).cloned()
    }

    /// Versions of which there is a list here.
    pub(crate) fn versions() -> impl Iterator<Item = &'static str> {
        VERSIONS.into_iter()
    }

    fn of_version(version: &str) -> Self {
        let lines = BUILTINS.lines().enumerate().map(|(index, line)| (index + 1, line));
        let entries = lines.filter(|(_, line)| !line.starts_with('#') && !line.is_empty());
        let entries = entries.filter_map(|(line, text)| {
            let mut words = text.split_ascii_whitespace().peekable();
            let of = words.next_if(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
            if of.is_some_and(|of| of != version) {
                return None;
            }
            let method = words.next()?;
            Some(Entry {
                method: (method != "*")
                    .then(|| Method::from_bytes(method.as_bytes()).ok())
                    .flatten(),
                pattern: AntPattern::new(words.next()?),
                roles: words.map(str::to_owned).collect(),
                line,
            })
        });
        Self {
            chains: vec![Chain {
                pattern: None,
                entries: entries.collect(),
            }],
        }
    }

    /// Reads Opencast's file. The error names the line and what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        xml::parse(text)
    }

    /// The entry that counts for a path as Opencast sees it, decoded. `None`: no entry does, and nobody may.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Option<&Entry> {
        let path = &Segments::of(path);
        let is_for = |chain: &&Chain| chain.pattern.as_ref().is_none_or(|pattern| pattern.matches(path));
        let chain = self.chains.iter().find(is_for)?;
        let mut entries = chain.entries.iter();
        entries.find(|entry| entry.is_for(method) && entry.pattern.matches(path))
    }
}

impl Entry {
    fn is_for(&self, method: &Method) -> bool {
        let is_same = |of: &Method| of == method || (method == Method::HEAD && of == Method::GET);
        self.method.as_ref().is_none_or(is_same)
    }

    /// Does it take somebody with these roles? `signed_in`: is there anybody at all?
    pub(crate) fn takes<'a>(&self, signed_in: bool, mut held: impl Iterator<Item = &'a str>) -> bool {
        let of_all = |role: &String| role == ANONYMOUS || (role == USER && signed_in);
        self.roles.iter().any(of_all) || held.any(|role| self.roles.iter().any(|of| of == role))
    }

    pub(crate) fn roles(&self) -> &[String] {
        &self.roles
    }

    /// As a person finds it in the file: `GET /admin-ng/acl/*` and its line.
    pub(crate) fn name(&self) -> String {
        let method = self
            .method
            .as_ref()
            .map_or(String::new(), |method| format!("{method} "));
        format!("{method}{} (line {})", self.pattern.text(), self.line)
    }
}

#[cfg(test)]
mod tests;
