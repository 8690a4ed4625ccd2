//! Right nodes that a policy doesn't accept.

use jeju_attestation::appraisal::{MeasurementStatus, Reference};
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::policy::{Kind, TestRootCertificates};
use jeju_attestation::tee::Tee;
use jeju_attestation::verdict::ReferenceMode;

use super::negatives::Cases;
use super::synthetic::Node;

/// Gives the node's measurement a status at a registry.
fn registered(node: &mut Node<'_>, status: MeasurementStatus) {
    node.policy.measurements.clear();
    node.policy.registry.as_mut().unwrap().allow_rpc = true;
    let mode = ReferenceMode::Rpc { agree: 2, of: 3 };
    node.reference = Some(Reference { mode, status });
}

pub fn add(cases: &mut Cases<'_>) {
    measurements(cases);
    platforms(cases);
    roots(cases);
    parties(cases);
}

fn measurements(cases: &mut Cases<'_>) {
    for (tee, name) in [
        (Tee::Tdx, "measurement not pinned, on TDX"),
        (Tee::SevSnp, "measurement not pinned, on SNP"),
        (Tee::Nitro, "measurement not pinned, on Nitro"),
        (Tee::Simulated, "measurement not pinned, simulated"),
    ] {
        cases.on(tee, name, "measurement_unknown", |node| {
            node.policy.measurements.clear()
        });
    }
    cases.tdx("another measurement pinned", "measurement_unknown", |node| {
        node.policy.measurements = vec![HexBytes([1; 32])];
    });
    cases.tdx(
        "another boot, whose registers its log gives",
        "measurement_unknown",
        |node| {
            let td = super::synthetic::domain(&mut node.td);
            node.log.as_mut().unwrap().events.pop();
            let log = node.log.as_ref().unwrap();
            for (register, index) in td.rtmr.iter_mut().zip(1..4) {
                let value = log.register(jeju_synthetic::event_log::SHA384, index, &[0; 48]);
                register.copy_from_slice(&value);
            }
        },
    );
    cases.tdx(
        "measurement that is called pinned and isn't",
        "measurement_unknown",
        |node| {
            node.policy.measurements.clear();
            node.reference = Some(Reference {
                mode: ReferenceMode::Pinned,
                status: MeasurementStatus::Active,
            });
        },
    );
    cases.tdx(
        "measurement that no registry lists",
        "measurement_unknown",
        |node| {
            registered(node, MeasurementStatus::Unknown);
        },
    );
    cases.tdx(
        "measurement that is not yet in force",
        "measurement_pending",
        |node| {
            registered(node, MeasurementStatus::Pending { active_from: 1 });
        },
    );
    cases.tdx("measurement that was revoked", "measurement_revoked", |node| {
        registered(node, MeasurementStatus::Revoked { at: 1 });
    });
    cases.tdx("measurement below the floor", "measurement_below_floor", |node| {
        registered(node, MeasurementStatus::BelowFloor { version: 1, floor: 2 });
    });
    // A platform's own list counts beside the policy's.
    cases.tdx(
        "not on the list of the TDX rules",
        "tdx_measurement_unknown",
        |node| {
            node.policy.tdx.as_mut().unwrap().measurements = Some(vec![HexBytes([1; 32])]);
        },
    );
    cases.on(
        Tee::SevSnp,
        "not on the list of the SNP rules",
        "snp_measurement",
        |node| {
            node.policy.sev_snp.as_mut().unwrap().measurement_ids = vec![HexBytes([1; 32])];
        },
    );
    cases.on(
        Tee::SevSnp,
        "on the list of the SNP rules alone",
        "measurement_unknown",
        |node| {
            let rules = node.policy.sev_snp.as_mut().unwrap();
            rules.measurement_ids = node.policy.measurements.clone();
            node.policy.measurements = vec![HexBytes([1; 32])];
        },
    );
    cases.on(
        Tee::Nitro,
        "not on the list of the Nitro rules",
        "nitro_measurement_not_accepted",
        |node| {
            node.policy.nitro.as_mut().unwrap().measurements = vec![HexBytes([1; 32])];
        },
    );
    cases.on(
        Tee::Nitro,
        "register beside the policy's measurement",
        "nitro_pcr_not_accepted",
        |node| {
            let pcr = jeju_attestation::nitro::PcrIndex::new(8).unwrap();
            node.policy.nitro.as_mut().unwrap().pcrs = [(pcr, vec![HexBytes([8; 48])])].into();
        },
    );
}

