//! Janua: the gate in front of a campus's Opencast and Moodle.
//!
//! # The steps of a request, in their order
//!
//! | module | decides |
//! | --- | --- |
//! | [`listen`] | the connection: sockets, TLS, limits and deadlines, who the client is behind trusted proxies |
//! | [`route`] | which route: one canonical path, then the most specific host, path and method |
//! | [`authenticate`] | who is it: tokens against cached key sets, access tokens of authorization servers, sessions, launch sessions, watch passes |
//! | [`authorize`] | may they: rules over conditions |
//! | [`present`] | what the upstream is shown of the client |
//! | [`act`] | do it: files, an upstream, a fixed reply |
//! | [`respond`] | answer: a rejection's status, challenge, problem JSON or page; CORS; security headers |
//! | [`observe`] | tell: metrics, access log, tracing, health |
//!
//! [`gateway`] takes a request, decides about it and does what was decided; read that file first, then `gateway/decide.rs`,
//! which [`explain`] calls too. The steps stand beside it.
//!
//! # Around them
//!
//! | module | is |
//! | --- | --- |
//! | [`config`] | what the operator wrote, checked |
//! | [`snapshot`] | what a running gateway decides by; [`reload`] puts another in its place |
//! | [`context`] | what is known of one request so far |
//! | [`sign_in`] | sign-in servers: what they are asked, and whom their answers name |
//! | [`own`] | the gateway's own addresses: signing in and out, launches |
//! | [`moodle`] | people's tokens for Moodle: obtained, kept, dropped |
//! | [`opencast`] | what Opencast is asked about events, and told of people |
//! | [`statistics`] | views of recordings: counted, and told to a file, Matomo or Opencast |
//! | [`ask`] | an upstream's word where no rule speaks |
//! | [`store`], [`sealing`] | what outlives a restart, and the master key that it is sealed with |
//! | [`client_key`] | the key by which the gateway proves to a sign-in server which client it is |
//! | [`key_file`], [`named_file`] | files with secrets that others can get at; passwords and CAs that cannot be used |
//! | [`backchannel`] | requests that the gateway makes itself |
//! | [`explain`] | a request's way without the request: why it is allowed or refused |
//! | [`admin`], [`overview`] | the second listener, and what it tells |
//! | [`control`] | the socket by which commands ask the running gateway |
//! | [`server`], [`cli`], [`watch_file`] | wiring, commands, files that change |
//!
//! Vocabulary that all modules share: [`request`], [`headers`], [`query`], [`identity`], [`event`], [`rejection`], [`rate`], [`fair`],
//! [`text`], [`redact`], [`time`], [`digest`], [`private_file`], [`trust`].
//!
//! What stands around the gateway of `janua demo` is a crate of its own, `crates/janua-demo`, which knows nothing of this one.
//!
//! # Import rules (held by `tests/architecture.rs`)
//!
//! - Each module stands in one layer and imports lower ones. A step imports vocabulary and configuration types, never
//!   another step.
//! - pingora's types stay at the edge: `server`, `gateway`, `listen`, `act/proxy`, `respond/write`.
//! - The middle (paths, tokens, rules, ranges) does no I/O and takes `now` as an argument.
//! - `config::file` is seen by `config` only: the running code never meets what was written, only what was checked.

pub mod act;
pub mod admin;
pub mod ask;
pub mod authenticate;
pub mod authorize;
pub mod backchannel;
pub mod cli;
pub mod client_key;
pub mod config;
pub mod context;
pub mod control;
pub mod digest;
pub mod event;
pub mod explain;
pub mod fair;
pub mod gateway;
pub mod headers;
pub mod identity;
pub mod key_file;
pub mod listen;
pub mod moodle;
pub mod named_file;
pub mod observe;
pub mod opencast;
pub mod overview;
pub mod own;
pub mod present;
pub mod private_file;
pub mod query;
pub mod rate;
pub mod redact;
pub mod rejection;
pub mod reload;
pub mod request;
pub mod respond;
pub mod route;
pub mod sealing;
pub mod server;
pub mod sign_in;
pub mod snapshot;
pub mod statistics;
pub mod store;
pub mod text;
pub mod time;
pub mod trust;
pub mod watch_file;

/// The binary's: tests measure what its memory is.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
