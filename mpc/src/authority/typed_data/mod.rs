//! Typed data (EIP-712) as wallets exchange it in JSON, hashed by whoever is to sign it.
//!
//! Strict where encoders differ: every member of a struct must be there and no other, names come once, `null` stands for
//! nothing, and a domain has the standard's members in the standard's order.

mod schema;
mod value;

use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::eip712::keccak;
use serde::{Deserialize, Serialize};

use self::schema::{Schema, Type};
use self::value::Encoder;
use super::json::Json;
use super::number::Uint256;
use crate::refusal::Refusal;

/// Name of the domain's type.
const DOMAIN: &str = "EIP712Domain";

/// Members that a domain may have, in this order.
const DOMAIN_MEMBERS: [(&str, &str); 5] = [
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
    ("salt", "bytes32"),
];

/// The parameter of `eth_signTypedData_v4`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TypedData {
    /// Members of each struct. `EIP712Domain` may be left out.
    pub types: Json,
    /// Type of `message`.
    pub primary_type: String,
    /// Who may take the signature.
    pub domain: Json,
    /// What is signed.
    pub message: Json,
}

/// What policies look at, and what is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashed {
    /// `keccak256("\x19\x01" ‖ domainSeparator ‖ hashStruct(message))`.
    pub digest: [u8; 32],
    /// Of the domain.
    pub name: Option<String>,
    /// Of the domain.
    pub chain_id: Option<Uint256>,
    /// Of the domain.
    pub verifying_contract: Option<Account>,
}

impl TypedData {
    /// Hashes it.
    ///
    /// # Errors
    /// [`Refusal::Malformed`]: types that aren't EIP-712's, or a value that isn't its type's.
    pub fn hash(&self) -> Result<Hashed, Refusal> {
        let schema = Schema::read(&self.types)?;
        if self.primary_type == DOMAIN {
            return Err(Refusal::Malformed("typed data: the domain alone is no message"));
        }
        let Json::Object(present) = &self.domain else {
            return Err(Refusal::Malformed("typed data: domain is no object"));
        };
        let domain = domain_members(present, schema.members(DOMAIN))?;
        let mut domain_type = Schema::default();
        domain_type.insert(DOMAIN, &domain)?;
        let separator = Encoder::new(&domain_type).hash_struct(DOMAIN, &self.domain)?;
        let message = Encoder::new(&schema).hash_struct(&self.primary_type, &self.message)?;
        Ok(Hashed {
            digest: keccak(&[b"\x19\x01", &separator, &message]),
            name: text_of(&self.domain, "name"),
            chain_id: match self.domain.get("chainId") {
                Some(value) => Some(value::unsigned(value, 256)?),
                None => None,
            },
            verifying_contract: match self.domain.get("verifyingContract") {
                Some(value) => Some(value::account(value)?),
                None => None,
            },
        })
    }
}

/// The domain's type follows from the members that it has; where it is declared, it must be declared as just that.
fn domain_members(
    present: &[(String, Json)],
    declared: Option<&[schema::Member]>,
) -> Result<Vec<(&'static str, &'static str)>, Refusal> {
    let has = |name: &str| present.iter().any(|(key, _)| key == name);
    let members: Vec<_> = DOMAIN_MEMBERS.into_iter().filter(|(name, _)| has(name)).collect();
    if members.is_empty() || members.len() != present.len() {
        return Err(Refusal::Malformed(
            "typed data: domain's members aren't EIP-712's",
        ));
    }
    let same = declared.is_none_or(|declared| {
        declared
            .iter()
            .map(|member| (member.name.as_str(), member.text.as_str()))
            .eq(members.iter().copied())
    });
    match same {
        true => Ok(members),
        false => Err(Refusal::Malformed(
            "typed data: domain isn't of its declared type",
        )),
    }
}

fn text_of(object: &Json, name: &str) -> Option<String> {
    match object.get(name) {
        Some(Json::Text(text)) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
