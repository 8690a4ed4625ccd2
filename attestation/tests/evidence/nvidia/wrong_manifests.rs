//! Manifests with one thing wrong.

use jeju_attestation::nvidia::Manifest;
use jeju_synthetic::certificate::{name, usage};
use jeju_synthetic::crl::CrlTemplate;
use jeju_synthetic::key::Key;
use jeju_synthetic::nvidia::manifest::{self, Signer, resource};
use jeju_synthetic::nvidia::measured;
use jeju_synthetic::{DAY, NOW};

use super::negatives::Cases;
use super::synthetic::{Chip, World};

pub fn documents(cases: &mut Cases<'_>) {
    cases.hopper("longer than a manifest can be", "rim_too_long", |node| {
        node.rewrite(
            "driver",
            "<ns0:Entity",
            &format!("{}<ns0:Entity", " ".repeat(1 << 20)),
        );
    });
    cases.hopper("element that isn't closed", "rim_xml", |node| {
        node.rewrite("driver", "</ns0:Payload>", "");
    });
    cases.hopper("attribute twice", "rim_xml", |node| {
        node.rewrite("driver", " index=\"7\"", " index=\"7\" index=\"7\"");
    });
    cases.hopper("document type", "rim_xml_forbidden", |node| {
        node.rewrite(
            "driver",
            "<SoftwareIdentity",
            "<!DOCTYPE SoftwareIdentity><SoftwareIdentity",
        );
    });
    cases.hopper("entity", "rim_xml_forbidden", |node| {
        node.rewrite("driver", "&amp;", "&company;");
    });
    cases.hopper("processing instruction", "rim_xml_forbidden", |node| {
        node.rewrite("driver", "<ns0:Entity", "<?nothing?><ns0:Entity");
    });
    cases.hopper("CDATA section", "rim_xml_forbidden", |node| {
        node.rewrite("driver", "<ns0:Entity", "<![CDATA[]]><ns0:Entity");
    });
    cases.hopper("id by the xml namespace", "rim_xml_forbidden", |node| {
        node.rewrite("driver", "<ns0:Payload", "<ns0:Payload xml:id=\"a\"");
    });
    cases.hopper("more nodes than a manifest has", "rim_xml_many", |node| {
        let many = format!("{}<ns0:Entity", "<!---->".repeat(20_001));
        node.rewrite("driver", "<ns0:Entity", &many);
    });
    cases.hopper("root of another kind", "rim_form", |node| {
        node.rewrite("driver", "SoftwareIdentity", "SoftwareIdentities");
    });
    cases.hopper("root of another namespace", "rim_form", |node| {
        node.rewrite(
            "driver",
            "<SoftwareIdentity xmlns=\"http",
            "<SoftwareIdentity xmlns=\"https",
        );
    });
    cases.hopper("payload twice", "rim_form", |node| {
        node.edit("driver", |manifest| {
            let resource = &manifest.resources[7];
            manifest.more = format!("<ns0:Payload>{resource}</ns0:Payload>");
        });
    });
    cases.hopper("evidence beside the payload", "rim_form", |node| {
        node.edit("driver", |manifest| {
            manifest.more = "<ns0:Evidence></ns0:Evidence>".to_owned()
        });
    });
    cases.hopper("text beside the payload", "rim_form", |node| {
        node.edit("driver", |manifest| manifest.more = "text".to_owned());
    });
    cases.hopper("version of no kind", "rim_form", |node| {
        node.edit("driver", |manifest| manifest.version = "580.95.05.1".to_owned());
    });
}

