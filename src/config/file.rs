//! The mirror of gateway.toml, key for key. A declaration says all of a key: meaning, type, default, bounds (see `section`).
//!
//! Keys that are known but not built yet are named with what to do instead. What values mean together is judged in
//! `compile`. Durations are `"300ms"`, `"10s"`, `"1h30m"`; sizes `"64KiB"`, `"10MB"`; rates `"200/s"`.
//! `${NAME}` in any string is an environment variable, `$${` stands for `${`. Paths are relative to the file's own folder.

use std::time::Duration;

use http::{HeaderName, Method};

use super::net::{FrameAncestor, HostHeader};
use super::path_pattern::PathPattern;
use super::pattern::RolePattern;
use super::read::{At, Key, Named, OneOrMany};
use super::section::section;
use super::value::{PerSecond, Permission, Size, Store};
use super::{Algorithm, Balance, Carry, Credential, Present, UpstreamServer, ValkeyAddress};

mod bearer;
mod cors;
mod launch;
mod log;
mod lti;
mod moodle;
mod opencast;
mod outgoing;
mod pages;
mod respond;
mod s3;
mod server;
mod sign_in;
mod signed_url;
mod statistics;

pub(super) use self::bearer::{Bearer, BearerJwks, BearerProfile, Introspection};
pub(super) use self::cors::Cors;
pub(super) use self::launch::Launch;
pub(super) use self::log::Log;
pub(super) use self::lti::{Lti, LtiRole};
pub(super) use self::moodle::{ClearPass, Facade, FunctionEntry, Moodle, OidcLaunch, TokenAttribute, TokenPage};
pub(super) use self::opencast::Opencast;
pub(super) use self::outgoing::Outgoing;
pub(super) use self::pages::{Colours, Pages};
pub(super) use self::respond::{Decide, Respond};
pub(super) use self::s3::S3;
pub use self::server::{ClientTimeouts, Connections, Recent};
pub(super) use self::server::{Server, Tls};
pub(super) use self::sign_in::{Cas, OAuth2, Oidc, RoleRule, SignIn};
pub(super) use self::signed_url::{Sign, SignedUrlKey, SignedUrls};
pub(super) use self::statistics::{Matomo, Statistics, Usertracking, Views};
/// Of `allow` and `deny`: the keys of all conditions.
pub(super) use super::rule::Table as Rule;

section! {
    /// The whole file.
    struct File {
        /// Where the gateway listens and what it is called.
        server: Server,
        /// The pages that people see.
        pages: Pages = {},
        /// What it tells of its work.
        log: Log = {},
        /// What outlives a restart.
        state: State = {},
        /// Whose tokens are believed, and how far.
        jwt: Jwt = {},
        /// How people sign in, by name: `[sign_in.campus]`.
        sign_in: Named<SignIn> = {},
        /// Whose access tokens are taken, by name: `[bearer.campus]`.
        bearer: Named<Bearer> = {},
        /// Learning platforms whose launches by LTI 1.3 are taken, by name: `[lti.moodle]`.
        lti: Named<Lti> = {},
        /// Moodles whose web services are called with tokens, by name: `[moodle.main]`.
        moodle: Named<Moodle> = {},
        /// Opencasts that the gateway itself asks about events, by name: `[opencast.main]`.
        opencast: Named<Opencast> = {},
        /// By which proxy the gateway asks others.
        outgoing: Outgoing = {},
        /// Who is told of what is played, and how often.
        statistics: Statistics = {},
        /// Keys of signed addresses, by name: `[signed_urls.opencast]`.
        signed_urls: Named<SignedUrls> = {},
        /// The servers behind the gateway, by name: `[upstreams.opencast]`.
        upstreams: Named<Upstream> = {},
        /// What is published, to whom: `[[routes]]`. Their order means nothing; the most specific one is taken.
        routes: Vec<At<Route>>,
    }
}

section! {
    /// `[state]`: key sets, sessions, tokens.
    struct State {
        /// "memory" (gone with the process), "embedded" (one crash-safe file) or "valkey" (shared by several
        /// gateways; Redis from 6.2 on does as well).
        store: Key<Store> = "embedded",
        /// The file of "embedded"; made if missing.
        path: At<String> = "state/janua.redb",
        /// The master key that seals what is stored: base64 of 32 bytes a line, the newest first. Made if missing.
        /// Default: state/master.key. With "valkey" it is not made: all gateways need the same.
        key_file: At<String> = "state/master.key",
        /// Where "valkey" is: `redis://host:6379`, over TLS `rediss://host:6379`; `redis+sentinel://a:26379,b:26379/master`,
        /// `redis+cluster://a:6379,b:6379`. Without user or password. Required with "valkey".
        url: ValkeyAddress,
        /// PEM file with the roots for `rediss://`. Default: the system's.
        ca_file: String,
        /// The user that "valkey" knows. Default: the one without a name.
        username: String,
        /// A file that holds the password for "valkey" and nothing else. Default: none is sent.
        password_file: String,
    }
}

