//! QE identities.

use jeju_synthetic::intel::Evidence;

use serde_json::json;

use super::collateral::days;
use super::{Attempt, wrong};
use crate::cases::Negative;
use crate::intel::Bench;

pub fn qe_identity(bench: &Bench) -> Vec<Negative> {
    let v4 = |name, code, change: fn(&mut Attempt<'_>)| wrong(bench, Evidence::tdx_10, name, code, change);
    macro_rules! set {
        ($name:literal, $code:literal, $path:literal = $value:expr) => {
            v4($name, $code, |a| {
                a.evidence.collateral.qe_identity[$path] = json!($value)
            })
        };
    }
    vec![
        v4("no QE identity", "dcap_qe_identity_missing", |a| {
            a.files = |files| drop(files.remove(4))
        }),
        v4(
            "QE identity changed after signing",
            "dcap_qe_identity_signature",
            |a| {
                a.files = |files| {
                    let text = String::from_utf8(files[4].clone()).unwrap();
                    files[4] = text.replace("OutOfDate", "UpToDate").into_bytes();
                };
            },
        ),
        set!(
            "QE identity of version 1",
            "dcap_qe_identity_version",
            "version" = 1
        ),
        set!(
            "identity of the enclaves' quoting enclave",
            "dcap_qe_identity_id",
            "id" = "QE"
        ),
        set!(
            "identity of the verification enclave",
            "dcap_qe_identity_id",
            "id" = "QVE"
        ),
        set!(
            "QE identity of tomorrow",
            "dcap_qe_identity_not_yet_valid",
            "issueDate" = days(1)
        ),
        set!(
            "QE identity expired",
            "dcap_qe_identity_expired",
            "nextUpdate" = days(-1)
        ),
        set!(
            "MISCSELECT of three bytes",
            "dcap_qe_identity_format",
            "miscselect" = "000000"
        ),
        set!(
            "no levels of the quoting enclave",
            "dcap_qe_identity_format",
            "tcbLevels" = serde_json::Value::Null
        ),
        v4("QE identity longer than any", "dcap_qe_identity_format", |a| {
            a.evidence.collateral.qe_identity["note"] = json!("x".repeat(33_000));
        }),
        v4("quoting enclave of another signer", "dcap_qe_mr_signer", |a| {
            a.evidence.qe_report.mr_signer[0] ^= 1;
        }),
        v4("another enclave of Intel's", "dcap_qe_isv_prod_id", |a| {
            a.evidence.qe_report.isv_prod_id = 1
        }),
        v4("quoting enclave's MISCSELECT", "dcap_qe_misc_select", |a| {
            a.evidence.qe_report.misc_select[0] = 1;
        }),
        v4("quoting enclave under debug", "dcap_qe_attributes", |a| {
            a.evidence.qe_report.attributes[0] |= 2;
        }),
        v4(
            "quoting enclave without the provisioning key",
            "dcap_qe_attributes",
            |a| {
                a.evidence.qe_report.attributes[0] &= !0x10;
            },
        ),
        v4(
            "quoting enclave older than any level",
            "dcap_no_qe_tcb_level",
            |a| {
                a.evidence.qe_report.isv_svn = 1;
            },
        ),
    ]
}
