//! What a trust domain may be, and what it must measure to.

use jeju_attestation::hex_bytes::HexBytes;

use jeju_attestation::intel::tcb::TcbStatus;
use jeju_attestation::tdx::{Quote, Rules};
use jeju_synthetic::intel::{Evidence, TdReport};

use super::{Attempt, right, run, td, wrong};
use crate::cases::Negative;
use crate::intel::Bench;

pub fn attributes(bench: &Bench) -> Vec<Negative> {
    let v4 = |name, code, change: fn(&mut Attempt<'_>)| wrong(bench, Evidence::tdx_10, name, code, change);
    let v5 = |name, code, change: fn(&mut Attempt<'_>)| wrong(bench, Evidence::tdx_15, name, code, change);
    let bit = |name, code, bit: usize| {
        wrong(bench, Evidence::tdx_10, name, code, |a| {
            td(a).td_attributes[bit / 8] |= 1 << (bit % 8);
        })
    };
    let xfam = |name, code, bit: usize| {
        wrong(bench, Evidence::tdx_10, name, code, |a| {
            td(a).xfam[bit / 8] ^= 1 << (bit % 8)
        })
    };
    vec![
        bit("DEBUG", "tdx_debug", 0),
        bit("bit 1 of TUD", "tdx_debug", 1),
        bit("HGS_PLUS_PROF", "tdx_debug", 4),
        bit("PERF_PROF", "tdx_debug", 5),
        bit("PMT_PROF", "tdx_debug", 6),
        bit("bit 7 of TUD", "tdx_debug", 7),
        bit("first reserved bit of SEC", "tdx_attributes_reserved", 8),
        bit("a reserved bit of SEC", "tdx_attributes_reserved", 18),
        bit("last reserved bit of SEC", "tdx_attributes_reserved", 26),
        bit("first reserved bit of OTHER", "tdx_attributes_reserved", 32),
        bit("last reserved bit of OTHER", "tdx_attributes_reserved", 61),
        bit("SERVTD_EXT", "tdx_service_td_extended", 17),
        bit("MIGRATABLE", "tdx_migratable", 29),
        bit("KL", "tdx_key_locker", 31),
        bit("TPA", "tdx_provisioning_agent", 62),
        bit("PERFMON", "tdx_perfmon", 63),
        v4("SEPT_VE_DISABLE off", "tdx_sept_ve_enabled", |a| {
            td(a).td_attributes = [0; 8]
        }),
        v4("debug, and everything allowed", "tdx_debug", |a| {
            td(a).td_attributes[0] = 1;
            a.rules.sept_ve_enabled = true;
            a.rules.boot_not_measured = true;
            a.rules.migratable = true;
            a.rules.perfmon = true;
            a.rules.key_locker = true;
            a.rules.tcb.statuses = TcbStatus::ALL.to_vec();
        }),
        v5("service domain", "tdx_service_td", |a| {
            let svn = td(a).tee_tcb_svn;
            td(a).extended = Some((svn, [0x5D; 48]));
        }),
        v5(
            "another service domain than the listed one",
            "tdx_service_td",
            |a| {
                let svn = td(a).tee_tcb_svn;
                td(a).extended = Some((svn, [0x5D; 48]));
                a.rules.service_tds = vec![HexBytes([0x5E; 48])];
            },
        ),
        xfam("XFAM without x87", "tdx_xfam_fixed", 0),
        xfam("XFAM without SSE", "tdx_xfam_fixed", 1),
        xfam("XFAM with MPX", "tdx_xfam_reserved", 3),
        xfam("XFAM with HDC", "tdx_xfam_reserved", 13),
        xfam("XFAM with its last bit", "tdx_xfam_reserved", 63),
    ]
}

pub fn reference_values(bench: &Bench) -> Vec<Negative> {
    let v4 = |name, code, change: fn(&mut Attempt<'_>)| wrong(bench, Evidence::tdx_10, name, code, change);
    let id = |change: fn(&mut TdReport)| {
        let mut attempt = right(bench, Evidence::tdx_10);
        change(td(&mut attempt));
        let quote = attempt.quote_bytes();
        let mut claims = run(&attempt).expect("right evidence");
        claims.report = Quote::parse(&quote).unwrap().report;
        HexBytes(claims.measurement().0)
    };
    let reference = id(|_| {});
    let mut listed = right(bench, Evidence::tdx_10);
    listed.rules.measurements = Some(vec![reference]);
    listed.rules.modules = vec![HexBytes([0x5E; 48])];
    listed.rules.report_data = Some([0xDA; 64]);
    assert!(run(&listed).is_ok(), "listed");
    // RTMR3 is what an event log is for, and no part of the launch.
    assert_eq!(id(|report| report.rtmr[3] = [0; 48]), reference);
    let differing = |name, change: fn(&mut TdReport)| {
        wrong(bench, Evidence::tdx_10, name, "tdx_measurement_unknown", |a| {
            change(td(a));
            a.rules.measurements = Some(vec![reference]);
        })
    };
    vec![
        differing("other MRTD", |report| report.mr_td[0] ^= 1),
        differing("other RTMR0", |report| report.rtmr[0][0] ^= 1),
        differing("other RTMR1", |report| report.rtmr[1][0] ^= 1),
        differing("other RTMR2", |report| report.rtmr[2][0] ^= 1),
        differing("other XFAM", |report| report.xfam[1] ^= 2),
        differing("other TDATTRIBUTES", |report| report.td_attributes[3] |= 0x40),
        v4("no reference value", "tdx_measurement_unknown", |a| {
            a.rules.measurements = Some(Vec::new())
        }),
        v4(
            "a policy that names no measurement",
            "tdx_measurement_unknown",
            |a| {
                let policy = r#"{
                "tcb": {
                    "least_evaluation_data_number": 0,
                    "dynamic_platform": true, "cached_keys": true, "smt_enabled": true
                }
            }"#;
                a.rules = serde_json::from_str(policy).unwrap();
            },
        ),
        v4(
            "strict rules written down and read again",
            "tdx_measurement_unknown",
            |a| {
                let written = serde_json::to_string(&Rules::strict()).unwrap();
                a.rules = serde_json::from_str(&written).unwrap();
            },
        ),
        v4("MRTD of zeros", "tdx_mr_td_zero", |a| td(a).mr_td = [0; 48]),
        v4("boot not measured", "tdx_boot_not_measured", |a| {
            td(a).rtmr = [[0; 48]; 4]
        }),
        v4(
            "boot not measured, application was",
            "tdx_boot_not_measured",
            |a| {
                td(a).rtmr[..3].fill([0; 48]);
            },
        ),
        v4("TDX module not listed", "tdx_mr_seam", |a| {
            a.rules.modules = vec![HexBytes([0x5F; 48])]
        }),
        v4("REPORTDATA of another session", "tdx_report_data", |a| {
            a.rules.report_data = Some([0xDB; 64]);
        }),
    ]
}