section! {
    /// `[jwt]`
    struct Jwt {
        /// Accepted signature algorithms, of ES256 ES384 ES512 EdDSA RS256 RS384 RS512 PS256 PS384 PS512.
        algorithms: At<Vec<At<Algorithm>>> = ["ES256"],
        /// Where tokens are looked for, in order. Default: `Authorization: Bearer`, then the query's `jwt`.
        sources: At<Vec<At<Source>>> = [{ header = "authorization", scheme = "Bearer" }, { query = "jwt" }],
        /// Claims that hold roles, all united.
        roles_claims: Vec<At<String>> = ["oc-roles", "roles"],
        /// How far clocks may differ.
        leeway: Duration = "3s" in "0s"..="5m",
        /// How often key sets are fetched; their `Cache-Control: max-age` may shorten it, not below 30s.
        refresh: Duration = "10m" in "30s"..="24h",
        /// How long the last good keys serve on while they cannot be fetched.
        keep_stale: Duration = "24h" in "0s"..="30d",
        /// Memory for verified tokens. Default: 128MiB; "0" remembers none.
        cache: At<Size> = "128MiB",
        /// Signature checks in vain that one address may cause: a bad token with a `kid` costs as many as there are keys of
        /// that name, one without costs as many as there are keys of its algorithm.
        bad_signatures: PerSecond = "200/s",
        /// A longer token is refused, from 1KiB to 64KiB.
        max_token: At<Size> = "16KiB" in "1KiB"..="64KiB",
        /// A larger key set is not read, from 16KiB to 16MiB.
        max_key_set: Size = "256KiB" in "16KiB"..="16MiB",
        /// A token with more roles is refused, at most 4096.
        max_roles: usize = 256 in 1..=4096,
        /// A token with more grants in `oc` is refused, at most 4096.
        max_grants: usize = 256 in 1..=4096,
        /// `[[jwt.issuers]]`
        issuers: Vec<At<Issuer>>,
    }
}

section! {
    /// An element of `jwt.sources`: either `header` with `scheme`, or `query`, or `form`.
    struct Source {
        /// The name of a header.
        header: HeaderName,
        /// What stands before the token in that header; "" where nothing does.
        scheme: String,
        /// The name of a parameter of the query.
        query: String,
        /// The name of a field of the form that `respond = { launch = true }` reads; nothing else reads a form.
        form: String,
    }
}

section! {
    /// `[[jwt.issuers]]`: tokens need not name one; the key set that verifies a token is its issuer.
    struct Issuer {
        /// For rules, logs and metrics; unique.
        #[required = "name = \"moodle\""]
        name: String,
        /// Its public keys: an `https://` URL or a file; `http://` only to this machine.
        #[required = "jwks = \"https://moodle.example.edu/.well-known/jwks.json\", or a file"]
        jwks: String,
        /// PEM file with further roots for the fetch over https. Default: the system's roots alone.
        ca_file: String,
        /// Allows `http://` to other machines: whoever is on the way there can then issue tokens.
        allow_http: At<bool> = false,
        /// Roles that its tokens may carry, as patterns; others are dropped.
        #[required = "allow_roles = [\"*_Learner\", \"*_Instructor\"]: which roles may its tokens carry?"]
        allow_roles: Vec<At<RolePattern>>,
        /// Actions that its tokens may grant.
        allow_actions: Key<Vec<At<String>>> = ["read", "write", "annotate", "annotate-admin"],
        /// A token that is valid for longer from now on is refused.
        max_lifetime: Duration = "24h" in "1s"..="366d",
        /// Is its `sub` a person's name: for `subject` in rules, and for upstreams, which may be shown it (`name` and
        /// `email` too)?
        may_name_users: bool = false,
        /// What its tokens must name as `iss`. Without it: whatever they say, or nothing.
        iss: String,
        /// One of which its tokens must name as `aud`: that they are meant for this gateway. Without it: whatever
        /// they say.
        aud: OneOrMany<String>,
        /// What the header of its tokens must say as `typ`, such as "at+jwt". Without it: whatever it says.
        typ: String,
        /// The longest watch pass that one of its tokens may earn.
        watch_max: Duration = "12h" in "1m"..="7d",
    }
}

