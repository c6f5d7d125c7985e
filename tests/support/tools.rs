//! Programs of others that tests drive: curl, ffmpeg, ffprobe, nginx. One that is missing skips the test, with a line
//! that says so; where `CI` is set it fails the test.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Is the program missing? Then the test returns.
pub fn missing(program: &str) -> bool {
    let version = match program {
        "ffmpeg" | "ffprobe" => "-version",
        "chromium" => "--version",
        "certutil" => "-H",
        _ => "-V",
    };
    let found = Command::new(program)
        .arg(version)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    assert!(
        found || std::env::var_os("CI").is_none(),
        "{program} is needed here and missing"
    );
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    !found
}

/// The folder of a part that `scripts/test-tools.sh` brings; where it cannot, the test is skipped as above.
pub fn brought(part: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("test-tools");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/test-tools.sh");
    let made = Command::new(script)
        .arg(&folder)
        .arg(part)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    if made.status.success() {
        return Some(folder.join(part));
    }
    let why = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(std::env::var_os("CI").is_none(), "{part} is needed here: {why}");
    eprintln!("skipped: {part} cannot be brought here: {why}");
    None
}

/// What a program said and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
        self
    }
}

/// Runs a program to its end, without input.
pub fn run<A: AsRef<OsStr>>(program: impl AsRef<OsStr>, arguments: impl IntoIterator<Item = A>) -> Ran {
    let output = Command::new(program.as_ref())
        .args(arguments)
        .env_remove("JANUA_CONFIG")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.as_ref().display()));
    let Output { status, stdout, stderr } = output;
    Ran {
        code: status.code(),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

/// The gateway's own command line.
pub fn janua<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Ran {
    let ran = run(env!("CARGO_BIN_EXE_janua"), arguments);
    super::secrets::hold("what a command printed", &format!("{}\n{}", ran.stdout, ran.stderr));
    ran
}

pub fn curl(arguments: &[&str]) -> Ran {
    let always = ["--silent", "--show-error", "--noproxy", "*", "--max-time", "60"];
    run("curl", always.iter().chain(arguments))
}

/// Sends a signal by name (`TERM`, `INT`, `HUP`) to a process that the test started.
pub fn signal(process: u32, name: &str) {
    run("sh", ["-c", &format!("kill -{name} {process}")]).ok();
}
