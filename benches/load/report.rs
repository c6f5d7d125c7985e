//! Medians, ratios, and the page that shows them.

use super::peers::Peer;

pub(super) struct Case {
    pub(super) name: String,
    /// Seconds of the same load before the first round's count begins.
    pub(super) warm_up: u32,
    pub(super) contenders: Vec<(String, Peer)>,
}

pub(super) struct Measured {
    pub(super) name: String,
    /// Requests per second, a value a round.
    pub(super) contenders: Vec<(String, Vec<f64>)>,
}

fn median(rates: &[f64]) -> f64 {
    let mut sorted = rates.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Markdown. Ratios are of medians of the same run; the last contender of a case is Janua.
pub(super) fn render(cases: &[Measured], rounds: u32, seconds: u32) -> String {
    let mut text = format!(
        "# Load, side by side\n\n\
         Requests per second of one core. Made by `make bench`: the server on one core, wrk (one thread, 32 keep-alive \
         connections) and any upstream on the other, loopback, no TLS; contenders alternately, {rounds} rounds of \
         {seconds} s, a fresh process each; median (lowest to highest). Machines differ and drift: the ratio of two \
         medians of the same run is what can be compared.\n\n\
         Janua runs with routes, rules, metrics and an access log to a file; nginx and HAProxy write no log.\n"
    );
    for case in cases {
        text.push_str(&format!(
            "\n## {}\n\n| | requests/s | Janua is |\n| --- | ---: | ---: |\n",
            case.name
        ));
        let janua = case.contenders.last().map_or(f64::NAN, |(_, rates)| median(rates));
        for (place, (name, rates)) in case.contenders.iter().enumerate() {
            let low = rates.iter().copied().fold(f64::INFINITY, f64::min);
            let high = rates.iter().copied().fold(0.0, f64::max);
            let ratio = if place + 1 == case.contenders.len() {
                String::new()
            } else {
                format!("{:.2} ×", janua / median(rates))
            };
            text.push_str(&format!(
                "| {name} | {:.0} ({low:.0} to {high:.0}) | {ratio} |\n",
                median(rates)
            ));
        }
    }
    text
}
