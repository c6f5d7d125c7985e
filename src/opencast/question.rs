//! One question to Opencast's external API: how it is put, and what the answer says.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Answer, Failure, Opencast, SetupError, answer};
use crate::act::proxy::Attempts;
use crate::backchannel::BackchannelError;
use crate::config::{self, PublicUrl};
use crate::event::Question;
use crate::key_file;

const MAX_BODY: usize = 1 << 20;
/// RFC 3986 section 2.3: what needs no encoding.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

impl Opencast {
    /// `None`: it knows no such event or playlist, or no such event that its user may see.
    pub(super) async fn fetch(
        &self,
        question: Question,
        of: &str,
        public: &PublicUrl,
        host: &HeaderValue,
    ) -> Result<Option<Answer>, Failure> {
        let id = utf8_percent_encode(of, SEGMENT);
        let path = match question {
            Question::Acl => format!("/api/events/{id}/acl"),
            Question::Series => format!("/api/events/{id}"),
            Question::Playlist => format!("/api/playlists/{id}"),
        };
        let (status, body) = self.ask_servers(&path, public, host).await?;
        let unreadable = |why: String| Failure::Odd(format!("{path}: {why}"));
        match (status, question) {
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (StatusCode::OK, Question::Acl) => {
                let acl = answer::acl(&body).map_err(unreadable)?;
                Ok(Some(Answer::Acl(Arc::new(acl))))
            }
            (StatusCode::OK, Question::Series) => {
                let series = answer::series(&body, of).map_err(unreadable)?;
                Ok(Some(Answer::Series(series.map(Into::into))))
            }
            (StatusCode::OK, Question::Playlist) => {
                let playlist = answer::playlist(&body, of).map_err(unreadable)?;
                Ok(Some(Answer::Playlist(Arc::new(playlist))))
            }
            (StatusCode::UNAUTHORIZED, _) => Err(Failure::Odd(format!(
                "{path}: {status}; `username` and the password in `password_file` are not accepted"
            ))),
            // A playlist that its user may not read is no unknown one, as an event is.
            (StatusCode::FORBIDDEN, Question::Playlist) => Err(Failure::Odd(format!(
                "{path}: {status}; the user needs ROLE_API, ROLE_API_PLAYLISTS_VIEW and read access to every playlist"
            ))),
            (StatusCode::FORBIDDEN, _) => Err(Failure::Odd(format!(
                "{path}: {status}; the user needs ROLE_API, ROLE_API_EVENTS_VIEW and ROLE_API_EVENTS_ACL_VIEW"
            ))),
            (status, _) if status.is_redirection() => Err(Failure::Odd(format!(
                "{path}: {status}, which is not followed: it leads to a login page where the user is not taken, and to the \
                 server's own address where `servers` of the upstream name another"
            ))),
            (status, _) => Err(Failure::Odd(format!("{path}: {status}"))),
        }
    }

    /// Puts the questions about an event that nobody made, and about such a playlist if `playlists` says so, for `janua
    /// check`. Error, for people: the user may not ask, or what answers is no Opencast.
    pub async fn probe(&self, public: &PublicUrl, playlists: bool) -> Result<(), String> {
        let id = format!("janua-check-{:016x}", rand::random::<u64>());
        let host = self.host(public);
        let questions = [Question::Acl, Question::Series];
        for question in questions.into_iter().chain(playlists.then_some(Question::Playlist)) {
            match self.fetch(question, &id, public, &host).await {
                Ok(None) => {}
                Ok(Some(_)) => {
                    let what = if question == Question::Playlist {
                        "playlist"
                    } else {
                        "event"
                    };
                    return Err(format!(
                        "it knows the {what} {id}, which nobody made: is that an Opencast?"
                    ));
                }
                Err(failure) => return Err(failure.to_string()),
            }
        }
        Ok(())
    }

    /// Asks one server; another one if it gives no answer.
    async fn ask_servers(
        &self,
        path: &str,
        public: &PublicUrl,
        host: &HeaderValue,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let headers: HeaderMap = [
            (header::HOST, host.clone()),
            (header::AUTHORIZATION, self.credentials.clone()),
            (header::ACCEPT, HeaderValue::from_static("*/*")),
            // A 401 instead of the way to a login page.
            (
                HeaderName::from_static("x-requested-auth"),
                HeaderValue::from_static("Basic"),
            ),
            (
                HeaderName::from_static("x-forwarded-proto"),
                HeaderValue::from_static(if public.https { "https" } else { "http" }),
            ),
        ]
        .into_iter()
        .collect();
        let mut attempts = Attempts::default();
        let mut last = Failure::Away("no server to ask".to_owned());
        while let Ok(chosen) = self.upstream.choose(path, &mut attempts) {
            let Some(url) = chosen.server.url(path) else { break };
            let asked = self
                .backchannel
                .exchange(Method::GET, &url, headers.clone(), Bytes::new(), MAX_BODY);
            match asked.await {
                Ok(reply) => return Ok((reply.status, reply.body)),
                Err(error @ BackchannelError::TooLarge { .. }) => return Err(Failure::Odd(error.to_string())),
                Err(error) if error.is_unreachable() && matches!(last, Failure::Away(_)) => {
                    last = Failure::Away(error.to_string());
                }
                Err(error) => last = Failure::Unanswered(error.to_string()),
            }
        }
        Err(last)
    }

    /// The upstream's `host`, or what clients call this gateway.
    pub(super) fn host(&self, public: &PublicUrl) -> HeaderValue {
        let own = || {
            let origin = public.origin();
            let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
            HeaderValue::from_str(authority).unwrap_or(HeaderValue::from_static("localhost"))
        };
        self.upstream.host.clone().unwrap_or_else(own)
    }
}

/// RFC 7617 section 2, never shown by `Debug`.
pub(super) fn credentials(config: &config::Opencast) -> Result<HeaderValue, SetupError> {
    let password = key_file::password(&config.password_file)?;
    let pair = STANDARD.encode(format!("{}:{password}", config.username));
    let value = HeaderValue::from_str(&format!("Basic {pair}"));
    // Base64 is the value of a header always.
    let mut value = value.unwrap_or(HeaderValue::from_static("Basic"));
    value.set_sensitive(true);
    Ok(value)
}
