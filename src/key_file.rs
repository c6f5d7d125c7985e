//! Files that hold secrets: passwords as they are read, and who beside the gateway could read, change or replace each.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use p256::SecretKey;
use p256::pkcs8::DecodePrivateKey as _;
use rustix::process::{getegid, geteuid};
use thiserror::Error;

use crate::config::Config;
use crate::text::without_mark;

/// Read, write or search permission for everybody.
const OTHERS: u32 = 0o007;
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
/// In such a folder everybody replaces their own files only.
const STICKY: u32 = 0o1000;

/// Bytes of a password file.
const LONGEST_PASSWORD: u64 = 64 << 10;

/// Why there is no password. The text begins with the file and has a remedy; it never quotes what stands there.
#[derive(Debug, Error)]
pub enum PasswordError {
    #[error("{path} cannot be read ({source}): let the gateway's user read it, or name another file")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path} is no regular file: name one with the password alone")]
    Irregular { path: PathBuf },
    #[error("{path} holds no password: put the password alone into it, as one line")]
    Empty { path: PathBuf },
    #[error("{path} is no text in UTF-8: put the password alone into it, as one line of text")]
    NoText { path: PathBuf },
    #[error("{path} is longer than 64 KiB: put the password alone into it, as one line")]
    TooLong { path: PathBuf },
}

/// A P-256 key in PEM: PKCS#8, or SEC 1 (RFC 5915), as `openssl ecparam -genkey` writes it behind its parameters.
pub fn p256(pem: &str) -> Option<SecretKey> {
    let pem = pem.trim_start_matches('\u{feff}');
    let sec1 = || {
        let begin = pem.find("-----BEGIN EC PRIVATE KEY-----")?;
        SecretKey::from_sec1_pem(pem.get(begin..)?).ok()
    };
    SecretKey::from_pkcs8_pem(pem).ok().or_else(sec1)
}

/// The password in a file, without the line's end and the mark of Windows' editors; never an empty one.
pub fn password(path: &Path) -> Result<String, PasswordError> {
    let at = || path.to_owned();
    let unreadable = |source| PasswordError::Unreadable { path: at(), source };
    // A FIFO would be waited for.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(PasswordError::Irregular { path: at() });
    }
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(LONGEST_PASSWORD + 1).read_to_end(&mut bytes));
    if read.map_err(unreadable)? as u64 > LONGEST_PASSWORD {
        return Err(PasswordError::TooLong { path: at() });
    }
    let text = std::str::from_utf8(without_mark(&bytes)).map_err(|_| PasswordError::NoText { path: at() })?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(PasswordError::Empty { path: at() }),
        password => Ok(password.to_owned()),
    }
}

/// A file with a secret that is not the gateway's alone.
#[derive(Debug, Error)]
#[error("{key}: {fault}")]
pub struct OpenFile {
    key: String,
    fault: Fault,
    /// `janua check` refuses it: a master key or a password that others can get at. A warning is enough for other keys, which
    /// other programs use too, and for an owner who may be meant.
    pub is_refused: bool,
}

#[derive(Debug, Error)]
enum Fault {
    #[error(
        "{path} is open to everybody (mode {mode:04o}): chmod 600 it, or 640 for a group; a Kubernetes secret wants \
         `defaultMode: 0400` and the pod an fsGroup"
    )]
    Everybody { path: PathBuf, mode: u32 },
    #[error("{path} can be changed by its group (mode {mode:04o}): chmod 600 it, or 640 for a group that reads it")]
    Group { path: PathBuf, mode: u32 },
    #[error(
        "{path} belongs to uid {owner}, {}, and can be read and changed there: chown it, or run this as that user",
        not_one_of(*own)
    )]
    Owner { path: PathBuf, owner: u32, own: u32 },
    #[error(
        "{path} can be replaced by everybody: its folder {folder} is open to everybody (mode {mode:04o}): chmod o-w it"
    )]
    Folder { path: PathBuf, folder: PathBuf, mode: u32 },
    #[error(
        "{path} can be replaced by the group {group} of its folder {folder}, which may write there (mode {mode:04o}): \
         chmod g-w the folder"
    )]
    FolderOfGroup {
        path: PathBuf,
        folder: PathBuf,
        group: u32,
        mode: u32,
    },
}

