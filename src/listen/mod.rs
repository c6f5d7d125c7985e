//! The connection: sockets, TLS, limits and deadlines, who the client is behind trusted proxies.
//!
//! pingora's own listeners are not used, for four reasons: connections must be counted before a TLS handshake costs
//! anything, a header must arrive within a deadline on every connection, the port chosen by the system must be told,
//! and a shutdown must end with the last transfer instead of after a fixed time. What pingora makes of a connection
//! afterwards (HTTP/1.1, HTTP/2) is its own.

mod absolute;
pub mod accept;
pub mod client;
mod coalesce;
pub mod connection;
pub mod intake;
pub mod tls;
