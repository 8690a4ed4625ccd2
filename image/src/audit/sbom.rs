//! The packages of an image as a bill of materials: CycloneDX 1.6, JSON (ECMA-424).
//!
//! The same image and source give the same bytes: no time, and a serial number made from the image digest.

use serde_json::{Value, json};

use super::dependencies::{Component, Crate, Packages};
use super::{ADVISORIES, Report};

/// The document.
pub fn document(report: &Report, packages: &Packages) -> Value {
    let root = "jeju-image";
    let crates = packages.crates.iter().map(crate_component);
    let others = packages.components.iter().map(other_component);
    let components: Vec<_> = crates.chain(others).collect();

    let linked = packages.roots.iter().map(|at| reference(&packages.crates[*at]));
    let mut depends_on: Vec<_> = linked
        .chain(packages.components.iter().map(package_url))
        .collect();
    depends_on.sort();
    let mut dependencies = vec![json!({ "ref": root, "dependsOn": depends_on })];
    dependencies.extend(packages.crates.iter().map(|package| {
        let on = package
            .depends_on
            .iter()
            .map(|at| reference(&packages.crates[*at]));
        json!({ "ref": reference(package), "dependsOn": on.collect::<Vec<_>>() })
    }));

    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial_number(&report.image_digest),
        "version": 1,
        "metadata": {
            "component": {
                "type": "operating-system",
                "bom-ref": root,
                "name": format!("jeju-image-{}", report.platform),
                "version": env!("CARGO_PKG_VERSION"),
                "hashes": [{ "alg": "SHA-256", "content": report.image_digest }],
            },
            "properties": [
                { "name": "jeju:advisories", "value": ADVISORIES },
                { "name": "jeju:development", "value": report.development.to_string() },
            ],
        },
        "components": components,
        "dependencies": dependencies,
    })
}

fn crate_component(package: &Crate) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": reference(package),
        "name": package.name,
        "version": package.version,
        "scope": if package.build_only { "excluded" } else { "required" },
        "purl": reference(package),
    });
    if !package.licence.is_empty() {
        component["licenses"] = json!([{ "expression": package.licence }]);
    }
    if let Some(checksum) = &package.checksum {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    component
}

fn other_component(other: &Component) -> Value {
    let mut component = json!({
        "type": other.kind,
        "bom-ref": package_url(other),
        "name": other.name,
        "version": other.version,
        "scope": "required",
        "licenses": [{ "expression": other.licence }],
        "purl": package_url(other),
    });
    if let Some((digest, of)) = &other.digest {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": digest }]);
        component["properties"] = json!([{ "name": "jeju:hash-of", "value": of }]);
    }
    component
}

/// Package URL of a Rust package; packages of this source are in no registry.
pub(super) fn reference(package: &Crate) -> String {
    let kind = if package.source.is_some() {
        "cargo"
    } else {
        "generic"
    };
    format!("pkg:{kind}/{}@{}", package.name, encode(&package.version))
}

/// Package URL of anything else.
pub(super) fn package_url(component: &Component) -> String {
    let kind = if component.name == "rust-std" {
        "generic"
    } else {
        "deb/debian"
    };
    format!("pkg:{kind}/{}@{}", component.name, encode(&component.version))
}

/// Percent-encoding of package URLs: all but letters, digits and `.-_~:`.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// A UUID of the custom kind (RFC 9562 §5.8) made of the first half of the image digest.
fn serial_number(image_digest: &str) -> String {
    let mut bytes = [0; 16];
    for (byte, pair) in bytes
        .iter_mut()
        .zip(hex::decode(image_digest).unwrap_or_default())
    {
        *byte = pair;
    }
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex::encode(bytes);
    let groups = [
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..],
    ];
    format!("urn:uuid:{}", groups.join("-"))
}

#[cfg(test)]
mod tests {
    use super::super::dependencies::tests::{package, packages};
    use super::*;

    pub fn report() -> Report {
        Report {
            image_digest: "ab".repeat(32),
            platform: "qemu".to_owned(),
            development: true,
            findings: vec![],
            violations: 0,
            advisories: ADVISORIES,
            host_inputs: vec![],
        }
    }

    /// `image/tests/documents.py` holds whole documents to the published schema.
    #[test]
    fn names_every_package_once_and_says_what_is_not_known() {
        let mut crates = vec![package("a", "MIT"), package("b", "ISC"), package("ours", "MIT")];
        crates[0].depends_on = vec![1];
        crates[1].build_only = true;
        crates[2].source = None;
        crates[2].checksum = None;
        let document = document(&report(), &packages(crates));
        assert_eq!(document["metadata"]["properties"][0]["value"], "not checked");
        let components = document["components"].as_array().unwrap();
        let purl = |at: usize| components[at]["purl"].as_str().unwrap();
        assert_eq!(purl(0), "pkg:cargo/a@1.2.3");
        assert_eq!(components[0]["hashes"][0]["content"], "ab".repeat(32));
        assert_eq!(components[1]["scope"], "excluded");
        assert_eq!(purl(2), "pkg:generic/ours@1.2.3");
        assert!(components[2].get("hashes").is_none());
        assert_eq!(purl(3), "pkg:deb/debian/linux-source-6.12@6.12.117-1~deb12u1");
        assert_eq!(purl(4), "pkg:deb/debian/libc6-dev@2.36-9%2Bdeb12u14");
        assert_eq!(document["dependencies"][1]["dependsOn"][0], "pkg:cargo/b@1.2.3");
        assert!(document.get("vulnerabilities").is_none());
    }

    #[test]
    fn the_serial_number_is_a_uuid_of_the_image() {
        assert_eq!(
            serial_number(&"ff".repeat(32)),
            "urn:uuid:ffffffff-ffff-8fff-bfff-ffffffffffff"
        );
    }
}
