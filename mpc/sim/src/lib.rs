//! A deterministic simulator of a network of threshold signers.
//!
//! It drives real [`jeju_mpc::member::Member`]s on one thread from one seed: virtual clock, disks that crash and are rolled
//! back, a network that loses, repeats, reorders and falls apart, clones, members that lie, and clients with wallets. After
//! every output it looks for what must never happen ([`watch::Violation`]), and at the end of a run, when the faults are over,
//! signatures must be made again in bounded time.
//!
//! A failing seed is printed with the command that replays it:
//!
//! ```text
//! cargo run -p jeju-mpc-sim -- --seed 17            # the same run, and the same failure
//! cargo run -p jeju-mpc-sim -- --seed 17 --trace    # with all that happened
//! cargo run -p jeju-mpc-sim -- --seeds 0..10000     # many
//! cargo run -p jeju-mpc-sim -- --table              # every step of the protocol with every fault, once
//! ```
//!
//! `JEJU_MPC_SEEDS=10000 cargo nextest run -p jeju-mpc-sim` makes the tests run more seeds than the 1,000 of every change.
//!
//! | module | what it does |
//! |---|---|
//! | [`run`] | one seed: a network, faults, then calm |
//! | [`table`] | one (step, fault) pair after the other |
//! | [`hostile`] | requests that nobody may make |
//! | [`world`] | the clock, the disks, the processes and the network |
//! | [`byzantine`] | members that lie |
//! | [`client`] | clients that ask one member after another |
//! | [`watch`] | what must never happen |
//! | [`verify`] | signatures, checked with libsecp256k1 |

pub mod byzantine;
pub mod canary;
pub mod client;
pub mod disk;
pub mod hostile;
pub mod lens;
pub mod process;
pub mod queue;
pub mod requests;
pub mod run;
pub mod table;
pub mod trace;
pub mod trap;
pub mod verify;
pub mod watch;
pub mod weather;
pub mod world;
