//! Right nodes of each platform, and what their verdicts say.

use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::intel::rules::ToleratedAdvisory;
use jeju_attestation::intel::tcb::TcbStatus;
use jeju_attestation::nitro::PcrIndex;
use jeju_attestation::tee::Tee;
use jeju_attestation::verdict::{Component, Verdict};
use jeju_synthetic::NOW;
use serde_json::Value;

use super::synthetic::{Gpu, World};

/// The value of a claim.
fn value<'a>(component: &'a Component, claim: &str) -> &'a str {
    let check = component.checks.iter().find(|check| check.claim == claim);
    let known = || {
        component
            .checks
            .iter()
            .map(|check| check.claim)
            .collect::<Vec<_>>()
    };
    &check
        .unwrap_or_else(|| panic!("no {claim} in {:?}", known()))
        .value
}

/// The lines that a person reads first, of one claim.
fn lines<'a>(verdict: &'a Verdict, claim: &str) -> Vec<&'a str> {
    let of = |check: &&jeju_attestation::verdict::Check| check.claim == claim;
    verdict
        .checks
        .iter()
        .filter(of)
        .map(|check| check.value.as_str())
        .collect()
}

/// Each line of a component, as JSON has it, says what, how much, on what trust, and by which check.
fn check_component(component: &Value, kind: &str) {
    assert_eq!(component["kind"], kind);
    assert!(component["revocation"] == "good" || component["revocation"] == "unknown");
    let checks = component["checks"].as_array().unwrap();
    assert!(checks.len() >= 4, "{component:#}");
    for check in checks {
        let members = check.as_object().unwrap();
        assert_eq!(members.len(), 4, "{check}");
        for name in ["claim", "value", "anchor", "check"] {
            let text = members[name].as_str().unwrap();
            // An empty string is a value, not a name.
            assert!(name == "value" || !text.is_empty(), "{kind}: {check}");
        }
    }
}

#[test]
fn a_tdx_node_with_two_gpus_and_a_log() {
    let world = World::new();
    let mut node = world.node(Tee::Tdx);
    node.policy.require_event_log = true;
    node.policy.gpu.as_mut().unwrap().gpus.min = 2;
    // JSON may have white space, and its digest is of all of it.
    node.gpu_padding = 1000;
    let verdict = node.verdict().unwrap();
    assert_eq!(
        (
            verdict.status,
            verdict.tee,
            verdict.channel_bound,
            verdict.age_seconds
        ),
        ("affirming", Tee::Tdx, true, Some(60))
    );
    assert_eq!(verdict.services, ["inference"]);
    assert_eq!(verdict.models, ["small"]);

    // Hardware identity of the CPU and of each GPU.
    assert_eq!(value(&verdict.cpu, "PPID"), "99".repeat(16));
    assert_eq!(verdict.gpus.len(), 2);
    let identities: Vec<_> = verdict.gpus.iter().map(|gpu| value(gpu, "PDI")).collect();
    assert_eq!(identities, ["20".repeat(8), "21".repeat(8)]);
    let log = verdict.log.as_ref().unwrap();
    let registers: Vec<_> = log
        .checks
        .iter()
        .filter(|check| check.claim == "register")
        .collect();
    assert_eq!(registers.len(), 4);
    // RTMR3 is what the quote has, though no event of the log is in it.
    let bundle = node.bundle();
    let launch = jeju_attestation::hash::sha256(&bundle.launch);
    let rtmr3 = hex::encode(jeju_attestation::hardware::launch_rtmr(&launch));
    assert_eq!(registers[3].value, format!("RTMR3 = {rtmr3} (1 event)"));
    assert_eq!(value(&verdict.cpu, "RTMR3"), rtmr3);

    let json = serde_json::to_value(&verdict).unwrap();
    check_component(&json["cpu"], "tdx");
    check_component(&json["gpus"][0], "nvidia-gpu");
    check_component(&json["gpus"][1], "nvidia-gpu");
    check_component(&json["log"], "event-log");
    assert_eq!(json["cpu"]["tcb"]["status"], "UpToDate");
    assert_eq!(json["cpu"]["revocation"], "good");
    for name in ["measurement", "platform", "launch", "agent"] {
        assert_eq!(json[name].as_str().unwrap().len(), 66, "{name}");
    }
    // Which claims the summary has, each once; two GPUs that are alike share a line.
    let claims: Vec<_> = verdict.checks.iter().map(|check| check.claim).collect();
    assert_eq!(
        claims,
        [
            "quote",
            "platform",
            "measurement",
            "launch",
            "gpu",
            "boot log",
            "agent",
            "channel",
            "age"
        ]
    );
    assert!(lines(&verdict, "gpu")[0].starts_with("2 × nvidia-gpu: driver 580.95.05"));
    let gpu = verdict.checks.iter().find(|check| check.claim == "gpu").unwrap();
    assert_eq!(gpu.anchor, "development root for NVIDIA");
}

