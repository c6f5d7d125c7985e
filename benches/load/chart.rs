//! The ratios as a picture: a bar for each case, against the first of its contenders.

use std::fmt::Write;

use super::report::{Measured, Unit, median};

const BAR: u32 = 18;
const LABELS: u32 = 500;
const WIDTH: u32 = 1040;
/// Ratios are drawn on a logarithmic scale from a quarter to 32 times.
const LEAST: f64 = 0.25;
const MOST: f64 = 32.0;

/// An SVG. Memory is left out: there, less is better.
pub(super) fn draw(cases: &[Measured]) -> String {
    let rates = cases.iter().filter(|case| case.unit == Unit::RequestsPerSecond);
    let ratios: Vec<(String, f64)> = rates.filter_map(ratio).collect();
    let height = (ratios.len() as u32 + 2) * (BAR + 6);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    // Writing to a String does not fail, here and below.
    let one = place(1.0);
    let _ = writeln!(
        svg,
        "<line x1=\"{one:.1}\" x2=\"{one:.1}\" y1=\"0\" y2=\"{height}\" stroke=\"#999\"/>"
    );
    for (row, (name, ratio)) in ratios.iter().enumerate() {
        let top = row as u32 * (BAR + 6) + 12;
        let (from, to) = (one.min(place(*ratio)), one.max(place(*ratio)));
        let colour = if *ratio < 1.0 { "#c96" } else { "#4a8" };
        let _ = writeln!(
            svg,
            "<text x=\"8\" y=\"{baseline}\">{name}</text>\
             <rect x=\"{from:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{baseline}\">{ratio:.2} ×</text>",
            to - from,
            to + 6.0,
            baseline = top + 14,
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// Janua, which is the last, against the first.
fn ratio(case: &Measured) -> Option<(String, f64)> {
    let [(first, measure), .., (_, janua)] = &case.contenders[..] else {
        return None;
    };
    let name = format!("{} (against {first})", case.name);
    Some((name, median(janua) / median(measure)))
}

fn place(ratio: f64) -> f64 {
    let share = (ratio.clamp(LEAST, MOST) / LEAST).ln() / (MOST / LEAST).ln();
    f64::from(LABELS) + share * f64::from(WIDTH - LABELS - 70)
}
