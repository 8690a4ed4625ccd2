//! TDX modules, TCB levels and the rules on them.

use jeju_attestation::intel::rules::ToleratedAdvisory;
use jeju_attestation::intel::tcb::TcbStatus;

use jeju_synthetic::NOW;
use jeju_synthetic::intel::Evidence;
use serde_json::json;

use super::{Attempt, right, run, td, wrong};
use crate::cases::Negative;
use crate::intel::Bench;

/// A level's status, or a list of levels.
fn status(attempt: &mut Attempt<'_>, status: &str) {
    attempt.evidence.collateral.tcb_info["tcbLevels"][0]["tcbStatus"] = json!(status);
}

pub fn module(bench: &Bench) -> Vec<Negative> {
    let v4 = |name, code, change: fn(&mut Attempt<'_>)| wrong(bench, Evidence::tdx_10, name, code, change);
    vec![
        v4("unknown version of the TDX module", "tdx_module_unknown", |a| {
            td(a).tee_tcb_svn[1] = 3
        }),
        v4(
            "no version of the TDX module is known",
            "tdx_module_unknown",
            |a| {
                a.evidence.collateral.tcb_info["tdxModuleIdentities"] = json!([]);
            },
        ),
        v4("TDX module of another signer", "tdx_module_mr_signer", |a| {
            td(a).mr_signer_seam[47] = 1
        }),
        v4("old TDX module of another signer", "tdx_module_mr_signer", |a| {
            td(a).tee_tcb_svn[..3].copy_from_slice(&[5, 0, 6]);
            td(a).mr_signer_seam[47] = 1;
        }),
        v4("TDX module's attributes", "tdx_module_attributes", |a| {
            td(a).seam_attributes[0] = 1
        }),
        v4(
            "TDX module older than any level",
            "tdx_no_module_tcb_level",
            |a| td(a).tee_tcb_svn[0] = 1,
        ),
        v4("no TDX module measured", "tdx_mr_seam_zero", |a| {
            td(a).mr_seam = [0; 48]
        }),
        v4(
            "signer of a TDX module even if listed",
            "tdx_mr_signer_seam",
            |a| {
                td(a).mr_signer_seam = [0x0A; 48];
                let identities = &mut a.evidence.collateral.tcb_info["tdxModuleIdentities"];
                identities[0]["mrsigner"] = json!("0a".repeat(48));
            },
        ),
        v4(
            "TDX module's attributes outside the mask",
            "tdx_seam_attributes",
            |a| {
                td(a).seam_attributes[7] = 0x80;
                let identities = &mut a.evidence.collateral.tcb_info["tdxModuleIdentities"];
                identities[0]["attributesMask"] = json!("00".repeat(8));
            },
        ),
        v4("SGX components below each level", "dcap_no_tcb_level", |a| {
            a.evidence.extension.components[15] = 0;
        }),
        v4("PCE below each level", "dcap_no_tcb_level", |a| {
            a.evidence.extension.pce_svn = 4
        }),
        v4(
            "microcode of the domain below each level",
            "dcap_no_tcb_level",
            |a| td(a).tee_tcb_svn[2] = 1,
        ),
        v4("old TDX module below each level", "dcap_no_tcb_level", |a| {
            td(a).tee_tcb_svn[..3].copy_from_slice(&[0, 0, 6]);
        }),
    ]
}

pub fn statuses(bench: &Bench) -> Vec<Negative> {
    let v4 = |name, code, change: fn(&mut Attempt<'_>)| wrong(bench, Evidence::tdx_10, name, code, change);
    let v5 = |name, code, change: fn(&mut Attempt<'_>)| wrong(bench, Evidence::tdx_15, name, code, change);
    /// Launched under an old module, while the current one is at these SVNs.
    fn kept(attempt: &mut Attempt<'_>, current: [u8; 3]) {
        let report = td(attempt);
        report.tee_tcb_svn[0] = 4;
        let mut svn = report.tee_tcb_svn;
        svn[..3].copy_from_slice(&current);
        report.extended = Some((svn, [0; 48]));
    }
    vec![
        v4("platform out of date", "dcap_tcb_out_of_date", |a| {
            a.evidence.extension.components[7] = 3
        }),
        v4("PCE out of date", "dcap_tcb_out_of_date", |a| {
            a.evidence.extension.pce_svn = 10
        }),
        v4(
            "microcode of the domain out of date",
            "dcap_tcb_out_of_date",
            |a| td(a).tee_tcb_svn[2] = 4,
        ),
        v4("TDX module out of date", "dcap_tcb_out_of_date", |a| {
            td(a).tee_tcb_svn[0] = 6
        }),
        v4("quoting enclave out of date", "dcap_tcb_out_of_date", |a| {
            a.evidence.qe_report.isv_svn = 5
        }),
        v4(
            "platform out of date, module current",
            "dcap_tcb_out_of_date",
            |a| {
                a.evidence.extension.components = [4; 16];
                td(a).tee_tcb_svn[0] = 9;
            },
        ),
        v4("platform revoked", "dcap_tcb_revoked", |a| {
            a.evidence.extension.components = [1; 16]
        }),
        v4("TDX module revoked", "dcap_tcb_revoked", |a| {
            td(a).tee_tcb_svn[0] = 2
        }),
        v4("quoting enclave revoked", "dcap_tcb_revoked", |a| {
            a.evidence.qe_report.isv_svn = 2
        }),
        v4("revoked, and the policy names it", "dcap_tcb_revoked", |a| {
            a.evidence.qe_report.isv_svn = 2;
            a.rules.tcb.statuses = TcbStatus::ALL.to_vec();
        }),
        v5("current TDX module revoked", "dcap_tcb_revoked", |a| {
            let mut svn = td(a).tee_tcb_svn;
            svn[0] = 2;
            td(a).extended = Some((svn, [0; 48]));
        }),
        v4("hardening needed", "dcap_tcb_sw_hardening_needed", |a| {
            status(a, "SWHardeningNeeded")
        }),
        v4("configuration needed", "dcap_tcb_configuration_needed", |a| {
            status(a, "ConfigurationNeeded")
        }),
        v4(
            "configuration and hardening needed",
            "dcap_tcb_configuration_and_sw_hardening_needed",
            |a| status(a, "ConfigurationAndSWHardeningNeeded"),
        ),
        v4(
            "out of date, configuration needed",
            "dcap_tcb_out_of_date_configuration_needed",
            |a| status(a, "OutOfDateConfigurationNeeded"),
        ),
        v4(
            "configuration needed, module out of date",
            "dcap_tcb_out_of_date_configuration_needed",
            |a| {
                status(a, "ConfigurationNeeded");
                td(a).tee_tcb_svn[0] = 6;
            },
        ),
        v5(
            "launched before a module update",
            "dcap_tcb_td_relaunch_advised",
            |a| kept(a, [7, 1, 6]),
        ),
        v5(
            "launched before a module update, configuration needed",
            "dcap_tcb_td_relaunch_advised_configuration_needed",
            |a| {
                kept(a, [7, 1, 6]);
                status(a, "ConfigurationAndSWHardeningNeeded");
            },
        ),
        v5(
            "launched before an update that isn't the latest",
            "dcap_tcb_out_of_date",
            |a| {
                kept(a, [6, 1, 6]);
            },
        ),
        v5(
            "launched before an update, old microcode",
            "dcap_tcb_out_of_date",
            |a| kept(a, [7, 1, 5]),
        ),
        v5(
            "launched before an update, quoting enclave old",
            "dcap_tcb_out_of_date",
            |a| {
                kept(a, [7, 1, 6]);
                a.evidence.qe_report.isv_svn = 4;
            },
        ),
        v5(
            "launched before an update, platform old",
            "dcap_tcb_out_of_date",
            |a| {
                kept(a, [7, 1, 6]);
                a.evidence.extension.pce_svn = 10;
            },
        ),
        v5(
            "launched before an update to an unknown module",
            "tdx_module_unknown",
            |a| kept(a, [7, 3, 6]),
        ),
    ]
}

pub fn platform_rules(bench: &Bench) -> Vec<Negative> {
    let v4 = |name, code, change: fn(&mut Attempt<'_>)| wrong(bench, Evidence::tdx_10, name, code, change);
    fn tolerated(attempt: &mut Attempt<'_>, until: u64) {
        td(attempt).tee_tcb_svn[0] = 6;
        attempt.rules.tcb.statuses = vec![TcbStatus::OutOfDate];
        let id = "INTEL-SA-90001".to_owned();
        attempt.rules.tcb.tolerated_advisories = vec![ToleratedAdvisory { id, until }];
    }
    let mut tolerable = right(bench, Evidence::tdx_10);
    tolerated(&mut tolerable, NOW);
    assert!(run(&tolerable).is_ok(), "tolerated until now");
    vec![
        v4(
            "status accepted, advisory not",
            "dcap_advisory_not_tolerated",
            |a| {
                tolerated(a, NOW);
                a.rules.tcb.tolerated_advisories.clear();
            },
        ),
        v4(
            "one of two advisories tolerated",
            "dcap_advisory_not_tolerated",
            |a| {
                tolerated(a, NOW);
                a.evidence.qe_report.isv_svn = 4;
            },
        ),
        v4("advisory tolerated for too long", "dcap_advisory_overdue", |a| {
            tolerated(a, NOW - 1)
        }),
        v4("advisory tolerated, status not", "dcap_tcb_out_of_date", |a| {
            tolerated(a, NOW);
            a.rules.tcb.statuses = vec![TcbStatus::SWHardeningNeeded];
        }),
        v4(
            "collateral from before a recovery event",
            "dcap_evaluation_data_number",
            |a| {
                a.rules.tcb.least_evaluation_data_number = 21;
            },
        ),
        v4(
            "QE identity from before a recovery event",
            "dcap_evaluation_data_number",
            |a| {
                a.rules.tcb.least_evaluation_data_number = 20;
                a.evidence.collateral.qe_identity["tcbEvaluationDataNumber"] = json!(19);
            },
        ),
        v4("dynamic platform", "dcap_dynamic_platform", |a| {
            a.rules.tcb.dynamic_platform = false
        }),
        v4("cached keys", "dcap_cached_keys", |a| {
            a.rules.tcb.cached_keys = false
        }),
        v4("multithreading", "dcap_smt_enabled", |a| {
            a.rules.tcb.smt_enabled = false
        }),
    ]
}
