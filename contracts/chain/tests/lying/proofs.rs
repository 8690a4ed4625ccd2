//! Storage proofs against a real node's, and every way to change one.

use std::sync::Arc;

use jeju_chain::{AccountProof, Head, Header, Status, measurement_slots};
use jeju_contracts::localnet::Anvil;
use jeju_contracts::registry;
use serde_json::{Value, json};

use crate::{Lie, about, chain, honest, reader};

async fn header(anvil: &Anvil, head: Head) -> Header {
    let (header, _) = anvil
        .reader()
        .proved_words(&head.block.hash, &anvil.deploy_registry().await.unwrap(), &[])
        .await
        .unwrap();
    header
}

#[tokio::test]
async fn proved_readings_are_those_of_the_node() {
    let (anvil, at) = chain().await;
    let direct = anvil.reader();
    let mut slots = measurement_slots(&[1; 32]);
    assert_eq!(
        slots[0],
        registry::record_slot([1; 32].into()).to_be_bytes::<32>()
    );
    for id in [1, 2, 3, 0x77] {
        let said = direct.measurement(&at, &[id; 32]).await.unwrap();
        let proved = direct
            .proved_measurement(said.head, &at, &[id; 32])
            .await
            .unwrap();
        assert_eq!(proved, said);
        let expected = if id == 0x77 {
            Status::Unknown
        } else {
            Status::Active
        };
        assert_eq!(proved.status(), expected);
    }
    let head = direct.finalized_block().await.unwrap();
    // An account that isn't there, and one without code.
    for address in [
        [0x77; 20],
        hex::decode("f39fd6e51aad88f6f4ce6ab8827279cfffb92266")
            .unwrap()
            .try_into()
            .unwrap(),
    ] {
        let error = direct
            .proved_measurement(head, &address, &[1; 32])
            .await
            .unwrap_err();
        assert_eq!(error.code(), "rpc-no-contract");
    }
    // The time of the reading is the header's, whatever the caller believes it to be.
    let mut dated = head;
    dated.block.timestamp = 5;
    let proved = direct.proved_measurement(dated, &at, &[1; 32]).await.unwrap();
    assert_eq!(proved.head, head);
    slots.reverse();
    let (header, words) = direct.proved_words(&head.block.hash, &at, &slots).await.unwrap();
    assert_eq!(header.block, head.block);
    assert_eq!(words[3][5], 2);
}

/// A trie of some hundred slots, all of its entries and as many that it hasn't, against what the node says without proof.
#[tokio::test]
async fn proofs_of_a_large_trie_agree_with_the_node() {
    let (anvil, at) = chain().await;
    let account = format!("0x{}", hex::encode(at));
    let word = |n: u64, of: u64| -> [u8; 32] {
        let mut word = [0; 32];
        word[24..].copy_from_slice(&(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ of).to_be_bytes());
        word
    };
    for n in 0..300 {
        // Short values embed their leaves deep in the trie.
        let value = if n % 2 == 0 { word(n, 7) } else { word(0, n) };
        let params = json!([
            account,
            format!("0x{}", hex::encode(word(n, 1))),
            format!("0x{}", hex::encode(value))
        ]);
        let _: Value = anvil.rpc().call("anvil_setStorageAt", params).await.unwrap();
    }
    anvil.finalize().await.unwrap();
    anvil.mine(1).await.unwrap();
    let direct = anvil.reader();
    let head = direct.finalized_block().await.unwrap();
    let (mut present, mut absent) = (0, 0);
    for batch in (0..600).step_by(15) {
        let slots: Vec<_> = (batch..batch + 15).map(|n| word(n, 1)).collect();
        let (_, words) = direct.proved_words(&head.block.hash, &at, &slots).await.unwrap();
        for (slot, proved) in slots.iter().zip(words) {
            let params = json!([
                account,
                format!("0x{}", hex::encode(slot)),
                format!("{:#x}", head.block.number)
            ]);
            let said: String = anvil.rpc().call("eth_getStorageAt", params).await.unwrap();
            assert_eq!(said, format!("0x{}", hex::encode(proved)));
            *(if proved == [0; 32] {
                &mut absent
            } else {
                &mut present
            }) += 1;
        }
    }
    assert!(present >= 299 && absent >= 300, "{present} {absent}");
}

