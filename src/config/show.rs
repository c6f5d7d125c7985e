//! The configuration that is in force: what was written, and the defaults of what was not, marked as such.
//!
//! What was written stands as it was written: a `${NAME}` stays a name. Keys whose absence is their default (no limit,
//! any method) stay absent. The output is a gateway.toml that means the same as the one it came from.
//!
//! Defaults come from the declarations in `file`. Only those that depend on other keys are made here.

use std::fmt::Display;
use std::time::Duration;

use toml_edit::visit_mut::{VisitMut, visit_array_mut, visit_inline_table_mut, visit_table_mut};
use toml_edit::{Array, DocumentMut, Formatted, InlineTable, Item, Table, TomlError, Value};

use super::file::File;
use super::read::{Declared, FromText as _, Shape};
use super::value::{Size, duration_text};
use super::{Action, Config, Credential, Route, State};
use crate::redact;

/// Fills the defaults of `config` into `source`, the text it was compiled from.
pub fn show(source: &str, config: &Config) -> Result<String, TomlError> {
    let mut document: DocumentMut = source.parse()?;
    Plain.visit_document_mut(&mut document);
    document.set_trailing("");
    Defaults { config, source }.table(document.as_item_mut(), File::KEYS, &mut Vec::new());
    Ok(document.to_string().trim_start().to_owned())
}

struct Defaults<'a> {
    config: &'a Config,
    source: &'a str,
}

impl Defaults<'_> {
    /// Fills a table, which stands at `place`: keys, names and indices, from the root on.
    fn table(&self, item: &mut Item, keys: &[Declared], place: &mut Vec<String>) {
        // A comment can stand only where each key has a line of its own.
        let has_lines = item.is_table();
        let Some(table) = item.as_table_like_mut() else { return };
        for key in keys {
            place.push(key.name.to_owned());
            if let (false, Some(mut value)) = (table.contains_key(key.name), self.default(key, place)) {
                let is_section = place.len() == 1;
                if has_lines {
                    value.decor_mut().set_suffix("  # default");
                }
                let item = if is_section {
                    Item::Table(Table::new())
                } else {
                    Item::Value(value)
                };
                table.insert(key.name, item);
            }
            if let Some(item) = table.get_mut(key.name) {
                self.inside(item, key.shape, place);
            }
            place.pop();
        }
    }

    fn inside(&self, item: &mut Item, shape: Shape, place: &mut Vec<String>) {
        match (shape, item) {
            (Shape::Table(keys), item) => self.table(item, keys, place),
            (Shape::Named(inner), item) => {
                for (name, item) in item.as_table_like_mut().into_iter().flat_map(|all| all.iter_mut()) {
                    place.push(name.get().to_owned());
                    self.inside(item, *inner, place);
                    place.pop();
                }
            }
            // The tables of a list, in either form.
            (Shape::List(Shape::Table(keys)), Item::ArrayOfTables(tables)) => {
                for (index, table) in tables.iter_mut().enumerate() {
                    let mut item = Item::Table(std::mem::take(table));
                    place.push(index.to_string());
                    self.table(&mut item, keys, place);
                    place.pop();
                    if let Ok(filled) = item.into_table() {
                        *table = filled;
                    }
                }
            }
            (Shape::List(Shape::Table(keys)), Item::Value(Value::Array(values))) => {
                for (index, value) in values.iter_mut().enumerate() {
                    let mut item = Item::Value(value.clone());
                    place.push(index.to_string());
                    self.table(&mut item, keys, place);
                    place.pop();
                    if let Ok(filled) = item.into_value() {
                        *value = filled;
                    }
                }
            }
            (Shape::Value | Shape::List(_), _) => {}
        }
    }

    /// What an absent key comes to: its declared default, if it has one that means something beside the other keys, or what
    /// follows from them.
    fn default(&self, key: &Declared, place: &[String]) -> Option<Value> {
        let is_named = matches!(key.shape, Shape::Named(_));
        let declared = key.default.filter(|_| !is_named).and_then(declared);
        let place: Vec<&str> = place.iter().map(String::as_str).collect();
        match place.as_slice() {
            ["server", "threads"] => Some(number(self.config.server.threads)),
            ["state", "path"] => declared.filter(|_| matches!(self.config.state, State::Embedded { .. })),
            ["state", "key_file"] => declared.filter(|_| self.config.state != State::Memory),
            ["sign_in", name, "session", key @ ("idle" | "absolute")] => {
                let sign_in = self.config.sign_ins.iter().find(|sign_in| *sign_in.name == **name)?;
                let session = &sign_in.session;
                let life = if *key == "idle" { session.idle } else { session.absolute };
                Some(duration_text(life).into())
            }
            ["lti", name, "launch", "idle"] => {
                let lti = self.config.lti.iter().find(|lti| *lti.name == **name)?;
                Some(duration_text(lti.launch.idle).into())
            }
            ["moodle", name, "calls_burst"] => {
                let moodle = self.config.moodles.iter().find(|moodle| moodle.name == **name)?;
                Some(i64::from(moodle.calls?.burst).into())
            }
            ["routes", index, key @ ..] => {
                let route = self.config.routes.get(index.parse::<usize>().ok()?)?;
                self.of_route(key, declared, route)
            }
            _ => declared,
        }
    }

    fn of_route(&self, key: &[&str], declared: Option<Value>, route: &Route) -> Option<Value> {
        // Some repeat what stands elsewhere in the file; not what a variable holds, which stands nowhere.
        let source = self.source.to_ascii_lowercase();
        let is_written = |text: &str| source.contains(&text.to_ascii_lowercase());
        let upstream = match route.action {
            Action::Upstream(index) => self.config.upstreams.get(index),
            _ => None,
        };
        match key {
            ["host"] => {
                let mut names = route
                    .hosts
                    .names()
                    .filter(|name| !route.hosts.listed && is_written(name));
                names.next().map(Into::into)
            }
            ["methods"] => route.methods.as_ref().map(|methods| list(methods).into()),
            ["well_known"] => declared.filter(|_| matches!(route.action, Action::Files(_) | Action::Accel(_))),
            ["path_params" | "present"] => declared.filter(|_| upstream.is_some()),
            ["websocket"] => upstream.map(|upstream| upstream.websocket.into()),
            ["headers"] => route.identity_headers.as_ref().map(|_| InlineTable::new().into()),
            ["headers", "subject"] => Some(route.identity_headers.as_ref()?.subject.as_str().into()),
            ["headers", "roles"] => Some(route.identity_headers.as_ref()?.roles.as_str().into()),
            // Without the key a route takes launches by LTI, too.
            ["issuers"] if !self.config.lti.is_empty() && route.accept.contains(&Credential::Launch) => None,
            ["issuers"] => {
                let issuers = &self.config.jwt.issuers;
                let are_told = !issuers.is_empty() && issuers.iter().all(|issuer| is_written(&issuer.name));
                are_told.then(|| list(issuers.iter().map(|issuer| &issuer.name)).into())
            }
            ["launch"] => route.launch.map(|_| InlineTable::new().into()),
            ["launch", "idle"] => Some(duration_text(route.launch?.idle).into()),
            ["limits", "burst"] => Some(i64::from(route.limits.rate?.burst).into()),
            _ => declared,
        }
    }
}

