//! The tables below `[moodle.<name>]` that belong to one source of tokens each, and what no other setting may make of what
//! they name.

use std::sync::Arc;

use url::Url;

use super::{Checker, Known, Names};
use crate::config::cas::{Protocol, RoleRule};
use crate::config::diagnostics::{Diagnostic, Span};
use crate::config::file;
use crate::config::net::is_loopback;
use crate::config::read::{At, Key};
use crate::config::{Bearer, ClearPass, LoginPlugin, Moodle, MoodleSource, OidcLaunch, Page, SignIn};

impl Checker<'_> {
    /// The table of a source: there if the source is among `tokens`, and only then. `Some(None)`: it is not.
    pub(super) fn of_source<T>(
        &mut self,
        table: Key<T>,
        (source, key, example): (MoodleSource, &str, &str),
        (tokens, place): (&[MoodleSource], Span),
    ) -> Option<Option<At<T>>> {
        match (table, tokens.contains(&source)) {
            (Key::Absent, false) => Some(None),
            (Key::Bad, _) => None,
            (Key::Given(given), false) => {
                let message = format!("`{key}` means nothing without \"{}\" in `tokens`", source.label());
                let problem = Diagnostic::error(given.at, message);
                self.report(problem.help("remove this key, or add the source"));
                None
            }
            (table, true) => self.required(table, key, place, example).map(Some),
        }
    }

    pub(super) fn token_attribute(
        &mut self,
        attribute: Key<file::TokenAttribute>,
        tokens: Option<&[MoodleSource]>,
        place: Span,
    ) -> Option<Option<String>> {
        let example = "attribute = { name = \"moodleToken\" }, with the attribute or claim that is a person's token";
        let of = (MoodleSource::Attribute, "attribute", example);
        let Some(attribute) = self.of_source(attribute, of, (tokens?, place))? else {
            return Some(None);
        };
        let name = attribute.value.name.into_given()?;
        self.attribute_name(&name).map(Some)
    }

    pub(super) fn clearpass(
        &mut self,
        clearpass: Key<file::ClearPass>,
        tokens: Option<&[MoodleSource]>,
        place: Span,
    ) -> Option<Option<ClearPass>> {
        let example =
            "clearpass = { key_file = \"secrets/clearpass.pem\" }, the private key for which CAS encrypts passwords";
        let of = (MoodleSource::ClearPass, "clearpass", example);
        let Some(clearpass) = self.of_source(clearpass, of, (tokens?, place))? else {
            return Some(None);
        };
        let message = "the gateway reads the password of everybody who signs in, and sends it to Moodle";
        let problem = Diagnostic::warning(clearpass.at, message);
        self.report(problem.help("whoever rules this machine can read along: prefer a source that needs no password"));
        let key_file = clearpass.value.key_file.given();
        let key_file = key_file.and_then(|path| self.existing_file(path, "key_file"));
        let attribute = self.attribute_name(&clearpass.value.attribute);
        Some(Some(ClearPass {
            key_file: key_file?,
            attribute: attribute?,
        }))
    }

    pub(super) fn token_page(
        &mut self,
        page: Key<file::TokenPage>,
        tokens: Option<&[MoodleSource]>,
        place: Span,
    ) -> Option<Option<Page>> {
        let example =
            "[moodle.<name>.page] with url = \"https://portal.example.edu/moodle-token\" and token = \"/token\"";
        let of = (MoodleSource::Page, "page", example);
        let Some(page) = self.of_source(page, of, (tokens?, place))? else {
            return Some(None);
        };
        let page = page.value;
        let url = page.url.given().and_then(|url| self.page_url(url));
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let is_parameter = !page.parameter.value.is_empty() && page.parameter.value.bytes().all(is_plain);
        if !is_parameter {
            let problem = Diagnostic::error(page.parameter.at, "`parameter`: this cannot be the name of a parameter");
            self.report(problem.help("letters, digits, `_`, `-` and `.`"));
        }
        let token = page.token.given().and_then(|pointer| self.pointer(pointer, "token"));
        let username = page.username.checked(|pointer| self.pointer(&pointer, "username"));
        let ca_file = page.ca_file.checked(|path| self.existing_file(&path, "ca_file"));
        if page.forward_bearer_token.value {
            let message = "access tokens of people are sent to this page, which can call with them wherever they count";
            let problem = Diagnostic::warning(page.forward_bearer_token.at, message);
            self.report(problem.help(
                "the page must be one of the audience of the tokens (`aud`), check each of them itself, and hand them to nobody",
            ));
        }
        Some(Some(Page {
            url: url?,
            method: page.method,
            parameter: is_parameter.then_some(page.parameter.value)?,
            token: token?,
            username: username?,
            forward_bearer_token: page.forward_bearer_token.value,
            back_ends: page.back_ends,
            outgoing: self.outgoing(ca_file?),
        }))
    }

    /// `Some(None)`: the source is not among `tokens`. Every key has a default, so the table need not be there.
    pub(super) fn oidc_launch(
        &mut self,
        written: Key<file::OidcLaunch>,
        tokens: Option<&[MoodleSource]>,
    ) -> Option<Option<OidcLaunch>> {
        let source = MoodleSource::OidcLaunch;
        if !tokens?.contains(&source) {
            return written.checked(|written| {
                let message = format!("`oidc_launch` means nothing without \"{}\" in `tokens`", source.label());
                let problem = Diagnostic::error(written.at, message);
                self.report(problem.help("remove this key, or add the source"));
                None
            });
        }
        let written = written.or_empty()?;
        let provider = written.provider.checked(|url| self.provider_url(&url, "provider"));
        let issuer_at = written.issuer_id.given().map(|id| id.at);
        let plugin = written.plugin.checked(|plugin| Some(plugin.value));
        if let (Some(at), Some(Some(LoginPlugin::Oidc))) = (issuer_at, plugin) {
            let problem = Diagnostic::error(
                at,
                "`issuer_id` is for \"auth_oauth2\": \"auth_oidc\" has one provider alone",
            );
            self.report(problem.help("remove one of the two keys"));
        }
        let issuer_id = written.issuer_id.checked(|id| {
            if id.value == 0 {
                let problem = Diagnostic::error(id.at, "`issuer_id`: Moodle has no service of this id");
                self.report(problem.help("the login page of Moodle links to /auth/oauth2/login.php?id=…: that number"));
            }
            (id.value != 0).then_some(id.value)
        });
        Some(Some(OidcLaunch {
            provider: provider?,
            plugin: plugin?,
            issuer_id: issuer_id?,
        }))
    }

    /// A CAS server has no authorization endpoint that the gateway knows of.
    pub(super) fn provider_of_cas(&mut self, sign_in_at: Span, oidc_launch: &OidcLaunch) {
        if oidc_launch.provider.is_none() {
            let message = "\"oidc-launch\" needs to know the provider at which people log in to Moodle";
            let problem = Diagnostic::error(sign_in_at, message).label("this one is by CAS");
            self.report(problem.help(
                "name a sign-in by OpenID Connect or OAuth 2.0, or write oidc_launch = { provider = \"https://idp.example.edu\" }",
            ));
        }
    }

    fn page_url(&mut self, url: &At<String>) -> Option<Url> {
        let good = Url::parse(&url.value).ok().filter(|parsed| {
            let is_local = parsed.scheme() == "http" && parsed.host_str().is_some_and(is_loopback);
            let is_bare = parsed.fragment().is_none() && parsed.username().is_empty() && parsed.password().is_none();
            (parsed.scheme() == "https" || is_local) && parsed.has_host() && is_bare
        });
        if good.is_none() {
            let problem = Diagnostic::error(url.at, "`url`: this cannot be the page's address");
            self.report(problem.help("https, or http to this machine; it answers with people's tokens"));
        }
        good
    }

    fn pointer(&mut self, pointer: &At<String>, key: &str) -> Option<String> {
        let text = &pointer.value;
        // RFC 6901 section 3: `~` stands before 0 or 1 alone.
        let is_escaped = text.split('~').skip(1).all(|behind| behind.starts_with(['0', '1']));
        let is_pointer = text.starts_with('/') && is_escaped;
        if !is_pointer {
            let problem = Diagnostic::error(pointer.at, format!("`{key}`: this is no JSON pointer"));
            self.report(problem.help("\"/data/token\" is `token` in the object `data` (RFC 6901)"));
        }
        is_pointer.then(|| text.clone())
    }

    /// Tells the sign-ins by CAS which attributes are used once, and kept no more.
    fn once_of_sign_ins(&mut self, sign_ins: &mut [SignIn], moodles: &[Moodle], names: &Names) {
        for moodle in moodles {
            Self::access_tokens_of_sign_ins(sign_ins, moodle);
            let sign_in = sign_ins.get_mut(moodle.sign_in);
            let Some(cas) = sign_in.and_then(|sign_in| sign_in.provider.as_cas_mut()) else {
                continue;
            };
            cas.proxies |= moodle.page.is_some();
            cas.proxies_back_ends |= moodle.page.as_ref().is_some_and(|page| page.back_ends);
            let unable = match cas.protocol {
                Protocol::Cas1 if moodle.page.is_some() => {
                    Some("\"page\" needs protocol = 2 or 3: CAS 1 knows no proxy tickets")
                }
                Protocol::Cas1 | Protocol::Cas2 if moodle.clearpass.is_some() => {
                    Some("\"clearpass\" needs protocol = 3: no other tells passwords")
                }
                _ => None,
            };
            if let Some((why, name)) = unable.zip(names.get(moodle.sign_in)) {
                let problem = Diagnostic::error(name.at, format!("moodle.{}: {why}", moodle.name));
                self.report(problem.help("remove `protocol`, or the source"));
            }
            let Some(clearpass) = &moodle.clearpass else { continue };
            if !cas.once.contains(&clearpass.attribute) {
                cas.once.push(clearpass.attribute.clone());
            }
        }
    }

    /// Tells the sign-ins of a Moodle's people that its page is shown their access tokens.
    fn access_tokens_of_sign_ins(sign_ins: &mut [SignIn], moodle: &Moodle) {
        let people = sign_ins.get(moodle.sign_in).map(|sign_in| Arc::clone(&sign_in.people));
        let forwards = moodle.page.as_ref().is_some_and(|page| page.forward_bearer_token);
        for sign_in in sign_ins {
            if forwards && Some(&sign_in.people) == people.as_ref() {
                sign_in.provider.hand_on_access_tokens();
            }
        }
    }

    /// Attributes that no server tells, or that nothing is made of.
    fn attribute_name(&mut self, name: &At<String>) -> Option<String> {
        let is_told = !name.value.trim().is_empty() && name.value != "user";
        if !is_told {
            let problem = Diagnostic::error(name.at, "this cannot be an attribute with a secret");
            self.report(problem.help("name the attribute or claim as the sign-in server calls it"));
        }
        is_told.then(|| name.value.clone())
    }

    /// What Moodles want of sign-ins and bearers, and that nothing else is made of it.
    pub(super) fn asked_for_moodles(
        &mut self,
        (sign_ins, bearers): (&mut [SignIn], &mut [Bearer]),
        moodles: &[Moodle],
        known: &Known,
    ) {
        Self::asked_of_bearers(bearers, moodles, &known.people);
        self.once_of_sign_ins(sign_ins, moodles, &known.sign_ins);
        let others = Others {
            sign_ins,
            bearers,
            known,
        };
        self.secrets_in_view(moodles, others);
    }

    /// Nothing that is shown to anybody may be made of an attribute that is a secret.
    fn secrets_in_view(&mut self, moodles: &[Moodle], others: Others<'_>) {
        for moodle in moodles {
            let Some(people) = others.sign_ins.get(moodle.sign_in).map(|sign_in| &sign_in.people) else {
                continue;
            };
            for secret in moodle.secret_attributes() {
                for (at, key) in others.uses(secret, people, moodles) {
                    let message = format!(
                        "{key} is made of an attribute that is a secret of moodle.{}",
                        moodle.name
                    );
                    let problem = match at {
                        Some(at) => Diagnostic::error(at, message),
                        None => Diagnostic::error_nowhere(message),
                    };
                    self.report(problem.help("name another attribute there: names and roles are shown"));
                }
            }
        }
    }
}

