//! A real browser, Debian's chromium, driven by playwright-core: a test writes what a person does as the body of a
//! JavaScript function and judges what it returns.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::tools::brought;
use super::wait::DEADLINE;

/// Does `script` in a browser of its own and gives back what it returns. `None`: there is no browser here, and the test
/// returns too.
///
/// The script sees `browser`, `context` (one person's cookies), `page` (a first tab; `context.newPage()` makes more),
/// `args`, and `signIn(page, user, password)` for the CAS server's form. What takes longer than the tests' deadline throws.
pub fn browse(script: &str, args: &Value) -> Option<Value> {
    run(script, args, &[], false)
}

/// The same in a browser that was started with these switches, too.
pub fn browse_with(switches: &[&str], script: &str, args: &Value) -> Option<Value> {
    run(script, args, switches, false)
}

/// The same, where names lead as `hosts` says: `MAP video.test:443 127.0.0.1:4711, MAP …`. Certificates are taken as they
/// are.
pub fn browse_hosts(hosts: Option<&str>, script: &str, args: &Value) -> Option<Value> {
    let rules = hosts.map(|hosts| format!("--host-resolver-rules={hosts}"));
    let switches: Vec<&str> = rules.as_deref().into_iter().collect();
    run(script, args, &switches, hosts.is_some())
}

fn run(script: &str, args: &Value, switches: &[&str], any_certificate: bool) -> Option<Value> {
    let folder = brought("browser")?;
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/browser/run.mjs");
    // Longer than all that a script waits for; a browser that hangs fails the test instead of holding it.
    let mut child = Command::new("timeout")
        .args(["--kill-after=5", "180", "node"])
        .arg(run)
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = u64::try_from(DEADLINE.as_millis()).unwrap();
    let flow = json!({
        "script": script,
        "args": args,
        "switches": switches,
        "anyCertificate": any_certificate,
        "deadline": deadline,
    });
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
