//! Watch passes as the running gateway has them: how long, for what, and by which way. `compile::watch` makes it.

use std::time::Duration;

use super::section::words;

/// The watch passes of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Never empty.
    pub carry: Vec<Carry>,
    pub ttl: Duration,
    /// A pass is for so many path parameters, the first ones; never 0.
    pub params: usize,
    /// The last of them is this segment of the path, counted from 1.
    pub depth: usize,
    /// Where a rule takes grants on playlists.
    pub of_playlist: Option<OfPlaylist>,
}

/// What a pass for a playlist is for: all events, in whose place the path has a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfPlaylist {
    /// That parameter, counted from 0.
    pub param: usize,
    /// So many segments stand before it.
    pub depth: usize,
}

words! {
    /// How a player carries its watch pass.
    pub enum Carry {
        Cookie = "cookie",
        /// In the query, put there by the playlist.
        Rewrite = "rewrite",
    }
}
