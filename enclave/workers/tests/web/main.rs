//! The web's API as workers see it: by itself in realms of its own, and on the engine.

#[path = "../harness/mod.rs"]
mod harness;

mod bodies;
mod fetches;
mod handlers;
mod scripts;
mod wpt;
