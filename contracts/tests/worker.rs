//! Workers on a real chain, read back by the chain reader.

use alloy::primitives::{Address, B256};
use alloy::sol_types::SolCall;
use jeju_chain::{ChainReader, WorkerRecord, WorkerStatus};
use jeju_contracts::bindings::WorkerRegistry;
use jeju_contracts::localnet::{Anvil, AnvilOptions, owner_key};
use jeju_contracts::network::LOCALNET_CHAIN_ID;
use jeju_contracts::sender::Sender;

async fn record(reader: &ChainReader, contract: Address, id: B256) -> Option<WorkerRecord> {
    let block = reader.newest_block().await.unwrap();
    reader.worker_at(&block, &contract, &id).await.unwrap()
}

#[tokio::test]
async fn a_worker_is_read_through_its_life() {
    let options = AnvilOptions {
        port: 0,
        block_time: None,
    };
    let anvil = Anvil::spawn(&options).unwrap();
    let deployment = anvil.deploy_contracts().await.unwrap();
    let contract = deployment.contracts["workerRegistry"].address;
    let key = owner_key();
    let sender = Sender::new(anvil.rpc(), &key, LOCALNET_CHAIN_ID);
    let reader = anvil.reader();
    assert_eq!(record(&reader, contract, B256::repeat_byte(9)).await, None);

    let deploy = WorkerRegistry::deployWorkerCall {
        name: "h\u{e9}llo".to_owned(),
        codeHash: B256::repeat_byte(1),
        routes: vec!["/a/*".to_owned()],
        cronSchedule: String::new(),
        paymentMode: 0,
        pricePerInvocation: Default::default(),
    };
    sender.call(contract, &deploy).await.unwrap();
    let list = WorkerRegistry::getOwnerWorkersCall { owner: key.address() };
    let block = reader.newest_block().await.unwrap();
    let answer = reader
        .call_at(&block, &contract, &list.abi_encode(), 1024)
        .await
        .unwrap()
        .unwrap();
    let id = WorkerRegistry::getOwnerWorkersCall::abi_decode_returns(&answer).unwrap()[0];

    let found = record(&reader, contract, id).await.unwrap();
    let expected = WorkerRecord {
        id: id.0,
        owner: key.address().into(),
        name: "h\u{e9}llo".as_bytes().into(),
        code_hash: [1; 32],
        status: WorkerStatus::Active,
        version: 1,
        code_uri: (&b""[..]).into(),
    };
    assert_eq!(found, expected);

    let update = WorkerRegistry::updateWorkerCall {
        workerId: id,
        newCodeHash: B256::repeat_byte(2),
    };
    sender.call(contract, &update).await.unwrap();
    let located = WorkerRegistry::setCodeURICall {
        workerId: id,
        codeVersion: 2,
        uri: "https://code.example/worker.js".to_owned(),
    };
    sender.call(contract, &located).await.unwrap();
    sender
        .call(contract, &WorkerRegistry::pauseWorkerCall { workerId: id })
        .await
        .unwrap();
    let found = record(&reader, contract, id).await.unwrap();
    assert_eq!(
        (found.version, found.code_hash, found.status),
        (2, [2; 32], WorkerStatus::Paused)
    );
    assert_eq!(found.code_uri.as_str(), Some("https://code.example/worker.js"));

    let back = WorkerRegistry::rollbackWorkerCall {
        workerId: id,
        targetVersion: 1,
    };
    sender.call(contract, &back).await.unwrap();
    sender
        .call(contract, &WorkerRegistry::terminateWorkerCall { workerId: id })
        .await
        .unwrap();
    let found = record(&reader, contract, id).await.unwrap();
    assert_eq!((found.version, found.code_hash), (1, [1; 32]));
    assert_eq!(
        (found.status, found.code_uri.is_empty()),
        (WorkerStatus::Terminated, true)
    );
}

/// `jeju-chain` has no alloy, so its selectors are written by hand.
#[test]
fn the_readers_selectors_are_the_contracts() {
    assert_eq!(
        jeju_chain::GET_WORKER_SELECTOR,
        WorkerRegistry::getWorkerCall::SELECTOR
    );
    assert_eq!(
        jeju_chain::CODE_URI_SELECTOR,
        WorkerRegistry::codeURICall::SELECTOR
    );
}
