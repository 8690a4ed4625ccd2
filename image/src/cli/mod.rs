//! The subcommands, a file each.

pub mod audit;
pub mod build;
pub mod expected;
pub mod inputs;
pub mod kernel;
pub mod measure;
pub mod repro;
pub mod run;
pub mod statement;
