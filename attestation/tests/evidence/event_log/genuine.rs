//! Logs that others recorded, replayed against the registers of the quotes that came with them.

use serde_json::Value;

use super::*;

/// A log that came with a quote.
pub struct GenuineLog {
    /// File of the log, relative to the folder of vectors.
    pub name: &'static str,
    /// Kind of the log.
    pub kind: Kind,
    /// The log, without what its file wraps it in.
    pub evidence: Vec<u8>,
    /// RTMR0 to RTMR3 of the quote.
    pub rtmrs: [[u8; 48]; 4],
}

/// Every recorded log whose quote was recorded too; empty where the vectors are absent.
pub fn genuine() -> Vec<GenuineLog> {
    let google = || {
        let name = "tdx/google-cos113-ccel/ccel_data.dat";
        Some(GenuineLog {
            name,
            kind: Kind::Ccel,
            evidence: vectors::read(name, 1)?,
            rtmrs: rtmrs(&vectors::read("tdx/google-cos113-ccel/cos-113-tdx-quote.dat", 0)?),
        })
    };
    let dstack = |name| {
        let report: Value = serde_json::from_slice(&vectors::read(name, 1)?).unwrap();
        let form = event_log::read(&report).unwrap();
        Some(GenuineLog {
            name,
            kind: form.kind,
            evidence: form.evidence,
            rtmrs: rtmrs(&hex::decode(report["quote"].as_str().unwrap()).unwrap()),
        })
    };
    let logs = [
        google(),
        dstack("tdx/dstack/quote-report.json"),
        // Shortened: no payloads of firmware's events, no digests of dstack's own.
        dstack("tdx/dstack/tdx-lite-getquote.json"),
    ];
    logs.into_iter().flatten().collect()
}

/// Header of a quote v4 (48 bytes), then RTMR0 to RTMR3 at byte 328 of the TD's report body.
fn rtmrs(quote: &[u8]) -> [[u8; 48]; 4] {
    core::array::from_fn(|index| {
        let at = 48 + 328 + 48 * index;
        quote[at..at + 48].try_into().unwrap()
    })
}

fn count(log: &EventLog, binding: Binding) -> usize {
    log.events()
        .iter()
        .filter(|event| event.binding == binding)
        .count()
}

#[test]
fn ccel_of_google_gives_the_rtmrs_of_its_quote() {
    let Some(GenuineLog {
        evidence: log, rtmrs, ..
    }) = genuine().into_iter().next()
    else {
        return;
    };
    let parsed = EventLog::parse(Kind::Ccel, &log).unwrap();
    let component = check_rtmrs(&parsed, &rtmrs).unwrap();
    assert_eq!(component.kind, "event-log");
    assert_eq!(component.checks.len(), 4 + parsed.events().len());
    assert!(component.checks[3].value.ends_with("(no events)"));
    let bindings = [
        (Binding::Data, 13),
        (Binding::VariableValue, 3),
        (Binding::Command, 15),
        (Binding::Digest, 12),
        (Binding::NotExtended, 0),
    ];
    for (binding, events) in bindings {
        assert_eq!(count(&parsed, binding), events, "{binding:?}");
    }
    let command = component
        .checks
        .iter()
        .find(|check| check.value.contains("kernel_cmdline"));
    assert_eq!(command.unwrap().check, Binding::Command.describe());
    // Every byte of it counts but the padding: a change is refused, or shows in a register, or is one of a label's.
    let mut labels = 0;
    for at in (0..log.len() - 64).step_by(7) {
        let mut changed = log.clone();
        changed[at] ^= 0x20;
        let checked = EventLog::parse(Kind::Ccel, &changed).and_then(|log| {
            check_rtmrs(&log, &rtmrs)?;
            Ok(log)
        });
        if let Ok(changed) = checked {
            labels += 1;
            for (event, right) in changed.events().iter().zip(parsed.events()) {
                assert_eq!((event.register, &event.digests), (right.register, &right.digests));
                let bound = event.binding == Binding::Data && right.binding == Binding::Data;
                assert!(!bound || event.data == right.data, "byte {at}");
            }
        }
        assert!(
            EventLog::parse(Kind::Ccel, &log[..at]).map_or(true, |log| check_rtmrs(&log, &rtmrs).is_err()),
            "{at} bytes"
        );
    }
    assert!(
        labels > 0,
        "labels aren't bound, and the test should have met one"
    );
}

#[test]
fn ccel_of_ovmf_replays() {
    let Some(log) = vectors::read("tdx/trustee-ovmf-eventlog/CCEL_data_ovmf", 1) else {
        return;
    };
    let log = EventLog::parse(Kind::Ccel, &log).unwrap();
    assert_eq!(log.events().len(), 20);
    let registers = replay(&log);
    // Computed with Python's hashlib from the same file.
    let expected = [
        "8566f998798db09443b244c62de9a3041fb02e2e6936c4396d784bba2e90177329ec5aba3bb484404f2ab9cc90abe193",
        "775b9f6bfe99f8a31396f0d0218e67ffa796d3b96ccf961cbb0deba48c79c00f082cda1a5567c1c16305f1fc210c13c6",
        "94eaf7a7bf398ed8d888c91057ae0261802e4f3df084213a76ca7f0b5055ac9d2241de43cd58d9e8b49c503bbf25f34a",
    ];
    for (index, expected) in (0..).zip(expected) {
        assert_eq!(
            hex::encode(registers.value(Algorithm::Sha384, index).unwrap()),
            expected
        );
    }
    assert_eq!(registers.value(Algorithm::Sha384, 3), Some(vec![0; 48]));
    assert_eq!(registers.value(Algorithm::Sha256, 0), None);
}