#[test]
fn nodes_of_other_platforms() {
    let world = World::new();
    for (tee, identity) in [
        (Tee::SevSnp, ("CHIP_ID", "c1".repeat(64))),
        (Tee::Nitro, ("instance", "i-0123456789abcdef0".to_owned())),
        (Tee::Simulated, ("platform id", format!("0x{}", "1d".repeat(32)))),
    ] {
        let node = world.node(tee);
        let verdict = node.verdict().unwrap();
        assert_eq!(
            (verdict.status, verdict.tee, verdict.channel_bound),
            ("affirming", tee, true)
        );
        assert_eq!(value(&verdict.cpu, identity.0), identity.1, "{tee}");
        assert!(verdict.platform.is_some() && verdict.gpus.is_empty() && verdict.log.is_none());
        check_component(&serde_json::to_value(&verdict).unwrap()["cpu"], tee.name());
        // With GPUs it is no less a node.
        let mut with_gpu = world.node(tee);
        with_gpu.gpus = vec![Gpu::new(1)];
        assert_eq!(with_gpu.verdict().unwrap().gpus.len(), 1, "{tee}");
    }
    assert_eq!(
        serde_json::to_value(world.node(Tee::SevSnp).verdict().unwrap()).unwrap()["cpu"]["tcb"]["status"],
        "reported = committed = current"
    );
}

/// An advisory is tolerated by its id and until a date, and the verdict names it.
#[test]
fn advisories_by_id_until_a_date() {
    let world = World::new();
    let mut node = world.node(Tee::Tdx);
    node.td.extension.pce_svn = 10;
    let tcb = |node: &mut super::synthetic::Node<'_>, until| {
        let rules = &mut node.policy.tdx.as_mut().unwrap().tcb;
        rules.statuses = vec![TcbStatus::OutOfDate];
        let id = "INTEL-SA-90002".to_owned();
        rules.tolerated_advisories = vec![ToleratedAdvisory { id, until }];
    };
    tcb(&mut node, NOW);
    let verdict = node.verdict().unwrap();
    let state = verdict.cpu.tcb.as_ref().unwrap();
    assert_eq!(
        (state.status.as_str(), state.advisories.as_slice()),
        ("OutOfDate", &["INTEL-SA-90002".to_owned()][..])
    );
    assert!(lines(&verdict, "quote")[0].contains("OutOfDate, INTEL-SA-90002"));
    tcb(&mut node, NOW - 1);
    assert_eq!(node.verdict().unwrap_err().code(), "dcap_advisory_overdue");
}

/// A line of the summary doesn't speak for a device that differs.
#[test]
fn gpus_that_differ_have_a_line_each() {
    let world = World::new();
    let node = world.node(Tee::Tdx);
    let mut verdict = node.verdict().unwrap();
    assert_eq!(lines(&verdict, "gpu").len(), 1);
    let mut other = node.clone();
    // Two versions of the driver, both accepted, both with their manifests.
    other
        .policy
        .gpu
        .as_mut()
        .unwrap()
        .driver_versions
        .push("580.95.06".to_owned());
    other.gpus[1].report = |report| report.set(3, b"580.95.06\0");
    assert_eq!(other.verdict().unwrap_err().code(), "gpu_rim_version");
    other
        .endorsements
        .manifests
        .push(world.driver_manifest("580.95.06"));
    verdict = other.verdict().unwrap();
    let gpus = lines(&verdict, "gpu");
    assert_eq!(gpus.len(), 2, "{gpus:?}");
    assert!(gpus[1].starts_with("1 × nvidia-gpu: driver 580.95.06"));
}

#[test]
fn what_the_summary_says_was_established() {
    let world = World::new();
    let mut any = world.node(Tee::SevSnp);
    any.policy.agents.clear();
    any.policy.any_agent = true;
    let verdict = any.verdict().unwrap();
    let agent = verdict
        .checks
        .iter()
        .find(|check| check.claim == "agent")
        .unwrap();
    assert_eq!(agent.check, "any agent is accepted");

    let mut without_connection = world.node(Tee::SevSnp);
    without_connection.policy.require_channel = false;
    without_connection.challenge = Some(jeju_attestation::appraisal::Challenge {
        channel: None,
        ..super::synthetic::CHALLENGE
    });
    let verdict = without_connection.verdict().unwrap();
    assert!(!verdict.channel_bound);
    assert!(lines(&verdict, "channel").is_empty());
    assert_eq!(lines(&verdict, "nonce"), ["quote made for this nonce"]);

    let mut not_settable = world.node(Tee::SevSnp);
    not_settable.policy.launch.not_settable = true;
    not_settable.bound = Some([0; 32]);
    let verdict = not_settable.verdict().unwrap();
    let launch = verdict
        .checks
        .iter()
        .find(|check| check.claim == "launch")
        .unwrap();
    assert_eq!(launch.anchor, "not bound by silicon (allowed by policy)");
}

/// Lists of a platform's own rules are compared beside the policy's measurements, not in their place.
#[test]
fn own_lists_of_a_platform_count_beside_the_policy() {
    let world = World::new();
    let [tdx, snp, nitro, _] = world.measurements().map(|id| HexBytes(id.0));
    let mut node = world.node(Tee::Tdx);
    node.policy.tdx.as_mut().unwrap().measurements = Some(vec![tdx]);
    assert!(node.verdict().is_ok());
    let mut node = world.node(Tee::SevSnp);
    node.policy.sev_snp.as_mut().unwrap().measurement_ids = vec![snp];
    assert!(node.verdict().is_ok());
    let mut node = world.node(Tee::Nitro);
    let rules = node.policy.nitro.as_mut().unwrap();
    rules.measurements = vec![nitro];
    assert!(node.verdict().is_ok());
    // A register of its own, such as that of the instance's role.
    let mut node = world.node(Tee::Nitro);
    let role = (PcrIndex::new(3).unwrap(), vec![HexBytes([0xA3; 48])]);
    node.policy.nitro.as_mut().unwrap().pcrs = [role].into();
    assert!(node.verdict().is_ok());
}
