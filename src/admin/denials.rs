//! What the rules refused lately, as a page for people and as JSON: see [`crate::observe::denials`].

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue};
use serde_json::json;

use super::status;
use crate::observe::denials::Denial;
use crate::respond::page::Escaped;

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

/// The page. Every text of a denial is escaped.
pub(super) fn render(denials: &[Denial]) -> String {
    let rows = denials.iter().map(|denial| {
        let request = format!("{} {}", denial.method, denial.path);
        let who = denial.who().unwrap_or_else(|| "nobody".to_owned());
        let when = humantime(denial);
        [
            Escaped(&when).to_string(),
            Escaped(&denial.route).to_string(),
            Escaped(&request).to_string(),
            Escaped(denial.reason).to_string(),
            Escaped(&format!("{who} from {}", denial.client)).to_string(),
            lines(denial.roles.iter().chain(&denial.grants), "none"),
            match denial.denied_by.is_empty() {
                true => lines(&denial.would_allow, "nothing: there is no rule"),
                false => format!("but denied by<br>{}", lines(&denial.denied_by, "")),
            },
            Escaped(&denial.request_id).to_string(),
        ]
    });
    let names = [
        "last (UTC)",
        "route",
        "request",
        "reason",
        "who",
        "roles and grants held",
        "would have let it pass",
        "request id",
    ];
    let mut body = String::new();
    status::table(&mut body, "Refused by the rules", names, rows);
    if denials.is_empty() {
        body.push_str("<p>The rules have refused nothing lately.</p>\n");
    }
    status::page(&format!("{body}<p>JSON: /denials.json</p>\n"))
}

fn humantime(denial: &Denial) -> String {
    let mut when = String::new();
    // Writing to a String does not fail.
    crate::observe::timestamp::write_rfc3339(&mut when, denial.time).unwrap_or_default();
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
            "<td>GET /&lt;i&gt;</td>",
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
        assert!(page.contains("but denied by<br>role = &quot;&lt;u&gt;&quot;") && page.contains("nobody from"));
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
