//! The immutable image of the node: how it is put together, what it measures to, and how it is booted.
//!
//! An image is a folder of files that a launch measures and one that says what they are:
//!
//! | file | what |
//! |---|---|
//! | `kernel` | the enclave kernel of `image/kernel` |
//! | `init.cpio.zst` | the static `jeju-init` as `/init`, and `/dev/console` |
//! | `node.cpio.zst` | the static `jeju-enclave`, and `jeju-rental-agent` that it puts into containers of rentals |
//! | `model.cpio` | the model, as a third archive, hashed by itself (absent in an image without one) |
//! | `cmdline` | the kernel command line, without a line end |
//! | `manifest.json` | origin, size and SHA-256 of every file, the image digest, the measurement id |
//!
//! [`build`] makes the folder, [`measure`] recomputes what the manifest says, [`run`] boots it in QEMU, or starts the
//! same node as an ordinary process, with simulated silicon outside the guest.

pub mod audit;
pub mod build;
pub mod cpio;
pub mod eif;
pub mod expected;
pub mod firmware;
pub mod inputs;
pub mod kernel;
pub mod manifest;
pub mod measure;
pub mod repro;
pub mod root;
pub mod run;
pub mod statement;
mod tar;
