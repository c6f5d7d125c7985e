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
    pub(super) contenders: Vec<(String, Vec<Round>)>,
}

/// What one contender did in one round.
#[derive(Clone, Copy)]
pub(super) struct Round {
    /// In the case's unit.
    pub(super) value: f64,
    /// Of processor time that a request cost the server, where there are requests.
    pub(super) microseconds: Option<f64>,
}

impl Round {
    pub(super) fn told(&self) -> String {
        let time = self.microseconds.map(|time| format!(", {time:.1} µs"));
        format!("{:.1}{}", self.value, time.unwrap_or_default())
    }
}

/// Of the case's unit.
pub(super) fn median(rounds: &[Round]) -> f64 {
    median_of(rounds.iter().map(|round| round.value))
}

pub(super) fn median_of(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
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
         medians of the same run is what can be compared. µs: processor time of the server's process, user and system, \
         that a request cost; of two contenders, the difference is what the one does more.\n\n\
         Janua runs with routes, rules and metrics; \"Janua\" with an access log to a file too, which none of the others \
         writes: the writer's thread shares the server's core.\n\n\
         ![Requests a second of each case against its first contender](results.svg)\n"
    );
    for case in cases {
        text.push_str(&format!(
            "\n## {}\n\n| | {} | Janua is | without log | µs |\n| --- | ---: | ---: | ---: | ---: |\n",
            case.name,
            case.unit.heading()
        ));
        let digits = case.unit.digits();
        let of = |wanted: &str| {
            let found = case.contenders.iter().find(|(name, _)| name == wanted);
            found.map(|(_, rounds)| median(rounds))
        };
        let janua = case.contenders.last().map_or(f64::NAN, |(_, rounds)| median(rounds));
        let quiet = of(QUIET);
        for (name, rounds) in &case.contenders {
            let rates = rounds.iter().map(|round| round.value);
            let low = rates.clone().fold(f64::INFINITY, f64::min);
            let high = rates.fold(0.0, f64::max);
            let ratio = |janua: Option<f64>| match janua {
                Some(janua) if !name.starts_with("Janua") && case.unit == Unit::RequestsPerSecond => {
                    format!("{:.2} ×", janua / median(rounds))
                }
                _ => String::new(),
            };
            let times: Option<Vec<f64>> = rounds.iter().map(|round| round.microseconds).collect();
            let time = times.map_or_else(String::new, |times| format!("{:.1}", median_of(times.into_iter())));
            text.push_str(&format!(
                "| {name} | {:.digits$} ({low:.digits$} to {high:.digits$}) | {} | {} | {} |\n",
                median(rounds),
                ratio(Some(janua)),
                ratio(quiet),
                time
            ));
        }
    }
    text
}
