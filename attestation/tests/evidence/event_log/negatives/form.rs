//! The binary form.

use super::*;

/// Cases.
pub fn add(table: &mut Table) {
    let right = ccel().bytes();
    table.add(
        "longer than 1 MiB",
        "log_too_long",
        parsed(Kind::Ccel, &vec![0; 1024 * 1024 + 1]),
    );
    table.add(
        "JSON longer than 1 MiB",
        "log_too_long",
        parsed(Kind::Dstack, &vec![b' '; 1024 * 1024 + 1]),
    );
    let many = changed_ccel(&|log| {
        log.events = vec![Event::of(&CC, 1, 4, &[0; 4], &[0; 4]); event_log::MAX_EVENTS + 1];
    });
    table.add("4097 events", "log_too_many_events", many);
    let json: Vec<Value> = vec![dstack()[0].clone(); event_log::MAX_EVENTS + 1];
    table.add(
        "4097 events in JSON",
        "log_too_many_events",
        verdict_dstack(&Value::Array(json)),
    );
    table.add("empty", "log_truncated", parsed(Kind::Ccel, &[]));
    table.add(
        "cut in the first event",
        "log_truncated",
        parsed(Kind::Ccel, &right[..20]),
    );
    table.add(
        "cut in an event's head",
        "log_truncated",
        parsed(Kind::Ccel, &right[..65 + 6]),
    );
    table.add(
        "cut in a digest",
        "log_truncated",
        parsed(Kind::Ccel, &right[..65 + 30]),
    );
    table.add(
        "cut before an event's size",
        "log_truncated",
        parsed(Kind::Ccel, &right[..65 + 12 + 50 + 2]),
    );
    table.add(
        "cut in an event's data",
        "log_event_size",
        parsed(Kind::Ccel, &right[..right.len() - 1]),
    );
    table.add(
        "size of 4 GiB",
        "log_event_size",
        changed_ccel(&|log| log.events[1].size = Some(u32::MAX)),
    );
    table.add("size of the first event", "log_event_size", {
        let mut bytes = right.clone();
        bytes[28..32].copy_from_slice(&u32::MAX.to_le_bytes());
        parsed(Kind::Ccel, &bytes)
    });
    table.add(
        "first event is a separator",
        "log_no_spec_id",
        changed_ccel(&|log| log.first_type = 4),
    );
    table.add(
        "log of TCG 1.2",
        "log_no_spec_id",
        changed_ccel(&|log| log.signature = *b"Spec ID Event02\0"),
    );
    let mut digested = right.clone();
    digested[10] = 1;
    table.add(
        "first event has a digest",
        "log_no_spec_id",
        parsed(Kind::Ccel, &digested),
    );
    table.add(
        "gzip",
        "log_no_spec_id",
        parsed(Kind::Ccel, &[0x1F, 0x8B].repeat(32)),
    );
    table.add(
        "version 3.0",
        "log_spec_id",
        changed_ccel(&|log| log.version = [0, 3]),
    );
    table.add("no banks", "log_spec_id", changed_ccel(&|log| log.banks.clear()));
    table.add(
        "4 billion banks",
        "log_spec_id",
        changed_ccel(&|log| log.bank_count = Some(u32::MAX)),
    );
    table.add(
        "a bank more than there is",
        "log_spec_id",
        changed_ccel(&|log| log.bank_count = Some(2)),
    );
    table.add(
        "vendor's data are cut",
        "log_spec_id",
        changed_ccel(&|log| log.vendor_size = 1),
    );
    table.add(
        "vendor's data too long",
        "log_spec_id",
        changed_ccel(&|log| log.vendor.push(1)),
    );
    table.add(
        "SHA3-256",
        "log_algorithm",
        changed_ccel(&|log| log.banks[0].0 = 0x0027),
    );
    table.add(
        "digest of another bank",
        "log_algorithm",
        changed_ccel(&|log| log.events[0].digests[0].0 = SHA256),
    );
    table.add(
        "SHA-384 of 32 bytes",
        "log_algorithm_length",
        changed_ccel(&|log| log.banks[0].1 = 32),
    );
    table.add(
        "SHA-384 twice",
        "log_duplicate_bank",
        changed_ccel(&|log| log.banks.push((SHA384, 48))),
    );
    table.add(
        "SHA-1 only",
        "log_weak_banks",
        verdict_tpm(&Log::boot(&[SHA1], [0, 4, 8])),
    );
    table.add(
        "event without digests",
        "log_digest_count",
        changed_ccel(&|log| log.events[2].digests.clear()),
    );
    table.add(
        "event with a digest too much",
        "log_digest_count",
        changed_ccel(&|log| {
            let again = log.events[2].digests[0].clone();
            log.events[2].digests.push(again);
        }),
    );
    table.add(
        "event with a digest too few",
        "log_digest_count",
        changed_tpm(&|log| drop(log.events[2].digests.pop())),
    );
    table.add(
        "SHA-256 in the place of SHA-384",
        "log_digest_missing",
        changed_tpm(&|log| {
            let again = log.events[2].digests[1].clone();
            log.events[2].digests[2] = again;
        }),
    );
    table.add(
        "MRTD extended",
        "log_register",
        changed_ccel(&|log| log.events[0].register = 0),
    );
    table.add(
        "fifth RTMR",
        "log_register",
        changed_ccel(&|log| log.events[0].register = 5),
    );
    table.add(
        "PCR24",
        "log_register",
        changed_tpm(&|log| log.events[0].register = 24),
    );
    table.add(
        "last register there can be",
        "log_register",
        changed_tpm(&|log| log.events[0].register = u32::MAX),
    );
    table.add(
        "garbage behind padding",
        "log_trailing_bytes",
        changed_ccel(&|log| {
            log.padding = vec![0xFF; 64];
            log.padding.push(0);
        }),
    );
    table.add(
        "a log behind padding",
        "log_trailing_bytes",
        changed_ccel(&|log| {
            log.padding = vec![0; 64];
            log.padding.extend(ccel().bytes());
        }),
    );
    table.add(
        "garbage behind the log",
        "log_digest_count",
        changed_ccel(&|log| log.padding = vec![0x41; 64]),
    );
    let mut noted = Event::no_action(&TPM, 0, b"a note");
    noted.digests[1].1[0] = 1;
    table.add(
        "EV_NO_ACTION with a digest",
        "log_no_action_digest",
        changed_tpm(&|log| log.events.push(noted.clone())),
    );
    let locality = |data: &[u8]| Event::no_action(&TPM, 0, data);
    for (name, event, at) in [
        ("locality 1", locality(b"StartupLocality\0\x01"), 0),
        ("no locality", locality(b"StartupLocality\0"), 0),
        ("locality of two bytes", locality(b"StartupLocality\0\x03\x03"), 0),
        (
            "locality after PCR0 was extended",
            locality(b"StartupLocality\0\x03"),
            1,
        ),
        (
            "locality of PCR4",
            Event::no_action(&TPM, 4, b"StartupLocality\0\x03"),
            0,
        ),
    ] {
        table.add(
            name,
            "log_startup_locality",
            changed_tpm(&|log| log.events.insert(at, event.clone())),
        );
    }
    table.add(
        "two localities",
        "log_startup_locality",
        changed_tpm(&|log| {
            log.events.insert(0, locality(b"StartupLocality\0\x03"));
            log.events.insert(0, locality(b"StartupLocality\0\x04"));
        }),
    );
    table.add(
        "locality of a TD",
        "log_startup_locality",
        changed_ccel(&|log| {
            log.events
                .insert(0, Event::no_action(&CC, 0, b"StartupLocality\0\x03"));
        }),
    );
}