pub fn signatures(cases: &mut Cases<'_>) {
    let signed = cases.world.hopper().text("driver");
    let (start, end) = (
        signed.find("<ds:Signature ").unwrap(),
        signed.find("</SoftwareIdentity>").unwrap(),
    );
    let signature = signed[start..end].to_owned();
    let (without, payload_end) = (signed.replace(&signature, ""), "</ns0:Payload>");
    let case = |cases: &mut Cases<'_>, name, expected, document: String| {
        cases.hopper(name, expected, move |node| {
            node.texts.insert("driver", document.clone());
        });
    };
    case(cases, "no signature", "rim_signature_count", without.clone());
    let twice = signed.replace(&signature, &signature.repeat(2));
    case(cases, "signature twice", "rim_signature_count", twice);
    let inside = without.replace(payload_end, &format!("{signature}{payload_end}"));
    case(
        cases,
        "signature inside the payload",
        "rim_signature_count",
        inside,
    );
    // Wrapping: what was signed is carried along, and another root is read.
    let prolog_end = signed.find('>').unwrap() + 1;
    let wrapped = format!(
        "{}{}{}</SoftwareIdentity>",
        &signed[..prolog_end],
        &without[prolog_end..without.len() - "</SoftwareIdentity>".len()],
        signed
    );
    case(
        cases,
        "signed document inside another",
        "rim_signature_count",
        wrapped,
    );
    let object = "<ds:Object></ds:Object></ds:Signature>";
    let with_object = signed.replace("</ds:Signature>", object);
    case(
        cases,
        "object in the signature",
        "rim_signature_form",
        with_object,
    );
    let with_id = signed.replace("<ds:Signature ", "<ds:Signature Id=\"a\" ");
    case(cases, "id on the signature", "rim_signature_form", with_id);
    let named = signed.replace("<ds:X509Data>", "<ds:KeyName>key</ds:KeyName><ds:X509Data>");
    case(cases, "key by its name", "rim_signature_form", named);
    let text = signed.replace("<ds:KeyInfo>", "<ds:KeyInfo>key");
    case(cases, "text in the key's information", "rim_signature_form", text);
    let digits = signed.replace("<ds:SignatureValue>", "<ds:SignatureValue>*");
    case(cases, "signature that is no base64", "rim_signature_form", digits);
    cases.hopper("third transform", "rim_signature_form", |node| {
        node.edit("driver", |manifest| {
            let last = manifest.transforms[1].clone();
            manifest.transforms.push(last);
        });
    });
    cases.hopper("canonicalization of 2001", "rim_algorithm", |node| {
        node.edit("driver", |manifest| {
            manifest.canonicalization = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315".to_owned();
        });
    });
    cases.hopper("signature with SHA-1", "rim_algorithm", |node| {
        node.edit("driver", |manifest| {
            manifest.method = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1".to_owned();
        });
    });
    cases.hopper("signature by a shared key", "rim_algorithm", |node| {
        node.edit("driver", |manifest| {
            manifest.method = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha384".to_owned();
        });
    });
    cases.hopper("digest with SHA-256", "rim_algorithm", |node| {
        node.edit("driver", |manifest| {
            manifest.digest = "http://www.w3.org/2001/04/xmlenc#sha256".to_owned();
        });
    });
    cases.hopper("transform by XPath", "rim_algorithm", |node| {
        node.edit("driver", |manifest| {
            manifest.transforms[0] = "http://www.w3.org/TR/1999/REC-xpath-19991116".to_owned();
        });
    });
    cases.hopper("transforms the other way round", "rim_algorithm", |node| {
        node.edit("driver", |manifest| manifest.transforms.reverse());
    });
    cases.hopper("signature on a part", "rim_reference", |node| {
        node.edit("driver", |manifest| manifest.uri = "#payload".to_owned());
    });
    cases.hopper("signature on another document", "rim_reference", |node| {
        node.edit("driver", |manifest| manifest.uri = "http://localhost/".to_owned());
    });
    cases.hopper("digest changed", "rim_signature", |node| {
        node.rewrite("driver", "<ds:DigestValue>", "<ds:DigestValue>AAAA");
    });
    let value = |text: &str| {
        let start = text.find("<ds:SignatureValue>").unwrap();
        text[start..text.find("</ds:SignatureValue>").unwrap()].to_owned()
    };
    let zeros = format!("<ds:SignatureValue>{}", "A".repeat(128));
    let with_zeros = signed.replace(&value(&signed), &zeros);
    case(
        cases,
        "signature of zeros on a manifest",
        "rim_signature",
        with_zeros,
    );
    let other = value(&cases.world.hopper().text("vbios"));
    let with_other = signed.replace(&value(&signed), &other);
    case(
        cases,
        "signature of another manifest",
        "rim_signature",
        with_other,
    );
    let measured = hex::encode(measured(Chip::Gh100, 7));
    for (name, from, to) in [
        ("value changed", &*measured, &*"0".repeat(96)),
        (
            "measurement made inactive",
            "active=\"True\" alternatives=\"1\" index=\"7\"",
            "active=\"False\" alternatives=\"1\" index=\"7\"",
        ),
        (
            "id changed",
            "tagId=\"synthetic 580.95.05\"",
            "tagId=\"synthetic\"",
        ),
        ("white space changed", "\n    <ns0:Entity", "\n   <ns0:Entity"),
        (
            "attribute added to the payload",
            "<ns0:Payload ",
            "<ns0:Payload a=\"\" ",
        ),
        (
            "attribute moved to another namespace",
            " revision=\"r1\"",
            " ns1:revision=\"r1\"",
        ),
    ] {
        let changed = signed.replace(from, to);
        assert_ne!(changed, signed, "{name}");
        case(cases, name, "rim_digest", changed);
    }
}

