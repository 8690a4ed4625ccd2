//! Bundles, and parts of them, in files: the same verdict through both entrances.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jeju_attestation::appraisal::gpu_nonce;
use jeju_attestation::bundle::Bundle;
use jeju_attestation::endorsements::Endorsements;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::offline::{Answer, EvidenceKind, Request, Submission, answer, verify};
use jeju_attestation::policy::Policy;
use jeju_attestation::rejection::Rejection;
use jeju_attestation::tee::Tee;
use jeju_synthetic::{NOW, intel};
use serde_json::{Value, json};

use super::synthetic::{CHALLENGE, World};

/// What is asked about a file.
#[derive(Clone)]
struct Ask {
    file: Vec<u8>,
    named: Option<EvidenceKind>,
    endorsements: Vec<Vec<u8>>,
    nonce: Option<Vec<u8>>,
    report_data: Option<Vec<u8>>,
    event_log: Option<Vec<u8>>,
    policy: Option<Policy>,
}

impl Ask {
    /// With a policy for files, and the nonce that the node was challenged with.
    fn new(world: &World, file: Vec<u8>) -> Self {
        let mut policy = world.policy();
        policy.require_channel = false;
        Self {
            file,
            named: None,
            endorsements: world.files.clone(),
            nonce: Some(CHALLENGE.nonce.to_vec()),
            report_data: None,
            event_log: None,
            policy: Some(policy),
        }
    }

    fn native(&self) -> Result<Answer, Rejection> {
        let mut endorsements = Endorsements::default();
        for file in &self.endorsements {
            endorsements.add(file)?;
        }
        verify(&Request {
            submission: Submission::read(&self.file, self.named)?,
            endorsements,
            nonce: self.nonce.clone(),
            report_data: self.report_data.clone(),
            event_log: self.event_log.clone(),
            at: NOW,
            policy: self.policy.clone(),
        })
    }

    /// The same as JSON.
    fn request(&self) -> Value {
        let text = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(hex::encode);
        let endorsements: Vec<_> = self
            .endorsements
            .iter()
            .map(|file| STANDARD.encode(file))
            .collect();
        json!({
            "evidence": STANDARD.encode(&self.file),
            "tee": self.named.map(EvidenceKind::name),
            "endorsements": endorsements,
            "nonce": text(&self.nonce),
            "report_data": text(&self.report_data),
            "event_log": self.event_log.as_ref().map(|log| STANDARD.encode(log)),
            "at": NOW,
            "policy": self.policy.as_ref().map(|policy| toml::to_string(policy).unwrap()),
            "development": true,
        })
    }

