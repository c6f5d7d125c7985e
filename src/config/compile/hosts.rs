//! `routes.host` and `routes.hosts`: which of the public hosts a route is for.

use url::Host;

use super::{Checker, Known};
use crate::config::RouteHosts;
use crate::config::diagnostics::Diagnostic;
use crate::config::read::{At, Key};
use crate::config::route_hosts::HostRank;

impl Checker<'_> {
    /// Without either key: the first public URL's host.
    pub(super) fn hosts(
        &mut self,
        host: Key<String>,
        hosts: Key<Vec<At<String>>>,
        known: &Known,
    ) -> Option<RouteHosts> {
        let public = known.hosts.as_ref()?;
        match (host, hosts) {
            (Key::Given(host), Key::Given(hosts)) => {
                let problem = Diagnostic::error(host.at, "`host` and `hosts` are both there");
                let problem = problem.also(hosts.at, "here too");
                self.report(problem.help("`host` is the short form: keep one of them"));
                None
            }
            (Key::Bad, _) | (_, Key::Bad) => None,
            (Key::Absent, Key::Absent) => public.first().map(|host| RouteHosts::one(&host.value)),
            (Key::Given(host), Key::Absent) => Some(RouteHosts::one(&self.public_host(&host, public)?)),
            (Key::Absent, Key::Given(hosts)) => {
                self.not_empty(
                    &hosts,
                    "hosts",
                    "remove it for the first public URL's, or name at least one host",
                )?;
                self.unique_by("host", &hosts.value, |host| host.to_ascii_lowercase());
                let entries = super::every(hosts.value.iter().map(|host| self.public_host(host, public)))?;
                let public: Vec<String> = public.iter().map(|host| host.value.clone()).collect();
                RouteHosts::listed(&entries, &public)
            }
        }
    }

    /// An entry as it is compared: lower case, a name beyond ASCII by its A-labels (RFC 5890), as public URLs are written.
    fn public_host(&mut self, host: &At<String>, public: &[At<String>]) -> Option<String> {
        let lower = host.value.to_lowercase();
        let (any, name) = lower
            .strip_prefix("*.")
            .map_or(("", lower.as_str()), |name| ("*.", name));
        let ascii = Host::parse(name).map_or_else(|_| lower.clone(), |parsed| format!("{any}{parsed}"));
        let is_public = |written: &str| {
            public
                .iter()
                .any(|public| HostRank::of(written, &public.value).is_some())
        };
        if is_public(&ascii) {
            return Some(ascii);
        }
        let written = self.written(host.at).to_owned();
        let problem = Diagnostic::error(host.at, format!("`{written}` is not the host of a public URL"));
        let without_port = lower.rsplit_once(':').map(|(host, _)| host);
        let without_dot = lower.strip_suffix('.');
        self.report(match () {
            () if without_port.is_some_and(is_public) => problem.help("remove the port: it means nothing here"),
            () if without_dot.is_some_and(is_public) => {
                problem.help("remove the dot: requests with it and without it are for the same host")
            }
            () => problem.help(self.suggest(&written, public, "public hosts")),
        });
        None
    }
}
