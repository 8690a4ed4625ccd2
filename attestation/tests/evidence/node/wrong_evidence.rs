//! One component that is not as it must be, beside others that are.

use jeju_attestation::tee::Tee;
use jeju_synthetic::event_log::{Event, SHA384};
use jeju_synthetic::{DAY, NOW};

use super::negatives::Cases;
use super::synthetic::Gpu;

pub fn cpu(cases: &mut Cases<'_>) {
    cases.tdx(
        "CPU out of date, GPUs and log right",
        "dcap_tcb_out_of_date",
        |node| {
            node.td.extension.pce_svn = 10;
        },
    );
    cases.tdx("CPU revoked, GPUs and log right", "dcap_tcb_revoked", |node| {
        node.td.extension.components = [1; 16];
    });
    cases.tdx("debug domain", "tdx_debug", |node| {
        node.domain = |td| td.td_attributes[0] = 1
    });
    cases.tdx(
        "quote changed after it was signed",
        "dcap_quote_signature",
        |node| {
            node.handed = |bundle| bundle.cpu[100] ^= 1;
        },
    );
    cases.tdx("no collateral", "dcap_root_crl_missing", |node| {
        node.endorsements.revocation_lists.clear();
    });
    cases.tdx(
        "collateral from before a recovery",
        "dcap_evaluation_data_number",
        |node| {
            node.policy.tdx.as_mut().unwrap().tcb.least_evaluation_data_number = 21;
        },
    );
    cases.tdx("collateral that has ended", "crl_expired", |node| {
        node.now = NOW + 20 * DAY as u64
    });
    cases.tdx("SNP report on a TDX node", "dcap_version", |node| {
        node.handed = |bundle| bundle.cpu = vec![5; 1184];
    });
    cases.on(Tee::SevSnp, "debug guest", "snp_debug", |node| {
        node.snp.policy |= 1 << 19
    });
    cases.on(
        Tee::SevSnp,
        "chip below the floor",
        "snp_tcb_below_floor",
        |node| {
            let rules = node.policy.sev_snp.as_mut().unwrap();
            for floor in rules.products.values_mut() {
                floor.tcb.microcode = 0xD6;
            }
        },
    );
    cases.on(Tee::SevSnp, "report of a higher VMPL", "snp_vmpl", |node| {
        node.snp.vmpl = 1
    });
    cases.on(
        Tee::SevSnp,
        "no certificate of the chip",
        "snp_vek_missing",
        |node| {
            node.snp_table = None;
        },
    );
    cases.on(
        Tee::SevSnp,
        "table that has no end",
        "snp_table_unterminated",
        |node| {
            node.handed = |bundle| bundle.endorsements = vec![1; 24];
        },
    );
    cases.on(
        Tee::SevSnp,
        "more certificates than are read",
        "endorsement_invalid",
        |node| {
            let one = node.endorsements.certificates[0].clone();
            node.endorsements.certificates = vec![one; 63];
        },
    );
    cases.on(Tee::Nitro, "debug enclave", "nitro_debug", |node| {
        node.document = |document| document.set_pcr(0, &[0; 48]);
    });
    cases.on(
        Tee::Nitro,
        "document of an hour ago",
        "nitro_document_age",
        |node| {
            node.document = |document| *document.field("timestamp") = ((NOW - 3600) * 1000).into();
        },
    );
    cases.on(
        Tee::Nitro,
        "document changed after it was signed",
        "nitro_signature",
        |node| {
            node.handed = |bundle| *bundle.cpu.last_mut().unwrap() ^= 1;
        },
    );
    cases.on(
        Tee::Simulated,
        "simulated report cut short",
        "quote_invalid",
        |node| {
            node.handed = |bundle| bundle.cpu.truncate(281);
        },
    );
    cases.on(
        Tee::Simulated,
        "simulated report by another root",
        "root_not_trusted",
        |node| {
            node.handed = |bundle| bundle.cpu[281] ^= 1;
        },
    );
    // What is remembered of a machine ends too.
    cases.on(
        Tee::SevSnp,
        "chip's certificate that has ended",
        "x509_expired",
        |node| node.now = NOW + 181 * DAY as u64,
    );
    cases.on(
        Tee::Nitro,
        "enclave's certificate that has ended",
        "x509_expired",
        |node| node.now = NOW + 3 * 3600,
    );
    // All of another platform under this one's media type.
    cases.on(
        Tee::Simulated,
        "simulated report as an SNP report",
        "snp_length",
        |node| {
            node.handed = |bundle| bundle.tee = Tee::SevSnp;
        },
    );
}

