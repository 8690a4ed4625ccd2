//! Runs workers: JavaScript of strangers, in QuickJS-ng, with the web's APIs around it and limits on all of it.
//!
//! [`serve`] is the process of one owner. Its other end is the front's broker, which believes nothing that it says.

mod bytecode;
mod console;
mod crypto;
mod host;
mod isolate;
mod process;
pub mod realm;
mod text;
mod transform;
mod web;

pub use process::{ServeError, serve};
pub use transform::{Prepared, prepare};
