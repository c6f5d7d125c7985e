//! Which route: the host first, then the most specific path, then the method; the order in the file means nothing.
//!
//! Within one host, segment by segment, a literal wins over a parameter and a parameter over the rest of the path.
//! What a route does is not known here: the table deals in indices.

use std::collections::HashMap;
use std::sync::Arc;

use http::Method;
use matchit::Router;
use thiserror::Error;

/// What is told of a route when the table is made.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// Lower case, no port.
    pub host: &'a str,
    /// `/static/{org}/{*file}`
    pub pattern: &'a str,
    /// `None`: any method.
    pub methods: Option<&'a [Method]>,
}

/// All routes of a gateway, ready to be searched.
#[derive(Debug)]
pub struct Table {
    /// One host answers for every name that a client may use.
    only_host: Option<String>,
    hosts: HashMap<String, Router<Vec<Candidate>>>,
}

/// One route at a place of the table.
#[derive(Debug, Clone)]
struct Candidate {
    route: usize,
    methods: Option<Vec<Method>>,
    /// Names of its parameters in the order of the path; the router itself knows them by position only, so that
    /// routes may name the same place differently.
    names: Arc<[String]>,
}

/// The route found, and what the path holds at its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub route: usize,
    pub params: Params,
}

/// Parameter names and values in the order of the path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params {
    names: Arc<[String]>,
    values: Vec<String>,
}

impl Params {
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let values = self.values.iter().map(String::as_str);
        self.names.iter().map(String::as_str).zip(values)
    }
}

impl crate::config::pattern::Params for Params {
    fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

/// Why no route was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Miss {
    UnknownHost,
    NoRoute,
    /// The path is there, with these methods.
    Method(Vec<Method>),
}

/// A pattern that the router does not take. The configuration's own checks come first; this is the last line.
#[derive(Debug, Error)]
#[error("route `{pattern}`: {source}")]
pub struct TableError {
    pattern: String,
    source: matchit::InsertError,
}

impl Table {
    /// `public_hosts` are the hosts of `public_urls`; a single one answers for any Host.
    pub fn new<'a>(public_hosts: &[&str], entries: impl IntoIterator<Item = Entry<'a>>) -> Result<Self, TableError> {
        let mut places: HashMap<&str, HashMap<String, Vec<Candidate>>> =
            public_hosts.iter().map(|host| (*host, HashMap::new())).collect();
        for (route, entry) in entries.into_iter().enumerate() {
            let (shape, names) = by_position(entry.pattern);
            let host = places.entry(entry.host).or_default();
            host.entry(shape).or_default().push(Candidate {
                route,
                methods: entry.methods.map(<[Method]>::to_vec),
                names: names.into(),
            });
        }
        let mut hosts = HashMap::new();
        for (host, shapes) in places {
            let mut router = Router::new();
            for (shape, mut candidates) in shapes {
                // A route that names its methods is more specific than one for any method.
                candidates.sort_by_key(|candidate| candidate.methods.is_none());
                router
                    .insert(shape.clone(), candidates)
                    .map_err(|source| TableError { pattern: shape, source })?;
            }
            hosts.insert(host.to_owned(), router);
        }
        let only_host = match public_hosts {
            [host] => Some((*host).to_owned()),
            _ => None,
        };
        Ok(Self { only_host, hosts })
    }

    /// `host` is lower case without port, `path` the decoded canonical path.
    pub fn find(&self, host: &str, path: &str, method: &Method) -> Result<Found, Miss> {
        let host = self.only_host.as_deref().unwrap_or(host);
        let router = self.hosts.get(host).ok_or(Miss::UnknownHost)?;
        let matched = router.at(path).map_err(|_| Miss::NoRoute)?;
        let serves = |candidate: &&Candidate| {
            let named = candidate.methods.as_ref();
            named.is_none_or(|methods| methods.contains(method))
        };
        let Some(candidate) = matched.value.iter().find(serves) else {
            let methods = matched
                .value
                .iter()
                .flat_map(|candidate| candidate.methods.iter().flatten());
            return Err(Miss::Method(methods.cloned().collect()));
        };
        let values = matched.params.iter().map(|(_, value)| value.to_owned());
        Ok(Found {
            route: candidate.route,
            params: Params {
                names: Arc::clone(&candidate.names),
                values: values.collect(),
            },
        })
    }

    /// A route for this place, whatever the method: what a pre-flight request asks about.
    pub fn find_any_method(&self, host: &str, path: &str) -> Option<usize> {
        let host = self.only_host.as_deref().unwrap_or(host);
        let matched = self.hosts.get(host)?.at(path).ok()?;
        matched.value.first().map(|candidate| candidate.route)
    }
}

