//! XML as strictly as an answer about a person's identity needs it: a small tree, with every bound held on the way.
//!
//! Document types, processing instructions and entities of their own do not exist here; namespaces are resolved, so that
//! a prefix means nothing. What the elements mean is decided by the caller.

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::{PrefixDeclaration, ResolveResult};
use quick_xml::reader::NsReader;
use quick_xml::{XmlVersion, escape};
use thiserror::Error;

/// Elements within each other. An answer needs five.
const MAX_DEPTH: usize = 16;

/// Elements in all: both spellings of all the attributes that a person may have, and some.
const MAX_ELEMENTS: usize = 10_000;

/// Attributes and namespace declarations of one element.
const MAX_ATTRIBUTES: usize = 32;

/// An element with all that is in it.
#[derive(Debug, Default)]
pub(super) struct Element {
    /// The namespace's name; empty for none.
    pub namespace: String,
    /// Without its prefix.
    pub name: String,
    /// Attributes without a prefix, in order; no name twice.
    pub attributes: Vec<(String, String)>,
    pub children: Vec<Self>,
    /// Its own character data put together: without that of its children; comments interrupt nothing.
    pub text: String,
}

/// Why a text is not read. It quotes nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum XmlError {
    #[error("it is not well-formed")]
    Syntax,
    #[error("it is cut off")]
    CutOff,
    #[error("it has a document type")]
    DocumentType,
    #[error("it has a processing instruction")]
    Instruction,
    #[error("it has an entity other than the five of XML")]
    Entity,
    #[error("it is not declared as XML 1")]
    Declaration,
    #[error("it has a character that XML does not allow")]
    Character,
    #[error("something stands outside its one root element")]
    Outside,
    #[error("it is nested more than {MAX_DEPTH} levels deep")]
    Depth,
    #[error("it has too many elements or attributes")]
    Count,
}

impl Element {
    /// Reads a whole document. The caller has bounded its size and decoded it: what it says of its encoding is over.
    pub(super) fn parse(text: &str) -> Result<Self, XmlError> {
        let mut reader = NsReader::from_str(text);
        reader.config_mut().enable_all_checks(true);
        let mut tree = Tree::default();
        let mut first = true;
        loop {
            let event = reader.read_event().map_err(|_| XmlError::Syntax)?;
            match event {
                Event::Decl(declaration) => {
                    let version = declaration.version().map_err(|_| XmlError::Syntax)?;
                    if !first || !version.starts_with("1.") {
                        return Err(XmlError::Declaration);
                    }
                }
                Event::DocType(_) => return Err(XmlError::DocumentType),
                Event::PI(_) => return Err(XmlError::Instruction),
                Event::Comment(_) => {}
                Event::Start(start) => tree.open(element(&reader, &start)?)?,
                Event::Empty(start) => {
                    tree.open(element(&reader, &start)?)?;
                    tree.close()?;
                }
                Event::End(_) => tree.close()?,
                Event::Text(text) => tree.text(&text.xml10_content())?,
                Event::CData(text) if tree.open.is_empty() && !text.is_empty() => return Err(XmlError::Outside),
                Event::CData(text) => tree.text(&text.xml10_content())?,
                Event::GeneralRef(reference) if tree.open.is_empty() => {
                    drop(reference);
                    return Err(XmlError::Outside);
                }
                Event::GeneralRef(reference) => tree.text(&resolved(&reference)?)?,
                Event::Eof => return tree.end(),
            }
            first = false;
        }
    }

    /// Is it this element of this namespace?
    pub(super) fn is(&self, namespace: &str, name: &str) -> bool {
        self.namespace == namespace && self.name == name
    }

    /// The value of an attribute without prefix.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The text of an element that holds nothing but text.
    pub(super) fn only_text(&self) -> Option<&str> {
        self.children.is_empty().then_some(&self.text)
    }
}

/// The elements that are open, outermost first, and the root once it is closed.
#[derive(Default)]
struct Tree {
    open: Vec<Element>,
    root: Option<Element>,
    count: usize,
}

impl Tree {
    fn open(&mut self, element: Element) -> Result<(), XmlError> {
        self.count += 1;
        if self.root.is_some() {
            return Err(XmlError::Outside);
        }
        if self.open.len() == MAX_DEPTH {
            return Err(XmlError::Depth);
        }
        if self.count > MAX_ELEMENTS {
            return Err(XmlError::Count);
        }
        self.open.push(element);
        Ok(())
    }

    fn close(&mut self) -> Result<(), XmlError> {
        let element = self.open.pop().ok_or(XmlError::Syntax)?;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), XmlError> {
        if !text.chars().all(is_xml) {
            return Err(XmlError::Character);
        }
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.chars().all(|letter| matches!(letter, ' ' | '\t' | '\r' | '\n')) => {}
            None => return Err(XmlError::Outside),
        }
        Ok(())
    }

    fn end(self) -> Result<Element, XmlError> {
        if !self.open.is_empty() {
            return Err(XmlError::CutOff);
        }
        self.root.ok_or(XmlError::CutOff)
    }
}

