//! Logs that are well formed, and not those of the registers.

use super::*;

/// Cases.
pub fn add(table: &mut Table) {
    let right = ccel().bytes();
    table.add(
        "event left out",
        "log_register_mismatch",
        changed_ccel(&|log| drop(log.events.remove(6))),
    );
    table.add(
        "event added",
        "log_register_mismatch",
        changed_ccel(&|log| {
            log.events.push(Event::of(&CC, 3, 13, b"more", b"more"));
        }),
    );
    table.add(
        "events exchanged",
        "log_register_mismatch",
        changed_ccel(&|log| log.events.swap(5, 6)),
    );
    table.add(
        "event moved to another register",
        "log_register_mismatch",
        changed_ccel(&|log| log.events[5].register = 2),
    );
    table.add(
        "digest changed",
        "log_register_mismatch",
        changed_ccel(&|log| log.events[6].digests[0].1[0] ^= 1),
    );
    table.add(
        "event hidden as EV_NO_ACTION",
        "log_no_action_digest",
        changed_ccel(&|log| log.events[6].event_type = 3),
    );
    table.add(
        "no events",
        "log_register_mismatch",
        changed_ccel(&|log| log.events.clear()),
    );
    table.add(
        "events for RTMR3, which is zero",
        "log_register_mismatch",
        changed_ccel(&|log| {
            log.events.push(Event::of(&CC, 4, 4, &[0; 4], &[0; 4]));
        }),
    );
    table.add(
        "digest changed in the compared bank",
        "log_register_mismatch",
        changed_tpm(&|log| {
            log.events[6].digests[1].1[0] ^= 1;
        }),
    );
    table.add(
        "PCR that wasn't quoted",
        "log_register_absent",
        changed_tpm(&|log| {
            log.events.push(Event::of(&TPM, 14, 13, b"MokList", b"MokList\0"));
        }),
    );
    let parsed = EventLog::parse(Kind::Tpm, &tpm().bytes()).unwrap();
    let compare = |bank, values: &BTreeMap<u32, Vec<u8>>| code(check_pcrs(&parsed, bank, values));
    table.add(
        "no values",
        "log_nothing_to_compare",
        compare(Algorithm::Sha256, &BTreeMap::new()),
    );
    table.add(
        "values of the SHA-1 bank",
        "log_bank_absent",
        compare(Algorithm::Sha1, &pcrs()),
    );
    table.add(
        "values of a bank that isn't there",
        "log_bank_absent",
        compare(Algorithm::Sha512, &pcrs()),
    );
    table.add(
        "values of another bank",
        "log_register_mismatch",
        compare(Algorithm::Sha384, &pcrs()),
    );
    let mut more = pcrs();
    more.insert(7, vec![1; 32]);
    table.add(
        "PCR7 without events",
        "log_register_mismatch",
        compare(Algorithm::Sha256, &more),
    );
    let mut longer = pcrs();
    longer.get_mut(&0).unwrap().push(0);
    table.add(
        "PCR of 33 bytes",
        "log_register_mismatch",
        compare(Algorithm::Sha256, &longer),
    );
    table.add(
        "log of a TPM for a TD",
        "log_other_kind",
        code(check_rtmrs(&parsed, &rtmrs())),
    );
    let td = EventLog::parse(Kind::Ccel, &right).unwrap();
    table.add(
        "log of a TD for a TPM",
        "log_other_kind",
        code(check_pcrs(&td, Algorithm::Sha384, &pcrs())),
    );
    let sha256 = Log::boot(&[SHA256], [1, 2, 3]).bytes();
    let sha256 = EventLog::parse(Kind::Ccel, &sha256).and_then(|log| check_rtmrs(&log, &rtmrs()));
    table.add("TD's log without SHA-384", "log_bank_absent", code(sha256));
}