    /// The answer, which must be the same from the entrance that WebAssembly has.
    fn verdict(&self) -> Result<Value, String> {
        let answered = answer(self.request().to_string().as_bytes());
        let json: Value = serde_json::from_str(&answered).unwrap();
        match self.native() {
            Ok(answer) => {
                assert_eq!(answer.json(), answered);
                Ok(json)
            }
            Err(rejection) => {
                assert_eq!(json["status"], "contraindicated");
                assert_eq!(json["code"], rejection.code());
                assert_eq!(json["class"], rejection.class().name());
                assert_eq!(json["message"], rejection.to_string());
                Err(rejection.code().to_owned())
            }
        }
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Result<Value, String> {
        let mut ask = self.clone();
        change(&mut ask);
        ask.verdict()
    }

    fn policy(&self, change: impl FnOnce(&mut Policy)) -> Result<Value, String> {
        self.with(|ask| change(ask.policy.as_mut().unwrap()))
    }
}

/// Requests about a whole node of each platform, to be answered on other targets.
pub fn requests() -> Vec<(String, Value)> {
    let world = World::new();
    let name = |tee: Tee| format!("node on {tee}");
    Tee::ALL
        .iter()
        .map(|tee| {
            (
                name(*tee),
                Ask::new(&world, world.node(*tee).bundle().encode()).request(),
            )
        })
        .collect()
}

fn refused(code: &str) -> Result<Value, String> {
    Err(code.to_owned())
}

fn not_checked(answer: &Value, words: &str) -> bool {
    let texts = answer["not_checked"].as_array().unwrap();
    texts.iter().any(|text| text.as_str().unwrap().contains(words))
}

#[test]
fn bundles_under_a_policy() {
    let world = World::new();
    for (tee, components) in [
        (Tee::Tdx, &["tdx", "nvidia-gpu", "nvidia-gpu", "event-log"][..]),
        (Tee::SevSnp, &["sev-snp"]),
        (Tee::Nitro, &["nitro"]),
        (Tee::Simulated, &["simulated"]),
    ] {
        let ask = Ask::new(&world, world.node(tee).bundle().encode());
        let answer = ask.verdict().unwrap();
        assert_eq!(answer["status"], "affirming");
        assert_eq!(
            (&answer["kind"], &answer["appraisal"]),
            (&json!("bundle"), &json!("policy"))
        );
        assert_eq!(answer["test_roots"], true);
        let kinds: Vec<_> = answer["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|of| &of["kind"])
            .collect();
        assert_eq!(kinds, components);
        let node = &answer["node"];
        assert_eq!(
            (&node["status"], &node["tee"]),
            (&json!("affirming"), &json!(tee.name()))
        );
        assert_eq!(
            (&node["channel_bound"], &node["age_seconds"]),
            (&json!(false), &Value::Null)
        );
        assert_eq!(
            (&node["cpu"], &node["platform"]),
            (&answer["components"][0], &answer["platform"])
        );
        assert!(not_checked(&answer, "which connection"));

        // A file has no connection, and its age is known by a nonce or not at all.
        assert_eq!(
            ask.policy(|policy| policy.require_channel = true),
            refused("channel_binding_required")
        );
        assert_eq!(ask.with(|ask| ask.nonce = None), refused("anchor_unchecked"));
        assert_eq!(
            ask.with(|ask| ask.nonce = Some(vec![1; 32])),
            refused("nonce_mismatch")
        );
        assert_eq!(
            ask.with(|ask| ask.nonce = Some(vec![0x0A; 31])),
            refused("nonce_mismatch")
        );
        // What a bundle has no place for is not ignored.
        assert_eq!(
            ask.with(|ask| ask.report_data = Some(vec![1])),
            refused("report_data_not_carried")
        );
        assert_eq!(
            ask.with(|ask| ask.event_log = Some(world.log.bytes())),
            refused("event_log_mismatch")
        );
        assert_eq!(
            ask.with(|ask| ask.named = Some(EvidenceKind::Tdx)),
            refused("evidence_kind_mismatch")
        );
        assert_eq!(
            ask.policy(|policy| policy.agents = vec![HexBytes([1; 32])]),
            refused("agent_not_accepted")
        );
        assert_eq!(
            ask.policy(|policy| policy.measurements = vec![HexBytes([1; 32])]),
            refused("measurement_unknown")
        );
    }
}

/// Without a policy only the vendors' roots count: nothing synthetic passes, whatever else is right.
#[test]
fn bundles_without_a_policy_rest_on_the_vendors_roots() {
    let world = World::new();
    for (tee, code) in [
        (Tee::Tdx, "x509_untrusted_root"),
        (Tee::SevSnp, "snp_ark_unknown"),
        (Tee::Nitro, "nitro_root_not_pinned"),
        (Tee::Simulated, "tee_not_accepted"),
    ] {
        let ask = Ask::new(&world, world.node(tee).bundle().encode());
        assert_eq!(ask.with(|ask| ask.policy = None), refused(code), "{tee}");
    }
}

/// A whole node is long: its log alone can take more than any other JSON that is read.
#[test]
fn a_bundle_is_read_up_to_its_own_limit() {
    let world = World::new();
    let mut node = world.node(Tee::Tdx);
    node.log.as_mut().unwrap().padding = vec![0xFF; 400_000];
    let file = node.bundle().encode();
    assert!(file.len() > jeju_attestation::bundle::MAX_LEN / 2);
    let ask = Ask::new(&world, file.clone());
    assert_eq!(ask.verdict().unwrap()["status"], "affirming");
    let spaced = [b" \n".as_slice(), &file, b"\n"].concat();
    assert_eq!(Ask::new(&world, spaced).verdict().unwrap()["status"], "affirming");

    node.log.as_mut().unwrap().padding = vec![0xFF; 800_000];
    let mut longer = Ask::new(&world, node.bundle().encode());
    assert_eq!(longer.verdict(), refused("bundle_invalid"));
    longer.file = file[..file.len() - 1].to_vec();
    assert_eq!(longer.verdict(), refused("bundle_invalid"));
    longer.file = b"{\"__cmwc_t\": \"tag:jeju,2026:bundle/2\"}".to_vec();
    assert_eq!(longer.verdict(), refused("bundle_invalid"));
}

/// A policy for nodes, and evidence that is a part of one: what it can't say is said, or refused.
#[test]
fn parts_of_a_node_under_its_policy() {
    let world = World::new();
    let node = world.node(Tee::Tdx);
    let Bundle { cpu, gpu, log, .. } = node.bundle();

    let mut quote = Ask::new(&world, cpu);
    quote.nonce = None;
    let answer = quote.verdict().unwrap();
    assert_eq!(
        (&answer["status"], &answer["node"]),
        (&json!("affirming"), &Value::Null)
    );
    assert!(not_checked(&answer, "what the policy says of GPUs"));
    assert!(not_checked(&answer, "what the policy says of nodes"));
    let bare = quote
        .policy(|policy| (policy.gpu, policy.registry) = (None, None))
        .unwrap();
    assert!(!not_checked(&bare, "what the policy says of"));
    assert_eq!(
        quote.with(|ask| ask.nonce = Some(vec![1; 32])),
        refused("nonce_not_carried")
    );
    assert_eq!(
        quote.policy(|policy| policy.require_event_log = true),
        refused("event_log_missing")
    );
    // The launch document's event isn't in the log, and without it RTMR3 doesn't come out.
    assert_eq!(
        quote.with(|ask| ask.event_log = Some(log)),
        refused("log_register_mismatch")
    );
    assert_eq!(
        quote.policy(|policy| policy.platforms = vec![HexBytes([1; 32])]),
        refused("platform_not_accepted")
    );
    assert_eq!(
        quote.policy(|policy| policy.tees = vec![Tee::Nitro]),
        refused("tee_not_accepted")
    );

    let mut devices = Ask::new(&world, gpu);
    devices.nonce = Some(gpu_nonce(&node.claims).to_vec());
    let answer = devices.verdict().unwrap();
    assert_eq!(answer["components"].as_array().unwrap().len(), 2);
    assert!(not_checked(&answer, "where the devices are"));
    assert_eq!(
        devices.with(|ask| ask.nonce = Some(vec![1; 32])),
        refused("gpu_nonce_mismatch")
    );
    assert_eq!(
        devices.policy(|policy| policy.gpu = None),
        refused("rules_missing")
    );
    assert_eq!(
        devices.policy(|policy| policy.platforms = vec![HexBytes([0; 32])]),
        refused("platform_not_accepted")
    );
    assert_eq!(
        devices.policy(|policy| policy.require_event_log = true),
        refused("event_log_missing")
    );
    assert_eq!(
        devices.with(|ask| ask.event_log = Some(vec![1])),
        refused("event_log_without_registers")
    );
    assert_eq!(
        devices.with(|ask| ask.report_data = Some(vec![1])),
        refused("report_data_not_carried")
    );
}

/// SGX is no node's platform, so that `tees` and `measurements` say nothing of it: its own section must.
#[test]
fn an_enclave_passes_by_its_own_rules_only() {
    let world = World::new();
    let evidence = intel::Evidence::sgx(&world.intel);
    let mut ask = Ask::new(&world, evidence.quote(&world.intel, &world.intel));
    ask.nonce = None;
    ask.endorsements = evidence.collateral.files(&world.intel).into();
    assert_eq!(ask.verdict(), refused("rules_missing"));
    let intel::Body::Enclave(enclave) = &evidence.body else {
        unreachable!("an enclave's")
    };
    let tcb = json!({"least_evaluation_data_number": 20, "dynamic_platform": true, "cached_keys": true, "smt_enabled": true});
    let listed = json!([{"mr_signer": format!("0x{}", hex::encode(enclave.mr_signer)),
        "isv_prod_id": enclave.isv_prod_id, "least_isv_svn": enclave.isv_svn}]);
    let rules = |enclaves: &Value| {
        Some(
            serde_json::from_value(json!({"tcb": tcb, "enclaves": enclaves, "provision_key": true})).unwrap(),
        )
    };
    assert_eq!(
        ask.policy(|policy| policy.sgx = rules(&json!([]))),
        refused("sgx_mr_signer")
    );
    ask.policy.as_mut().unwrap().sgx = rules(&listed);
    let answer = ask.verdict().unwrap();
    assert_eq!(
        (&answer["status"], &answer["measurement"]),
        (&json!("affirming"), &Value::Null)
    );
    let platform: HexBytes<32> = serde_json::from_value(answer["platform"].clone()).unwrap();
    assert!(ask.policy(|policy| policy.platforms = vec![platform]).is_ok());
    assert_eq!(
        ask.policy(|policy| policy.platforms = vec![HexBytes([1; 32])]),
        refused("platform_not_accepted")
    );
    // A bundle can't pass it off as a domain's.
    let mut node = world.node(Tee::Tdx).bundle();
    node.cpu = ask.file.clone();
    let code = ask.with(|ask| (ask.file, ask.nonce) = (node.encode(), Some(CHALLENGE.nonce.to_vec())));
    assert_eq!(code, refused("dcap_version"));
}
