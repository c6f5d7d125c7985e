//! The promises, one file each, kept by the real binary over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails; nothing here is reachable by input"
)]
#![allow(unreachable_pub, reason = "the support modules are written like a library")]

#[path = "../support/mod.rs"]
mod support;

mod accel;
mod algorithms;
mod bearer;
mod browser_https;
mod cas_server;
mod catalogue;
mod check;
mod check_files;
mod check_machine;
mod cli;
mod decide;
mod demo;
mod denials;
mod doubles;
mod else_ask;
mod event_acl;
mod event_acl_faults;
mod explain;
mod fairness;
mod faults;
mod files;
mod framing;
mod headers;
mod hostile;
mod hosts;
mod http2_upstream;
mod identity_headers;
mod import;
mod init;
mod issuers;
mod jwtify;
mod key_files;
mod keys;
mod keysets;
mod launch;
mod limits;
mod logs;
mod lti;
mod media_by_address;
mod memory;
mod methods;
mod misled;
mod moodle;
mod moodle_double;
mod moodle_php;
mod moodle_tokens;
mod oauth2;
mod octoka;
mod oidc;
mod opencast_double;
mod opencast_jwt;
mod opencast_rules;
mod outgoing;
mod paella;
mod pages;
mod paths;
mod peers;
mod people;
mod players;
mod playlists;
mod proxy;
mod redirects;
mod reload;
mod reload_load;
mod rules;
mod s3;
mod schema;
mod secrets;
mod seeing;
mod shutdown;
mod sign_in;
mod signed_urls;
mod smuggling;
mod statistics;
mod studio;
mod tls;
mod tokens;
mod tracing;
mod upgrades;
mod uploads;
mod upstream_auth;
mod upstream_faults;
mod watch;
mod watch_browser;
mod watch_players;
mod watch_replicas;
mod watch_tabs;
mod why;
