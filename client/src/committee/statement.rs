//! What the committee signs of a quote: `QuoteClaims` of `FrostVerifier`, as each member finds it in the evidence itself.

use jeju_attestation::appraisal::Challenge;
use jeju_attestation::bundle::Bundle;
use jeju_attestation::claims::{Mode, Role};
use jeju_attestation::evidence::NodeEvidence;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::verdict::Component;
use jeju_chain::platform;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::eip712::{Domain, address, hash_struct, number};
use jeju_wallet_auth::signature::account_of_public;
use serde::{Deserialize, Serialize};

use super::{CommitteeError, KeyRequest};
use crate::error::Error;
use crate::relying_party::{Documents, RelyingParty};
use crate::session::unix_now;

/// Longest life of what a quote says, in seconds: what `AttestedKeyRegistry` allows at most.
pub const MAX_LIFETIME: u64 = 7 * 24 * 3600;
const TYPE: &str = "QuoteClaims(uint8 platform,bytes32 measurement,bytes32 hardware,uint256 agentId,bytes32 claimsDigest,bytes32 launchDigest,address key,uint8 tcbStatus,uint64 expiry)";

/// What a quote was found to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Statement {
    /// Platform, by the number that contracts have for it.
    pub platform: u8,
    /// Measurement id.
    pub measurement: HexBytes<32>,
    /// Platform id; zeros where the evidence has none.
    pub hardware: HexBytes<32>,
    /// Agent that the claims name.
    pub agent_id: HexBytes<32>,
    /// SHA-256 of the claims-buffer.
    pub claims_digest: HexBytes<32>,
    /// SHA-256 of the launch document.
    pub launch_digest: HexBytes<32>,
    /// Account of the enclave's key of this boot.
    pub key: HexBytes<20>,
    /// State of the firmware: 0 up to date, then worse.
    pub tcb_status: u8,
    /// Unix seconds after which it says nothing.
    pub expiry: u64,
}

impl Statement {
    /// Verifies the evidence of a request under what this member trusts, and finds out what it says. Nothing is taken from
    /// the request but the evidence itself, and until when it is to count.
    ///
    /// # Errors
    /// Where the evidence isn't accepted; [`CommitteeError::Request`] where no contract could use it.
    pub async fn of(request: &KeyRequest, party: &RelyingParty, chain: u64) -> Result<Self, CommitteeError> {
        let refused = |what| Err(CommitteeError::Request(what));
        let bundle = Bundle::parse(&request.evidence)
            .map_err(|_| CommitteeError::Request("it holds no evidence bundle"))?;
        let genuine = party
            .evidence_verifier()
            .verify(&NodeEvidence::of(&bundle), unix_now())
            .map_err(Error::from)?;
        let claims = genuine.claims.claims();
        if (claims.mode, claims.role) != (Mode::Epoch, Role::Server) {
            return refused("the quote is no server's of an epoch");
        }
        if claims.chain.0 != chain {
            return refused("the node is of another chain");
        }
        let documents = Documents {
            bundle: &bundle,
            // An epoch's quote answers nobody's nonce: the block that it names says how old it is.
            challenge: Challenge {
                nonce: claims.nonce,
                channel: Some(claims.channel),
            },
        };
        let verdict = party.appraise(&genuine, &documents).await?;
        let now = party.chain_time().await;
        if request.expiry <= now {
            return refused("it ran out");
        }
        if request.expiry > now.saturating_add(MAX_LIFETIME) {
            return refused("it would count for more than seven days");
        }
        let Some(tcb_status) = tcb_status(&verdict.cpu) else {
            return refused("the firmware is in a state that no contract knows");
        };
        let Some(key) = account_of_public(&claims.evm) else {
            return refused("the key in the claims is no point");
        };
        Ok(Self {
            platform: platform::from_name(genuine.tee.name())
                .ok_or(CommitteeError::Request("contracts don't know the platform"))?,
            measurement: HexBytes(genuine.measurement.0),
            hardware: HexBytes(genuine.platform.unwrap_or_default()),
            agent_id: HexBytes(claims.agent),
            claims_digest: HexBytes(genuine.claims.digest()),
            launch_digest: HexBytes(claims.launch),
            key: HexBytes(key.0),
            tcb_status,
            expiry: request.expiry,
        })
    }

    /// What is signed for the verifier at `verifier` (EIP-712).
    pub fn digest(&self, chain_id: u64, verifier: Account) -> [u8; 32] {
        let domain = Domain {
            name: "Jeju Quote Verifier",
            version: "1",
            chain_id,
            contract: verifier,
        };
        let members = [
            number(self.platform.into()),
            self.measurement.0,
            self.hardware.0,
            self.agent_id.0,
            self.claims_digest.0,
            self.launch_digest.0,
            address(&Account(self.key.0)),
            number(self.tcb_status.into()),
            number(self.expiry),
        ];
        domain.digest(&hash_struct(TYPE, &members))
    }
}

/// Intel's words in the order in which they get worse. Others publish versions, which the policy has judged.
fn tcb_status(cpu: &Component) -> Option<u8> {
    const LEVELS: [&str; 6] = [
        "UpToDate",
        "SWHardeningNeeded",
        "ConfigurationNeeded",
        "ConfigurationAndSWHardeningNeeded",
        "OutOfDate",
        "OutOfDateConfigurationNeeded",
    ];
    match &cpu.tcb {
        Some(state) if cpu.kind == "tdx" => LEVELS
            .iter()
            .position(|level| *level == state.status)
            .map(|level| level as u8),
        _ => Some(0),
    }
}
