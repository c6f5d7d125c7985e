//! A real browser, Debian's chromium, driven by playwright-core: a test writes what a person does as the body of a
//! JavaScript function and judges what it returns.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::tools::{brought, missing, run};
use super::wait::DEADLINE;

/// Does `script` in a browser of its own and gives back what it returns. `None`: there is no browser here, and the test
/// returns too.
///
/// The script sees `browser`, `context` (one person's cookies), `page` (a first tab; `context.newPage()` makes more),
/// `args`, and `signIn(page, user, password)` for the CAS server's form. What takes longer than the tests' deadline throws.
pub fn browse(script: &str, args: &Value) -> Option<Value> {
    browse_with(&[], script, args)
}

/// The same in a browser that was started with these switches, too.
pub fn browse_with(switches: &[&str], script: &str, args: &Value) -> Option<Value> {
    run_script(None, switches, script, args)
}

/// The same in a browser of a person who trusts the certificate authority in `authority`, a PEM file.
pub fn browse_trusting(authority: &Path, script: &str, args: &Value) -> Option<Value> {
    if missing("certutil") {
        return None;
    }
    let home = tempfile::tempdir().unwrap();
    let store = home.path().join(".pki/nssdb");
    std::fs::create_dir_all(&store).unwrap();
    let store = format!("sql:{}", store.display());
    run("certutil", ["-N", "--empty-password", "-d", &store]).ok();
    let authority = authority.to_str().unwrap();
    run(
        "certutil",
        ["-A", "-n", "tests", "-t", "C,,", "-i", authority, "-d", &store],
    )
    .ok();
    run_script(Some(home.path()), &[], script, args)
}

fn run_script(home: Option<&Path>, switches: &[&str], script: &str, args: &Value) -> Option<Value> {
    let folder = brought("browser")?;
    let runner = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/browser/run.mjs");
    // Longer than all that a script waits for; a browser that hangs fails the test instead of holding it.
    let mut child = Command::new("timeout");
    let mut child = child
        .envs(home.map(|home| ("HOME", home)))
        .args(["--kill-after=5", "180", "node"])
        .arg(runner)
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let flow = json!({ "script": script, "args": args, "switches": switches, "deadline": u64::try_from(DEADLINE.as_millis()).unwrap() });
    child
        .stdin
        .take()
        .unwrap()
        .write_all(flow.to_string().as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{stderr}", output.status);
    Some(serde_json::from_slice(&output.stdout).unwrap())
}