fn not_one_of(own: u32) -> String {
    match own {
        0 => "not to root, who runs this".to_owned(),
        own => format!("neither root nor the user that runs this (uid {own})"),
    }
}

/// Who looks at the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looking {
    /// The gateway's process itself.
    Gateway,
    /// A command. Root may run it for a gateway that has a user of its own: whose the file's folder is, or what the gateway
    /// writes itself, theirs may the file be.
    Command,
}

/// Whose what the gateway writes on this machine is: its control socket, state and log, and their folders.
fn writers(config: &Config) -> HashSet<u32> {
    let control = Some(config.server.control.as_path());
    let files = [control, config.state.file(), config.log.file.as_deref()];
    let places = files.into_iter().flatten().flat_map(|file| [Some(file), file.parent()]);
    let owners = places.flatten().filter_map(|place| fs::symlink_metadata(place).ok());
    owners.map(|found| found.uid()).collect()
}

/// What is wrong with all such files that the configuration names. A file that is not there yet is judged by its folder.
pub fn open_files(config: &Config, looking: Looking) -> Vec<OpenFile> {
    let own = geteuid().as_raw();
    let writers = match (looking, own) {
        (Looking::Command, 0) => writers(config),
        _ => HashSet::new(),
    };
    let mut folders = HashSet::new();
    let mut found = Vec::new();
    let mut named = named(config);
    // A folder is told with the gravest that lies in it.
    named.sort_by_key(|(.., is_secret)| !is_secret);
    for (key, path, is_secret) in named {
        // A volume of Kubernetes is the group's of the gateway (fsGroup), which writes there by it.
        let spared = (!is_secret).then(|| getegid().as_raw());
        let faults = of_file(path, own, looking)
            .into_iter()
            .filter(|fault| !matches!(fault, Fault::Owner { owner, .. } if writers.contains(owner)))
            .chain(of_folders(path, spared, &mut folders));
        found.extend(faults.map(|fault| OpenFile {
            key: key.clone(),
            is_refused: is_secret && !matches!(fault, Fault::Owner { .. }),
            fault,
        }));
    }
    found
}

/// Tells of them in the log. A gateway that has the configuration already is not kept from running by it.
pub fn tell(found: &[OpenFile]) {
    for open in found {
        match open.is_refused {
            true => tracing::error!("{open}"),
            false => tracing::warn!("{open}"),
        }
    }
}

/// Each file, with the key that names it, and whether it is the gateway's alone: a master key or a password.
fn named(config: &Config) -> Vec<(String, &Path, bool)> {
    let mut named: Vec<(String, &Path, bool)> = Vec::new();
    let state = &config.state;
    let password = state.valkey().and_then(|valkey| valkey.password_file.as_deref());
    for (key, path, is_secret) in [
        ("state.key_file", state.key_file(), true),
        ("state.path", state.file(), false),
        ("state.password_file", password, true),
    ] {
        named.extend(path.map(|path| (key.to_owned(), path, is_secret)));
    }
    let proxy = config.proxy.as_ref();
    if let Some(path) = proxy.and_then(|proxy| proxy.password_file.as_deref()) {
        named.push(("outgoing.password_file".to_owned(), path, true));
    }
    let matomo = config.statistics.as_ref().and_then(|told| told.matomo.as_ref());
    if let Some(matomo) = matomo {
        named.push(("statistics.matomo.token_file".to_owned(), &matomo.token_file, true));
    }
    for opencast in &config.opencasts {
        let key = |key| format!("opencast.{}.{key}", opencast.name);
        named.push((key("password_file"), &opencast.password_file, true));
        named.push((key("sign_key_file"), &opencast.sign_key_file, false));
    }
    for sign_in in &config.sign_ins {
        let key = || format!("sign_in.{}.{}.client_secret_file", sign_in.name, sign_in.provider.key());
        named.extend(sign_in.provider.secret_file().map(|path| (key(), path, true)));
        let key = || format!("sign_in.{}.{}.client_key_file", sign_in.name, sign_in.provider.key());
        let client_key = sign_in.provider.client_key();
        named.extend(client_key.map(|client| (key(), client.file.as_path(), true)));
    }
    for bearer in &config.bearers {
        let key = || format!("bearer.{}.{}.client_secret_file", bearer.name, bearer.key());
        named.extend(bearer.secret_file().map(|path| (key(), path, true)));
        let key = || format!("bearer.{}.{}.client_key_file", bearer.name, bearer.key());
        named.extend(bearer.client_key().map(|client| (key(), client.file.as_path(), true)));
    }
    for moodle in &config.moodles {
        let key = || format!("moodle.{}.clearpass.key_file", moodle.name);
        let clearpass = moodle.clearpass.as_ref();
        named.extend(clearpass.map(|clearpass| (key(), clearpass.key_file.as_path(), true)));
    }
    for upstream in &config.upstreams {
        let key = || format!("upstreams.{}.s3.credentials_file", upstream.name);
        let s3 = upstream.s3.as_ref();
        named.extend(s3.map(|s3| (key(), s3.credentials_file.as_path(), true)));
    }
    for section in &config.signed_urls {
        for key in &section.keys {
            named.push((
                format!("signed_urls.{}.keys.{}", section.name, key.id),
                &key.secret_file,
                true,
            ));
        }
    }
    for listener in &config.server.tls {
        named.push(("server.tls.key".to_owned(), &listener.key, false));
    }
    named
}

