//! Certificates, revocation lists, and the signature.

use super::*;

/// Cases.
pub fn add(cloud: &Cloud, table: &mut Table) {
    let right = cloud.sign(&cloud.document());
    let document = cloud.document();
    let signed = nitro::parse(&right).unwrap();
    table.add(
        "root last",
        "nitro_root_not_pinned",
        cloud.with_bundle(&|b| b.reverse()),
    );
    table.add(
        "root left out",
        "nitro_root_not_pinned",
        cloud.with_bundle(&|b| drop(b.remove(0))),
    );
    let other = Keys::new();
    let chain = Chain::new(&other);
    let forged = Document::new(&chain.cabundle(&other), &chain.certificate(&other));
    table.add(
        "a root of the same name",
        "nitro_root_not_pinned",
        cloud.strict(&forged.sign(&other.enclave)),
    );
    let vendors = TrustAnchors::vendors();
    let found = code(nitro::verify(&signed, &cloud.lists, vendors, AT));
    table.add("synthetic, under AWS's root", "nitro_root_not_pinned", found);
    let none = TrustAnchors::for_development(&TestRoots::default()).unwrap();
    table.add(
        "no roots",
        "nitro_root_not_pinned",
        code(nitro::verify(&signed, &cloud.lists, &none, AT)),
    );
    table.add(
        "root is no certificate",
        "x509_not_der",
        cloud.with_bundle(&|b| b[0] = Value::Bytes(vec![0x30, 0])),
    );
    let grafted = {
        let mut document = Document::new(&chain.cabundle(&other), &chain.certificate(&other));
        let pinned = Value::Bytes(cloud.bundle[0].clone());
        document.field("cabundle").as_array_mut().unwrap()[0] = pinned;
        document.sign(&other.enclave)
    };
    table.add(
        "another chain under the pinned root",
        "x509_signature",
        cloud.strict(&grafted),
    );
    table.add(
        "zone left out",
        "x509_issuer",
        cloud.with_bundle(&|b| drop(b.remove(2))),
    );
    table.add(
        "instance left out",
        "x509_issuer",
        cloud.with_bundle(&|b| drop(b.remove(3))),
    );
    table.add(
        "region and zone exchanged",
        "x509_issuer",
        cloud.with_bundle(&|b| b.swap(1, 2)),
    );
    table.add(
        "instance is no certificate",
        "x509_not_der",
        cloud.with_bundle(&|b| b[3] = Value::Bytes(vec![0x30, 0])),
    );
    table.add(
        "byte behind the certificate",
        "x509_not_der",
        cloud.with(&|d| {
            d.field("certificate").as_bytes_mut().unwrap().push(0);
        }),
    );
    table.add(
        "instance's certificate expired",
        "x509_expired",
        cloud.strict_under(&|c| c.instance.not_after = AT - 1),
    );
    table.add(
        "zone's certificate expired",
        "x509_expired",
        cloud.strict_under(&|c| c.zone.not_after = AT - 1),
    );
    table.add(
        "enclave's certificate expired",
        "x509_expired",
        cloud.strict_under(&|c| c.enclave.not_after = AT - 1),
    );
    table.add(
        "enclave's certificate of tomorrow",
        "x509_not_yet_valid",
        cloud.strict_under(&|c| c.enclave.not_before = AT + 1),
    );
    table.add(
        "region's path too long",
        "x509_path_length",
        cloud.strict_under(&|c| c.region.authority = Some(Some(1))),
    );
    table.add(
        "zone's path too long",
        "x509_path_length",
        cloud.strict_under(&|c| c.zone.authority = Some(Some(0))),
    );
    table.add(
        "instance is no authority",
        "x509_not_ca",
        cloud.strict_under(&|c| c.instance.authority = None),
    );
    table.add(
        "zone is no authority",
        "x509_not_ca",
        cloud.strict_under(&|c| c.zone.authority = None),
    );
    table.add(
        "instance may not sign",
        "x509_key_usage",
        cloud.strict_under(&|c| c.instance.usage = usage::SIGNATURES),
    );
    table.add(
        "enclave may not sign",
        "x509_key_usage",
        cloud.strict_under(&|c| c.enclave.usage = usage::CERTIFICATES),
    );
    table.add(
        "enclave is an authority",
        "x509_leaf_is_ca",
        cloud.strict_under(&|c| c.enclave.authority = Some(None)),
    );
    table.add(
        "critical extension",
        "x509_critical_extension",
        cloud.strict_under(&|c| {
            let mut extension = Extension::new("1.2.3.4", der::null());
            extension.critical = true;
            c.zone.extensions.push(extension);
        }),
    );
    table.add(
        "extension twice",
        "x509_duplicate_extension",
        cloud.strict_under(&|c| {
            let again = c.region.extensions[0].clone();
            c.region.extensions.push(again);
        }),
    );
    let wrong_key = Key::p384();
    let by_another = {
        let mut bundle = cloud.bundle.clone();
        bundle[3] = Chain::new(&cloud.keys).instance.sign(&wrong_key);
        cloud.sign(&Document::new(&bundle, &cloud.certificate))
    };
    table.add(
        "instance signed by another zone",
        "x509_signature",
        cloud.strict(&by_another),
    );
    let weak = Key::p256();
    let weak_chain = {
        let mut chain = Chain::new(&cloud.keys);
        chain.enclave.spki = weak.spki();
        Document::new(&cloud.bundle, &chain.certificate(&cloud.keys))
    };
    table.add(
        "enclave's key of P-256",
        "nitro_certificate_algorithm",
        cloud.strict(&cloud.sign(&weak_chain)),
    );
    let weak_link = {
        let mut chain = Chain::new(&cloud.keys);
        chain.instance.spki = weak.spki();
        let mut bundle = chain.cabundle(&cloud.keys);
        bundle[0] = cloud.bundle[0].clone();
        Document::new(&bundle, &chain.enclave.sign(&weak))
    };
    table.add(
        "instance's key of P-256",
        "nitro_certificate_algorithm",
        cloud.strict(&cloud.sign(&weak_link)),
    );
    let name = jeju_synthetic::certificate::name;
    table.add(
        "certificate of another enclave",
        "nitro_module_certificate",
        cloud.strict_under(&|c| {
            c.enclave.subject = name("i-0123456789abcdef0-enc0000000000000001.xx-test-1.aws");
        }),
    );
    table.add(
        "module id is a prefix",
        "nitro_module_certificate",
        cloud.with(&|d| {
            *d.field("module_id") = names::MODULE[..names::MODULE.len() - 1].into();
        }),
    );
    table.add(
        "authority of another instance",
        "nitro_instance_certificate",
        cloud.strict_under(&|c| {
            c.instance.subject = name("i-0000000000000001.xx-test-1.aws.nitro-enclaves");
            c.enclave.issuer = c.instance.subject.clone();
        }),
    );
    let other_signer = document.sign(&cloud.keys.instance);
    table.add(
        "signed by the instance's key",
        "nitro_signature",
        cloud.strict(&other_signer),
    );
    let mut changed = cloud.document();
    let old = changed.signature(&cloud.keys.enclave);
    changed.set_pcr(0, &[0xA9; 48]);
    let changed = changed.envelope(Value::Bytes(changed.payload()), Value::Bytes(old));
    table.add(
        "PCR0 changed after signing",
        "nitro_signature",
        cloud.strict(&changed),
    );
    let zeros = document.envelope(cloud.payload(), Value::Bytes(vec![0; 96]));
    table.add("signature of zeros", "nitro_signature", cloud.strict(&zeros));
    let reencoded = {
        let mut definite = cloud.document();
        definite.indefinite = false;
        document.envelope(Value::Bytes(definite.payload()), cloud.signature())
    };
    table.add(
        "payload encoded again",
        "nitro_signature",
        cloud.strict(&reencoded),
    );

    let with_list = |issuer: &str, key: &Key, change: &dyn Fn(&mut CrlTemplate)| {
        let mut list = CrlTemplate::new(issuer);
        change(&mut list);
        let mut lists = Endorsements::default();
        lists.add(&list.sign(key)).unwrap();
        code(cloud.verdict(&right, &lists, &Rules::strict(), AT))
    };
    let (root, region) = (&cloud.keys.root, &cloud.keys.region);
    let found = with_list(names::ROOT, root, &|list| list.revoked.push(vec![0x21]));
    table.add("region revoked", "x509_revoked", found);
    let found = with_list(names::REGION, region, &|list| list.revoked.push(vec![0x22]));
    table.add("zone revoked", "x509_revoked", found);
    let found = with_list(names::ZONE, &cloud.keys.zone, &|list| {
        list.revoked.push(vec![0x23])
    });
    table.add("instance revoked", "x509_revoked", found);
    let found = with_list(names::ROOT, root, &|list| list.next_update = Some(AT - 1));
    table.add("list expired", "crl_expired", found);
    let found = with_list(names::ROOT, root, &|list| list.this_update = AT + 1);
    table.add("list of tomorrow", "crl_not_yet_valid", found);
    table.add(
        "list signed by another key",
        "crl_signature",
        with_list(names::ROOT, region, &|_| {}),
    );
    let found = with_list(names::ROOT, root, &|list| list.next_update = None);
    table.add("list without an end", "crl_form", found);
    let found = with_list(names::INSTANCE, &cloud.keys.instance, &|_| {});
    table.add(
        "list of an authority that may not make one",
        "x509_key_usage",
        found,
    );
    let garbage = Endorsements {
        revocation_lists: vec![vec![0x30, 0]],
        ..Endorsements::default()
    };
    table.add(
        "list is no list",
        "crl_not_der",
        code(cloud.verdict(&right, &garbage, &Rules::strict(), AT)),
    );
}
