//! Do it: a file from disk, an upstream, or a fixed reply.

pub mod file;
pub mod key_set;
pub mod playlist;
pub mod proxy;
pub mod reply;
