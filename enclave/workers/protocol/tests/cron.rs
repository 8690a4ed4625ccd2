//! Schedules against a library of others: `vectors/cron.mjs` made the table.

use jeju_worker_protocol::Schedule;

#[test]
fn ten_thousand_schedules_are_due_when_another_library_says() {
    let mut lines = 0;
    for line in include_str!("vectors/cron.tsv").lines() {
        let [text, from, adds] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let schedule = Schedule::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let mut at = from.parse::<u64>().unwrap() * 60_000;
        for add in adds.split(' ') {
            let expected = at + add.parse::<u64>().unwrap() * 60_000;
            assert_eq!(schedule.next_after(at), Some(expected), "{line}");
            assert!(schedule.matches(expected), "{line}");
            at = expected;
        }
        lines += 1;
    }
    assert_eq!(lines, 10_000);
}
