//! A rental's record.

use crate::abi::{AbiError, Words};
use crate::text::ChainText;

/// Selector of `getRental(bytes32)`.
pub const GET_RENTAL_SELECTOR: [u8; 4] = [0xd9, 0x78, 0xf6, 0xad];
/// Selector of `termsOf(bytes32)`.
pub const TERMS_OF_SELECTOR: [u8; 4] = [0xbe, 0x51, 0x70, 0xc0];

/// Longest SSH key, in bytes: `MAX_KEY` of the contract.
pub const MAX_KEY_BYTES: usize = 1024;
/// Longest image reference, in bytes: `MAX_NAME` of the contract.
pub const MAX_IMAGE_BYTES: usize = 256;
/// Longest start-up script, in bytes: `MAX_SCRIPT` of the contract.
pub const MAX_SCRIPT_BYTES: usize = 4096;
/// Longest host name, in bytes: `MAX_NAME` of the contract.
pub const MAX_HOST_BYTES: usize = 256;

/// Fields of `Rental`.
const FIELDS: usize = 14;
/// Longest answer of `getRental`, in bytes: the offset, the fields, and four texts behind their lengths.
pub(super) const MAX_RECORD_BYTES: usize =
    (1 + FIELDS + 4) * 32 + MAX_KEY_BYTES + MAX_IMAGE_BYTES + MAX_SCRIPT_BYTES + MAX_HOST_BYTES;
/// Length of the answer of `termsOf`, in bytes.
pub(super) const TERMS_BYTES: usize = 4 * 32;

/// A rental as it stands at one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RentalRecord {
    /// Its id.
    pub id: [u8; 32],
    /// Who rents.
    pub user: [u8; 20],
    /// Whose machine.
    pub provider: [u8; 20],
    /// How far it has come.
    pub status: RentalStatus,
    /// Unix seconds at which it was started; zero: it wasn't.
    pub start_time: u64,
    /// Unix seconds at which what is paid for ends; zero: it wasn't started.
    pub end_time: u64,
    /// What was paid, in wei.
    pub paid: u128,
    /// What of it was credited to the user again, in wei.
    pub refunded: u128,
    /// Line of the only key that logs in, as in `authorized_keys`. The user's text, at most [`MAX_KEY_BYTES`].
    pub ssh_public_key: ChainText,
    /// Image reference. The user's text, at most [`MAX_IMAGE_BYTES`].
    pub container_image: ChainText,
    /// Start-up script, or `sha256:` and its digest. The user's text, at most [`MAX_SCRIPT_BYTES`].
    pub startup_script: ChainText,
    /// Where the tenant logs in; empty until it is started. The provider's text, at most [`MAX_HOST_BYTES`].
    pub ssh_host: ChainText,
    /// The port; zero until it is started.
    pub ssh_port: u16,
    /// Price of an hour, in wei, for the rental's whole life.
    pub rate: u128,
    /// Unix seconds until which the provider may start it, that second included.
    pub start_deadline: u64,
    /// Unix seconds at which its use ended, before or at `end_time`; zero: it hasn't.
    pub ended_at: u64,
    /// The platform's part, in ten-thousandths.
    pub fee_bps: u16,
}

/// How far a rental has come, by the contract's numbers. The contract never uses 2, paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RentalStatus {
    /// Paid for, not started.
    Pending = 0,
    /// Started. What was paid for may have run out since.
    Active = 1,
    /// Over, and its money credited.
    Completed = 3,
    /// The user gave it up before it was started.
    Cancelled = 4,
    /// The provider didn't start it in time.
    Expired = 5,
    /// Use has ended; who gets what is disputed.
    Disputed = 6,
}

impl RentalStatus {
    const ALL: [Self; 6] = [
        Self::Pending,
        Self::Active,
        Self::Completed,
        Self::Cancelled,
        Self::Expired,
        Self::Disputed,
    ];

    /// The contract's number.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The status of a number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.number() == number)
    }

    /// A stable name for output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Disputed => "disputed",
        }
    }

    /// Whether nothing brings it back.
    pub const fn is_over(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Cancelled | Self::Expired | Self::Disputed
        )
    }
}

