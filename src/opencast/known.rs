//! What is remembered of Opencast's answers: of which event or playlist, what, and until when.

use std::sync::Arc;
use std::time::Instant;

use http::HeaderValue;

use crate::event::{Acl, Events, Playlist, Question};

/// Longer ones are no identifiers.
const MAX_ID: usize = 256;

/// The tenant is chosen by the host that Opencast is called by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) host: Box<str>,
    pub(super) question: Question,
    /// Of the event or the playlist.
    pub(super) id: Box<str>,
}

impl Key {
    pub(super) fn new(host: &HeaderValue, question: Question, id: &str) -> Self {
        Self {
            host: host.to_str().unwrap_or_default().into(),
            question,
            id: id.into(),
        }
    }
}

/// The last good answer, if it may still be used, and when to ask for another.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) answer: Option<(Answer, Instant)>,
    pub(super) ask_again: Instant,
}

#[derive(Clone)]
pub(super) enum Answer {
    Acl(Arc<Acl>),
    Series(Option<Arc<str>>),
    Playlist(Arc<Playlist>),
}

impl Answer {
    /// Puts the answer into what is known for one request.
    pub(super) fn tell(self, id: &str, events: &mut Events) {
        match self {
            Self::Acl(acl) => events.add_acl(id.to_owned(), acl),
            Self::Series(series) => events.add_series(id.to_owned(), series),
            Self::Playlist(playlist) => events.add_playlist(id.to_owned(), playlist),
        }
    }

    /// About how many bytes it takes in memory.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Acl(acl) => acl.weight(),
            Self::Series(series) => series.as_deref().map_or(0, str::len),
            Self::Playlist(playlist) => playlist.weight(),
        }
    }
}

/// What there is to say of an event or a playlist that does not exist.
pub(super) fn nothing(question: Question) -> Answer {
    match question {
        Question::Acl => Answer::Acl(Arc::default()),
        Question::Series => Answer::Series(None),
        Question::Playlist => Answer::Playlist(Arc::default()),
    }
}

/// Could this be the identifier of an event or a playlist, and one segment of a path?
pub(super) fn sound(id: &str) -> bool {
    !matches!(id, "" | "." | "..") && id.len() <= MAX_ID && !id.contains(char::is_control)
}
