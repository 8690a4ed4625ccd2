//! A provider's record, and the models that it offers.

use crate::abi::{AbiError, Words};
use crate::text::ChainText;

/// Longest name, endpoint or model name, in bytes: `MAX_TEXT` of the contract.
pub const MAX_TEXT_BYTES: usize = 256;
/// Most capabilities of a provider, active or not: `MAX_CAPABILITIES` of the contract.
pub const MAX_CAPABILITIES: usize = 64;

/// Fields of `Provider`.
const PROVIDER_FIELDS: usize = 8;
/// Longest answer of `getProvider`, in bytes: the offset, the fields, and two texts behind their lengths.
pub(super) const MAX_PROVIDER_BYTES: usize = (1 + PROVIDER_FIELDS + 2) * 32 + 2 * MAX_TEXT_BYTES;
/// Fields of `Capability`.
const CAPABILITY_FIELDS: usize = 5;
/// Longest answer of `getCapabilities`, in bytes: an offset and a count, then for each an offset, the fields, and a text
/// behind its length.
pub(super) const MAX_CAPABILITIES_BYTES: usize =
    2 * 32 + MAX_CAPABILITIES * ((1 + CAPABILITY_FIELDS + 1) * 32 + MAX_TEXT_BYTES);

/// Active providers among those that a page looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderPage {
    /// Their accounts.
    pub active: Vec<[u8; 20]>,
    /// Cursor of the next page: equal to the one that was asked for where the list is through.
    pub next: u64,
}

/// A provider as it stands at one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderRecord {
    /// Its account.
    pub account: [u8; 20],
    /// Display name. The provider's text, at most [`MAX_TEXT_BYTES`].
    pub name: ChainText,
    /// Base URL of its API. The provider's text, at most [`MAX_TEXT_BYTES`]; anything may stand there.
    pub endpoint: ChainText,
    /// What it says of itself; proves nothing.
    pub attestation_hash: [u8; 32],
    /// Bonded stake, in wei.
    pub stake: u128,
    /// Unix seconds of its registration.
    pub registered_at: u64,
    /// Linked agent; zero if there is none.
    pub agent: [u8; 32],
    /// Whether it wants work, has the least stake, and still has its agent.
    pub active: bool,
}

/// A model that a provider offers or offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    /// Its name. The provider's text, at most [`MAX_TEXT_BYTES`].
    pub model: ChainText,
    /// Wei for each token of a prompt; `u128::MAX` for that much and more.
    pub price_per_input_token: u128,
    /// Wei for each token of an answer; `u128::MAX` for that much and more.
    pub price_per_output_token: u128,
    /// Tokens of the longest context; `u64::MAX` for that many and more.
    pub max_context: u64,
    /// Whether it is offered now.
    pub active: bool,
}

impl ProviderPage {
    /// Reads the answer of `getActiveProvidersPage` to a call for `limit` places.
    pub(super) fn from_answer(answer: &[u8], limit: usize) -> Result<Self, AbiError> {
        let mut words = Words::new(answer);
        words.offset(2 * 32)?;
        let next = words.u64()?;
        let count = words.length(limit)?;
        let active = (0..count).map(|_| words.address()).collect::<Result<_, _>>()?;
        words.end()?;
        Ok(Self { active, next })
    }
}

impl ProviderRecord {
    /// Reads the answer of `getProvider`; `None` if nobody registered as it.
    pub(super) fn from_answer(account: &[u8; 20], answer: &[u8]) -> Result<Option<Self>, AbiError> {
        let mut words = Words::new(answer);
        words.offset(32)?;
        let owner = words.address()?;
        let name_at = PROVIDER_FIELDS * 32;
        words.offset(name_at)?;
        let endpoint_at = words.u64()?;
        let (attestation_hash, stake) = (words.word()?, words.u128()?);
        let (registered_at, agent, active) = (words.u64()?, words.word()?, words.bool()?);
        let name = words.bytes(MAX_TEXT_BYTES)?;
        if endpoint_at != (name_at + 32 + name.len().next_multiple_of(32)) as u64 {
            return Err(AbiError::Offset);
        }
        let endpoint = words.bytes(MAX_TEXT_BYTES)?;
        words.end()?;
        if owner == [0; 20] {
            return match active || registered_at != 0 {
                true => Err(AbiError::Inconsistent),
                false => Ok(None),
            };
        }
        if owner != *account {
            return Err(AbiError::Inconsistent);
        }
        Ok(Some(Self {
            account: owner,
            name: name.into(),
            endpoint: endpoint.into(),
            attestation_hash,
            stake,
            registered_at,
            agent,
            active,
        }))
    }
}

