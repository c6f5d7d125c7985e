//! `[sign_in.<name>]`, as it is written.

use std::time::Duration;

use crate::config::net::Origin;
use crate::config::read::At;
use crate::config::section::section;

section! {
    /// `[sign_in.<name>]`
    struct SignIn {
        /// What roles people get: `[{ attribute = "eduPersonAffiliation", role = "ROLE_AFFILIATION_{value}" }]`. Default: none.
        roles: Vec<At<RoleRule>>,
        /// How long sessions live, and how many a person has.
        session: SessionLimits,
        /// Origins of your own web apps on the same site: they may be returned to and may call with the cookie.
        /// Default: none.
        app_origins: Vec<At<Origin>>,
        /// The CAS server. Required.
        cas: Cas,
    }
    later {
        "cas_oauth" => "use `cas`",
        "oidc" => "use `cas`",
    }
}

section! {
    /// An element of `sign_in.<name>.roles`.
    struct RoleRule {
        /// One role for each value of this attribute. Default: none, the role is for everybody who signs in here.
        attribute: String,
        /// `{value}` stands for the attribute's value. Required.
        role: String,
    }
}

section! {
    /// `sign_in.<name>.session`
    struct SessionLimits {
        /// A session ends after so long without a request. Default: 2h.
        idle: Duration,
        /// And so long after the sign-in. Default: 12h.
        absolute: Duration,
        /// Sessions of one person; beyond it the oldest one ends. Default: 20.
        per_subject: u64,
    }
}

section! {
    /// `[sign_in.<name>.cas]`
    struct Cas {
        /// `"https://cas.example.edu/cas"`: `/login` is below it. `http://` only to this machine. Required.
        server: String,
        /// Version of the CAS protocol: 1, 2 or 3. Default: 3.
        protocol: u64,
        /// "user", or the attribute that is the person's name. Default: user.
        username: String,
        /// Must the password be typed again for each session? Default: false.
        renew: bool,
        /// Signed in if the CAS server says so, else on as nobody? Default: false.
        passive: bool,
        /// Does a logout at the CAS server end the session here? Default: true.
        single_logout: bool,
        /// Proxy callback URLs (pgtUrl) of back ends that may have sessions for their users. Default: none.
        proxy_chains: Vec<At<String>>,
        /// PEM file with further roots for https. Default: the system's roots alone.
        ca_file: String,
    }
}
