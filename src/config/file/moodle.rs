//! `[moodle.<name>]` and a route's `functions`, as they are written.

use ipnet::IpNet;
use toml::Spanned;
use toml::de::DeValue;

use crate::config::pattern::RolePattern;
use crate::config::read::{At, OneOrMany, Read, Reader};
use crate::config::section::section;
use crate::config::{FunctionPattern, MoodleSource, OwnTokens};

section! {
    /// `[moodle.<name>]`: a Moodle whose web services are called with tokens that the gateway puts in.
    struct Moodle {
        /// The upstream behind which it is. Required.
        upstream: String,
        /// Moodle's `$CFG->wwwroot`, exactly. Required.
        public_url: String,
        /// Only sessions of this sign-in get tokens. Required.
        sign_in: String,
        /// "user", or the attribute that is the username in Moodle. Default: user.
        username: String,
        /// The short name of the external service whose tokens are wanted. Default: moodle_mobile_app.
        service: String,
        /// Where tokens come from, tried in order: "vault", "cas-launch", "cas-token", "cas-facade". Default: cas-launch.
        tokens: Vec<At<MoodleSource>>,
        /// Usernames that never get a token. Default: none.
        never: Vec<At<String>>,
        /// Where Moodle asks the gateway as its CAS server. Only for "cas-facade", and required there.
        facade: Facade,
        /// "pass": a call without a session that brings a token of its own goes on to Moodle as it is; or "refuse". Default: pass.
        own_tokens: OwnTokens,
    }
}

section! {
    /// `moodle.<name>.facade`
    struct Facade {
        /// `"/_janua/cas-facade"`: what Moodle is told as the path of its CAS server. Required.
        path: String,
        /// Moodle's own addresses; nobody else is answered. Required.
        from: Vec<At<IpNet>>,
    }
}

section! {
    /// An element of `routes.functions` for holders of a role.
    struct Functions {
        /// `["mod_assign_*"]`. Required.
        names: Vec<At<FunctionPattern>>,
        /// A role held, one or several patterns. Default: everyone whom the route lets in.
        role: OneOrMany<RolePattern>,
    }
}

/// An element of `routes.functions`: a name, or a table.
#[derive(Debug)]
pub(in crate::config) enum FunctionEntry {
    Name(FunctionPattern),
    Table(Functions),
}

impl Read for FunctionEntry {
    fn read(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(_) => Functions::read(value, reader).map(Self::Table),
            _ => FunctionPattern::read(value, reader).map(Self::Name),
        }
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "anyOf": [FunctionPattern::schema(), Functions::schema()] })
    }
}
