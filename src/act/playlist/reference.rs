//! One address of a playlist: where it leads (RFC 3986 section 5, as browsers do it) and where a parameter goes into it.

use url::Url;

use super::RewriteContext;
use crate::query::is_named;

/// Judges where references lead. Remembers the last answer, since a playlist names one folder over and over.
pub(super) struct Judge<'a> {
    context: &'a RewriteContext<'a>,
    /// For which group of bases, which folder, and the answer.
    last: Option<(usize, String, bool)>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(context: &'a RewriteContext<'a>) -> Self {
        Self { context, last: None }
    }

    /// Does `reference` lead to the same lecture from each of `bases`? `group` names the bases: it must be another one
    /// for other bases.
    pub(super) fn covers(&mut self, group: usize, bases: &[Url], reference: &str) -> bool {
        let path = reference.split(['?', '#']).next().unwrap_or_default();
        // Browsers drop or turn round what stands here; other players do not. A blank is asked for by all of them.
        if reference
            .bytes()
            .any(|byte| byte < b' ' || byte == 0x7f || byte == b'\\')
            || bases.is_empty()
        {
            return false;
        }
        let (folder, name) = path.split_at(path.rfind('/').map_or(0, |slash| slash + 1));
        if !is_plain(name) {
            return bases.iter().all(|base| self.leads_here(base, reference));
        }
        if let Some((_, _, covered)) = self
            .last
            .as_ref()
            .filter(|(known, last, _)| *known == group && last == folder)
        {
            return *covered;
        }
        let any_file = format!("{folder}x");
        let covered = bases.iter().all(|base| self.leads_here(base, &any_file));
        self.last = Some((group, folder.to_owned(), covered));
        covered
    }

    fn leads_here(&self, base: &Url, reference: &str) -> bool {
        let Ok(url) = base.join(reference) else { return false };
        let (origin, context) = (url.origin(), self.context);
        let is_ours = origin == context.here.origin() || context.also_here.is_some_and(|also| origin == *also);
        let is_clean = url.username().is_empty() && url.password().is_none();
        is_ours && is_clean && (context.covers)(url.path())
    }
}

/// A file's name that means itself wherever it stands: no dot segment, no scheme, nothing encoded.
fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-~@!()+=,".contains(&byte);
    !name.is_empty() && name != "." && name != ".." && name.bytes().all(is_plain)
}

/// Where a parameter goes into a reference, and what stands between. `None` if it has one of that name already.
pub(super) fn place(reference: &str, parameter: &str) -> Option<(usize, &'static str)> {
    let end = reference.find('#').unwrap_or(reference.len());
    let before = reference.get(..end).unwrap_or_default();
    let Some((_, query)) = before.split_once('?') else {
        return Some((end, "?"));
    };
    let name = parameter.split('=').next().unwrap_or_default();
    if query.split('&').any(|pair| is_named(pair.as_bytes(), name)) {
        return None;
    }
    let between = if query.is_empty() || query.ends_with('&') {
        ""
    } else {
        "&"
    };
    Some((end, between))
}
