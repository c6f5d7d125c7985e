//! Do it: a file from disk, or an upstream.

pub mod file;
pub mod playlist;
pub mod proxy;
pub mod s3;
