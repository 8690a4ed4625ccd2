//! Simulated silicon, for development: what a CPU vendor's chip does for a real platform, done by a process on the
//! host, outside the guest.
//!
//! The launcher opens the machine's [`Silicon`], hashes what it really loads ([`measure`]), fixes the launch
//! document's digest as HOST_DATA, and gets a [`Chip`]. [`serve()`] lets the guest ask that chip for reports on port
//! 5006 (`docs/wire-formats.md` §6). As on real silicon, the guest chooses REPORT_DATA and nothing else: it never
//! supplies its own measurement.
//!
//! Whoever reads the root key can sign anything, so verifiers accept simulated evidence under development policies
//! only.

mod chip;
mod key_store;
pub mod measure;
mod serve;

pub use chip::{Chip, Silicon};
pub use key_store::SiliconError;
pub use serve::{MAX_CONNECTIONS, serve, serve_stream};
