//! What sign-ins and sessions count.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec, IntGauge};

use super::declare::metrics;

metrics! {
    /// Handles for sign-ins and sessions.
    #[derive(Clone)]
    pub struct SessionMetrics {
        sign_ins: IntCounterVec = "janua_sign_ins_total" ["sign_in", "outcome"]
            "Returns from a sign-in server by what came of them: ok, nobody, or why not.",
        cas_seconds: HistogramVec = "janua_cas_seconds" ["sign_in"]
            "Seconds that a sign-in server took to judge a ticket or a code.",
        begun: IntCounterVec = "janua_sessions_begun_total" ["sign_in"]
            "Sessions begun.",
        ended: IntCounterVec = "janua_sessions_ended_total" ["how"]
            "Sessions ended before their time: sign_out, single_logout, too_many, replaced.",
        recent: IntGauge = "janua_sessions_recent" []
            "Sessions that were used within some seconds, in this process.",
        launches: IntCounterVec = "janua_launches_total" ["route", "outcome"]
            "Browsers that brought a token to begin a launch session, by what came of it: ok, or why not.",
        lti: IntCounterVec = "janua_lti_total" ["platform", "step", "outcome"]
            "Browsers that an LTI platform has sent, by step (login, launch, choose) and what came of it: ok, or why not.",
    }
}

impl SessionMetrics {
    /// A browser has come back. `outcome` is from a closed list.
    pub fn signed_in(&self, sign_in: &str, outcome: &'static str) {
        self.sign_ins.with_label_values(&[sign_in, outcome]).inc();
    }

    /// A CAS server has judged a ticket, or failed to.
    pub fn asked_cas(&self, sign_in: &str, took: Duration) {
        self.cas_seconds
            .with_label_values(&[sign_in])
            .observe(took.as_secs_f64());
    }

    /// A browser has brought a token to a route. `outcome` is "ok" or a reason's label.
    pub fn launched(&self, route: &str, outcome: &'static str) {
        self.launches.with_label_values(&[route, outcome]).inc();
    }

    /// An LTI platform has sent a browser to this step. `outcome` is "ok" or a reason's label.
    pub fn lti(&self, platform: &str, step: &'static str, outcome: &'static str) {
        self.lti.with_label_values(&[platform, step, outcome]).inc();
    }

    pub fn begun(&self, sign_in: &str) {
        self.begun.with_label_values(&[sign_in]).inc();
    }

    /// So many sessions are remembered because they were used just now.
    pub fn in_use(&self, count: i64) {
        self.recent.set(count);
    }

    pub fn ended(&self, how: &'static str) {
        self.ended.with_label_values(&[how]).inc();
    }
}
