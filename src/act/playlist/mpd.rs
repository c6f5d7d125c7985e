//! DASH: `BaseURL`, `Location`, `xlink:href`, and what of `SegmentTemplate`, `SegmentURL` and `Initialization` is an address
//! (ISO/IEC 23009-1 sections 5.3.9, 5.5 and 5.6). An XML reader finds the places; only they are written anew.
//!
//! An address holds for every Representation below its parent, and so for every BaseURL there (alternatives included):
//! it is changed only if it leads to the same lecture from each of them. A document type declaration, or anything that
//! does not parse, leaves the whole manifest as it is.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;
use quick_xml::Reader;
use quick_xml::escape::{escape, unescape};
use quick_xml::events::{BytesStart, Event};
use url::Url;

use super::reference::{Judge, place};
use super::{RewriteContext, within_bounds};

/// Bases that may apply to one address; beyond, it stays as it is.
const MAX_BASES: usize = 16;
/// Ids of Representations that one template is judged with, and such judgements in all; beyond, templates stay as they are.
const MAX_IDS: usize = 64;
const MAX_JUDGEMENTS: usize = 1 << 14;
/// Stands for every plain id: where it makes a scheme or a host, it is none of the gateway's.
const PLAIN_ID: &str = "x";
/// Steps over elements while bases are gathered; no real manifest comes near.
const MAX_STEPS: usize = 1 << 20;

const REPRESENTATION_ID: &str = "RepresentationID";

pub(super) fn rewrite(manifest: &str, context: &RewriteContext<'_>) -> Option<Vec<u8>> {
    let found = Found::read(manifest)?;
    let bases = Bases::of(&found, context.here)?;
    let mut judge = Judge::new(context);
    let mut written = Vec::with_capacity(manifest.len() + manifest.len() / 2);
    let mut copied = 0;
    let mut judgements = 0;
    let parameter = escape(context.parameter);
    for address in &found.addresses {
        let (group, bases) = bases.of_address(address);
        let ids = found.odd_ids(address);
        judgements += ids.len();
        if ids.len() > MAX_IDS || judgements > MAX_JUDGEMENTS {
            continue;
        }
        let ids = ids.iter().map(|(_, id)| id.as_str());
        // Players differ in what of these they escape.
        let mut is_covered =
            |id: &str| !id.contains(['?', '#', '%']) && judge.covers(group, bases, &address.judged(id));
        if !std::iter::once(PLAIN_ID).chain(ids).all(&mut is_covered) {
            continue;
        }
        let here = std::slice::from_ref(context.here);
        if address.is_of_manifest && !judge.covers(usize::MAX, here, &address.text) {
            continue;
        }
        let Some((place, between)) = place(&address.text, context.parameter) else {
            continue;
        };
        let (before, after) = address.text.split_at(place);
        written.extend_from_slice(manifest.get(copied..address.range.start)?.as_bytes());
        for part in [&*escape(before), &escape(between), &parameter, &escape(after)] {
            written.extend_from_slice(part.as_bytes());
        }
        copied = address.range.end;
        within_bounds(written.len())?;
    }
    written.extend(manifest.get(copied..)?.as_bytes());
    within_bounds(written.len())?;
    Some(written)
}

/// An element that may have a BaseURL of its own.
struct Level {
    parent: usize,
    /// Behind the last level inside this one: levels are numbered in the order of the document.
    end: usize,
    /// Its BaseURLs, unescaped; `None`: one of them cannot be read for certain.
    bases: Option<Vec<String>>,
}

struct Address<'a> {
    /// Where it stands, without space around it.
    range: Range<usize>,
    /// Unescaped.
    text: Cow<'a, str>,
    level: usize,
    /// A BaseURL resolves against those of the levels above only.
    is_base: bool,
    /// Some players resolve it against the address of the manifest, others against the BaseURLs.
    is_of_manifest: bool,
    /// `$…$` in it are to be filled in by the player.
    is_template: bool,
}

impl Address<'_> {
    /// The address as it becomes for a Representation of this id, for the question where it leads.
    fn judged(&self, id: &str) -> Cow<'_, str> {
        if !self.is_template || !self.text.contains('$') {
            return Cow::Borrowed(&self.text);
        }
        // Every other piece is an identifier; `$$`, an empty one, is a dollar sign.
        let pieces = self.text.split('$').enumerate();
        pieces
            .map(|(index, piece)| match index % 2 == 1 {
                true if piece.starts_with(REPRESENTATION_ID) => id,
                true => "1",
                false => piece,
            })
            .collect()
    }
}

