//! `[bearer.<name>]`, as it is written.

use std::time::Duration;

use super::RoleRule;
use crate::config::Algorithm;
use crate::config::ClientAuth;
use crate::config::read::{At, Key, OneOrMany};
use crate::config::section::section;
use crate::config::value::PerSecond;

section! {
    /// `[bearer.<name>]`: whose access tokens are taken, and how it is found out what they say.
    struct Bearer {
        /// The claim, or the member of the server's answer, that is the person's name; `a.b` is `b` in the object `a`.
        username: At<String> = "sub",
        /// A sign-in: whoever has the same name there is the same person. Default: none, these are people of their own.
        people: String,
        /// What roles people get: `[{ attribute = "groups", role = "ROLE_GROUP_{value}" }]`.
        roles: Key<Vec<At<RoleRule>>> = [],
        /// One of which tokens must be meant for (`aud`). This or `clients` is required.
        audience: OneOrMany<String>,
        /// The clients whose tokens are taken (`client_id`, `azp`).
        clients: OneOrMany<String>,
        /// Tokens that one address may bring in vain.
        bad_tokens: PerSecond = "20/s",
        /// Tokens that are verified here by the server's keys. One of this, `introspection` and `profile` is required.
        jwks: BearerJwks,
        /// The server is asked about each token (RFC 7662).
        introspection: Introspection,
        /// The server is shown each token, and tells of its person.
        profile: BearerProfile,
    }
    later {
        "userinfo" => "use `profile`",
    }
}

section! {
    /// `[bearer.<name>.jwks]`: tokens that are JWTs (RFC 9068).
    struct BearerJwks {
        /// The server's issuer, to the letter: `"https://idp.example.edu/realms/campus"`. `http://` only to this machine.
        #[required = "issuer = \"https://idp.example.edu/realms/campus\""]
        issuer: String,
        /// Address of the server's metadata. Default: `/.well-known/openid-configuration` below the issuer.
        discovery: String,
        /// Where its keys are; then there is no discovery. Default: what the metadata says.
        jwks_uri: String,
        /// What the header of tokens may say as `typ`. Keycloak and CAS say "JWT", as they do of other kinds of tokens.
        types: At<Vec<At<String>>> = ["at+jwt"],
        /// Algorithms of tokens.
        algorithms: At<Vec<At<Algorithm>>> = ["RS256", "PS256", "ES256", "ES384", "EdDSA"],
        /// By how much the server's clock may differ.
        leeway: Duration = "60s" in "0s"..="10m",
        /// A token that is valid for longer from now on is refused.
        max_lifetime: Duration = "24h" in "1s"..="366d",
        /// PEM file with further roots for https. Default: the system's roots alone.
        ca_file: String,
    }
}

section! {
    /// `[bearer.<name>.introspection]`
    struct Introspection {
        /// Where the server is asked: `"https://idp.example.edu/introspect"`. `http://` only to this machine.
        #[required = "endpoint = \"https://idp.example.edu/oauth2/introspect\""]
        endpoint: String,
        /// What the gateway is called at the server.
        #[required = "client_id = \"janua\""]
        client_id: String,
        /// File that holds the client's secret alone. This or `client_key_file` is required.
        client_secret_file: String,
        /// How the secret is sent: "basic" or "post"; or "private_key_jwt", a key in its place.
        client_auth: At<ClientAuth> = "basic",
        /// With "private_key_jwt": file with the private key, PKCS#8 in PEM.
        client_key_file: String,
        /// With "private_key_jwt": what the server calls the key (`kid`). Default: nothing, it has one key.
        client_key_id: String,
        /// How long an answer holds, never beyond the token's end. A token that was revoked counts on for so long.
        cache: Duration = "30s" in "0s"..="1h",
        /// How long an answer holds on after that while the server is away.
        serve_stale: Duration = "0s" in "0s"..="24h",
        /// What answers must name as issuer, where they name one; a JWT of another issuer is not asked about. Default: whatever
        /// they say.
        issuer: String,
        /// PEM file with further roots for https. Default: the system's roots alone.
        ca_file: String,
    }
}

section! {
    /// `[bearer.<name>.profile]`
    struct BearerProfile {
        /// `"https://cas.example.edu/cas/oauth2.0/profile"`, or a userinfo endpoint that tells of the client.
        #[required = "endpoint = \"https://cas.example.edu/cas/oauth2.0/profile\""]
        endpoint: String,
        /// How long an answer holds. A token that has ended meanwhile counts on for so long.
        cache: Duration = "30s" in "0s"..="1h",
        /// How long an answer holds on after that while the server is away.
        serve_stale: Duration = "0s" in "0s"..="24h",
        /// PEM file with further roots for https. Default: the system's roots alone.
        ca_file: String,
    }
}
