//! The status page: what runs, since when, and whether keys and upstreams are well. For a person in a hurry; whatever
//! is to be watched stands in the metrics.

use std::fmt::Write;
use std::time::Duration;

use super::Readiness;
use crate::observe::reload_status::ConfigStatus;
use crate::respond::page::Escaped;
use crate::time::in_one_unit;

/// A picture of the running gateway. Nothing in it is secret.
#[derive(Debug, Clone, Default)]
pub struct Status {
    pub uptime: Duration,
    pub config: ConfigStatus,
    pub routes: Vec<RouteStatus>,
    pub issuers: Vec<IssuerStatus>,
    pub servers: Vec<ServerStatus>,
}

#[derive(Debug, Clone)]
pub struct RouteStatus {
    pub name: String,
    pub host: String,
    pub path: String,
    /// In words: `upstream opencast`, `files`, `204`.
    pub action: String,
}

#[derive(Debug, Clone)]
pub struct IssuerStatus {
    pub name: String,
    /// Usable keys.
    pub keys: usize,
    /// Since the last good fetch; `None` before the first.
    pub age: Option<Duration>,
}

#[derive(Debug, Clone)]
pub struct ServerStatus {
    pub upstream: String,
    pub address: String,
    pub healthy: bool,
}

/// Nothing may be loaded or frame it; the style is known by its hash, which a test recomputes.
pub(super) const POLICY: &str = "default-src 'none'; \
    style-src 'sha256-LDTPAp/ftbj6pAY217WQ39j7Qxs+qR1EAjFE5+i2Xgw='; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

const STYLE: &str = ":root{color-scheme:light dark}\
body{max-width:60rem;margin:2rem auto;padding:0 1rem;font:1rem/1.5 system-ui,sans-serif}\
h1{font-size:1.5rem}h2{font-size:1.125rem;margin-top:2rem}h3{font-size:1rem;margin:0 0 .5rem}\
.wide{overflow-x:auto}table{width:100%;border-collapse:collapse}\
th,td{padding:.25rem .75rem .25rem 0;border-bottom:1px solid #8884;text-align:left}\
section{margin:1rem 0;padding:1rem;border:1px solid #8884;border-radius:.5rem}\
dl{display:grid;grid-template-columns:12rem minmax(0,1fr);gap:.25rem 1rem;margin:0}\
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:0}dt{opacity:.75}dd{margin:0;overflow-wrap:anywhere}\
@media(max-width:40rem){dl{grid-template-columns:minmax(0,1fr)}dd{margin-bottom:.5rem}}\
.bad{font-weight:bold;color:#c62828}\
@media(prefers-color-scheme:dark){.bad{color:#ff8a80}}";

/// The page. Every text of the status is escaped.
pub(super) fn render(status: &Status, readiness: &Readiness) -> String {
    let mut body = format!(
        "<p>Up for {uptime}. {ready}</p>\n",
        uptime = span(status.uptime),
        ready = if readiness.ready {
            "Ready."
        } else {
            "<span class=\"bad\">Not ready.</span>"
        },
    );
    // Writing to a String does not fail, here and below.
    writeln!(body, "<p>{}</p>", configuration(&status.config)).unwrap_or_default();
    for problem in &readiness.problems {
        writeln!(body, "<p class=\"bad\">{}</p>", Escaped(problem)).unwrap_or_default();
    }
    let routes = status.routes.iter().map(|route| {
        let texts = [&route.name, &route.host, &route.path, &route.action];
        texts.map(|text| Escaped(text).to_string())
    });
    table(&mut body, "Routes", ["name", "host", "path", "action"], routes);
    let issuers = status.issuers.iter().map(|issuer| {
        let keys = verdict(issuer.keys > 0, &issuer.keys.to_string());
        let age = issuer
            .age
            .map_or_else(|| verdict(false, "never"), |age| format!("{} ago", span(age)));
        [Escaped(&issuer.name).to_string(), keys, age]
    });
    table(&mut body, "Issuers", ["name", "usable keys", "fetched"], issuers);
    let servers = status.servers.iter().map(|server| {
        let health = verdict(server.healthy, if server.healthy { "healthy" } else { "left out" });
        [
            Escaped(&server.upstream).to_string(),
            Escaped(&server.address).to_string(),
            health,
        ]
    });
    table(&mut body, "Upstreams", ["upstream", "server", "health"], servers);
    body.push_str("<p>Metrics: <a href=\"/metrics\">/metrics</a>. Refused by the rules lately: <a href=\"/denials\">/denials</a>. \
         What became of a request: <a href=\"/why\">/why</a>.</p>\n");
    page(&body)
}

