//! Policies as documents: two spellings of one policy, nothing unknown in them, and no way to accept everything.

use jeju_attestation::policy::{Policy, PolicyError};
use jeju_attestation::tee::Tee;
use serde_json::{Value, json};

use super::synthetic::{Node, World};

/// A policy in which every section there is has entries.
fn full(world: &World) -> String {
    let enclave = format!(
        r#"
platforms = ["0x{id}"]
require_event_log = true
"#,
        id = "1d".repeat(32)
    );
    let text = world.policy_text();
    let (head, rest) = text.split_once("\n[registry]").unwrap();
    format!(
        r#"{head}{enclave}
[registry]{rest}
[[tdx.tcb.tolerated_advisories]]
id = "INTEL-SA-90002"
until = 1767225600

[nitro.pcrs]
PCR8 = ["0x{register}"]

[sgx.tcb]
least_evaluation_data_number = 20
statuses = ["SWHardeningNeeded"]

[[sgx.enclaves]]
mr_signer = "0x{id}"
isv_prod_id = 1
least_isv_svn = 2

[sev-snp.products.milan]
tcb = {{ bootloader = 4, tee = 1, snp = 23, microcode = 213 }}
launch_tcb = {{ bootloader = 4, tee = 1, snp = 22, microcode = 213 }}
firmware = {{ major = 1, minor = 55, build = 29 }}
launch_mitigations = 3
current_mitigations = 3
"#,
        id = "5e".repeat(32),
        register = "08".repeat(48),
    )
}

#[test]
fn toml_and_json_are_one_policy() {
    let world = World::new();
    let text = full(&world);
    let policy = Policy::parse(&text, true).unwrap();
    // The document as it stands, in the other spelling.
    let document: Value = toml::from_str(&text).unwrap();
    assert_eq!(Policy::parse(&document.to_string(), true), Ok(policy.clone()));
    assert_eq!(
        Policy::parse(&format!("\n {document:#}"), true),
        Ok(policy.clone())
    );
    // What is written out is what was read, with nothing lost that would let more pass.
    let written = toml::to_string(&policy).unwrap();
    assert_eq!(Policy::parse(&written, true), Ok(policy.clone()), "{written}");
    let written = serde_json::to_string(&policy).unwrap();
    assert_eq!(Policy::parse(&written, true), Ok(policy.clone()));
    assert_eq!(policy.trust_anchors().unwrap().intel().len(), 1);
}

/// Adds a key to each object, one at a time; calls with its path.
fn each_object(value: &Value, path: String, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                each_object(member, format!("{path}/{name}"), found);
            }
            found.push(path);
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                each_object(item, format!("{path}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn no_section_has_a_key_that_is_not_known() {
    let world = World::new();
    let document: Value = toml::from_str(&full(&world)).unwrap();
    let mut sections = Vec::new();
    each_object(&document, String::new(), &mut sections);
    assert!(sections.len() >= 24, "{sections:?}");
    for section in &sections {
        let mut changed = document.clone();
        let object = changed.pointer_mut(section).unwrap().as_object_mut().unwrap();
        object.insert("accept_all".to_owned(), json!(true));
        let as_json = Policy::parse(&changed.to_string(), true);
        assert!(
            matches!(as_json, Err(PolicyError::Json(_))),
            "{section}: {as_json:?}"
        );
        let as_toml = Policy::parse(&toml::to_string(&changed).unwrap(), true);
        assert!(
            matches!(as_toml, Err(PolicyError::Toml(_))),
            "{section}: {as_toml:?}"
        );
    }
    // Sections that don't exist, and what only this software says to itself.
    for (section, key) in [
        ("", "accept"),
        ("/gpu", "unpinned"),
        ("/sev-snp", "no_policy"),
        ("/nitro", "no_policy"),
        ("/tdx", "report_data"),
        ("/sgx", "report_data"),
    ] {
        let mut changed = document.clone();
        changed.pointer_mut(section).unwrap()[key] = json!(true);
        assert!(
            Policy::parse(&changed.to_string(), true).is_err(),
            "{section}/{key}"
        );
    }
}

#[test]
fn production_trusts_neither_test_roots_nor_simulated_silicon() {
    let world = World::new();
    let document: Value = toml::from_str(&world.policy_text()).unwrap();
    let parse = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let mut document = document.clone();
        let members = document.as_object_mut().unwrap();
        members.insert("kind".to_owned(), json!("production"));
        change(members);
        Policy::parse(&document.to_string(), true)
    };
    let hardware = |members: &mut serde_json::Map<String, Value>| {
        members.insert("tees".to_owned(), json!(["tdx", "sev-snp", "nitro"]));
        members.remove("simulated");
    };
    assert_eq!(parse(&|_| {}), Err(PolicyError::SimulatedInProduction));
    assert_eq!(
        parse(&|members| {
            members.remove("simulated");
            members.remove("test_roots");
        }),
        Err(PolicyError::SimulatedInProduction)
    );
    assert_eq!(parse(&hardware), Err(PolicyError::TestRootsInProduction));
    assert_eq!(
        parse(&|members| {
            hardware(members);
            members.insert("test_roots".to_owned(), json!({}));
        }),
        Err(PolicyError::TestRootsInProduction)
    );
    let production = parse(&|members| {
        hardware(members);
        members.remove("test_roots");
    })
    .unwrap();
    assert!(!production.trust_anchors().unwrap().are_test_roots());
    // A policy that was put together by hand is no way around either.
    let mut forged = production;
    forged.test_roots = world.policy().test_roots;
    forged.simulated = world.policy().simulated;
    assert!(!forged.trust_anchors().unwrap().are_test_roots());
    assert!(forged.simulated_roots().is_empty());
    // And development is nobody's default.
    assert_eq!(
        Policy::parse(&world.policy_text(), false),
        Err(PolicyError::Development)
    );
}