impl RentalRecord {
    /// Decodes the answers of `getRental` and `termsOf` for the id `id`; `None` if there is no such rental.
    ///
    /// # Errors
    /// Where the contract can't have answered these bytes about this id.
    pub fn from_answers(id: &[u8; 32], rental: &[u8], terms: &[u8]) -> Result<Option<Self>, AbiError> {
        let mut words = Words::new(rental);
        words.offset(32)?;
        let found = words.word()?;
        let (user, provider) = (words.address()?, words.address()?);
        let status = RentalStatus::from_number(words.u8()?).ok_or(AbiError::Range)?;
        let (start_time, end_time) = (words.u64()?, words.u64()?);
        let (cost, paid, refunded) = (words.u128()?, words.u128()?, words.u128()?);
        // The texts lie behind the fields in this order, so the offsets follow from their lengths and are checked below.
        let offsets = [words.u64()?, words.u64()?, words.u64()?, words.u64()?];
        let ssh_port = words.u16()?;
        let mut at = FIELDS * 32;
        let mut text = |place: usize, most: usize| {
            if offsets[place] != at as u64 {
                return Err(AbiError::Offset);
            }
            let bytes = words.bytes(most)?;
            at += 32 + bytes.len().next_multiple_of(32);
            Ok(ChainText::from(bytes))
        };
        let ssh_public_key = text(0, MAX_KEY_BYTES)?;
        let container_image = text(1, MAX_IMAGE_BYTES)?;
        let startup_script = text(2, MAX_SCRIPT_BYTES)?;
        let ssh_host = text(3, MAX_HOST_BYTES)?;
        words.end()?;

        let mut words = Words::new(terms);
        let (rate, start_deadline, ended_at) = (words.u128()?, words.u64()?, words.u64()?);
        let fee_bps = words.u16()?;
        words.end()?;

        let record = Self {
            id: found,
            user,
            provider,
            status,
            start_time,
            end_time,
            paid,
            refunded,
            ssh_public_key,
            container_image,
            startup_script,
            ssh_host,
            ssh_port,
            rate,
            start_deadline,
            ended_at,
            fee_bps,
        };
        if record == Self::absent() && cost == 0 {
            return Ok(None);
        }
        if record.id != *id || cost != paid || !record.is_consistent() {
            return Err(AbiError::Inconsistent);
        }
        Ok(Some(record))
    }

    /// What was paid for, in whole hours; zero where hours cost nothing and it wasn't started.
    pub fn paid_hours(&self) -> u64 {
        match self.end_time.saturating_sub(self.start_time) {
            0 => u64::try_from(self.paid.checked_div(self.rate).unwrap_or(0)).unwrap_or(u64::MAX),
            seconds => seconds / 3600,
        }
    }

    /// What the contract can have written, as far as other fields tell.
    fn is_consistent(&self) -> bool {
        let started = !matches!(
            self.status,
            RentalStatus::Pending | RentalStatus::Cancelled | RentalStatus::Expired
        );
        let ended = matches!(self.status, RentalStatus::Completed | RentalStatus::Disputed);
        self.user != [0; 20]
            && self.start_deadline != 0
            && self.refunded <= self.paid
            && started == (self.start_time != 0)
            && started == (self.end_time > self.start_time)
            && started != self.ssh_host.is_empty()
            && ended == (self.ended_at != 0)
            && (!ended || (self.start_time..=self.end_time).contains(&self.ended_at))
    }

    /// What the contract answers about an id that it doesn't know.
    fn absent() -> Self {
        Self {
            id: [0; 32],
            user: [0; 20],
            provider: [0; 20],
            status: RentalStatus::Pending,
            start_time: 0,
            end_time: 0,
            paid: 0,
            refunded: 0,
            ssh_public_key: ChainText::default(),
            container_image: ChainText::default(),
            startup_script: ChainText::default(),
            ssh_host: ChainText::default(),
            ssh_port: 0,
            rate: 0,
            start_deadline: 0,
            ended_at: 0,
            fee_bps: 0,
        }
    }
}

#[cfg(test)]
mod tests;
