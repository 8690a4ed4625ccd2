//! What is kept from one document to the next.

use super::*;

/// Cases.
pub fn add(cloud: &Cloud, table: &mut Table) {
    let right = cloud.sign(&cloud.document());
    let changed = {
        let mut document = cloud.document();
        document.set_pcr(0, &[0xA9; 48]);
        document.envelope(Value::Bytes(document.payload()), cloud.signature())
    };
    let signed = nitro::parse(&right).unwrap();
    let name = jeju_synthetic::certificate::name;
    let leaf = VerifiedLeaf::verify(signed.document(), &cloud.lists, &cloud.roots, AT).unwrap();
    let elsewhere = |change: &dyn Fn(&mut Chain)| nitro::parse(&cloud.sign(&cloud.under(change))).unwrap();
    let other_bundle = elsewhere(&|c| c.instance.serial = vec![0x55]);
    table.add(
        "warm: another CA bundle",
        "nitro_other_cabundle",
        code(leaf.verify_document(&other_bundle, AT)),
    );
    let found = code(VerifiedLeaf::verify_below(
        other_bundle.document(),
        leaf.bundle(),
        AT,
    ));
    table.add(
        "warm: another CA bundle above a new certificate",
        "nitro_other_cabundle",
        found,
    );
    let same_bundle = |change: &dyn Fn(&mut Chain)| {
        let mut chain = Chain::new(&cloud.keys);
        change(&mut chain);
        nitro::parse(&cloud.sign(&Document::new(&cloud.bundle, &chain.certificate(&cloud.keys)))).unwrap()
    };
    let other_leaf = same_bundle(&|c| c.enclave.serial = vec![0x56]);
    table.add(
        "warm: another certificate",
        "nitro_other_certificate",
        code(leaf.verify_document(&other_leaf, AT)),
    );
    let below = |change: &dyn Fn(&mut Chain)| {
        code(VerifiedLeaf::verify_below(
            same_bundle(change).document(),
            leaf.bundle(),
            AT,
        ))
    };
    table.add(
        "warm: new certificate expired",
        "x509_expired",
        below(&|c| c.enclave.not_after = AT - 1),
    );
    table.add(
        "warm: new certificate is an authority",
        "x509_leaf_is_ca",
        below(&|c| c.enclave.authority = Some(None)),
    );
    table.add(
        "warm: new certificate may not sign",
        "x509_key_usage",
        below(&|c| c.enclave.usage = 0x40),
    );
    table.add(
        "warm: new certificate of another issuer",
        "x509_issuer",
        below(&|c| c.enclave.issuer = name("x")),
    );
    table.add(
        "warm: new certificate of another enclave",
        "nitro_module_certificate",
        below(&|c| {
            c.enclave.subject = name("i-0123456789abcdef0-enc01.xx-test-1.aws");
        }),
    );
    let unsigned = {
        let mut document = cloud.document();
        let forged = Chain::new(&cloud.keys).enclave.sign(&Key::p384());
        *document.field("certificate") = Value::Bytes(forged);
        nitro::parse(&cloud.sign(&document)).unwrap()
    };
    let found = code(VerifiedLeaf::verify_below(unsigned.document(), leaf.bundle(), AT));
    table.add(
        "warm: new certificate signed by another key",
        "x509_signature",
        found,
    );
    table.add(
        "warm: certificate expired since",
        "x509_expired",
        code(leaf.verify_document(&signed, AT + 3 * 3600)),
    );
    table.add(
        "warm: before its time",
        "x509_not_yet_valid",
        code(leaf.verify_document(&signed, AT - 2 * 3600)),
    );
    // A certificate that outlives the authorities above it.
    let long_lived = same_bundle(&|c| c.enclave.not_after = AT + DAY);
    let later = AT + 13 * 3600;
    let found = VerifiedLeaf::verify_below(long_lived.document(), leaf.bundle(), later);
    table.add("warm: authorities expired since", "x509_expired", code(found));
    let long_leaf = VerifiedLeaf::verify_below(long_lived.document(), leaf.bundle(), AT).unwrap();
    table.add(
        "warm: authorities of a kept certificate expired since",
        "x509_expired",
        code(long_leaf.verify_document(&long_lived, later)),
    );
    let short_lists = {
        let mut list = CrlTemplate::new(names::ROOT);
        list.next_update = Some(AT + 60);
        let mut lists = Endorsements::default();
        lists.add(&list.sign(&cloud.keys.root)).unwrap();
        VerifiedLeaf::verify(signed.document(), &lists, &cloud.roots, AT).unwrap()
    };
    table.add(
        "warm: list expired since",
        "crl_expired",
        code(short_lists.verify_document(&signed, AT + 61)),
    );
    let renamed = nitro::parse(&{
        let mut document = cloud.document();
        *document.field("module_id") = "i-0123456789abcdef0-enc01".into();
        cloud.sign(&document)
    });
    let found = code(leaf.verify_document(&renamed.unwrap(), AT));
    table.add(
        "warm: another enclave under this certificate",
        "nitro_module_certificate",
        found,
    );
    table.add(
        "warm: changed since",
        "nitro_signature",
        code(leaf.verify_document(&nitro::parse(&changed).unwrap(), AT)),
    );
}
