//! The JSON Schema of gateway.toml (draft 2020-12), for editors.
//!
//! It is made from the declarations that the file is read by (`file`), so it cannot fall behind them; descriptions are
//! their doc comments. It knows keys and types; what values mean together is for `janua check` to say.

use serde_json::{Map, Value, json};

use super::file::File;
use super::read::Read;

/// The schema of a whole file.
pub fn schema() -> Value {
    let mut schema = File::schema();
    if let Some(members) = schema.as_object_mut() {
        members.insert(
            "$schema".to_owned(),
            "https://json-schema.org/draft/2020-12/schema".into(),
        );
        members.insert("title".to_owned(), "gateway.toml of Janua".into());
    }
    schema
}

/// A table with fixed keys: name, doc comment and type of each. A key whose doc comment ends with "Required." is.
pub(crate) fn table<'a>(about: &str, keys: impl IntoIterator<Item = (&'a str, &'a str, Value)>) -> Value {
    let mut required = Vec::new();
    let mut properties = Map::new();
    for (name, doc, kind) in keys {
        let doc = prose(doc);
        if doc.ends_with("Required.") {
            required.push(name);
        }
        properties.insert(name.to_owned(), described(kind, &doc));
    }
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if let (false, Some(members)) = (required.is_empty(), schema.as_object_mut()) {
        members.insert("required".to_owned(), json!(required));
    }
    described(schema, &prose(about))
}

/// A string; one of `words`, if there are any. A string that names a variable may become any other.
pub(super) fn text(expected: &str, words: &[&str]) -> Value {
    let schema = match words {
        [] => json!({ "type": "string" }),
        words => json!({ "type": "string", "anyOf": [{ "enum": words }, { "pattern": r"\$\{" }] }),
    };
    described(schema, &format!("Written as {expected}."))
}

/// Puts the description of a place before that of its type.
fn described(mut schema: Value, place: &str) -> Value {
    if let Some(members) = schema.as_object_mut() {
        let kind = members.get("description").and_then(Value::as_str);
        let both = match kind.filter(|kind| !place.is_empty() && *kind != "Written as a string.") {
            // A table's own description only repeats its name.
            Some(kind) if kind.starts_with("Written as") => format!("{place}\n\n{kind}"),
            _ => place.to_owned(),
        };
        members.insert("description".to_owned(), both.into());
    }
    schema
}

/// A doc comment as running text.
fn prose(doc: &str) -> String {
    doc.lines()
        .map(str::trim)
        .collect::<Vec<_>>()
        .join(" ")
        .trim()
        .to_owned()
}
