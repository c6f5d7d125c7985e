//! Which route: those of the host, of them the most specific path, there the one that names the host, then the one that names
//! the method; the order in the file means nothing.
//!
//! Within one host, segment by segment, a literal wins over a parameter with an ending (`{id}.json`), that over any other
//! parameter, and a parameter over the rest of the path; where the better one leads nowhere, the next is tried. `/studio/{*rest}` matches `/studio` too, as `/studio/**` does
//! in Spring: after the routes that end there, before those whose rest begins earlier. What a route does is not known
//! here: the table deals in indices.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use thiserror::Error;

use crate::config::HostRank;

/// What is told of a route when the table is made.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// Lower case, no port, and by which word the route has it.
    pub hosts: Vec<(&'a str, HostRank)>,
    /// `/static/{org}/{*file}`: a parameter is a whole segment, or all of it before an ending that has no brace, and never
    /// empty; `{*rest}` stands last and may be.
    pub pattern: &'a str,
    /// May the slash before `{*rest}` be missing, with the rest?
    pub bare: bool,
    /// `None`: any method.
    pub methods: Option<&'a [Method]>,
}

/// All routes of a gateway, ready to be searched.
#[derive(Debug)]
pub struct Table {
    /// One host answers for every name that a client may use.
    only_host: Option<String>,
    hosts: BTreeMap<String, Node>,
}

/// A place between two slashes of the path. A node stands at one depth of the tree, so a search visits it once. Few
/// names follow on most nodes: comparing them is quicker than hashing.
#[derive(Debug, Default)]
struct Node {
    literals: BTreeMap<String, Self>,
    /// Parameters with an ending, of which no two are alike: the longest first.
    endings: Vec<(String, Self)>,
    param: Option<Box<Self>>,
    /// Routes whose `{*rest}` begins here.
    rest: Vec<Candidate>,
    /// Those of them that match without the slash.
    bare: Vec<Candidate>,
    /// Routes that end here.
    end: Vec<Candidate>,
}

/// One route at a place of the table.
#[derive(Debug, Clone)]
struct Candidate {
    route: usize,
    host: HostRank,
    methods: Option<Vec<Method>>,
    /// Names of its parameters in the order of the path: routes may name the same place differently.
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
    /// All values in one piece, since every request has some.
    values: String,
    /// Where each value ends.
    ends: Vec<usize>,
}

