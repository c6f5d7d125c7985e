//! `[moodle.<name>]` and a route's `functions`, as they are written.

use ipnet::IpNet;
use toml::Spanned;
use toml::de::DeValue;

use crate::config::pattern::RolePattern;
use crate::config::read::{At, Key, OneOrMany, Read, Reader};
use crate::config::section::section;
use crate::config::value::{FunctionWord, PerSecond};
use crate::config::{LoginPlugin, MoodleSource, OwnTokens, PageMethod};

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
        /// Where tokens come from, tried in order: "vault", "cas-launch", "cas-token", "cas-facade", "launch", "oidc-launch",
        /// "attribute", "clearpass", "page".
        tokens: Key<Vec<At<MoodleSource>>> = ["cas-launch"],
        /// Usernames in Moodle that never get a token.
        never: Vec<String> = [],
        /// Where Moodle asks the gateway as its CAS server. Only for "cas-facade", and required there.
        facade: Facade,
        /// Where the sign-in server tells a person's own token. Only for "attribute", and required there.
        attribute: TokenAttribute,
        /// How a person's password comes from the CAS server. Only for "clearpass", and required there.
        clearpass: ClearPass,
        /// The campus's own page that gives people's tokens. Only for "page", and required there.
        page: TokenPage,
        /// Is a person's kept token deleted here when the person signs out, or a sign-in server says so? Moodle keeps it.
        drop_at_logout: bool = false,
        /// How people log in to Moodle at an OpenID provider. Only for "oidc-launch". Default: as Moodle itself says.
        oidc_launch: OidcLaunch,
        /// "pass": a call without a session that brings a token of its own goes on to Moodle as it is; or "refuse".
        own_tokens: OwnTokens = "pass",
        /// Calls of functions and uploads with the gateway's tokens, for each person. A batch of calls counts as many as are in
        /// it; files do not count. Default: unlimited.
        calls: PerSecond,
        /// Calls at once within `calls`. Default: what `calls` allows in a second.
        calls_burst: u64,
        /// Are calls counted by function, too, in `janua_moodle_functions_total`? Only functions that Moodle itself has are told
        /// apart.
        function_metrics: bool = false,
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
        /// `["email", "given_name"]`: attributes or claims of a person that Moodle is told as attributes of CAS; by itself it is
        /// told the name alone.
        attributes: Vec<At<String>> = [],
    }
}

section! {
    /// `moodle.<name>.attribute`
    struct TokenAttribute {
        /// The attribute, or the claim, that is the person's token: a secret, of which no role and no name may be made.
        #[required = "name = \"moodleToken\""]
        name: String,
    }
}

section! {
    /// `moodle.<name>.clearpass`
    struct ClearPass {
        /// The private key for which the CAS server encrypts passwords: RSA from 2048 bits, PKCS#8 in PEM. It has the public part.
        #[required = "key_file = \"secrets/clearpass.pem\", by `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048`"]
        key_file: String,
        /// The attribute that is the password.
        attribute: At<String> = "credential",
    }
}

section! {
    /// `moodle.<name>.page`
    struct TokenPage {
        /// The page, which is a service of the CAS server's: a proxy ticket is made for this very address. https, or http to this
        /// machine.
        #[required = "url = \"https://portal.example.edu/moodle-token\""]
        url: String,
        /// "POST": the ticket comes in a form; "GET": in the query, which logs may keep.
        method: PageMethod = "POST",
        /// The parameter in which the ticket comes.
        parameter: At<String> = "ticket",
        /// Where in the JSON of the answer the token stands: a JSON pointer (RFC 6901).
        #[required = "token = \"/data/token\""]
        token: String,
        /// The same of the person's name in Moodle. Default: Moodle alone is asked whose the token is.
        username: String,
        /// Is it asked with access tokens, too, as `Authorization: Bearer`? With the one by which an application calls
        /// (`[bearer.<name>]` with `people`), and the one that a sign-in by `oidc` or `oauth2` got.
        forward_bearer_token: At<bool> = false,
        /// Are proxy tickets also got for back ends' sessions (`proxy_chains`)? The CAS server must allow them the callback.
        back_ends: bool = false,
        /// PEM file with further roots for https.
        ca_file: String,
    }
}

section! {
    /// `moodle.<name>.oidc_launch`
    struct OidcLaunch {
        /// `"https://idp.example.edu"`: the only origin to which Moodle may lead people's browsers to authenticate. https, or http
        /// to this machine. Default: the origin of the authorization endpoint of `sign_in`.
        provider: String,
        /// "auth_oauth2", Moodle's own, or "auth_oidc", Microsoft's. Default: the one that Moodle's login page offers.
        plugin: LoginPlugin,
        /// Which OAuth 2 service of Moodle's it is (auth_oauth2), by its id there. Default: the one that the login page offers.
        issuer_id: u64,
    }
}

section! {
    /// An element of `routes.functions` for holders of a role.
    struct Functions {
        /// `["mod_assign_*"]`: names, patterns, groups and files of them. Required.
        names: Vec<At<FunctionWord>>,
        /// A role held, one or several patterns. Default: everyone whom the route lets in.
        role: OneOrMany<RolePattern>,
    }
}

/// An element of `routes.functions`: a name, or a table.
#[derive(Debug)]
pub(in crate::config) enum FunctionEntry {
    Name(FunctionWord),
    Table(Functions),
}

impl Read for FunctionEntry {
    fn read(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(_) => Functions::read(value, reader).map(Self::Table),
            _ => FunctionWord::read(value, reader).map(Self::Name),
        }
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "anyOf": [FunctionWord::schema(), Functions::schema()] })
    }
}
