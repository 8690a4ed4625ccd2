//! The transactions of `LedgerManager`, by which users set money aside, and providers take what they earned.

use alloy::primitives::{Address, U256};

use crate::bindings::LedgerManager::{
    acknowledgeUserCall, cancelRefundCall, completeRefundCall, createLedgerCall, depositCall,
    depositFromCreditManagerCall, requestRefundCall, transferToProviderCall, withdraw_0Call, withdraw_1Call,
    withdrawTo_0Call, withdrawTo_1Call,
};
use crate::sender::{Receipt, SendError, Sender};

/// Least deposit that opens a ledger, in wei: `MIN_DEPOSIT` of the contract.
pub const MIN_DEPOSIT: u128 = 1_000_000_000_000_000;

/// Opens the account's ledger with `amount` wei, [`MIN_DEPOSIT`] at least.
///
/// # Errors
/// Any of [`SendError`].
pub async fn create(sender: &Sender<'_>, ledger: Address, amount: u128) -> Result<Receipt, SendError> {
    sender.pay(ledger, &createLedgerCall {}, U256::from(amount)).await
}

/// Adds `amount` wei to the account's ledger.
///
/// # Errors
/// Any of [`SendError`].
pub async fn deposit(sender: &Sender<'_>, ledger: Address, amount: u128) -> Result<Receipt, SendError> {
    sender.pay(ledger, &depositCall {}, U256::from(amount)).await
}

/// Adds `amount` wei to another account's ledger, which is opened if there is none.
///
/// # Errors
/// Any of [`SendError`].
pub async fn deposit_for(
    sender: &Sender<'_>,
    ledger: Address,
    user: Address,
    amount: u128,
) -> Result<Receipt, SendError> {
    let call = depositFromCreditManagerCall { user };
    sender.pay(ledger, &call, U256::from(amount)).await
}

/// Pays `amount` wei of what is available, to the account or to another.
///
/// # Errors
/// Any of [`SendError`].
pub async fn withdraw(
    sender: &Sender<'_>,
    ledger: Address,
    to: Option<Address>,
    amount: u128,
) -> Result<Receipt, SendError> {
    let amount = U256::from(amount);
    match to {
        None => sender.call(ledger, &withdraw_0Call { amount }).await,
        Some(to) => sender.call(ledger, &withdrawTo_0Call { to, amount }).await,
    }
}

/// Pays what the account has earned as a provider, to itself or to another account. How much that is:
/// [`jeju_chain::ChainReader::owed_at`] of the ledger.
///
/// # Errors
/// Any of [`SendError`].
pub async fn withdraw_earned(
    sender: &Sender<'_>,
    ledger: Address,
    to: Option<Address>,
) -> Result<Receipt, SendError> {
    match to {
        None => sender.call(ledger, &withdraw_1Call {}).await,
        Some(to) => sender.call(ledger, &withdrawTo_1Call { to }).await,
    }
}

/// Sets `amount` wei aside for a provider.
///
/// # Errors
/// Any of [`SendError`].
pub async fn transfer_to_provider(
    sender: &Sender<'_>,
    ledger: Address,
    provider: Address,
    amount: u128,
) -> Result<Receipt, SendError> {
    let amount = U256::from(amount);
    let call = transferToProviderCall { provider, amount };
    sender.call(ledger, &call).await
}

/// Tells a user that the account, a provider, serves it: without this the user can't settle, but vouchers pay.
///
/// # Errors
/// Any of [`SendError`].
pub async fn acknowledge_user(
    sender: &Sender<'_>,
    ledger: Address,
    user: Address,
) -> Result<Receipt, SendError> {
    sender.call(ledger, &acknowledgeUserCall { user }).await
}

/// Starts the way back of `amount` wei that the account set aside. The provider has the refund's lock to submit what was
/// signed to it.
///
/// # Errors
/// Any of [`SendError`].
pub async fn request_refund(
    sender: &Sender<'_>,
    ledger: Address,
    provider: Address,
    amount: u128,
) -> Result<Receipt, SendError> {
    let amount = U256::from(amount);
    let call = requestRefundCall { provider, amount };
    sender.call(ledger, &call).await
}

/// Makes what is left of a refund available, once its lock has run out.
///
/// # Errors
/// Any of [`SendError`].
pub async fn complete_refund(
    sender: &Sender<'_>,
    ledger: Address,
    provider: Address,
) -> Result<Receipt, SendError> {
    sender.call(ledger, &completeRefundCall { provider }).await
}

/// Sets aside again what waits for its refund.
///
/// # Errors
/// Any of [`SendError`].
pub async fn cancel_refund(
    sender: &Sender<'_>,
    ledger: Address,
    provider: Address,
) -> Result<Receipt, SendError> {
    sender.call(ledger, &cancelRefundCall { provider }).await
}
