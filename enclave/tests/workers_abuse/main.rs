//! Workers that do what they shouldn't: loops, bombs, floods, and ways out. Each script says in its first lines what comes
//! of it; afterwards the same worker answers, and another owner's worker has answered all along.
#![cfg(feature = "sim")]

mod deployed;
#[path = "../host/mod.rs"]
#[allow(unused, reason = "each test uses a part of it")]
mod host;
mod node;
#[path = "../workers/owner.rs"]
#[allow(unused, reason = "each test uses a part of it")]
mod owner;
mod process;
mod scripts;