#[derive(Default)]
struct Found<'a> {
    levels: Vec<Level>,
    addresses: Vec<Address<'a>>,
    /// The ids of Representations that could turn a template into another address, by level, in the document's order.
    odd_ids: Vec<(usize, String)>,
}

impl<'a> Found<'a> {
    fn read(manifest: &'a str) -> Option<Self> {
        let mut reader = Reader::from_str(manifest);
        let mut found = Self::default();
        let mut open: Vec<usize> = Vec::new(); // the level of each open element
        let mut text_begins = None;
        loop {
            match reader.read_event().ok()? {
                Event::Start(tag) => {
                    let level = found.element(manifest, &tag, open.last().copied())?;
                    let is_base = match tag.local_name().as_ref() {
                        "BaseURL" => Some(true),
                        "Location" | "PatchLocation" => Some(false),
                        _ => None,
                    };
                    if let Some(is_base) = is_base {
                        text_begins = Some((offset(manifest, &tag)?.end + 1, is_base));
                    }
                    open.push(level);
                }
                Event::Empty(tag) => {
                    let level = found.element(manifest, &tag, open.last().copied())?;
                    found.close(level, open.last().copied());
                }
                Event::End(tag) => {
                    if let Some((begin, is_base)) = text_begins.take() {
                        let end = offset(manifest, tag.name().0)?.start.checked_sub("</".len())?;
                        found.text(manifest, begin..end, *open.last()?, is_base)?;
                    }
                    let level = open.pop()?;
                    found.close(level, open.last().copied());
                }
                Event::DocType(_) => return None,
                Event::Eof => return (open.is_empty() && !found.levels.is_empty()).then_some(found),
                _ => {}
            }
        }
    }

    /// Takes an element in. Its level is a new one if it may have BaseURLs, or else that of its parent.
    fn element(&mut self, manifest: &'a str, tag: &BytesStart<'a>, parent: Option<usize>) -> Option<usize> {
        let name = tag.local_name();
        let level = match (name.as_ref(), parent) {
            ("MPD", None) => self.open(0),
            (_, None) => return None,
            ("Period" | "AdaptationSet" | "Representation" | "SubRepresentation", Some(parent)) => self.open(parent),
            (_, Some(parent)) => parent,
        };
        let wanted: &[&str] = match name.as_ref() {
            "SegmentTemplate" => &["media", "initialization", "index"],
            "SegmentURL" => &["media", "index"],
            "Initialization" | "RepresentationIndex" | "BitstreamSwitching" => &["sourceURL"],
            "Representation" => &["id"],
            _ => &[],
        };
        if wanted.is_empty() && memmem::find(tag.as_bytes(), b":href").is_none() {
            return Some(level);
        }
        for attribute in tag.attributes() {
            let attribute = attribute.ok()?;
            let is_link = attribute.key.0.ends_with(":href");
            if !is_link && !wanted.contains(&attribute.key.0) {
                continue;
            }
            let range = trimmed(manifest, offset(manifest, &attribute.value)?)?;
            let text = unescape(manifest.get(range.clone())?).ok()?;
            if attribute.key.0 == "id" {
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
                if !text.bytes().all(is_plain) {
                    self.odd_ids.push((level, text.into_owned()));
                }
            } else if !text.is_empty() {
                let is_template = name.as_ref() == "SegmentTemplate" && !is_link;
                self.addresses.push(Address {
                    range,
                    text,
                    level,
                    is_base: false,
                    is_of_manifest: is_link,
                    is_template,
                });
            }
        }
        Some(level)
    }

    /// Those of the Representations that a template applies to.
    fn odd_ids(&self, address: &Address<'_>) -> &[(usize, String)] {
        if !address.is_template || !address.text.contains(REPRESENTATION_ID) {
            return &[];
        }
        let place = |level: usize| self.odd_ids.partition_point(|(known, _)| *known < level);
        let end = self.levels.get(address.level).map_or(0, |level| level.end);
        self.odd_ids.get(place(address.level)..place(end)).unwrap_or_default()
    }

    fn open(&mut self, parent: usize) -> usize {
        self.levels.push(Level {
            parent,
            end: usize::MAX,
            bases: Some(Vec::new()),
        });
        self.levels.len() - 1
    }

