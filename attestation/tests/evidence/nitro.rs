//! Nitro: genuine documents, and every refusal.

use jeju_attestation::endorsements::Endorsements;
use jeju_attestation::nitro::{self, Claims, Launch, NitroError, Rules, VerifiedLeaf};
use jeju_attestation::roots::TrustAnchors;
use jeju_attestation::verdict::{Component, Revocation};

use crate::vectors;

pub mod genuine;
mod negatives;
