//! A look at redb's file that changes nothing of it: could a gateway that starts now work with it?

use std::path::Path;

use redb::backends::InMemoryBackend;
use redb::{Builder, DatabaseError, StorageBackend as _, StorageError};

use super::{access, open, shelf};
use crate::store::StoreError;

/// Bytes of a file that is repaired in memory for a look. Of a larger one only the beginning is looked at.
const MAX_COPIED: u64 = 64 << 20;

/// What there is in a state file's place.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    /// A whole one, or an empty file, which becomes one.
    Whole,
    /// One that was not closed, as after a crash; the next start repairs it.
    Unclosed,
}

/// Looks at an existing file.
///
/// # Errors
/// It cannot be read, another process has it, or it is damaged or something else.
pub(in crate::store) fn file(path: &Path) -> Result<Seen, StoreError> {
    let unreadable = |source| StoreError::File {
        path: path.to_owned(),
        source,
    };
    let found = path.metadata().map_err(unreadable)?;
    if !found.is_file() {
        return Err(StoreError::Damaged {
            path: path.to_owned(),
            detail: "it is no regular file".to_owned(),
        });
    }
    if found.len() == 0 {
        return Ok(Seen::Whole);
    }
    match Builder::new().set_cache_size(open::CACHE).open_read_only(path) {
        Ok(_) => Ok(Seen::Whole),
        Err(DatabaseError::RepairAborted) if found.len() > MAX_COPIED => Ok(Seen::Unclosed),
        Err(DatabaseError::RepairAborted) => {
            let bytes = std::fs::read(path).map_err(unreadable)?;
            repaired(path, &bytes)?;
            Ok(Seen::Unclosed)
        }
        Err(error) => Err(open::explain(path, error)),
    }
}

/// Opens a copy as a gateway opens the file.
fn repaired(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let copy = InMemoryBackend::new();
    let unreadable = |source| StoreError::File {
        path: path.to_owned(),
        source,
    };
    copy.set_len(bytes.len() as u64).map_err(unreadable)?;
    copy.write(0, bytes).map_err(unreadable)?;
    let database = Builder::new().set_cache_size(open::CACHE).create_with_backend(copy);
    let database = database.map_err(|error| match error {
        // What is in memory can only end too early.
        DatabaseError::Storage(StorageError::Io(_)) => StoreError::Damaged {
            path: path.to_owned(),
            detail: "its end is missing".to_owned(),
        },
        error => open::explain(path, error),
    })?;
    shelf::prepare(&database).map_err(|error| access("opened", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_files_place_is_seen_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("janua.redb");
        let seen = || {
            let before = std::fs::read(&path).unwrap();
            let seen = file(&path);
            assert_eq!(std::fs::read(&path).unwrap(), before);
            seen
        };
        std::fs::write(&path, "").unwrap();
        assert_eq!(seen().unwrap(), Seen::Whole);
        let open = open::file(&path).unwrap();
        shelf::prepare(&open).unwrap();
        let unclosed = std::fs::read(&path).unwrap();
        assert!(matches!(seen(), Err(StoreError::InUse { .. })));
        drop(open);
        assert_eq!(seen().unwrap(), Seen::Whole);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &unclosed).unwrap();
        assert_eq!(seen().unwrap(), Seen::Unclosed);
        let cut = unclosed[..unclosed.len() / 2].to_vec();
        for damaged in [
            cut,
            b"no database".to_vec(),
            whole[..7].to_vec(),
            whole[..600].to_vec(),
            whole[..5000].to_vec(),
        ] {
            std::fs::write(&path, &damaged).unwrap();
            let error = seen().unwrap_err();
            assert!(
                matches!(error, StoreError::Damaged { .. }),
                "{} bytes: {error}",
                damaged.len()
            );
        }
        assert!(matches!(file(folder.path()), Err(StoreError::Damaged { .. })));
    }
}
