//! Web Crypto against vectors and answers that weren't made by this code.

mod interface;
mod known;
mod limits;
mod vectors;

use jeju_workers::realm::eval_to_string;

/// What the last statement of these sources, one after the other, comes to.
fn run(sources: &[&str]) -> String {
    eval_to_string(&sources.join("\n")).unwrap_or_else(|error| panic!("{error}"))
}
