//! `[statistics]` and `routes.views`, checked.

use std::sync::Arc;

use url::Url;

use super::Checker;
use crate::config::diagnostics::{Diagnostic, Span};
use crate::config::path_pattern::PathPattern;
use crate::config::read::{At, Key};
use crate::config::{Action, Log, Matomo, Route, State, Statistics, Usertracking, Views, file, is_provider_url};

impl Checker<'_> {
    /// `Some(None)`: nobody is told of views.
    pub(super) fn statistics(&mut self, statistics: file::Statistics) -> Option<Option<Statistics>> {
        let is_on =
            !statistics.file.is_absent() || !statistics.matomo.is_absent() || !statistics.usertracking.is_absent();
        let file = statistics.file.checked(|path| match path.value.as_str() {
            // What it leads to is not there for every process.
            "/dev/stdout" => Some("/dev/stdout".into()),
            _ => self.file_to_write(&path, "file"),
        });
        let matomo = statistics.matomo.checked(|matomo| self.matomo(matomo.value));
        let usertracking = statistics.usertracking.checked(|told| self.usertracking(told.value));
        let made = Statistics {
            file: file?,
            view_ends_after: statistics.view_ends_after,
            most_views: statistics.most_views,
            most_per_address: statistics.most_per_address.min(statistics.most_views),
            matomo: matomo?,
            usertracking: usertracking?,
        };
        Some(is_on.then_some(made))
    }

    /// Lines of views in a file of another purpose would spoil it.
    pub(super) fn file_of_views(
        &mut self,
        at: Span,
        made: Option<&Statistics>,
        log: Option<&Log>,
        state: Option<&State>,
    ) {
        let file = made.and_then(|made| made.file.as_deref());
        let Some(file) = file.filter(|file| !file.starts_with("/dev")) else {
            return;
        };
        let store = match state {
            Some(State::Embedded { path, .. }) => Some(path.as_path()),
            _ => None,
        };
        let others = [
            ("log.file", log.and_then(|log| log.file.as_deref())),
            ("state.path", store),
            ("state.key_file", state.and_then(State::key_file)),
        ];
        if let Some((name, _)) = others.iter().find(|(_, other)| *other == Some(file)) {
            let problem = Diagnostic::error(at, format!("statistics.file is {name}, too"));
            self.report(problem.help("write the views into a file of their own"));
        }
    }

    fn matomo(&mut self, matomo: file::Matomo) -> Option<Matomo> {
        let place = matomo.place;
        let url = self.required(
            matomo.url,
            "url",
            place,
            "url = \"https://matomo.example.edu/matomo.php\"",
        );
        let url = url.and_then(|url| self.told_at(&url));
        let site = self.required(matomo.site, "site", place, "site = 3: the number of the site in Matomo");
        if let Some(site) = site.as_ref().filter(|site| site.value == 0) {
            let problem = Diagnostic::error(site.at, "Matomo counts its sites from 1");
            self.report(problem.help("the number is `idSite` in the addresses of its pages"));
        }
        let example = "token_file = \"matomo.token\": a file with the token of a user who may write";
        let token_file = self.required(matomo.token_file, "token_file", place, example);
        let token_file = token_file.and_then(|path| self.existing_file(&path, "token_file"));
        let ca_file = matomo.ca_file.checked(|path| self.existing_file(&path, "ca_file"));
        Some(Matomo {
            url: url?,
            site: site?.value,
            token_file: token_file?,
            outgoing: self.outgoing(ca_file?),
        })
    }

    fn usertracking(&mut self, told: file::Usertracking) -> Option<Usertracking> {
        let example = "url = \"https://opencast.example.edu/usertracking\"";
        let url = self.required(told.url, "url", told.place, example);
        let url = url.and_then(|url| self.told_at(&url));
        let ca_file = told.ca_file.checked(|path| self.existing_file(&path, "ca_file"));
        let mut url = url?;
        // Opencast's endpoint is the folder.
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Some(Usertracking {
            url,
            outgoing: self.outgoing(ca_file?),
        })
    }

    fn told_at(&mut self, written: &At<String>) -> Option<Url> {
        let url = Url::parse(&written.value).ok();
        let is_plain = |url: &Url| url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        let url = url.filter(|url| is_provider_url(url) && is_plain(url));
        if url.is_none() {
            let problem = Diagnostic::error(written.at, "views cannot be told there");
            self.report(problem.help("an https:// address without user and query; http:// only to this machine"));
        }
        url
    }

    /// `Some(None)`: nothing is counted on the route.
    pub(super) fn views(
        &mut self,
        views: Key<file::Views>,
        path: Option<&At<PathPattern>>,
        action: Option<&Action>,
    ) -> Option<Option<Views>> {
        let at = views.given().map(|views| views.at);
        if let (
            Some(at),
            Some(Action::Respond(_) | Action::KeySet(_) | Action::OwnKeys | Action::Decide(_) | Action::Launch),
        ) = (at, action)
        {
            let problem = Diagnostic::error(at, "`views` means nothing for a fixed answer");
            self.report(problem.help("remove this key"));
        }
        self.counts_views = self.counts_views.or(at);
        views.checked(|views| {
            let event = views.value.event;
            let at = event.written().unwrap_or(views.at);
            let path = path?;
            let has = |name: &str| path.value.params().any(|known| known == name);
            let missing = event.value.params().find(|name| !has(name)).map(str::to_owned);
            if let Some(name) = missing {
                let problem = Diagnostic::error(
                    at,
                    format!("`views` counts by `{{{name}}}`, which is no parameter of the path"),
                );
                let problem = problem.also(path.at, "this path");
                self.report(problem.help("name the parameter that holds the event: views = { event = \"{id}\" }"));
                return None;
            }
            Some(Views { event: event.value })
        })
    }

    /// What is counted and told to nobody, or told and counted nowhere.
    pub(super) fn counted_for_nobody(&mut self, at: Span, is_told: bool, routes: &[Arc<Route>]) {
        if let (Some(first), false) = (self.counts_views, is_told) {
            let problem = Diagnostic::warning(first, "views are counted here and told to nobody");
            self.report(problem.help("add [statistics] with file = \"/var/log/janua-views.log\", or remove this key"));
        }
        if is_told && !routes.iter().any(|route| route.views.is_some()) {
            let problem = Diagnostic::warning(at, "no route counts views");
            self.report(problem.help("add views = { } to the routes of recordings"));
        }
    }
}
