//! The JSON Schema of gateway.toml (draft 2020-12), for editors.
//!
//! It is made from the declarations that the file is read by (`file`), so it cannot fall behind them; descriptions are
//! their doc comments. It knows keys and types; what values mean together is for `janua check` to say.

use serde_json::{Map, Value, json};

use super::file::File;
use super::read::{Declared, Read};

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

/// A table with fixed keys.
pub(crate) fn table<'a>(about: &str, keys: impl IntoIterator<Item = &'a Declared>) -> Value {
    let mut required = Vec::new();
    let mut properties = Map::new();
    for key in keys {
        let doc = reference(key);
        if doc.ends_with("Required.") {
            required.push(key.name);
        }
        let mut property = described((key.schema)(), &doc);
        if let (Some(default), Some(members)) = (key.default.and_then(value), property.as_object_mut()) {
            members.insert("default".to_owned(), default);
        }
        properties.insert(key.name.to_owned(), property);
    }
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if let (false, Some(members)) = (required.is_empty(), schema.as_object_mut()) {
        members.insert("required".to_owned(), json!(required));
    }
    described(schema, &prose(about))
}

/// What is said of a key: its doc comment, and its default or that it must be there.
fn reference(key: &Declared) -> String {
    let doc = prose(key.doc);
    let more = match key.default.and_then(value) {
        _ if key.example.is_some() => "Required.".to_owned(),
        Some(default) if !doc.contains("Default:") => format!("Default: {}.", told(&default)),
        _ => return doc,
    };
    format!("{doc} {more}").trim_start().to_owned()
}

/// A default, as it is declared, in JSON. That of a table is the defaults of its keys.
fn value(default: &str) -> Option<Value> {
    let default = default.parse::<toml::Value>().ok()?;
    serde_json::to_value(default)
        .ok()
        .filter(|default| !default.is_object())
}

/// A default in running text.
fn told(default: &Value) -> String {
    match default {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(told).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read::Shape;

    /// All keys of all tables.
    fn keys_in(shape: Shape) -> Vec<&'static Declared> {
        match shape {
            Shape::Value => Vec::new(),
            Shape::Table(keys) => {
                let with_inner = |key: &'static Declared| [vec![key], keys_in(key.shape)].concat();
                keys.iter().flat_map(with_inner).collect()
            }
            Shape::List(inner) | Shape::Named(inner) => keys_in(*inner),
        }
    }

    /// A doc comment that tells a default itself, with what is to be said of it, tells the declared one.
    #[test]
    fn a_default_in_a_doc_comment_is_the_declared_one() {
        let mut compared = 0;
        for key in keys_in(File::SHAPE) {
            let doc = prose(key.doc).replace('`', "");
            if let (Some(default), Some((_, words))) = (key.default.and_then(value), doc.split_once("Default: ")) {
                let told = match (key.name, told(&default).as_str()) {
                    ("trusted_proxies" | "deny", "none") => "nobody".to_owned(),
                    ("sources", _) => "Authorization: Bearer, then the query's jwt.".to_owned(),
                    (_, told) => told.to_owned(),
                };
                assert!(words.starts_with(&told), "{}: {told}: {words}", key.name);
                compared += 1;
            }
        }
        assert!(compared > 5, "{compared}");
    }

    #[test]
    fn a_default_stands_behind_the_doc_comment() {
        let all = keys_in(File::SHAPE);
        let told = |name: &str| {
            all.iter()
                .find(|key| key.name == name)
                .map(|key| reference(key))
                .unwrap()
        };
        assert!(told("shutdown_grace").ends_with(" after SIGTERM or SIGINT. Default: 30s."));
        assert!(told("roles_claims").ends_with("all united. Default: oc-roles, roles."));
        assert!(told("jwks").ends_with("only to this machine. Required."));
        assert_eq!(told("every"), "Default: 5s.");
    }
}
