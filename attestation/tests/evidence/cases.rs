//! Tables of evidence that must be refused.

use std::collections::BTreeSet;

/// Evidence that is wrong in one point.
pub struct Negative {
    /// What is wrong.
    pub name: &'static str,
    /// Code of the reason for which it must be refused.
    pub expected: &'static str,
    /// Code of the reason for which it was refused; `None`: it was accepted.
    pub found: Option<&'static str>,
}

/// Each case must be refused for its own reason, and together they must reach each code.
pub fn check(cases: &[Negative], codes: &[&'static str], at_least: usize) {
    let wrong: Vec<String> = cases
        .iter()
        .filter(|case| case.found != Some(case.expected))
        .map(|case| {
            format!(
                "{}: expected {}, found {}",
                case.name,
                case.expected,
                case.found.unwrap_or("accepted")
            )
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let names: BTreeSet<_> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len(), "names must differ");
    let reached: BTreeSet<_> = cases.iter().map(|case| case.expected).collect();
    let missed: Vec<_> = codes.iter().filter(|code| !reached.contains(*code)).collect();
    assert!(missed.is_empty(), "no case reaches {missed:?}");
    assert!(cases.len() >= at_least, "{} cases", cases.len());
}
