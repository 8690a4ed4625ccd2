//! Whether a policy allows a payload. What no part of it allows is refused.

use jeju_wallet_auth::account::Account;

use super::document::{Address, CallRule, Policy, TypedRule};
use super::number::Uint256;
use super::payload::Kind;
use super::typed_data::Hashed;
use crate::refusal::Refusal;

/// Type of an ERC-4337 operation from version 0.8 of the entry point on. A key's wallet does whatever one says, so that a rule
/// on any type isn't meant for it.
const USER_OPERATION: &str = "PackedUserOperation";

/// Asks the policy.
///
/// # Errors
/// [`Refusal::Policy`], which names the part that came closest.
pub fn allows(policy: &Policy, kind: &Kind) -> Result<(), Refusal> {
    match kind {
        Kind::Raw if policy.raw => Ok(()),
        Kind::Raw => Err(Refusal::Policy("raw: the key signs no bytes without a meaning")),
        Kind::Text if policy.messages => Ok(()),
        Kind::Text => Err(Refusal::Policy("messages: the key signs no texts")),
        Kind::Calls {
            chain_id,
            wallet,
            to,
            value,
        } => closest(
            policy
                .calls
                .iter()
                .map(|rule| allows_calls(rule, *chain_id, wallet, to, value)),
        ),
        Kind::Typed { hashed, primary_type } => closest(
            policy
                .typed
                .iter()
                .map(|rule| allows_typed(rule, hashed, primary_type)),
        ),
    }
}

/// What a rule doesn't allow, in the order in which it is asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Miss {
    NoRule,
    Chain,
    Wallet,
    To,
    Itself,
    Value,
    Contract,
    Type,
    Operation,
}

fn allows_calls(
    rule: &CallRule,
    chain_id: u64,
    wallet: &Account,
    to: &[Account],
    value: &Uint256,
) -> Result<(), Miss> {
    let listed = |account: &Account| rule.to.contains(&Address(*account));
    if !is_any_or_has(&rule.chain_ids, &chain_id) {
        Err(Miss::Chain)
    } else if !is_any_or_has(&rule.wallets, &Address(*wallet)) {
        Err(Miss::Wallet)
    } else if !rule.to.is_empty() && !to.iter().all(listed) {
        Err(Miss::To)
    } else if to.contains(wallet) && !listed(wallet) {
        Err(Miss::Itself)
    } else if *value > rule.max_value {
        Err(Miss::Value)
    } else {
        Ok(())
    }
}

fn allows_typed(rule: &TypedRule, hashed: &Hashed, primary_type: &str) -> Result<(), Miss> {
    let chain_listed = || {
        rule.chain_ids
            .iter()
            .any(|id| hashed.chain_id == Some(Uint256::from(*id)))
    };
    let contract_listed = || {
        let contract = hashed.verifying_contract.map(Address);
        contract.is_some_and(|contract| rule.verifying_contracts.contains(&contract))
    };
    if !rule.chain_ids.is_empty() && !chain_listed() {
        Err(Miss::Chain)
    } else if !rule.verifying_contracts.is_empty() && !contract_listed() {
        Err(Miss::Contract)
    } else if !rule.primary_types.is_empty() && !rule.primary_types.iter().any(|name| name == primary_type) {
        Err(Miss::Type)
    } else if primary_type == USER_OPERATION && rule.primary_types.is_empty() {
        Err(Miss::Operation)
    } else {
        Ok(())
    }
}

fn is_any_or_has<T: PartialEq>(list: &[T], item: &T) -> bool {
    list.is_empty() || list.contains(item)
}

/// One rule is enough; else the refusal is of the one that asked most before it said no.
fn closest(answers: impl Iterator<Item = Result<(), Miss>>) -> Result<(), Refusal> {
    let mut furthest = Miss::NoRule;
    for answer in answers {
        match answer {
            Ok(()) => return Ok(()),
            Err(miss) => furthest = furthest.max(miss),
        }
    }
    Err(Refusal::Policy(match furthest {
        Miss::NoRule => "no rule is on payloads of this kind",
        Miss::Chain => "chainIds: no rule allows the chain",
        Miss::Wallet => "wallets: no rule allows the wallet",
        Miss::To => "to: no rule allows the account that is called",
        Miss::Itself => "to: no rule lists the wallet itself, which is called",
        Miss::Value => "maxValue: no rule allows so many wei",
        Miss::Contract => "verifyingContracts: no rule allows the contract",
        Miss::Type => "primaryTypes: no rule allows the type",
        Miss::Operation => {
            "primaryTypes: no rule lists PackedUserOperation, which lets the wallet do anything"
        }
    }))
}
