//! The rentals role's Docker client: against hosts that lie or fail, and against a real engine behind the real shim.

mod creation;
mod engine;
mod fake;
mod hostile;
mod lies;
mod life;
mod output;
