//! What a verifier says of a node that passed, and which check on which trust anchor established each claim.

use serde::Serialize;

use crate::hex_bytes::HexBytes;
use crate::policy::Kind;
use crate::tee::Tee;

/// A claim that a check established.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Name of the claim.
    pub claim: &'static str,
    /// Its value, for people.
    pub value: String,
    /// What the trust in it rests on.
    pub anchor: String,
    /// The check that established it.
    pub check: &'static str,
}

impl Check {
    /// A line of the verdict.
    pub fn new(
        claim: &'static str,
        value: impl ToString,
        anchor: impl ToString,
        check: &'static str,
    ) -> Self {
        Self {
            claim,
            value: value.to_string(),
            anchor: anchor.to_string(),
            check,
        }
    }
}

/// What is known of the revocation of the keys that evidence rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Revocation {
    /// The issuer's own signed list, in force at the time of the verdict, doesn't name them.
    Good,
    /// Nothing was at hand that could tell. Never shown as good.
    Unknown,
}

impl Revocation {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Revocation::Good => "good",
            Revocation::Unknown => "unknown",
        }
    }
}

/// State of a platform's trusted computing base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TcbState {
    /// The vendor's word for it, such as `UpToDate`; where the vendor publishes none, the versions themselves.
    pub status: String,
    /// Advisories that the vendor lists for this level, by id.
    pub advisories: Vec<String>,
}

/// What evidence of one kind of hardware says, once it is genuine and accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Component {
    /// `tdx`, `sgx`, `sev-snp`, `nitro`, `nvidia-gpu`, `nvidia-switch`, `simulated` or `event-log`.
    pub kind: &'static str,
    /// State of its trusted computing base; `None` where there is no such thing.
    pub tcb: Option<TcbState>,
    /// What is known of revocation.
    pub revocation: Revocation,
    /// Each claim with its value, what the trust in it rests on, and the check that established it.
    pub checks: Vec<Check>,
}

/// Where reference values came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "mode")]
pub enum ReferenceMode {
    /// The policy document itself.
    Pinned,
    /// A snapshot of the registry that the governance key signed, which the policy names.
    #[serde(rename = "pinned", rename_all = "camelCase")]
    Snapshot {
        /// Number of the block that it was read at.
        block: u64,
        /// The registry's count of changes then.
        policy_epoch: u64,
        /// Seconds since 1970 after which it means nothing.
        not_after: u64,
    },
    /// `agree` of `of` JSON-RPC endpoints, which is not a proof.
    Rpc {
        /// How many endpoints must agree.
        agree: usize,
        /// How many were asked.
        of: usize,
    },
}

/// A node that passed: there is no verdict for one that didn't, there is a [`crate::rejection::Rejection`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Always `affirming`.
    pub status: &'static str,
    /// Kind of the policy; a development verdict says nothing about real silicon.
    pub kind: Kind,
    /// Platform.
    pub tee: Tee,
    /// Measurement id.
    pub measurement: HexBytes<32>,
    /// Where its reference value came from.
    pub reference: ReferenceMode,
    /// Agent id.
    pub agent: HexBytes<32>,
    /// Platform identity derived from the evidence; `None` where the evidence has none.
    pub platform: Option<HexBytes<32>>,
    /// Boot id.
    pub boot: HexBytes<16>,
    /// Epoch.
    pub epoch: u32,
    /// Launch document digest.
    pub launch: HexBytes<32>,
    /// Services switched on.
    pub services: Vec<String>,
    /// Model ids that are served.
    pub models: Vec<String>,
    /// Those of them whose prompts leave for somewhere outside any TEE; the policy allows it.
    pub external_models: Vec<String>,
    /// Whether the quote is bound to this very connection.
    pub channel_bound: bool,
    /// Age of the anchor block in seconds; `None` where it couldn't be looked up.
    pub age_seconds: Option<u64>,
    /// The checks that a person reads first, in the order in which they were made.
    pub checks: Vec<Check>,
    /// The CPU's evidence, claim by claim.
    pub cpu: Component,
    /// Each GPU's evidence.
    pub gpus: Vec<Component>,
    /// The log of the measured boot; `None` where the node has none.
    pub log: Option<Component>,
}