/// Every way to change a proof: each byte of each node, nodes left out, twice, more, in other order, other values.
#[tokio::test]
async fn every_mutation_of_a_proof_is_refused() {
    let (anvil, at) = chain().await;
    let head = anvil.reader().finalized_block().await.unwrap();
    let root = header(&anvil, head).await.state_root;
    let mut refused = 0;
    for id in [1, 0x77] {
        let slots = measurement_slots(&[id; 32]);
        let keys: Vec<_> = slots
            .iter()
            .map(|slot| format!("0x{}", hex::encode(slot)))
            .collect();
        let params = json!([
            format!("0x{}", hex::encode(at)),
            keys,
            format!("{:#x}", head.block.number)
        ]);
        let proof: Value = anvil.rpc().call("eth_getProof", params).await.unwrap();
        let verify =
            |proof: &Value| AccountProof::from_json(proof.to_string().as_bytes())?.verify(&root, &at, &slots);
        let words = verify(&proof).unwrap();
        assert_eq!(words[0] != [0; 32], id == 1);
        let mut refuse = |proof: &Value, what: &str| {
            assert!(verify(proof).is_err(), "{what}");
            refused += 1;
        };

        let mut lists = vec!["/accountProof".to_owned()];
        lists.extend((0..slots.len()).map(|n| format!("/storageProof/{n}/proof")));
        for list in &lists {
            let nodes = proof.pointer(list).unwrap().as_array().unwrap().clone();
            let mut with = |nodes: Vec<Value>, what: &str| {
                let mut changed = proof.clone();
                *changed.pointer_mut(list).unwrap() = nodes.into();
                refuse(&changed, &format!("{list}: {what}"));
            };
            with(vec![], "no nodes");
            for (n, node) in nodes.iter().enumerate() {
                let bytes = hex::decode(&node.as_str().unwrap()[2..]).unwrap();
                for at in 0..bytes.len() {
                    let mut wrong = bytes.clone();
                    wrong[at] ^= 1 << (at % 8);
                    let mut nodes = nodes.clone();
                    nodes[n] = format!("0x{}", hex::encode(wrong)).into();
                    with(nodes, &format!("byte {at} of node {n}"));
                }
                for wrong in [&bytes[..bytes.len() - 1], &[&bytes[..], &[0]].concat(), &[]] {
                    let mut nodes = nodes.clone();
                    nodes[n] = format!("0x{}", hex::encode(wrong)).into();
                    with(nodes, &format!("length of node {n}"));
                }
                let mut without = nodes.clone();
                without.remove(n);
                with(without, "a node is missing");
                let mut twice = nodes.clone();
                twice.insert(n, node.clone());
                with(twice, "a node is there twice");
            }
            let mut more = nodes.clone();
            more.push("0x80".into());
            with(more, "a node more");
            if nodes.len() > 1 {
                let mut turned = nodes;
                turned.reverse();
                with(turned, "turned round");
            }
        }
        // What the endpoint says beside its proof.
        let set = |at: &str, value: Value| {
            let mut changed = proof.clone();
            *changed.pointer_mut(at).unwrap() = value;
            changed
        };
        let other = json!(format!("0x{}", "11".repeat(32)));
        for at in [
            "/storageHash",
            "/storageProof/0/value",
            "/storageProof/3/value",
            "/storageProof/1/key",
        ] {
            refuse(&set(at, other.clone()), at);
        }
        let mut fewer = proof.clone();
        fewer["storageProof"].as_array_mut().unwrap().pop();
        refuse(&fewer, "a slot less");
        let mut turned = proof.clone();
        turned["storageProof"].as_array_mut().unwrap().reverse();
        refuse(&turned, "slots turned round");
        let parsed = AccountProof::from_json(proof.to_string().as_bytes()).unwrap();
        assert!(parsed.verify(&[7; 32], &at, &slots).is_err());
        assert!(parsed.verify(&root, &[7; 20], &slots).is_err());
    }
    println!("{refused} mutations refused");
}

