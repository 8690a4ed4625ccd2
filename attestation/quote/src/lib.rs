//! The guest's side of evidence: find the platform's TEE, seed the kernel, bind the launch document, make quotes.
//!
//! In the order in which PID 1 uses it:
//! 1. [`detect`] finds exactly one CPU TEE, or says why not;
//! 2. [`entropy`] draws the boot's seed from it (DESIGN §3.9);
//! 3. [`launch_binding`] checks the launch document against what the platform was started with (§3.1);
//! 4. [`QuotingActor`] is from then on the only user of the [`Device`]: claims in, evidence out (§3.2).
//!
//! REPORT_DATA is computed here, from a claims-buffer, and nothing outside this crate can choose it: the trait that
//! takes it is private.

mod actor;
mod configfs_tsm;
pub mod detect;
mod device;
pub mod entropy;
pub mod launch_binding;
mod nsm;
#[cfg(feature = "sim")]
mod simulated;
mod tdx_guest;

pub use actor::{Limits, QuotingActor};
pub use detect::{DetectError, Gpu, Platform, detect};
pub use device::{Device, Evidence, QuoteError};
