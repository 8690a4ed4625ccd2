//! A service: a model at a price.

use crate::abi::{AbiError, Words};
use crate::provider::MAX_TEXT_BYTES;
use crate::text::ChainText;

/// Fields of `Service`.
const FIELDS: usize = 6;

/// Longest answer of `getServicesPage`, in bytes: an offset and a count, then for each an offset, the fields, and two texts
/// behind their lengths.
pub(super) const fn max_page_bytes(limit: usize) -> usize {
    2 * 32 + limit * ((1 + FIELDS + 2) * 32 + 2 * MAX_TEXT_BYTES)
}

/// A model that a provider offers or offered, at a price that never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its place in the provider's list: what settlements name.
    pub index: u64,
    /// Whose it is.
    pub provider: [u8; 20],
    /// The model's name. The provider's text, at most [`MAX_TEXT_BYTES`](crate::MAX_TEXT_BYTES).
    pub model: ChainText,
    /// Base URL of its API. The provider's text, at most [`MAX_TEXT_BYTES`](crate::MAX_TEXT_BYTES); anything may stand there.
    pub endpoint: ChainText,
    /// Wei for each token of a prompt.
    pub price_per_input_token: u128,
    /// Wei for each token of an answer.
    pub price_per_output_token: u128,
    /// Whether it is offered now. Whether its provider is active is another question.
    pub active: bool,
}

impl Service {
    /// The first of these that offers `model` now: the one at whose price nodes charge.
    pub fn first_active<'a>(services: &'a [Service], model: &str) -> Option<&'a Service> {
        services
            .iter()
            .filter(|service| service.active && service.model.as_bytes() == model.as_bytes())
            .min_by_key(|service| service.index)
    }

    /// What an answer costs, in wei; `None` where that is more than a `u128` holds.
    pub fn cost(&self, input_tokens: u64, output_tokens: u64) -> Option<u128> {
        let input = self.price_per_input_token.checked_mul(input_tokens.into())?;
        let output = self.price_per_output_token.checked_mul(output_tokens.into())?;
        input.checked_add(output)
    }

    /// Reads the answer of `getServicesPage` to a call for `limit` services from `cursor` on.
    pub(super) fn page_from_answer(
        provider: &[u8; 20],
        cursor: u64,
        limit: usize,
        answer: &[u8],
    ) -> Result<Vec<Self>, AbiError> {
        let mut words = Words::new(answer);
        words.offset(32)?;
        let count = words.length(limit)?;
        let offsets = (0..count).map(|_| words.u64()).collect::<Result<Vec<_>, _>>()?;
        let mut at = (count * 32) as u64;
        let mut all = Vec::with_capacity(count);
        for (index, offset) in (cursor..).zip(offsets) {
            if offset != at {
                return Err(AbiError::Offset);
            }
            if words.address()? != *provider {
                return Err(AbiError::Inconsistent);
            }
            words.offset(FIELDS * 32)?;
            let endpoint_at = words.u64()?;
            let (input, output, active) = (words.u128()?, words.u128()?, words.bool()?);
            let model = words.bytes(MAX_TEXT_BYTES)?;
            let model_len = 32 + model.len().next_multiple_of(32);
            if endpoint_at != (FIELDS * 32 + model_len) as u64 {
                return Err(AbiError::Offset);
            }
            let endpoint = words.bytes(MAX_TEXT_BYTES)?;
            at += (FIELDS * 32 + model_len + 32 + endpoint.len().next_multiple_of(32)) as u64;
            all.push(Self {
                index,
                provider: *provider,
                model: model.into(),
                endpoint: endpoint.into(),
                price_per_input_token: input,
                price_per_output_token: output,
                active,
            });
        }
        words.end()?;
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::{address_argument, number_argument as word};

    const PROVIDER: [u8; 20] = [0x11; 20];

    fn text(text: &str) -> Vec<u8> {
        let mut bytes = word(text.len() as u64).to_vec();
        bytes.extend(text.as_bytes());
        bytes.resize(32 + text.len().next_multiple_of(32), 0);
        bytes
    }

    fn one(model: &str, price: u64, active: u64) -> Vec<u8> {
        let endpoint_at = word((FIELDS * 32 + text(model).len()) as u64);
        let head = [
            address_argument(&PROVIDER),
            word(192),
            endpoint_at,
            word(price),
            word(2),
            word(active),
        ];
        [head.concat(), text(model), text("https://p.example")].concat()
    }

    fn page() -> Vec<u8> {
        let (first, second) = (one("m", 1, 0), one("m", 7, 1));
        let head = [word(32), word(2), word(64), word(64 + first.len() as u64)].concat();
        [head, first, second].concat()
    }

    fn read(answer: &[u8]) -> Result<Vec<Service>, AbiError> {
        Service::page_from_answer(&PROVIDER, 5, 2, answer)
    }

    #[test]
    fn services_have_one_encoding() {
        let services = read(&page()).unwrap();
        let found: Vec<_> = services
            .iter()
            .map(|service| (service.index, service.price_per_input_token, service.active))
            .collect();
        assert_eq!(found, [(5, 1, false), (6, 7, true)]);
        assert_eq!(services[0].endpoint.as_str(), Some("https://p.example"));
        assert_eq!(read(&[word(32), word(0)].concat()), Ok(vec![]));
        assert_eq!(read(&[word(32), word(3)].concat()), Err(AbiError::TooLong));
        for len in 0..page().len() {
            assert!(read(&page()[..len]).is_err(), "{len}");
        }
        let changed = |at: usize, to: [u8; 32]| {
            let mut answer = page();
            answer[at * 32..][..32].copy_from_slice(&to);
            read(&answer).unwrap_err()
        };
        assert_eq!(changed(2, word(96)), AbiError::Offset);
        assert_eq!(changed(4, word(1)), AbiError::Inconsistent, "another provider's");
        assert_eq!(changed(5, word(224)), AbiError::Offset);
        assert_eq!(changed(6, word(0)), AbiError::Offset);
        assert_eq!(changed(7, [0xff; 32]), AbiError::Range);
        assert_eq!(changed(9, word(2)), AbiError::Range);
    }

    #[test]
    fn the_first_active_service_of_a_model_has_its_price() {
        let services = read(&page()).unwrap();
        let first = Service::first_active(&services, "m").unwrap();
        assert_eq!((first.index, first.cost(3, 4)), (6, Some(3 * 7 + 4 * 2)));
        assert_eq!(Service::first_active(&services, "M"), None);
        assert_eq!(Service::first_active(&services[..1], "m"), None);
        let dear = Service {
            price_per_input_token: u128::MAX,
            ..first.clone()
        };
        assert_eq!((dear.cost(1, 1), dear.cost(0, u64::MAX).is_some()), (None, true));
    }
}
