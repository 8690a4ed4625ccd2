//! Data that must be what was hashed.

use super::*;

/// Cases.
pub fn add(table: &mut Table) {
    table.add(
        "SecureBoot switched in the data",
        "log_event_data",
        changed_ccel(&|log| {
            log.events[1].data = variable("SecureBoot", &[0]);
        }),
    );
    table.add(
        "boot order changed in the data",
        "log_event_data",
        changed_ccel(&|log| {
            log.events[2].data = variable("BootOrder", &[1, 0, 0, 0]);
        }),
    );
    table.add(
        "boot variable is cut",
        "log_event_data",
        changed_ccel(&|log| log.events[2].data.truncate(20)),
    );
    table.add(
        "boot variable's length overflows",
        "log_event_data",
        changed_ccel(&|log| {
            log.events[2].data[16..24].fill(0xFF);
        }),
    );
    table.add(
        "separator of other data",
        "log_event_data",
        changed_ccel(&|log| log.events[3].data = vec![0xFF; 4]),
    );
    table.add(
        "action of other data",
        "log_event_data",
        changed_ccel(&|log| log.events[4].data = b"Exit".to_vec()),
    );
    for (name, event_type) in [
        ("EV_ACTION of other data", 5),
        ("firmware version of other data", 8),
        ("partition table of other data", 0x8000_0006),
        ("whole boot variable of other data", 0x8000_000C),
        ("signer of other data", 0x8000_00E0),
    ] {
        let event = Event::of(&TPM, 0, event_type, b"one", b"another");
        table.add(
            name,
            "log_event_data",
            changed_tpm(&|log| log.events.push(event.clone())),
        );
    }
    table.add(
        "only one bank has the data's digest",
        "log_event_data",
        changed_tpm(&|log| {
            log.events[1].digests[2].1[0] ^= 1;
        }),
    );
    let gave_up = Event::of(&TPM, 4, 4, &1u32.to_le_bytes(), b"no key");
    table.add(
        "error separator",
        "log_error_separator",
        changed_tpm(&|log| log.events.push(gave_up.clone())),
    );
}