/// `own` is the user of this process.
fn of_file(path: &Path, own: u32, looking: Looking) -> Vec<Fault> {
    let Ok(found) = fs::metadata(path) else {
        return Vec::new();
    };
    let at = || path.to_owned();
    let mode = found.permissions().mode() & 0o7777;
    let mut faults = Vec::new();
    if mode & OTHERS != 0 {
        faults.push(Fault::Everybody { path: at(), mode });
    } else if mode & GROUP_WRITES != 0 {
        faults.push(Fault::Group { path: at(), mode });
    }
    let owner = found.uid();
    let folder = || path.parent().and_then(|folder| fs::metadata(folder).ok());
    let is_meant = || looking == Looking::Command && own == 0 && folder().is_some_and(|folder| folder.uid() == owner);
    if owner != 0 && owner != own && !is_meant() {
        faults.push(Fault::Owner { path: at(), owner, own });
    }
    faults
}

/// The folders above it, by its own name and where links lead, in which a group or everybody could put another one in its
/// place. Each folder is told once. `spared`: a group that may.
fn of_folders(path: &Path, spared: Option<u32>, told: &mut HashSet<PathBuf>) -> Vec<Fault> {
    let places = [std::path::absolute(path), fs::canonicalize(path)];
    let folders = places.iter().flatten().flat_map(|place| place.ancestors().skip(1));
    let open = folders.filter_map(|folder| {
        let found = fs::metadata(folder).ok()?;
        let mode = found.permissions().mode() & 0o7777;
        // Of a group that is its owner's alone, as user groups are numbered, there is nobody else (a umask of 002 counts on it).
        let is_private = found.gid() == found.uid();
        let is_open =
            mode & OTHERS_WRITE != 0 || mode & GROUP_WRITES != 0 && spared != Some(found.gid()) && !is_private;
        (is_open && mode & STICKY == 0).then_some((folder, mode, found.gid()))
    });
    let new = open.filter(|(folder, ..)| told.insert((*folder).to_owned()));
    new.map(|(folder, mode, group)| {
        let (path, folder) = (path.to_owned(), folder.to_owned());
        match mode & OTHERS_WRITE {
            0 => Fault::FolderOfGroup {
                path,
                folder,
                group,
                mode,
            },
            _ => Fault::Folder { path, folder, mode },
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};

    use super::*;

    #[test]
    fn a_password_is_text_of_one_line_at_least() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        for (bytes, told) in [
            (&b"letmein"[..], Ok("letmein")),
            (b"let me in \r\n", Ok("let me in ")),
            (b"\xef\xbb\xbfletmein\n", Ok("letmein")),
            (b"", Err("holds no password: put")),
            (b"\r\n\n", Err("holds no password: put")),
            (b"p\xe4ss\n", Err("is no text in UTF-8: put")),
            (&[b'x'; 70_000], Err("is longer than 64 KiB")),
        ] {
            fs::write(&path, bytes).unwrap();
            match (password(&path), told) {
                (Ok(password), Ok(wanted)) => assert_eq!(password, wanted),
                (Err(error), Err(told)) => {
                    let error = error.to_string();
                    assert!(
                        error.starts_with(path.to_str().unwrap()) && error.contains(told),
                        "{error}"
                    );
                }
                (password, told) => panic!("{password:?}, not {told:?}"),
            }
        }
        assert!(matches!(password(folder.path()), Err(PasswordError::Irregular { .. })));
    }

    #[test]
    fn every_way_to_a_secret_is_told() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("state");
        fs::create_dir(&folder).unwrap();
        let path = folder.join("master.key");
        fs::write(&path, "x").unwrap();
        let own = fs::metadata(&path).unwrap().uid();
        let judge = |file: u32, above: u32, own: u32| -> Vec<String> {
            set_permissions(&path, Permissions::from_mode(file)).unwrap();
            set_permissions(&folder, Permissions::from_mode(above)).unwrap();
            let faults = of_file(&path, own, Looking::Gateway).into_iter();
            let faults = faults.chain(of_folders(&path, None, &mut HashSet::new()));
            faults.map(|fault| fault.to_string()).collect()
        };
        for (file, above) in [(0o600, 0o700), (0o640, 0o755), (0o440, 0o1777), (0o400, 0o1770)] {
            assert_eq!(judge(file, above, own), Vec::<String>::new(), "{file:o} {above:o}");
        }
        for (file, above, told) in [
            (0o644, 0o700, "is open to everybody (mode 0644)"),
            (0o602, 0o700, "is open to everybody (mode 0602)"),
            (0o660, 0o700, "can be changed by its group (mode 0660)"),
            (0o620, 0o700, "can be changed by its group (mode 0620)"),
            (0o600, 0o777, "is open to everybody (mode 0777)"),
            (0o600, 0o702, "can be replaced by everybody"),
        ] {
            let found = judge(file, above, own);
            assert!(
                found.len() == 1 && found[0].contains(told),
                "{file:o} {above:o}: {found:?}"
            );
        }
        assert!(
            of_folders(&folder.join("not/there/yet"), None, &mut HashSet::new()).len() == 1,
            "what is made there later is judged too"
        );
        let link = top.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(
            of_folders(&link, None, &mut HashSet::new()).len(),
            1,
            "where a link leads"
        );
        let by_group = |mode, spared| {
            set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
            let faults = of_folders(&path, spared, &mut HashSet::new()).into_iter();
            faults.map(|fault| fault.to_string()).collect::<Vec<_>>()
        };
        let group = own + 1;
        assert!(by_group(0o770, None).is_empty() || own != fs::metadata(&folder).unwrap().gid());
        // Root alone gives folders to groups of others.
        if own == 0 {
            std::os::unix::fs::chown(&folder, None, Some(group)).unwrap();
            for (mode, told) in [
                (0o770, "which may write there (mode 0770): chmod g-w"),
                (0o2775, "(mode 2775)"),
            ] {
                let found = by_group(mode, None);
                assert!(found.len() == 1 && found[0].contains(told), "{mode:o}: {found:?}");
            }
            assert_eq!(
                (by_group(0o770, Some(group)).len(), by_group(0o770, Some(0)).len()),
                (0, 1)
            );
        }
        set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
        let owner = if own == 0 { 65534 } else { own };
        std::os::unix::fs::chown(&path, Some(owner), None).unwrap();
        assert!(judge(0o600, 0o700, owner + 1)[0].contains("belongs to uid"));
        assert!(judge(0o600, 0o700, owner).is_empty());
        std::os::unix::fs::chown(&folder, Some(owner), None).unwrap();
        assert!(of_file(&path, 0, Looking::Gateway).len() == usize::from(owner != 0));
        assert!(
            of_file(&path, 0, Looking::Command).is_empty(),
            "the folder is its owner's"
        );
    }
}
