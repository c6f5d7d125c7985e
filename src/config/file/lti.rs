//! `[lti.<name>]`, as it is written.

use std::time::Duration;

use super::Launch;
use crate::config::Algorithm;
use crate::config::read::{At, Key, OneOrMany};
use crate::config::section::section;

section! {
    /// `[lti.<name>]`: a learning platform that launches pages here by LTI 1.3. Its name stands in the addresses that are
    /// registered at the platform: `/_janua/lti/<name>/login`, `…/launch` and `…/jwks`.
    struct Lti {
        /// What the platform calls itself (`iss`), to the letter.
        #[required = "issuer = \"https://moodle.example.edu\""]
        issuer: String,
        /// What the platform calls this tool, one or several.
        #[required = "client_id = \"…\", as the platform shows it once the tool is registered"]
        client_id: OneOrMany<String>,
        /// Where the platform names the person ("authentication request URL"). `http://` only to this machine.
        #[required = "auth_login_url = \"https://moodle.example.edu/mod/lti/auth.php\""]
        auth_login_url: String,
        /// Its public keys ("public keyset URL"). `http://` only to this machine.
        #[required = "jwks_url = \"https://moodle.example.edu/mod/lti/certs.php\""]
        jwks_url: String,
        /// The deployments whose launches count.
        #[required = "deployment_ids = [\"1\"], as the platform shows them; a launch of another one names it in the log"]
        deployment_ids: Vec<At<String>>,
        /// What roles people get: `lti` is a role of the course by its last word ("Instructor" and its sub-roles), or any by
        /// its whole URI; `{context_id}` is the course.
        roles: Key<Vec<At<LtiRole>>> = [{ lti = "Learner", role = "{context_id}_Learner" }, { lti = "Instructor", role = "{context_id}_Instructor" }],
        /// Stands before each person's name (`sub`). Default: "lti:<name>:".
        username_prefix: String,
        /// Do that name's rules count (`subject`), and are upstreams shown it?
        may_name_users: bool = true,
        /// The page for launches that name none: `"/studio/"`. Default: such are refused.
        target: String,
        /// Where the id of a video may be typed for a page (deep linking): `"/play/{id}"`. Default: whole addresses alone.
        content: String,
        /// Algorithms that the platform signs with.
        algorithms: At<Vec<At<Algorithm>>> = ["RS256"],
        /// By how much the platform's clock may differ.
        leeway: Duration = "60s" in "0s"..="10m",
        /// How long the session of a launch lives.
        launch: Launch = {},
        /// File with the private key that chosen content is signed with for the platform (deep linking): PKCS#8 in PEM, RSA from
        /// 2048 bits. Default: none, and no content can be chosen.
        key_file: String,
        /// PEM file with further roots for https. Default: the system's roots alone.
        ca_file: String,
    }
}

section! {
    /// An element of `lti.<name>.roles`.
    struct LtiRole {
        /// Who gets it: "Learner", or `"http://purl.imsglobal.org/vocab/lis/v2/system/person#Administrator"`. Default: everybody.
        lti: String,
        /// `{context_id}` stands for the course: outside of one there is no such role.
        #[required = "role = \"{context_id}_Learner\""]
        role: String,
    }
}
