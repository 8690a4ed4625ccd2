//! Every step of the protocol with every fault, once.

use jeju_mpc_sim::lens::Step;
use jeju_mpc_sim::table::{Fault, pair};
use jeju_mpc_sim::trace::Trace;

fn all_steps(fault: Fault) {
    let failures: Vec<String> = Step::all()
        .into_iter()
        .filter_map(|step| {
            pair(step, fault, Trace::Off)
                .err()
                .map(|violation| (step, violation))
        })
        .map(|(step, violation)| format!("{} / {}: {violation}", step.name(), fault.name()))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

macro_rules! faults {
    ($($name:ident $number:literal)*) => {
        $(#[test]
        fn $name() {
            all_steps(Fault::ALL[$number]);
        })*
    };
}

faults! {
    kill_before 0 kill_after 1 old_disk 2 clone 3 delay 4 duplicate 5 reorder 6 partition 7
    content 8 equivocation 9 replay 10 wrong_session 11 garbage 12 silence 13
}
