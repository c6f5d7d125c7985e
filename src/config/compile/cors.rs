//! `routes.cors`.

use http::{HeaderName, HeaderValue};

use super::Checker;
use crate::config::diagnostics::Diagnostic;
use crate::config::read::{At, Key};
use crate::config::{Cors, file};

impl Checker<'_> {
    pub(super) fn cors(&mut self, cors: file::Cors) -> Option<Cors> {
        let origins = cors.origins.into_given()?;
        self.not_empty(&origins, "origins", "remove `cors`, or name at least one origin")?;
        self.unique("origin", &origins.value);
        if let Some(any) = origins.value.iter().find(|origin| origin.value.0 == "*") {
            if origins.value.len() > 1 {
                let problem = Diagnostic::error(any.at, "`*` stands beside other origins");
                self.report(problem.help("`*` is every origin: remove it, or the others"));
            }
            if cors.credentials.value {
                let problem = Diagnostic::error(any.at, "every web site could call with the cookies of its visitors");
                self.report(
                    problem
                        .also(cors.credentials.at, "because of this")
                        .help("name the origins that may"),
                );
            }
        }
        let headers = self.header_list(cors.headers, "headers", Cors::HEADERS);
        let expose = self.header_list(cors.expose, "expose", Cors::EXPOSE);
        Some(Cors {
            origins: origins.value.into_iter().map(|origin| origin.value.0).collect(),
            credentials: cors.credentials.value,
            apps: Vec::new(),
            headers: headers?,
            expose: expose?,
        })
    }

    /// The names that a route adds to those that every route has.
    fn header_list(&mut self, names: Key<Vec<At<HeaderName>>>, key: &str, always: &str) -> Option<HeaderValue> {
        let names = names.into_value()?;
        self.unique("header", &names);
        if let Some(any) = names.iter().find(|name| name.value.as_str() == "*") {
            let problem = Diagnostic::error(any.at, format!("`*` in `{key}` is no name of a header"));
            self.report(problem.help("name the headers: to a request with cookies, `*` is a name like any other"));
        }
        let is_new = |name: &&At<HeaderName>| !always.split(", ").any(|known| known == name.value.as_str());
        let mut list = always.to_owned();
        for name in names.iter().filter(is_new) {
            list.push_str(", ");
            list.push_str(name.value.as_str());
        }
        HeaderValue::try_from(list).ok()
    }
}