/// A page of the admin listener. `body` is HTML already.
pub(super) fn page(body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Janua</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>Janua {version}</h1>\n{body}</main>\n</body>\n</html>\n",
        version = env!("CARGO_PKG_VERSION"),
    )
}

fn configuration(config: &ConfigStatus) -> String {
    let taken = format!("Configuration taken {} ago.", span(config.age));
    match &config.refused {
        None => taken,
        Some((age, why)) => {
            let why = format!("gateway.toml was refused {} ago, see the log: {why}.", span(*age));
            format!("{taken} {}", verdict(false, &why))
        }
    }
}

/// Appends a heading and a table; the cells are HTML. Nothing for no rows.
pub(super) fn table<const N: usize>(
    page: &mut String,
    title: &str,
    names: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) {
    let rows: Vec<String> = rows
        .map(|cells| format!("<tr><td>{}</td></tr>\n", cells.join("</td><td>")))
        .collect();
    if !rows.is_empty() {
        let head = format!("<tr><th>{}</th></tr>\n", names.join("</th><th>"));
        let rows = rows.concat();
        write!(
            page,
            "<h2>{title}</h2>\n<div class=\"wide\"><table>\n{head}{rows}</table></div>\n"
        )
        .unwrap_or_default();
    }
}

fn verdict(good: bool, text: &str) -> String {
    match good {
        true => Escaped(text).to_string(),
        false => format!("<span class=\"bad\">{}</span>", Escaped(text)),
    }
}

fn span(time: Duration) -> String {
    in_one_unit(time, ["s", "min", "h", "days"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;

    const READY: Readiness = Readiness {
        ready: true,
        problems: Vec::new(),
    };

    #[test]
    fn it_shows_what_runs_and_marks_what_is_not_well() {
        let status = Status {
            uptime: Duration::from_secs(3 * 3600),
            config: ConfigStatus {
                age: Duration::from_secs(180),
                refused: Some((Duration::from_secs(5), "<1 error>".to_owned())),
            },
            routes: vec![RouteStatus {
                name: "media".to_owned(),
                host: "video.example.edu".to_owned(),
                path: "/static/{*file}".to_owned(),
                action: "files".to_owned(),
            }],
            issuers: vec![IssuerStatus {
                name: "moodle".to_owned(),
                keys: 0,
                age: None,
            }],
            servers: vec![ServerStatus {
                upstream: "opencast".to_owned(),
                address: "127.0.0.1:8081".to_owned(),
                healthy: true,
            }],
        };
        let page = render(&status, &READY);
        assert!(page.contains("Up for 3 h. Ready."));
        assert!(page.contains("Configuration taken 3 min ago. <span class=\"bad\">gateway.toml was refused 5 s ago"));
        assert!(page.contains("&lt;1 error&gt;"));
        assert!(page.contains("<td>media</td><td>video.example.edu</td><td>/static/{*file}</td><td>files</td>"));
        assert!(page.contains("<td><span class=\"bad\">0</span></td><td><span class=\"bad\">never</span></td>"));
        assert!(page.contains("<td>127.0.0.1:8081</td><td>healthy</td>"));
    }

    #[test]
    fn texts_cannot_break_out() {
        let not_ready = Readiness {
            ready: false,
            problems: vec!["<b>".to_owned()],
        };
        let status = Status {
            issuers: vec![IssuerStatus {
                name: "<script>".to_owned(),
                keys: 1,
                age: Some(Duration::ZERO),
            }],
            ..Status::default()
        };
        let page = render(&status, &not_ready);
        assert!(!page.contains("<script") && !page.contains("<b>"));
        assert!(page.contains("Not ready.") && page.contains("&lt;b&gt;"));
        assert!(!page.contains("<h2>Routes"));
    }

    #[test]
    fn spans_name_their_largest_unit() {
        let spans = [0, 119, 120, 7_199, 7_200, 172_799, 172_800].map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(spans, ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 days"]);
    }

    #[test]
    fn the_policy_names_the_hash_of_the_style() {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, STYLE.as_bytes());
        let hash = base64::engine::general_purpose::STANDARD.encode(digest);
        assert!(POLICY.contains(&format!("'sha256-{hash}'")), "it is {hash}");
    }
}