section! {
    /// `[upstreams.<name>]`
    struct Upstream {
        /// `["http://127.0.0.1:8081"]`; several are balanced, failing ones left out.
        #[required = "servers = [\"http://127.0.0.1:8081\"]"]
        servers: Vec<At<UpstreamServer>>,
        /// "round_robin", or "consistent" (by path).
        balance: Balance = "round_robin",
        /// May requests become websockets on the routes that lead here?
        websocket: bool = false,
        /// "keep" passes the client's Host on; otherwise the Host to send.
        host: HostHeader = "keep",
        /// PEM file with further roots for https. Default: the system's roots alone.
        ca_file: String,
        /// Lets its `X-Accel-Redirect` answers be served from a folder. Default: that header is dropped.
        accel: UpstreamAccel,
        /// The servers are an object store (S3), of which one bucket is read. Default: none.
        s3: S3,
        /// When a server counts as healthy. Default: it takes a TCP connection.
        health: Health = {},
        /// Patience with its servers.
        timeouts: UpstreamTimeouts = {},
    }
}

section! {
    /// `upstreams.<name>.accel`
    struct UpstreamAccel {
        /// What `X-Accel-Redirect` must begin with: `"/protected"`.
        #[required = "prefix = \"/protected\""]
        prefix: String,
        /// The folder that stands for it.
        #[required = "files = \"/srv/opencast/downloads\", the folder that stands for the prefix"]
        files: String,
    }
}

section! {
    /// `upstreams.<name>.health`
    struct Health {
        /// A path that answers 200. Default: none, a TCP connection is enough.
        path: String,
        every: Duration = "5s" in "100ms"..="1h",
    }
}

section! {
    /// `upstreams.<name>.timeouts`
    struct UpstreamTimeouts {
        /// Until the connection stands.
        connect: Duration = "2s" in "10ms"..="5m",
        /// Without a byte of the answer; begins anew with each piece of a body that is sent there.
        read: Duration = "60s" in "100ms"..="24h",
    }
}

