//! A strict reader for the XML of manifests: elements, attributes, text, comments, the five predefined entities and
//! character references, in UTF-8. Everything else of XML is refused: there is no DTD, so nothing can be expanded,
//! fetched or given an id; no processing instruction, CDATA section or `xml:` attribute, so that the canonical form
//! ([`super::canonical`]) needs no rule for them.
//!
//! The tree that was read is the one that is digested and the one whose values are used: there is no second parser
//! that could see another document.

use std::sync::Arc;

use quick_xml::Reader;
use quick_xml::events::{BytesDecl, BytesStart, Event};

use super::RimError;

/// Longest document, in bytes.
pub const MAX_LEN: usize = 1024 * 1024;
/// Deepest element.
const MAX_DEPTH: usize = 64;
/// Most elements, attributes, texts and comments together.
const MAX_NODES: usize = 20_000;
/// Most attributes of an element, and most namespaces in scope.
const MAX_ATTRIBUTES: usize = 64;
/// Longest name and longest namespace, in bytes: each may be kept for many nodes.
const MAX_NAME: usize = 256;

/// An element.
#[derive(Debug)]
pub(super) struct Element {
    /// As written, with its prefix.
    pub name: String,
    /// Without its prefix.
    pub local: String,
    /// Empty where there is none.
    pub namespace: Arc<str>,
    /// Prefix (empty: the default) and namespace.
    pub declarations: Vec<(String, Arc<str>)>,
    /// In the order of the document.
    pub attributes: Vec<Attribute>,
    pub children: Vec<Node>,
}

/// An attribute that declares no namespace.
#[derive(Debug)]
pub(super) struct Attribute {
    /// As written, with its prefix.
    pub name: String,
    /// Without its prefix.
    pub local: String,
    /// Empty where there is none: a default namespace is not for attributes.
    pub namespace: Arc<str>,
    /// References resolved.
    pub value: String,
}

/// What an element holds. No two texts stand side by side.
#[derive(Debug)]
pub(super) enum Node {
    Element(Element),
    Text(String),
}

impl Element {
    /// Whether it has this name.
    pub fn is(&self, namespace: &str, local: &str) -> bool {
        &*self.namespace == namespace && self.local == local
    }

    /// Elements in it.
    pub fn elements(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// An attribute without a namespace.
    pub fn attribute(&self, local: &str) -> Option<&str> {
        self.qualified("", local)
    }

    /// An attribute of a namespace.
    pub fn qualified(&self, namespace: &str, local: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|attribute| &*attribute.namespace == namespace && attribute.local == local)
            .map(|attribute| &*attribute.value)
    }

    /// The text in it; `None` where there are elements too.
    pub fn text(&self) -> Option<&str> {
        match &self.children[..] {
            [] => Some(""),
            [Node::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether it holds nothing but elements and white space.
    pub fn has_only_elements(&self) -> bool {
        self.children.iter().all(|node| match node {
            Node::Element(_) => true,
            Node::Text(text) => text.bytes().all(is_space),
        })
    }
}

/// Reads a document, and returns its root.
pub(super) fn read(document: &[u8]) -> Result<Element, RimError> {
    if document.len() > MAX_LEN {
        return Err(RimError::TooLong(document.len()));
    }
    let text =
        core::str::from_utf8(document).map_err(|_| RimError::XmlForbidden("bytes that aren't UTF-8"))?;
    if text.chars().any(|c| !is_xml_char(c)) {
        return Err(RimError::XmlForbidden("control characters"));
    }
    let mut reader = Reader::from_str(text);
    let config = reader.config_mut();
    config.check_comments = true;
    let mut builder = Builder::default();
    loop {
        match reader.read_event().map_err(malformed)? {
            Event::Decl(declaration) if builder.untouched => check_declaration(&declaration)?,
            Event::Decl(_) => return Err(RimError::XmlForbidden("a declaration that isn't its beginning")),
            Event::Start(start) => builder.open(&start)?,
            Event::Empty(start) => {
                builder.open(&start)?;
                builder.close()?;
            }
            Event::End(_) => builder.close()?,
            Event::Text(text) => builder.text(&normalized(&text))?,
            Event::GeneralRef(reference) => builder.reference(&reference)?,
            Event::Comment(_) => builder.count(1)?,
            Event::CData(_) => return Err(RimError::XmlForbidden("a CDATA section")),
            Event::PI(_) => return Err(RimError::XmlForbidden("a processing instruction")),
            Event::DocType(_) => return Err(RimError::XmlForbidden("a document type")),
            Event::Eof => return builder.finish(),
        }
        builder.untouched = false;
    }
}

struct Builder {
    /// Whether nothing was read yet.
    untouched: bool,
    open: Vec<Element>,
    root: Option<Element>,
    nodes: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            untouched: true,
            open: Vec::new(),
            root: None,
            nodes: 0,
        }
    }
}

impl Builder {
    fn count(&mut self, nodes: usize) -> Result<(), RimError> {
        self.nodes += nodes;
        match self.nodes {
            0..=MAX_NODES => Ok(()),
            _ => Err(RimError::XmlMany("nodes")),
        }
    }

