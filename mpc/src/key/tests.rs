//! Published vectors, with every value between members sent as a message.

use frost_core::keys::{SigningShare, VerifyingShare};
use frost_core::round1::Nonce;
use frost_core::{Identifier, VerifyingKey};
use frost_secp256k1::Secp256K1Sha256;
use frost_secp256k1_tr::Secp256K1Sha256TR;
use serde_json::Value;

use super::*;
use crate::message::Message;

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn sent(message: Message) -> Message {
    Message::decode(&message.encode()).unwrap()
}

fn signature_of_the_vectors<C: Suite>(vectors: &str) {
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    let inputs = &vectors["inputs"];
    let verifying_key = VerifyingKey::<C>::deserialize(&bytes(&inputs["verifying_key_key"])).unwrap();
    let keys: BTreeMap<Identifier<C>, KeyPackage<C>> = inputs["participant_shares"]
        .as_array()
        .unwrap()
        .iter()
        .map(|share| {
            let name = identifier::<C>(MemberIndex(share["identifier"].as_u64().unwrap() as u16));
            let share = SigningShare::deserialize(&bytes(&share["participant_share"])).unwrap();
            (name, KeyPackage::new(name, share, share.into(), verifying_key, 2))
        })
        .collect();
    let shares: BTreeMap<_, VerifyingShare<C>> = keys
        .iter()
        .map(|(name, key)| (*name, *key.verifying_share()))
        .collect();
    let public = PublicKeyPackage::new(shares, verifying_key, Some(2));
    let message = bytes(&inputs["message"]);

    let mut signers = Vec::new();
    let mut nonces = BTreeMap::new();
    for output in vectors["round_one_outputs"]["outputs"].as_array().unwrap() {
        let member = MemberIndex(output["identifier"].as_u64().unwrap() as u16);
        let made = SigningNonces::<C>::from_nonces(
            Nonce::deserialize(&bytes(&output["hiding_nonce"])).unwrap(),
            Nonce::deserialize(&bytes(&output["binding_nonce"])).unwrap(),
        );
        nonces.insert(member, Nonces(Box::new(made)));
        let commitments = Commitments {
            hiding: bytes(&output["hiding_nonce_commitment"]).try_into().unwrap(),
            binding: bytes(&output["binding_nonce_commitment"]).try_into().unwrap(),
        };
        let Message::SignCommit { commitments, .. } = sent(Message::SignCommit {
            exchange: [1; 16],
            commitments,
        }) else {
            unreachable!()
        };
        signers.push((member, commitments));
    }
    let Message::SignPackage { commitments, .. } = sent(Message::SignPackage {
        exchange: [1; 16],
        message: [0; 32],
        commitments: signers,
    }) else {
        unreachable!()
    };

    let mut given = Vec::new();
    for output in vectors["round_two_outputs"]["outputs"].as_array().unwrap() {
        let member = MemberIndex(output["identifier"].as_u64().unwrap() as u16);
        let key = KeyOf::new(keys[&identifier::<C>(member)].clone(), public.clone());
        let package = key.package(&commitments, &message).unwrap();
        let share = key.sign(&package, nonces.remove(&member).unwrap()).unwrap();
        assert_eq!(share.to_vec(), bytes(&output["sig_share"]));
        let Message::SignShare { share, .. } = sent(Message::SignShare {
            exchange: [1; 16],
            share,
        }) else {
            unreachable!()
        };
        given.push((member, share));
    }
    let key = KeyOf::new(keys[&identifier::<C>(MemberIndex(1))].clone(), public);
    let package = key.package(&commitments, &message).unwrap();
    let signature = key.aggregate(&package, &given).unwrap();
    assert_eq!(signature, bytes(&vectors["final_output"]["sig"]));
    assert!(key.verify(&message, &signature));
    assert!(!key.verify(b"other", &signature));
}

/// The first is RFC 9591, appendix E.5.
#[test]
fn published_signatures() {
    signature_of_the_vectors::<Secp256K1Sha256>(include_str!(
        "../../tests/vectors/frost-secp256k1/vectors.json"
    ));
    signature_of_the_vectors::<Secp256K1Sha256TR>(include_str!(
        "../../tests/vectors/frost-secp256k1-tr/vectors.json"
    ));
}

#[test]
fn what_is_secret_is_not_printed() {
    let made = SigningNonces::<Secp256K1Sha256>::from_nonces(
        Nonce::deserialize(&[0x5A; 32]).unwrap(),
        Nonce::deserialize(&[0x5A; 32]).unwrap(),
    );
    assert_eq!(format!("{:?}", Nonces(Box::new(made))), "Nonces(..)");
}
