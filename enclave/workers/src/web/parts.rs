//! The parts, and what each gives to the global object. Their order is that of the table in `docs/workers.md`.

use crate::realm::Part;

/// A part of `js/web`.
macro_rules! part {
    ($name:literal, [$($global:literal),*]) => {
        Part {
            name: $name,
            source: include_str!(concat!("../../js/web/", $name, ".js")),
            globals: &[$($global),*],
            eager: false,
        }
    };
    ($name:literal) => {
        Part { eager: true, ..part!($name, []) }
    };
}

/// Parts of the global object.
pub(crate) const PARTS: &[Part] = &[
    part!("base"),
    part!("dispatch"),
    part!("headers", ["Headers"]),
    part!("channels", []),
    part!("body", []),
    part!("request", ["Request"]),
    part!("response", ["Response"]),
    part!("fetch", ["fetch"]),
    part!("url", ["URL", "URLSearchParams"]),
    part!("urlpattern", ["URLPattern"]),
    part!("encoding", ["TextEncoder", "TextDecoder"]),
    part!("encoding_streams", ["TextEncoderStream", "TextDecoderStream"]),
    part!("blob", ["Blob", "File"]),
    part!("formdata", ["FormData"]),
    part!(
        "events",
        [
            "Event",
            "EventTarget",
            "CustomEvent",
            "ErrorEvent",
            "PromiseRejectionEvent",
            "addEventListener",
            "removeEventListener",
            "dispatchEvent"
        ]
    ),
    part!("abort", ["AbortController", "AbortSignal"]),
    part!(
        "timers",
        ["setTimeout", "setInterval", "clearTimeout", "clearInterval"]
    ),
    part!("clone", ["structuredClone"]),
    part!("performance", ["Performance", "performance"]),
    part!("navigator", ["Navigator", "navigator"]),
    part!("report", ["reportError"]),
    part!(
        "streams",
        [
            "ReadableStream",
            "ReadableStreamDefaultController",
            "ReadableStreamDefaultReader",
            "ReadableByteStreamController",
            "ReadableStreamBYOBReader",
            "ReadableStreamBYOBRequest",
            "WritableStream",
            "WritableStreamDefaultController",
            "WritableStreamDefaultWriter",
            "TransformStream",
            "TransformStreamDefaultController",
            "ByteLengthQueuingStrategy",
            "CountQueuingStrategy"
        ]
    ),
    Part {
        name: "streams_vendored",
        source: concat!(
            "(function (host, web) { const exports = web.streamsVendored = {}, module = {};\n",
            include_str!("../../../../third_party/web-streams-polyfill/ponyfill.js"),
            "\n})"
        ),
        globals: &[],
        eager: false,
    },
];