/// Right evidence under a section that says nothing: the document is refused, or the evidence is.
#[test]
fn an_empty_section_accepts_nothing() {
    let world = World::new();
    let document: Value = toml::from_str(&world.policy_text()).unwrap();
    let parse = |section: &str, value: &Value| {
        let mut document = document.clone();
        document[section] = value.clone();
        Policy::parse(&document.to_string(), true)
    };
    let verdict = |tee: Tee, policy: Policy, change: fn(&mut Node<'_>)| {
        let mut node = world.node(tee);
        node.policy = policy;
        change(&mut node);
        node.verdict().map(|_| ()).map_err(|refusal| refusal.code())
    };
    // Empty is not even a document where a rule has no value that refuses.
    for section in ["tdx", "sgx", "sev-snp"] {
        let error = parse(section, &json!({})).unwrap_err();
        assert!(matches!(error, PolicyError::Json(_)), "{section}: {error}");
    }
    // Only what must be said.
    let tcb = json!({"least_evaluation_data_number": 0});
    let tdx = parse("tdx", &json!({"tcb": tcb})).unwrap();
    assert_eq!(verdict(Tee::Tdx, tdx, |_| {}), Err("dcap_dynamic_platform"));
    let snp = parse("sev-snp", &json!({"required": [], "abi": [0, 0], "guest_svn": 0})).unwrap();
    assert_eq!(verdict(Tee::SevSnp, snp.clone(), |_| {}), Err("snp_smt"));
    let no_smt = |node: &mut Node<'_>| node.snp.policy &= !(1 << 16);
    let mut unknown = snp;
    assert_eq!(
        verdict(Tee::SevSnp, unknown.clone(), no_smt),
        Err("snp_smt_contradiction")
    );
    unknown.sev_snp.as_mut().unwrap().smt = true;
    unknown.sev_snp.as_mut().unwrap().revocation_unknown = true;
    assert_eq!(
        verdict(Tee::SevSnp, unknown, |_| {}),
        Err("snp_product_not_accepted")
    );
    let nitro = parse("nitro", &json!({})).unwrap();
    assert_eq!(
        verdict(Tee::Nitro, nitro.clone(), |_| {}),
        Err("nitro_revocation_unknown")
    );
    assert_eq!(
        verdict(Tee::Nitro, nitro, |node| node.now += 1),
        Err("nitro_document_age")
    );
    let gpu = parse("gpu", &json!({})).unwrap();
    assert_eq!(verdict(Tee::Tdx, gpu.clone(), |_| {}), Err("gpu_count"));
    assert_eq!(
        verdict(Tee::Tdx, gpu, |node| node.gpus.clear()),
        Ok(()),
        "and no GPU is none too many"
    );
    let counted = parse(
        "gpu",
        &json!({"gpus": {"min": 2, "max": 2}, "revocation_unknown": true}),
    )
    .unwrap();
    assert_eq!(
        verdict(Tee::Tdx, counted, |_| {}),
        Err("gpu_architecture_not_accepted")
    );
    let launch = parse("launch", &json!({})).unwrap();
    assert_eq!(
        verdict(Tee::Tdx, launch, |_| {}),
        Err("chain_profile_not_accepted")
    );
    // Lists that are there and empty are lists of nothing.
    for (section, code) in [
        ("agents", "agent"),
        ("measurements", "reference value"),
        ("tees", ""),
    ] {
        match parse(section, &json!([])) {
            Err(PolicyError::Nothing(what)) => assert!(what.starts_with(code), "{section}: {what}"),
            Ok(policy) => assert_eq!(verdict(Tee::Tdx, policy, |_| {}), Err("tee_not_accepted")),
            Err(other) => panic!("{section}: {other}"),
        }
    }
}

/// The document's own spelling of a tolerated advisory: by id, until a moment.
#[test]
fn an_advisory_is_tolerated_until_its_date() {
    let world = World::new();
    let text = |until: u64| {
        let rules = format!(
            "[tdx.tcb]\nstatuses = [\"OutOfDate\"]\ntolerated_advisories = [{{ id = \"INTEL-SA-90002\", until = {until} }}]\n"
        );
        world.policy_text().replacen("[tdx.tcb]\n", &rules, 1)
    };
    let at = |until, advisory: &str| {
        let mut node = world.node(Tee::Tdx);
        node.td.extension.pce_svn = 10;
        node.policy = Policy::parse(&text(until).replace("INTEL-SA-90002", advisory), true).unwrap();
        node.verdict().map(|_| ()).map_err(|refusal| refusal.code())
    };
    let now = jeju_synthetic::NOW;
    assert_eq!(at(now, "INTEL-SA-90002"), Ok(()));
    assert_eq!(at(now - 1, "INTEL-SA-90002"), Err("dcap_advisory_overdue"));
    assert_eq!(at(now, "INTEL-SA-90003"), Err("dcap_advisory_not_tolerated"));
    // Without a date there is no toleration.
    let undated = text(now).replace(&format!(", until = {now}"), "");
    assert!(matches!(Policy::parse(&undated, true), Err(PolicyError::Toml(_))));
}
