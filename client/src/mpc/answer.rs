//! What a member's answer has to say, or doesn't count.

use jeju_mpc::authority::build::Draft;
use jeju_mpc::authority::document::KeyDocument;
use jeju_mpc::authority::frost_wallet::wallet_address;
use jeju_mpc::network::Scheme;
use jeju_wallet_auth::account::Account;
use serde_json::Value;

use super::client::Signed;
use super::error::MpcError;
use super::key::Key;
use super::members::{Answer, NetworkFacts};
use super::signature::{GroupKey, contract_form};

/// The public key of an answer in which all else is as computed here.
pub(super) fn checked_key(
    answer: &Answer,
    draft: &Draft,
    document: &KeyDocument,
    facts: &NetworkFacts,
) -> Result<GroupKey, MpcError> {
    if bytes_of::<32>(answer, "keyId")? != draft.key_id().0 {
        return Err(wrong(answer, "keyId is not the requested key's"));
    }
    if answer.body["scheme"] != document.scheme.name() {
        return Err(wrong(answer, "scheme is not the requested key's"));
    }
    if answer.body["threshold"] != facts.threshold || answer.body["totalShares"] != facts.members {
        return Err(wrong(answer, "threshold and totalShares are not the network's"));
    }
    let key =
        GroupKey::parse(&hex_of(answer, "publicKey")?).map_err(|_| wrong(answer, "publicKey is no point"))?;
    if let Some(expected) = wallet(facts, document.scheme, &key) {
        let found = answer.body["walletAddress"]
            .as_str()
            .and_then(|text| text.parse::<Account>().ok());
        if found != Some(expected) {
            return Err(wrong(
                answer,
                "walletAddress is not where the factory puts the key's wallet",
            ));
        }
    }
    Ok(key)
}

/// The signature of an answer, if it is the key's over what was asked.
pub(super) fn checked_signature(answer: &Answer, draft: &Draft, key: &Key) -> Result<Signed, MpcError> {
    let message = draft
        .message()
        .ok_or_else(|| wrong(answer, "to a request that signs nothing"))?;
    if bytes_of::<33>(answer, "publicKey")? != key.public_key.0 {
        return Err(wrong(answer, "publicKey is another one than the key's"));
    }
    let signature = hex_of(answer, "signature")?;
    key.group_key()?
        .verify(key.key.scheme, &message, &signature)
        .map_err(|_| wrong(answer, "the signature does not verify under the key"))?;
    Ok(Signed {
        message,
        contract_signature: contract_form(&signature)
            .ok()
            .filter(|_| key.key.scheme == Scheme::Secp256k1),
        signature,
        signers: numbers(&answer.body["signers"]),
        culprits: numbers(&answer.body["culprits"]),
    })
}

/// Where the wallet is, for keys that a contract can check.
pub(super) fn wallet(facts: &NetworkFacts, scheme: Scheme, key: &GroupKey) -> Option<Account> {
    let factory = facts.wallet_factory.filter(|_| scheme == Scheme::Secp256k1)?;
    Some(Account(wallet_address(factory.0, key.bytes())))
}

/// `0x` and hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

pub(super) fn wrong(answer: &Answer, what: &'static str) -> MpcError {
    MpcError::Answer {
        node: answer.node.to_string(),
        what,
    }
}

fn hex_of(answer: &Answer, field: &'static str) -> Result<Vec<u8>, MpcError> {
    answer.body[field]
        .as_str()
        .and_then(|text| hex::decode(text.strip_prefix("0x")?).ok())
        .ok_or_else(|| wrong(answer, field))
}

pub(super) fn bytes_of<const N: usize>(answer: &Answer, field: &'static str) -> Result<[u8; N], MpcError> {
    hex_of(answer, field)?
        .try_into()
        .map_err(|_| wrong(answer, field))
}

fn numbers(value: &Value) -> Vec<u16> {
    let entries = value.as_array().map(Vec::as_slice).unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| u16::try_from(entry.as_u64()?).ok())
        .collect()
}
