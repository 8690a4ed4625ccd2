//! Genuine, and not what the rules want.

use super::*;

/// Cases.
pub fn add(cloud: &Cloud, table: &mut Table) {
    let right = cloud.sign(&cloud.document());
    for (name, index) in [("PCR0 is zero", 0), ("PCR1 is zero", 1), ("PCR2 is zero", 2)] {
        table.add(name, "nitro_debug", cloud.with(&|d| d.set_pcr(index, &[0; 48])));
    }
    let debug = {
        let mut document = cloud.document();
        (0..3).for_each(|index| document.set_pcr(index, &[0; 48]));
        cloud.sign(&document)
    };
    let found = code(cloud.verdict(&debug, &cloud.lists, &Rules::strict(), AT));
    table.add("debug mode, without policy", "nitro_debug", found);
    let expecting_debug = Rules {
        pcrs: (0..3)
            .map(|index| {
                let zeros = jeju_attestation::hex_bytes::HexBytes([0; 48]);
                (nitro::PcrIndex::new(index).unwrap(), vec![zeros])
            })
            .collect(),
        ..policy()
    };
    let found = code(cloud.verdict(&debug, &cloud.lists, &expecting_debug, AT));
    table.add(
        "debug mode, under a policy that lists zeros",
        "nitro_debug",
        found,
    );
    let dated = |seconds: i64, rules: &Rules| {
        let mut document = cloud.document();
        *document.field("timestamp") = Value::from((AT + seconds) as u64 * 1000);
        code(cloud.verdict(&cloud.sign(&document), &cloud.lists, rules, AT))
    };
    table.add("too old", "nitro_document_age", dated(-61, &policy()));
    table.add(
        "older than a certificate lives",
        "nitro_document_age",
        dated(-3 * 3600 - 1, &Rules::strict()),
    );
    table.add("from the future", "nitro_document_future", dated(61, &policy()));
    let far = cloud.with(&|d| *d.field("timestamp") = Value::from(u64::MAX));
    table.add("from the farthest future", "nitro_document_future", far);
    let with_rules = |change: &dyn Fn(&mut Rules)| {
        let mut rules = policy();
        change(&mut rules);
        code(cloud.verdict(&right, &cloud.lists, &rules, AT))
    };
    let pcr = |index| nitro::PcrIndex::new(index).unwrap();
    let value = jeju_attestation::hex_bytes::HexBytes::<48>;
    table.add(
        "no reference values",
        "nitro_no_reference_value",
        with_rules(&|r| r.pcrs.clear()),
    );
    table.add(
        "no reference value for PCR1",
        "nitro_no_reference_value",
        with_rules(&|r| {
            r.pcrs.remove(&pcr(1));
        }),
    );
    table.add(
        "PCR2 listed without values",
        "nitro_no_reference_value",
        with_rules(&|r| {
            r.pcrs.insert(pcr(2), vec![]);
        }),
    );
    table.add(
        "another measurement",
        "nitro_measurement_not_accepted",
        with_rules(&|r| {
            r.measurements
                .push(jeju_attestation::hex_bytes::HexBytes([1; 32]));
        }),
    );
    for (name, index) in [
        ("another PCR0", 0),
        ("another PCR2", 2),
        ("another PCR4", 4),
        ("another PCR8", 8),
    ] {
        let found = with_rules(&|r| {
            r.pcrs.insert(pcr(index), vec![value([1; 48]), value([2; 48])]);
        });
        table.add(name, "nitro_pcr_not_accepted", found);
    }
    table.add(
        "PCR16 isn't locked",
        "nitro_pcr_missing",
        with_rules(&|r| {
            r.pcrs.insert(pcr(16), vec![value([1; 48])]);
        }),
    );
    table.add(
        "another instance",
        "nitro_instance_not_accepted",
        with_rules(&|r| {
            r.instances.push("i-0123456789abcdef1".to_owned());
        }),
    );
    table.add(
        "nonce not set",
        "nitro_nonce",
        with_rules(&|r| r.nonce = Some(vec![1; 32])),
    );
    let nonced = {
        let mut document = cloud.document();
        *document.field("nonce") = Value::Bytes(vec![2; 32]);
        cloud.sign(&document)
    };
    let rules = Rules {
        nonce: Some(vec![1; 32]),
        ..policy()
    };
    table.add(
        "another nonce",
        "nitro_nonce",
        code(cloud.verdict(&nonced, &cloud.lists, &rules, AT)),
    );
    table.add(
        "another user data",
        "nitro_user_data",
        with_rules(&|r| r.user_data = Some(vec![1; 64])),
    );
    table.add(
        "user data is cut",
        "nitro_user_data",
        with_rules(&|r| r.user_data = Some(vec![0xDA; 63])),
    );
    table.add(
        "user data not set",
        "nitro_user_data",
        cloud.with(&|d| *d.field("user_data") = Value::Null),
    );
    table.add(
        "public key not set",
        "nitro_public_key",
        with_rules(&|r| r.public_key = Some(vec![1])),
    );
    let none = Endorsements::default();
    let found = code(cloud.verdict(&right, &none, &policy(), AT));
    table.add("no revocation lists", "nitro_revocation_unknown", found);
}
