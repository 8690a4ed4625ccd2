//! Canonical XML 1.1 without comments (W3C, 2008-05-02), for the trees that [`super::xml`] reads: no processing
//! instructions, no `xml:` attributes, no namespace that is taken back. For these 1.1 says the same as 1.0.

use std::sync::Arc;

use super::xml::{Element, Node};

/// The canonical form of `apex` and what is in it. `outer` are the elements around it, root first, whose namespaces are
/// in scope; `without` is a child (by its index) that is left out, as the enveloped-signature transform asks.
pub(super) fn canonical(apex: &Element, outer: &[&Element], without: Option<usize>) -> Vec<u8> {
    let mut inherited: Vec<(&str, &Arc<str>)> = Vec::new();
    for (prefix, namespace) in outer.iter().flat_map(|element| &element.declarations) {
        inherited.retain(|(declared, _)| declared != prefix);
        inherited.push((prefix, namespace));
    }
    let mut writer = Writer {
        out: Vec::new(),
        rendered: Vec::new(),
    };
    writer.element(apex, inherited, without);
    writer.out
}

struct Writer<'a> {
    out: Vec<u8>,
    /// Namespaces in scope as far as they were written, innermost last.
    rendered: Vec<(&'a str, &'a Arc<str>)>,
}

impl<'a> Writer<'a> {
    fn element(
        &mut self,
        element: &'a Element,
        inherited: Vec<(&'a str, &'a Arc<str>)>,
        without: Option<usize>,
    ) {
        let depth = self.rendered.len();
        let mut namespaces = inherited;
        for (prefix, namespace) in &element.declarations {
            namespaces.retain(|(declared, _)| declared != prefix);
            namespaces.push((prefix, namespace));
        }
        // A declaration that repeats what is in scope already is left out.
        namespaces.retain(|(prefix, namespace)| {
            let known = self.rendered.iter().rev().find(|(known, _)| known == prefix);
            known.is_none_or(|(_, known)| known != namespace)
        });
        // The default namespace first, then by prefix.
        namespaces.sort_unstable_by_key(|(prefix, _)| *prefix);
        self.out.push(b'<');
        self.push(&element.name);
        for (prefix, namespace) in namespaces {
            self.push(" xmlns");
            if !prefix.is_empty() {
                self.push(":");
                self.push(prefix);
            }
            self.push("=\"");
            self.attribute_value(namespace);
            self.out.push(b'"');
            self.rendered.push((prefix, namespace));
        }
        let mut attributes: Vec<_> = element.attributes.iter().collect();
        attributes.sort_unstable_by_key(|attribute| (&*attribute.namespace, &*attribute.local));
        for attribute in attributes {
            self.out.push(b' ');
            self.push(&attribute.name);
            self.push("=\"");
            self.attribute_value(&attribute.value);
            self.out.push(b'"');
        }
        self.out.push(b'>');
        for (index, child) in element.children.iter().enumerate() {
            match child {
                _ if without == Some(index) => {}
                Node::Element(child) => self.element(child, Vec::new(), None),
                Node::Text(text) => self.text(text),
            }
        }
        self.push("</");
        self.push(&element.name);
        self.out.push(b'>');
        self.rendered.truncate(depth);
    }

    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn text(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                b'&' => self.push("&amp;"),
                b'<' => self.push("&lt;"),
                b'>' => self.push("&gt;"),
                b'\r' => self.push("&#xD;"),
                byte => self.out.push(byte),
            }
        }
    }

    /// Tabs and line breaks, which would be escaped too, can't occur: the reader refuses them.
    fn attribute_value(&mut self, value: &str) {
        for byte in value.bytes() {
            match byte {
                b'&' => self.push("&amp;"),
                b'<' => self.push("&lt;"),
                b'"' => self.push("&quot;"),
                byte => self.out.push(byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::xml::read;
    use super::*;

    /// What libxml2 makes of the same documents.
    #[test]
    fn as_libxml2_writes_it() {
        let cases = [
            ("<?xml version=\"1.0\"?>\n<a/>\n<!-- c -->", "<a></a>"),
            ("<a  b = '1'   />", "<a b=\"1\"></a>"),
            ("<a>x<!-- c -->y</a >", "<a>xy</a>"),
            ("<a>1\r\n2\r3&#13;&#10;</a>", "<a>1\n2\n3&#xD;\n</a>"),
            (
                "<a b='\"&#39;&lt;&gt;&amp;'>\"'&lt;&gt;&amp;&#x20AC;</a>",
                "<a b=\"&quot;'&lt;>&amp;\">\"'&lt;&gt;&amp;\u{20AC}</a>",
            ),
            (
                "<a z='1' p:b='2' b='3' q:a='4' xmlns:q='urn:u1' xmlns='urn:d' xmlns:p='urn:u0'/>",
                "<a xmlns=\"urn:d\" xmlns:p=\"urn:u0\" xmlns:q=\"urn:u1\" b=\"3\" z=\"1\" p:b=\"2\" q:a=\"4\"></a>",
            ),
            (
                "<a xmlns:p='urn:u'><b xmlns:p='urn:u'><c xmlns:p='urn:v'><d xmlns:p='urn:u'/></c></b></a>",
                "<a xmlns:p=\"urn:u\"><b><c xmlns:p=\"urn:v\"><d xmlns:p=\"urn:u\"></d></c></b></a>",
            ),
            (
                "<a><b xmlns='urn:u'/><b xmlns='urn:u'/></a>",
                "<a><b xmlns=\"urn:u\"></b><b xmlns=\"urn:u\"></b></a>",
            ),
        ];
        for (document, expected) in cases {
            let root = read(document.as_bytes()).unwrap();
            let found = String::from_utf8(canonical(&root, &[], None)).unwrap();
            assert_eq!(found, expected, "{document}");
        }
    }

    #[test]
    fn an_inner_element_takes_the_namespaces_around_it_along() {
        let root = read(
            b"<a xmlns='urn:d' xmlns:p='urn:u' xmlns:q='urn:v'><b xmlns:q='urn:w'>t<c p:x='1'/></b></a>",
        )
        .unwrap();
        let inner = root.elements().next().unwrap();
        let innermost = inner.elements().next().unwrap();
        assert_eq!(
            canonical(innermost, &[&root, inner], None),
            b"<c xmlns=\"urn:d\" xmlns:p=\"urn:u\" xmlns:q=\"urn:w\" p:x=\"1\"></c>"
        );
        assert_eq!(
            canonical(&root, &[], Some(0)),
            b"<a xmlns=\"urn:d\" xmlns:p=\"urn:u\" xmlns:q=\"urn:v\"></a>"
        );
    }
}
