//! From a path to an open file below the root, and never to anything else.
//!
//! The kernel confines the look-up (`openat2` with `RESOLVE_BENEATH`), so that no race between check and open exists.
//! Symbolic links work as long as they stay below the root, absolute ones too. Names that begin with a dot, folders and
//! special files are as absent as what is not there: all are the same 404. The dot rule concerns the names asked for;
//! where a link leads to, is the word of whoever may write below the root.

use std::fs::{File, Metadata};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::blocking::{Places, Stalled};
use super::metadata::Described;
use super::open_file_cache::OpenFileCache;
use crate::rejection::{Hint, Reason, Rejection};

/// A folder whose files are served; opened once, cheap to clone.
#[derive(Clone)]
pub struct Root(Arc<Inner>);

struct Inner {
    handle: OwnedFd,
    /// Canonical, for the look-ups that `openat2` cannot do.
    path: PathBuf,
    /// Does the kernel have `openat2`, and does the container's system call filter let it through?
    kernel_confines: bool,
    /// May a worker thread open files itself, as long as the kernel has all that it needs in memory?
    inline: bool,
    /// May `.well-known` be the first folder of a name?
    well_known: bool,
    places: Places,
    /// What was opened on the spot a moment ago.
    open_files: OpenFileCache,
    /// Held once by each body under way: the number of holders says how many there are.
    downloads: Arc<()>,
}

/// A regular file, open for reading.
pub(super) struct Opened {
    pub(super) file: Arc<File>,
    pub(super) metadata: Metadata,
    /// Shared by all who are given this version of it.
    pub(super) described: Arc<OnceLock<Described>>,
}

impl Opened {
    /// `name` is the last segment of the path that it was opened by.
    pub(super) fn described(&self, name: &str, now: SystemTime) -> &Described {
        self.described.get_or_init(|| Described::new(name, &self.metadata, now))
    }
}

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// `NONBLOCK`: to open a FIFO must not wait for its writer.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);
const CONFINED: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);
/// `CACHED`: only with what the kernel knows already. `NO_XDEV`: what is mounted below may be slow, unlike the root.
const CONFINED_INLINE: ResolveFlags = CONFINED.union(ResolveFlags::CACHED).union(ResolveFlags::NO_XDEV);
/// Look-ups that race with a rename elsewhere are told to try again.
const ATTEMPTS: usize = 3;

impl Root {
    /// Opens the folder at `path`. The handle stays with this very folder: one that is mounted or moved there later is
    /// seen after a reload. Errors: not there, not a folder, no permission.
    pub fn open(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        let handle = rustix::fs::open(&path, FOLDER, Mode::empty())?;
        let supports = |resolve| {
            let probe = rustix::fs::openat2(&handle, c".", FOLDER, Mode::empty(), resolve);
            !matches!(probe, Err(Errno::NOSYS | Errno::PERM | Errno::INVAL))
        };
        let kernel_confines = supports(CONFINED);
        let inline = kernel_confines && supports(CONFINED_INLINE) && is_local(&handle)?;
        Ok(Self(Arc::new(Inner {
            handle,
            path,
            kernel_confines,
            inline,
            well_known: false,
            places: Places::new(),
            open_files: OpenFileCache::default(),
            downloads: Arc::new(()),
        })))
    }

    /// The same with `.well-known` (RFC 8615), if it is to be served, before anybody else has the root.
    pub fn serving_well_known(mut self, well_known: bool) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.well_known = well_known;
        }
        self
    }

    /// Opens the file at `path`: decoded, canonical, beginning with a slash. `now` says how long ago it was opened last.
    pub(super) async fn open_file(&self, path: &str, client: IpAddr, now: SystemTime) -> Result<Opened, Rejection> {
        let Some(name) = relative(path, self.0.well_known) else {
            return Err(Rejection::because(Reason::FileNotFound, "not a name that is served"));
        };
        if self.0.inline {
            if let Some(opened) = self.0.open_files.get(name, now) {
                return Ok(opened);
            }
            match self.0.open_beneath(name, CONFINED_INLINE) {
                Ok(file) => {
                    let opened = regular(file).map_err(rejection)?;
                    self.0.open_files.keep(name, &opened, now);
                    return Ok(opened);
                }
                Err(Errno::NOENT) => return Err(rejection(Errno::NOENT)),
                Err(_) => {} // not in memory, or on another mount: decided where waiting is allowed
            }
        }
        let (inner, name) = (self.0.clone(), name.to_owned());
        let opened = self
            .0
            .places
            .run(client, move || inner.open_patiently(&name).and_then(regular))
            .await;
        opened.map_err(overloaded)?.map_err(rejection)
    }

    pub(super) fn places(&self) -> &Places {
        &self.0.places
    }

    pub(super) fn downloads(&self) -> &Arc<()> {
        &self.0.downloads
    }
}

