//! What a verified node's launch document says of payments.

use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::launch::LaunchDocument;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::market::At;
use jeju_wallet_auth::v2::Audience;

/// Who earns, through which contracts, and whom signed requests are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Whom signed requests are for, on which chain.
    pub audience: Audience,
    /// The provider's account.
    pub provider: Account,
    /// `InferenceServing`.
    pub serving: Account,
    /// `LedgerManager`.
    pub ledger: Account,
    /// Whether only those are served who pay.
    pub required: bool,
    /// Most that may be owed beyond what is promised, in wei.
    pub credit: u128,
}

impl Facts {
    /// Of a launch document that was verified; `None` where it names no payments.
    pub fn read(launch: &[u8]) -> Option<Self> {
        let document = LaunchDocument::parse(launch).ok()?;
        let payments = document.payments?;
        Some(Self {
            audience: Audience {
                chain_id: document.chain.id,
                registry: Account(document.chain.registry.0),
                node: document.node.agent.0,
            },
            provider: Account(payments.provider.0),
            serving: Account(payments.serving.0),
            ledger: Account(payments.ledger.0),
            required: payments.required,
            credit: payments.credit_wei()?,
        })
    }

    /// What vouchers are signed for.
    pub fn at(&self) -> At {
        At {
            chain_id: self.audience.chain_id,
            contract: self.serving,
        }
    }

    /// The contract as documents write it.
    pub(super) fn serving_hex(&self) -> HexBytes<20> {
        HexBytes(self.serving.0)
    }
}
