//! Files that the gateway makes for its own user alone: keys, the store, the control socket.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// The folder of a file, if its path names one.
pub fn folder_of(path: &Path) -> Option<&Path> {
    path.parent().filter(|folder| !folder.as_os_str().is_empty())
}

/// Makes a folder with mode 0700, and those above it. The mode of one that is there is the operator's.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes a file with mode 0600, and its folder. The file is whole or not there at all: it is written beside its place, then
/// linked there. False: another process was faster, and its file stays.
pub fn make(path: &Path, content: &[u8]) -> io::Result<bool> {
    folder_of(path).map_or(Ok(()), make_folder)?;
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    let made = write_new(&beside, 0o600, content).and_then(|()| fs::hard_link(&beside, path));
    fs::remove_file(&beside).ok();
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        made => made.map(|()| true),
    }
}

/// Writes a file that must not exist yet; it is on disk when this returns.
pub fn write_new(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}
