//! Cron schedules: eight bytes of time, and the schedule. The minute that comes next is the first that fits.
#![no_main]

use jeju_worker_protocol::Schedule;
use libfuzzer_sys::fuzz_target;

/// Minutes that are looked at one by one.
const NEAR: u64 = 3000;
/// The year 10000, in milliseconds since 1970.
const END: u64 = 253_402_300_800_000;

fuzz_target!(|input: (u64, &str)| {
    let (time, text) = input;
    let time = time % END;
    let Ok(schedule) = Schedule::parse(text) else {
        return;
    };
    let Some(next) = schedule.next_after(time) else {
        assert!(
            time > END - 9 * 366 * 86_400_000,
            "{text} is never due after {time}"
        );
        return;
    };
    assert!(next > time && next % 60_000 == 0 && schedule.matches(next) && next < END + 86_400_000);
    let first = time / 60_000 + 1;
    let last = (next / 60_000).min(first + NEAR);
    assert!((first..last).all(|minute| !schedule.matches(minute * 60_000)));
    assert_eq!(schedule.next_after(next - 1), Some(next));
});
