//! `jwt.sources`: where a request's token is looked for.

use anyhow::bail;
use http::HeaderName;
use toml_edit::{Array, InlineTable, Table};

use super::lines::{inline, leave_out, remark, value};
use super::octoka::Source;

const FIRST_VALID: &str = "\
NOTE: the first *valid* token counts; in Octoka the first one found.";

/// Where tokens are looked for. A source without a counterpart is left out where another stays.
pub(super) fn write(table: &mut Table, given: &[Source]) -> anyhow::Result<()> {
    let mut kept: Vec<String> = Vec::new();
    let mut all = Array::new();
    let mut left_out = Vec::new();
    for found in given {
        let Some(source) = source(found) else {
            left_out.push(described(found));
            continue;
        };
        let written = source.to_string();
        match kept.iter().find(|known| known.eq_ignore_ascii_case(&written)) {
            None => all.push(source),
            // Names of parameters differ by case, but not here.
            Some(known) if matches!(found, Source::Query { .. }) && *known != written => {
                left_out.push(described(found));
            }
            Some(_) => {}
        }
        kept.push(written);
    }
    if all.is_empty() {
        bail!("a header needs a prefix such as \"Bearer \", one word and a blank, or none; a parameter a plain name");
    }
    table.insert("sources", value(all));
    remark(table, "sources", FIRST_VALID);
    leave_out(table, "sources", "WARNING: tokens from these sources are", &left_out);
    Ok(())
}

fn source(source: &Source) -> Option<InlineTable> {
    match source {
        Source::Query { name } => {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            let is_good = !name.is_empty() && name.bytes().all(is_plain);
            is_good.then(|| inline([("query", name.into())]))
        }
        Source::Header { name, prefix } => {
            HeaderName::from_bytes(name.as_bytes()).ok()?;
            // Without a prefix the token stands alone.
            let scheme = match prefix.as_deref().unwrap_or_default() {
                "" => "",
                // The letters of a header's name are those of a scheme: `token` of RFC 9110 section 5.6.2.
                prefix => prefix
                    .strip_suffix(' ')
                    .filter(|scheme| HeaderName::from_bytes(scheme.as_bytes()).is_ok())?,
            };
            Some(inline([("header", name.into()), ("scheme", scheme.into())]))
        }
    }
}

fn described(source: &Source) -> String {
    match source {
        Source::Query { name } => format!("query {name:?}"),
        Source::Header { name, prefix } => format!(
            "header {name:?} with prefix {:?}",
            prefix.as_deref().unwrap_or_default()
        ),
    }
}
