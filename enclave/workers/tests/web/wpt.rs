//! The tables of the Web Platform Tests.

use jeju_workers::realm::eval_to_string;
use serde::Deserialize;

const URLS: &str = include_str!("../vectors/wpt/urltestdata.json");
const SETTERS: &str = include_str!("../vectors/wpt/setters_tests.json");
const PATTERNS: &str = include_str!("../vectors/wpt/urlpatterntestdata.json");

#[derive(Deserialize)]
struct Outcome {
    count: usize,
    failures: Vec<String>,
}

fn run(script: &str, function: &str, table: &str) -> Outcome {
    let script = format!("{script}\nJSON.stringify({function}({table}))");
    serde_json::from_str(&eval_to_string(&script).unwrap()).unwrap()
}

#[test]
fn urls_are_parsed_as_the_table_says() {
    let outcome = run(include_str!("scripts/wpt_url.js"), "constructorFailures", URLS);
    assert_eq!(outcome.count, 869);
    assert_eq!(outcome.failures, [""; 0]);
}

#[test]
fn parts_of_urls_are_set_as_the_table_says() {
    let outcome = run(include_str!("scripts/wpt_url.js"), "setterFailures", SETTERS);
    assert_eq!(outcome.count, 274);
    assert_eq!(outcome.failures, [""; 0]);
}

#[test]
fn url_patterns_match_as_the_table_says() {
    let outcome = run(
        include_str!("scripts/wpt_urlpattern.js"),
        "patternFailures",
        PATTERNS,
    );
    assert_eq!(outcome.count, 352);
    assert_eq!(outcome.failures, [""; 0]);
}