    fn open(&mut self, start: &BytesStart<'_>) -> Result<(), RimError> {
        if self.open.len() == MAX_DEPTH {
            return Err(RimError::XmlMany("levels"));
        }
        if self.root.is_some() {
            return Err(RimError::Xml("there is more than one root".to_owned()));
        }
        let (declarations, attributes) = read_attributes(start)?;
        self.count(1 + declarations.len() + attributes.len())?;
        let in_scope: usize = self.open.iter().map(|element| element.declarations.len()).sum();
        if in_scope + declarations.len() > MAX_ATTRIBUTES {
            return Err(RimError::XmlMany("namespaces"));
        }
        let name = start.name().0.to_owned();
        let (prefix, local) = split(&name)?;
        let local = local.to_owned();
        let namespace = self.namespace(prefix, &declarations)?;
        let mut element = Element {
            local,
            namespace,
            declarations,
            attributes: Vec::with_capacity(attributes.len()),
            children: Vec::new(),
            name,
        };
        for (name, value) in attributes {
            let (prefix, local) = split(&name)?;
            let namespace = match prefix {
                "" => Arc::from(""),
                "xml" => return Err(RimError::XmlForbidden("an attribute of the xml namespace")),
                prefix => self.namespace(prefix, &element.declarations)?,
            };
            if element.qualified(&namespace, local).is_some() {
                return Err(RimError::Xml(format!("attribute {local:?} is there twice")));
            }
            let local = local.to_owned();
            element.attributes.push(Attribute {
                name,
                local,
                namespace,
                value,
            });
        }
        self.open.push(element);
        Ok(())
    }

    fn namespace(&self, prefix: &str, own: &[(String, Arc<str>)]) -> Result<Arc<str>, RimError> {
        let outer = self.open.iter().rev().flat_map(|element| &element.declarations);
        let found = own.iter().chain(outer).find(|(declared, _)| declared == prefix);
        match found {
            Some((_, namespace)) => Ok(namespace.clone()),
            None if prefix.is_empty() => Ok(Arc::from("")),
            None => Err(RimError::Xml(format!("prefix {prefix:?} is not declared"))),
        }
    }