    /// An element of this level ends: the level, too, unless it is its parent's.
    fn close(&mut self, level: usize, parent: Option<usize>) {
        let end = self.levels.len();
        if let Some(level) = self.levels.get_mut(level).filter(|_| parent != Some(level)) {
            level.end = end;
        }
    }

    /// The text of a BaseURL or Location. A base that ends with a slash is a folder: nothing is ever fetched from it alone,
    /// and some players cannot do with a query there.
    fn text(&mut self, manifest: &'a str, range: Range<usize>, level: usize, is_base: bool) -> Option<()> {
        let range = trimmed(manifest, range)?;
        let raw = manifest.get(range.clone())?;
        let text = unescape(raw).ok().filter(|_| !raw.contains('<'));
        let bases = &mut self.levels.get_mut(level)?.bases;
        let Some(text) = text else {
            if is_base {
                *bases = None;
            }
            return Some(());
        };
        if let Some(bases) = bases.as_mut().filter(|_| is_base) {
            bases.push(text.clone().into_owned());
        }
        let path = text.split(['?', '#']).next().unwrap_or_default();
        if !path.is_empty() && !path.ends_with('/') {
            self.addresses.push(Address {
                range,
                text,
                level,
                is_base,
                is_of_manifest: !is_base,
                is_template: false,
            });
        }
        Some(())
    }
}

/// What references resolve against.
struct Bases {
    /// By level, for what stands in a BaseURL of it: the bases of the levels above. Empty: unknown.
    above: Vec<Vec<Url>>,
    /// By level, for everything else: its own bases and those of all levels inside it. Empty: unknown.
    within: Vec<Vec<Url>>,
}

impl Bases {
    fn of(found: &Found<'_>, here: &Url) -> Option<Self> {
        let mut own: Vec<Vec<Url>> = Vec::with_capacity(found.levels.len());
        let mut above = Vec::with_capacity(found.levels.len());
        for (index, level) in found.levels.iter().enumerate() {
            let outer = match index {
                0 => vec![here.clone()],
                _ => own.get(level.parent)?.clone(),
            };
            own.push(resolved(&outer, level.bases.as_deref()));
            above.push(outer);
        }
        let mut steps = 0;
        let mut within = vec![Vec::new(); found.levels.len()];
        for address in found.addresses.iter().filter(|address| !address.is_base) {
            let (level, united) = (found.levels.get(address.level)?, within.get_mut(address.level)?);
            if !united.is_empty() {
                continue;
            }
            let inside = own.get(address.level..level.end.min(own.len()))?;
            steps += inside.len();
            if steps > MAX_STEPS {
                return None;
            }
            *united = union(inside);
        }
        Some(Self { above, within })
    }

    /// With a number that is theirs alone.
    fn of_address(&self, address: &Address<'_>) -> (usize, &[Url]) {
        let (list, kind) = match address.is_base {
            true => (&self.above, 1),
            false => (&self.within, 0),
        };
        let bases = list.get(address.level).map(Vec::as_slice).unwrap_or_default();
        (address.level * 2 + kind, bases)
    }
}

/// Each of `bases` from each of `outer`; those of `outer` if there are none. Empty if that is not certain.
fn resolved(outer: &[Url], bases: Option<&[String]>) -> Vec<Url> {
    let Some(bases) = bases else { return Vec::new() };
    if bases.is_empty() {
        return outer.to_vec();
    }
    if outer.len() * bases.len() > MAX_BASES {
        return Vec::new();
    }
    let all = outer.iter().flat_map(|outer| bases.iter().map(|base| outer.join(base)));
    all.collect::<Result<_, _>>().unwrap_or_default()
}

/// All of them, each once; empty if one of the lists is, or there are too many.
fn union(lists: &[Vec<Url>]) -> Vec<Url> {
    let mut united: Vec<Url> = Vec::new();
    for list in lists {
        if list.is_empty() {
            return Vec::new();
        }
        for url in list {
            if !united.contains(url) {
                united.push(url.clone());
            }
        }
        if united.len() > MAX_BASES {
            return Vec::new();
        }
    }
    united
}

/// Where `part` stands in `whole`, which it was borrowed from.
fn offset(whole: &str, part: &str) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    let range = start..start + part.len();
    (whole.get(range.clone())? == part).then_some(range)
}

/// The range without the space at its ends, which is no part of an address.
fn trimmed(whole: &str, range: Range<usize>) -> Option<Range<usize>> {
    let text = whole.get(range.clone())?;
    let start = range.start + (text.len() - text.trim_ascii_start().len());
    Some(start..start + text.trim_ascii().len())
}
