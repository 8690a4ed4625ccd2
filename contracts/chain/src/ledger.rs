//! What `LedgerManager` says about users' money, at one concrete block.

use crate::abi::{AbiError, Words};
use crate::call_data::CallData;
use crate::reader::{Block, ChainReader, ReadError};

/// A user's balances; all zero where it has no ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ledger {
    /// Both below, in wei.
    pub total: u128,
    /// Free to withdraw or to set aside.
    pub available: u128,
    /// Set aside for providers, with what waits for its refund.
    pub locked: u128,
    /// Unix seconds; zero: there is no ledger.
    pub created_at: u64,
}

/// What a user set aside for a provider; all zero where that is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubAccount {
    /// What the provider may work against, in wei: `getProviderBalance`.
    pub balance: u128,
    /// Waits for its refund, in wei. Settlements reach it, but a provider doesn't work against it.
    pub pending_refund: u128,
    /// Unix seconds from which the refund can be completed.
    pub refund_unlock: u64,
    /// Whether the provider acknowledged the user: needed for settlements, not for vouchers.
    pub acknowledged: bool,
}

impl ChainReader {
    /// A user's balances as of `block`.
    ///
    /// # Errors
    /// Where no k endpoints give the same answer that `LedgerManager` could have given, or where it isn't at `ledger`.
    pub async fn ledger_at(
        &self,
        block: &Block,
        ledger: &[u8; 20],
        user: &[u8; 20],
    ) -> Result<Ledger, ReadError> {
        let call = CallData::new("getLedger(address)").address(user);
        self.read(block, ledger, &call, 4 * 32, "ledger", Ledger::from_answer)
            .await
    }

    /// What a user set aside for a provider, as of `block`.
    ///
    /// # Errors
    /// As [`ChainReader::ledger_at`].
    pub async fn sub_account_at(
        &self,
        block: &Block,
        ledger: &[u8; 20],
        user: &[u8; 20],
        provider: &[u8; 20],
    ) -> Result<SubAccount, ReadError> {
        let call = CallData::new("getSubAccount(address,address)")
            .address(user)
            .address(provider);
        self.read(
            block,
            ledger,
            &call,
            4 * 32,
            "sub-account",
            SubAccount::from_answer,
        )
        .await
    }
}

impl Ledger {
    fn from_answer(answer: &[u8]) -> Result<Self, AbiError> {
        let mut words = Words::new(answer);
        let (total, available, locked) = (words.u128()?, words.u128()?, words.u128()?);
        let created_at = words.u64()?;
        words.end()?;
        if available.checked_add(locked) != Some(total) || (created_at == 0 && total != 0) {
            return Err(AbiError::Inconsistent);
        }
        Ok(Self {
            total,
            available,
            locked,
            created_at,
        })
    }
}

impl SubAccount {
    fn from_answer(answer: &[u8]) -> Result<Self, AbiError> {
        let mut words = Words::new(answer);
        let (balance, pending_refund) = (words.u128()?, words.u128()?);
        let (refund_unlock, acknowledged) = (words.u64()?, words.bool()?);
        words.end()?;
        if pending_refund != 0 && refund_unlock == 0 {
            return Err(AbiError::Inconsistent);
        }
        Ok(Self {
            balance,
            pending_refund,
            refund_unlock,
            acknowledged,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::number_argument as word;

    #[test]
    fn balances_add_up() {
        let read = |words: [u64; 4]| Ledger::from_answer(&words.map(word).concat());
        let ledger = read([5, 2, 3, 9]).unwrap();
        assert_eq!((ledger.total, ledger.available, ledger.locked), (5, 2, 3));
        assert_eq!(read([0; 4]), Ok(Ledger::default()));
        assert_eq!(read([6, 2, 3, 9]), Err(AbiError::Inconsistent));
        assert_eq!(read([5, 2, 3, 0]), Err(AbiError::Inconsistent));
        let large = [[[0; 16], [0xff; 16]].concat().as_slice(), &[0; 16], &[0xff; 16]].concat();
        let overflow = [&word(0)[..], &large, &word(9)].concat();
        assert_eq!(Ledger::from_answer(&overflow), Err(AbiError::Inconsistent));
        assert_eq!(Ledger::from_answer(&[0; 127]), Err(AbiError::Length));
        assert_eq!(Ledger::from_answer(&[0; 160]), Err(AbiError::Length));
        assert_eq!(Ledger::from_answer(&[0xff; 128]), Err(AbiError::Range));
    }

    #[test]
    fn refunds_have_a_time() {
        let read = |words: [u64; 4]| SubAccount::from_answer(&words.map(word).concat());
        let sub = read([5, 2, 100, 1]).unwrap();
        assert_eq!((sub.balance, sub.pending_refund, sub.acknowledged), (5, 2, true));
        assert_eq!(read([0; 4]), Ok(SubAccount::default()));
        assert_eq!(read([5, 2, 0, 0]), Err(AbiError::Inconsistent));
        assert_eq!(read([5, 2, 100, 2]), Err(AbiError::Range));
        assert_eq!(SubAccount::from_answer(&[0; 96]), Err(AbiError::Length));
    }
}