/// A default as it is declared, in the unit that the gateway tells durations and sizes in.
fn declared(default: &str) -> Option<Value> {
    match default.parse::<Value>().ok()? {
        Value::String(text) => {
            let duration = Duration::from_text(text.value()).ok().map(duration_text);
            let size = Size::from_text(text.value()).ok().map(|Size(size)| bytes(size));
            Some(duration.or(size).unwrap_or_else(|| text.into_value()).into())
        }
        Value::Integer(number) => Some(number.into_value().into()),
        other => Some(other),
    }
}

fn list<T: Display>(items: impl IntoIterator<Item = T>) -> Array {
    items.into_iter().map(|item| item.to_string()).collect()
}

/// What no machine has more of than fits is written as what fits.
fn number(number: usize) -> Value {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

fn bytes(size: u64) -> String {
    match size {
        0 => "0".to_owned(),
        size if size.is_multiple_of(1 << 20) => format!("{}MiB", size >> 20),
        size => format!("{size}B"),
    }
}

/// Takes comments and layout away, and passwords out of URLs.
struct Plain;

impl VisitMut for Plain {
    fn visit_table_mut(&mut self, table: &mut Table) {
        table.decor_mut().set_prefix("\n");
        table.decor_mut().set_suffix("");
        table.fmt();
        visit_table_mut(self, table);
    }

    fn visit_inline_table_mut(&mut self, table: &mut InlineTable) {
        table.fmt();
        visit_inline_table_mut(self, table);
    }

    fn visit_array_mut(&mut self, array: &mut Array) {
        array.fmt();
        array.set_trailing_comma(false);
        visit_array_mut(self, array);
    }

    fn visit_string_mut(&mut self, string: &mut Formatted<String>) {
        if let Some(hidden) = redact::user_info(string.value()) {
            let decor = string.decor().clone();
            *string = Formatted::new(hidden);
            *string.decor_mut() = decor;
        }
    }
}
