//! Routes match what URLPattern matches, where both have a word for it.

use jeju_worker_protocol::Route;
use urlpattern::{UrlPattern, UrlPatternInit, UrlPatternMatchInput};

const PARTS: [&str; 6] = ["a", "b.c", ":x", ":y_1", "ü", "a%20b~"];
const PATH_PARTS: [&str; 7] = ["a", "bXc", "b.c", "%C3%BC", "a%20b~", "A", ""];

/// Every list of at most `most` of `parts`, each part after a slash.
fn paths(parts: &[&str], most: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut last = all.clone();
    for _ in 0..most {
        let longer = |path: &String| {
            parts
                .iter()
                .map(move |part| format!("{path}/{part}"))
                .collect::<Vec<_>>()
        };
        last = last.iter().flat_map(longer).collect();
        all.extend(last.iter().cloned());
    }
    all
}

fn init(path: &str) -> UrlPatternInit {
    UrlPatternInit {
        pathname: Some(path.to_owned()),
        ..UrlPatternInit::default()
    }
}

#[test]
fn routes_match_as_url_patterns_do() {
    let mut compared = 0;
    let (mut matched, paths_tried) = (0, paths(&PATH_PARTS, 3));
    for start in paths(&PARTS, 2) {
        for end in ["", "/", "/*", "*", "/a*", "/a/*"] {
            let text = format!("{start}{end}");
            let Ok(route) = Route::parse(&text) else {
                // A parameter twice or before a *, which URLPattern reads otherwise, and no path at all.
                continue;
            };
            let pattern = <UrlPattern>::parse(init(&text), Default::default()).unwrap();
            for path in &paths_tried {
                if !path.starts_with('/') {
                    continue;
                }
                let ours = route.matches(path);
                let theirs = pattern.exec(UrlPatternMatchInput::Init(init(path))).unwrap();
                let theirs = theirs.map(|found| found.pathname.groups);
                assert_eq!(ours.is_some(), theirs.is_some(), "{text} and {path}");
                for (name, value) in ours.iter().flatten() {
                    let group = theirs
                        .as_ref()
                        .and_then(|groups| groups.get(*name))
                        .cloned()
                        .flatten();
                    assert_eq!(group.as_deref(), Some(*value), "{text} and {path}");
                }
                matched += usize::from(ours.is_some());
                compared += 1;
            }
        }
    }
    assert!(compared > 50_000 && matched > 2_000, "{compared}, {matched}");
}
