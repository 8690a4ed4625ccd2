//! The values of typed data.

use std::collections::BTreeMap;

use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::eip712::{address, keccak, text};

use super::super::json::Json;
use super::super::number::Uint256;
use super::{Schema, Type};
use crate::refusal::Refusal;

/// Encodes values. Type hashes are computed once: a long list of structs would have them computed for each item.
pub struct Encoder<'a> {
    schema: &'a Schema,
    type_hashes: BTreeMap<&'a str, [u8; 32]>,
}

impl<'a> Encoder<'a> {
    /// For these types.
    pub fn new(schema: &'a Schema) -> Self {
        Self {
            schema,
            type_hashes: BTreeMap::new(),
        }
    }

    /// `hashStruct`. Goes as deep as the value, whose depth the JSON parser has bounded.
    pub fn hash_struct(&mut self, name: &'a str, value: &Json) -> Result<[u8; 32], Refusal> {
        let schema = self.schema;
        let members = schema
            .members(name)
            .ok_or(Refusal::Malformed("typed data: a type isn't defined"))?;
        let Json::Object(present) = value else {
            return Err(Refusal::Malformed("typed data: a struct is no object"));
        };
        // Names in an object are distinct, so as many as members, each found, are exactly the members.
        if present.len() != members.len() {
            return Err(Refusal::Malformed(
                "typed data: a struct has other members than its type",
            ));
        }
        let type_hash = *self
            .type_hashes
            .entry(name)
            .or_insert_with(|| keccak(&[schema.encode_type(name).as_bytes()]));
        let mut encoded = Vec::with_capacity(32 * (members.len() + 1));
        encoded.extend_from_slice(&type_hash);
        for member in members {
            let value = value.get(&member.name).ok_or(Refusal::Malformed(
                "typed data: a struct has other members than its type",
            ))?;
            encoded.extend_from_slice(&self.word(&member.kind, value)?);
        }
        Ok(keccak(&[&encoded]))
    }

    fn word(&mut self, kind: &'a Type, value: &Json) -> Result<[u8; 32], Refusal> {
        match (kind, value) {
            (Type::Struct(name), value) => self.hash_struct(name, value),
            (Type::Array(item, length), Json::Array(values)) => {
                if length.is_some_and(|length| length != values.len()) {
                    return Err(Refusal::Malformed("typed data: an array has another length"));
                }
                let mut encoded = Vec::with_capacity(32 * values.len());
                for value in values {
                    encoded.extend_from_slice(&self.word(item, value)?);
                }
                Ok(keccak(&[&encoded]))
            }
            (Type::Text, Json::Text(value)) => Ok(text(value)),
            (Type::Bytes, value) => Ok(keccak(&[&bytes(value)?])),
            (Type::Fixed(length), value) => {
                let bytes = bytes(value)?;
                if bytes.len() != *length {
                    return Err(Refusal::Malformed("typed data: bytes have another length"));
                }
                let mut word = [0; 32];
                word[..*length].copy_from_slice(&bytes);
                Ok(word)
            }
            (Type::Bool, Json::Bool(value)) => Ok(Uint256::from(u64::from(*value)).0),
            (Type::Address, value) => Ok(address(&account(value)?)),
            (Type::Uint(bits), value) => unsigned(value, *bits).map(|number| number.0),
            (Type::Int(bits), value) => signed(value, *bits).map(|number| number.0),
            _ => Err(Refusal::Malformed("typed data: a value isn't of its type")),
        }
    }
}

/// An address, in either case or in the mixed case of EIP-55.
pub fn account(value: &Json) -> Result<Account, Refusal> {
    match value {
        Json::Text(text) => text.parse().ok(),
        _ => None,
    }
    .ok_or(Refusal::Malformed("typed data: not an address"))
}

/// A number that takes at most so many bits, as a JSON number, in decimal, or in hexadecimal after `0x`.
pub fn unsigned(value: &Json, bits: usize) -> Result<Uint256, Refusal> {
    match value {
        Json::Unsigned(number) => Some(Uint256::from(*number)),
        Json::Text(text) => magnitude(text),
        _ => None,
    }
    .filter(|number| number.bits() <= bits)
    .ok_or(Refusal::Malformed(
        "typed data: a number isn't in its type's range",
    ))
}

fn signed(value: &Json, bits: usize) -> Result<Uint256, Refusal> {
    let (negative, magnitude) = match value {
        Json::Unsigned(number) => (false, Some(Uint256::from(*number))),
        Json::Negative(number) => (true, Some(Uint256::from(number.unsigned_abs()))),
        Json::Text(text) => match text.strip_prefix('-') {
            Some(text) => (true, Uint256::from_decimal(text)),
            None => (false, magnitude(text)),
        },
        _ => (false, None),
    };
    let fits = |number: &Uint256| match number.bits() {
        used if used < bits => true,
        // The lowest number has no positive counterpart: it is the power of two itself.
        used => negative && used == bits && number.0.iter().map(|byte| byte.count_ones()).sum::<u32>() == 1,
    };
    magnitude
        .filter(fits)
        .map(|number| if negative { number.negated() } else { number })
        .ok_or(Refusal::Malformed(
            "typed data: a number isn't in its type's range",
        ))
}

fn magnitude(text: &str) -> Option<Uint256> {
    match text.strip_prefix("0x") {
        Some(digits) => Uint256::from_hex(digits),
        None => Uint256::from_decimal(text),
    }
}

fn bytes(value: &Json) -> Result<Vec<u8>, Refusal> {
    match value {
        Json::Text(text) => text
            .strip_prefix("0x")
            .and_then(|digits| hex::decode(digits).ok()),
        _ => None,
    }
    .ok_or(Refusal::Malformed(
        "typed data: bytes are 0x and hexadecimal digits",
    ))
}
