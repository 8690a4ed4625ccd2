//! dstack's form.

use super::*;

/// Cases.
pub fn add(table: &mut Table) {
    table.add("not JSON", "log_json", parsed(Kind::Dstack, b"[{"));
    table.add("an object", "log_json", parsed(Kind::Dstack, b"{}"));
    table.add(
        "nested arrays",
        "log_json",
        parsed(Kind::Dstack, &[b'['; 100_000]),
    );
    table.add(
        "unknown member",
        "log_json",
        changed_dstack(&|log| log[0]["imr2"] = json!(1)),
    );
    table.add(
        "no digest",
        "log_json",
        changed_dstack(&|log| drop(log[0].as_object_mut().unwrap().remove("digest"))),
    );
    table.add(
        "negative register",
        "log_json",
        changed_dstack(&|log| log[0]["imr"] = json!(-1)),
    );
    let twice = br#"[{"imr":0,"imr":1,"event_type":4,"digest":"","event":"","event_payload":""}]"#;
    table.add("member twice", "log_json", parsed(Kind::Dstack, twice));
    table.add(
        "register 4",
        "log_json_field",
        changed_dstack(&|log| log[0]["imr"] = json!(4)),
    );
    table.add(
        "EV_NO_ACTION in JSON",
        "log_json_field",
        changed_dstack(&|log| log[0]["event_type"] = json!(3)),
    );
    table.add(
        "digest isn't hex",
        "log_json_field",
        changed_dstack(&|log| log[0]["digest"] = json!("zz")),
    );
    table.add(
        "digest of 32 bytes",
        "log_json_field",
        changed_dstack(&|log| log[0]["digest"] = json!("00".repeat(32))),
    );
    table.add(
        "firmware's event without digest",
        "log_json_field",
        changed_dstack(&|log| log[0]["digest"] = json!("")),
    );
    table.add(
        "payload isn't hex",
        "log_json_field",
        changed_dstack(&|log| log[1]["event_payload"] = json!("0")),
    );
    table.add(
        "another payload",
        "log_event_data",
        changed_dstack(&|log| log[1]["event_payload"] = json!("00")),
    );
    table.add(
        "another name",
        "log_event_data",
        changed_dstack(&|log| log[1]["event"] = json!("app-ie")),
    );
    table.add(
        "colon moved from name to payload",
        "log_event_data",
        changed_dstack(&|log| {
            log[1]["event"] = json!("app");
            log[1]["event_payload"] = json!(hex::encode(b"id:app"));
        }),
    );
    table.add(
        "another payload, digest left out",
        "log_register_mismatch",
        changed_dstack(&|log| {
            log[1]["digest"] = json!("");
            log[1]["event_payload"] = json!("00");
        }),
    );
    table.add(
        "runtime event left out",
        "log_register_mismatch",
        changed_dstack(&|log| {
            log.as_array_mut().unwrap().pop();
        }),
    );
    table.add(
        "events in another register",
        "log_register_mismatch",
        changed_dstack(&|log| log[1]["imr"] = json!(2)),
    );
}