#[tokio::test]
async fn endpoints_that_forge_proofs_or_headers_prove_nothing() {
    let (anvil, at) = chain().await;
    anvil.revoke(at, [1; 32]).await.unwrap();
    let direct = anvil.reader();
    let said = direct.measurement(&at, &[1; 32]).await.unwrap();
    let before: Value = anvil
        .rpc()
        .call(
            "eth_getBlockByNumber",
            json!([format!("{:#x}", said.head.block.number - 4), false]),
        )
        .await
        .unwrap();
    let flipped = |text: &Value| {
        let text = text.as_str().unwrap();
        let last = if text.ends_with('0') { "1" } else { "0" };
        json!(format!("{}{last}", &text[..text.len() - 1]))
    };
    let proof: Lie = about("eth_getProof", move |proof| {
        proof["storageProof"][0]["value"] = flipped(&proof["storageProof"][0]["value"]);
    });
    let node = about("eth_getProof", move |proof| {
        proof["accountProof"][0] = flipped(&proof["accountProof"][0]);
    });
    // The state in which it wasn't revoked, under the header of now.
    let old = Arc::new(move |method: &str, _: &Value, mut answer: Value| {
        if method == "eth_getBlockByHash" {
            answer["result"] = before.clone();
        }
        answer
    });
    let root = about("eth_getBlockByHash", move |block| {
        block["stateRoot"] = flipped(&block["stateRoot"])
    });
    let gone = about("eth_getBlockByHash", |block| *block = Value::Null);
    let garbage = about("eth_getProof", |proof| *proof = json!([1, 2, 3]));
    let lies: [(Lie, &str); 6] = [
        (proof, "chain-proof-invalid"),
        (node, "chain-proof-invalid"),
        (old, "chain-header-invalid"),
        (root, "chain-header-invalid"),
        (gone, "chain-block-not-found"),
        (garbage, "rpc-malformed"),
    ];
    for (lie, expected) in lies {
        let liars = reader(&anvil, 2, &[Arc::clone(&lie), Arc::clone(&lie), Arc::clone(&lie)]).await;
        let error = liars
            .proved_measurement(said.head, &at, &[1; 32])
            .await
            .unwrap_err();
        assert_eq!(error.code(), expected, "{error}");
        // One honest endpoint is enough, though two of three agree on the lie.
        let one = reader(&anvil, 2, &[Arc::clone(&lie), lie, honest()]).await;
        let proved = one.proved_measurement(said.head, &at, &[1; 32]).await.unwrap();
        assert_eq!(proved, said);
    }
}

#[tokio::test]
async fn an_end_of_validity_is_read() {
    let (anvil, at) = chain().await;
    let direct = anvil.reader();
    let active = direct.measurement(&at, &[1; 32]).await.unwrap();
    let until = active.head.block.timestamp + 10_000;
    let slot = measurement_slots(&[1; 32])[2];
    let contract = format!("0x{}", hex::encode(at));
    let serial: String = anvil
        .rpc()
        .call(
            "eth_getStorageAt",
            json!([contract, format!("0x{}", hex::encode(slot)), "latest"]),
        )
        .await
        .unwrap();
    let term = format!("{}{until:016x}", &serial[..serial.len() - 16]);
    let _: Value = anvil
        .rpc()
        .call(
            "anvil_setStorageAt",
            json!([contract, format!("0x{}", hex::encode(slot)), term]),
        )
        .await
        .unwrap();
    anvil.finalize().await.unwrap();
    let limited = direct.measurement(&at, &[1; 32]).await.unwrap();
    assert_eq!(
        (limited.status(), limited.record.unwrap().valid_until),
        (Status::Active, until)
    );
    assert_eq!(limited.status_at(until), Status::Revoked { at: until });
    anvil.advance_time(10_001).await.unwrap();
    anvil.finalize().await.unwrap();
    let over = direct.measurement(&at, &[1; 32]).await.unwrap();
    assert_eq!(over.status(), Status::Revoked { at: until });
    assert_eq!(
        direct.proved_measurement(over.head, &at, &[1; 32]).await.unwrap(),
        over
    );
}
