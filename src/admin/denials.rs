//! What the rules refused lately, as a page for people and as JSON: see [`crate::observe::denials`].

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue};
use serde_json::json;

use super::status;
use crate::observe::denials::Denial;
use crate::respond::page::Escaped;
use crate::time::rfc3339;

/// Does a request for `/denials` want JSON? A browser names HTML.
pub(super) fn wants_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).map(HeaderValue::as_bytes).unwrap_or_default();
    let names = |kind: &[u8]| accepted.windows(kind.len()).any(|part| part.eq_ignore_ascii_case(kind));
    names(b"application/json") && !names(b"text/html")
}

/// `{"denials": […]}`, the latest first.
pub(super) fn json(denials: &[Denial]) -> String {
    json!({ "denials": denials }).to_string() + "\n"
}

/// The page: a card for each, readable on any width. Every text of a denial is escaped.
pub(super) fn render(denials: &[Denial]) -> String {
    let mut body = "<h2>Refused by the rules</h2>\n".to_owned();
    body.extend(denials.iter().map(card));
    if denials.is_empty() {
        body.push_str("<p>The rules have refused nothing lately.</p>\n");
    }
    status::page(&format!(
        "{body}<p><a href=\"/denials.json\">As JSON</a> · <a href=\"/\">Status</a></p>\n"
    ))
}

fn card(denial: &Denial) -> String {
    let who = denial.who().unwrap_or_else(|| "nobody".to_owned());
    let passes = match denial.denied_by.is_empty() {
        true => (
            "would have let it pass",
            lines(&denial.would_allow, "nothing: there is no rule"),
        ),
        false => ("denied by", lines(&denial.denied_by, "")),
    };
    let rows = [
        ("last (UTC)", Escaped(&humantime(denial)).to_string()),
        (
            "request",
            Escaped(&format!("{} {}", denial.method, denial.path)).to_string(),
        ),
        ("who", Escaped(&format!("{who} from {}", denial.client)).to_string()),
        (
            "roles and grants held",
            lines(denial.roles.iter().chain(&denial.grants), "none"),
        ),
        passes,
        ("request id", Escaped(&denial.request_id).to_string()),
    ];
    let rows = rows.map(|(name, value)| format!("<dt>{name}</dt><dd>{value}</dd>\n"));
    format!(
        "<section>\n<h3>{} on {}</h3>\n<dl>\n{}</dl>\n</section>\n",
        Escaped(denial.reason),
        Escaped(&denial.route),
        rows.concat()
    )
}

fn humantime(denial: &Denial) -> String {
    let when = rfc3339(denial.time);
    match denial.count {
        1 => when,
        count => format!("{when}, {count} times"),
    }
}

fn lines<'a>(items: impl IntoIterator<Item = &'a String>, none: &str) -> String {
    let lines: Vec<String> = items.into_iter().map(|item| Escaped(item).to_string()).collect();
    match lines.is_empty() {
        true => none.to_owned(),
        false => lines.join("<br>"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;
    use std::time::SystemTime;

    fn denial() -> Denial {
        Denial {
            time: SystemTime::UNIX_EPOCH,
            first: SystemTime::UNIX_EPOCH,
            count: 3,
            client: IpAddr::from([192, 0, 2, 1]),
            method: "GET".to_owned(),
            path: "/<i>".to_owned(),
            request_id: "4f2a".to_owned(),
            route: "<b>".to_owned(),
            reason: "missing_role",
            issuer: Some("moodle".to_owned()),
            subject: Some("<script>".to_owned()),
            roles: vec!["4_Learner".to_owned(), "<u>".to_owned()],
            grants: Vec::new(),
            would_allow: vec!["role = \"<s>\"".to_owned()],
            denied_by: Vec::new(),
        }
    }

    #[test]
    fn the_page_tells_and_nothing_breaks_out_of_it() {
        let page = render(&[denial()]);
        for part in [
            "1970-01-01T00:00:00.000Z, 3 times",
            "moodle/&lt;script&gt; from 192.0.2.1",
            "4_Learner<br>&lt;u&gt;",
            "role = &quot;&lt;s&gt;&quot;",
            "<dd>GET /&lt;i&gt;</dd>",
            "<h3>missing_role on &lt;b&gt;</h3>",
        ] {
            assert!(page.contains(part), "no {part} in {page}");
        }
        for tag in ["<script", "<u>", "<s>", "<i>", "<b>"] {
            assert!(!page.contains(tag), "{tag}");
        }
        let denied = Denial {
            issuer: None,
            denied_by: vec!["role = \"<u>\"".to_owned()],
            ..denial()
        };
        let page = render(&[denied]);
        assert!(page.contains("<dt>denied by</dt><dd>role = &quot;&lt;u&gt;&quot;") && page.contains("nobody from"));
        assert!(render(&[]).contains("refused nothing lately"));
    }

    #[test]
    fn programs_get_json() {
        let told: serde_json::Value = serde_json::from_str(&json(&[denial()])).unwrap();
        let first = &told["denials"][0];
        assert_eq!((&first["count"], &first["subject"]), (&json!(3), &json!("<script>")));
        assert_eq!(first["first"], "1970-01-01T00:00:00.000Z");
        let wants = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
            wants_json(&headers)
        };
        assert!(wants("application/json") && wants("Application/JSON, */*"));
        assert!(!wants("*/*") && !wants("text/html, application/json") && !wants_json(&HeaderMap::new()));
    }
}
