//! `[moodle.<name>]` and a route's `functions`, as they are written.

use ipnet::IpNet;
use toml::Spanned;
use toml::de::DeValue;

use crate::config::pattern::RolePattern;
use crate::config::read::{At, Key, OneOrMany, Read, Reader};
use crate::config::section::section;
use crate::config::{FunctionPattern, MoodleSource, OwnTokens};

section! {
    /// `[moodle.<name>]`: a Moodle whose web services are called with tokens that the gateway puts in.
    struct Moodle {
        /// The upstream behind which it is.
        #[required = "upstream = \"moodle\""]
        upstream: String,
        /// Only sessions of this sign-in get tokens, and of others that have its people.
        #[required = "sign_in = \"campus\""]
        sign_in: String,
        /// Moodle's `$CFG->wwwroot`, exactly.
        #[required = "public_url = \"https://moodle.example.edu\", which is Moodle's $CFG->wwwroot"]
        public_url: String,
        /// "user", or the attribute that is the username in Moodle; or one of them in braces, "{mail}", with what stands around
        /// it: in lower case then, and refused where Moodle takes no such name.
        username: At<String> = "user",
        /// The one domain of such names, "example.edu": it is cut off, and people of others get no token. Default: names are
        /// kept whole.
        username_domain: String,
        /// The short name of the external service whose tokens are wanted.
        service: Key<String> = "moodle_mobile_app",
        /// Where tokens come from, tried in order: "vault", "cas-launch", "cas-token", "cas-facade", "launch".
        tokens: Key<Vec<At<MoodleSource>>> = ["cas-launch"],
        /// Usernames in Moodle that never get a token.
        never: Vec<String> = [],
        /// Where Moodle asks the gateway as its CAS server. Only for "cas-facade", and required there.
        facade: Facade,
        /// "pass": a call without a session that brings a token of its own goes on to Moodle as it is; or "refuse".
        own_tokens: OwnTokens = "pass",
    }
}

section! {
    /// `moodle.<name>.facade`
    struct Facade {
        /// `"/_janua/cas-facade"`: what Moodle is told as the path of its CAS server.
        #[required = "path = \"/_janua/cas-facade\""]
        path: String,
        /// Moodle's own addresses; nobody else is answered.
        #[required = "from = [\"10.0.0.7/32\"], Moodle's addresses"]
        from: Vec<At<IpNet>>,
        /// `["email", "given_name"]`: attributes or claims of a person that Moodle is told as attributes of CAS. Default: nothing
        /// but the name.
        attributes: Vec<At<String>> = [],
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
