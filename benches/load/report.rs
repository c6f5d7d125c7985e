//! Medians, ratios, and the page that shows them.

use super::peers::Peer;

/// The contender that writes no access log, as its peers.
pub(super) const QUIET: &str = "Janua, no access log";

pub(super) struct Case {
    pub(super) name: String,
    /// Seconds of the same load before the first round's count begins.
    pub(super) warm_up: u32,
    pub(super) contenders: Vec<(String, Peer)>,
}

pub(super) struct Measured {
    pub(super) name: String,
    pub(super) contenders: Vec<(String, Vec<Round>)>,
}

/// What one contender did in one round.
#[derive(Clone, Copy)]
pub(super) struct Round {
    /// Requests per second.
    pub(super) rate: f64,
    /// Of processor time that a request cost the server.
    pub(super) microseconds: f64,
}

fn median(rounds: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    let mut sorted: Vec<f64> = rounds.iter().map(of).collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn rate(rounds: &[Round]) -> f64 {
    median(rounds, |round| round.rate)
}

/// Markdown. Ratios are of medians of the same run; the last contender of a case is Janua.
pub(super) fn render(cases: &[Measured], rounds: u32, seconds: u32) -> String {
    let mut text = format!(
        "# Load, side by side\n\n\
         Requests per second of one core. Made by `make bench`: the server on one core, wrk (one thread, 32 keep-alive \
         connections) and any upstream on the other, loopback, no TLS; contenders alternately, {rounds} rounds of \
         {seconds} s, a fresh process each; median (lowest to highest). Machines differ and drift: the ratio of two \
         medians of the same run is what can be compared. µs: processor time of the server's process, user and system, \
         that a request cost; of two contenders, the difference is what the one does more.\n\n\
         Janua runs with routes, rules and metrics; \"Janua\" with an access log to a file too, which none of the others \
         writes: the writer's thread shares the server's core.\n"
    );
    for case in cases {
        text.push_str(&format!(
            "\n## {}\n\n| | requests/s | Janua is | without log | µs |\n| --- | ---: | ---: | ---: | ---: |\n",
            case.name
        ));
        let of = |wanted: &str| {
            let found = case.contenders.iter().find(|(name, _)| name == wanted);
            found.map(|(_, rounds)| rate(rounds))
        };
        let janua = case.contenders.last().map_or(f64::NAN, |(_, rounds)| rate(rounds));
        let quiet = of(QUIET);
        for (name, rounds) in &case.contenders {
            let rates = rounds.iter().map(|round| round.rate);
            let low = rates.clone().fold(f64::INFINITY, f64::min);
            let high = rates.fold(0.0, f64::max);
            let ratio = |janua: Option<f64>| match janua {
                Some(janua) if !name.starts_with("Janua") => format!("{:.2} ×", janua / rate(rounds)),
                _ => String::new(),
            };
            text.push_str(&format!(
                "| {name} | {:.0} ({low:.0} to {high:.0}) | {} | {} | {:.1} |\n",
                rate(rounds),
                ratio(Some(janua)),
                ratio(quiet),
                median(rounds, |round| round.microseconds)
            ));
        }
    }
    text
}
