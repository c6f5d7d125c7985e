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

/// What the numbers of a case count.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Unit {
    RequestsPerSecond,
    /// The fewer, the better.
    KibPerConnection,
}

impl Unit {
    fn heading(self) -> &'static str {
        match self {
            Self::RequestsPerSecond => "requests/s",
            Self::KibPerConnection => "KiB each",
        }
    }

    fn digits(self) -> usize {
        usize::from(self == Self::KibPerConnection)
    }
}

pub(super) struct Measured {
    pub(super) name: String,
    pub(super) unit: Unit,
    /// A value a round.
    pub(super) contenders: Vec<(String, Vec<f64>)>,
}

pub(super) fn median(rates: &[f64]) -> f64 {
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
         Janua runs with routes, rules and metrics; \"Janua\" with an access log to a file too, which none of the others \
         writes: the writer's thread shares the server's core.\n"
    );
    for case in cases {
        text.push_str(&format!(
            "\n## {}\n\n| | {} | Janua is | without log |\n| --- | ---: | ---: | ---: |\n",
            case.name,
            case.unit.heading()
        ));
        let digits = case.unit.digits();
        let of = |wanted: &str| {
            let found = case.contenders.iter().find(|(name, _)| name == wanted);
            found.map(|(_, rates)| median(rates))
        };
        let janua = case.contenders.last().map_or(f64::NAN, |(_, rates)| median(rates));
        let quiet = of(QUIET);
        for (name, rates) in &case.contenders {
            let low = rates.iter().copied().fold(f64::INFINITY, f64::min);
            let high = rates.iter().copied().fold(0.0, f64::max);
            let ratio = |janua: Option<f64>| match janua {
                Some(janua) if !name.starts_with("Janua") => format!("{:.2} ×", janua / median(rates)),
                _ => String::new(),
            };
            text.push_str(&format!(
                "| {name} | {:.digits$} ({low:.digits$} to {high:.digits$}) | {} | {} |\n",
                median(rates),
                ratio(Some(janua)),
                ratio(quiet)
            ));
        }
    }
    text
}
