//! What a key may sign, as a command line says it.

use std::path::PathBuf;

use clap::Args;
use jeju_mpc::authority::document::{Address, CallRule, Policy, TypedRule};
use jeju_mpc::authority::number::Uint256;
use jeju_wallet_auth::account::Account;

use super::super::MpcError;
use crate::files;

/// Longest file of rules, in bytes.
const MAX_LEN: usize = 64 * 1024;

/// What a key may sign. What nothing here allows, it never signs.
#[derive(Debug, Clone, Default, Args)]
pub struct RuleArguments {
    /// All rules, as a JSON policy (docs/operating.md)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["messages", "raw_hashes", "call_to", "call_any", "max_value", "typed_contract", "signer"])]
    pub rules: Option<PathBuf>,
    /// Texts (EIP-191)
    #[arg(long)]
    pub messages: bool,
    /// 32 bytes, whatever they mean: who may ask can have anything signed
    #[arg(long = "raw-hashes")]
    pub raw_hashes: bool,
    /// Calls of this account by the key's wallet (may be given several times)
    #[arg(long, value_name = "ADDRESS")]
    pub call_to: Vec<Account>,
    /// Calls of any account but the wallet itself
    #[arg(long, conflicts_with = "call_to")]
    pub call_any: bool,
    /// Most wei in one call [default: 0]
    #[arg(long, value_name = "WEI", value_parser = wei)]
    pub max_value: Option<Uint256>,
    /// Typed data (EIP-712) for this contract (may be given several times)
    #[arg(long, value_name = "ADDRESS")]
    pub typed_contract: Vec<Account>,
    /// Account that may ask for signatures, in the place of the owners (may be given several times)
    #[arg(long, value_name = "ADDRESS")]
    pub signer: Vec<Account>,
}

impl RuleArguments {
    /// The policy, on this chain.
    pub fn policy(&self, chain_id: u64) -> Result<Policy, MpcError> {
        if let Some(path) = &self.rules {
            let text = files::text(path, MAX_LEN)?;
            return serde_json::from_str(&text).map_err(|error| MpcError::KeyFile {
                path: path.display().to_string(),
                what: error.to_string(),
            });
        }
        let mut policy = Policy {
            signers: addresses(&self.signer),
            raw: self.raw_hashes,
            messages: self.messages,
            ..Policy::default()
        };
        if self.call_any || !self.call_to.is_empty() {
            policy.calls.push(CallRule {
                chain_ids: vec![chain_id],
                wallets: Vec::new(),
                to: addresses(&self.call_to),
                max_value: self.max_value.unwrap_or_default(),
            });
        }
        if !self.typed_contract.is_empty() {
            policy.typed.push(TypedRule {
                chain_ids: vec![chain_id],
                verifying_contracts: addresses(&self.typed_contract),
                primary_types: Vec::new(),
            });
        }
        Ok(policy)
    }
}

/// As documents list them: ascending, each once.
pub(super) fn addresses(accounts: &[Account]) -> Vec<Address> {
    let mut all: Vec<Address> = accounts.iter().copied().map(Address).collect();
    all.sort_unstable();
    all.dedup();
    all
}

pub(super) fn wei(text: &str) -> Result<Uint256, String> {
    Uint256::from_decimal(text).ok_or_else(|| "a decimal number below 2^256 is expected".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_rules() {
        let account = |byte| Account([byte; 20]);
        let arguments = RuleArguments {
            messages: true,
            call_to: vec![account(2), account(1), account(2)],
            max_value: Some(Uint256::from(5)),
            typed_contract: vec![account(3)],
            ..RuleArguments::default()
        };
        let policy = arguments.policy(7).unwrap();
        assert!(policy.messages && !policy.raw && policy.check().is_ok());
        assert_eq!(policy.calls[0].to, [Address(account(1)), Address(account(2))]);
        assert_eq!(
            (policy.calls[0].chain_ids.as_slice(), policy.calls[0].max_value),
            (&[7][..], Uint256::from(5))
        );
        assert_eq!(policy.typed[0].verifying_contracts, [Address(account(3))]);
        let none = RuleArguments::default().policy(7).unwrap();
        assert_eq!(none, Policy::default(), "nothing is allowed that isn't named");
    }

    #[test]
    fn numbers_have_one_spelling() {
        assert_eq!(wei("0"), Ok(Uint256::default()));
        for wrong in ["", "0x1", "01", "-1", "1e18", " 1", &"9".repeat(79)] {
            assert!(wei(wrong).is_err(), "{wrong}");
        }
    }
}
