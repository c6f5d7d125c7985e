//! `[server]`.

use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;

use super::{Checker, Names, every};
use crate::config::diagnostics::{Diagnostic, Span};
use crate::config::net::is_loopback;
use crate::config::read::{At, Key};
use crate::config::{PublicUrl, Server, TlsListener, file};

/// `sun_path` has 108 bytes, the last of them zero.
const LONGEST_SOCKET_PATH: usize = 107;

impl Checker<'_> {
    /// The section, and the hosts of its public URLs, which are known even when something else is wrong.
    pub(super) fn server(&mut self, mut server: file::Server) -> (Option<Server>, Option<Names>) {
        let several = std::mem::take(&mut server.public_urls);
        let one = std::mem::take(&mut server.public_url);
        let Some(urls) = self.public_urls(several, one, server.place) else {
            self.rest_of_server(server, Vec::new());
            return (None, None);
        };
        let hosts = urls.iter().map(|url| At {
            at: url.at,
            value: url.value.host.clone(),
        });
        let hosts = hosts.collect();
        (self.rest_of_server(server, values(urls)), Some(hosts))
    }

    fn rest_of_server(&mut self, server: file::Server, public_urls: Vec<PublicUrl>) -> Option<Server> {
        let header = server.place;
        let has_bad_listener = matches!(server.listen, Key::Bad) || matches!(server.tls, Key::Bad);
        let listen = server.listen.or_default();
        let tls = server.tls.or_default();
        if listen.is_empty() && tls.is_empty() && !has_bad_listener {
            let message = "the gateway listens nowhere: `listen` and `tls` are both missing or empty";
            let problem = match header == Span::default() {
                true => Diagnostic::error_nowhere(message),
                false => Diagnostic::error(header, message),
            };
            self.report(problem.help("add listen = [\"127.0.0.1:8080\"] to [server]"));
        }
        self.listeners(&listen, &tls, &server.admin);
        let tls = every(tls.into_iter().map(|listener| self.tls(listener.value)));
        for network in &server.trusted_proxies {
            if network.value.prefix_len() == 0 {
                let problem = Diagnostic::warning(network.at, "every client is trusted like a proxy");
                self.report(problem.help("anyone can then claim any client address; name your proxies' networks"));
            }
        }

        let control = self.control(&server.control);
        let admin_hosts = self.admin_hosts(server.admin_hosts);
        Some(Server {
            listen: listen.into_iter().map(|listener| listener.value).collect(),
            tls: tls?,
            public_urls,
            strict_host: server.strict_host,
            admin: server.admin.value,
            admin_hosts,
            denials: server.denials,
            recent: server.recent,
            control: control?,
            max_header: server.max_header.bytes(),
            trusted_proxies: values(server.trusted_proxies),
            threads: match server.threads {
                0 => std::thread::available_parallelism().map_or(1, NonZero::get),
                threads => threads,
            },
            shutdown_grace: server.shutdown_grace,
            timeouts: server.timeouts,
            connections: server.connections,
        })
    }

    fn public_urls(
        &mut self,
        several: Key<Vec<At<PublicUrl>>>,
        one: Key<PublicUrl>,
        header: Span,
    ) -> Option<Vec<At<PublicUrl>>> {
        let urls = match (several, one) {
            (Key::Given(several), Key::Given(one)) => {
                let problem = Diagnostic::error(one.at, "`public_url` and `public_urls` are both there");
                self.report(
                    problem
                        .also(several.at, "here too")
                        .help("`public_url` is the short form: keep one of them"),
                );
                return None;
            }
            (Key::Given(several), _) => {
                self.not_empty(&several, "public_urls", "name at least the URL that clients use")?;
                several.value
            }
            (Key::Absent, one) => {
                let example = "public_url = \"https://video.example.edu\" to [server]: what clients call this gateway";
                vec![self.required(one, "public_url", header, example)?]
            }
            (Key::Bad, _) => return None,
        };
        self.unique_by("host", &urls, |url| &url.host);
        for url in urls
            .iter()
            .filter(|url| !url.value.https && !is_loopback(&url.value.host))
        {
            let problem = Diagnostic::warning(url.at, "this public URL is not https");
            self.report(problem.help("tokens travel in URLs and headers: whoever is on the way can read and use them"));
        }
        Some(urls)
    }

    fn tls(&mut self, tls: file::Tls) -> Option<TlsListener> {
        let certificate = tls
            .certificate
            .given()
            .and_then(|path| self.existing_file(path, "certificate"));
        let key = tls.key.given().and_then(|path| self.existing_file(path, "key"));
        Some(TlsListener {
            listen: tls.listen.into_value()?,
            certificate: certificate?,
            key: key?,
        })
    }

    /// No two listeners want the same port of the same address; the admin listener stays inside.
    fn listeners(&mut self, listen: &[At<SocketAddr>], tls: &[At<file::Tls>], admin: &At<SocketAddr>) {
        let tls = tls.iter().filter_map(|listener| listener.value.listen.given());
        let public: Vec<&At<SocketAddr>> = listen.iter().chain(tls).collect();
        for (index, listener) in public.iter().enumerate() {
            let mut earlier = public.iter().take(index);
            if let Some(first) = earlier.find(|earlier| overlap(earlier.value, listener.value)) {
                let problem = Diagnostic::error(listener.at, "two listeners want the same address and port");
                self.report(problem.label("and this one").also(first.at, "this one"));
            }
        }
        if let Some(listener) = public.iter().find(|listener| overlap(listener.value, admin.value)) {
            let message = "the admin listener wants the same address and port as a public one";
            let problem = match admin.written() {
                Some(at) => Diagnostic::error(at, message).also(listener.at, "this one"),
                None => Diagnostic::error(listener.at, message).label(format!("`admin` is {} by default", admin.value)),
            };
            self.report(problem.help("give `admin` a port of its own"));
        }
        if !admin.value.ip().to_canonical().is_loopback() {
            let problem = Diagnostic::warning(admin.at, "the admin listener can be reached from other machines");
            self.report(problem.help("it asks for no credentials, and names people who were refused (`denials = 0` and `recent = { refusals = 0 }`: \
                 nobody): let only your monitoring reach it"));
        }
    }

    fn control(&mut self, path: &At<String>) -> Option<PathBuf> {
        let absolute = self.file_to_make(path, "control")?;
        if path.written().is_some() && absolute.as_os_str().len() > LONGEST_SOCKET_PATH {
            let problem = Diagnostic::error(path.at, "`control`: this path is too long for a socket");
            let help = format!("a socket's path has at most {LONGEST_SOCKET_PATH} bytes, the folder included");
            self.report(problem.help(help));
            return None;
        }
        Some(absolute)
    }

    /// Exact names: with a pattern, anybody could own one that fits.
    fn admin_hosts(&mut self, hosts: Vec<At<String>>) -> Vec<String> {
        self.unique_by("name", &hosts, |host| host.to_ascii_lowercase());
        for host in &hosts {
            let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            if host.value.is_empty() || host.value.starts_with('.') || !host.value.bytes().all(is_of_name) {
                let problem = Diagnostic::error(host.at, "`admin_hosts`: this is no host's name");
                self.report(problem.help(
                    "a name as it stands in the address, without scheme, port and wildcard: \"janua-1\". Addresses and \
                     localhost need not be named",
                ));
            }
        }
        hosts.into_iter().map(|host| host.value.to_ascii_lowercase()).collect()
    }

    /// A file that may be missing, its folder too.
    pub(super) fn file_to_make(&mut self, path: &At<String>, name: &str) -> Option<PathBuf> {
        let absolute = self.absolute(path, name)?;
        (path.written().is_none() || self.is_no_folder(path, name)).then_some(absolute)
    }

    /// A file that may be missing, in a folder that may not.
    pub(super) fn file_to_write(&mut self, path: &At<String>, name: &str) -> Option<PathBuf> {
        let absolute = self.absolute(path, name)?;
        if !self.is_no_folder(path, name) {
            return None;
        }
        if absolute.parent().is_some_and(|folder| !folder.is_dir()) {
            let problem = Diagnostic::error(path.at, format!("`{name}`: the folder of this file does not exist"));
            self.report(problem.help("make the folder; the file itself is made when it is written"));
            return None;
        }
        Some(absolute)
    }

    fn is_no_folder(&mut self, path: &At<String>, name: &str) -> bool {
        let is_folder = self.folder.join(&path.value).is_dir();
        if is_folder {
            self.report(Diagnostic::error(
                path.at,
                format!("`{name}`: this is a folder, not a file"),
            ));
        }
        !is_folder
    }
}

/// Would the second bind fail? Port 0 is another port each time; an unspecified address takes the port everywhere.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let same_family = a.is_ipv4() == b.is_ipv4();
    let everywhere = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || same_family && everywhere)
}

pub(super) fn values<T>(list: Vec<At<T>>) -> Vec<T> {
    list.into_iter().map(|item| item.value).collect()
}

#[cfg(test)]
mod tests {
    use super::overlap;

    #[test]
    fn listeners_overlap_when_the_second_bind_would_fail() {
        for (a, b, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("[::]:80", "[::1]:80", true),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("[::]:80", "127.0.0.1:80", false),
        ] {
            assert_eq!(overlap(a.parse().unwrap(), b.parse().unwrap()), expected, "{a} {b}");
        }
    }
}
