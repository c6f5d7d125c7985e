//! Which route: one canonical path, then the most specific host, path and method.

pub mod path;
pub mod table;

use crate::rejection::{Hint, Reason, Rejection};

use self::path::PathError;
use self::table::Miss;

impl From<PathError> for Rejection {
    fn from(error: PathError) -> Self {
        let reason = match error {
            PathError::TooLong => Reason::PathTooLong,
            _ => Reason::BadPath,
        };
        Self::because(reason, error.to_string())
    }
}

impl From<Miss> for Rejection {
    fn from(miss: Miss) -> Self {
        match miss {
            Miss::UnknownHost => Self::new(Reason::UnknownHost),
            Miss::NoRoute => Self::new(Reason::NoRoute),
            Miss::Method(methods) => Self::new(Reason::MethodNotAllowed).with_hint(Hint::Allow(methods)),
        }
    }
}
