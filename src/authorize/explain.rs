//! What each condition of a rule came to, in words: the same judgement as [`decide`](super::decide), laid out.

use serde::{Deserialize, Serialize};

use super::conditions::AnyCondition;
pub use super::words::grant;
use super::{Facts, Rule};
use crate::config::pattern::NoParams;

/// One table of `allow` or `deny`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// All of its conditions hold.
    pub holds: bool,
    pub conditions: Vec<Judged>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// As it could stand in the file: `grant = "read", event = "{event}"`.
    pub condition: String,
    pub holds: bool,
    /// What it met: the values of its parameters, and what the request brought.
    pub met: String,
}

/// Every rule of the list, in the order of the file.
pub fn explain(rules: &[Rule], facts: &Facts<'_>) -> Vec<Verdict> {
    let judged = |condition: &AnyCondition| Judged {
        condition: condition.text(&NoParams),
        holds: condition.meets(facts),
        met: condition.met(facts),
    };
    let verdict = |rule: &Rule| Verdict {
        holds: rule.holds(facts),
        conditions: rule.conditions.iter().map(judged).collect(),
    };
    rules.iter().map(verdict).collect()
}

/// Every rule of the list as it would hold for this request: its parameters filled in, what Opencast says about the event
/// added, and marked what was met already. At most `most` rules, and of a list in Opencast so many roles.
pub fn in_question(rules: &[Rule], facts: &Facts<'_>, most: usize) -> Vec<String> {
    let one = |rule: &Rule| {
        let marks = rule.conditions.len() > 1;
        let conditions = rule.conditions.iter().map(|condition| {
            let met = if marks && condition.meets(facts) { " (met)" } else { "" };
            format!("{}{}{met}", condition.text(facts.params), condition.known(facts, most))
        });
        conditions.collect::<Vec<_>>().join(", ")
    };
    rules.iter().take(most).map(one).collect()
}

/// The rules of the list that hold, in the same words.
pub fn holding(rules: &[Rule], facts: &Facts<'_>, most: usize) -> Vec<String> {
    let held = rules.iter().filter(|rule| rule.holds(facts));
    let told = held.flat_map(|rule| in_question(std::slice::from_ref(rule), facts, most));
    told.take(most).collect()
}
