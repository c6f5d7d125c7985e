//! `[signed_urls.<name>]`, and what routes say of signed addresses.

use std::path::PathBuf;

use url::Url;

use super::{Checker, Known, Names, every};
use crate::config::diagnostics::{Diagnostic, Span};
use crate::config::read::{At, Key, Named, OneOrMany};
use crate::config::{Action, Credential, Present, Sign, SignedUrlForm, SignedUrlKey, SignedUrls, file};

/// Bytes of a key's name: it stands in each address.
const LONGEST_ID: usize = 128;

/// What messages call a section.
const KIND: &str = "[signed_urls] table";

/// What a route says beside it.
pub(super) struct OfRoute<'a> {
    pub(super) accept: (&'a [Credential], Span),
    pub(super) present: &'a At<Present>,
    pub(super) action: Option<&'a Action>,
    /// Where the route begins.
    pub(super) place: Span,
}

impl Checker<'_> {
    /// The sections, and their names in the order of their indices, known even when something is wrong.
    pub(super) fn signed_urls(&mut self, Named(sections): Named<file::SignedUrls>) -> (Option<Vec<SignedUrls>>, Names) {
        let names = sections.iter().map(|(name, _)| name.clone()).collect();
        let compiled = every(
            sections
                .into_iter()
                .map(|(name, section)| self.signed_url(&name, section)),
        );
        (compiled, names)
    }

    fn signed_url(&mut self, name: &At<String>, section: file::SignedUrls) -> Option<SignedUrls> {
        let named = self.name(name);
        let form = section.form;
        let keys = section.keys.into_given().and_then(|keys| {
            self.not_empty(&keys, "keys", "without a key no address is good")?;
            let secrets: Vec<_> = keys
                .value
                .iter()
                .filter_map(|key| key.value.secret_file.given().cloned())
                .collect();
            self.unique("secret", &secrets);
            if let (SignedUrlForm::Wowza, [_, second, ..]) = (form.value, keys.value.as_slice()) {
                let problem = Diagnostic::error(second.at, "a second key of the form \"wowza\"");
                self.report(
                    problem
                        .also(form.at, "this")
                        .help("it has one key: these addresses are made, never checked"),
                );
            }
            every(keys.value.into_iter().map(|key| self.signed_url_key(key.value)))
        });
        if form.value == SignedUrlForm::Wowza {
            for (key, at) in [
                ("strict", section.strict.written()),
                ("leeway", section.leeway.written()),
            ] {
                if let Some(at) = at {
                    let problem = Diagnostic::error(at, format!("`{key}` means nothing with the form \"wowza\""));
                    self.report(problem.help("these addresses are made, never checked: remove this key"));
                }
            }
        }
        named?;
        Some(SignedUrls {
            name: name.value.as_str().into(),
            keys: keys?,
            strict: section.strict.value,
            leeway: section.leeway.value,
            form: form.value,
        })
    }

    fn signed_url_key(&mut self, key: file::SignedUrlKey) -> Option<SignedUrlKey> {
        let id = key.id.into_given().filter(|id| {
            let is_good =
                (1..=LONGEST_ID).contains(&id.value.len()) && id.value.bytes().all(|byte| byte.is_ascii_graphic());
            if !is_good {
                let problem = Diagnostic::error(id.at, "this cannot be the name of a key");
                self.report(problem.help(format!("1 to {LONGEST_ID} printable ASCII characters without blanks")));
            }
            is_good
        });
        let secret_file = key.secret_file.given();
        let secret_file: Option<PathBuf> = secret_file.and_then(|path| self.existing_file(path, "secret_file"));
        Some(SignedUrlKey {
            id: id?.value,
            secret_file: secret_file?,
        })
    }

    /// Indices of those whose signatures count on a route; `Some(None)`: all.
    pub(super) fn route_signed_urls(
        &mut self,
        named: Key<OneOrMany<String>>,
        route: &OfRoute<'_>,
        known: &Known,
    ) -> Option<Option<Vec<usize>>> {
        let (accept, accept_at) = route.accept;
        let takes = accept.contains(&Credential::SignedUrl);
        if takes && route.present.value == Present::MoodleToken {
            let problem = Diagnostic::error(accept_at, "\"signed-url\" on a route that calls Moodle for people");
            self.report(problem.help("a signed address is nobody's: remove it"));
        }
        let checks = |index: usize| {
            let form = known.signed_url_forms.get(index).copied().flatten();
            form.is_none_or(|form| form == SignedUrlForm::Opencast)
        };
        let named = match named {
            Key::Given(named) => named,
            Key::Bad => return None,
            Key::Absent => {
                if takes && !(0..known.signed_urls.len()).any(checks) {
                    let problem =
                        Diagnostic::error(accept_at, "signed addresses, but there is no key that could verify one");
                    self.report(problem.help(
                        "add [signed_urls.opencast] with keys = [{ id = \"demoKeyOne\", secret_file = \"secrets/stream-security\" }]",
                    ));
                }
                return Some(None);
            }
        };
        if !takes {
            let problem = Diagnostic::error(named.at, "signed addresses are not looked at here");
            self.report(problem.help("add \"signed-url\" to `accept`; what a route signs itself stands in `sign`"));
        }
        let list = At {
            at: named.at,
            value: named.value.0,
        };
        let help = "remove it for all, or name at least one";
        let indices = self.references(&list, ("signed_urls", KIND), &known.signed_urls, help)?;
        for (index, name) in indices.iter().zip(&list.value) {
            if !checks(*index) {
                let problem = Diagnostic::error(name.at, "addresses of the form \"wowza\" are made, never checked");
                self.report(problem.help("name one of the form \"opencast\""));
            }
        }
        Some(Some(indices))
    }

    /// `Some(None)`: the route signs nothing.
    pub(super) fn sign(&mut self, sign: Key<file::Sign>, route: &OfRoute<'_>, known: &Known) -> Option<Option<Sign>> {
        let answers = matches!(route.action, Some(Action::SignedRedirect));
        let presents = route.present.value == Present::SignedUrl;
        let sign = match sign {
            Key::Given(sign) => sign,
            Key::Bad => return None,
            Key::Absent => {
                if answers || presents {
                    let at = if answers { route.place } else { route.present.at };
                    let problem = Diagnostic::error(at, "an address is to be signed here, and nothing says how");
                    self.report(problem.help("add sign = { by = \"cdn\", base = \"https://cdn.example.edu\" }"));
                }
                return Some(None);
            }
        };
        if !answers && !presents && route.action.is_some() {
            let problem = Diagnostic::error(sign.at, "`sign` means nothing here");
            self.report(
                problem.help("add present = \"signed-url\" or respond = { signed = true }, or remove this key"),
            );
        }
        let sign = sign.value;
        if answers && sign.valid.written().is_none() {
            let problem = Diagnostic::error(
                sign.place,
                "how long is the address good for to which the client is sent?",
            );
            self.report(problem.help("add valid = \"2h\": a video is played from that address to its end"));
        }
        let by = sign.by.given();
        let by = by.and_then(|by| self.reference(by, KIND, &known.signed_urls));
        let base = sign.base.given().and_then(|base| self.signed_base(base));
        Some(Some(Sign {
            by: by?,
            base: base?,
            valid: sign.valid.value,
            client: sign.client,
        }))
    }

    fn signed_base(&mut self, base: &At<String>) -> Option<String> {
        let is_plain = |url: &Url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        };
        let bare = base.value.trim_end_matches('/');
        let is_written_so = |url: &Url| url.as_str().trim_end_matches('/') == bare;
        if Url::parse(&base.value).is_ok_and(|url| is_plain(&url) && is_written_so(&url)) {
            return Some(bare.to_owned());
        }
        let problem = Diagnostic::error(base.at, "`base` is not the beginning of an address");
        self.report(
            problem.help(
                "write \"https://cdn.example.edu\", or with a folder: lower case, without default port and query",
            ),
        );
        None
    }
}
