//! `[outgoing]`, checked: the proxy of all sections that ask somebody.

use std::path::PathBuf;
use std::sync::Arc;

use super::Checker;
use super::server::values;
use crate::config::diagnostics::Diagnostic;
use crate::config::{Outgoing, Proxy, file, is_loopback};

impl Checker<'_> {
    /// `Some(None)`: nothing goes by a proxy.
    pub(super) fn proxy(&mut self, outgoing: file::Outgoing) -> Option<Option<Arc<Proxy>>> {
        let some = outgoing.no_proxy.given().filter(|list| !list.value.is_empty());
        let no_proxy_at = some.map(|list| list.at);
        let others = [
            ("username", outgoing.username.given().map(|key| key.at)),
            ("password_file", outgoing.password_file.given().map(|key| key.at)),
            ("no_proxy", no_proxy_at),
        ];
        if outgoing.proxy.is_absent() {
            for (name, at) in others.into_iter().filter_map(|(name, at)| Some((name, at?))) {
                let problem = Diagnostic::error(at, format!("`{name}` means nothing without `proxy`"));
                self.report(problem.help("add proxy = \"http://proxy.example.edu:3128\", or remove this key"));
            }
            return Some(None);
        }
        let no_proxy = outgoing.no_proxy.or_default();
        self.unique("entry", &no_proxy);
        let has_password = !outgoing.password_file.is_absent();
        if let Some(at) = outgoing.username.given().map(|key| key.at).filter(|_| !has_password) {
            let problem = Diagnostic::error(at, "`username` without `password_file`");
            self.report(problem.help("add password_file = \"…\": a file that holds the password alone"));
        }
        if let Some(at) = outgoing
            .password_file
            .given()
            .map(|key| key.at)
            .filter(|_| outgoing.username.is_absent())
        {
            let problem = Diagnostic::error(at, "`password_file` without `username`");
            self.report(problem.help("add username = \"…\": the user that the proxy knows"));
        }
        let username = outgoing.username.given();
        if let Some(at) = username.filter(|name| name.value.contains(':')).map(|name| name.at) {
            // RFC 7617 section 2.
            self.report(Diagnostic::error(at, "a user's name for Basic has no colon"));
        }
        let username = outgoing.username.into_value();
        let password_file = outgoing
            .password_file
            .checked(|path| self.existing_file(&path, "password_file"));
        let proxy = outgoing.proxy.into_given()?;
        let is_far = !is_loopback(proxy.value.0.host_str().unwrap_or_default());
        if username.is_some() && is_far && proxy.value.0.scheme() == "http" {
            let problem = Diagnostic::warning(proxy.at, "the way to the proxy is not encrypted");
            self.report(
                problem.help("the password for it can be read on the way: use https:// if the proxy speaks TLS"),
            );
        }
        Some(Some(Arc::new(Proxy {
            url: proxy.value.0,
            username,
            password_file: password_file?,
            no_proxy: values(no_proxy),
        })))
    }

    /// How the servers of a section with this `ca_file` are reached.
    pub(in crate::config) fn outgoing(&self, ca_file: Option<PathBuf>) -> Outgoing {
        Outgoing {
            ca_file,
            proxy: self.proxy.clone(),
        }
    }
}
