//! Sealed channel between two signers: what the fronts and hosts on the way carry, they can't read, change, replay or
//! reorder.
//!
//! X25519 between the channel keys that the members' quotes vouch for, HKDF-SHA256 into one AES-256-GCM key for each
//! direction, and a counter as nonce. Both keys live for one boot, so that a pair of keys has one [`Channel`] on each side
//! for as long as both live: a second one would count from zero again, under the same keys. [`super::peers::Peers`] keeps
//! them, over all connections of the pair.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use jeju_mpc::member::MAX_MESSAGE;
use jeju_mpc::network::MemberIndex;
use zeroize::Zeroizing;

/// What a sealed message is longer than its text: counter and tag.
pub const OVERHEAD: usize = COUNTER_LEN + TAG_LEN;
/// Longest sealed message, in bytes.
pub const MAX_SEALED: usize = MAX_MESSAGE + OVERHEAD;

const COUNTER_LEN: usize = 8;
const TAG_LEN: usize = 16;
const TAG: &[u8] = b"jeju-mpc-channel-v1\0";

/// Why there is no channel, or a message doesn't pass it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// No random numbers, or no key.
    #[error("the channel key could not be made")]
    Key,
    /// The peer's key is a point of low order, or the peer is this member itself.
    #[error("the peer's channel key is of low order, or this member's own")]
    PeerKey,
    /// Longer than a message may be.
    #[error("message of {0} bytes is longer than {MAX_MESSAGE}")]
    TooLong(usize),
    /// Too short to be sealed, or changed, or sealed for another channel, direction or network.
    #[error("message was not sealed on this channel")]
    NotSealed,
    /// Seen before, or older than one that was seen.
    #[error("message {found} is not newer than {last}")]
    Replayed {
        /// Its counter.
        found: u64,
        /// The last counter that was accepted.
        last: u64,
    },
    /// Every counter was used.
    #[error("the channel's counters are used up")]
    Exhausted,
}

/// A member's half of all its channels: of one boot, never exported.
pub struct ChannelKey {
    private: PrivateKey,
    public: [u8; 32],
}

impl ChannelKey {
    /// A new key.
    ///
    /// # Errors
    /// [`ChannelError::Key`].
    pub fn generate() -> Result<Self, ChannelError> {
        PrivateKey::generate(&X25519)
            .map_err(|_| ChannelError::Key)
            .and_then(Self::of)
    }

    /// What the key list shows.
    pub fn public(&self) -> [u8; 32] {
        self.public
    }

    fn of(private: PrivateKey) -> Result<Self, ChannelError> {
        let public = private.compute_public_key().map_err(|_| ChannelError::Key)?;
        let public = public.as_ref().try_into().map_err(|_| ChannelError::Key)?;
        Ok(Self { private, public })
    }
}

impl core::fmt::Debug for ChannelKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("ChannelKey")
    }
}

/// One end of a channel.
pub struct Channel {
    seal: LessSafeKey,
    open: LessSafeKey,
    sent: u64,
    received: u64,
}

impl Channel {
    /// The channel of member `me`, with `key`, and member `peer`, with the public key that its quote vouches for.
    ///
    /// # Errors
    /// [`ChannelError::PeerKey`].
    pub fn new(
        genesis: &[u8; 32],
        (me, key): (MemberIndex, &ChannelKey),
        (peer, public): (MemberIndex, &[u8; 32]),
    ) -> Result<Self, ChannelError> {
        if me == peer || key.public == *public {
            return Err(ChannelError::PeerKey);
        }
        let own = (me, &key.public);
        let (low, high) = if me < peer {
            (own, (peer, public))
        } else {
            ((peer, public), own)
        };
        let indices = [low.0.0.to_be_bytes(), high.0.0.to_be_bytes()].concat();
        let info: [&[u8]; 5] = [TAG, genesis, low.1, high.1, &indices];
        let peer_key = UnparsedPublicKey::new(&X25519, public);
        // Fails for points of low order, whose shared secret everybody knows.
        let keys = agree(&key.private, peer_key, ChannelError::PeerKey, |secret| {
            let mut keys = Zeroizing::new([0; 64]);
            Salt::new(HKDF_SHA256, &[])
                .extract(secret)
                .expand(&info, Keys)
                .and_then(|okm| okm.fill(keys.as_mut_slice()))
                .map_err(|_| ChannelError::Key)?;
            Ok(keys)
        })?;
        let (upwards, downwards) = keys.split_at(32);
        let (seal, open) = match me < peer {
            true => (upwards, downwards),
            false => (downwards, upwards),
        };
        Ok(Self {
            seal: aes(seal)?,
            open: aes(open)?,
            sent: 0,
            received: 0,
        })
    }

    /// Seals a message.
    ///
    /// # Errors
    /// [`ChannelError::TooLong`] and [`ChannelError::Exhausted`].
    pub fn seal(&mut self, text: &[u8]) -> Result<Vec<u8>, ChannelError> {
        if text.len() > MAX_MESSAGE {
            return Err(ChannelError::TooLong(text.len()));
        }
        // Counted before it is used: whatever fails below, no nonce is used twice.
        self.sent = self.sent.checked_add(1).ok_or(ChannelError::Exhausted)?;
        // Room for all of it from the start, so that no copy of the text is left behind by a move.
        let mut sealed = Vec::with_capacity(text.len() + OVERHEAD);
        sealed.extend_from_slice(&self.sent.to_be_bytes());
        sealed.extend_from_slice(text);
        let tag = self
            .seal
            .seal_in_place_separate_tag(nonce(self.sent), Aad::empty(), &mut sealed[COUNTER_LEN..])
            .map_err(|_| ChannelError::Key)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Opens a message, once, and only if it is newer than all that were opened.
    ///
    /// # Errors
    /// [`ChannelError::TooLong`], [`ChannelError::NotSealed`] and [`ChannelError::Replayed`]; the channel stays usable.
    pub fn open(&mut self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, ChannelError> {
        if sealed.len() > MAX_SEALED {
            return Err(ChannelError::TooLong(sealed.len().saturating_sub(OVERHEAD)));
        }
        let (counter, body) = sealed
            .split_first_chunk::<COUNTER_LEN>()
            .filter(|(_, body)| body.len() >= TAG_LEN)
            .ok_or(ChannelError::NotSealed)?;
        let counter = u64::from_be_bytes(*counter);
        if counter <= self.received {
            return Err(ChannelError::Replayed {
                found: counter,
                last: self.received,
            });
        }
        let mut text = Zeroizing::new(body.to_vec());
        let len = self
            .open
            .open_in_place(nonce(counter), Aad::empty(), text.as_mut_slice())
            .map_err(|_| ChannelError::NotSealed)?
            .len();
        text.truncate(len);
        // Only now: a forged counter must not lock out the genuine ones below it.
        self.received = counter;
        Ok(text)
    }
}

impl core::fmt::Debug for Channel {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Channel")
            .field("sent", &self.sent)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

/// Length of what HKDF is to give: a key for each direction.
struct Keys;

impl KeyType for Keys {
    fn len(&self) -> usize {
        64
    }
}

fn aes(key: &[u8]) -> Result<LessSafeKey, ChannelError> {
    UnboundKey::new(&AES_256_GCM, key)
        .map(LessSafeKey::new)
        .map_err(|_| ChannelError::Key)
}

/// The counter, big-endian, behind zeros.
fn nonce(counter: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[NONCE_LEN - COUNTER_LEN..].copy_from_slice(&counter.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests;
