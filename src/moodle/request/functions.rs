//! Which web service functions a person may call on a route: names, patterns and groups, some of them for holders of a role
//! only.
//!
//! Two functions are never called with an injected token, whatever the patterns say: their answers are keys to a whole
//! session in Moodle. One is called only where the route names it in full, since its answer is a key to the person's
//! calendar that has no end. [`WRAPPER`] calls others, and each of them is judged as if it were called by itself.

mod told;

use std::sync::Arc;

pub use self::told::Told;
use super::Refusal;
pub use crate::config::WRAPPER;
use crate::config::pattern::{Params, RolePattern};
use crate::config::{FunctionPattern, FunctionRule, known_function};

/// Its answer is the key of `calendar/export_execute.php`.
const IN_FULL: &str = "core_calendar_get_calendar_export_token";
const NEVER: [&str; 2] = ["tool_mobile_get_tokens_for_qr_login", "tool_mobile_get_autologin_key"];

/// Does by itself what `upload.php` does.
const UPLOAD: &str = "core_files_upload";

/// What one person may call.
#[derive(Debug, Clone)]
pub struct Permit {
    /// `None`: everything.
    entries: Option<Arc<[Entry]>>,
}

/// An entry of the route's `functions`.
#[derive(Debug, Clone)]
struct Entry {
    names: Vec<FunctionPattern>,
    /// Is it for this person?
    is_open: bool,
}

/// What is said of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict<'a> {
    /// The route names none, and so permits all.
    Any,
    Named(&'a FunctionPattern),
    /// By an entry for holders of a role that this person does not hold.
    ForOthers(&'a FunctionPattern),
    Unnamed,
    /// Whatever is named.
    Never,
    /// It is [`IN_FULL`], which is not named so.
    NotInFull,
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
        let entry = |rule: &FunctionRule| Entry {
            names: rule.names.clone(),
            is_open: rule.roles.as_deref().is_none_or(holds),
        };
        Self {
            entries: rules.map(|rules| rules.iter().map(entry).collect()),
        }
    }

    pub fn check(&self, function: &str) -> Result<(), Refusal> {
        match self.judge(function) {
            Verdict::Any | Verdict::Named(_) => Ok(()),
            _ => Err(Refusal::Function(function.to_owned())),
        }
    }

    /// A function that [`WRAPPER`] is told to call. The wrapper in itself is refused: its inner requests stand in JSON.
    pub fn check_wrapped(&self, function: &str) -> Result<(), Refusal> {
        match function {
            WRAPPER => Err(Refusal::Function(function.to_owned())),
            _ => self.check(function),
        }
    }

    /// An upload. Names of functions say nothing of it, but a group does: it writes, as its function does.
    pub fn check_upload(&self) -> Result<(), Refusal> {
        match self.names_groups() {
            true => self.check(UPLOAD),
            false => Ok(()),
        }
    }

    /// For whomever it may be.
    fn names_groups(&self) -> bool {
        let mut entries = self.entries.iter().flat_map(|entries| entries.iter());
        entries.any(|entry| {
            let mut names = entry.names.iter().flat_map(FunctionPattern::each);
            names.any(|name| name.group().is_some())
        })
    }

    fn judge(&self, function: &str) -> Verdict<'_> {
        if NEVER.contains(&function) {
            return Verdict::Never;
        }
        let is_in_full = function == IN_FULL;
        let Some(entries) = &self.entries else {
            return if is_in_full { Verdict::NotInFull } else { Verdict::Any };
        };
        let found = |is_open: bool| {
            let mut entries = entries.iter().filter(move |entry| entry.is_open == is_open);
            entries.find_map(|entry| {
                let mut names = entry.names.iter();
                match is_in_full {
                    true => names.find_map(|name| name.find_in_full(function)),
                    false => names.find_map(|name| name.find(function)),
                }
            })
        };
        match (found(true), found(false)) {
            (Some(named), _) => Verdict::Named(named),
            (None, Some(named)) => Verdict::ForOthers(named),
            (None, None) if is_in_full => Verdict::NotInFull,
            (None, None) => Verdict::Unnamed,
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

/// Under what a function is counted by itself: only those that Moodle itself has are told apart.
pub fn counted(function: &str) -> &'static str {
    known_function(function).map_or("other", |known| known.name)
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// Permits what the patterns name.
    pub(crate) fn permit(names: &[&str]) -> Permit {
        let names = names.iter().map(|name| FunctionPattern::word(name).unwrap()).collect();
        let entry = Entry { names, is_open: true };
        Permit {
            entries: Some([entry].into()),
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
            names: names.iter().map(|name| FunctionPattern::word(name).unwrap()).collect(),
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

    #[test]
    fn groups_and_the_functions_that_are_never_called() {
        let reading = testing::permit(&["read-only"]);
        assert_eq!(reading.check("core_webservice_get_site_info"), Ok(()));
        assert_eq!(reading.check(WRAPPER), Ok(()));
        assert!(reading.check("mod_assign_save_submission").is_err());
        assert!(reading.check("local_exam_get_all").is_err(), "unknown");
        assert_eq!(reading.check_wrapped("core_enrol_get_users_courses"), Ok(()));
        assert!(reading.check_wrapped("mod_assign_save_submission").is_err());
        let all = testing::permit(&["read-only", "writing"]);
        assert_eq!(all.check("local_exam_get_all"), Ok(()));
        for name in NEVER.into_iter().chain([IN_FULL]) {
            assert!(all.check(name).is_err(), "{name}");
        }
        assert_eq!(testing::permit(&["read-only", IN_FULL]).check(IN_FULL), Ok(()));
    }

    #[test]
    fn an_upload_is_judged_where_groups_are_named() {
        assert_eq!(testing::permit(&["core_enrol_*"]).check_upload(), Ok(()));
        assert_eq!(Permit::new(None, &[], &Course).check_upload(), Ok(()));
        assert!(testing::permit(&["read-only"]).check_upload().is_err());
        assert_eq!(testing::permit(&["read-only", UPLOAD]).check_upload(), Ok(()));
        assert_eq!(testing::permit(&["read-only", "writing"]).check_upload(), Ok(()));
    }

    #[test]
    fn what_is_counted_by_itself_is_a_closed_list() {
        assert_eq!(
            counted("core_webservice_get_site_info"),
            "core_webservice_get_site_info"
        );
        assert_eq!(counted("core_made_up"), "other");
    }

    fn permits_star() -> Permit {
        testing::permit(&["*"])
    }
}
