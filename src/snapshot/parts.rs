//! The parts of a snapshot that go on where the configuration leaves them as they were.

use std::io;
use std::sync::Arc;

use super::{Snapshot, SnapshotError};
use crate::act::proxy::Upstream;
use crate::authenticate::bearer::Section;
use crate::backchannel::BackchannelError;
use crate::config::{self, Config};
use crate::moodle::{Moodle, MoodleTokens};
use crate::observe::metrics::Metrics;
use crate::opencast::Opencast;
use crate::sign_in::Provider;

/// With what it knows of events, if it is the same as before.
pub(super) fn asked_opencast(
    wanted: &config::Opencast,
    config: &Config,
    upstreams: &[Arc<Upstream>],
    before: Option<&Snapshot>,
    metrics: &Metrics,
) -> Result<Arc<Opencast>, SnapshotError> {
    let upstream = upstreams.get(wanted.upstream).ok_or_else(|| SnapshotError::Upstream {
        name: wanted.name.as_str().into(),
        source: io::Error::other("not among the upstreams"),
    })?;
    let mut known = before.into_iter().flat_map(|before| &before.opencasts);
    if let Some(same) = known.find(|known| known.is_same(wanted, upstream)) {
        return Ok(Arc::clone(same));
    }
    let behind = config.upstreams.get(wanted.upstream);
    let ca_file = behind.and_then(|upstream| upstream.ca_file.as_deref());
    let metrics = metrics.opencast(&wanted.name);
    let alone = config.state.valkey().is_none();
    let made = Opencast::new(wanted, Arc::clone(upstream), ca_file, metrics, alone);
    made.map(Arc::new).map_err(|source| SnapshotError::Opencast {
        name: wanted.name.clone(),
        source,
    })
}

pub(super) fn moodle_of(
    moodle: &config::Moodle,
    config: &Config,
    upstreams: &[Arc<Upstream>],
    moodle_tokens: MoodleTokens,
    before: Option<&Snapshot>,
) -> Result<Arc<Moodle>, SnapshotError> {
    let failed = |source| SnapshotError::Moodle {
        name: moodle.name.clone(),
        source,
    };
    let parts = config
        .upstreams
        .get(moodle.upstream)
        .zip(upstreams.get(moodle.upstream))
        .zip(config.sign_ins.get(moodle.sign_in));
    let missing = || BackchannelError::Setup("its upstream or sign-in is not among those that there are".to_owned());
    let ((of, upstream), sign_in) = parts.ok_or_else(missing).map_err(|error| failed(error.into()))?;
    let made = Moodle::new(moodle, of, sign_in, Arc::clone(upstream), moodle_tokens).map_err(failed)?;
    let mut known = before.into_iter().flat_map(|before| &before.moodles);
    let same = known.find(|known| known.config.name == moodle.name);
    Ok(Arc::new(match same {
        Some(same) => made.going_on(same),
        None => made,
    }))
}

pub(super) fn provider(
    sign_in: &config::SignIn,
    config: &Config,
    before: Option<&Snapshot>,
) -> Result<Provider, SnapshotError> {
    let mut known = before
        .into_iter()
        .flat_map(|before| before.config.sign_ins.iter().zip(&before.providers));
    let before = known.find(|(known, _)| known.name == sign_in.name);
    Provider::new(sign_in, config, before.map(|(_, provider)| provider)).map_err(|source| SnapshotError::SignIn {
        name: Arc::clone(&sign_in.name),
        source,
    })
}

/// With what it remembers, if it is the same as before.
pub(super) fn section(
    wanted: &config::Bearer,
    before: Option<&Snapshot>,
    metrics: &Metrics,
) -> Result<Arc<Section>, SnapshotError> {
    if let Some(same) = before.and_then(|before| before.bearers.same(wanted)) {
        return Ok(same);
    }
    let made = Section::new(wanted, metrics.bearer(&wanted.name));
    made.map(Arc::new).map_err(|source| SnapshotError::Bearer {
        name: Arc::clone(&wanted.name),
        source,
    })
}
