//! Keys, values and comments of the gateway.toml that is written.

use toml_edit::{Array, InlineTable, Item, Table, Value};

use super::octoka::duration;
use crate::text::safe;

/// Puts a duration, given as Octoka has it, within the bounds that it has here.
pub(super) fn time(table: &mut Table, key: &str, given: &str, [least, most]: [&str; 2]) -> anyhow::Result<()> {
    let [(time, written), least, most] = [duration(given)?, duration(least)?, duration(most)?];
    let (bound, which) = match time {
        _ if time < least.0 => (least.1, "shortest"),
        _ if time > most.0 => (most.1, "longest"),
        _ => {
            table.insert(key, text(written));
            return Ok(());
        }
    };
    table.insert(key, text(&bound));
    let note = format!("NOTE: Octoka's is {written}; {bound} is the {which} time here.");
    remark(table, key, &note);
    Ok(())
}

/// A string that means what it says: Octoka's file knows no variables.
pub(super) fn text(text: impl Into<String>) -> Item {
    value(text.into().replace("${", "$${"))
}

pub(super) fn list<T: Into<Value>>(items: impl IntoIterator<Item = T>) -> Item {
    value(items.into_iter().collect::<Array>())
}

pub(super) fn value(value: impl Into<Value>) -> Item {
    Item::Value(value.into())
}

pub(super) fn inline<const N: usize>(members: [(&str, Value); N]) -> InlineTable {
    members.into_iter().collect()
}

/// A table of these keys, as [`put`].
pub(super) fn section<const N: usize>(keys: [(&str, Item, &str); N]) -> Table {
    let mut table = Table::new();
    put(&mut table, keys);
    table
}

/// Puts keys at the end of a table, each with its value and what is to be said above it.
pub(super) fn put<const N: usize>(table: &mut Table, keys: [(&str, Item, &str); N]) {
    for (key, item, told) in keys {
        table.insert(key, item);
        remark(table, key, told);
    }
}

/// Puts comment lines above a key, below those that are there.
pub(super) fn remark(table: &mut Table, key: &str, remark: &str) {
    if let Some(mut key) = table.key_mut(key) {
        let decor = key.leaf_decor_mut();
        let above = decor.prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default();
        decor.set_prefix(format!("{above}{}", comment(remark)));
    }
}

/// Tells above a key what Octoka has and this file has not: the sentence begins with WARNING or NOTE.
pub(super) fn leave_out(table: &mut Table, key: &str, what: &str, left_out: &[String]) {
    if !left_out.is_empty() {
        let left_out = safe(&left_out.join(", ")).into_owned();
        remark(table, key, &format!("{what} left out: {left_out}"));
    }
}

pub(super) fn comment(text: &str) -> String {
    text.lines().map(|line| format!("# {line}\n")).collect()
}
