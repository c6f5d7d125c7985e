//! Why a recent request was refused: `/why/REQUEST-ID` as a page and as JSON, and the latest refusals at `/why`.

use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use super::{Source, denials, json as json_response, page, page_of, status};
use crate::respond::page::Escaped;

/// Of the latest refusals so many are told.
const MOST: usize = 100;

/// What is known of one request.
pub enum Why {
    Found {
        /// In lines, for people.
        text: String,
        json: Value,
    },
    /// The ids that begin so.
    Several(Vec<String>),
    /// Why not.
    Nothing(String),
}

/// `/why`, `/why.json`, `/why/ID` and `/why/ID.json`.
pub(super) fn answer(path: &str, headers: &HeaderMap, source: &dyn Source) -> Response<String> {
    let (path, named) = match path.strip_suffix(".json") {
        Some(path) => (path, true),
        None => (path, false),
    };
    let wants_json = named || denials::wants_json(headers);
    match path.strip_prefix("/why/").filter(|id| !id.is_empty()) {
        Some(id) => one(source.why(id), wants_json),
        None if wants_json => {
            let body = json!({ "refusals": source.refusals(MOST) });
            json_response(StatusCode::OK, format!("{body}\n"))
        }
        None => page(list(&source.refusals(MOST))),
    }
}

fn one(why: Why, wants_json: bool) -> Response<String> {
    let (status, value, body) = match why {
        Why::Found { text, json } => {
            let body = format!("<h2>Why</h2>\n<section>\n<pre>{}</pre>\n</section>\n", Escaped(&text));
            (StatusCode::OK, json, body)
        }
        Why::Several(ids) => {
            let links: String = ids.iter().map(|id| format!("<li>{}</li>\n", link(id))).collect();
            let body = format!("<p>Several requests begin so:</p>\n<ul>\n{links}</ul>\n");
            (StatusCode::MULTIPLE_CHOICES, json!({ "ids": ids }), body)
        }
        Why::Nothing(told) => {
            let body = format!("<p>{}</p>\n", Escaped(&told));
            (StatusCode::NOT_FOUND, json!({ "error": told }), body)
        }
    };
    match wants_json {
        true => json_response(status, format!("{value}\n")),
        false => page_of(
            status,
            status::page(&(body + "<p><a href=\"/why\">All</a> · <a href=\"/\">Status</a></p>\n")),
        ),
    }
}

/// A line for each; the id leads to the whole.
fn list(refusals: &[Value]) -> String {
    let rows = refusals.iter().map(|one| {
        let text = |place: &str| match one.pointer(place) {
            Some(Value::String(text)) => Escaped(text).to_string(),
            Some(Value::Number(number)) => number.to_string(),
            _ => "-".to_owned(),
        };
        let id = one.pointer("/past/request_id").and_then(Value::as_str);
        let asked = match one.pointer("/request/method") {
            Some(_) => format!("{} {}", text("/request/method"), text("/request/path")),
            None => "-".to_owned(),
        };
        [
            text("/at/utc"),
            link(id.unwrap_or_default()),
            text("/reason"),
            text("/status"),
            text("/routes/0/name"),
            asked,
        ]
    });
    let mut body = String::new();
    status::table(
        &mut body,
        "Refused or failed lately",
        ["time", "request", "reason", "status", "route", "asked for"],
        rows,
    );
    if refusals.is_empty() {
        body.push_str("<h2>Refused or failed lately</h2>\n<p>Nothing.</p>\n");
    }
    status::page(&format!(
        "{body}<p>Any other: <code>janua why REQUEST-ID</code>. <a href=\"/why.json\">As JSON</a> · <a href=\"/\">Status</a></p>\n"
    ))
}

/// The beginning of an id is enough to tell it from the others.
fn link(id: &str) -> String {
    let (whole, short) = (Escaped(id), Escaped(id.get(..8).unwrap_or(id)));
    format!("<a href=\"/why/{whole}\">{short}</a>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_the_pages() {
        let refusal = json!({
            "at": { "utc": "1970-01-01 00:00:00 UTC" }, "reason": "missing_role", "status": 403,
            "past": { "request_id": "0123456789\"><script>" },
            "routes": [{ "name": "<b>" }], "request": { "method": "GET", "path": "/<i>" },
        });
        let page = list(&[refusal, json!({})]);
        assert!(
            page.contains("<td>missing_role</td><td>403</td><td>&lt;b&gt;</td><td>GET /&lt;i&gt;</td>"),
            "{page}"
        );
        assert!(page.contains(">01234567</a>") && list(&[]).contains("Nothing."));
        let text = "✗ refused <script>".to_owned();
        let shown = one(Why::Found { text, json: json!({}) }, false);
        assert_eq!(shown.status(), StatusCode::OK);
        let nothing = one(Why::Nothing("<i>".to_owned()), false);
        assert_eq!(nothing.status(), StatusCode::NOT_FOUND);
        let several = one(Why::Several(vec!["<b>".to_owned()]), false);
        for page in [&page, shown.body(), nothing.body(), several.body()] {
            for tag in ["<script", "<i>", "<b>"] {
                assert!(!page.contains(tag), "{tag} in {page}");
            }
        }
        let told: Value = serde_json::from_str(one(Why::Nothing("x".to_owned()), true).body()).unwrap();
        assert_eq!(told["error"], "x");
    }
}