/// What else may be made of people's attributes.
#[derive(Clone, Copy)]
struct Others<'a> {
    sign_ins: &'a [SignIn],
    bearers: &'a [Bearer],
    known: &'a Known,
}

impl Others<'_> {
    /// Where an attribute of these people becomes a name or a role: the section, if it is known where that stands, and the key.
    fn uses(&self, attribute: &str, people: &str, moodles: &[Moodle]) -> Vec<(Option<Span>, String)> {
        let mut found = Vec::new();
        let mut add = |names: &Names, section: &str, name: &str, username: &str, roles: &[RoleRule]| {
            let at = names.iter().find(|known| known.value == name).map(|known| known.at);
            if username == attribute {
                found.push((at, format!("{section}.{name}: `username`")));
            }
            if roles.iter().any(|rule| rule.attribute.as_deref() == Some(attribute)) {
                found.push((at, format!("{section}.{name}: a role")));
            }
        };
        for sign_in in self.sign_ins.iter().filter(|sign_in| &*sign_in.people == people) {
            let username = sign_in.provider.username();
            add(&self.known.sign_ins, "sign_in", &sign_in.name, username, &sign_in.roles);
        }
        for bearer in self
            .bearers
            .iter()
            .filter(|bearer| bearer.people.as_deref() == Some(people))
        {
            add(
                &self.known.bearers,
                "bearer",
                &bearer.name,
                &bearer.username,
                &bearer.roles,
            );
        }
        let is_theirs = |moodle: &&Moodle| {
            let of = self.sign_ins.get(moodle.sign_in);
            of.is_some_and(|sign_in| &*sign_in.people == people)
        };
        for moodle in moodles.iter().filter(is_theirs) {
            if moodle.username.attribute() == Some(attribute) {
                found.push((None, format!("moodle.{}: `username`", moodle.name)));
            }
        }
        found
    }
}
