//! A report in words: ✓ for what holds, ✗ for what does not, colour for terminals.

mod credentials;
mod moodle;
mod past;

use std::fmt::{self, Write as _};

use super::{Action, Budget, Moment, Outcome, Report, RouteFate, Rule};
use crate::text::safe;

/// The whole report, for people. What a request brought is written without its control characters.
pub fn render(report: &Report, colour: bool) -> String {
    let mut page = Page {
        text: String::new(),
        colour,
    };
    // Writing into a String cannot fail.
    page.report(report).ok();
    page.text
}

struct Page {
    text: String,
    colour: bool,
}

#[derive(Clone, Copy)]
enum Ink {
    Bold,
    Good,
    Bad,
    Faint,
}

impl Page {
    fn report(&mut self, report: &Report) -> fmt::Result {
        self.outcome(report)?;
        if let Some(seen) = &report.request {
            self.heading("request")?;
            let scheme = if seen.https { "https" } else { "http" };
            let path = seen.path.as_deref().unwrap_or("(no canonical path)");
            let (method, host, client) = (&seen.method, &seen.host, &seen.client);
            self.line(1, &format!("{method} {scheme}://{host}{path} from {client}"))?;
            match &report.past {
                Some(past) => self.past(past, &report.at)?,
                None => self.line(1, &format!("judged at {}", at(&report.at)))?,
            }
        }
        self.routes(report)?;
        if report.anonymous {
            self.heading("credentials")?;
            self.line(1, "not looked at: no rule of this route asks who somebody is")?;
        } else if !report.credentials.is_empty() || !report.allow.is_empty() {
            match report.past {
                Some(_) => self.looked_at(&report.credentials)?,
                None => {
                    self.credentials(&report.credentials)?;
                    self.keys(&report.keys)?;
                }
            }
        }
        self.rules("deny: any of these refuses", &report.deny)?;
        self.rules("allow: any of these is enough", &report.allow)?;
        self.budgets(&report.budgets)?;
        if report.else_asked {
            self.heading("else_ask")?;
            let word = "no rule spoke, so the upstream was asked with the client's cookie or Basic";
            self.ticked(1, report.outcome == Outcome::Allow, word)?;
        }
        if let Some(told) = &report.moodle {
            self.moodle(told)?;
        }
        if let Some(action) = &report.action {
            self.action(action, report)?;
        }
        if let Some(upstream) = report.past.as_ref().and_then(|past| past.upstream.as_ref()) {
            self.asked(upstream, report)?;
        }
        if report.remedy.is_empty() {
            return Ok(());
        }
        self.heading("what to do")?;
        report.remedy.iter().try_for_each(|text| self.line(1, text))
    }

    fn outcome(&mut self, report: &Report) -> fmt::Result {
        let (ink, word) = match report.outcome {
            Outcome::Allow => (Ink::Good, "✓ allowed"),
            Outcome::Deny => (Ink::Bad, "✗ refused"),
        };
        let mut line = self.inked(ink, word);
        if let Some(reason) = &report.reason {
            let and = if report.outcome == Outcome::Allow {
                ", and yet "
            } else {
                ": "
            };
            line = line + and + &self.inked(Ink::Bold, reason);
        }
        if let Some(status) = report.status {
            write!(line, " (status {status})")?;
        }
        self.put(0, &line)?;
        let visit = report.visit.as_ref().map(|url| format!("to open first: {url}"));
        for text in report.text.iter().chain(&report.detail).chain(&visit) {
            self.line(1, text)?;
        }
        Ok(())
    }

    fn routes(&mut self, report: &Report) -> fmt::Result {
        if report.request.as_ref().is_none_or(|seen| seen.path.is_none()) {
            return Ok(());
        }
        self.heading("route")?;
        for RouteFate { name, path, won, why } in &report.routes {
            let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            self.ticked(1, *won, &format!("{name}  {path}{why}"))?;
        }
        let others = match (report.other_routes, report.routes.is_empty()) {
            (0, true) => "there are no routes".to_owned(),
            (0, false) => String::new(),
            (1, _) => "1 other does not match host and path".to_owned(),
            (count, _) => format!("{count} others do not match host and path"),
        };
        if !others.is_empty() {
            let others = self.inked(Ink::Faint, &others);
            self.put(1, &others)?;
        }
        for (name, value) in &report.params {
            self.line(2, &format!("{{{name}}} = {value:?}"))?;
        }
        Ok(())
    }

    fn rules(&mut self, heading: &str, rules: &[Rule]) -> fmt::Result {
        if rules.is_empty() {
            return Ok(());
        }
        self.heading(heading)?;
        for (index, rule) in rules.iter().enumerate() {
            let number = format!("rule {}", index + 1);
            self.ticked(1, rule.holds, &number)?;
            for one in &rule.conditions {
                let met = if one.met.is_empty() {
                    String::new()
                } else {
                    format!("  ({})", one.met)
                };
                self.ticked(2, one.holds, &format!("{}{met}", one.condition))?;
            }
        }
        Ok(())
    }

    fn budgets(&mut self, budgets: &[Budget]) -> fmt::Result {
        if budgets.is_empty() {
            return Ok(());
        }
        self.heading("limits")?;
        for budget in budgets {
            let Budget {
                key,
                of,
                per_second,
                burst,
                spent,
            } = budget;
            let left = match spent {
                Some(true) => "exhausted now",
                Some(false) => "not exhausted now",
                None => "what is left is known to the running gateway only (--live)",
            };
            let line = format!("{key} of {of}: {}, {burst} at once: {left}", rate(*per_second));
            self.ticked(1, *spent != Some(true), &line)?;
        }
        Ok(())
    }

