//! XML and TOML.

use jeju_attestation::toml_items::MAX_ITEMS;

use super::{Bomb, fill, named, repeat};

pub fn xml(len: usize) -> Vec<Bomb> {
    const ROOT: &str = "<SoftwareIdentity xmlns=\"http://standards.iso.org/iso/19770/-2/2015/schema.xsd\">";
    let laughs = "<!DOCTYPE a [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">]><a>";
    named(
        len,
        vec![
            ("XML: nested elements", repeat(len, "", "<a>", "")),
            ("XML: elements", repeat(len, ROOT, "<a/>", "</SoftwareIdentity>")),
            (
                "XML: elements with a namespace",
                repeat(len, ROOT, "<a xmlns:b=\"c\"/>", "</SoftwareIdentity>"),
            ),
            (
                "XML: elements with attributes",
                repeat(len, ROOT, "<a b=\"\" c=\"\" d=\"\"/>", "</SoftwareIdentity>"),
            ),
            (
                "XML: attributes",
                fill(len, "<a", |n| format!(" a{n:x}=\"\""), "/>"),
            ),
            (
                "XML: namespaces",
                fill(len, "<a", |n| format!(" xmlns:a{n:x}=\"b\""), "/>"),
            ),
            (
                "XML: elements with sixty attributes",
                repeat(
                    len,
                    ROOT,
                    &format!(
                        "<a{}/>",
                        (0..60).map(|n| format!(" a{n}=\"\"")).collect::<String>()
                    ),
                    "</SoftwareIdentity>",
                ),
            ),
            (
                "XML: long names",
                repeat(
                    len,
                    ROOT,
                    &format!("<{0}/>", "a".repeat(255)),
                    "</SoftwareIdentity>",
                ),
            ),
            ("XML: long text", repeat(len, ROOT, "a", "</SoftwareIdentity>")),
            (
                "XML: references",
                repeat(len, ROOT, "&amp;", "</SoftwareIdentity>"),
            ),
            ("XML: line ends", repeat(len, ROOT, "\r\n", "</SoftwareIdentity>")),
            (
                "XML: comments",
                repeat(len, ROOT, "<!---->", "</SoftwareIdentity>"),
            ),
            (
                "XML: texts between elements",
                repeat(len, ROOT, "a<a/>", "</SoftwareIdentity>"),
            ),
            ("XML: billion laughs", repeat(len, laughs, "&b;", "</a>")),
            ("XML: open tag", repeat(len, "<a ", "a", "")),
            ("XML: long attribute", repeat(len, "<a b=\"", "&amp;", "\"/>")),
            ("XML: CDATA", repeat(len, "<a>", "<![CDATA[a]]>", "</a>")),
            (
                "XML: signatures",
                repeat(
                    len,
                    ROOT,
                    "<Signature xmlns=\"http://www.w3.org/2000/09/xmldsig#\"/>",
                    "</SoftwareIdentity>",
                ),
            ),
            (
                "XML: one signature",
                repeat(
                    len,
                    &format!("{ROOT}<Signature xmlns=\"http://www.w3.org/2000/09/xmldsig#\">"),
                    "<SignedInfo/>",
                    "</Signature></SoftwareIdentity>",
                ),
            ),
        ],
    )
}

pub fn toml(len: usize) -> Vec<Bomb> {
    let launch = "version = 1\n[node]\nagent = \"0x\"\nnames = [";
    named(
        len,
        vec![
            ("TOML: keys", fill(len, "", |n| format!("{n:x}=0\n"), "")),
            ("TOML: one key", repeat(len, "", "a=0\n", "")),
            ("TOML: tables", fill(len, "", |n| format!("[{n:x}]\n"), "")),
            ("TOML: arrays of tables", repeat(len, "", "[[a]]\n", "")),
            ("TOML: models", repeat(len, "", "[[models]]\nid=''\n", "")),
            ("TOML: dotted keys", repeat(len, "", "a.", "a=0")),
            (
                "TOML: keys with dots",
                fill(len, "", |n| format!("a.{n:x}.b.c=0\n"), ""),
            ),
            (
                "TOML: keys with dots, as many as are read",
                fill(
                    len,
                    "",
                    |n| {
                        if n < MAX_ITEMS / 5 - 1 {
                            format!("a.{n:x}.b.c=0\n")
                        } else {
                            "#".to_owned()
                        }
                    },
                    "",
                ),
            ),
            (
                "TOML: tables, as many as are read",
                fill(
                    len,
                    "",
                    |n| {
                        if n < MAX_ITEMS / 2 - 1 {
                            format!("[{n:x}]\n")
                        } else {
                            "#".to_owned()
                        }
                    },
                    "",
                ),
            ),
            (
                "TOML: models, as many as are read",
                fill(
                    len,
                    "",
                    |n| {
                        if n < MAX_ITEMS / 5 - 1 {
                            "[[models]]\nid=''\n".to_owned()
                        } else {
                            "#".to_owned()
                        }
                    },
                    "",
                ),
            ),
            ("TOML: nested arrays", repeat(len, "a=", "[", "")),
            ("TOML: nested tables", repeat(len, "a=", "{a=", "")),
            ("TOML: empty texts", repeat(len, launch, "'',", "]\n")),
            ("TOML: zeros", repeat(len, "a=[", "0,", "]\n")),
            ("TOML: empty arrays", repeat(len, "a=[", "[],", "]\n")),
            ("TOML: empty tables", repeat(len, "a=[", "{},", "]\n")),
            ("TOML: words", repeat(len, "", "a ", "")),
            ("TOML: equals", repeat(len, "", "=", "")),
            ("TOML: quotes", repeat(len, "", "\"", "")),
            ("TOML: single quotes", repeat(len, "a=", "'", "")),
            ("TOML: empty lines", repeat(len, "", "\n", "")),
            ("TOML: line ends", repeat(len, "", "\r\n", "")),
            ("TOML: comments", repeat(len, "", "#\n", "")),
            ("TOML: long comment", repeat(len, "#", "a", "\n")),
            ("TOML: long text", repeat(len, "a=\"", "a", "\"\n")),
            ("TOML: escapes", repeat(len, "a=\"", "\\u0041", "\"\n")),
            (
                "TOML: long text of lines",
                repeat(len, "a=\"\"\"", "\\\n", "\"\"\"\n"),
            ),
            ("TOML: errors", repeat(len, "", "]\n", "")),
            ("TOML: brackets", repeat(len, "", "]", "")),
            ("TOML: control characters", repeat(len, "", "\u{1}", "")),
            ("TOML: letters of two bytes", repeat(len, "", "ä", "")),
            ("TOML: letters between spaces", repeat(len, "", "ä ", "")),
            ("TOML: long number", repeat(len, "a=", "1", "\n")),
            ("TOML: signs", repeat(len, "a=", "+", "\n")),
            (
                "TOML: policy's lists",
                repeat(len, "version=1\ntees=[", "'tdx',", "]\n"),
            ),
            (
                "TOML: policy's numbers",
                fill(len, "[nitro.pcrs]\n", |n| format!("{n}=[]\n"), ""),
            ),
        ],
    )
}