/// `/static/{org}/{*file}` → (`/static/{p}/{*p}` with positions as names, [`org`, `file`]).
fn by_position(pattern: &str) -> (String, Vec<String>) {
    let mut names = Vec::new();
    let mut shape = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else {
            break;
        };
        let (star, name) = match name.strip_prefix('*') {
            Some(name) => ("*", name),
            None => ("", name),
        };
        shape.push_str(before);
        shape.push_str(&format!("{{{star}p{}}}", names.len()));
        names.push(name.to_owned());
        rest = after;
    }
    shape.push_str(rest);
    (shape, names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::pattern::Params as _;

    const GET: &[Method] = &[Method::GET, Method::HEAD];
    const POST: &[Method] = &[Method::POST];

    fn entry<'a>(host: &'a str, pattern: &'a str, methods: Option<&'a [Method]>) -> Entry<'a> {
        Entry { host, pattern, methods }
    }

    fn table() -> Table {
        let entries = [
            entry("video", "/{*rest}", None),
            entry("video", "/static/{org}/{*file}", Some(GET)),
            entry("video", "/static/{org}/{*file}", Some(POST)),
            entry("video", "/static/open/{*all}", Some(GET)),
            entry("moodle", "/course/{course}", None),
        ];
        Table::new(&["video", "moodle"], entries).unwrap()
    }

    fn route(host: &str, path: &str, method: Method) -> Result<usize, Miss> {
        table().find(host, path, &method).map(|found| found.route)
    }

    #[test]
    fn the_most_specific_wins_whatever_the_order() {
        assert_eq!(route("video", "/other", Method::GET), Ok(0));
        assert_eq!(route("video", "/static/acme/a/b.mp4", Method::GET), Ok(1));
        assert_eq!(route("video", "/static/acme/a/b.mp4", Method::POST), Ok(2));
        assert_eq!(route("video", "/static/open/b.mp4", Method::GET), Ok(3));
    }

    #[test]
    fn host_ranks_before_path() {
        assert_eq!(route("moodle", "/course/4", Method::GET), Ok(4));
        assert_eq!(route("moodle", "/static/open/b.mp4", Method::GET), Err(Miss::NoRoute));
        assert_eq!(route("elsewhere", "/course/4", Method::GET), Err(Miss::UnknownHost));
    }

    #[test]
    fn a_path_without_the_method_names_those_it_has() {
        let miss = route("video", "/static/open/b.mp4", Method::DELETE);
        assert_eq!(miss, Err(Miss::Method(vec![Method::GET, Method::HEAD])));
        assert_eq!(table().find_any_method("video", "/static/open/b.mp4"), Some(3));
    }

    #[test]
    fn parameters_have_the_names_of_the_route_found() {
        let found = table().find("video", "/static/acme/a/b.mp4", &Method::GET).unwrap();
        assert_eq!(found.params.get("org"), Some("acme"));
        assert_eq!(found.params.get("file"), Some("a/b.mp4"));
        assert_eq!(found.params.get("all"), None);
    }

    #[test]
    fn a_single_public_host_answers_for_any() {
        let table = Table::new(&["video"], [entry("video", "/{*rest}", None)]).unwrap();
        assert!(table.find("127.0.0.1", "/x", &Method::GET).is_ok());
    }
}