    fn action(&mut self, action: &Action, report: &Report) -> fmt::Result {
        let status = report.status.map(|status| status.to_string()).unwrap_or_default();
        let answer = match action {
            Action::Upstream {
                name,
                method,
                target,
                headers,
            } => {
                self.heading(&format!("upstream {name} would get"))?;
                self.line(1, &format!("{method} {target}"))?;
                let mut lines = headers.iter().map(|(name, value)| format!("{name}: {value}"));
                return lines.try_for_each(|line| self.line(2, &line));
            }
            Action::File { path } => {
                self.heading("file")?;
                let found = report.reason.is_none();
                return self.ticked(1, found, &format!("{path} below the route's folder: {status}"));
            }
            Action::Launch if status.is_empty() => {
                "the form tells who is launched, and the rules at its target whether that one may".to_owned()
            }
            Action::Own if status.is_empty() => "the gateway's own: only doing it would tell which".to_owned(),
            Action::Preflight => format!("{status}: a CORS preflight, for which nobody is signed in"),
            Action::Reply => format!("{status}, as the route says"),
            Action::SignIn => format!("{status}: a browser is sent to sign in, and comes back to this address"),
            Action::Launch => format!("{status}: a launch session begins, and the browser goes on without the token"),
            Action::Own => format!("the gateway's own: {status}"),
            Action::Aside { what } => format!("{status} by the gateway, in Moodle's stead: {what}"),
            Action::Accel { name } => format!("{status}: the proxy in front sends {name}"),
            Action::Decision => format!("{status}: the proxy that asks lets the request pass"),
        };
        self.heading("answer")?;
        self.line(1, &answer)
    }

    fn heading(&mut self, text: &str) -> fmt::Result {
        let text = self.inked(Ink::Bold, text);
        self.put(0, "")?;
        self.put(0, &text)
    }

    fn ticked(&mut self, depth: usize, holds: bool, text: &str) -> fmt::Result {
        let tick = if holds {
            self.inked(Ink::Good, "✓")
        } else {
            self.inked(Ink::Bad, "✗")
        };
        self.put(depth, &format!("{tick} {}", safe(text)))
    }

    fn line(&mut self, depth: usize, text: &str) -> fmt::Result {
        self.put(depth, &safe(text))
    }

    /// `text` may hold ink, and what came from outside has been through [`safe`].
    fn put(&mut self, depth: usize, text: &str) -> fmt::Result {
        writeln!(self.text, "{:depth$}{text}", "", depth = depth * 2)
    }

    fn inked(&self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Bold => 1,
            Ink::Good => 32,
            Ink::Bad => 31,
            Ink::Faint => 2,
        };
        let text = safe(text);
        if self.colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.into_owned()
        }
    }
}

fn at(moment: &Moment) -> String {
    format!("{} ({})", moment.utc, moment.words)
}

/// In the unit in which it is not below one, if there is any.
fn rate(per_second: f64) -> String {
    let units = [(1.0, "s"), (60.0, "min"), (3600.0, "h")];
    let unit = units.into_iter().find(|(seconds, _)| per_second * seconds >= 0.999);
    let (seconds, unit) = unit.unwrap_or((3600.0, "h"));
    format!("{} per {unit}", (per_second * seconds * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report() -> Report {
        let moment = json!({ "unix": 0, "utc": "1970-01-01 00:00:00 UTC", "words": "now" });
        let sample = json!({
            "outcome": "deny", "reason": "missing_role", "text": "None.", "status": 403, "detail": "odd \u{1b}[2J",
            "at": moment, "keys": { "live": true, "issuers": [] },
            "request": { "method": "GET", "host": "video", "path": "/a", "client": "::1", "https": true },
            "routes": [{ "name": "a\u{1b}[31m", "path": "/a", "won": true, "why": null }], "other_routes": 1,
            "params": [], "anonymous": false, "else_asked": true,
            "credentials": [{ "place": "query jwt", "valid": true, "counts": true, "reason": null, "detail": null,
                "header": { "alg\u{9b}": "ES256" }, "claims": { "sub\u{1b}]0;": "x\u{7f}" }, "times": [["exp", moment]],
                "key": "ES256", "issuers": ["moodle"], "roles": { "kept": ["\r"], "dropped": [] },
                "grants": { "kept": [], "dropped": [] } }],
            "deny": [], "allow": [{ "holds": false, "conditions": [
                { "condition": "role = \"A\"", "holds": false, "met": "\u{8}" }] }],
            "budgets": [{ "key": "limits.rate", "of": "moodle/\u{1b}", "per_second": 0.5, "burst": 3, "spent": true }],
            "action": { "file": { "path": "/\n" } },
        });
        serde_json::from_value(sample).unwrap()
    }

    #[test]
    fn colour_is_only_colour_and_nothing_else_moves_the_cursor() {
        let plain = render(&report(), false);
        assert!(plain.lines().all(|line| !line.contains(char::is_control)), "{plain:?}");
        let mut coloured = render(&report(), true);
        for code in ["1", "31", "32", "2", "0"] {
            coloured = coloured.replace(&format!("\u{1b}[{code}m"), "");
        }
        assert_eq!(coloured, plain);
    }
}
