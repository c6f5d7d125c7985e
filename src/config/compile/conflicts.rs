//! Routes that want the same requests. Which of several *different* paths wins is never a conflict: the most specific
//! one does.

use std::collections::HashMap;

use http::Method;

use super::Checker;
use crate::config::RouteHosts;
use crate::config::diagnostics::{Diagnostic, Span};

/// The requests that a route wants for itself.
#[derive(Debug)]
pub(super) struct Claim {
    /// Its methods, or else its path.
    pub(super) at: Span,
    pub(super) path_at: Span,
    pub(super) hosts: RouteHosts,
    pub(super) shape: String,
    /// `None`: all that no other route of the same host and shape names.
    pub(super) methods: Option<Vec<Method>>,
}

impl Checker<'_> {
    /// Reports each route that wants a request which an earlier one wants too.
    pub(super) fn conflicts(&mut self, claims: &[Claim]) {
        let mut places: HashMap<&str, Vec<&Claim>> = HashMap::new();
        for claim in claims {
            let place = places.entry(&claim.shape).or_default();
            if let Some((earlier, methods)) = place
                .iter()
                .filter(|earlier| share_a_host(earlier, claim))
                .find_map(|earlier| Some((*earlier, overlap(earlier, claim)?)))
            {
                let message = format!("two routes want the same requests: {methods}");
                let at = match claim.methods {
                    Some(_) => claim.at,
                    None => claim.path_at,
                };
                let problem = Diagnostic::error(at, message)
                    .label("this route")
                    .also(earlier.path_at, "and this one");
                self.report(problem.help(
                    "give them different paths or methods; the names of parameters and the order in the file mean nothing",
                ));
            }
            place.push(claim);
        }
    }
}

/// Is there a host that neither has by a more specific word than the other?
fn share_a_host(a: &Claim, b: &Claim) -> bool {
    a.hosts.iter().any(|host| b.hosts.rank(&host.name) == Some(host.rank))
}

/// What both want, in words.
fn overlap(a: &Claim, b: &Claim) -> Option<String> {
    match (&a.methods, &b.methods) {
        (None, None) => Some("any method".to_owned()),
        (Some(a), Some(b)) => {
            let both: Vec<&str> = a
                .iter()
                .filter(|method| b.contains(method))
                .map(Method::as_str)
                .collect();
            (!both.is_empty()).then(|| both.join(", "))
        }
        // A route that names its methods is more specific than one for any method.
        (None, Some(_)) | (Some(_), None) => None,
    }
}