impl Capability {
    /// Reads the answer of `getCapabilities`.
    pub(super) fn all_from_answer(answer: &[u8]) -> Result<Vec<Self>, AbiError> {
        let mut words = Words::new(answer);
        words.offset(32)?;
        let count = words.length(MAX_CAPABILITIES)?;
        let offsets = (0..count).map(|_| words.u64()).collect::<Result<Vec<_>, _>>()?;
        let mut at = (count * 32) as u64;
        let mut all = Vec::with_capacity(count);
        for offset in offsets {
            if offset != at {
                return Err(AbiError::Offset);
            }
            words.offset(CAPABILITY_FIELDS * 32)?;
            let (input, output) = (saturated(words.word()?), saturated(words.word()?));
            let max_context = saturated(words.word()?).try_into().unwrap_or(u64::MAX);
            let active = words.bool()?;
            let model = words.bytes(MAX_TEXT_BYTES)?;
            at += ((CAPABILITY_FIELDS + 1) * 32 + model.len().next_multiple_of(32)) as u64;
            all.push(Self {
                model: model.into(),
                price_per_input_token: input,
                price_per_output_token: output,
                max_context,
                active,
            });
        }
        words.end()?;
        Ok(all)
    }
}

/// A provider may ask for any price: the contract bounds none.
fn saturated(word: [u8; 32]) -> u128 {
    let (high, low) = word.split_at(16);
    match (high.iter().all(|byte| *byte == 0), low.try_into()) {
        (true, Ok(low)) => u128::from_be_bytes(low),
        _ => u128::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::number_argument as word;

    const ACCOUNT: [u8; 20] = [0x11; 20];

    fn text(text: &str) -> Vec<u8> {
        let mut bytes = word(text.len() as u64).to_vec();
        bytes.extend(text.as_bytes());
        bytes.resize(32 + text.len().next_multiple_of(32), 0);
        bytes
    }

    fn address(of: [u8; 20]) -> [u8; 32] {
        crate::abi::address_argument(&of)
    }

    fn provider() -> Vec<u8> {
        let head = [
            word(32),
            address(ACCOUNT),
            word(256),
            word(320),
            [7; 32],
            word(5),
            word(6),
            word(9),
            word(1),
        ];
        [head.concat(), text("p"), text("https://p.example")].concat()
    }

    fn capabilities() -> Vec<u8> {
        let one = |model: &str, price: [u8; 32]| {
            [
                [word(160), price, word(2), word(4096), word(1)].concat(),
                text(model),
            ]
            .concat()
        };
        let (first, second) = (one("m", word(1)), one("", [0xff; 32]));
        let head = [word(32), word(2), word(64), word(64 + first.len() as u64)].concat();
        [head, first, second].concat()
    }

    #[test]
    fn pages_name_accounts_and_the_next_place() {
        let answer = [word(64), word(300), word(1), address(ACCOUNT)].concat();
        let page = ProviderPage::from_answer(&answer, 256).unwrap();
        assert_eq!((page.active, page.next), (vec![ACCOUNT], 300));
        assert_eq!(ProviderPage::from_answer(&answer, 0), Err(AbiError::TooLong));
        for len in 0..answer.len() {
            assert_eq!(
                ProviderPage::from_answer(&answer[..len], 256),
                Err(AbiError::Length),
                "{len}"
            );
        }
    }

    #[test]
    fn a_provider_has_one_encoding() {
        let record = ProviderRecord::from_answer(&ACCOUNT, &provider())
            .unwrap()
            .unwrap();
        assert_eq!(record.endpoint.as_str(), Some("https://p.example"));
        assert_eq!((record.stake, record.registered_at, record.active), (5, 6, true));
        assert_eq!(record.agent, word(9));
        let answer = provider();
        for len in 0..answer.len() {
            assert!(
                ProviderRecord::from_answer(&ACCOUNT, &answer[..len]).is_err(),
                "{len}"
            );
        }
        let changed = |at: usize, to: [u8; 32]| {
            let mut answer = provider();
            answer[at * 32..][..32].copy_from_slice(&to);
            ProviderRecord::from_answer(&ACCOUNT, &answer)
        };
        assert_eq!(
            changed(1, address([0x22; 20])),
            Err(AbiError::Inconsistent),
            "another's"
        );
        assert_eq!(
            changed(1, word(0)),
            Err(AbiError::Inconsistent),
            "active without an account"
        );
        assert_eq!(changed(3, word(352)), Err(AbiError::Offset));
        assert_eq!(changed(8, word(2)), Err(AbiError::Range));
        let none = [
            word(32).to_vec(),
            word(0).to_vec(),
            word(256).to_vec(),
            word(288).to_vec(),
            vec![0; 5 * 32],
            text(""),
            text(""),
        ]
        .concat();
        assert_eq!(ProviderRecord::from_answer(&ACCOUNT, &none), Ok(None));
    }

    #[test]
    fn capabilities_have_one_encoding_and_any_price() {
        let all = Capability::all_from_answer(&capabilities()).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].model.as_str(), Some("m"));
        assert_eq!((all[0].price_per_input_token, all[0].max_context), (1, 4096));
        assert_eq!(all[1].price_per_input_token, u128::MAX);
        let answer = capabilities();
        for len in 0..answer.len() {
            assert!(Capability::all_from_answer(&answer[..len]).is_err(), "{len}");
        }
        let mut turned = answer;
        turned[2 * 32 + 31] = 96;
        assert_eq!(Capability::all_from_answer(&turned), Err(AbiError::Offset));
        assert_eq!(
            Capability::all_from_answer(&[word(32), word(65)].concat()),
            Err(AbiError::TooLong)
        );
    }
}
