//! Revocation lists and TCB infos.

use std::sync::Arc;

use jeju_synthetic::certificate::{name, usage};
use jeju_synthetic::intel::{Evidence, PCK};
use jeju_synthetic::{DAY, NOW, der};
use serde_json::json;

use super::{Attempt, wrong};
use crate::cases::Negative;
use crate::intel::Bench;

pub fn days(days: i64) -> String {
    der::rfc3339(NOW as i64 + days * DAY)
}

pub fn revocation(bench: &Bench) -> Vec<Negative> {
    let v4 = |name, code, change: fn(&mut Attempt<'_>)| wrong(bench, Evidence::tdx_10, name, code, change);
    vec![
        v4("no list of the root", "dcap_root_crl_missing", |a| {
            a.files = |files| drop(files.remove(0))
        }),
        v4("no list of the PCK authority", "dcap_pck_crl_missing", |a| {
            a.files = |files| drop(files.remove(1));
        }),
        v4("list of the other PCK authority", "dcap_pck_crl_missing", |a| {
            a.evidence.collateral.pck_crl.issuer = name("Intel SGX PCK Processor CA");
        }),
        v4("root's list changed after signing", "crl_signature", |a| {
            a.files = |files| {
                let at = files[0].len() - 1;
                files[0][at] ^= 1;
            };
        }),
        v4("authority's list changed after signing", "crl_signature", |a| {
            a.files = |files| {
                let at = files[1].len() - 1;
                files[1][at] ^= 1;
            };
        }),
        v4("root's list expired", "crl_expired", |a| {
            a.evidence.collateral.root_crl.next_update = Some(NOW as i64 - 1);
        }),
        v4("authority's list expired", "crl_expired", |a| {
            a.evidence.collateral.pck_crl.next_update = Some(NOW as i64 - 1);
        }),
        v4("root's list of tomorrow", "crl_not_yet_valid", |a| {
            a.evidence.collateral.root_crl.this_update = NOW as i64 + 1;
        }),
        v4("authority's list of tomorrow", "crl_not_yet_valid", |a| {
            a.evidence.collateral.pck_crl.this_update = NOW as i64 + 1;
        }),
        v4("list without an end", "crl_form", |a| {
            a.evidence.collateral.pck_crl.next_update = None
        }),
        v4("PCK certificate revoked", "x509_revoked", |a| {
            a.evidence.collateral.pck_crl.revoked = vec![vec![0x10], vec![0x11, 0x11]];
        }),
        v4("PCK authority revoked", "x509_revoked", |a| {
            a.evidence.collateral.root_crl.revoked = vec![vec![0x22, 0x22]];
        }),
        v4("collateral's signer revoked", "x509_revoked", |a| {
            a.evidence.collateral.root_crl.revoked = vec![vec![0x33, 0x33]];
        }),
        v4(
            "PCK certificate revoked in the newer of two lists",
            "x509_revoked",
            |a| {
                let mut older = a.evidence.collateral.pck_crl.clone();
                older.this_update -= 1;
                a.extra = vec![older.sign(&a.signing.ca)];
                a.evidence.collateral.pck_crl.revoked = vec![vec![0x11, 0x11]];
            },
        ),
    ]
}

pub fn tcb_info(bench: &Bench) -> Vec<Negative> {
    let v4 = |name, code, change: fn(&mut Attempt<'_>)| wrong(bench, Evidence::tdx_10, name, code, change);
    macro_rules! set {
        ($name:literal, $code:literal, $($path:literal)/+ = $value:expr) => {
            v4($name, $code, |a| a.evidence.collateral.tcb_info$([$path])+ = json!($value))
        };
    }
    vec![
        v4("no TCB info", "dcap_tcb_info_missing", |a| {
            a.files = |files| drop(files.remove(3))
        }),
        v4(
            "no certificate of the signer",
            "dcap_signing_certificate_missing",
            |a| {
                a.files = |files| drop(files.remove(2));
            },
        ),
        v4(
            "signer of another name",
            "dcap_signing_certificate_missing",
            |a| {
                a.evidence.collateral.signer.subject = name(PCK);
            },
        ),
        v4("TCB info signed by another key", "dcap_tcb_info_signature", |a| {
            a.signing.signer = Arc::clone(&a.bench.other.signer);
        }),
        v4("TCB info changed after signing", "dcap_tcb_info_signature", |a| {
            a.files = |files| {
                let text = String::from_utf8(files[3].clone()).unwrap();
                files[3] = text.replace("OutOfDate", "UpToDate").into_bytes();
            };
        }),
        v4("TCB info's signature cut", "dcap_tcb_info_signature", |a| {
            a.files = |files| {
                let at = files[3].len() - 4;
                files[3].drain(at..at + 2);
            };
        }),
        v4("signer not signed by the root", "x509_signature", |a| {
            a.files = |files| {
                let at = files[2].len() - 1;
                files[2][at] ^= 1;
            };
        }),
        v4("signer of another issuer", "x509_untrusted_root", |a| {
            a.evidence.collateral.signer.issuer = name("Somebody's Root");
        }),
        v4("signer expired", "x509_expired", |a| {
            a.evidence.collateral.signer.not_after = NOW as i64 - 1;
        }),
        v4("signer not yet valid", "x509_not_yet_valid", |a| {
            a.evidence.collateral.signer.not_before = NOW as i64 + 1;
        }),
        v4("signer that is an authority", "x509_leaf_is_ca", |a| {
            a.evidence.collateral.signer.authority = Some(None);
        }),
        v4("signer that may not sign", "x509_key_usage", |a| {
            a.evidence.collateral.signer.usage = usage::CERTIFICATES;
        }),
        set!("TCB info of version 2", "dcap_tcb_info_version", "version" = 2),
        set!("TCB info of version 4", "dcap_tcb_info_version", "version" = 4),
        v4(
            "TCB info of version 2, with its fields",
            "dcap_tcb_info_version",
            |a| {
                let tcb_info = &mut a.evidence.collateral.tcb_info;
                tcb_info["version"] = json!(2);
                tcb_info["tcbLevels"] = json!([{ "tcb": { "sgxtcbcomp01svn": 5, "pcesvn": 11 } }]);
            },
        ),
        set!("an enclave's TCB info", "dcap_tcb_info_id", "id" = "SGX"),
        set!("unknown tcbType", "dcap_tcb_type", "tcbType" = 1),
        set!(
            "TCB info of another platform",
            "dcap_fmspc",
            "fmspc" = "102030405061"
        ),
        set!("TCB info of another PCE", "dcap_pce_id", "pceId" = "0001"),
        set!(
            "TCB info of tomorrow",
            "dcap_tcb_info_not_yet_valid",
            "issueDate" = days(1)
        ),
        set!(
            "TCB info expired",
            "dcap_tcb_info_expired",
            "nextUpdate" = days(-1)
        ),
        set!(
            "issueDate with a time zone",
            "dcap_tcb_info_format",
            "issueDate" = "2025-12-31T00:00:00+01:00"
        ),
        set!(
            "nextUpdate on no day",
            "dcap_tcb_info_format",
            "nextUpdate" = "2026-02-30T00:00:00Z"
        ),
        set!(
            "FMSPC of five bytes",
            "dcap_tcb_info_format",
            "fmspc" = "1020304050"
        ),
        set!("no levels", "dcap_tcb_info_format", "tcbLevels" = [0u8; 0]),
        set!(
            "no TDX module",
            "dcap_tcb_info_format",
            "tdxModule" = serde_json::Value::Null
        ),
        set!(
            "unknown tcbStatus",
            "dcap_tcb_info_format",
            "tcbLevels" / 0 / "tcbStatus" = "Fine"
        ),
        set!(
            "relaunch as a level's status",
            "dcap_tcb_info_format",
            "tcbLevels" / 0 / "tcbStatus" = "TDRelaunchAdvised"
        ),
        set!(
            "a level without TDX components",
            "dcap_tcb_info_format",
            "tcbLevels" / 2 / "tcb" / "tdxtcbcomponents" = serde_json::Value::Null
        ),
        set!(
            "fifteen components",
            "dcap_tcb_info_format",
            "tcbLevels" / 0 / "tcb" / "sgxtcbcomponents" = vec![json!({ "svn": 1 }); 15]
        ),
        set!(
            "SVN above 255",
            "dcap_tcb_info_format",
            "tcbLevels" / 0 / "tcb" / "sgxtcbcomponents" / 3 / "svn" = 256
        ),
        set!(
            "more advisories than any level has",
            "dcap_tcb_info_format",
            "tcbLevels" / 1 / "advisoryIDs" = vec!["INTEL-SA-90002"; 257]
        ),
        v4("TCB info longer than any", "dcap_tcb_info_format", |a| {
            a.evidence.collateral.tcb_info["note"] = json!("x".repeat(130_000));
        }),
        v4(
            "old TCB info beside an expired newer one",
            "dcap_evaluation_data_number",
            |a| {
                a.rules.tcb.least_evaluation_data_number = 20;
                a.evidence.collateral.tcb_info["tcbEvaluationDataNumber"] = json!(19);
            },
        ),
    ]
}
