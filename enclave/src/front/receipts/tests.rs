use jeju_attestation::launch::LaunchDocument;

use super::*;

const DOCUMENT: &str = r#"
version = 1
[node]
agent = "0x0101010101010101010101010101010101010101010101010101010101010101"
names = ["localhost"]
[chain]
profile = "localnet"
id = 31337
registry = "0x0202020202020202020202020202020202020202"
rpc = ["http://127.0.0.1:8545"]
[egress]
allow = ["127.0.0.1:8545"]
"#;

fn receipts(keys: Option<[u8; 20]>) -> Receipts {
    let document = LaunchDocument::parse(DOCUMENT.as_bytes()).unwrap();
    let identity = Identity::generate(&document, DOCUMENT.into(), None, None).unwrap();
    Receipts::new(Arc::new(identity), keys)
}

/// Of an answer with this number.
fn answer(receipts: &Receipts, number: u64) -> Receipt {
    let mut request_id = [0; 32];
    request_id[..8].copy_from_slice(&number.to_be_bytes());
    Receipt {
        agent: receipts.identity.agent,
        boot: receipts.identity.boot,
        request_id,
        request_digest: [2; 32],
        response_digest: [3; 32],
        input_units: number,
        output_units: 1,
        epoch: 0,
        anchor_block: 9,
    }
}

#[test]
fn a_receipt_is_signed_by_the_key_of_the_boot_for_one_contract() {
    let receipts = receipts(Some([6; 20]));
    receipts.keep("a", answer(&receipts, 1));
    let signed = receipts.of_answer("a").unwrap();
    let at = At {
        chain_id: 31337,
        contract: Account([6; 20]),
    };
    let digest = signed.receipt.digest(&at);
    assert_eq!(signed.signature.unwrap().recover(&digest), Ok(signed.signer));
    assert_eq!(signed.at, Some(at));
    assert_eq!(receipts.of_answer("a").unwrap(), signed, "asked again, the same");
    let (text, signature) = receipts.text(&signed.receipt);
    assert_eq!(text, format!("{}:{}", "02".repeat(32), "03".repeat(32)));
    assert_eq!(signature.recover(&text_digest(&text)), Ok(signed.signer));
}

#[test]
fn without_a_contract_there_is_no_signature_for_one() {
    let receipts = receipts(None);
    receipts.keep("a", answer(&receipts, 1));
    let signed = receipts.of_answer("a").unwrap();
    assert_eq!((signed.signature, signed.at), (None, None));
    assert!(signed.json()["keys"].is_null() && signed.json()["signature"].is_null());
}

#[test]
fn an_id_has_one_receipt_and_a_response_its_newest() {
    let receipts = receipts(None);
    receipts.keep("a", answer(&receipts, 1));
    receipts.keep("a", answer(&receipts, 2));
    assert_eq!(receipts.of_answer("a").unwrap().receipt.input_units, 1);
    receipts.keep("b", answer(&receipts, 3));
    assert_eq!(receipts.of_response(&[3; 32]), receipts.of_answer("b"));
    assert_eq!(receipts.of_response(&[4; 32]), None);
    assert_eq!(receipts.of_answer("c"), None);
    assert_eq!(receipts.close(0).count, 2, "the refused one is no leaf");
}

#[test]
fn the_oldest_records_make_room() {
    let receipts = receipts(None);
    let count = KEPT as u64;
    for number in 0..count {
        receipts.keep(&number.to_string(), answer(&receipts, number));
    }
    assert!(receipts.of_answer("0").is_some());
    receipts.keep("new", answer(&receipts, count));
    assert_eq!(receipts.of_answer("0"), None);
    assert!(receipts.of_answer("1").is_some());
    assert_eq!(receipts.of_response(&[3; 32]), receipts.of_answer("new"));
    let records = receipts.records();
    assert_eq!((records.by_id.len(), records.order.len()), (KEPT, KEPT));
}

#[test]
fn a_slip_is_read_once_and_only_with_an_id() {
    let slip = Slip::default();
    assert!(slip.take().is_none());
    slip.note(&json!({"usage": {"prompt_tokens": 1}}));
    slip.note(&json!({"id": "x".repeat(97), "usage": {}}));
    slip.note(&json!({"id": "", "usage": {}}));
    assert!(slip.take().is_none());
    slip.note(&json!({"id": "a", "usage": {"prompt_tokens": 4, "completion_tokens": 5}}));
    let answered = slip.take().unwrap();
    assert_eq!((answered.input_units, answered.output_units), (4, 5));
    assert!(slip.take().is_none());
    slip.name("resp_1".to_owned());
    slip.note(&json!({"id": "a", "usage": {}}));
    assert_eq!(*slip.take().unwrap().id, "resp_1");
    let (mut with, mut without) = (json!({"id": "a"}), json!({}));
    slip.identify(&mut with, "embd");
    slip.identify(&mut without, "embd");
    assert_eq!(with["id"], "a");
    assert!(without["id"].as_str().unwrap().starts_with("embd-"));
}
