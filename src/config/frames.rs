//! `routes.frame_ancestors` and `routes.permissions` as the running gateway has them: headers, ready to be sent.

use http::HeaderValue;

/// Who may show a route's pages in a frame, and which devices those pages may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frames {
    pub ancestors: Option<FrameAncestors>,
    /// `Permissions-Policy` (W3C Permissions Policy, section 5.2): of camera, microphone and display-capture the page's
    /// own origin may use those that are named, and nobody the others.
    pub permissions: Option<HeaderValue>,
}

/// `routes.frame_ancestors`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameAncestors {
    /// A `Content-Security-Policy` with the one directive `frame-ancestors` (CSP level 3, section 6.4.2).
    pub policy: HeaderValue,
    /// Are there pages of other origins among them? Cookies in such a frame are those of a third party.
    pub elsewhere: bool,
}
