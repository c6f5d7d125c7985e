//! gateway.toml(5), out of the JSON Schema, which is made of the declarations.

use serde_json::Value;

use super::escaped;
use crate::config::schema;

const BEFORE: &str = "\
.SH NAME
gateway.toml \\- the configuration of janua(1)
.SH DESCRIPTION
One file of TOML says everything: janua(1) looks for it as ./gateway.toml, then as /etc/janua/gateway.toml.
janua\\-check(1) says what is wrong with it, `janua config example` prints one with comments, `janua config show` what is in
force.
.PP
Durations are \"300ms\", \"10s\", \"1h30m\"; sizes \"64KiB\", \"10MB\"; rates \"200/s\", \"30/m\". ${NAME} in any string is an
environment variable, $${ stands for ${. Paths are relative to the file's own folder.
";

const AFTER: &str = "\
.SH \"SEE ALSO\"
janua(1), janua\\-check(1), janua\\-config(1)
";

pub(super) fn page() -> String {
    let mut page = format!(
        ".TH gateway.toml 5 \"\" \"janua {}\"\n{BEFORE}",
        env!("CARGO_PKG_VERSION")
    );
    if let Some(sections) = schema().get("properties").and_then(Value::as_object) {
        for (name, section) in sections {
            table(&mut page, name, section);
        }
    }
    page + AFTER
}

/// A section of the page for a table, and for each table in it.
fn table(page: &mut String, name: &str, schema: &Value) {
    let (head, schema, keys) = match keys(schema) {
        Some(found) => (format!("[{name}]"), schema, found),
        None => match of_list(schema) {
            Some((inner, found)) => (format!("[[{name}]]"), inner, found),
            None => match of_names(schema) {
                // Its section is that of what stands below each name.
                Some(inner) => return table(page, &format!("{name}.<name>"), inner),
                None => return,
            },
        },
    };
    let (name, inner): (&str, Vec<_>) = (name, keys.iter().filter(|(_, key)| is_table(key)).collect());
    page.push_str(&format!(".SH \"{head}\"\n"));
    let about = description(schema);
    if !about.is_empty() && about.trim_matches('`') != head {
        page.push_str(&format!("{}\n", escaped(about)));
    }
    for (key, value) in keys {
        page.push_str(&format!(".TP\n\\fB{}\\fR\n", escaped(key)));
        let mut told = description(value).replace("\n\n", " ");
        if is_table(value) {
            told = format!("{told} A table: below.").trim_start().to_owned();
        }
        page.push_str(&format!("{}\n", escaped(&told)));
    }
    for (key, value) in inner {
        table(page, &format!("{name}.{key}"), value);
    }
}

fn description(schema: &Value) -> &str {
    schema.get("description").and_then(Value::as_str).unwrap_or_default()
}

/// Of a table with fixed keys.
fn keys(schema: &Value) -> Option<&serde_json::Map<String, Value>> {
    schema.get("properties")?.as_object()
}

fn of_list(schema: &Value) -> Option<(&Value, &serde_json::Map<String, Value>)> {
    let inner = schema.get("items")?;
    Some((inner, keys(inner)?))
}

fn of_names(schema: &Value) -> Option<&Value> {
    schema.get("additionalProperties").filter(|inner| inner.is_object())
}

fn is_table(schema: &Value) -> bool {
    keys(schema).is_some() || of_list(schema).is_some() || of_names(schema).is_some_and(|inner| keys(inner).is_some())
}