pub fn gpus(cases: &mut Cases<'_>) {
    cases.tdx(
        "second of two GPUs has confidential computing off",
        "gpu_cc_off",
        |node| {
            node.gpus[1].report = |report| report.set(13, &[0; 4]);
        },
    );
    cases.tdx(
        "first of two GPUs with another driver",
        "gpu_driver_not_accepted",
        |node| {
            node.gpus[0].report = |report| report.set(3, b"580.95.06\0");
        },
    );
    cases.tdx(
        "a GPU's measurement differs",
        "gpu_measurement_mismatch",
        |node| {
            node.gpus[1].report = |report| report.blocks[22].value[0] ^= 1;
        },
    );
    cases.tdx(
        "a GPU's report is for another nonce",
        "gpu_nonce_mismatch",
        |node| {
            node.gpus[1].report = |report| report.nonce[31] ^= 1;
        },
    );
    cases.tdx("GPU evidence of an earlier boot", "gpu_nonce_mismatch", |node| {
        node.claimed = |claims| claims.boot = [5; 16];
    });
    cases.tdx(
        "GPU evidence of another node's TLS key",
        "gpu_nonce_mismatch",
        |node| {
            node.claimed = |claims| claims.pubkey_hash = [9; 32];
        },
    );
    cases.tdx("one GPU twice", "gpu_repeated", |node| node.gpus[1] = Gpu::new(0));
    cases.tdx(
        "GPU evidence is not what was claimed",
        "gpu_evidence_mismatch",
        |node| {
            node.handed = |bundle| bundle.gpu.push(b' ');
        },
    );
    cases.tdx(
        "GPUs that were claimed are not there",
        "gpu_evidence_mismatch",
        |node| {
            node.handed = |bundle| bundle.gpu.clear();
        },
    );
    cases.tdx("GPUs that weren't claimed", "gpu_evidence_mismatch", |node| {
        node.claimed = |claims| claims.gpu = ([0; 32], 0);
    });
    cases.on(
        Tee::SevSnp,
        "GPUs that weren't claimed, on SNP",
        "gpu_evidence_mismatch",
        |node| {
            node.handed = |bundle| bundle.gpu = b"[]".to_vec();
        },
    );
    cases.tdx("fewer GPUs than were claimed", "gpu_count_mismatch", |node| {
        node.claimed = |claims| claims.gpu.1 = 3;
    });
    cases.tdx("more GPUs than were claimed", "gpu_count_mismatch", |node| {
        node.claimed = |claims| claims.gpu.1 = 1;
    });
    cases.on(
        Tee::SevSnp,
        "claimed GPU evidence is no JSON",
        "gpu_evidence_malformed",
        |node| {
            node.claimed = |claims| claims.gpu = (jeju_attestation::hash::sha256(b"[{}"), 1);
            node.handed = |bundle| bundle.gpu = b"[{}".to_vec();
        },
    );
    cases.on(
        Tee::SevSnp,
        "claimed GPU evidence of no device",
        "gpu_evidence_malformed",
        |node| {
            node.claimed = |claims| claims.gpu = (jeju_attestation::hash::sha256(b"[]"), 1);
            node.handed = |bundle| bundle.gpu = b"[]".to_vec();
        },
    );
    cases.on(
        Tee::SevSnp,
        "claimed GPU evidence of more values than are read",
        "gpu_evidence_malformed",
        |node| {
            node.claimed =
                |claims| claims.gpu = (jeju_attestation::hash::sha256(many_values().as_bytes()), 1);
            node.handed = |bundle| bundle.gpu = many_values().into_bytes();
        },
    );
    cases.tdx(
        "GPUs, and a policy without rules for them",
        "gpus_not_accepted",
        |node| {
            node.policy.gpu = None;
        },
    );
    cases.tdx("fewer GPUs than the policy asks for", "gpu_count", |node| {
        node.policy.gpu.as_mut().unwrap().gpus.min = 3;
    });
    cases.tdx("more GPUs than the policy allows", "gpu_count", |node| {
        node.policy.gpu.as_mut().unwrap().gpus.max = 1;
    });
    cases.tdx("no GPU where the policy asks for one", "gpu_count", |node| {
        node.policy.gpu.as_mut().unwrap().gpus.min = 1;
        node.gpus.clear();
    });
    cases.on(
        Tee::Nitro,
        "no GPU where the policy asks for one, on Nitro",
        "gpu_count",
        |node| {
            node.policy.gpu.as_mut().unwrap().gpus.min = 1;
        },
    );
    cases.on(
        Tee::SevSnp,
        "no switch where the policy asks for one",
        "gpu_switch_count",
        |node| {
            node.policy.gpu.as_mut().unwrap().switches = 1;
        },
    );
    cases.on(
        Tee::SevSnp,
        "no links where the policy asks for them",
        "gpu_topology_not_appraised",
        |node| {
            node.policy.gpu.as_mut().unwrap().topology = true;
        },
    );
    cases.tdx("GPUs without manifests", "gpu_rim_missing", |node| {
        node.endorsements.manifests.clear()
    });
    cases.tdx(
        "GPUs of whose revocation nothing may be unknown",
        "gpu_revocation_unknown",
        |node| {
            node.policy.gpu.as_mut().unwrap().revocation_unknown = false;
        },
    );
}