fn platforms(cases: &mut Cases<'_>) {
    for (tee, name) in [
        (Tee::Tdx, "machine not pinned, on TDX"),
        (Tee::SevSnp, "machine not pinned, on SNP"),
        (Tee::Nitro, "machine not pinned, on Nitro"),
        (Tee::Simulated, "machine not pinned, simulated"),
    ] {
        cases.on(tee, name, "platform_not_accepted", |node| {
            node.policy.platforms = vec![HexBytes([1; 32])];
        });
    }
    cases.on(
        Tee::SevSnp,
        "machine that hides who it is",
        "platform_not_accepted",
        |node| {
            node.snp.chip_id = [0; 64];
            node.policy.sev_snp.as_mut().unwrap().masked_chip_id = true;
            node.policy.platforms = vec![HexBytes([0; 32])];
        },
    );
    for (tee, name) in [
        (Tee::Tdx, "TDX not accepted"),
        (Tee::SevSnp, "SNP not accepted"),
        (Tee::Nitro, "Nitro not accepted"),
    ] {
        cases.on(tee, name, "tee_not_accepted", |node| {
            node.policy.tees = vec![Tee::Simulated]
        });
    }
    cases.on(
        Tee::Simulated,
        "simulated silicon not accepted",
        "tee_not_accepted",
        |node| {
            node.policy.tees.pop();
        },
    );
    cases.tdx("no rules for TDX", "rules_missing", |node| node.policy.tdx = None);
    cases.on(Tee::SevSnp, "no rules for SNP", "rules_missing", |node| {
        node.policy.sev_snp = None
    });
    cases.on(Tee::Nitro, "no rules for Nitro", "rules_missing", |node| {
        node.policy.nitro = None
    });
}

/// A production policy, and a verifier that trusts more than it does.
fn production(node: &mut Node<'_>) {
    node.verifier_policy = Some(node.policy.clone());
    node.policy.kind = Kind::Production;
}

fn roots(cases: &mut Cases<'_>) {
    for (tee, name) in [
        (Tee::Tdx, "test roots under a production policy, on TDX"),
        (Tee::SevSnp, "test roots under a production policy, on SNP"),
        (Tee::Nitro, "test roots under a production policy, on Nitro"),
    ] {
        cases.on(tee, name, "test_roots", production);
    }
    cases.on(
        Tee::Simulated,
        "simulated silicon under a production policy",
        "root_not_trusted",
        |node| {
            production(node);
            // Beside the vendors' roots, as a verifier for both would have it.
            node.verifier_policy.as_mut().unwrap().test_roots = None;
        },
    );
    cases.on(
        Tee::Simulated,
        "a root that the verifier trusts and the policy doesn't",
        "root_not_trusted",
        |node| {
            node.verifier_policy = Some(node.policy.clone());
            node.policy.simulated.as_mut().unwrap().roots = vec![HexBytes([4; 65])];
        },
    );
    cases.on(
        Tee::Simulated,
        "no root of simulated silicon",
        "tee_not_accepted",
        |node| {
            node.policy.simulated = None;
        },
    );
    for (tee, name, code) in [
        (Tee::Tdx, "vendors' roots, on TDX", "x509_untrusted_root"),
        (Tee::SevSnp, "vendors' roots, on SNP", "snp_ark_unknown"),
        (Tee::Nitro, "vendors' roots, on Nitro", "nitro_root_not_pinned"),
    ] {
        cases.on(tee, name, code, |node| node.policy.test_roots = None);
    }
    cases.tdx("test roots of another vendor", "x509_untrusted_root", |node| {
        node.policy.test_roots.as_mut().unwrap().intel = None;
    });
    cases.tdx("no root of GPUs", "x509_untrusted_root", |node| {
        node.policy.test_roots.as_mut().unwrap().nvidia_device = None;
    });
    cases.tdx("no root of manifests", "x509_untrusted_root", |node| {
        node.policy.test_roots.as_mut().unwrap().nvidia_rim = None;
    });
    cases.tdx("test root that is none", "policy_invalid", |node| {
        node.policy.test_roots = Some(TestRootCertificates {
            intel: Some("root".to_owned()),
            ..TestRootCertificates::default()
        });
    });
}

fn parties(cases: &mut Cases<'_>) {
    cases.tdx("agent not listed", "agent_not_accepted", |node| {
        node.policy.agents = vec![HexBytes([1; 32])];
    });
    cases.tdx("no agent listed", "agent_not_accepted", |node| {
        node.policy.agents.clear()
    });
    cases.tdx("another chain", "registry_mismatch", |node| {
        node.policy.registry.as_mut().unwrap().chain_id = 1337;
    });
    cases.tdx("another registry", "registry_mismatch", |node| {
        node.policy.registry.as_mut().unwrap().address = HexBytes([1; 20]);
    });
    cases.tdx("policy that is not for nodes", "registry_missing", |node| {
        node.policy.registry = None
    });
    cases.tdx(
        "policy that is not for nodes, and a registry that was asked",
        "registry_missing",
        |node| {
            registered(node, MeasurementStatus::Active);
            node.policy.registry = None;
        },
    );
}
