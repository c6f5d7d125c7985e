//! What the gateway reads and writes on this machine: keys and passwords, and the files that it makes. It is looked at as
//! the user that runs `janua check`, and nothing is made.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::{Report, state};
use crate::config::{Action, Config, Masked};
use crate::control::{self, ControlError};
use crate::key_file::{self, Looking};
use crate::respond::fixed;

pub(super) fn check(config: &Config, report: &Report) {
    for open in key_file::open_files(config, Looking::Command) {
        match open.is_refused {
            true => report.bad("secrets", &open.to_string()),
            false => report.note("secrets", &open.to_string()),
        }
    }
    state::files(config, report);
    if let Some(file) = &config.log.file {
        log_file(file, report);
        let folder = file.parent().filter(|_| config.log.rotate.is_some());
        if folder.is_some_and(|folder| access(folder, Access::WRITE_OK | Access::EXEC_OK).is_err()) {
            let told = "its folder cannot be written by this user: no new file can be begun, and the log grows on";
            report.note("log.rotate", told);
        }
    }
    if config.log.mask.contains(&Masked::Subject) && config.state.key_file().is_none() {
        let told = "the key of the digests is made anew at each start, since state.store is \"memory\"";
        report.note("log.mask", told);
    }
    for opencast in &config.opencasts {
        let key = &opencast.sign_key_file;
        // Gateways that share a store need the same key: there it is not made.
        if !key.exists() && config.state.valkey().is_none() {
            let setting = format!("opencast.{}.sign_key_file", opencast.name);
            match dangling(key) {
                Some(told) => report.bad(&setting, &told),
                None => tell(blocked(key).as_ref(), &setting, report),
            }
        }
    }
    for route in &config.routes {
        if let Action::Respond(respond) = &route.action
            && let Err(error) = fixed::fixed(respond)
        {
            report.bad(&format!("route {} respond", route.name), &error.to_string());
        }
    }
    if let Err(error @ ControlError::NotASocket { .. }) = control::place(&config.server.control) {
        report.bad("server.control", &error.to_string());
    }
    // Lectures are served without it too.
    else if let Some(blocked) = blocked(&config.server.control) {
        let told = format!(
            "{}: `janua explain --live` and `janua revoke` will not work",
            blocked.why()
        );
        report.note("server.control", &told);
    }
}

/// The log is made if it is not there, but no folder is. A FIFO is for another program, which must read it already.
fn log_file(file: &Path, report: &Report) {
    let setting = "log.file";
    // `/dev/stdout` is what it is here, not where the gateway runs.
    let is_fifo = fs::metadata(file).is_ok_and(|found| found.file_type().is_fifo());
    if is_fifo && !file.starts_with("/dev") {
        // To open it would be seen at its other end.
        let told = format!(
            "{} is a FIFO: the gateway starts only while a program reads it",
            file.display()
        );
        report.note(setting, &told);
    }
    match dangling(file).filter(|_| !leads_into_a_folder(file)) {
        Some(told) => report.bad(setting, &told),
        None => tell(blocked(file).as_ref(), setting, report),
    }
}

/// Of a link that leads to nothing, where it leads and what to do about it.
pub(super) fn dangling(path: &Path) -> Option<String> {
    let target = path.read_link().ok()?;
    let error = fs::metadata(path).err()?;
    let (link, target) = (path.display(), target.display());
    (error.kind() == io::ErrorKind::NotFound)
        .then(|| format!("{link} is a link to {target}, which is not there: mount it, or name the file itself"))
}

/// Could what a link leads to be made there?
fn leads_into_a_folder(link: &Path) -> bool {
    let mut path = link.to_owned();
    // No file is looked for behind more links than that (path_resolution(7)).
    for _ in 0..40 {
        let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
        match path.read_link() {
            Ok(target) => path = folder.join(target),
            Err(_) => return folder.is_dir(),
        }
    }
    false
}

/// What keeps this process from writing a file.
#[derive(Debug, PartialEq)]
pub(super) struct Blocked {
    file: PathBuf,
    /// The file itself, or what there is of the folders above it.
    pub(super) place: PathBuf,
    why: Why,
}

