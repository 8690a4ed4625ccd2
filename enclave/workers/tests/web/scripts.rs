//! Scripts that test one interface after the other. They run in any engine.

use jeju_workers::realm::eval_to_string;
use serde::Deserialize;

const PRELUDE: &str = include_str!("scripts/prelude.js");

#[derive(Deserialize)]
struct Outcome {
    count: usize,
    failures: Vec<String>,
}

fn run(script: &str, count: usize) {
    let outcome = eval_to_string(&format!("{PRELUDE}{script}\nrunTests()")).unwrap();
    let outcome: Outcome = serde_json::from_str(&outcome).unwrap();
    assert!(outcome.failures.is_empty(), "{}", outcome.failures.join("\n"));
    assert_eq!(outcome.count, count);
}

macro_rules! scripts {
    ($($test:ident $file:literal $count:literal,)*) => {
        $(
            #[test]
            fn $test() {
                run(include_str!(concat!("scripts/", $file)), $count);
            }
        )*
    };
}

scripts! {
    globals_are_there_and_look_as_web_idl_says "globals.js" 8,
    headers_are_as_fetch_says "headers.js" 7,
    bodies_are_as_fetch_says "bodies.js" 15,
    requests_and_responses_are_as_fetch_says "fetch_objects.js" 14,
    text_is_encoded_as_the_encoding_standard_says "encoding.js" 10,
    events_are_as_dom_says "events.js" 10,
    signals_abort_as_dom_says "abort.js" 5,
    timers_fire_as_html_says "timers.js" 6,
    values_are_cloned_as_html_says "clone.js" 10,
    blobs_and_forms_are_as_their_standards_say "blobs.js" 8,
    urls_and_their_parameters_change_together "params.js" 6,
    arrays_are_searched_as_the_language_says "arrays.js" 2,
    streams_are_as_the_streams_standard_says "streams.js" 12,
    hostile_input_ends_and_stays_bounded "hostile.js" 7,
}