fn element(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<Element, XmlError> {
    let (namespace, name) = reader.resolver().resolve_element(start.name());
    let mut element = Element {
        namespace: match namespace {
            ResolveResult::Bound(namespace) => namespace.0.to_owned(),
            ResolveResult::Unbound => String::new(),
            // Some servers forget to declare their prefix: it stands for itself.
            ResolveResult::Unknown(prefix) => format!("{prefix:?}:"),
        },
        name: plain_name(name.as_ref())?,
        ..Element::default()
    };
    for (count, attribute) in start.attributes().enumerate() {
        if count == MAX_ATTRIBUTES {
            return Err(XmlError::Count);
        }
        let attribute = attribute.map_err(|_| XmlError::Syntax)?;
        if matches!(
            attribute.key.as_namespace_binding(),
            Some(PrefixDeclaration::Default | PrefixDeclaration::Named(_))
        ) || attribute.key.prefix().is_some()
        {
            continue;
        }
        let value = attribute.normalized_value(XmlVersion::Explicit1_0);
        let value = value.map_err(|_| XmlError::Entity)?;
        if value.contains('<') && attribute.value.contains('<') {
            return Err(XmlError::Syntax);
        }
        if !value.chars().all(is_xml) {
            return Err(XmlError::Character);
        }
        let name = plain_name(attribute.key.local_name().as_ref())?;
        element.attributes.push((name, value.into_owned()));
    }
    Ok(element)
}

/// quick-xml takes what stands up to a space for a name; markup and separators within it are none (XML 1.0 section 2.3).
fn plain_name(name: &str) -> Result<String, XmlError> {
    let odd = |letter: char| letter.is_control() || letter.is_whitespace() || "<>&\"'=/;,!?()[]{}".contains(letter);
    if name.is_empty() || name.contains(odd) {
        return Err(XmlError::Syntax);
    }
    Ok(name.to_owned())
}

fn resolved(reference: &BytesRef<'_>) -> Result<String, XmlError> {
    if let Some(letter) = reference.resolve_char_ref().map_err(|_| XmlError::Character)? {
        return Ok(letter.to_string());
    }
    let known = escape::resolve_predefined_entity(reference);
    known.map(str::to_owned).ok_or(XmlError::Entity)
}

/// `Char` of XML 1.0 section 2.2.
fn is_xml(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(text: &str, error: XmlError) {
        assert_eq!(Element::parse(text).err(), Some(error), "{text:.200}");
    }

    #[test]
    fn namespaces_are_resolved_and_prefixes_forgotten() {
        let root = Element::parse(
            "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- hello -->\n<a xmlns='n' xmlns:p='q' x='1' p:y='2'>\
             t<p:b/><c xmlns=''>&lt;&#x41;<![CDATA[<&]]></c>u<!-- x -->v</a>\n",
        )
        .unwrap();
        assert!(root.is("n", "a"));
        assert_eq!(root.attributes, [("x".to_owned(), "1".to_owned())]);
        assert_eq!(root.text, "tuv");
        assert_eq!(root.only_text(), None);
        assert!(root.children[0].is("q", "b"));
        assert!(root.children[1].is("", "c"));
        assert_eq!(root.children[1].only_text(), Some("<A<&"));
    }

    #[test]
    fn every_version_of_xml_1_is_read() {
        for version in ["1.0", "1.1"] {
            assert!(Element::parse(&format!("<?xml version='{version}'?><a/>")).is_ok());
        }
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        refused("<!DOCTYPE a><a/>", XmlError::DocumentType);
        refused("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", XmlError::DocumentType);
        refused("<a>&b;</a>", XmlError::Entity);
        refused("<a b='&c;'/>", XmlError::Entity);
        refused("<?xml-stylesheet href='x'?><a/>", XmlError::Instruction);
        refused("<a/><?xml version='1.0'?>", XmlError::Declaration);
        refused("<?xml version='2.0'?><a/>", XmlError::Declaration);
        refused("<a/><b/>", XmlError::Outside);
        refused("<a/>b", XmlError::Outside);
        refused("b<a/>", XmlError::Outside);
        refused("<a/>&lt;", XmlError::Outside);
        refused("<a/><![CDATA[ ]]>", XmlError::Outside);
        refused("<a b='1' b='2'/>", XmlError::Syntax);
        refused("<a b='<'/>", XmlError::Syntax);
        refused("<a></b>", XmlError::Syntax);
        refused("<a b></a>", XmlError::Syntax);
        refused("<a<b/></a<b>", XmlError::Syntax);
        refused("<a>\u{1}</a>", XmlError::Character);
        refused("<a>&#1;</a>", XmlError::Character);
        refused("<a>&#0;</a>", XmlError::Character);
        refused("<a b='&#xffff;'/>", XmlError::Character);
    }

    #[test]
    fn what_is_cut_off_is_refused_wherever_that_is() {
        let whole = "<?xml version=\"1.0\"?><n:a xmlns:n=\"q\" b=\"1\"><n:c>d &amp; e</n:c><!-- f --></n:a>";
        assert!(Element::parse(whole).is_ok());
        for end in 0..whole.len() {
            assert!(Element::parse(&whole[..end]).is_err(), "{}", &whole[..end]);
        }
    }

    #[test]
    fn everything_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert!(Element::parse(&nested(MAX_DEPTH)).is_ok());
        refused(&nested(MAX_DEPTH + 1), XmlError::Depth);
        refused(&"<a>".repeat(300_000), XmlError::Depth);
        refused(&format!("<a>{}</a>", "<b/>".repeat(MAX_ELEMENTS)), XmlError::Count);
        let attributes: String = (0..=MAX_ATTRIBUTES).map(|number| format!(" a{number}=''")).collect();
        refused(&format!("<a{attributes}/>"), XmlError::Count);
    }

    proptest! {
        #[test]
        fn never_panics(text in r#"(<|</|/>|>|<!--|-->|<!\[CDATA\[|\]\]>|&|;|#|x|a|n:|xmlns|xmlns:n|=|'|"| |<\?|\?>|<!DOCTYPE|é){0,40}"#) {
            drop(Element::parse(&text));
        }
    }
}
