//! What is told of views, and to whom. `compile::statistics` makes it.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::Outgoing;
use super::pattern::Template;

/// `[statistics]`, with somebody who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// Lines are appended here.
    pub file: Option<PathBuf>,
    pub view_ends_after: Duration,
    pub most_views: usize,
    pub most_per_address: usize,
    pub matomo: Option<Matomo>,
    pub usertracking: Option<Usertracking>,
}

/// `[statistics.matomo]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matomo {
    /// Of `matomo.php`.
    pub url: Url,
    pub site: usize,
    pub token_file: PathBuf,
    pub outgoing: Outgoing,
}

/// `[statistics.usertracking]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usertracking {
    /// Of the service, with a slash last.
    pub url: Url,
    pub outgoing: Outgoing,
}

/// `routes.views`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Views {
    /// What is viewed.
    pub event: Template,
}