impl Inner {
    fn open_beneath(&self, name: &str, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
        rustix::fs::openat2(&self.handle, name, FILE, Mode::empty(), resolve)
    }

    fn open_patiently(&self, name: &str) -> Result<OwnedFd, Errno> {
        let attempts = if self.kernel_confines { ATTEMPTS } else { 0 };
        for _ in 0..attempts {
            match self.open_beneath(name, CONFINED) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                // Also said of an absolute link that leads back below the root.
                Err(Errno::XDEV) => break,
                decided => return decided,
            }
        }
        self.walk(name)
    }

    /// The look-up without the kernel's help: all links are resolved first, then the result is walked.
    fn walk(&self, name: &str) -> Result<OwnedFd, Errno> {
        let target = self.path.join(name).canonicalize();
        let target = target.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        self.descend(target.strip_prefix(&self.path).map_err(|_| Errno::XDEV)?)
    }

    /// Segment by segment without following links: one that was put there since the path was resolved ends the walk
    /// instead of misleading it.
    fn descend(&self, inside: &Path) -> Result<OwnedFd, Errno> {
        let file = inside.file_name().ok_or(Errno::ISDIR)?;
        let mut folder: Option<OwnedFd> = None;
        for segment in inside.parent().into_iter().flatten() {
            let parent = folder.as_ref().unwrap_or(&self.handle);
            folder = Some(rustix::fs::openat(
                parent,
                segment,
                FOLDER | OFlags::NOFOLLOW,
                Mode::empty(),
            )?);
        }
        let parent = folder.as_ref().unwrap_or(&self.handle);
        rustix::fs::openat(parent, file, FILE | OFlags::NOFOLLOW, Mode::empty())
    }
}

/// The path below the root, if every segment of it is a name that may be asked for.
fn relative(path: &str, well_known: bool) -> Option<&str> {
    let name = path.strip_prefix('/')?;
    let has_empty = name.is_empty() || name.ends_with('/') || holds(path, b"//");
    let served = !has_empty && !name.contains('\0') && !is_hidden(path, well_known);
    served.then_some(name)
}

/// Does a name in this path begin with a dot? `.well-known` counts unless it is served, as the first one.
pub(super) fn is_hidden(path: &str, well_known: bool) -> bool {
    let rest = path.strip_prefix("/.well-known/").filter(|_| well_known);
    let path = rest.unwrap_or(path);
    path.starts_with('.') || holds(path, b"/.")
}

/// Paths are short: a searcher takes longer to make than to use.
fn holds(path: &str, pair: &[u8; 2]) -> bool {
    path.as_bytes().windows(2).any(|two| two == pair)
}

fn regular(file: OwnedFd) -> Result<Opened, Errno> {
    let file = File::from(file);
    let metadata = file
        .metadata()
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    if !metadata.is_file() {
        return Err(Errno::ISDIR);
    }
    Ok(Opened {
        file: Arc::new(file),
        metadata,
        described: Arc::default(),
    })
}