    fn close(&mut self) -> Result<(), RimError> {
        let Some(element) = self.open.pop() else {
            return Err(RimError::Xml("an element is closed that isn't open".to_owned()));
        };
        match self.open.last_mut() {
            Some(parent) => parent.children.push(Node::Element(element)),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), RimError> {
        if text.contains("]]>") {
            return Err(RimError::Xml("\"]]>\" in text".to_owned()));
        }
        self.append(text)
    }

    fn append(&mut self, text: &str) -> Result<(), RimError> {
        self.count(1)?;
        match self.open.last_mut() {
            None if text.bytes().all(is_space) => {}
            None => return Err(RimError::Xml("text outside the root".to_owned())),
            Some(parent) => match parent.children.last_mut() {
                Some(Node::Text(before)) => before.push_str(text),
                _ => parent.children.push(Node::Text(text.to_owned())),
            },
        }
        Ok(())
    }

    fn reference(&mut self, name: &str) -> Result<(), RimError> {
        let resolved = resolve(name)?;
        if self.open.is_empty() {
            return Err(RimError::Xml("text outside the root".to_owned()));
        }
        self.append(resolved.encode_utf8(&mut [0; 4]))
    }

    fn finish(self) -> Result<Element, RimError> {
        if let Some(element) = self.open.last() {
            return Err(RimError::Xml(format!("{:?} is not closed", element.name)));
        }
        self.root
            .ok_or_else(|| RimError::Xml("there is no element".to_owned()))
    }
}

type Declarations = Vec<(String, Arc<str>)>;

/// Declarations of namespaces, and the other attributes.
fn read_attributes(start: &BytesStart<'_>) -> Result<(Declarations, Vec<(String, String)>), RimError> {
    let (mut declarations, mut attributes) = (Declarations::new(), Vec::new());
    for attribute in start.attributes() {
        let attribute = attribute.map_err(malformed)?;
        if declarations.len() + attributes.len() == MAX_ATTRIBUTES {
            return Err(RimError::XmlMany("attributes"));
        }
        let name = attribute.key.0;
        let value = attribute_value(&attribute.value)?;
        match name.strip_prefix("xmlns") {
            Some("") => declarations.push((String::new(), namespace(&value)?)),
            Some(prefix) if prefix.starts_with(':') => {
                let ("xmlns", prefix) = split(name)? else {
                    return Err(RimError::Xml(format!("name {name:?}")));
                };
                if prefix.starts_with("xml") {
                    return Err(RimError::XmlForbidden("a declaration of the prefix xml"));
                }
                declarations.push((prefix.to_owned(), namespace(&value)?));
            }
            _ => attributes.push((name.to_owned(), value)),
        }
    }
    Ok((declarations, attributes))
}

fn namespace(value: &str) -> Result<Arc<str>, RimError> {
    match value.len() {
        0 => Err(RimError::XmlForbidden("a namespace that is taken back")),
        1..=MAX_NAME => Ok(Arc::from(value)),
        _ => Err(RimError::XmlMany("bytes in a namespace")),
    }
}

/// A value with its references resolved. White space other than spaces is refused, literally and as a reference:
/// attribute values would have to be normalised (XML 1.0 §3.3.3).
fn attribute_value(raw: &str) -> Result<String, RimError> {
    if raw.contains('<') {
        return Err(RimError::Xml("\"<\" in an attribute".to_owned()));
    }
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('&') {
        let (name, after) = after
            .split_once(';')
            .ok_or_else(|| RimError::Xml("\"&\" in an attribute".to_owned()))?;
        value.push_str(before);
        value.push(resolve(name)?);
        rest = after;
    }
    value.push_str(rest);
    match value.contains(['\t', '\n', '\r']) {
        true => Err(RimError::XmlForbidden("a tab or a line break in an attribute")),
        false => Ok(value),
    }
}

/// The character that a reference stands for.
fn resolve(name: &str) -> Result<char, RimError> {
    let number = match name {
        "amp" => return Ok('&'),
        "lt" => return Ok('<'),
        "gt" => return Ok('>'),
        "apos" => return Ok('\''),
        "quot" => return Ok('"'),
        _ => name.strip_prefix('#'),
    };
    let digits = number.ok_or(RimError::XmlForbidden("an entity"))?;
    let (digits, radix) = digits
        .strip_prefix('x')
        .map_or((digits, 10), |digits| (digits, 16));
    let plain = digits.len() <= 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u32::from_str_radix(digits, radix)
        .ok()
        .and_then(char::from_u32)
        .filter(|c| plain && is_xml_char(*c))
        .ok_or_else(|| RimError::Xml("a reference to no character".to_owned()))
}

/// Line ends as one line feed (XML 1.0 §2.11).
fn normalized(text: &str) -> std::borrow::Cow<'_, str> {
    match text.contains('\r') {
        true => text.replace("\r\n", "\n").replace('\r', "\n").into(),
        false => text.into(),
    }
}

/// Prefix (empty where there is none) and local part of a name. ASCII names are all that manifests have.
fn split(name: &str) -> Result<(&str, &str), RimError> {
    let (prefix, local) = name.split_once(':').map_or(("", name), |parts| parts);
    let is_name = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    };
    let fits = name.len() <= MAX_NAME && is_name(local) && (!name.contains(':') || is_name(prefix));
    match fits {
        true => Ok((prefix, local)),
        false => Err(RimError::Xml(format!(
            "name {:?}",
            name.chars().take(32).collect::<String>()
        ))),
    }
}

fn check_declaration(declaration: &BytesDecl<'_>) -> Result<(), RimError> {
    let version = declaration.version().map_err(malformed)?;
    let encoding = declaration.encoding().transpose().map_err(malformed)?;
    let utf8 = encoding.is_none_or(|encoding| encoding.eq_ignore_ascii_case("utf-8"));
    match version == "1.0" && utf8 {
        true => Ok(()),
        false => Err(RimError::XmlForbidden("another version or encoding")),
    }
}

