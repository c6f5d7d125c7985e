//! What tokens for Moodle and calls with them count.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec};

use super::declare::metrics;

metrics! {
    /// Handles for tokens and calls.
    #[derive(Clone)]
    pub struct MoodleMetrics {
        tokens: IntCounterVec = "janua_moodle_tokens_total" ["moodle", "source", "outcome"]
            "Attempts to obtain a web service token, by source and what came of them: ok, or why not.",
        seconds: HistogramVec = "janua_moodle_token_seconds" ["source"]
            "Seconds that an attempt to obtain a token took.",
        calls: IntCounterVec = "janua_moodle_calls_total" ["moodle", "script", "group", "outcome"]
            "Calls of Moodle with a token, by script, group of functions and outcome: ok, refused, or what Moodle's answer meant.",
        functions: IntCounterVec = "janua_moodle_functions_total" ["moodle", "function", "outcome"]
            "Calls of Moodle's functions with a token, where moodle.<name>.function_metrics is on: those that Moodle itself has by name.",
        dead: IntCounterVec = "janua_moodle_tokens_dead_total" ["moodle"]
            "Tokens that Moodle took no more and that were dropped.",
        dropped: IntCounterVec = "janua_moodle_tokens_dropped_total" ["moodle"]
            "Kept tokens that were deleted because their person signed out (moodle.<name>.drop_at_logout).",
        ended: IntCounterVec = "janua_moodle_sessions_ended_total" ["moodle", "outcome"]
            "MoodleSessions of the gateway's that it needs no more, by what came of ending them in Moodle: ok, over, busy, or why not.",
    }
}

impl MoodleMetrics {
    /// A source was asked. `outcome` is from a closed list.
    pub fn asked(&self, moodle: &str, source: &str, outcome: &'static str, took: Duration) {
        self.tokens.with_label_values(&[moodle, source, outcome]).inc();
        self.seconds.with_label_values(&[source]).observe(took.as_secs_f64());
    }

    /// A call has an answer, or a refusal. `script`, `group` and `outcome` are from closed lists.
    pub fn called(&self, moodle: &str, script: &'static str, group: &'static str, outcome: &'static str) {
        self.calls.with_label_values(&[moodle, script, group, outcome]).inc();
    }

    /// The same of its function. `function` and `outcome` are from closed lists.
    pub fn called_function(&self, moodle: &str, function: &'static str, outcome: &'static str) {
        self.functions.with_label_values(&[moodle, function, outcome]).inc();
    }

    /// A kept token was deleted because its person signed out.
    pub fn dropped(&self, moodle: &str) {
        self.dropped.with_label_values(&[moodle]).inc();
    }

    /// A MoodleSession of the gateway's was to end. `outcome` is from a closed list.
    pub fn ended(&self, moodle: &str, outcome: &'static str) {
        self.ended.with_label_values(&[moodle, outcome]).inc();
    }

    /// A kept token was dead.
    pub fn dead(&self, moodle: &str) {
        self.dead.with_label_values(&[moodle]).inc();
    }
}