/// File systems whose `open` and `fstat` of a known file do not leave this machine. Of all others (NFS, SMB, FUSE,
/// Ceph …) even a cached name may need a word with the server.
fn is_local(folder: &OwnedFd) -> io::Result<bool> {
    const EXT: u64 = 0xef53;
    const XFS: u64 = 0x5846_5342;
    const BTRFS: u64 = 0x9123_683e;
    const F2FS: u64 = 0xf2f5_2010;
    const ZFS: u64 = 0x2fc1_2fc1;
    const TMPFS: u64 = 0x0102_1994;
    let kind = rustix::fs::fstatfs(folder)?.f_type as u64;
    Ok([EXT, XFS, BTRFS, F2FS, ZFS, TMPFS].contains(&kind))
}

/// The client learns the same of everything that it cannot have; the log says what an operator can fix.
fn rejection(errno: Errno) -> Rejection {
    match errno {
        Errno::NOENT | Errno::NOTDIR => Reason::FileNotFound.into(),
        Errno::ACCESS | Errno::PERM => Rejection::because(Reason::FileNotFound, "permission denied"),
        Errno::XDEV => Rejection::because(Reason::FileNotFound, "a symbolic link leads out of the root"),
        Errno::LOOP => Rejection::because(Reason::FileNotFound, "symbolic links go round in circles"),
        Errno::ISDIR | Errno::NXIO | Errno::NODEV => Rejection::because(Reason::FileNotFound, "not a regular file"),
        Errno::NAMETOOLONG | Errno::INVAL | Errno::ILSEQ => {
            Rejection::because(Reason::FileNotFound, "not a name of this file system")
        }
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN => overloaded(errno),
        other => Rejection::because(Reason::Internal, format!("opening the file: {other}")),
    }
}

fn overloaded(cause: impl std::fmt::Display) -> Rejection {
    Rejection::because(Reason::Overloaded, cause.to_string()).with_hint(Hint::RetryAfter(5))
}

impl From<Stalled> for io::Error {
    fn from(stalled: Stalled) -> Self {
        Self::new(io::ErrorKind::TimedOut, stalled)
    }
}

#[cfg(test)]
impl Root {
    /// The same folder, as a kernel without `openat2` or a network file system would have it.
    pub(super) fn degraded(path: &Path, kernel_confines: bool) -> Self {
        let mut inner = Arc::into_inner(Self::open(path).unwrap().0).unwrap();
        inner.kernel_confines = kernel_confines;
        inner.inline = false;
        Self(Arc::new(inner))
    }

