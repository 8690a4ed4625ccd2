//! Runs seeds of the simulator, or its table of steps and faults.

use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use jeju_mpc_sim::run::run;
use jeju_mpc_sim::table;
use jeju_mpc_sim::trace::Trace;

/// Deterministic simulator of a network of threshold signers.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// One seed.
    #[arg(long, conflicts_with_all = ["seeds", "table"])]
    seed: Option<u64>,
    /// Seeds from the first up to but not including the second: 0..1000.
    #[arg(long, value_parser = range, conflicts_with = "table")]
    seeds: Option<Range<u64>>,
    /// Every step of the protocol with every fault, once, as a table.
    #[arg(long)]
    table: bool,
    /// Prints all that happens. With --table, in the pairs whose name contains this text.
    #[arg(long, num_args = 0..=1, default_missing_value = "")]
    trace: Option<String>,
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let numbers = text
        .split_once("..")
        .and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    numbers.ok_or_else(|| "two numbers with .. between them".to_owned())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let failed = match (arguments.table, arguments.seed, arguments.seeds) {
        (true, ..) => print_table(arguments.trace.as_deref()),
        (_, _, Some(seeds)) => run_seeds(seeds),
        (_, seed, None) => run_one(seed.unwrap_or_default(), arguments.trace.is_some()),
    };
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn run_one(seed: u64, trace: bool) -> bool {
    match run(seed, if trace { Trace::Print } else { Trace::Off }) {
        Ok(summary) => {
            println!("{summary:?}");
            false
        }
        Err(failure) => {
            eprintln!("{failure}");
            true
        }
    }
}

fn run_seeds(seeds: Range<u64>) -> bool {
    let start = Instant::now();
    let (mut runs, mut failures, mut signatures, mut boots, mut blames) = (0, 0, 0, 0, 0);
    let (mut granted, mut given_up) = (0, 0);
    for seed in seeds {
        runs += 1;
        match run(seed, Trace::Off) {
            Ok(summary) => {
                signatures += summary.signatures;
                boots += summary.boots;
                blames += summary.blames;
                granted += summary.wishes.0;
                given_up += summary.wishes.1;
            }
            Err(failure) => {
                failures += 1;
                eprintln!("{failure}");
            }
        }
    }
    println!(
        "{runs} seeds, {failures} failed; {signatures} signatures, {granted} requests granted, {given_up} given up during \
         faults, {boots} starts, {blames} times a liar was named; {:.1} s",
        start.elapsed().as_secs_f32()
    );
    failures > 0
}

fn print_table(trace: Option<&str>) -> bool {
    let cells = table::all(trace);
    print!("{}", table::print(&cells));
    let failures: Vec<_> = cells
        .iter()
        .filter_map(|cell| cell.result.as_ref().err().map(|error| (cell, error)))
        .collect();
    for (cell, error) in &failures {
        eprintln!("{}: {error}", cell.name());
    }
    !failures.is_empty()
}
