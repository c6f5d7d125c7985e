//! `[sign_in.<name>]`, as it is written.

use std::time::Duration;

use crate::config::net::Origin;
use crate::config::read::{At, Key};
use crate::config::section::section;
pub(in crate::config) use crate::config::sign_in::oauth2::Written as OAuth2;
pub(in crate::config) use crate::config::sign_in::oidc::Written as Oidc;

section! {
    /// `[sign_in.<name>]`
    struct SignIn {
        /// What people read where they choose among several: "University of Example". Default: the name of the table.
        title: String,
        /// What roles people get: `[{ attribute = "eduPersonAffiliation", role = "ROLE_AFFILIATION_{value}" }]`.
        roles: Key<Vec<At<RoleRule>>> = [],
        /// Origins of your own web apps on the same site: they may be returned to and may call with the cookie.
        app_origins: Key<Vec<At<Origin>>> = [],
        /// How long sessions live, and how many a person has.
        session: SessionLimits = {},
        /// The sign-in whose people sign in here, too: who has the same name at both is one person. Default: its own.
        people: String,
        /// The CAS server. One of this, `oauth2` and `oidc` is required.
        cas: Cas,
        /// The OAuth 2.0 server, where it has no OpenID Connect.
        oauth2: OAuth2,
        /// The OpenID provider.
        oidc: Oidc,
    }
    later {
        "cas_oauth" => "use `oauth2`",
    }
}

section! {
    /// An element of `sign_in.<name>.roles`.
    struct RoleRule {
        /// One role for each value of this attribute. Default: none, the role is for everybody who signs in here.
        attribute: String,
        /// `{value}` stands for the attribute's value.
        #[required = "role = \"ROLE_USER\", or with attribute = \"…\" role = \"ROLE_AFFILIATION_{value}\""]
        role: String,
    }
}

section! {
    /// `sign_in.<name>.session`
    struct SessionLimits {
        /// A session ends after so long without a request.
        idle: At<Duration> = "2h" in "1s"..="366d",
        /// And so long after the sign-in; with `oauth2` after 4h, where it is not written.
        absolute: At<Duration> = "12h" in "1s"..="366d",
        /// Sessions of one person; beyond it the oldest one ends.
        per_subject: usize = 20 in 1..=10_000,
    }
}

section! {
    /// `[sign_in.<name>.cas]`
    struct Cas {
        /// `"https://cas.example.edu/cas"`: `/login` is below it. `http://` only to this machine.
        #[required = "server = \"https://cas.example.edu/cas\""]
        server: String,
        /// Version of the CAS protocol: 1, 2 or 3.
        protocol: u32 = 3 in 1..=3,
        /// "user", or the attribute that is the person's name.
        username: Key<String> = "user",
        /// Must the password be typed again for each session?
        renew: At<bool> = false,
        /// Signed in if the CAS server says so, else on as nobody?
        passive: At<bool> = false,
        /// Does a logout at the CAS server end the session here?
        single_logout: bool = true,
        /// Proxy callback URLs (pgtUrl) of back ends that may have sessions for their users.
        proxy_chains: Vec<At<String>> = [],
        /// PEM file with further roots for https. Default: the system's roots alone.
        ca_file: String,
    }
}