pub fn log(cases: &mut Cases<'_>) {
    cases.tdx("log is not what was claimed", "event_log_mismatch", |node| {
        node.handed = |bundle| bundle.log.push(0);
    });
    cases.tdx(
        "log that was claimed is not there",
        "event_log_mismatch",
        |node| {
            node.handed = |bundle| bundle.log.clear();
        },
    );
    cases.tdx("log that wasn't claimed", "event_log_mismatch", |node| {
        node.claimed = |claims| claims.log = [0; 32];
    });
    cases.tdx("log with an event too many", "log_register_mismatch", |node| {
        let again = node.log.as_ref().unwrap().events[0].clone();
        node.log.as_mut().unwrap().events.push(again);
    });
    cases.tdx("log with an event too few", "log_register_mismatch", |node| {
        node.log.as_mut().unwrap().events.pop();
    });
    cases.tdx("log with events exchanged", "log_register_mismatch", |node| {
        node.log.as_mut().unwrap().events.swap(0, 1);
    });
    cases.tdx(
        "log that claims the launch register for itself",
        "log_register_mismatch",
        |node| {
            let event = Event::of(&[SHA384], 4, 13, b"own", b"own\0");
            node.log.as_mut().unwrap().events.push(event);
        },
    );
    cases.tdx("log whose event has other data", "log_event_data", |node| {
        node.log.as_mut().unwrap().events[3].data = vec![1; 4];
    });
    cases.tdx("log that is none", "log_truncated", |node| {
        node.claimed = |claims| claims.log = jeju_attestation::hash::sha256(b"log");
        node.handed = |bundle| bundle.log = b"log".to_vec();
    });
    cases.tdx(
        "no log where the policy asks for one",
        "event_log_missing",
        |node| {
            node.policy.require_event_log = true;
            node.log = None;
        },
    );
    for (tee, name, required) in [
        (
            Tee::SevSnp,
            "log on SNP",
            "no log on SNP, where the policy asks for one",
        ),
        (
            Tee::Nitro,
            "log on Nitro",
            "no log on Nitro, where the policy asks for one",
        ),
        (
            Tee::Simulated,
            "log on simulated silicon",
            "no log on simulated silicon",
        ),
    ] {
        cases.on(tee, name, "event_log_without_registers", |node| {
            node.log = Some(node.world.log.clone())
        });
        cases.on(tee, required, "event_log_missing", |node| {
            node.policy.require_event_log = true
        });
    }
}

fn many_values() -> String {
    format!("[{}0]", "0,".repeat(jeju_attestation::input::MAX_JSON_VALUES))
}
