//! 1,000 seeds, or as many as `JEJU_MPC_SEEDS` says, in parts that run side by side.

use jeju_mpc_sim::run::run;
use jeju_mpc_sim::trace::Trace;

/// Parts of equal size.
const PARTS: u64 = 20;

fn part(number: u64) {
    let seeds = std::env::var("JEJU_MPC_SEEDS")
        .map_or(1000, |text| text.parse().expect("JEJU_MPC_SEEDS is a number"));
    let failures: Vec<String> = (0..seeds)
        .filter(|seed| seed % PARTS == number)
        .filter_map(|seed| run(seed, Trace::Off).err())
        .map(|failure| failure.to_string())
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

macro_rules! parts {
    ($($name:ident $number:literal)*) => {
        $(#[test]
        fn $name() {
            part($number);
        })*

        #[test]
        fn every_part_has_a_test() {
            assert_eq!([$($number),*], std::array::from_fn::<u64, { PARTS as usize }, _>(|part| part as u64));
        }
    };
}

parts! {
    seeds_0 0 seeds_1 1 seeds_2 2 seeds_3 3 seeds_4 4 seeds_5 5 seeds_6 6 seeds_7 7 seeds_8 8 seeds_9 9
    seeds_10 10 seeds_11 11 seeds_12 12 seeds_13 13 seeds_14 14 seeds_15 15 seeds_16 16 seeds_17 17 seeds_18 18 seeds_19 19
}

/// What a failing seed shows can be looked at again only if the same things happen.
#[test]
fn a_seed_is_the_same_run_each_time() {
    for seed in [1, 2, 3] {
        let kept = || run(seed, Trace::Keep(Vec::new()));
        let (one, other) = (kept().expect("seed holds"), kept().expect("seed holds"));
        assert!(one.trace.len() > 50, "{} lines", one.trace.len());
        assert!(one == other, "seed {seed} runs in two ways");
    }
}

/// Hosts bring back old disks in many seeds; some of those are old enough to be told.
#[test]
fn old_disks_are_found_out() {
    let found: usize = (0..20)
        .map(|seed| run(seed, Trace::Off).expect("seed holds").rolled_back)
        .sum();
    assert!(found > 0, "no member ever noticed");
}

/// Places pass to other agents in many seeds, with faults on the way.
#[test]
fn configurations_follow_on_one_another() {
    let runs: Vec<_> = (0..20)
        .map(|seed| run(seed, Trace::Off).expect("seed holds"))
        .collect();
    let found: usize = runs.iter().map(|run| run.configurations).sum();
    assert!(found > 0, "no configuration ever came into force");
    let rivals: usize = runs.iter().map(|run| run.rivals).sum();
    assert!(rivals > 0, "governance never signed two of one number");
}
