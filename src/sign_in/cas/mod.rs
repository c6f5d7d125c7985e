//! CAS protocol 1 to 3 as a client: who a ticket was made for, and what the server's words mean.
//!
//! [`client`] asks, [`answer`] judges what comes back, [`logout`] reads the server's own calls. Sessions,
//! roles, cookies and redirects are decided elsewhere; of those here, only [`client`] does I/O.

pub mod answer;
pub mod client;
mod element;
pub mod failure;
mod json_answer;
pub mod logout;
pub mod principal;
pub mod ticket;
mod xml_answer;

pub use self::answer::{Answer, BadAnswer};
pub use self::client::{Client, Login, ValidateError};
pub use self::failure::{Failure, FailureCode};
pub use self::logout::SessionIndex;
pub use self::principal::Principal;
pub use self::ticket::{BadTicket, Ticket};
pub use crate::authenticate::session::Attributes;
pub use crate::config::cas::Protocol;
