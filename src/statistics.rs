//! Views: what is played is counted once for each viewer and event, and told as one event: to a file, to Matomo, or to Opencast.
//!
//! A view begins with a viewer's first request for media of an event, and goes on for as long as requests follow within
//! `view_ends_after`; segments, ranges and playlists of it are the same view. Which requests are for media, and who the
//! viewer is, is decided by `gateway::views`. A request is never kept waiting: what has no room is not counted, or not told, and
//! a metric says so.

mod export;
mod line;
mod matomo;
mod running;
mod usertracking;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::join_all;
use prometheus::IntCounter;
use tokio::time::timeout;

use self::export::Export;
pub use self::export::ExportError;
use self::running::{Begins, Running};
use crate::config;
use crate::digest::{hex, sha256_of_parts};
use crate::identity::ViewerId;
use crate::observe::log_file::LogFile;
use crate::observe::metrics::{Metrics, RouteMetrics};
use crate::observe::sink::{Guard, Sink, Target};
use crate::sealing::{Mac, MasterKeys, Purpose};
use crate::time::unix_seconds;

/// Between two looks for views that have ended.
const SWEEP: Duration = Duration::from_secs(10);
/// Bytes of an event's name. Longer ones are none.
const MAX_EVENT: usize = 256;
/// How long the end of the process waits for the last views to be told.
const LAST_VIEWS: Duration = Duration::from_secs(3);
const DAY: u64 = 24 * 60 * 60;

/// Counts views and tells of them.
pub struct Statistics {
    running: Running,
    /// Names of viewers change with the day: nobody can tell that two days' are the same person.
    names: Mac,
    lines: Option<Sink>,
    exports: Vec<Export>,
    full: IntCounter,
    full_of_address: IntCounter,
}

/// One request for media that was answered.
pub struct Seen<'a> {
    pub at: SystemTime,
    pub viewer: ViewerId,
    pub event: &'a str,
    pub kind: Kind,
    pub route: &'a str,
    /// `https://video.example.edu`
    pub origin: &'a dyn Fn() -> String,
    pub host: &'a str,
    pub address: IpAddr,
    pub metrics: &'a RouteMetrics,
}

/// As what media are sent, by the name of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Hls,
    Dash,
    /// A segment, by which HLS and DASH cannot be told apart.
    Segments,
    /// A recording in one piece.
    File,
}

/// A view that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
struct View {
    at: SystemTime,
    event: String,
    /// 32 hexadecimal digits, the same at every gateway with the same master key.
    view: String,
    /// 16 hexadecimal digits: of the same viewer on the same day.
    viewer: String,
    kind: Kind,
    route: String,
    host: String,
    /// Of the event, for those who count by addresses; nobody can open it.
    url: String,
}

impl Kind {
    /// `None`: it is no recording: a caption, a picture, a page.
    pub fn of(path: &str) -> Option<Self> {
        let (_, extension) = path.rsplit_once('/').map_or(path, |(_, name)| name).rsplit_once('.')?;
        Some(match extension.to_ascii_lowercase().as_str() {
            "m3u8" | "ts" => Self::Hls,
            "mpd" => Self::Dash,
            "m4s" | "m4f" | "cmfv" | "cmfa" => Self::Segments,
            "mp4" | "m4v" | "m4a" | "mov" | "webm" | "mkv" | "ogv" | "ogg" | "oga" | "mp3" | "wav" | "flac" | "aac"
            | "opus" | "flv" | "avi" | "wmv" => Self::File,
            _ => return None,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Hls => "hls",
            Self::Dash => "dash",
            Self::Segments => "segments",
            Self::File => "file",
        }
    }
}

impl Statistics {
    /// Opens the file, reads tokens, and begins to tell, on the current tokio runtime, if anybody is told. The guard writes the
    /// last lines when it is dropped.
    pub fn start(
        config: Option<&config::Statistics>,
        keys: &MasterKeys,
        metrics: &Metrics,
    ) -> Result<(Option<Arc<Self>>, Option<Guard>), ExportError> {
        let Some(config) = config else {
            return Ok((None, None));
        };
        let dropped = |at: &str| metrics.statistics_dropped(at);
        let lines = config.file.as_ref().map(|path| {
            let target = Target::File(LogFile::open(path, None)?);
            Sink::start(target, dropped("file"))
        });
        let unusable = |error: io::Error| {
            let path = config.file.clone().unwrap_or_default();
            ExportError::File { path, error }
        };
        let (lines, guard) = lines.transpose().map_err(unusable)?.unzip();
        let mut exports = Vec::new();
        if let Some(matomo) = &config.matomo {
            exports.push(Export::matomo(matomo, dropped("matomo"))?);
        }
        if let Some(told) = &config.usertracking {
            exports.push(Export::usertracking(told, dropped("usertracking"))?);
        }
        let statistics = Arc::new(Self {
            running: Running::new(config.view_ends_after, config.most_views, config.most_per_address),
            names: keys.mac(Purpose::Viewers),
            lines,
            exports,
            full: dropped("views"),
            full_of_address: dropped("address"),
        });
        tokio::spawn(sweep(Arc::downgrade(&statistics)));
        Ok((Some(statistics), guard))
    }