section! {
    /// `[[routes]]`
    struct Route {
        /// For logs and metrics; unique.
        #[required = "name = \"media\""]
        name: String,
        /// One of the public URLs' hosts. Default: the first one's.
        host: String,
        /// Several of them: names, `"*.example.edu"` for those that have one label or more before that, `"*"` for all. Of routes
        /// with the same path the one that names the host wins, then the one with the longer wildcard.
        hosts: Vec<At<String>>,
        /// `"/static/{org}/{*file}"`: literal segments, `{parameters}`, and `{*rest}` as its end, which may be missing with
        /// its slash (not with `present = "moodle-token"`).
        #[required = "path = \"/static/{org}/{*file}\""]
        path: PathPattern,
        /// Default: GET and HEAD for files, any for an upstream. Other methods get 405.
        methods: Vec<At<Method>>,
        /// The upstream that answers. One of upstream, files, accel, respond is required.
        upstream: String,
        /// The folder that is served.
        files: String,
        /// The nginx in front sends the file: an empty answer names it, below this prefix, in `X-Accel-Redirect`.
        accel: String,
        /// A fixed answer.
        respond: Respond,
        /// What is taken off the path before it goes to the folder or upstream. Default: nothing.
        strip: String,
        /// Is `.well-known` served, as the first folder below `files` or `accel`? Other names that begin with a dot never
        /// are.
        well_known: At<bool> = false,
        /// Are `;parameters` in a request's path passed on to the upstream, instead of refused?
        path_params: At<bool> = false,
        /// May requests become websockets here? Any other protocol is never switched to. Default: what the upstream's
        /// `websocket` says.
        websocket: bool,
        /// What the upstream sees of the client's credentials: "pass" (what the gateway neither owns nor judged), or
        /// "none" (no Cookie, no Authorization), or "headers" (as "pass", and who it is in headers), or "moodle-token" (a
        /// web service token of the person's), or "opencast-jwt" (a token of the gateway's own that tells Opencast who it
        /// is: `[opencast.<name>]`), or "signed-url" (as "none", and the address is signed: `sign`).
        present: At<Present> = "pass",
        /// In which headers `present = "headers"` names the person. That of the roles has 8 KiB at most: the last ones are left
        /// out of a longer list, which is counted and logged.
        headers: IdentityHeaders,
        /// Kinds of credential that are looked at, in order: "jwt", "session", "bearer", "launch", "watch", "signed-url"; "basic" and
        /// "digest", which the upstream judges: of such a caller `allow` asks nothing about the person.
        accept: At<Vec<At<Credential>>> = ["jwt"],
        /// Issuers whose tokens are looked at. Default: all.
        issuers: Vec<At<String>>,
        /// Where a browser without a credential is sent, and whose sessions count; several: the person chooses. Default:
        /// nobody is sent anywhere, all sessions count.
        sign_in: OneOrMany<String>,
        /// Whose access tokens are looked at, one or several of `[bearer.<name>]`. Default: the tokens of all.
        bearer: OneOrMany<String>,
        /// Whose signed addresses are looked at, one or several of `[signed_urls.<name>]`. Default: the addresses of all.
        signed_urls: OneOrMany<String>,
        /// How the address is signed, with `present = "signed-url"` or `respond = { signed = true }`.
        sign: Sign,
        /// Who may: any of these tables. Required.
        allow: Vec<At<Rule>>,
        /// Who may not, whatever `allow` says: any of these tables. Default: nobody.
        deny: Key<Vec<At<Rule>>> = [],
        /// Whom to ask where nothing allows and nothing denies. Default: nobody.
        else_ask: ElseAsk,
        /// Lets players that came with a token go on without it. Default: none.
        watch: Watch,
        /// A browser that opens a page here with a token in the query gets a launch session and goes on without it.
        /// `accept` must name "launch". Default: none; what `respond = { launch = true }` begins has the table's defaults.
        launch: Launch,
        /// Are views of what is played here counted, for `[statistics]`? Default: none.
        views: Views,
        /// Which other web sites may call. Default: none.
        cors: Cors,
        /// How much, how often.
        limits: Limits,
        /// The web service functions that may be called, with `present = "moodle-token"`: names, `*` for any characters; the
        /// groups "read-only" and "writing"; "@functions.txt", a file of them; or `{ names = ["mod_assign_*"], role = "…" }`.
        /// Default: unlimited.
        functions: Vec<At<FunctionEntry>>,
        /// Are addresses of Moodle's files in its answers written as the gateway's, with `present = "moodle-token"`? For apps
        /// that call under a prefix, or at a host of their own.
        rewrite_urls: At<bool> = false,
        /// Does a token in the query, which the upstream does not get, go on with the client where the upstream redirects it to
        /// this host? Opencast's `/play/{event}` leads to the player, which needs it.
        keep_token: At<bool> = false,
        /// Do the addresses of media in JSON answers get a watch pass each, where a token asks? For players that have neither
        /// token nor cookie there. Those media are on routes with `carry = ["rewrite"]`.
        watch_urls: At<bool> = false,
        /// Which pages may show this route's in a frame: `["https://moodle.example.edu"]`, `"'self'"`, `"'none'"`. Where
        /// those of other sites may, cookies of Opencast's are sent on so that they work in the frame. Default: none.
        frame_ancestors: Vec<At<FrameAncestor>>,
        /// Of "camera", "microphone" and "display-capture" those that pages may use; the others are off. Default: none.
        permissions: Vec<At<Permission>>,
    }
}

section! {
    /// `routes.headers`. They are taken from every client, on every route.
    struct IdentityHeaders {
        /// The person's name; of a token only if its issuer has `may_name_users`.
        subject: At<HeaderName> = "X-Forwarded-User",
        /// Roles, with commas between.
        roles: At<HeaderName> = "X-Forwarded-Groups",
    }
}

section! {
    /// `routes.else_ask`: the upstream is asked about the same path with the client's session cookie or Basic
    /// credentials. 2xx allows, 401 and 404 are passed on, anything else leaves the refusal as it was.
    struct ElseAsk {
        #[required = "upstream = \"opencast\", the upstream that is asked"]
        upstream: String,
        /// "HEAD" or "GET".
        method: At<Method> = "HEAD",
    }
}

section! {
    /// `routes.watch`: a GET or HEAD that a token allows earns a watch pass, good for reading below the same path
    /// parameters on this route. `accept` must name "watch".
    struct Watch {
        /// How players carry it: "cookie"; "rewrite" for those without cookies, into the addresses of playlists that are
        /// asked for with a token or pass in the query.
        carry: At<Vec<At<Carry>>> = ["cookie"],
        /// How long a pass is good for; the issuer's `watch_max` may make it less.
        ttl: Duration = "4h" in "1m"..="7d",
    }
}

section! {
    /// `routes.limits`
    struct Limits {
        /// The largest request body; "0" is none at all. Default: unlimited.
        body: Size,
        /// Per subject, or per client address without one. Default: unlimited.
        rate: PerSecond,
        /// Requests at once within `rate`. Default: what `rate` allows in a second.
        burst: u64,
    }
}
