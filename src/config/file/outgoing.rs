//! `[outgoing]`, as it is written.

use crate::config::NoProxy;
use crate::config::outgoing::ProxyUrl;
use crate::config::read::{At, Key};
use crate::config::section::section;

section! {
    /// `[outgoing]`: requests that the gateway makes itself.
    struct Outgoing {
        /// The proxy by which they go: `"http://proxy.example.edu:3128"`. `https://` is asked for a tunnel, anything at
        /// `http://` for the page. Environment variables are not read. Default: none.
        proxy: ProxyUrl,
        /// The user that the proxy knows (Basic). Default: none.
        username: String,
        /// A file that holds the password for the proxy and nothing else. Required with `username`.
        password_file: String,
        /// What is asked without the proxy: names with all below them (`"example.edu"`), all below a name
        /// (`".example.edu"`), addresses and networks (`"10.0.0.0/8"`), each with a port if need be; `"*"`. This machine
        /// always is, and the servers of `[upstreams]`.
        no_proxy: Key<Vec<At<NoProxy>>> = [],
    }
}
