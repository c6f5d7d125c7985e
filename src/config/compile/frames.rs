//! Checks a route's `frame_ancestors` and `permissions`, and writes the headers that they become.

use http::HeaderValue;

use super::Checker;
use crate::config::diagnostics::Diagnostic;
use crate::config::net::FrameAncestor;
use crate::config::read::{At, Key};
use crate::config::value::Permission;
use crate::config::{FrameAncestors, Frames};

impl Checker<'_> {
    pub(super) fn frames(
        &mut self,
        ancestors: Key<Vec<At<FrameAncestor>>>,
        permissions: Key<Vec<At<Permission>>>,
    ) -> Option<Frames> {
        let ancestors = ancestors.checked(|ancestors| self.frame_ancestors(&ancestors));
        let permissions = permissions.checked(|permissions| self.permissions(&permissions.value));
        Some(Frames {
            ancestors: ancestors?,
            permissions: permissions?,
        })
    }

    fn frame_ancestors(&mut self, ancestors: &At<Vec<At<FrameAncestor>>>) -> Option<FrameAncestors> {
        self.not_empty(
            ancestors,
            "frame_ancestors",
            "remove it, or write [\"'none'\"] if no page may show this one",
        )?;
        let texts = ancestors.value.iter();
        self.unique("page", &ancestors.value);
        if let (Some(none), true) = (texts.clone().find(|one| one.value.is_none()), texts.len() > 1) {
            let problem = Diagnostic::error(none.at, "`'none'` stands beside pages that may");
            self.report(problem.help("remove it, or the others"));
            return None;
        }
        let sources: Vec<&str> = texts.clone().map(|one| one.value.0.as_str()).collect();
        Some(FrameAncestors {
            policy: HeaderValue::try_from(format!("frame-ancestors {}", sources.join(" "))).ok()?,
            elsewhere: texts.clone().any(|one| one.value.is_elsewhere()),
        })
    }

    fn permissions(&mut self, permissions: &[At<Permission>]) -> Option<HeaderValue> {
        self.unique("permission", permissions);
        let policy = Permission::ALL.iter().map(|known| {
            let is_given = permissions.iter().any(|one| one.value == *known);
            format!("{}={}", known.label(), if is_given { "(self)" } else { "()" })
        });
        HeaderValue::try_from(policy.collect::<Vec<_>>().join(", ")).ok()
    }
}
