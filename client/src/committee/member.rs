//! Who is in a committee, and how many of them sign.

use frost_secp256k1::Identifier;
use jeju_attestation::hash::sha256;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_wallet_auth::account::Account;
use serde::{Deserialize, Serialize};

use super::CommitteeError;

/// Most members.
pub const MAX_MEMBERS: usize = 16;

/// The members, in an order on which all agree, and how many of them sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Committee {
    /// How many sign: two at least.
    pub threshold: u16,
    /// Their accounts; the first one is member 1.
    pub members: Vec<HexBytes<20>>,
}

impl Committee {
    /// Checks what was asked for.
    ///
    /// # Errors
    /// [`CommitteeError::Members`].
    pub fn check(&self) -> Result<(), CommitteeError> {
        let count = self.members.len();
        if !(2..=MAX_MEMBERS).contains(&count) {
            return Err(CommitteeError::Members("a committee has 2 to 16 members"));
        }
        if self.threshold < 2 || usize::from(self.threshold) > count {
            return Err(CommitteeError::Members(
                "the threshold is 2 at least, and no more than there are members",
            ));
        }
        let is_twice = |at: usize| self.members[..at].contains(&self.members[at]);
        match (0..count).any(is_twice) {
            true => Err(CommitteeError::Members("an account is a member once")),
            false => Ok(()),
        }
    }

    /// What its messages are bound to.
    pub fn id(&self) -> [u8; 32] {
        let mut bytes = b"jeju-committee-v1\0".to_vec();
        bytes.extend(self.threshold.to_be_bytes());
        self.members.iter().for_each(|member| bytes.extend(member.0));
        sha256(&bytes)
    }

    /// Number of a member, from 1.
    ///
    /// # Errors
    /// [`CommitteeError::NotAMember`].
    pub fn number(&self, account: Account) -> Result<u16, CommitteeError> {
        let at = self.members.iter().position(|member| member.0 == account.0);
        // At most sixteen, which was checked.
        at.map(|at| at as u16 + 1)
            .ok_or(CommitteeError::NotAMember(account))
    }

    /// Account of a member.
    pub fn account(&self, number: u16) -> Option<Account> {
        let at = usize::from(number).checked_sub(1)?;
        self.members.get(at).map(|member| Account(member.0))
    }

    /// Numbers of all members.
    pub fn numbers(&self) -> impl Iterator<Item = u16> + use<> {
        1..=self.members.len() as u16
    }
}

/// A member's name in FROST.
pub(super) fn identifier(number: u16) -> Result<Identifier, CommitteeError> {
    number
        .try_into()
        .map_err(|_| CommitteeError::Crypto("a member has a number from 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committee(threshold: u16, members: &[u8]) -> Committee {
        Committee {
            threshold,
            members: members.iter().map(|byte| HexBytes([*byte; 20])).collect(),
        }
    }

    #[test]
    fn committees_that_can_not_be_are_refused() {
        assert!(committee(2, &[1, 2, 3]).check().is_ok());
        let many: Vec<u8> = (0..17).collect();
        for (threshold, members) in [
            (1, &[1, 2][..]),
            (3, &[1, 2]),
            (2, &[1]),
            (2, &[1, 2, 1]),
            (2, &many),
        ] {
            let refused = committee(threshold, members).check().unwrap_err();
            assert_eq!(refused.code(), "committee_members_invalid");
        }
    }

    #[test]
    fn its_id_is_of_order_and_threshold() {
        let one = committee(2, &[1, 2, 3]);
        assert_ne!(one.id(), committee(3, &[1, 2, 3]).id());
        assert_ne!(one.id(), committee(2, &[2, 1, 3]).id());
        assert_eq!(one.number(Account([3; 20])).unwrap(), 3);
        assert_eq!(one.account(3), Some(Account([3; 20])));
        assert_eq!((one.account(0), one.account(4)), (None, None));
        assert_eq!(
            one.number(Account([4; 20])).unwrap_err().code(),
            "committee_not_a_member"
        );
    }
}
