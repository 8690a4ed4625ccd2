//! How often one wallet may ask for what takes all members: key generations and refreshes. Derived keys cost nothing and
//! aren't counted.

use std::collections::{BTreeMap, VecDeque};

use crate::authority::Grant;
use crate::refusal::Refusal;
use crate::time::Interval;

/// Most ceremonies that one wallet may cause in [`WINDOW`].
pub(crate) const MOST: usize = 32;
/// In seconds.
pub(crate) const WINDOW: u64 = 300;
/// Most wallets that are remembered; of more, the one that asked longest ago is forgotten.
const MAX_WALLETS: usize = 4096;

/// What wallets caused: each request counts once, however often it is tried.
#[derive(Default)]
pub(crate) struct Limits {
    wallets: BTreeMap<[u8; 20], VecDeque<(u64, [u8; 32])>>,
}

impl Limits {
    /// Counts a request that leads to a ceremony.
    ///
    /// # Errors
    /// [`Refusal::TooOften`].
    pub(crate) fn count(&mut self, grant: &Grant, now: Interval) -> Result<(), Refusal> {
        let now = now.lower;
        if !self.wallets.contains_key(&grant.account) && self.wallets.len() >= MAX_WALLETS {
            self.forget_one(now);
        }
        let asked = self.wallets.entry(grant.account).or_default();
        asked.retain(|(at, _)| now < at.saturating_add(WINDOW));
        if asked.iter().any(|(_, digest)| *digest == grant.digest) {
            return Ok(());
        }
        match asked.front() {
            Some((first, _)) if asked.len() >= MOST => {
                let free = first.saturating_add(WINDOW).saturating_sub(now);
                Err(Refusal::TooOften {
                    seconds: u32::try_from(free).unwrap_or(u32::MAX),
                })
            }
            _ => {
                asked.push_back((now, grant.digest));
                Ok(())
            }
        }
    }

    fn forget_one(&mut self, now: u64) {
        self.wallets.retain(|_, asked| {
            asked
                .back()
                .is_some_and(|(at, _)| now < at.saturating_add(WINDOW))
        });
        if self.wallets.len() < MAX_WALLETS {
            return;
        }
        let oldest = self
            .wallets
            .iter()
            .min_by_key(|(_, asked)| asked.back().map(|(at, _)| *at))
            .map(|(account, _)| *account);
        if let Some(oldest) = oldest {
            self.wallets.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::Action;
    use crate::network::{KeyId, KeyPath, Scheme};

    fn grant(wallet: u16, number: u16) -> Grant {
        let mut account = [0; 20];
        account[..2].copy_from_slice(&wallet.to_be_bytes());
        let mut digest = [0; 32];
        digest[..2].copy_from_slice(&number.to_be_bytes());
        Grant {
            digest,
            nonce: digest,
            account,
            issued: 0,
            expires: 0,
            action: Action::Keygen(KeyPath {
                key: KeyId([1; 32]),
                scheme: Scheme::Secp256k1,
                dedicated: true,
            }),
        }
    }

    #[test]
    fn a_wallet_waits_and_others_do_not() {
        let mut limits = Limits::default();
        let at = Interval::exact;
        for number in 0..MOST as u16 {
            assert_eq!(limits.count(&grant(1, number), at(1000)), Ok(()));
        }
        assert_eq!(limits.count(&grant(1, 0), at(1001)), Ok(()), "tried again");
        let more = grant(1, 500);
        let refused = limits.count(&more, at(1001));
        assert_eq!(
            refused,
            Err(Refusal::TooOften {
                seconds: WINDOW as u32 - 1
            })
        );
        assert_eq!(limits.count(&grant(2, 500), at(1001)), Ok(()));
        assert_eq!(limits.count(&more, at(1000 + WINDOW)), Ok(()));
    }

    #[test]
    fn many_wallets_take_bounded_room() {
        let mut limits = Limits::default();
        for wallet in 0..MAX_WALLETS as u16 + 100 {
            assert_eq!(limits.count(&grant(wallet, 1), Interval::exact(1000)), Ok(()));
        }
        assert_eq!(limits.wallets.len(), MAX_WALLETS);
    }
}