pub fn contents(cases: &mut Cases<'_>) {
    let value = measured(Chip::Gh100, 7);
    let right = resource(7, true, &[value]);
    let changes: [(&'static str, String); 10] = [
        (
            "resource of another type",
            right.replace("type=\"Measurement\"", "type=\"Opaque\""),
        ),
        (
            "resource of another name",
            right.replace("ns0:Resource", "ns0:File"),
        ),
        (
            "neither active nor not",
            right.replace("active=\"True\"", "active=\"true\""),
        ),
        ("size of 32 bytes", right.replace("size=\"48\"", "size=\"32\"")),
        (
            "index beyond a byte",
            right.replace("index=\"7\"", "index=\"256\""),
        ),
        ("signed index", right.replace("index=\"7\"", "index=\"+7\"")),
        (
            "no value",
            right.replace("alternatives=\"1\"", "alternatives=\"0\""),
        ),
        (
            "value that isn't there",
            right.replace("alternatives=\"1\"", "alternatives=\"2\""),
        ),
        (
            "short value",
            right.replace(&hex::encode(value), &hex::encode(&value[1..])),
        ),
        (
            "value that isn't counted",
            resource(7, true, &[value, value]).replace("alternatives=\"2\"", "alternatives=\"1\""),
        ),
    ];
    for (name, changed) in changes {
        assert_ne!(changed, right, "{name}");
        cases.hopper(name, "rim_resource", move |node| {
            node.edit("driver", |manifest| manifest.resources[7] = changed.clone());
        });
    }
    cases.hopper("index twice", "rim_index_twice", |node| {
        node.edit("driver", |manifest| {
            manifest.resources[8] = manifest.resources[7].clone()
        });
    });
    cases.hopper("nothing active", "rim_without_measurements", |node| {
        let empty = manifest::Template::new(Chip::Gh100, "580.95.05", []);
        node.manifest("driver", empty);
    });
    cases.hopper("no resources", "rim_without_measurements", |node| {
        node.edit("driver", |manifest| manifest.resources.clear());
    });
}

pub fn signers(cases: &mut Cases<'_>) {
    let mut with = |name, expected, edit: &dyn Fn(&mut Signer)| {
        let mut world = World::new();
        edit(&mut world.signer);
        cases.found(name, expected, world.hopper().code());
    };
    with("signer that has ended", "x509_expired", &|signer| {
        signer.templates[0].not_after = NOW as i64 - 1;
    });
    with("signer that isn't valid yet", "x509_not_yet_valid", &|signer| {
        signer.templates[0].not_before = NOW as i64 + 1;
    });
    with("signer that is an authority", "x509_leaf_is_ca", &|signer| {
        signer.templates[0].authority = Some(None);
    });
    with("signer that may not sign", "x509_key_usage", &|signer| {
        signer.templates[0].usage = usage::CERTIFICATES;
    });
    with("authority that is none", "x509_not_ca", &|signer| {
        signer.templates[1].authority = None;
    });
    with(
        "signer of an authority that isn't there",
        "x509_issuer",
        &|signer| {
            signer.templates[0].issuer = name("NVIDIA CoRIM L1 Root CA Debug Only");
        },
    );
    with("key that isn't certified", "rim_signature", &|signer| {
        signer.key = Key::p384()
    });
    cases.hopper("signer under another root", "x509_untrusted_root", |node| {
        let foreign = node.manifests["driver"].sign(&World::new().signer);
        node.texts.insert("driver", foreign);
    });
    cases.hopper("certificates of a device", "x509_untrusted_root", |node| {
        // A chain that ends in the root of devices is none for manifests.
        let chain = node.evidence().remove(0).certificates;
        let text = node.text("driver");
        let start = text.find("<ds:X509Certificate>").unwrap();
        let end = text.find("</ds:X509Data>").unwrap();
        let certificates: String = chain
            .iter()
            .map(|der| {
                let digits = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
                format!("<ds:X509Certificate>{digits}</ds:X509Certificate>")
            })
            .collect();
        let text = text.replace(&text[start..end], &certificates);
        node.texts.insert("driver", text);
    });
    cases.hopper("authority of the signer revoked", "x509_revoked", |node| {
        let mut template = CrlTemplate::new(manifest::ROOT);
        template
            .revoked
            .push(node.world.signer.templates[2].serial.clone());
        node.lists.push(template.sign(&node.world.signer.root));
    });
    let world = cases.world;
    let later = NOW as i64 + 181 * DAY;
    let document = world.hopper().text("driver");
    let golden = Manifest::parse(document.as_bytes())
        .and_then(|manifest| manifest.verify(&[], &world.roots, later, true))
        .unwrap();
    let found = golden.check_current(later, false).err().map(|error| error.code());
    cases.found("kept manifest whose signer has ended", "rim_signer_dates", found);
    let before = golden.check_current(NOW as i64 - 181 * DAY, true).err();
    let found = before.map(|error| error.code());
    cases.found("kept manifest before its signer", "rim_signer_dates", found);
}
