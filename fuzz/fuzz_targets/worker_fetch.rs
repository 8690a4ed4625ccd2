//! What workers read of the network and of each other's making: headers, forms, URLs and their patterns, text in encodings,
//! through the engine that runs them. The first byte chooses. Nothing but an exception may come of it, or an end by the
//! clock: patterns of URLs become regular expressions, of which some take for ever.
#![no_main]

use std::time::Duration;

use jeju_workers::realm::{TOO_LONG, eval_within};
use libfuzzer_sys::fuzz_target;

const READERS: [&str; 7] = [
    "new Response(bytes, { headers: { 'content-type': 'multipart/form-data; boundary=b' } }).formData()\
     .then((form) => { const again = new Response(form); return again.formData().then((twice) => same([...form], [...twice])); })",
    "new Response(bytes, { headers: { 'content-type': text } }).formData()",
    "new Response(bytes, { headers: { 'content-type': 'application/x-www-form-urlencoded' } }).formData()",
    "new Headers(text.split('\\n').map((line) => line.split(': ', 2)))",
    "(() => { const url = new URL(text); if (new URL(url.href).href !== url.href) throw 'unstable'; })()",
    "new URLPattern(...text.split('\\n', 2)).exec(...text.split('\\n', 2))",
    "(() => { const [label, ...rest] = text.split('\\n'); new TextDecoder(label).decode(bytes.subarray(label.length)); })()",
];

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else {
        return;
    };
    let list = format!("{bytes:?}");
    let reader = READERS[usize::from(*choice) % READERS.len()];
    let script = format!(
        "const bytes = new Uint8Array({list}); const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');\
         const same = (a, b) => {{ if (a.length !== b.length) throw 'unstable'; }};\
         (async () => {{ try {{ await {reader}; }} catch (error) {{ if (error === 'unstable') return error; }} return 'well'; }})()"
    );
    match eval_within(Duration::from_millis(100), &script) {
        Ok(text) => assert_eq!(text, "well"),
        Err(error) => assert_eq!(error, TOO_LONG),
    }
});
