//! What an operator can do about a refusal: a text for each reason, with places for names that only a request knows.

use super::Reason;

/// The names that a text may have in braces. Whoever shows the text puts in what is known, or general words.
pub const PLACES: [&str; 7] = ["route", "issuer", "upstream", "moodle", "host", "method", "client"];

impl Reason {
    /// What the operator can do, in one or two sentences. It may have [`PLACES`].
    pub fn remedy(self) -> &'static str {
        match self {
            Self::RequestTimeout => {
                "The client sent its request too slowly, or broke off. If slow clients are expected, raise `read` and `header` \
                 of server.timeouts."
            }
            Self::HeadersTooLarge => {
                "The client sends more header than server.max_header takes. Many cookies or a very long token are the usual \
                 cause: let the browser delete the cookies of {host}, or raise server.max_header."
            }
            Self::BadRequest => {
                "The request is not well-formed HTTP, or a form in it is not as it has to be. The detail says what is wrong: mend \
                 the client, or the proxy in front."
            }
            Self::NotImplemented => {
                "The client uses a method or coding that the gateway does not have. Let it use an ordinary method and coding."
            }
            Self::BadPath => {
                "The path is not canonical (encoded slashes, dots, control characters), or not one that {route} may pass on. Mend \
                 the link."
            }
            Self::PathTooLong => "The path is longer than the gateway takes. Mend the link.",
            Self::UnknownHost => {
                "The gateway does not serve {host}. If it should, add its URL to server.public_urls; if a proxy stands in front, let \
                 it pass on the Host of the client."
            }
            Self::NoRoute => {
                "No route has this host and path. Compare them with `host` and `path` of the [[routes]] in gateway.toml, and \
                 check the link."
            }
            Self::MethodNotAllowed => {
                "The path has a route, but none for {method}. If it should be served, add it to `methods` of that route."
            }
            Self::BodyTooLarge => {
                "The body is larger than `limits.body` of {route}, or than Moodle's own limit (`post_max_size` of PHP). Raise the \
                 limit that the detail names."
            }
            Self::NoCredentials => {
                "The request brought nothing that says who it is. Where a player follows links of a playlist, give {route} `watch`, \
                 or let the player send the token with each request; where people sign in, let the page send them to the sign-in."
            }
            Self::MalformedToken => {
                "What stands where a token is expected is not one. Look at how the token is put into the link: it may be cut off or \
                 encoded twice. `janua token show` reads it."
            }
            Self::AlgorithmNotAllowed => {
                "Add the algorithm of the token to jwt.algorithms (or `algorithms` of the [bearer.<name>.jwks]), or let {issuer} sign \
                 with one that stands there."
            }
            Self::BadSignature => {
                "A known key did not make this signature: the token was changed, or the key set of {issuer} is not the one that it \
                 signs with. Run `janua check`, and compare `jwks` in gateway.toml with the keys of the issuer."
            }
            Self::UnknownKey => {
                "The key that signed is not in any key set here. Let {issuer} publish its new key, or set `jwks` in gateway.toml to \
                 where it does; `janua check` tells which keys are known."
            }
            Self::KeysUnavailable => {
                "No key of {issuer} is there yet. /readyz on the admin listener and `janua check` say why its key set cannot be \
                 fetched."
            }
            Self::TokenExpired => {
                "Open the lecture from the course again: that makes a new token. If it happens soon after that, compare the clocks \
                 (jwt.leeway) and the lifetime that {issuer} gives; if it happens during playback, give {route} `watch`."
            }
            Self::TokenNotYetValid => {
                "The token begins in the future. Set the clocks of {issuer} and of this machine right, or raise jwt.leeway."
            }
            Self::LifetimeTooLong => {
                "Let {issuer} make tokens of a shorter life, or raise its `max_lifetime` in gateway.toml."
            }
            Self::WrongIssuer => {
                "The `iss` of the token is not the one in gateway.toml for the key that signed it. Compare both to the letter: a slash \
                 at the end counts."
            }
            Self::WrongAudience => {
                "The token is for another service. Let {issuer} name this gateway in `aud`, or add what the token names to `audience` \
                 (or `clients`) in gateway.toml."
            }
            Self::WrongType => {
                "It is another kind of token (an ID, refresh or logout token, say). Let the app send its access token, or name the \
                 `typ` in gateway.toml."
            }
            Self::SenderConstrained => {
                "The token is bound to a key of the app (DPoP, mTLS), which the gateway does not support. Let the app ask for a token \
                 that is not bound."
            }
            Self::TokenNotActive => {
                "The authorization server says that the token has ended or was revoked. Let the app get a new one, or the person sign \
                 in again."
            }
            Self::TokenServerUnavailable => {
                "The server of the [bearer.<name>] does not answer, or refuses the gateway. `janua check` asks it and says which; \
                 compare client_id and secret."
            }
            Self::IssuerNotAccepted => {
                "The token is good, but {route} does not take it: add {issuer} to `issuers` of the route, if it should."
            }
            Self::WatchPassInvalid => {
                "A watch pass is good for one lecture, one route and one gateway. Open the lecture from the course again; where several \
                 gateways serve it, give them the same master key ([state])."
            }
            Self::WatchPassExpired => {
                "The player needs a token again: open the lecture from the course. If it ends too soon, raise `watch.ttl` of {route} or \
                 `watch_max` of {issuer}."
            }
            Self::WatchPassRevoked => {
                "`janua revoke` has ended the pass. With a token that is still good the person gets a new one: open the lecture from \
                 the course."
            }
            Self::SignedUrlMalformed => {
                "policy, keyId and signature of the address are not as Opencast writes them, or one of them is missing or there twice. \
                 Look at how the address is put into the page: it may be cut off or encoded twice."
            }
            Self::SignedUrlUnknownKey => {
                "No key of `keys` in the [signed_urls.<name>] has this id: add it, with the secret that Opencast signs with \
                 (its UrlSigningServiceConfig)."
            }
            Self::SignedUrlBadSignature => {
                "The secret of this key is not the one that signed, or the address was changed. Compare `secret_file` of \
                 [signed_urls.<name>] with Opencast's configuration."
            }
            Self::SignedUrlOtherResource => {
                "The address was signed for another file, or for another host or scheme. If a proxy in front changes those, write \
                 strict = false in the [signed_urls.<name>]."
            }
            Self::SignedUrlOtherClient => {
                "Opencast has signed for the address of one client, and this is another one. If a proxy stands in front, add it to \
                 server.trusted_proxies; people whose address changes need addresses without it."
            }
            Self::SignedUrlExpired => {
                "The time for which Opencast has signed is over: the page has to be loaded again. If it ends too soon, let \
                 Opencast sign for longer."
            }
            Self::SignedUrlNotYetValid => {
                "The address is signed for later. If that is not meant, compare the clocks of Opencast and of this machine."
            }
            Self::StoreUnavailable => {
                "The state store ([state]) does not answer, so that nobody can be known by a session. `janua check` asks it."
            }
            Self::CrossSite => {
                "A page of another site did this with the cookie of the person. If it is an app of yours, add its origin to \
                 `app_origins` of the sign-in; if it is a back end, let it send a `jns_…` session. The detail says which."
            }
            Self::SignInStale => {
                "No mistake of the gateway: the sign-in took more than 15 minutes, or went on in another browser or at another host. \
                 Begin it again."
            }
            Self::LaunchStale => {
                "No mistake of the gateway, mostly: the launch took more than 10 minutes, was sent twice, or came without the cookie of \
                 its login. Open the link in the course again; if it fails each time, the browser keeps no cookies in that frame."
            }
            Self::SignInRefused => {
                "The sign-in server did not accept it, or its answer is not good; the detail has its words. Compare what is registered \
                 there with what `janua check` prints."
            }
            Self::SignInUnavailable => {
                "The sign-in server does not answer, or not by its protocol. `janua check` asks it and says what came."
            }
            Self::DeniedByRule => "A rule of `deny` of {route} holds. If it should not, change that rule.",
            Self::MissingScope => {
                "The access token lacks a scope that `allow` of {route} asks for. Let the app ask its server for that scope, or allow \
                 it without."
            }
            Self::MissingRole => {
                "Give the person a role that `allow` of {route} names, or add one that the person has. A role that `allow_roles` of \
                 {issuer} does not permit is not held."
            }
            Self::EventNotGranted => {
                "The link is for another lecture, or the list of the event in Opencast does not name the person. Open the lecture from \
                 its own course, or change the list there; `allow_actions` of {issuer} caps what a token may grant."
            }
            Self::NotAllowed => {
                "No rule of `allow` of {route} holds for this person, address or method. Change a rule, or add one."
            }
            Self::AclUnavailable => {
                "A rule of {route} asks Opencast about the event, and Opencast does not answer. `janua check` asks it; look at the user \
                 and password of the [opencast.<name>]."
            }
            Self::RateLimited => {
                "Wait a moment. If people meet it in ordinary use, raise what the detail names: `limits.rate` of {route}, \
                 `moodle.<name>.calls`, or jwt.bad_signatures for wrong tokens from one address."
            }
            Self::MoodleEndpoint => {
                "{route} takes calls of Moodle's web services only. Let the app call the script for that, or add a route for other \
                 pages of Moodle."
            }
            Self::TokenOverride => {
                "The gateway puts the token in. Let the app leave `wstoken` and `token` out of its calls."
            }
            Self::MoodleSignInRequired => {
                "No mistake: let the app open the address under `sign_in` in the browser of the person once. For calls without a \
                 browser, name a source in `tokens` of {moodle} that needs none."
            }
            Self::NoMoodleToken => {
                "No source in `tokens` of {moodle} gives this person a token. The detail, or the log, names the setting in Moodle; \
                 `janua check` looks at it."
            }
            Self::MoodlePolicyNotAgreed => {
                "No mistake: let the person open Moodle and agree to its policy, then try again."
            }
            Self::MoodleProfileIncomplete => {
                "No mistake: let the person open Moodle and fill in the profile, then try again."
            }
            Self::MoodlePasswordChange => {
                "No mistake: let the person open Moodle and choose a new password, then try again."
            }
            Self::MoodlePasswordUnchangeable => {
                "Let an administrator of Moodle take the mark for a new password off the account: it has no password in Moodle that the \
                 person could change."
            }
            Self::MoodleSecondFactor => {
                "Give the factor \"auth\" of tool_mfa in Moodle its full weight, or name a source in `tokens` of {moodle} that the \
                 person goes through in the browser (`launch`)."
            }
            Self::MoodleVisitRequired => {
                "Moodle sends the person to a page first, a plugin's perhaps: let the person open Moodle and do what it asks."
            }
            Self::MoodleMaintenance => "Moodle is in maintenance mode. Wait until it is over, or end it in Moodle.",
            Self::MoodleTokenRenewed => {
                "No mistake: the token ended during a large call, which is not sent twice. Let the app send it again."
            }
            Self::FunctionNotAllowed => {
                "`functions` of {route} does not name this function. If it should be called, add it there; `janua explain` names the \
                 entries."
            }
            Self::FileNotFound => {
                "The rules allow it, but there is no such file below `files` of {route}. Check the path and `strip`, and whether the \
                 gateway may read the file."
            }
            Self::PreconditionFailed => {
                "No mistake: the client asked for a version of the file that is not there any more (If-Match). It has to load it anew."
            }
            Self::RangeNotSatisfiable => {
                "The client asked for bytes behind the end of the file. If that happens often, the file was replaced by a shorter one \
                 while it was played."
            }
            Self::Overloaded => {
                "Too much was under way at once. The detail says what: the disk, {upstream}, or requests of one address \
                 (server.connections.per_address). Behind a proxy, name it in server.trusted_proxies."
            }
            Self::UpstreamUnavailable => {
                "{upstream} cannot be connected to. Is it running? Compare `servers` in gateway.toml; `janua check` and the status page \
                 say which server is down."
            }
            Self::UpstreamFailed => {
                "{upstream} broke off, or its answer was not usable. Look into its own log at this time; the detail says what came."
            }
            Self::UpstreamTimeout => {
                "{upstream} did not answer in time. Look at its load, or raise its `timeouts.read`."
            }
            Self::ClientGone => {
                "No mistake: the client closed the connection before the answer was whole. Players do so at each seek."
            }
            Self::Internal => {
                "This is a defect of the gateway. Report it with the lines of the log that have this request id."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_a_remedy_of_its_own_with_known_places() {
        let mut seen = HashSet::new();
        for reason in Reason::ALL {
            let text = reason.remedy();
            assert!(seen.insert(text), "{reason:?} says what another says");
            assert!(
                text.len() > 30 && text.ends_with('.') && !text.contains("  "),
                "{reason:?}: {text}"
            );
            for place in text.split('{').skip(1) {
                let name = place.split('}').next().unwrap();
                assert!(PLACES.contains(&name), "{reason:?}: {name}");
            }
        }
    }
}