fn malformed(error: impl core::fmt::Display) -> RimError {
    RimError::Xml(error.to_string().chars().take(120).collect())
}

/// White space as XML has it.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Char of XML 1.0 §2.2.
fn is_xml_char(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => true,
        '\u{FFFE}' | '\u{FFFF}' => false,
        c => c >= ' ',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(document: &str) -> &'static str {
        read(document.as_bytes()).map_or_else(|error| error.code(), |_| "read")
    }

    #[test]
    fn what_is_not_needed_is_refused() {
        let cases = [
            ("<a/>", "read"),
            ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a/>", "read"),
            ("<a b='&#x41;&lt;'>&amp;&#9;</a><!-- c -->\n", "read"),
            ("", "rim_xml"),
            ("<a>", "rim_xml"),
            ("<a></b>", "rim_xml"),
            ("<a/><a/>", "rim_xml"),
            ("x<a/>", "rim_xml"),
            ("<a/>x", "rim_xml"),
            ("<a/>&#32;", "rim_xml"),
            ("<a b='1' b='2'/>", "rim_xml"),
            ("<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>", "rim_xml"),
            ("<p:a/>", "rim_xml"),
            ("<a p:b='1'/>", "rim_xml"),
            ("<a b=1/>", "rim_xml"),
            ("<a b='<'/>", "rim_xml"),
            ("<a b='&'/>", "rim_xml"),
            ("<a>&</a>", "rim_xml"),
            ("<a>]]></a>", "rim_xml"),
            ("<a>&#0;</a>", "rim_xml"),
            ("<a>&#xD800;</a>", "rim_xml"),
            ("<a>&#+65;</a>", "rim_xml"),
            ("<1a/>", "rim_xml"),
            ("<a:b:c xmlns:a='u'/>", "rim_xml"),
            ("<a><!-- -- --></a>", "rim_xml"),
            ("<a>&nbsp;</a>", "rim_xml_forbidden"),
            ("<!DOCTYPE a><a/>", "rim_xml_forbidden"),
            ("<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>", "rim_xml_forbidden"),
            ("<a><![CDATA[x]]></a>", "rim_xml_forbidden"),
            ("<?pi x?><a/>", "rim_xml_forbidden"),
            ("\n<?xml version=\"1.0\"?><a/>", "rim_xml_forbidden"),
            ("<?xml version=\"1.1\"?><a/>", "rim_xml_forbidden"),
            (
                "<?xml version=\"1.0\" encoding=\"latin1\"?><a/>",
                "rim_xml_forbidden",
            ),
            ("<a xml:id='x'/>", "rim_xml_forbidden"),
            ("<a xmlns:xml='u'/>", "rim_xml_forbidden"),
            ("<a xmlns='u'><b xmlns=''/></a>", "rim_xml_forbidden"),
            ("<a b='&#10;'/>", "rim_xml_forbidden"),
            ("<a b='\n'/>", "rim_xml_forbidden"),
            ("<a>\u{1}</a>", "rim_xml_forbidden"),
        ];
        for (document, expected) in cases {
            assert_eq!(code(document), expected, "{document}");
        }
        assert_eq!(read(b"<a>\xFF</a>").unwrap_err().code(), "rim_xml_forbidden");
    }

    #[test]
    fn sizes_are_bounded() {
        assert_eq!(code(&format!("<a>{}</a>", " ".repeat(MAX_LEN))), "rim_too_long");
        assert_eq!(code(&"<a>".repeat(MAX_DEPTH + 1)), "rim_xml_many");
        assert_eq!(
            code(&format!("<a>{}</a>", "<b/>".repeat(MAX_NODES))),
            "rim_xml_many"
        );
        assert_eq!(
            code(&format!("<a>{}</a>", "<!---->".repeat(MAX_NODES))),
            "rim_xml_many"
        );
        let attributes: String = (0..=MAX_ATTRIBUTES).map(|n| format!(" b{n}='1'")).collect();
        assert_eq!(code(&format!("<a{attributes}/>")), "rim_xml_many");
        let namespaces: String = (0..33).map(|n| format!(" xmlns:b{n}='1'")).collect();
        assert_eq!(
            code(&format!("<a{namespaces}><a{namespaces}/></a>")),
            "rim_xml_many"
        );
        let uri = "u".repeat(MAX_NAME + 1);
        assert_eq!(code(&format!("<a xmlns='{uri}'/>")), "rim_xml_many");
        assert_eq!(code(&format!("<{uri}/>")), "rim_xml");
    }
}