#[derive(Debug, PartialEq)]
enum Why {
    NoFolder,
    ReadOnly,
    /// A link that leads to itself.
    Circle,
    /// A folder that this user may not even look into.
    Closed,
    Rights,
    Other(io::ErrorKind),
}

impl From<io::Error> for Why {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotADirectory => Self::NoFolder,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            io::ErrorKind::PermissionDenied => Self::Rights,
            _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => Self::Circle,
            other => Self::Other(other),
        }
    }
}

impl Blocked {
    fn tell(&self, setting: &str, report: &Report) {
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        let remedy = match self.why {
            Why::Circle => "correct the link, or name the file itself".to_owned(),
            _ => format!(
                "run the check as the gateway's user, let that user write there, or name another place (under systemd \
                 \"/var/lib/janua/{name}\")"
            ),
        };
        report.bad(setting, &format!("{}; {remedy}", self.why()));
    }

    fn why(&self) -> String {
        let place = self.place.display();
        let user = geteuid().as_raw();
        let file = self.file.display();
        match self.why {
            Why::NoFolder => format!("{file} cannot be made: {place} is no folder"),
            Why::ReadOnly => format!("{file} cannot be written: {place} is on a read-only file system"),
            Why::Circle if self.place == self.file => format!("{file} is a link that leads to itself"),
            Why::Circle => format!("{file} cannot be reached: {place} is a link that leads to itself"),
            Why::Closed => format!("{file} cannot be looked at: this user (uid {user}) may not enter {place}"),
            Why::Other(error) => format!("{file} cannot be reached: {place}: {error}"),
            Why::Rights if self.place == self.file => {
                format!("{file} cannot be read and written by this user (uid {user})")
            }
            Why::Rights => format!("{file} cannot be made: this user (uid {user}) may not write in {place}"),
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
    let in_the_way = |place: &Path, why| {
        Some(Blocked {
            file: file.to_owned(),
            place: place.to_owned(),
            why,
        })
    };
    let mut is_closed = false;
    for place in file.ancestors() {
        let rights = match fs::metadata(place) {
            Ok(_) if place == file => Access::READ_OK | Access::WRITE_OK,
            Ok(found) if !found.is_dir() => return in_the_way(place, Why::NoFolder),
            Ok(_) if is_closed && access(place, Access::EXEC_OK).is_err() => return in_the_way(place, Why::Closed),
            Ok(_) => Access::WRITE_OK | Access::EXEC_OK,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => continue,
            // A folder above it may not be entered: the next one up tells which.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                is_closed = true;
                continue;
            }
            Err(error) => match Why::from(error) {
                // The link is further up.
                Why::Circle if !place.is_symlink() => continue,
                why => return in_the_way(place, why),
            },
        };
        return match access(place, rights) {
            Ok(()) => None,
            Err(error) => in_the_way(place, io::Error::from(error).into()),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_to_nothing_is_followed_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (link, target, is_made) in [
            ("near", "log", true),
            ("far", "nowhere/log", false),
            ("over", "far", false),
            ("again", "near", true),
        ] {
            symlink(target, at(link)).unwrap();
            assert!(
                dangling(&at(link))
                    .unwrap()
                    .contains(&format!("is a link to {target}, "))
            );
            assert_eq!(leads_into_a_folder(&at(link)), is_made, "{link}");
        }
        symlink("circle", at("circle")).unwrap();
        assert_eq!(
            (dangling(&at("circle")), leads_into_a_folder(&at("circle"))),
            (None, false)
        );
        assert_eq!(dangling(&at("none")), None);
    }

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
        assert_eq!((&found.place, &found.why), (&at("plain"), &Why::NoFolder));
        assert!(found.why().ends_with("plain is no folder"), "{}", found.why());
        symlink("circle", at("circle")).unwrap();
        for (file, told) in [
            ("circle", "circle is a link that leads to itself"),
            ("circle/below", "circle is a link that leads to itself"),
        ] {
            let found = blocked(&at(file)).unwrap();
            assert!(found.why().ends_with(told), "{}", found.why());
        }
    }
}
