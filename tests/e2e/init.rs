//! `janua init` writes what runs, and overwrites nothing; `janua version` and `janua man` say what there is.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::tools::{janua, run};
use crate::support::{Gateway, Site};

#[test]
fn a_lecture_plays_with_the_first_file_and_key() {
    let site = Site::with_lecture();
    let (out, keys, files) = (site.path("first.toml"), site.path("keys"), site.path("downloads"));
    let [out, keys, files] = [&out, &keys, &files].map(|path| path.to_str().unwrap());
    let arguments = [
        "init",
        "lectures",
        "--out",
        out,
        "--keys",
        keys,
        "--files",
        files,
        "--listen",
        "127.0.0.1:0",
        "--public-url",
        "http://127.0.0.1:8080",
    ];
    let made = janua(arguments).ok();
    assert!(
        made.stdout.contains(&format!("janua check -c {out}")),
        "{}",
        made.stdout
    );
    let mode = |path: &str| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(out), mode(&format!("{keys}/private.pem"))), (0o640, 0o600));
    let text = fs::read_to_string(out).unwrap();

    // Not again, and not the key either.
    let again = janua(arguments);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("is there already"), "{}", again.stderr);
    assert_eq!(fs::read_to_string(out).unwrap(), text);

    let token = janua([
        "token",
        "mint",
        "--key",
        &format!("{keys}/private.pem"),
        "--event",
        "lecture-1=read",
    ])
    .ok();
    let text = text.replacen("[server]", "[server]\nadmin = \"127.0.0.1:0\"", 1);
    let gateway = Gateway::start(&site, &text);
    let path = "/static/org/player/lecture-1/video.mp4";
    gateway.get_with(path, token.stdout.trim()).expect(200);
    gateway.get(path).expect(401);
}

#[test]
fn what_cannot_be_used_is_not_kept() {
    let site = Site::new();
    let out = site.path("gateway.toml");
    let out = out.to_str().unwrap();
    let jwks = "https://moodle.example.edu/jwks.json";
    let arguments = [
        "init",
        "lectures",
        "--out",
        out,
        "--public-url",
        "video",
        "--jwks",
        jwks,
        "--files",
        "/no/such/folder",
    ];
    let ran = janua(arguments);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("/no/such/folder") && ran.stderr.contains("is not written"),
        "{}",
        ran.stderr
    );
    assert!(!fs::exists(out).unwrap());
    // Nobody is there to be asked.
    let ran = janua(["init", "moodle", "--out", out]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("--public-url is missing"), "{}", ran.stderr);
}

#[test]
fn the_program_tells_of_itself() {
    let version = janua(["version"]).ok().stdout;
    assert!(
        version.contains(env!("CARGO_PKG_VERSION")) && version.contains("commit"),
        "{version}"
    );
    let site = Site::new();
    let folder = site.path("man");
    janua(["man", folder.to_str().unwrap()]).ok();
    for page in ["janua.1", "janua-vault-list.1", "gateway.toml.5"] {
        assert!(
            fs::read_to_string(folder.join(page)).unwrap().contains(".TH "),
            "{page}"
        );
    }
    let here = run("ls", [folder.to_str().unwrap()]).stdout;
    assert!(!here.contains("help"), "{here}");
}