#[test]
fn logs_of_google_tpms_replay() {
    // PCR0, PCR4 and PCR8 in the SHA-256 bank, computed with Python's hashlib from the same files.
    let cases = [
        (
            "gcp-vtpm/go-tpm-tools/cos-101-amd-sev.bin",
            48,
            [
                "0f35c214608d93c7a6e68ae7359b4a8be5a0e99eea9107ece427c4dea4e439cf",
                "6d9f1a1d461cf77517e8d4c488c53f338a71c5a8e2b81ab7011c14f72cbc9a80",
                "ebb7c847c4ade99849bcffca236d32331224a530087a7ae4cb9f7db4c2e571b5",
            ],
        ),
        (
            "gcp-vtpm/go-tpm-tools/ubuntu-2404-amd-sevsnp.bin",
            116,
            [
                "50597a27846e91d025eef597abbc89f72bff9af849094db97b0684d8bc4c515e",
                "abe8b3fa6aecb36c2fd93c6f6edde661c21b353d007410a2739d69bfa7e1b9be",
                "6932a3f71dc55ad3c1a6ac2196eeac26a1b7164b6bbfa106625d94088ec3ecc3",
            ],
        ),
    ];
    for (name, events, expected) in cases {
        let Some(log) = vectors::read(name, 1) else { return };
        let log = EventLog::parse(Kind::Tpm, &log).unwrap();
        assert_eq!(log.events().len(), events, "{name}");
        assert_eq!(
            log.banks(),
            [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha384]
        );
        let registers = replay(&log);
        for (index, expected) in [0, 4, 8].into_iter().zip(expected) {
            let value = registers.value(Algorithm::Sha256, index).unwrap();
            assert_eq!(hex::encode(value), expected, "{name} PCR{index}");
        }
        // SHA-1 is read, and never a ground for anything.
        assert_eq!(registers.value(Algorithm::Sha1, 0), None);
        let values = |bank| {
            let extended = registers.extended(bank);
            extended
                .map(|index| (index, registers.value(bank, index).unwrap()))
                .collect()
        };
        let component = check_pcrs(&log, Algorithm::Sha384, &values(Algorithm::Sha384)).unwrap();
        assert!(
            component
                .checks
                .iter()
                .any(|check| check.claim == "EV_S_CRTM_VERSION")
        );
        let refused = check_pcrs(&log, Algorithm::Sha1, &values(Algorithm::Sha256)).unwrap_err();
        assert_eq!(refused.code(), "log_bank_absent");
        assert_eq!(event_log::fields(&log).len(), events);
    }
}

#[test]
fn logs_give_the_rtmrs_of_their_quotes() {
    let cases = genuine();
    for case in &cases {
        let log = EventLog::parse(case.kind, &case.evidence).unwrap();
        let component = check_rtmrs(&log, &case.rtmrs).unwrap();
        assert_eq!(component.checks.len(), 4 + log.events().len(), "{}", case.name);
        // Each register counts.
        for index in 0..4 {
            let mut other = case.rtmrs;
            other[index][47] ^= 1;
            let refused = check_rtmrs(&log, &other).unwrap_err();
            let named = format!("RTMR{index}");
            assert!(matches!(&refused, LogError::Mismatch { register, .. } if *register == named));
        }
    }
    for (case, application) in cases.iter().skip(1).zip([
        "3763bc34552cf3a27ff71ad5f7a90471562a1a2d",
        "86b0e55f2fa8e4fb69d890f14f54d5612707646e",
    ]) {
        let log = EventLog::parse(case.kind, &case.evidence).unwrap();
        let mut ids = log
            .events()
            .iter()
            .filter(|event| event.name.as_deref() == Some("app-id"));
        let id = ids.next().unwrap();
        assert_eq!(
            (hex::encode(&id.data).as_str(), id.binding),
            (application, Binding::Event)
        );
        // The array itself, in the place of its text.
        let events: Value = serde_json::from_slice(&case.evidence).unwrap();
        let again = event_log::read(&serde_json::json!({ "event_log": events })).unwrap();
        assert_eq!(EventLog::parse(again.kind, &again.evidence).unwrap(), log);
    }
    assert!(cases.is_empty() || cases.len() == 3);
}

/// Confidential Containers' evidence has the CCEL area in base64.
#[test]
fn ccel_in_a_form() {
    use base64::Engine;
    let log = base64::engine::general_purpose::STANDARD.encode([1, 2, 3]);
    let form = event_log::read(&serde_json::json!({ "quote": "", "cc_eventlog": log })).unwrap();
    assert_eq!((form.kind, form.evidence), (Kind::Ccel, vec![1, 2, 3]));
    for other in [
        serde_json::json!({ "cc_eventlog": "?" }),
        serde_json::json!({ "event_log": "x" }),
    ] {
        assert_eq!(event_log::read(&other), None);
    }
}
