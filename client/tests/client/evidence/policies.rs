//! Appraisal policies: what they accept, and what is refused though it is genuine.

use super::*;

pub const TDX: &str = r#"
version = 1
kind = "production"
tees = ["tdx"]
measurements = ["0xf2f37a8410c27ec017a13a7275e520ca2d0780c6ea22e441166b806583cc0564"]
[tdx.tcb]
least_evaluation_data_number = 17
dynamic_platform = true
cached_keys = true
smt_enabled = true
"#;

pub const SGX: &str = r#"
version = 1
kind = "production"
tees = []
[[sgx.enclaves]]
mr_signer = "0x815f42f11cf64430c30bab7816ba596a1da0130c3b028b673133a66cf9a3e0e6"
mr_enclave = "0x33d8736db756ed4997e04ba358d27833188f1932ff7b1d156904d3f560452fbb"
isv_prod_id = 0
least_isv_svn = 0
[sgx.tcb]
least_evaluation_data_number = 17
statuses = ["ConfigurationAndSWHardeningNeeded"]
tolerated_advisories = [
    { id = "INTEL-SA-00289", until = 1760000000 },
    { id = "INTEL-SA-00615", until = 1760000000 },
]
dynamic_platform = true
cached_keys = true
smt_enabled = true
"#;

const SNP: &str = r#"
version = 1
kind = "production"
tees = ["sev-snp"]
measurements = ["0x805604f8a06f57fcd0915b03fbb95f535dec833b899139cfa3fdbf1807c11640"]
[sev-snp]
required = []
abi = [0, 0]
guest_svn = 0
no_id_block = true
smt = true
alias_check_incomplete = true
revocation_unknown = true
[sev-snp.products.milan]
tcb = { bootloader = 3, tee = 0, snp = 8, microcode = 115 }
firmware = { major = 1, minor = 52, build = 4 }
launch_mitigations = 0
current_mitigations = 0
"#;

const NITRO: &str = r#"
version = 1
kind = "production"
tees = ["nitro"]
measurements = ["0x4b00028dc926eb7f33a9c0c92e978de19594c3d554eb7e13df4105562699a4e2"]
[nitro]
max_age_seconds = 600
max_future_seconds = 60
revocation_unknown = true
"#;

const NVIDIA: &str = r#"
version = 1
kind = "production"
tees = []
[gpu]
switches = 1
architectures = ["ls10"]
vbios_versions = ["96.10.55.00.01"]
modes = ["unstated"]
revocation_unknown = true
"#;

const PLATFORM: &str = "0x2caf41e9cb205ee14e429521c1d13479769b15a425efdcc622ad7aeba6a1c52a";