impl Params {
    fn new(names: &Arc<[String]>, values: &[&str]) -> Self {
        let lengths = values.iter().map(|value| value.len());
        let ends = lengths.scan(0, |end, length| {
            *end += length;
            Some(*end)
        });
        Self {
            names: Arc::clone(names),
            ends: ends.collect(),
            values: values.concat(),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        let bounds = begins.zip(self.ends.iter().copied());
        let values = bounds.filter_map(|(begin, end)| self.values.get(begin..end));
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

/// A pattern that is none. The configuration's own checks come first; this is the last line.
#[derive(Debug, Error)]
#[error("route path `{0}`: `{{*rest}}` can only be the last segment, and a path begins with a slash")]
pub struct TableError(String);

impl Table {
    /// `public_hosts` are the hosts of `public_urls`; a single one answers for any Host.
    pub fn new<'a>(public_hosts: &[&str], entries: impl IntoIterator<Item = Entry<'a>>) -> Result<Self, TableError> {
        let mut hosts: BTreeMap<String, Node> = public_hosts
            .iter()
            .map(|host| ((*host).to_owned(), Node::default()))
            .collect();
        for (route, entry) in entries.into_iter().enumerate() {
            for (name, rank) in &entry.hosts {
                let host = hosts.entry((*name).to_owned()).or_default();
                host.insert(route, *rank, &entry)
                    .ok_or_else(|| TableError(entry.pattern.to_owned()))?;
            }
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
        let root = self.hosts.get(host).ok_or(Miss::UnknownHost)?;
        let below_root = path.strip_prefix('/').ok_or(Miss::NoRoute)?;
        let mut values = Vec::new();
        let mut first = None;
        root.walk(Some(below_root), &mut values, &mut |candidates| {
            first = Some(candidates);
            false
        });
        let candidates = first.ok_or(Miss::NoRoute)?;
        let Some(candidate) = candidates.iter().find(|candidate| candidate.serves(method)) else {
            let methods = candidates
                .iter()
                .flat_map(|candidate| candidate.methods.iter().flatten());
            return Err(Miss::Method(methods.cloned().collect()));
        };
        Ok(Found {
            route: candidate.route,
            params: Params::new(&candidate.names, &values),
        })
    }
}

/// A route whose path matches, and how it fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Considered {
    pub route: usize,
    pub outcome: MatchOutcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchOutcome {
    Won,
    /// Another one's path is more specific, so that this one was not asked.
    LessSpecific,
    /// At the most specific path, but not for this method.
    OtherMethod,
    /// At the most specific path and for any method; another one names the method.
    AnyMethod,
    /// At the most specific path; another one has the host by a more specific word.
    OtherHost,
}

impl Table {
    /// Every route whose path matches, the most specific first: what [`find`](Self::find) chose from.
    pub fn explain(&self, host: &str, path: &str, method: &Method) -> Vec<Considered> {
        let host = self.only_host.as_deref().unwrap_or(host);
        let root = self.hosts.get(host).zip(path.strip_prefix('/'));
        let mut considered = Vec::new();
        let mut is_first_place = true;
        if let Some((root, below_root)) = root {
            root.walk(Some(below_root), &mut Vec::new(), &mut |candidates| {
                let mut won: Option<HostRank> = None;
                considered.extend(candidates.iter().map(|candidate| Considered {
                    route: candidate.route,
                    outcome: match () {
                        () if !is_first_place => MatchOutcome::LessSpecific,
                        () if !candidate.serves(method) => MatchOutcome::OtherMethod,
                        () => match won {
                            Some(rank) if rank == candidate.host => MatchOutcome::AnyMethod,
                            Some(_) => MatchOutcome::OtherHost,
                            None => {
                                won = Some(candidate.host);
                                MatchOutcome::Won
                            }
                        },
                    },
                }));
                is_first_place = false;
                true
            });
        }
        considered
    }
}

impl Candidate {
    fn serves(&self, method: &Method) -> bool {
        self.methods.as_ref().is_none_or(|methods| methods.contains(method))
    }
}

impl Node {
    /// `None`: the pattern is none.
    fn insert(&mut self, route: usize, host: HostRank, entry: &Entry<'_>) -> Option<()> {
        let mut names = Vec::new();
        let mut node = self;
        let mut segments = entry.pattern.strip_prefix('/')?.split('/').peekable();
        let (list, bare) = loop {
            let Some(segment) = segments.next() else {
                break (&mut node.end, None);
            };
            match segment.strip_prefix('{').and_then(|name| name.split_once('}')) {
                None => node = node.literals.entry(segment.to_owned()).or_default(),
                Some((name, ending)) if !ending.is_empty() => {
                    names.push(name.to_owned());
                    node = node.ending(ending)?;
                }
                Some((name, _)) => match name.strip_prefix('*') {
                    None => {
                        names.push(name.to_owned());
                        node = node.param.get_or_insert_default();
                    }
                    Some(name) if segments.peek().is_none() => {
                        names.push(name.to_owned());
                        break (&mut node.rest, entry.bare.then_some(&mut node.bare));
                    }
                    Some(_) => return None,
                },
            }
        };
        let candidate = Candidate {
            route,
            host,
            methods: entry.methods.map(<[Method]>::to_vec),
            names: names.into(),
        };
        for list in bare.into_iter().chain([list]) {
            list.push(candidate.clone());
            // A route that names the host is more specific than one for many, then one that names its methods than one for any.
            list.sort_by_key(|candidate| (candidate.host, candidate.methods.is_none()));
        }
        Some(())
    }

    /// The node of parameters with this ending.
    fn ending(&mut self, ending: &str) -> Option<&mut Self> {
        let known = self.endings.iter().position(|(known, _)| known == ending);
        let at = known.unwrap_or_else(|| {
            let at = self.endings.partition_point(|(known, _)| known.len() >= ending.len());
            self.endings.insert(at, (ending.to_owned(), Self::default()));
            at
        });
        self.endings.get_mut(at).map(|(_, node)| node)
    }

    /// Visits the places whose routes match, the most specific first, until `visit` says that it is enough; false if
    /// it did. `values` then holds the parameters of the last place. `path` is what follows the slash at this node;
    /// `None` where the path has ended.
    fn walk<'n, 'p>(
        &'n self,
        path: Option<&'p str>,
        values: &mut Vec<&'p str>,
        visit: &mut dyn FnMut(&'n [Candidate]) -> bool,
    ) -> bool {
        let Some(path) = path else {
            return self.end.is_empty() || visit(&self.end);
        };
        let slash = memchr::memchr(b'/', path.as_bytes());
        let (segment, after) = match slash.and_then(|slash| path.split_at_checked(slash)) {
            Some((segment, after)) => (segment, after.get(1..)),
            None => (path, None),
        };
        let literal = self.literals.get(segment);
        let param = self.param.as_deref().filter(|_| !segment.is_empty());
        if let Some(node) = literal
            && !node.walk(after, values, visit)
        {
            return false;
        }
        let endings = || {
            let named = self.endings.iter();
            let named = named.filter_map(|(ending, node)| Some((node, Some(segment.strip_suffix(ending)?))));
            named.filter(|(_, value)| value.is_some_and(|value| !value.is_empty()))
        };
        let param = param.map(|node| (node, Some(segment)));
        for (node, value) in endings().chain(param) {
            values.extend(value);
            if !node.walk(after, values, visit) {
                return false;
            }
            values.pop();
        }
        if after.is_none() {
            let values_before = values.len();
            let literal = literal.map(|node| (node, None));
            for (node, value) in literal.into_iter().chain(endings()).chain(param) {
                values.extend(value.into_iter().chain([""]));
                if !node.bare.is_empty() && !visit(&node.bare) {
                    return false;
                }
                values.truncate(values_before);
            }
        }
        if self.rest.is_empty() {
            return true;
        }
        values.push(path);
        if !visit(&self.rest) {
            return false;
        }
        values.pop();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::pattern::Params as _;
    use crate::request::Request;
    use crate::route::path::Path;

    const GET: &[Method] = &[Method::GET, Method::HEAD];
    const POST: &[Method] = &[Method::POST];

    fn entry<'a>(host: &'a str, pattern: &'a str, methods: Option<&'a [Method]>) -> Entry<'a> {
        Entry {
            hosts: vec![(host, HostRank::NAMED)],
            pattern,
            bare: true,
            methods,
        }
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

    /// What a header leaves behind that is no request.
    #[test]
    fn no_request_has_no_route() {
        let everything = Table::new(&["video"], [entry("video", "/{*rest}", None)]).unwrap();
        assert!(
            everything.find("", "/", &Method::GET).is_ok(),
            "one host answers for all names"
        );
        let (request, path) = (Request::default(), Path::default());
        assert!(!request.is_known());
        assert_eq!(
            everything.find(&request.host, path.decoded(), &request.method),
            Err(Miss::NoRoute)
        );
        assert!(
            everything
                .explain(&request.host, path.decoded(), &request.method)
                .is_empty()
        );
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
    }

    #[test]
    fn explaining_names_the_winner_and_those_it_won_over() {
        let table = table();
        let fates = |host: &str, path: &str, method: Method| {
            let considered = table.explain(host, path, &method);
            considered
                .iter()
                .map(|one| (one.route, one.outcome))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            fates("video", "/static/acme/a/b.mp4", Method::GET),
            [
                (1, MatchOutcome::Won),
                (2, MatchOutcome::OtherMethod),
                (0, MatchOutcome::LessSpecific)
            ]
        );
        assert_eq!(
            fates("video", "/static/open/b.mp4", Method::DELETE)[0],
            (3, MatchOutcome::OtherMethod)
        );
        assert_eq!(fates("elsewhere", "/x", Method::GET), []);
        for (path, method) in [("/other", Method::PUT), ("/static/acme/a/b.mp4", Method::POST)] {
            let won = fates("video", path, method.clone())
                .into_iter()
                .find(|(_, outcome)| *outcome == MatchOutcome::Won);
            assert_eq!(route("video", path, method).ok(), won.map(|(route, _)| route));
        }
    }

    #[test]
    fn at_the_same_path_the_one_that_names_the_host_wins() {
        let many = |pattern, methods| Entry {
            hosts: vec![("video", HostRank::ANY), ("moodle", HostRank::ANY)],
            ..entry("", pattern, methods)
        };
        let entries = [
            many("/a", Some(GET)),
            many("/a/b", None),
            entry("moodle", "/a", None),
            entry("moodle", "/{*rest}", None),
            entry("video", "/a/b", Some(POST)),
        ];
        let table = Table::new(&["video", "moodle"], entries).unwrap();
        let find = |host: &str, path: &str, method: Method| {
            let found = table.find(host, path, &method).map(|found| found.route);
            let considered = table.explain(host, path, &method);
            let won = considered.iter().find(|one| one.outcome == MatchOutcome::Won);
            assert_eq!(found.clone().ok(), won.map(|one| one.route), "{host}{path}");
            found
        };
        assert_eq!(find("video", "/a", Method::GET), Ok(0));
        assert_eq!(find("moodle", "/a", Method::GET), Ok(2));
        // The path ranks before the host, as it does before the method.
        assert_eq!(find("moodle", "/a/b", Method::GET), Ok(1));
        assert_eq!(find("video", "/a/b", Method::POST), Ok(4));
        assert_eq!(find("video", "/a/b", Method::GET), Ok(1));
        assert_eq!(find("video", "/c", Method::GET), Err(Miss::NoRoute));
        let lost = table.explain("moodle", "/a", &Method::GET);
        assert_eq!((lost[1].route, lost[1].outcome), (0, MatchOutcome::OtherHost));
    }

    #[test]
    fn parameters_have_the_names_of_the_route_found() {
        let found = table().find("video", "/static/acme/a/b.mp4", &Method::GET).unwrap();
        assert_eq!(found.params.get("org"), Some("acme"));
        assert_eq!(found.params.get("file"), Some("a/b.mp4"));
        assert_eq!(found.params.get("all"), None);
    }

    #[test]
    fn a_parameter_wins_over_the_rest_and_what_leads_nowhere_is_left() {
        let entries = [
            entry("video", "/{*rest}", None),
            entry("video", "/{one}", None),
            entry("video", "/course/{course}/info", None),
            entry("video", "/course/{*rest}", None),
            entry("video", "/course/4/{page}/print", None),
        ];
        let table = Table::new(&["video"], entries).unwrap();
        let find = |path: &str| {
            let found = table.find("video", path, &Method::GET).unwrap();
            (
                found.route,
                found
                    .params
                    .iter()
                    .map(|(_, value)| value.to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(find("/a"), (1, vec!["a".into()]));
        assert_eq!(find("/a/b"), (0, vec!["a/b".into()]));
        assert_eq!(find("/"), (0, vec![String::new()]));
        assert_eq!(find("/course/4/info"), (2, vec!["4".into()]));
        assert_eq!(find("/course/4/info/print"), (4, vec!["info".into()]));
        assert_eq!(find("/course/4/other"), (3, vec!["4/other".into()]));
        assert_eq!(find("/course/"), (3, vec![String::new()]));
        assert_eq!(find("/course"), (1, vec!["course".into()]));
    }

    #[test]
    fn the_rest_may_be_missing_with_its_slash() {
        let entries = [
            entry("video", "/{*rest}", None),
            entry("video", "/studio/{*rest}", None),
            entry("video", "/editor/{*rest}", None),
            entry("video", "/editor", Some(GET)),
            entry("video", "/o/{org}/{*rest}", None),
            entry("video", "/o/{*rest}", None),
            entry("video", "/o/acme/{*rest}", Some(POST)),
            entry("video", "/o/acme/{*rest}", None),
            entry("moodle", "/{page}", None),
            entry("moodle", "/studio/{*rest}", None),
            Entry {
                bare: false,
                ..entry("video", "/file.php/{*path}", None)
            },
        ];
        let table = Table::new(&["video", "moodle"], entries).unwrap();
        let find = |host: &str, path: &str, method: Method| {
            let found = table.find(host, path, &method)?;
            let considered = table.explain(host, path, &method);
            let won = considered.iter().find(|one| one.outcome == MatchOutcome::Won).unwrap();
            assert_eq!(won.route, found.route, "{path}");
            let values = found.params.iter().map(|(name, value)| format!("{name}={value}"));
            Ok((found.route, values.collect::<Vec<_>>().join(" ")))
        };
        for (host, path, route, params) in [
            ("video", "/studio", 1, "rest="),
            ("video", "/studio/", 1, "rest="),
            ("video", "/studiox", 0, "rest=studiox"),
            ("video", "/editor", 3, ""),
            ("video", "/editor/", 2, "rest="),
            ("video", "/o", 5, "rest="),
            ("video", "/o/tibi", 4, "org=tibi rest="),
            ("video", "/o/acme", 7, "rest="),
            ("video", "/file.php", 0, "rest=file.php"),
            ("video", "/file.php/a", 10, "path=a"),
            ("moodle", "/studio", 8, "page=studio"),
            ("moodle", "/studio/", 9, "rest="),
        ] {
            let found = find(host, path, Method::GET);
            assert_eq!(found, Ok((route, params.to_owned())), "{path}");
        }
        assert_eq!(find("video", "/o/acme", Method::POST).unwrap().0, 6);
        // As with the slash, the most specific place decides, whatever its methods are.
        assert_eq!(
            find("video", "/editor", Method::POST),
            Err(Miss::Method(vec![Method::GET, Method::HEAD]))
        );
        let fates = table.explain("video", "/o/tibi", &Method::GET);
        let routes: Vec<_> = fates.iter().map(|one| one.route).collect();
        assert_eq!(routes, [4, 5, 0]);
    }

    #[test]
    fn a_parameter_with_an_ending_wins_over_one_without() {
        let entries = [
            entry("video", "/{*rest}", None),
            entry("video", "/list/{any}", None),
            entry("video", "/list/{id}.json", None),
            entry("video", "/list/{id}.son", None),
            entry("video", "/list/{id}.json/{*more}", None),
            entry("video", "/list/all.json", None),
        ];
        let table = Table::new(&["video"], entries).unwrap();
        let find = |path: &str| {
            let found = table.find("video", path, &Method::GET).unwrap();
            let considered = table.explain("video", path, &Method::GET);
            assert_eq!(considered[0].route, found.route, "{path}");
            let values = found.params.iter().map(|(name, value)| format!("{name}={value}"));
            (found.route, values.collect::<Vec<_>>().join(" "))
        };
        for (path, route, params) in [
            ("/list/a.json", 2, "id=a"),
            ("/list/a.json.json", 2, "id=a.json"),
            ("/list/a.b.son", 3, "id=a.b"),
            ("/list/all.json", 5, ""),
            ("/list/.json", 1, "any=.json"),
            ("/list/a.xml", 1, "any=a.xml"),
            ("/list/a.JSON", 1, "any=a.JSON"),
            ("/list/a.json/", 4, "id=a more="),
            ("/list/a.json/b/c", 4, "id=a more=b/c"),
            ("/list/all.json/b", 4, "id=all more=b"),
            ("/list/a.son/b", 0, "rest=list/a.son/b"),
        ] {
            assert_eq!(find(path), (route, params.to_owned()), "{path}");
        }
    }

    #[test]
    fn a_parameter_is_never_empty() {
        let table = Table::new(&["video"], [entry("video", "/a/{b}/c", None)]).unwrap();
        assert_eq!(table.find("video", "/a//c", &Method::GET), Err(Miss::NoRoute));
        assert_eq!(table.find("video", "/a/b/c/", &Method::GET), Err(Miss::NoRoute));
    }

    #[test]
    fn a_single_public_host_answers_for_any() {
        let table = Table::new(&["video"], [entry("video", "/{*rest}", None)]).unwrap();
        assert!(table.find("127.0.0.1", "/x", &Method::GET).is_ok());
    }
}
