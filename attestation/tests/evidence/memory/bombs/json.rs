//! JSON.

use jeju_attestation::input::MAX_JSON_VALUES;

use super::{Bomb, fill, named, padded, repeat};

pub fn json(len: usize) -> Vec<Bomb> {
    let keys = |before: &str, after: &str| {
        fill(
            len,
            before,
            |n| format!("\"{n:x}\":0,"),
            &format!("\"z\":0{after}"),
        )
    };
    named(
        len,
        vec![
            ("JSON: open arrays", repeat(len, "", "[", "")),
            ("JSON: open objects", repeat(len, "", "{\"\":", "")),
            ("JSON: zeros", repeat(len, "[", "0,", "0]")),
            ("JSON: empty arrays", repeat(len, "[", "[],", "0]")),
            ("JSON: arrays of one", repeat(len, "[", "[0],", "0]")),
            ("JSON: empty objects", repeat(len, "[", "{},", "0]")),
            ("JSON: objects of one", repeat(len, "[", "{\"\":0},", "0]")),
            (
                "JSON: nested objects",
                repeat(len, "[", "{\"\":{\"\":{\"\":0}}},", "0]"),
            ),
            (
                "JSON: nested objects, as many as are read",
                padded(len, "[", "{\"\":{\"\":{\"\":0}}},", MAX_JSON_VALUES / 7 - 1, "0]"),
            ),
            ("JSON: keys, as many as are read", some_keys(len)),
            ("JSON: empty texts", repeat(len, "[", "\"\",", "0]")),
            ("JSON: texts of one", repeat(len, "[", "\"a\",", "0]")),
            ("JSON: keys", keys("{", "}")),
            ("JSON: one key", repeat(len, "{", "\"a\":0,", "\"a\":0}")),
            ("JSON: long text", repeat(len, "{\"quote\":\"", "A", "\"}")),
            ("JSON: long hex", repeat(len, "{\"quote\":\"", "04", "\"}")),
            ("JSON: escapes", repeat(len, "{\"quote\":\"", "\\u0041", "\"}")),
            ("JSON: long key", repeat(len, "{\"", "A", "\":0}")),
            ("JSON: quote of numbers", repeat(len, "{\"quote\":[", "0,", "0]}")),
            (
                "JSON: collateral of objects",
                repeat(
                    len,
                    "{\"quote\":[4,0,2,0,129,0,0,0],\"collateral\":{\"a\":[",
                    "{\"\":0},",
                    "0]}}",
                ),
            ),
            (
                "JSON: collateral of text",
                repeat(
                    len,
                    "{\"quote\":[4,0,2,0,129,0,0,0],\"collateral\":{\"tcb_info_signature\":\"00\",\"tcb_info\":\"",
                    "\\\"",
                    "\"}}",
                ),
            ),
            (
                "JSON: devices",
                repeat(len, "[", "{\"evidence\":\"11e0\",\"certificate\":\"\"},", "0]"),
            ),
            (
                "JSON: long report",
                repeat(len, "{\"certificate\":\"\",\"evidence\":\"", "11e0", "\"}"),
            ),
            (
                "JSON: certificates of a device",
                repeat(
                    len,
                    "{\"evidence\":\"11e0\",\"certificate\":\"",
                    "-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\\n",
                    "\"}",
                ),
            ),
            (
                "JSON: dstack's events",
                repeat(
                    len,
                    "[",
                    &format!("{},", dstack_event("")),
                    &format!("{}]", dstack_event("")),
                ),
            ),
            (
                "JSON: dstack's event with long data",
                repeat(
                    len,
                    "[{\"imr\":0,\"event_type\":134217729,\"digest\":\"\",\"event\":\"\",\"event_payload\":\"",
                    "00",
                    "\"}]",
                ),
            ),
            (
                "JSON: event log in a quote",
                repeat(len, "{\"quote\":\"00\",\"event_log\":[", "{\"\":0},", "0]}"),
            ),
            (
                "JSON: tcbInfo of objects",
                repeat(len, "{\"tcbInfo\":[", "{\"\":0},", "0],\"signature\":\"00\"}"),
            ),
            (
                "JSON: tcbInfo with open arrays",
                repeat(len, "{\"tcbInfo\":", "[", ""),
            ),
            (
                "JSON: signature",
                repeat(len, "{\"tcbInfo\":{},\"signature\":\"", "00", "\"}"),
            ),
            (
                "JSON: set with a long text",
                repeat(len, "{\"root_ca_crl\":\"", "00", "\"}"),
            ),
            (
                "JSON: set with an escaped text",
                repeat(len, "{\"root_ca_crl\":\"", "\\u0030\\u0030", "\"}"),
            ),
            (
                "JSON: set with certificates",
                repeat(
                    len,
                    "{\"tcb_info_issuer_chain\":\"",
                    "-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\\n",
                    "\"}",
                ),
            ),
            (
                "JSON: set in a set",
                repeat(
                    len,
                    "{\"tcb_info\":\"{\\\"tcbInfo\\\":[",
                    "0,",
                    "0],\\\"signature\\\":\\\"00\\\"}\"}",
                ),
            ),
            (
                "JSON: levels",
                repeat(
                    len,
                    "{\"tcbLevels\":[",
                    "{\"tcb\":{\"isvsvn\":0},\"tcbDate\":\"\",\"tcbStatus\":\"\"},",
                    "0]}",
                ),
            ),
            (
                "JSON: advisories",
                repeat(
                    len,
                    "{\"tcbLevels\":[{\"tcb\":{\"isvsvn\":0},\"tcbDate\":\"\",\"tcbStatus\":\"\",\"advisoryIDs\":[",
                    "\"\",",
                    "\"\"]}]}",
                ),
            ),
            (
                "JSON: module identities",
                repeat(
                    len,
                    "{\"tdxModuleIdentities\":[",
                    "{\"id\":\"\",\"mrsigner\":\"\",\"attributes\":\"\",\"attributesMask\":\"\",\"tcbLevels\":[]},",
                    "0]}",
                ),
            ),
            (
                "JSON: bundle of types",
                fill(
                    len,
                    "{\"__cmwc_t\":\"tag:jeju,2026:bundle/1\"",
                    |n| format!(",\"{n:x}\":\"\""),
                    "}",
                ),
            ),
            (
                "JSON: bundle of records",
                fill(
                    len,
                    "{\"__cmwc_t\":\"tag:jeju,2026:bundle/1\"",
                    |n| format!(",\"{n:x}\":[\"\",\"\",0]"),
                    "}",
                ),
            ),
            (
                "JSON: bundle with a long record",
                repeat(
                    len,
                    "{\"__cmwc_t\":\"tag:jeju,2026:bundle/1\",\"claims\":[\"\",\"",
                    "A",
                    "\",4]}",
                ),
            ),
            (
                "JSON: request with endorsements",
                repeat(
                    len,
                    "{\"evidence\":\"\",\"at\":0,\"endorsements\":[",
                    "\"\",",
                    "\"\"]}",
                ),
            ),
            (
                "JSON: request with long evidence",
                repeat(len, "{\"at\":0,\"evidence\":\"", "AAAA", "\"}"),
            ),
            (
                "JSON: request with escaped evidence",
                repeat(len, "{\"at\":0,\"evidence\":\"", "\\u0041", "\"}"),
            ),
            (
                "JSON: request with a long nonce",
                repeat(len, "{\"at\":0,\"evidence\":\"\",\"nonce\":\"", "00", "\"}"),
            ),
            (
                "JSON: request with a long log",
                repeat(
                    len,
                    "{\"at\":0,\"evidence\":\"AA\",\"event_log\":\"",
                    "AAAA",
                    "\"}",
                ),
            ),
            (
                "JSON: policy's lists",
                repeat(len, "{\"version\":1,\"tees\":[", "\"tdx\",", "\"tdx\"]}"),
            ),
            (
                "JSON: policy's texts",
                repeat(len, "{\"launch\":{\"egress\":[", "\"\",", "\"\"]}}"),
            ),
            (
                "JSON: policy's numbers",
                fill(
                    len,
                    "{\"nitro\":{\"pcrs\":{",
                    |n| format!("\"{n}\":[],"),
                    "\"0\":[]}}}",
                ),
            ),
        ],
    )
}

fn some_keys(len: usize) -> Vec<u8> {
    let most = MAX_JSON_VALUES / 2 - 2;
    fill(
        len,
        "{",
        |number| {
            if number < most {
                format!("\"{number:x}\":0,")
            } else {
                " ".to_owned()
            }
        },
        "\"z\":0}",
    )
}

fn dstack_event(data: &str) -> String {
    format!(
        "{{\"imr\":0,\"event_type\":134217729,\"digest\":\"\",\"event\":\"\",\"event_payload\":\"{data}\"}}"
    )
}
