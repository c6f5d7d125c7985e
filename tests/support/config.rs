//! A folder with a gateway.toml and all that it names.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::gateway::Gateway;
use super::tokens::Signer;

/// The route that most tests have: a lecture's files, for tokens that grant `read` on the event or name an admin.
pub const MEDIA: &str = r#"
[[routes]]
name  = "media"
path  = "/static/{org}/{channel}/{event}/{*file}"
files = "downloads"
strip = "/static"
allow = [{ grant = "read", event = "{event}" }, { role = "ROLE_ADMIN" }]
"#;

/// A folder of a test's own; gone when nothing uses it any more.
#[derive(Clone)]
pub struct Site {
    folder: Arc<TempDir>,
}

impl Site {
    pub fn new() -> Self {
        Self {
            folder: Arc::new(tempfile::tempdir().unwrap()),
        }
    }

    /// A site with one file of the lecture, `video.mp4` (1000 bytes: [`bytes`]), that [`MEDIA`] serves below
    /// `/static/org/player/lecture-1/`.
    pub fn with_lecture() -> Self {
        let site = Self::new();
        site.write("downloads/org/player/lecture-1/video.mp4", bytes(1000));
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file and the folders above it; by rename, as editors do, so that nobody reads half a file.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let new = path.with_file_name(".new");
        fs::write(&new, content).unwrap();
        if name.starts_with("secrets/") || name.ends_with("master.key") {
            fs::set_permissions(&new, Permissions::from_mode(0o600)).unwrap();
        }
        fs::rename(&new, &path).unwrap();
        path
    }

    /// The public keys of these signers as a JWKS file.
    pub fn write_keys(&self, name: &str, signers: &[&Signer]) {
        self.write(name, Signer::jwks(signers));
    }

    /// Writes gateway.toml and starts the gateway on it.
    pub fn start(&self, config: &Config) -> Gateway {
        Gateway::start(self, &config.text())
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }
}

/// Bytes in which every position can be told from its neighbours.
pub fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place % 251) as u8).collect()
}

/// A gateway.toml in the making. Values are TOML.
#[derive(Clone)]
pub struct Config {
    tables: BTreeMap<&'static str, BTreeMap<String, String>>,
    sections: String,
}

impl Config {
    /// Loopback listeners on ports of the system's choice, state in memory, no routes.
    pub fn new() -> Self {
        Self {
            tables: BTreeMap::new(),
            sections: String::new(),
        }
        .server("listen", r#"["127.0.0.1:0"]"#)
        .server("admin", r#""127.0.0.1:0""#)
        .server("public_urls", r#"["http://video.test"]"#)
        .set("state", "store", r#""memory""#)
    }

    /// [`MEDIA`], and the issuer `moodle` whose keys stand in `keys.json` and may say anything.
    pub fn media(site: &Site, signer: &Signer) -> Self {
        site.write_keys("keys.json", &[signer]);
        fs::create_dir_all(site.path("downloads")).unwrap();
        Self::new().issuer("moodle", "keys.json", "").section(MEDIA)
    }

    pub fn server(self, key: &str, value: &str) -> Self {
        self.set("server", key, value)
    }

    pub fn jwt(self, key: &str, value: &str) -> Self {
        self.set("jwt", key, value)
    }

    pub fn set(mut self, table: &'static str, key: &str, value: &str) -> Self {
        self.tables
            .entry(table)
            .or_default()
            .insert(key.to_owned(), value.to_owned());
        self
    }

    /// An issuer; all roles and the usual actions unless `more` says otherwise.
    pub fn issuer(self, name: &str, jwks: &str, more: &str) -> Self {
        let roles = if more.contains("allow_roles") {
            ""
        } else {
            r#"allow_roles = ["*"]"#
        };
        self.section(&format!(
            "[[jwt.issuers]]\nname = {name:?}\njwks = {jwks:?}\n{roles}\n{more}\n"
        ))
    }

    /// An upstream; checked by a TCP connect unless `more` says otherwise.
    pub fn upstream(self, name: &str, servers: &[String], more: &str) -> Self {
        self.section(&format!("[upstreams.{name}]\nservers = {servers:?}\n{more}\n"))
    }

    /// An open route at `/open` that answers 204.
    pub fn open_route(self) -> Self {
        self.section(
            "[[routes]]\nname = \"open\"\npath = \"/open\"\nrespond = { status = 204 }\nallow = [{ anyone = true }]\n",
        )
    }

    /// An open route to the upstream `zoo`.
    pub fn open_upstream_route(self, more: &str) -> Self {
        self.section(&format!(
            "[[routes]]\nname = \"open\"\npath = \"/{{*rest}}\"\nupstream = \"zoo\"\nallow = [{{ anyone = true }}]\n{more}\n"
        ))
    }

    pub fn section(mut self, text: &str) -> Self {
        self.sections.push('\n');
        self.sections.push_str(text);
        self
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        for (table, keys) in &self.tables {
            writeln!(text, "[{table}]").unwrap();
            for (key, value) in keys {
                writeln!(text, "{key} = {value}").unwrap();
            }
        }
        text + &self.sections
    }
}
