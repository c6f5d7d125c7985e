//! Opening redb's file: only its owner can read it, and errors say what to do.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use redb::{Builder, Database, DatabaseError, StorageError};

use crate::private_file::{folder_of, make_folder};
use crate::store::StoreError;

/// Bytes of redb's own cache. Its default of a gibibyte is meant for large databases.
pub(super) const CACHE: usize = 16 << 20;

/// Opens the file, or makes it (0600) and its folder (0700). An existing folder's mode is the operator's.
pub(super) fn file(path: &Path) -> Result<Database, StoreError> {
    if let Some(folder) = folder_of(path) {
        make_folder(folder).map_err(|source| StoreError::Folder {
            path: folder.to_owned(),
            source,
        })?;
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|source| StoreError::File {
            path: path.to_owned(),
            source,
        })?;
    if file.metadata().is_ok_and(|found| !found.is_file()) {
        return Err(StoreError::Damaged {
            path: path.to_owned(),
            detail: "it is no regular file".to_owned(),
        });
    }
    Builder::new()
        .set_cache_size(CACHE)
        .create_file(file)
        .map_err(|error| explain(path, error))
}

pub(super) fn explain(path: &Path, error: DatabaseError) -> StoreError {
    let path = path.to_owned();
    let detail = match error {
        DatabaseError::DatabaseAlreadyOpen => return StoreError::InUse { path },
        // redb tells a foreign file by its first bytes and reports that as InvalidData.
        DatabaseError::Storage(StorageError::Io(source)) if source.kind() == ErrorKind::InvalidData => {
            "it does not begin as one".to_owned()
        }
        // One that was cut off, on a full disk or by a copy that was stopped.
        DatabaseError::Storage(StorageError::Io(source)) if source.kind() == ErrorKind::UnexpectedEof => {
            "its end is missing".to_owned()
        }
        DatabaseError::Storage(StorageError::Io(source)) => return StoreError::File { path, source },
        DatabaseError::Storage(StorageError::Corrupted(detail)) => detail,
        other => other.to_string(),
    };
    StoreError::Damaged { path, detail }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn file_and_folder_belong_to_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/janua.redb");
        file(&path).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }

    #[test]
    fn a_second_opener_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("janua.redb");
        let _first = file(&path).unwrap();
        assert!(matches!(file(&path), Err(StoreError::InUse { .. })));
    }

    #[test]
    fn a_foreign_file_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("janua.redb");
        let text = b"this is somebody's letter, no database; long enough to have a header ".repeat(100);
        std::fs::write(&path, &text).unwrap();
        assert!(matches!(file(&path), Err(StoreError::Damaged { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), text);
    }

    #[test]
    fn a_folder_in_the_files_place_is_an_error_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let error = file(folder.path()).err().unwrap();
        assert!(
            error.to_string().contains(&folder.path().display().to_string()),
            "{error}"
        );
    }
}
