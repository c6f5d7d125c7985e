//! Why a function may be called, or may not, in words: for `janua explain`.

use super::{IN_FULL, Permit, UPLOAD, Verdict, WRAPPER};
use crate::config::{FunctionGroup, FunctionPattern, reads};

/// What is said of one function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub function: String,
    pub is_permitted: bool,
    /// The entry that names it, with its file and line; or why there is none.
    pub why: String,
}

impl Permit {
    /// Of a function that a call names.
    pub fn tell(&self, function: &str) -> Told {
        let verdict = self.judge(function);
        let why = match verdict {
            Verdict::Any => "the route has no `functions`, and so permits all".to_owned(),
            Verdict::Named(named) => format!("named by {named}"),
            Verdict::ForOthers(named) => format!("named only for holders of a role that is not held, by {named}"),
            Verdict::Unnamed => format!("no entry of `functions` names it{}", self.left_out(function)),
            Verdict::Never => "never called: its answer is a key to a whole session in Moodle".to_owned(),
            Verdict::NotInFull => {
                format!("`functions` has to name {IN_FULL} in full: its answer is a key without an end")
            }
        };
        Told {
            function: function.to_owned(),
            is_permitted: matches!(verdict, Verdict::Any | Verdict::Named(_)),
            why,
        }
    }

    /// The same of one that [`WRAPPER`] is told to call.
    pub fn tell_wrapped(&self, function: &str) -> Told {
        match function {
            WRAPPER => Told {
                function: function.to_owned(),
                is_permitted: false,
                why: "it does not call itself: what it would call stands where nobody looks".to_owned(),
            },
            _ => self.tell(function),
        }
    }

    /// The same of an upload, where that is judged.
    pub fn tell_upload(&self) -> Option<Told> {
        self.names_groups().then(|| self.tell(UPLOAD))
    }

    /// Why the group of those that read does not have it, where the route names that group for this person.
    fn left_out(&self, function: &str) -> String {
        let mut entries = self.entries.iter().flat_map(|entries| entries.iter());
        let has_group = entries.any(|entry| {
            let mut names = entry.names.iter().flat_map(FunctionPattern::each);
            entry.is_open && names.any(|name| name.group() == Some(FunctionGroup::ReadOnly))
        });
        match reads(function) {
            Err(why) if has_group => format!("; \"read-only\" does not have it: {why}"),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::permit;
    use super::super::{NEVER, Permit};
    use super::*;
    use crate::config::pattern::NoParams;

    #[test]
    fn what_permits_a_function_and_what_does_not() {
        let reading = permit(&["read-only", "mod_forum_*"]);
        for (function, is_permitted, why) in [
            ("core_webservice_get_site_info", true, "named by read-only"),
            ("mod_forum_add_discussion", true, "named by mod_forum_*"),
            ("mod_assign_save_submission", false, "Moodle declares it `write`"),
            (
                "core_get_fragment",
                false,
                "Moodle declares it `read`, but it runs code",
            ),
            (
                "local_x",
                false,
                "no such function, and what is not known counts as writing",
            ),
            (NEVER[0], false, "never called"),
            (IN_FULL, false, "in full"),
        ] {
            let told = reading.tell(function);
            assert!(told.is_permitted == is_permitted && told.why.contains(why), "{told:?}");
            assert_eq!(reading.check(function).is_ok(), is_permitted, "{function}");
        }
        assert_eq!(
            permit(&["core_*"]).tell("mod_x").why,
            "no entry of `functions` names it"
        );
        assert!(!reading.tell_wrapped(WRAPPER).is_permitted);
        assert!(Permit::new(None, &[], &NoParams).tell("mod_x").is_permitted);
    }
}
