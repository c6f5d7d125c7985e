//! `routes.respond`, as it is written: what the gateway answers by itself.

use http::HeaderName;

use crate::config::net::Location;
use crate::config::read::At;
use crate::config::section::section;
use crate::config::value::KeySetFile;

section! {
    /// `routes.respond`: `{ status = 204 }`, `{ status = 302, location = "…" }`, `{ file = "…" }`, `{ jwks = "…" }`,
    /// `{ launch = true }`, `{ signed = true }`, `{ presigned = "…" }` or `{ decide = … }`.
    struct Respond {
        /// 200 to 599, not 304.
        status: u64,
        /// Where a 301, 302, 303, 307 or 308 leads.
        location: Location,
        /// A file that is sent as it is.
        file: String,
        /// A key set (JWKS) that is published: its public members, for every web site. Read again when it changes.
        /// `true`: the keys with which the gateway signs for `present = "opencast-jwt"`.
        jwks: KeySetFile,
        /// `true`: takes the form with which a learning platform opens a page here, a token and the page's address
        /// (`target`), and sends the browser there with a launch session. The rules at the target decide who may; those
        /// of this route, whether the form is read at all.
        launch: bool,
        /// `true`: sends the client to the same path at the address of `sign`, signed.
        signed: bool,
        /// Sends the client to the object itself, in the bucket of this upstream with `s3`, by an address that is signed.
        presigned: String,
        /// Says what the other routes decide about the request that a trusted proxy names.
        decide: Decide,
    }
}

impl Respond {
    /// Is the client sent to the same file at another server?
    pub(in crate::config) fn is_elsewhere(&self) -> bool {
        self.signed.value() == Some(&true) || !self.presigned.is_absent()
    }
}

section! {
    /// `routes.respond.decide`: in which headers the proxy names the request. It must set each of them itself.
    struct Decide {
        /// Path and query as the client sent them: nginx's `$request_uri`.
        #[required = "uri = \"X-Original-URI\""]
        uri: HeaderName,
        /// The method: nginx's `$request_method`.
        #[required = "method = \"X-Original-Method\""]
        method: HeaderName,
        /// The host. Default: `Host`.
        host: At<HeaderName> = "Host",
    }
}
