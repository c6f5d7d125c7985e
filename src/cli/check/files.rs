//! What the gateway reads and writes on this machine: keys and passwords, and the files that it makes. It is looked at as
//! the user that runs `janua check`, and nothing is made.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::process::geteuid;

use super::{Report, state};
use crate::config::{Config, State};
use crate::key_file::{self, Looking};

pub(super) fn check(config: &Config, report: &Report) {
    for open in key_file::open_files(config, Looking::Command) {
        match open.is_refused {
            true => report.bad("secrets", &open.to_string()),
            false => report.note("secrets", &open.to_string()),
        }
    }
    state::files(config, report);
    if let Some(file) = &config.log.file {
        tell(blocked(file).as_ref(), "log.file", report);
    }
    for opencast in &config.opencasts {
        let key = &opencast.sign_key_file;
        // Gateways that share a store need the same key: there it is not made.
        if !key.exists() && !matches!(config.state, State::Valkey(_)) {
            let setting = format!("opencast.{}.sign_key_file", opencast.name);
            tell(blocked(key).as_ref(), &setting, report);
        }
    }
    // Lectures are served without it too.
    if let Some(blocked) = blocked(&config.server.control) {
        let told = format!(
            "{}: `janua explain --live` and `janua revoke` will not work",
            blocked.why()
        );
        report.note("server.control", &told);
    }
}

/// What keeps this process from writing a file.
#[derive(Debug, PartialEq)]
pub(super) struct Blocked {
    file: PathBuf,
    /// The file itself, or what there is of the folders above it.
    pub(super) place: PathBuf,
    error: io::ErrorKind,
}

impl Blocked {
    fn tell(&self, setting: &str, report: &Report) {
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        let remedy = format!(
            "run the check as the gateway's user, let that user write there, or name another place (under systemd \
             \"/var/lib/janua/{name}\")"
        );
        report.bad(setting, &format!("{}; {remedy}", self.why()));
    }

    fn why(&self) -> String {
        let place = self.place.display();
        let user = geteuid().as_raw();
        let file = self.file.display();
        match self.error {
            io::ErrorKind::NotADirectory => format!("{file} cannot be made: {place} is no folder"),
            io::ErrorKind::ReadOnlyFilesystem => {
                format!("{file} cannot be written: {place} is on a read-only file system")
            }
            _ if self.place == self.file => format!("{file} cannot be read and written by this user (uid {user})"),
            _ => format!("{file} cannot be made: this user (uid {user}) may not write in {place}"),
        }
    }
}

pub(super) fn tell(blocked: Option<&Blocked>, setting: &str, report: &Report) {
    if let Some(blocked) = blocked {
        blocked.tell(setting, report);
    }
}

/// Could this process write the file, or make it with the folders above it?
pub(super) fn blocked(file: &Path) -> Option<Blocked> {
    let in_the_way = |place: &Path, error| {
        Some(Blocked {
            file: file.to_owned(),
            place: place.to_owned(),
            error,
        })
    };
    for place in file.ancestors() {
        let rights = match fs::metadata(place) {
            Ok(_) if place == file => Access::READ_OK | Access::WRITE_OK,
            Ok(found) if !found.is_dir() => return in_the_way(place, io::ErrorKind::NotADirectory),
            Ok(_) => Access::WRITE_OK | Access::EXEC_OK,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => continue,
            // A folder above it may not be entered: the next one up tells which.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => continue,
            Err(error) => return in_the_way(place, error.kind()),
        };
        return match access(place, rights) {
            Ok(()) => None,
            Err(error) => in_the_way(place, io::Error::from(error).kind()),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_of_a_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("plain"), "").unwrap();
        fs::create_dir(at("there")).unwrap();
        for fine in ["plain", "there/new", "new/below/state"] {
            assert_eq!(blocked(&at(fine)), None, "{fine}");
        }
        let found = blocked(&at("plain/below/state")).unwrap();
        assert_eq!(
            (found.place.clone(), found.error),
            (at("plain"), io::ErrorKind::NotADirectory)
        );
        assert!(found.why().ends_with("plain is no folder"), "{}", found.why());
    }
}
