//! The engine over its channel, as the front has it.

#[path = "../harness/mod.rs"]
mod harness;

mod bodies;
mod events;
mod hostile;
mod isolates;
mod late;
mod limits;
mod modules;
