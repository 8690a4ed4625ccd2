//! Routes of workers: the first line is a path, each other one a route. A table finds what matching one by one finds.
#![no_main]

use jeju_worker_protocol::{Route, RouteTable};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let path = lines.next().unwrap_or_default();
    let routes: Vec<_> = lines.filter_map(|line| Route::parse(line).ok()).collect();
    let mut table = RouteTable::new();
    let mut kept = Vec::new();
    for route in &routes {
        let taken = table.get(route).copied();
        match table.insert(route, kept.len()) {
            Ok(()) => kept.push(route),
            Err(there) => {
                assert_eq!(Some(*there), taken);
                assert_eq!(kept[*there].shape(), route.shape());
                assert_eq!(
                    kept[*there].matches(path).is_some(),
                    route.matches(path).is_some()
                );
            }
        }
        // What is shown can be read again.
        assert_eq!(Route::parse(route.as_str()).as_ref(), Ok(route));
    }
    match table.find(path) {
        Some(found) => {
            let values = kept[*found]
                .matches(path)
                .expect("a route that doesn't match was found");
            assert!(
                values
                    .iter()
                    .all(|(_, value)| !value.is_empty() && !value.contains('/'))
            );
            // None without * may be passed over for one with.
            let exact = kept
                .iter()
                .any(|route| !route.shape().ends_with('*') && route.matches(path).is_some());
            assert_eq!(exact, !kept[*found].shape().ends_with('*'));
        }
        None => assert!(kept.iter().all(|route| route.matches(path).is_none())),
    }
    for (i, route) in kept.iter().enumerate() {
        assert_eq!(table.remove(route), Some(i));
    }
    assert_eq!(table.find(path), None);
});
