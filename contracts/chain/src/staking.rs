//! What `ComputeStaking` and `ComputeRegistry` say about stake, at one concrete block.

use crate::abi::{AbiError, Words, amount};
use crate::call_data::CallData;
use crate::reader::{Block, ChainReader, ReadError};

/// What an account staked as in `ComputeStaking`, by the contract's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StakeKind {
    /// Nothing.
    None = 0,
    /// User.
    User = 1,
    /// Provider.
    Provider = 2,
    /// Guardian.
    Guardian = 3,
}

impl StakeKind {
    /// A stable name for output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::User => "user",
            Self::Provider => "provider",
            Self::Guardian => "guardian",
        }
    }
}

/// An account's stake in `ComputeStaking`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StakeRecord {
    /// Bonded, in wei.
    pub amount: u128,
    /// What it was staked as.
    pub kind: StakeKind,
    /// Unix seconds; zero without stake.
    pub staked_at: u64,
    /// Unix seconds at which stake can be out at the earliest; zero without stake.
    pub locked_until: u64,
    /// Whether it ever lost stake.
    pub slashed: bool,
}

/// Stake that is on its way out of `ComputeStaking` or `ComputeRegistry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeavingStake {
    /// In wei.
    pub amount: u128,
    /// Unix seconds at which it is ready, holds apart.
    pub ready_at: u64,
    /// Unix seconds at which it is free as holds stand now.
    pub free_at: u64,
}

/// The key that a provider shows to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShownKey {
    /// Its account; `None` if the provider shows none.
    pub key: Option<[u8; 20]>,
    /// Whether the key lives, and the provider's link to its agent does.
    pub live: bool,
}

impl ChainReader {
    /// An account's stake in `ComputeStaking` as of `block`.
    ///
    /// # Errors
    /// Where no k endpoints give the same answer that the contract could have given, or where it isn't at `staking`.
    pub async fn stake_at(
        &self,
        block: &Block,
        staking: &[u8; 20],
        account: &[u8; 20],
    ) -> Result<StakeRecord, ReadError> {
        let call = CallData::new("getStake(address)").address(account);
        self.read(block, staking, &call, 5 * 32, "stake", StakeRecord::from_answer)
            .await
    }

    /// Stake of an account that is on its way out of `vault`, `ComputeStaking` or `ComputeRegistry`, as of `block`.
    ///
    /// # Errors
    /// As [`ChainReader::stake_at`].
    pub async fn leaving_stake_at(
        &self,
        block: &Block,
        vault: &[u8; 20],
        account: &[u8; 20],
    ) -> Result<LeavingStake, ReadError> {
        let call = CallData::new("leavingOf(address)").address(account);
        self.read(block, vault, &call, 3 * 32, "leaving stake", |answer| {
            let mut words = Words::new(answer);
            let (amount, ready_at, free_at) = (words.u128()?, words.u64()?, words.u64()?);
            words.end()?;
            Ok(LeavingStake {
                amount,
                ready_at,
                free_at,
            })
        })
        .await
    }

    /// What an account may take out of `vault` at `block`, in wei: stake whose unbonding is over, rewards.
    ///
    /// # Errors
    /// As [`ChainReader::stake_at`].
    pub async fn withdrawable_stake_at(
        &self,
        block: &Block,
        vault: &[u8; 20],
        account: &[u8; 20],
    ) -> Result<u128, ReadError> {
        let call = CallData::new("withdrawable(address)").address(account);
        self.read(block, vault, &call, 32, "withdrawable stake", amount)
            .await
    }

    /// Stake of an active provider at least, as of `block`, in wei.
    ///
    /// # Errors
    /// As [`ChainReader::stake_at`], of `ComputeRegistry`.
    pub async fn least_provider_stake_at(
        &self,
        block: &Block,
        registry: &[u8; 20],
    ) -> Result<u128, ReadError> {
        let call = CallData::new("minProviderStake()");
        self.read(block, registry, &call, 32, "least stake", amount).await
    }

    /// The attested key that a provider shows in `ComputeRegistry`, as of `block`.
    ///
    /// # Errors
    /// As [`ChainReader::stake_at`], of `ComputeRegistry`.
    pub async fn shown_key_at(
        &self,
        block: &Block,
        registry: &[u8; 20],
        provider: &[u8; 20],
    ) -> Result<ShownKey, ReadError> {
        let call = CallData::new("attestedKeyOf(address)").address(provider);
        self.read(block, registry, &call, 64, "attested key", ShownKey::from_answer)
            .await
    }
}

impl StakeRecord {
    fn from_answer(answer: &[u8]) -> Result<Self, AbiError> {
        let mut words = Words::new(answer);
        let amount = words.u128()?;
        let kind = match words.u8()? {
            0 => StakeKind::None,
            1 => StakeKind::User,
            2 => StakeKind::Provider,
            3 => StakeKind::Guardian,
            _ => return Err(AbiError::Range),
        };
        let (staked_at, locked_until, slashed) = (words.u64()?, words.u64()?, words.bool()?);
        words.end()?;
        if (kind == StakeKind::None) != (amount == 0) {
            return Err(AbiError::Inconsistent);
        }
        Ok(Self {
            amount,
            kind,
            staked_at,
            locked_until,
            slashed,
        })
    }
}

impl ShownKey {
    fn from_answer(answer: &[u8]) -> Result<Self, AbiError> {
        let mut words = Words::new(answer);
        let (key, live) = (words.address()?, words.bool()?);
        words.end()?;
        let key = (key != [0; 20]).then_some(key);
        if live && key.is_none() {
            return Err(AbiError::Inconsistent);
        }
        Ok(Self { key, live })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::{address_argument, number_argument as word};

    #[test]
    fn stake_has_a_kind() {
        let read = |words: [u64; 5]| StakeRecord::from_answer(&words.map(word).concat());
        let stake = read([5, 2, 100, 200, 1]).unwrap();
        assert_eq!(
            (stake.amount, stake.kind.name(), stake.slashed),
            (5, "provider", true)
        );
        assert_eq!(read([0; 5]).unwrap().kind, StakeKind::None);
        // All of it may be leaving.
        assert_eq!(read([0, 0, 100, 200, 0]).unwrap().locked_until, 200);
        assert_eq!(read([5, 4, 100, 200, 0]), Err(AbiError::Range));
        assert_eq!(read([5, 0, 100, 200, 0]), Err(AbiError::Inconsistent));
        assert_eq!(read([0, 1, 100, 200, 0]), Err(AbiError::Inconsistent));
        assert_eq!(StakeRecord::from_answer(&[0; 128]), Err(AbiError::Length));
    }

    #[test]
    fn no_key_does_not_live() {
        let read =
            |key: [u8; 20], live: u64| ShownKey::from_answer(&[address_argument(&key), word(live)].concat());
        assert_eq!(read([1; 20], 1).unwrap().key, Some([1; 20]));
        assert_eq!(read([0; 20], 0).unwrap().key, None);
        assert_eq!(read([0; 20], 1), Err(AbiError::Inconsistent));
        assert_eq!(read([1; 20], 2), Err(AbiError::Range));
    }
}
