//! The demo's temporary folder: the lecture, the gateway's configuration, and what the two write there.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::DemoError;

/// The lecture in the layout that Opencast publishes, once for an event and once for a course.
const PLACES: [&str; 2] = ["engage-player/lecture-1", "course/4"];
const LECTURE: [(&str, &[u8]); 8] = [
    (
        "video/lecture.mp4",
        include_bytes!("../../../assets/demo/media/lecture.mp4"),
    ),
    ("cover.jpg", include_bytes!("../../../assets/demo/media/cover.jpg")),
    (
        "subtitles/lecture.en.vtt",
        include_bytes!("../../../assets/demo/media/lecture.en.vtt"),
    ),
    (
        "hls/playlist.m3u8",
        include_bytes!("../../../assets/demo/media/playlist.m3u8"),
    ),
    ("hls/init.mp4", include_bytes!("../../../assets/demo/media/init.mp4")),
    (
        "hls/segment_0.m4s",
        include_bytes!("../../../assets/demo/media/segment_0.m4s"),
    ),
    (
        "hls/segment_1.m4s",
        include_bytes!("../../../assets/demo/media/segment_1.m4s"),
    ),
    (
        "hls/segment_2.m4s",
        include_bytes!("../../../assets/demo/media/segment_2.m4s"),
    ),
];
/// Apps that call Moodle through the gateway, to be started by hand.
const APPS: [(&str, &[u8]); 2] = [
    ("cas_back_end.py", include_bytes!("../../../docs/apps/cas_back_end.py")),
    (
        "token_back_end.mjs",
        include_bytes!("../../../docs/apps/token_back_end.mjs"),
    ),
];
const CONFIG: &str = include_str!("../../../assets/demo/gateway.toml");

/// The table of a route, as gateway.toml has it; without the comment that belongs to the next one.
pub(super) fn route(name: &str) -> Option<String> {
    let named = format!("\"{name}\"\n");
    let table = CONFIG.split("[[routes]]\n").find(|table| {
        let first = table.lines().next().unwrap_or_default();
        first.starts_with("name") && table.contains(&named)
    })?;
    let lines = table.lines().take_while(|line| !line.is_empty());
    Some(lines.fold("[[routes]]".to_owned(), |text, line| text + "\n" + line))
}

/// Removed, with everything in it, on drop.
pub struct Folder {
    folder: TempDir,
}

impl Folder {
    /// A new folder that only its owner can enter, with the lecture in it.
    pub fn new() -> Result<Self, DemoError> {
        let folder = tempfile::Builder::new().prefix("janua-demo-").tempdir();
        let folder = folder.map_err(DemoError::Folder)?;
        for place in PLACES {
            let root = folder.path().join("downloads/mh_default_org").join(place);
            for (name, content) in LECTURE {
                write(&root.join(name), content).map_err(DemoError::Folder)?;
            }
        }
        for (name, content) in APPS {
            write(&folder.path().join("apps").join(name), content).map_err(DemoError::Folder)?;
        }
        Ok(Self { folder })
    }

    /// Writes gateway.toml with the addresses filled in: (place in the text, address).
    pub(super) fn write_config(&self, addresses: &[(&str, &str)]) -> Result<(), DemoError> {
        let filled = addresses
            .iter()
            .fold(CONFIG.to_owned(), |text, (place, address)| text.replace(place, address));
        fs::write(self.config(), filled).map_err(DemoError::Folder)
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("gateway.toml")
    }

    /// The file of an app.
    pub(super) fn app(&self, name: &str) -> PathBuf {
        self.folder.path().join("apps").join(name)
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn write(path: &Path, content: &[u8]) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, content)
}