/// A genuine question with the policy that accepts it.
fn pinned(vectors: &Vectors) -> [(Question, &'static str); 5] {
    [
        (genuine::tdx(vectors), TDX),
        (genuine::sgx(vectors), SGX),
        (genuine::snp(vectors), SNP),
        (genuine::nitro(vectors), NITRO),
        (genuine::nvidia(vectors), NVIDIA),
    ]
}

/// The policy with one point changed.
fn with(policy: &str, from: &str, to: &str) -> String {
    assert!(policy.contains(from), "{from}");
    policy.replacen(from, to, 1)
}

#[test]
fn a_production_policy_accepts_what_it_pins() {
    let Some(vectors) = Vectors::find(15) else { return };
    for (question, policy) in pinned(&vectors) {
        let accepted = question.with_policy(policy).accepted();
        assert_eq!(accepted.0["test_roots"], false);
        assert!(accepted.1[0].starts_with("affirming: "), "{}", accepted.1[0]);
        // The word that development is wanted makes no production policy into another.
        let development = Question {
            development: true,
            ..question.with_policy(policy)
        };
        assert_eq!(development.accepted(), accepted);
        let toml: toml::Table = policy.parse().unwrap();
        assert_eq!(question.with_policy(json!(toml)).accepted(), accepted, "as JSON");
    }
}

#[test]
fn other_reference_values_are_refused() {
    let Some(vectors) = Vectors::find(11) else { return };
    let [tdx, sgx, snp, nitro, nvidia] = pinned(&vectors);
    let refused = |(question, policy): &(Question, &str), from: &str, to: &str, exit, code: &str| {
        question.with_policy(with(policy, from, to)).refused(exit, code);
    };
    refused(&tdx, "f2f3", "f2f4", 2, "measurement_unknown");
    refused(&snp, "8056", "8057", 2, "measurement_unknown");
    refused(&nitro, "4b00", "4b01", 2, "measurement_unknown");
    refused(&sgx, "33d8", "33d9", 2, "sgx_mr_enclave");
    refused(&sgx, "815f", "815e", 2, "sgx_mr_signer");
    refused(
        &nvidia,
        "96.10.55.00.01",
        "96.10.55.00.02",
        2,
        "gpu_vbios_not_accepted",
    );
    refused(&nvidia, "switches = 1", "switches = 2", 2, "gpu_switch_count");
    // One machine only: this one, or another.
    let (question, policy) = &tdx;
    let platforms = format!("tees = [\"tdx\"]\nplatforms = [\"{PLATFORM}\"]");
    let policy = with(policy, "tees = [\"tdx\"]", &platforms);
    question.with_policy(&policy).accepted();
    question
        .with_policy(with(&policy, "0x2caf", "0x2cae"))
        .refused(2, "platform_not_accepted");
    // A date at which a tolerated advisory is tolerated no more.
    refused(&sgx, "1760000000", "1750000000", 2, "dcap_advisory_overdue");
    // Collateral from before a TCB recovery.
    refused(
        &tdx,
        "number = 17",
        "number = 18",
        2,
        "dcap_evaluation_data_number",
    );
}

#[test]
fn a_kind_without_rules_is_refused() {
    let Some(vectors) = Vectors::find(7) else { return };
    let questions = pinned(&vectors);
    for (index, (question, _)) in questions.iter().enumerate() {
        // The policy of the next one has rules for another kind only.
        let (_, other) = questions[(index + 1) % questions.len()];
        question.with_policy(other).refused(2, "rules_missing");
    }
    let (question, policy) = &questions[0];
    let named_only = &policy[..policy.find("[tdx.tcb]").unwrap()];
    question.with_policy(named_only).refused(2, "rules_missing");
    // Rules alone don't make a platform one that is accepted.
    question
        .with_policy(with(policy, "[\"tdx\"]", "[\"nitro\"]"))
        .refused(2, "tee_not_accepted");
}

#[test]
fn a_policy_may_ask_for_the_boot_log() {
    let Some(vectors) = Vectors::find(1) else { return };
    let policy = with(TDX, "version = 1", "version = 1\nrequire_event_log = true");
    genuine::tdx(&vectors)
        .with_policy(policy)
        .refused(2, "event_log_missing");
}

/// Each is wrong whatever the evidence is, and so is the caller's mistake and not the evidence's.
#[test]
fn policies_that_are_none() {
    let ask = |policy: &str| Question {
        evidence: b"whatever".to_vec(),
        policy: Some(policy.to_owned()),
        at: Some(1_750_415_547),
        ..Question::default()
    };
    let root = "-----BEGIN CERTIFICATE-----\\nMAA=\\n-----END CERTIFICATE-----\\n";
    let test_roots = format!("{TDX}[test_roots]\nintel = \"{root}\"\n");
    let wrong = [
        (String::new(), "missing field"),
        ("accept everything".to_owned(), "policy: "),
        ("{\"version\": 1".to_owned(), "policy: "),
        (with(TDX, "version = 1", "version = 2"), "version 2"),
        (
            with(TDX, "version = 1", "version = 1\naccept_all = true"),
            "unknown field",
        ),
        (with(TDX, "smt_enabled", "smt_enable"), "unknown field"),
        (with(TDX, "0xf2f3", "f2f3"), "policy: "),
        (with(TDX, "[\"tdx\"]", "[]"), "names no platform"),
        (
            with(TDX, "[\"tdx\"]", "[\"tdx\", \"simulated\"]"),
            "can't accept simulated evidence",
        ),
        (
            TDX.lines()
                .filter(|line| !line.starts_with("measurements"))
                .collect::<Vec<_>>()
                .join("\n"),
            "reference value",
        ),
        // Test roots are for development, and a policy can't smuggle them in.
        (test_roots.clone(), "a production policy can't trust test roots"),
        (
            with(&test_roots, "production", "development"),
            "only with --development",
        ),
        (with(TDX, "production", "development"), "only with --development"),
        (" ".repeat(128 * 1024 + 1), "longer than"),
    ];
    for (policy, reason) in &wrong {
        let refusal = ask(policy).refused(1, "policy_invalid");
        let message = refusal["message"].as_str().unwrap();
        assert!(message.contains(reason), "{message:?} doesn't say {reason:?}");
    }
    let development = |policy: String| Question {
        development: true,
        ..ask(&policy)
    };
    development(with(&test_roots, "production", "development")).refused(1, "policy_invalid");
    development(test_roots).refused(1, "policy_invalid");
    // What is right gets as far as the evidence.
    ask(TDX).refused(3, "input_unknown");
}