    /// Tells of a view if one begins with this request.
    pub fn seen(&self, seen: &Seen<'_>) {
        if seen.event.is_empty() || seen.event.len() > MAX_EVENT {
            return;
        }
        let key = sha256_of_parts([&seen.viewer[..], seen.event.as_bytes()]);
        match self.running.seen(key, seen.address, Instant::now()) {
            Begins::No => {}
            Begins::Yes => {
                seen.metrics.view_begins();
                self.tell(&self.view(seen));
            }
            Begins::Full => self.full.inc(),
            Begins::FullOfAddress => self.full_of_address.inc(),
        }
    }

    /// Tells what still waits, if that can be done within three seconds.
    pub async fn end(&self) {
        let ends = self.exports.iter().map(Export::end);
        if timeout(LAST_VIEWS, join_all(ends)).await.is_err() {
            tracing::warn!("views could not be told to the last");
        }
    }

    fn view(&self, seen: &Seen<'_>) -> View {
        let day = (unix_seconds(seen.at) / DAY).to_be_bytes();
        let name = |parts: &[&[u8]]| self.names.sign(&sha256_of_parts(parts.iter().copied()));
        let viewer = name(&[&day, &seen.viewer]);
        let view = name(&[&day, &seen.viewer, seen.event.as_bytes()]);
        let short = |tag: &[u8; 32], bytes: usize| hex(tag.get(..bytes).unwrap_or_default());
        View {
            at: seen.at,
            event: seen.event.to_owned(),
            view: short(&view, 16),
            viewer: short(&viewer, 8),
            kind: seen.kind,
            route: seen.route.to_owned(),
            host: seen.host.to_owned(),
            url: match self.exports.is_empty() {
                true => String::new(),
                false => line::url(&(seen.origin)(), seen.route, seen.event),
            },
        }
    }

    fn tell(&self, view: &View) {
        if let Some(lines) = &self.lines {
            lines.push(&line::json(view));
        }
        for export in &self.exports {
            export.tell(view);
        }
    }
}

/// Forgets views that have ended, for as long as there is somebody to count.
async fn sweep(statistics: std::sync::Weak<Statistics>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(statistics) = statistics.upgrade() else { return };
        statistics.running.forget(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_are_known_by_their_names() {
        for (path, kind) in [
            ("/static/o/c/e/1/master.m3u8", Some(Kind::Hls)),
            ("/a/segment-1.TS", Some(Kind::Hls)),
            ("/a/manifest.mpd", Some(Kind::Dash)),
            ("/a/chunk.m4s", Some(Kind::Segments)),
            ("/a/lecture.mp4", Some(Kind::File)),
            ("/a/lecture.v2.webm", Some(Kind::File)),
            ("/a/captions.vtt", None),
            ("/a/preview.jpg", None),
            ("/a.mp4/", None),
            ("/a.mp4/index", None),
            ("/mp4", None),
        ] {
            assert_eq!(Kind::of(path), kind, "{path}");
        }
    }

    fn statistics(file: &std::path::Path) -> (Arc<Statistics>, Option<Guard>) {
        let config = config::Statistics {
            file: Some(file.to_owned()),
            view_ends_after: Duration::from_secs(60),
            most_views: 1000,
            most_per_address: 1000,
            matomo: None,
            usertracking: None,
        };
        let (statistics, guard) = Statistics::start(Some(&config), &MasterKeys::random(), &Metrics::new()).unwrap();
        (statistics.unwrap(), guard)
    }

    #[tokio::test]
    async fn a_day_later_a_viewer_has_another_name() {
        let folder = tempfile::tempdir().unwrap();
        let (statistics, _guard) = statistics(&folder.path().join("views"));
        let metrics = Metrics::new().route("media");
        let seen = |viewer: u8, event: &'static str, day: u64| {
            statistics.view(&Seen {
                at: SystemTime::UNIX_EPOCH + Duration::from_secs(day * DAY),
                viewer: [viewer; 16],
                event,
                kind: Kind::Hls,
                route: "media",
                origin: &String::new,
                host: "video.example.edu",
                address: [192, 0, 2, 1].into(),
                metrics: &metrics,
            })
        };
        let first = seen(1, "a", 20_000);
        assert_eq!(seen(1, "a", 20_000), first);
        assert_eq!((first.view.len(), first.viewer.len()), (32, 16));
        let (other_event, other_viewer, tomorrow) = (seen(1, "b", 20_000), seen(2, "a", 20_000), seen(1, "a", 20_001));
        assert_eq!(other_event.viewer, first.viewer);
        assert_ne!(other_event.view, first.view);
        assert_ne!((&other_viewer.view, &other_viewer.viewer), (&first.view, &first.viewer));
        assert_ne!((&tomorrow.view, &tomorrow.viewer), (&first.view, &first.viewer));
    }
}
