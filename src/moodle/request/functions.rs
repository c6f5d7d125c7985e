//! Which web service functions a person may call on a route: patterns, some of them for holders of a role only.
//!
//! Two functions are never called with an injected token, whatever the patterns say: their answers are keys to a whole
//! session in Moodle. One is called only where the route names it in full, since its answer is a key to the person's
//! calendar that has no end. [`WRAPPER`] calls others, and each of them is judged as if it were called by itself.

use std::sync::Arc;

use super::Refusal;
use crate::config::pattern::{Params, RolePattern};
use crate::config::{FunctionPattern, FunctionRule};

/// Calls the functions that its `requests[N][function]` name, with the same token (`admin/tool/mobile/classes/external.php`).
pub const WRAPPER: &str = "tool_mobile_call_external_functions";
/// Its answer is the key of `calendar/export_execute.php`.
const IN_FULL: &str = "core_calendar_get_calendar_export_token";
const NEVER: [&str; 2] = ["tool_mobile_get_tokens_for_qr_login", "tool_mobile_get_autologin_key"];

/// What one person may call.
#[derive(Debug, Clone)]
pub struct Permit {
    /// `None`: everything.
    patterns: Option<Arc<[FunctionPattern]>>,
}

impl Permit {
    /// `rules` is the route's `functions`; without it every function is allowed.
    pub fn new(rules: Option<&[FunctionRule]>, roles: &[String], params: &dyn Params) -> Self {
        let holds = |patterns: &[RolePattern]| {
            let mut pairs = patterns
                .iter()
                .flat_map(|pattern| roles.iter().map(move |role| (pattern, role)));
            pairs.any(|(pattern, role)| pattern.matches(role, params))
        };
        let open = |rule: &&FunctionRule| rule.roles.as_deref().is_none_or(holds);
        let patterns = rules.map(|rules| rules.iter().filter(open).flat_map(|rule| rule.names.clone()).collect());
        Self { patterns }
    }

    pub fn check(&self, function: &str) -> Result<(), Refusal> {
        let named = self
            .patterns
            .as_ref()
            .is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(function)));
        let in_full = |patterns: &Arc<[FunctionPattern]>| patterns.iter().any(|pattern| pattern.is_exactly(function));
        let named = named && (function != IN_FULL || self.patterns.as_ref().is_some_and(in_full));
        match named && !NEVER.contains(&function) {
            true => Ok(()),
            false => Err(Refusal::Function(function.to_owned())),
        }
    }
}

impl Permit {
    /// A function that [`WRAPPER`] is told to call. The wrapper in itself is refused: its inner requests stand in JSON.
    pub fn check_wrapped(&self, function: &str) -> Result<(), Refusal> {
        match function {
            WRAPPER => Err(Refusal::Function(function.to_owned())),
            _ => self.check(function),
        }
    }
}

/// Kinds of plugins whose functions are counted apart. The first word of a function's name is its plugin's kind.
const GROUPS: [&str; 11] = [
    "auth",
    "block",
    "core",
    "enrol",
    "gradereport",
    "local",
    "message",
    "mod",
    "report",
    "theme",
    "tool",
];

/// Under what a function is counted: a closed list, since clients make up names.
pub fn group(function: &str) -> &'static str {
    let kind = function.split('_').next();
    let known = GROUPS.into_iter().find(|group| Some(*group) == kind);
    known.unwrap_or("other")
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// Permits what the patterns name.
    pub(crate) fn permit(names: &[&str]) -> Permit {
        let names = names.iter().map(|name| FunctionPattern::parse(name).unwrap());
        Permit {
            patterns: Some(names.collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Course;

    impl Params for Course {
        fn get(&self, name: &str) -> Option<&str> {
            (name == "course").then_some("c1")
        }
    }

    fn rule(names: &[&str], role: Option<&str>) -> FunctionRule {
        FunctionRule {
            names: names.iter().map(|name| FunctionPattern::parse(name).unwrap()).collect(),
            roles: role.map(|role| vec![RolePattern::parse(role).unwrap()]),
        }
    }

    #[test]
    fn patterns_and_roles() {
        let rules = [
            rule(&["core_webservice_get_site_info", "core_enrol_*"], None),
            rule(&["mod_assign_*"], Some("{course}_Learner")),
        ];
        let anyone = Permit::new(Some(&rules), &[], &Course);
        assert_eq!(anyone.check("core_webservice_get_site_info"), Ok(()));
        assert_eq!(anyone.check("core_enrol_get_users_courses"), Ok(()));
        assert!(anyone.check("core_webservice_get_site_info2").is_err());
        assert!(anyone.check("mod_assign_save_submission").is_err());
        let learner = Permit::new(Some(&rules), &["c1_Learner".to_owned()], &Course);
        assert_eq!(learner.check("mod_assign_save_submission"), Ok(()));
        let elsewhere = Permit::new(Some(&rules), &["c2_Learner".to_owned()], &Course);
        assert!(elsewhere.check("mod_assign_save_submission").is_err());
    }

    #[test]
    fn keys_to_a_session_are_never_called_for() {
        let all = Permit::new(None, &[], &Course);
        assert_eq!(all.check("core_anything"), Ok(()));
        assert!(NEVER.iter().all(|name| all.check(name).is_err()));
        assert!(permits_star().check(NEVER[0]).is_err());
    }

    #[test]
    fn the_key_of_a_calendar_is_asked_for_in_full() {
        assert!(Permit::new(None, &[], &Course).check(IN_FULL).is_err());
        assert!(permits_star().check(IN_FULL).is_err());
        assert!(testing::permit(&["core_calendar_*"]).check(IN_FULL).is_err());
        assert_eq!(testing::permit(&["core_calendar_*", IN_FULL]).check(IN_FULL), Ok(()));
        assert_eq!(
            testing::permit(&["core_calendar_*"]).check("core_calendar_get_action_events"),
            Ok(())
        );
    }

    #[test]
    fn a_wrapped_function_is_judged_as_a_called_one() {
        let permit = testing::permit(&["core_*", "tool_mobile_*"]);
        assert_eq!(permit.check(WRAPPER), Ok(()));
        assert_eq!(permit.check_wrapped("core_x"), Ok(()));
        assert!(permit.check_wrapped("mod_x").is_err());
        assert!(permit.check_wrapped(WRAPPER).is_err());
        assert!(permit.check_wrapped(NEVER[1]).is_err());
        assert!(permit.check_wrapped(IN_FULL).is_err());
    }

    fn permits_star() -> Permit {
        testing::permit(&["*"])
    }
}