    /// Are files kept open for those who ask next?
    pub(super) fn keeps_files(&self) -> bool {
        self.0.inline
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// `served/` with all that may lie there, `outside/` beside it.
    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("served");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir_all(root.join(".git")).unwrap();
        fs::create_dir_all(dir.path().join("outside")).unwrap();
        fs::create_dir_all(dir.path().join("served-twin")).unwrap();
        for name in [
            "a/b/file",
            "a/Prüfung 1 🎓.mp4",
            "plain",
            ".htaccess",
            ".git/config",
            "a/100%.txt",
            "..x",
        ] {
            fs::write(root.join(name), name).unwrap();
        }
        fs::write(dir.path().join("outside/secret"), "secret").unwrap();
        fs::write(dir.path().join("served-twin/secret"), "secret").unwrap();
        symlink("b/file", root.join("a/relative")).unwrap();
        symlink("../plain", root.join("a/up")).unwrap();
        symlink(root.join("a/b"), root.join("absolute")).unwrap();
        symlink("../outside/secret", root.join("escape")).unwrap();
        symlink("../../served/plain", root.join("a/out-and-in")).unwrap();
        symlink("/etc/passwd", root.join("passwd")).unwrap();
        symlink("/proc/self/root/etc/passwd", root.join("magic")).unwrap();
        symlink(dir.path().join("outside"), root.join("a/folder-out")).unwrap();
        symlink(dir.path().join("served-twin/secret"), root.join("twin")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("nothing", root.join("dangling")).unwrap();
        symlink("a", root.join("folder-link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            root.join("fifo"),
            rustix::fs::FileType::Fifo,
            Mode::RWXU,
            0,
        )
        .unwrap();
        drop(UnixListener::bind(root.join("socket")).unwrap());
        symlink("/dev/zero", root.join("device")).unwrap();
        dir
    }

    fn roots(dir: &tempfile::TempDir) -> [(&'static str, Root); 3] {
        let path = dir.path().join("served");
        [
            ("as this kernel can", Root::open(&path).unwrap()),
            ("never inline", Root::degraded(&path, true)),
            ("without openat2", Root::degraded(&path, false)),
        ]
    }

    #[tokio::test]
    async fn opens_files_and_links_that_stay_inside() {
        let dir = tree();
        for (how, root) in roots(&dir) {
            for (path, content) in [
                ("/plain", "plain"),
                ("/a/b/file", "a/b/file"),
                ("/a/Prüfung 1 🎓.mp4", "a/Prüfung 1 🎓.mp4"),
                ("/a/100%.txt", "a/100%.txt"),
                ("/a/relative", "a/b/file"),
                ("/a/up", "plain"),
                ("/absolute/file", "a/b/file"),
                ("/folder-link/b/file", "a/b/file"),
                ("/a/out-and-in", "plain"),
            ] {
                let opened = root.open_file(path, CLIENT, SystemTime::now()).await;
                let mut opened = opened.unwrap_or_else(|rejection| panic!("{how}, {path}: {rejection:?}"));
                let mut found = String::new();
                opened.file.read_to_string(&mut found).unwrap();
                assert_eq!(found, content, "{how}, {path}");
            }
        }
    }

    #[tokio::test]
    async fn everything_else_is_not_there() {
        let dir = tree();
        let long = format!("/{}", "x".repeat(256));
        let deep = "/a".repeat(3000);
        let refused = [
            "",
            "/",
            "plain",
            "//plain",
            "/plain/",
            "/a",
            "/a/",
            "/a/b",
            "/a/./b/file",
            "/a/../plain",
            "/../served/plain",
            "/../outside/secret",
            "/.htaccess",
            "/.git/config",
            "/a/.git",
            "/..x",
            "/missing",
            "/plain/below",
            "/escape",
            "/passwd",
            "/magic",
            "/a/folder-out/secret",
            "/twin",
            "/loop",
            "/dangling",
            "/fifo",
            "/socket",
            "/device",
            "/folder-link",
            "/absolute",
            "/plain\0",
            "/plain\0.mp4",
            &long,
            &deep,
        ];
        for (how, root) in roots(&dir) {
            for path in refused {
                let rejection = root
                    .open_file(path, CLIENT, SystemTime::now())
                    .await
                    .err()
                    .unwrap_or_else(|| panic!("{how}: {path} was opened"));
                assert_eq!(rejection.reason, Reason::FileNotFound, "{how}, {path}: {rejection:?}");
                assert_eq!(rejection.hint, Hint::None, "{how}, {path}");
            }
        }
    }

    #[test]
    fn a_link_put_there_after_the_path_was_resolved_ends_the_walk() {
        let dir = tree();
        let inner = Root::degraded(&dir.path().join("served"), false).0;
        assert!(inner.descend(Path::new("a/b/file")).is_ok());
        for (path, errno) in [
            ("escape", Errno::LOOP),
            ("a/folder-out/secret", Errno::NOTDIR),
            ("folder-link/b/file", Errno::NOTDIR),
        ] {
            assert_eq!(inner.descend(Path::new(path)).err(), Some(errno), "{path}");
        }
    }

    #[test]
    fn what_an_operator_can_mend_is_told_to_the_log() {
        assert_eq!(
            rejection(Errno::ACCESS),
            Rejection::because(Reason::FileNotFound, "permission denied")
        );
        assert_eq!(rejection(Errno::NOENT), Rejection::new(Reason::FileNotFound));
        assert_eq!(rejection(Errno::MFILE).reason, Reason::Overloaded);
        assert_eq!(rejection(Errno::IO).reason, Reason::Internal);
    }

    #[tokio::test]
    async fn a_forbidden_file_is_not_found() {
        let dir = tree();
        let path = dir.path().join("served/plain");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        if File::open(&path).is_ok() {
            return; // root may read everything
        }
        for (how, root) in roots(&dir) {
            let rejection = root.open_file("/plain", CLIENT, SystemTime::now()).await.err().unwrap();
            assert_eq!(
                rejection,
                Rejection::because(Reason::FileNotFound, "permission denied"),
                "{how}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_system_that_hangs_means_overloaded() {
        let dir = tree();
        let root = Root::degraded(&dir.path().join("served"), true);
        let _taken = root.places().take_all().await;
        let rejection = root.open_file("/plain", CLIENT, SystemTime::now()).await.err().unwrap();
        assert_eq!(
            (rejection.reason, rejection.hint),
            (Reason::Overloaded, Hint::RetryAfter(5))
        );
    }

    /// The root as this kernel can, if it opens files on the spot: not every file system lets it.
    fn inline(dir: &tempfile::TempDir) -> Option<Root> {
        let root = Root::open(&dir.path().join("served")).unwrap();
        root.0.inline.then_some(root)
    }

    #[tokio::test]
    async fn a_file_just_opened_is_given_again_until_anything_happens_to_it() {
        let dir = tree();
        let Some(root) = inline(&dir) else { return };
        let path = dir.path().join("served/plain");
        let other = dir.path().join("served/a/100%.txt");
        let open = async || root.open_file("/plain", CLIENT, SystemTime::now()).await.unwrap().file;
        let given_again = async || Arc::ptr_eq(&open().await, &open().await);
        // The time may just be over between the two; not twice.
        assert!(given_again().await || given_again().await);

        type Change<'a> = (&'static str, &'a dyn Fn());
        let changes: [Change<'_>; 4] = [
            ("written to", &|| fs::write(&path, "longer than before").unwrap()),
            ("other permissions", &|| {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            }),
            ("replaced", &|| fs::rename(&other, &path).unwrap()),
            ("written anew", &|| {
                fs::remove_file(&path).unwrap();
                fs::write(&path, "new").unwrap();
            }),
        ];
        for (what, change) in changes {
            let before = open().await;
            change();
            assert!(!Arc::ptr_eq(&before, &open().await), "{what}");
        }
    }

    #[tokio::test]
    async fn another_way_to_the_same_name_is_noticed_and_nothing_stays_open() {
        let dir = tree();
        let Some(root) = inline(&dir) else { return };
        let folder = dir.path().join("served/a/b");
        let before = root.open_file("/a/b/file", CLIENT, SystemTime::now()).await.unwrap();
        fs::rename(&folder, dir.path().join("served/a/c")).unwrap();
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("file"), "other").unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while Arc::ptr_eq(
            &root
                .open_file("/a/b/file", CLIENT, SystemTime::now())
                .await
                .unwrap()
                .file,
            &before.file,
        ) {
            assert!(
                std::time::Instant::now() < deadline,
                "the folder's move is never noticed"
            );
            tokio::task::yield_now().await;
        }
        fs::rename(folder.join("file"), dir.path().join("served/elsewhere")).unwrap();
        while root.open_file("/a/b/file", CLIENT, SystemTime::now()).await.is_ok() {
            assert!(std::time::Instant::now() < deadline, "the file's move is never noticed");
            tokio::task::yield_now().await;
        }
        while root.0.open_files.count() > 0 {
            assert!(std::time::Instant::now() < deadline, "files are never closed");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_new_file_is_seen_at_once() {
        let dir = tree();
        for (how, root) in roots(&dir) {
            let path = dir.path().join("served/new");
            assert!(
                root.open_file("/new", CLIENT, SystemTime::now()).await.is_err(),
                "{how}"
            );
            fs::write(&path, "").unwrap();
            assert!(root.open_file("/new", CLIENT, SystemTime::now()).await.is_ok(), "{how}");
            fs::remove_file(&path).unwrap();
            assert!(
                root.open_file("/new", CLIENT, SystemTime::now()).await.is_err(),
                "{how}"
            );
        }
    }

    #[test]
    fn a_root_must_be_a_folder() {
        let dir = tree();
        assert!(Root::open(&dir.path().join("served/plain")).is_err());
        assert!(Root::open(&dir.path().join("nothing")).is_err());
    }
}
