//! Why an account isn't served, in the shape that clients of x402 know.

use http::StatusCode;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::market::VoucherTextError;
use serde_json::{Value, json};

use super::x402::Network;
use crate::front::error::ApiError;

/// The first clients compare it.
const ERROR: &str = "Payment required to access compute service";
/// What the first clients know as the chain's own coin.
const COIN: &str = "0x0000000000000000000000000000000000000000";

/// Why an account isn't served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::front) enum Reason {
    /// Nobody signed the request.
    Anonymous,
    /// The chain has no price for the model.
    NoPrice,
    /// No answer of the chain.
    Unreadable,
    /// No more accounts can be remembered.
    Full,
    /// Less is set aside than the answer may cost.
    Insufficient { needed: u128, balance: u128 },
    /// More is owed than is credited.
    Due { due: u128, credit: u128 },
    /// `Jeju-Voucher` is none.
    VoucherMalformed(VoucherTextError),
    /// The voucher isn't the account's.
    VoucherSignature,
    /// It promises less than an older one, or isn't newer.
    NotCumulative { promised: u128, sequence: u64 },
    /// It may run out before it is submitted.
    Expiring { margin: u64 },
    /// It promises more than is set aside.
    Uncovered { adds: u128, reach: u128 },
    /// `X-Payment` is none.
    PaymentMalformed,
    /// It isn't the account's.
    PaymentSignature,
    /// It is for another chain.
    PaymentNetwork,
    /// It is less than the answer may cost.
    PaymentLow,
    /// It was used.
    Used,
    /// `x-jeju-settlement-nonce` is no number.
    Nonce,
}

/// What is asked for, and of whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Requirement<'a> {
    pub(super) network: &'a Network,
    pub(super) provider: Account,
    /// The path that was asked.
    pub(super) resource: &'a str,
    /// What it may cost at most, or what is due, in wei.
    pub(super) amount: u128,
}

impl Reason {
    /// Stable code.
    fn code(&self) -> &'static str {
        match self {
            Reason::Anonymous => "payment_required",
            Reason::NoPrice => "price_unknown",
            Reason::Unreadable => "payment_chain_unreadable",
            Reason::Full => "payment_accounts_full",
            Reason::Insufficient { .. } => "payment_insufficient",
            Reason::Due { .. } => "payment_due",
            Reason::VoucherMalformed(_) => "voucher_malformed",
            Reason::VoucherSignature => "voucher_signature_invalid",
            Reason::NotCumulative { .. } => "voucher_not_cumulative",
            Reason::Expiring { .. } => "voucher_expiring",
            Reason::Uncovered { .. } => "voucher_uncovered",
            Reason::PaymentMalformed => "x402_malformed",
            Reason::PaymentSignature => "x402_signature_invalid",
            Reason::PaymentNetwork => "x402_network_wrong",
            Reason::PaymentLow => "x402_amount_low",
            Reason::Used => "x402_used",
            Reason::Nonce => "settlement_nonce_malformed",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Reason::NoPrice | Reason::Unreadable | Reason::Full => StatusCode::SERVICE_UNAVAILABLE,
            Reason::VoucherMalformed(_) | Reason::Nonce => StatusCode::BAD_REQUEST,
            _ => StatusCode::PAYMENT_REQUIRED,
        }
    }

    fn message(&self, requirement: &Requirement) -> String {
        match self {
            Reason::Anonymous => "An account must sign the request.".to_owned(),
            Reason::NoPrice => "The provider offers no service for this model on chain.".to_owned(),
            Reason::Unreadable => "The node can't read the chain, and so not whether it would be paid.".to_owned(),
            Reason::Full => "The node can remember no more accounts.".to_owned(),
            Reason::Insufficient { needed, balance } => {
                format!("The account has {balance} wei set aside for the provider, and needs {needed}.")
            }
            Reason::Due { due, credit } => {
                format!("The account owes {due} wei that it hasn't promised by a voucher, more than the {credit} allowed.")
            }
            Reason::VoucherMalformed(error) => format!("{error}."),
            Reason::VoucherSignature => "The voucher's signature is not the account's.".to_owned(),
            Reason::NotCumulative { promised, sequence } => format!(
                "The voucher must promise {promised} wei at least, with a sequence above {sequence}."
            ),
            Reason::Expiring { margin } => format!("The voucher must be good for more than {margin} s."),
            Reason::Uncovered { adds, reach } => {
                format!("The voucher adds {adds} wei to what was paid, and {reach} are set aside.")
            }
            Reason::PaymentMalformed => {
                "X-Payment is scheme=exact;network=…;payload=0x…;asset=0x…;amount=… with the chain's own coin.".to_owned()
            }
            Reason::PaymentSignature => "The payload of X-Payment is not the account's signature.".to_owned(),
            Reason::PaymentNetwork => format!("X-Payment must be for the network {}.", requirement.network.name()),
            Reason::PaymentLow => {
                format!("The answer may cost {} wei, more than X-Payment says.", requirement.amount)
            }
            Reason::Used => "X-Payment of this amount was used by the account: use a larger one.".to_owned(),
            Reason::Nonce => "x-jeju-settlement-nonce is not a decimal number.".to_owned(),
        }
    }

    /// The answer.
    pub(super) fn into_error(self, requirement: &Requirement) -> ApiError {
        let status = self.status();
        let error = ApiError::new(status, self.code(), self.message(requirement));
        match status {
            StatusCode::PAYMENT_REQUIRED => {
                let more = requirement.members(&error.message);
                error.with_more(more)
            }
            StatusCode::SERVICE_UNAVAILABLE => error.with_retry_after(5),
            _ => error,
        }
    }
}

impl Requirement<'_> {
    /// Members of the body beside its code.
    fn members(&self, message: &str) -> Vec<(&'static str, Value)> {
        let accept = |scheme: &str, description: &str| {
            json!({
                "scheme": scheme,
                "network": self.network.name(),
                "maxAmountRequired": self.amount.to_string(),
                "asset": COIN,
                "payTo": self.provider.to_string(),
                "resource": self.resource,
                "description": description,
            })
        };
        let accepts = [
            accept(
                "exact",
                "A signed amount, covered by what the account set aside for the provider",
            ),
            accept(
                "credit",
                "What the account set aside for the provider, and vouchers for what it owes",
            ),
        ];
        vec![
            ("x402Version", 1.into()),
            ("error", ERROR.into()),
            ("message", message.into()),
            ("accepts", accepts.to_vec().into()),
        ]
    }
}
