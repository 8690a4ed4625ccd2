//! The contracts on a real chain: deployment, the transactions of both roles, and the program's own output.

mod hardware;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use alloy::primitives::{Address, B256, U256, keccak256};
use jeju_contracts::deployment::{self, CREATE2_FACTORY, DeployError, Outcome, RegistryArguments};
use jeju_contracts::localnet::{self, Anvil, AnvilOptions};
use jeju_contracts::network::{LOCALNET_CHAIN_ID, Network};
use jeju_contracts::plan::{ENTRY_POINT, PlanArguments, plan};
use jeju_contracts::registry::{self, Proposal};
use jeju_contracts::roles;
use jeju_contracts::sender::{SendError, Sender, storage_at};
use jeju_contracts::wiring::{self, State};
use serde_json::{Value, json};

const ID: B256 = B256::repeat_byte(0x11);
const RELEASE: B256 = B256::repeat_byte(0x22);

fn anvil() -> Anvil {
    Anvil::spawn(&AnvilOptions {
        port: 0,
        block_time: None,
    })
    .unwrap()
}

fn proposal() -> Proposal {
    Proposal {
        id: ID.0,
        release_digest: RELEASE.0,
        version: 3,
        platform: 255,
        custody: 1,
        flags: 5,
    }
}

/// Runs the program; the outer error is what it wrote to standard error.
fn program(arguments: &[&str]) -> Result<Value, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_jeju-contracts"))
        .arg("--json")
        .args(arguments)
        .env_remove("JEJU_DEPLOYER_KEY")
        .env_remove("JEJU_REVOKER_KEY")
        .output()
        .unwrap();
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

#[tokio::test]
async fn deployment_is_deterministic_and_resumable() {
    let (first, second) = (anvil(), anvil());
    let address = first.deploy_registry().await.unwrap();
    assert_eq!(address, localnet::registry_arguments().address().into_array());
    assert_eq!(first.deploy_registry().await.unwrap(), address);
    assert_eq!(second.deploy_registry().await.unwrap(), address);

    let other = RegistryArguments {
        min_delay: 1,
        ..localnet::registry_arguments()
    };
    assert_ne!(other.address().into_array(), address);

    // A chain without the factory is told apart from one where the transaction fails.
    let _: Value = first
        .rpc()
        .call("anvil_setCode", json!([CREATE2_FACTORY, "0x"]))
        .await
        .unwrap();
    let key = localnet::owner_key();
    let refused = deployment::deploy(first.rpc(), Some(&key), Network::Localnet, other).await;
    assert!(matches!(refused, Err(DeployError::NoFactory)));

    // Without a key it only looks.
    let (plan, outcome) = deployment::deploy(second.rpc(), None, Network::Localnet, other)
        .await
        .unwrap();
    assert_eq!(
        (outcome, plan.measurement_registry.created),
        (Outcome::Planned, None)
    );
    let mainnet = deployment::deploy(second.rpc(), Some(&key), Network::Mainnet, other).await;
    assert!(matches!(mainnet, Err(DeployError::Network(_))));
}

/// The transactions after the deployment: all at once where there is no timelock, else announced first, and as calldata for
/// governance where the key at hand is another one's.
#[tokio::test]
async fn contracts_are_connected_after_deployment() {
    let (key, other) = (localnet::owner_key(), localnet::revoker_key());
    let deploy = async |chain: &Anvil, min_delay| {
        let mut arguments = plan_arguments();
        arguments.registry.min_delay = min_delay;
        let deployed = deployment::deploy_all(chain.rpc(), Some(&key), Network::Localnet, &arguments).await;
        deployed.unwrap().0
    };
    let states = async |chain: &Anvil, deployment, key| {
        let wired = wiring::wire(chain.rpc(), key, deployment, localnet::owner_key().address()).await;
        let states = wired.unwrap().into_iter().map(|wired| wired.state);
        states.collect::<Vec<_>>()
    };

    let chain = anvil();
    let at_once = deploy(&chain, 0).await;
    let looked = states(&chain, &at_once, None).await;
    assert_eq!(looked.len(), 11);
    let is_waiting = |state: &&State| **state == State::Waiting;
    assert_eq!(looked.iter().filter(is_waiting).count(), 1);
    let made = states(&chain, &at_once, Some(&key)).await;
    assert!(
        made.iter().all(|state| matches!(state, State::Made { .. })),
        "{made:?}"
    );
    let again = states(&chain, &at_once, Some(&key)).await;
    assert!(again.iter().all(|state| *state == State::Done), "{again:?}");

    // Another account gets what governance must send: here it is sent as it stands.
    let chain = anvil();
    let timelocked = deploy(&chain, 1000).await;
    let sender = Sender::new(chain.rpc(), &key, LOCALNET_CHAIN_ID);
    for state in states(&chain, &timelocked, Some(&other)).await {
        match state {
            State::Governance { to, data } => drop(sender.send(to, data).await.unwrap()),
            State::Waiting => {}
            other => panic!("{other:?}"),
        }
    }
    let announced = states(&chain, &timelocked, Some(&key)).await;
    let is_announced = |state: &&State| matches!(state, State::Announced { .. });
    assert_eq!(announced.iter().filter(is_announced).count(), 7, "{announced:?}");
    assert_eq!(announced[3], State::Waiting);
    for (method, arguments) in [("evm_increaseTime", json!([1001])), ("evm_mine", json!([]))] {
        let _: Value = chain.rpc().call(method, arguments).await.unwrap();
    }
    states(&chain, &timelocked, Some(&key)).await;
    let done = states(&chain, &timelocked, None).await;
    assert!(done.iter().all(|state| *state == State::Done), "{done:?}");
}

fn plan_arguments() -> PlanArguments {
    PlanArguments {
        registry: localnet::registry_arguments(),
        sink: Address::repeat_byte(0xde),
        arbiter: localnet::revoker_key().address(),
        challenger_delay: 0,
        treasury: Address::repeat_byte(0xfe),
        fee_bps: 250,
        entry_point: ENTRY_POINT,
        committee: Some((U256::from(1), 0)),
    }
}

/// A role that has moved since is named, whoever moved it.
#[tokio::test]
async fn roles_are_compared_with_what_was_meant() {
    let chain = anvil();
    let (key, other) = (localnet::owner_key(), localnet::revoker_key());
    let arguments = plan_arguments();
    let deployed = deployment::deploy_all(chain.rpc(), Some(&key), Network::Localnet, &arguments);
    let (deployment, _) = deployed.await.unwrap();
    let read = async || roles::read(chain.rpc(), &deployment, &arguments).await.unwrap();
    let held = read().await;
    assert!(held.iter().all(|role| role.as_meant()), "{held:?}");
    // Every contract that has an owner is asked.
    assert_eq!(held.iter().filter(|role| role.role == "owner").count(), 12);

    let ledger = deployment.contracts["ledgerManager"].address;
    for (from, call) in [
        (&key, "transferOwnership(address)"),
        (&other, "acceptOwnership()"),
    ] {
        let mut data = keccak256(call)[..4].to_vec();
        if call.ends_with("(address)") {
            data.extend(other.address().into_word());
        }
        let sender = Sender::new(chain.rpc(), from, LOCALNET_CHAIN_ID);
        sender.send(ledger, data.into()).await.unwrap();
    }
    let moved: Vec<_> = read().await.into_iter().filter(|role| !role.as_meant()).collect();
    assert_eq!(moved.len(), 1);
    assert_eq!(
        (moved[0].contract.as_str(), moved[0].role),
        ("ledgerManager", "owner")
    );
    assert_eq!(moved[0].found, Some(other.address().to_string()));
}

/// Every contract on two chains, at the same addresses, under the cap of EIP-7825; again, and after an interruption.
#[tokio::test]
async fn all_contracts_are_deployed_deterministically() {
    let (first, second) = (anvil(), anvil());
    let key = localnet::owner_key();
    let arguments = plan_arguments();
    let planned = plan(&arguments);
    // What an interrupted run left behind.
    let sender = Sender::new(second.rpc(), &key, LOCALNET_CHAIN_ID);
    let one = &planned[0];
    let input = [deployment::salt().as_slice(), &one.init_code].concat();
    sender.send(CREATE2_FACTORY, input.into()).await.unwrap();

    let mut deployments = Vec::new();
    for chain in [&first, &second] {
        let all = |key| deployment::deploy_all(chain.rpc(), key, Network::Localnet, &arguments);
        let (dry, outcome) = all(None).await.unwrap();
        assert_eq!(outcome, Outcome::Planned);
        let (made, outcome) = all(Some(&key)).await.unwrap();
        assert_eq!(outcome, Outcome::Created);
        for planned in &planned {
            let contract = &made.contracts[planned.name];
            assert_eq!(contract.address, planned.address, "{}", planned.name);
            assert_eq!(contract.address, dry.contracts[planned.name].address);
            let code: String = chain
                .rpc()
                .call("eth_getCode", json!([contract.address, "latest"]))
                .await
                .unwrap();
            assert!(code.len() > 2 && code.len() <= 2 + 2 * 24_576, "{}", planned.name);
        }
        let (again, outcome) = all(Some(&key)).await.unwrap();
        assert_eq!(outcome, Outcome::Found);
        assert!(
            again
                .contracts
                .values()
                .all(|contract| contract.created.is_none())
        );
        deployments.push(made);
    }
    assert!(deployments[1].contracts[one.name].created.is_none());
    assert_eq!(planned.len(), deployments[0].contracts.len());

    let public = deployment::deploy_all(first.rpc(), Some(&key), Network::Testnet, &arguments).await;
    assert!(matches!(public, Err(DeployError::Network(_))));
}

#[tokio::test]
async fn the_record_of_a_deployment_grows_and_forgets_nothing() {
    let chain = anvil();
    let key = localnet::owner_key();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("localnet.json");
    let arguments = plan_arguments();
    let all = deployment::deploy_all(chain.rpc(), Some(&key), Network::Localnet, &arguments);
    let (made, _) = all.await.unwrap();
    deployment::write(&path, made.clone()).unwrap();
    // The registry alone, found again.
    let (less, _) = deployment::deploy(
        chain.rpc(),
        Some(&key),
        Network::Localnet,
        localnet::registry_arguments(),
    )
    .await
    .unwrap();
    deployment::write(&path, less).unwrap();
    assert_eq!(deployment::read(&path).unwrap(), Some(made));
}

#[tokio::test]
async fn timelock_and_roles_hold_on_chain() {
    let anvil = anvil();
    let (owner, revoker) = (localnet::owner_key(), localnet::revoker_key());
    let arguments = RegistryArguments {
        min_delay: 3600,
        ..localnet::registry_arguments()
    };
    let (deployed, outcome) = deployment::deploy(anvil.rpc(), Some(&owner), Network::Localnet, arguments)
        .await
        .unwrap();
    assert_eq!(outcome, Outcome::Created);
    let at = deployed.measurement_registry.address;
    let (owner, revoker) = (
        Sender::new(anvil.rpc(), &owner, LOCALNET_CHAIN_ID),
        Sender::new(anvil.rpc(), &revoker, LOCALNET_CHAIN_ID),
    );

    let proposed = registry::propose(&owner, at, &proposal()).await.unwrap();
    let early = registry::activate(&owner, at, ID).await.unwrap_err();
    assert!(
        matches!(&early, SendError::Refused(reason) if reason.starts_with("TooEarly")),
        "{early}"
    );
    let stranger = registry::propose(&revoker, at, &proposal()).await.unwrap_err();
    assert!(matches!(&stranger, SendError::Refused(reason) if reason.contains("OwnableUnauthorizedAccount")));
    let twice = registry::propose(&owner, at, &proposal()).await.unwrap_err();
    assert!(matches!(&twice, SendError::Refused(reason) if reason.starts_with("AlreadyKnown")));

    anvil.advance_time(3600).await.unwrap();
    let activated = registry::activate(&owner, at, ID).await.unwrap();
    let owner_revokes = registry::revoke(&owner, at, ID).await.unwrap_err();
    assert!(matches!(&owner_revokes, SendError::Refused(reason) if reason.starts_with("NotRevoker")));

    // The documented slots, as `eth_getProof` will address them, hold what `lookup` returns.
    let slot = registry::record_slot(ID);
    let packed = storage_at(anvil.rpc(), at, slot).await.unwrap();
    let release = storage_at(anvil.rpc(), at, slot + U256::ONE).await.unwrap();
    let policy = storage_at(anvil.rpc(), at, U256::from(registry::POLICY_SLOT))
        .await
        .unwrap();
    let data = [&keccak256("lookup(bytes32)")[..4], ID.as_slice()].concat();
    assert_eq!(data[..4], jeju_chain::LOOKUP_SELECTOR);
    let call = json!([{ "to": at, "data": alloy::primitives::Bytes::from(data) }, "latest"]);
    let answer: String = anvil.rpc().call("eth_call", call).await.unwrap();
    assert_eq!(
        answer,
        format!("0x{}", hex::encode([packed, release, policy].concat()))
    );
    let term = storage_at(anvil.rpc(), at, slot + U256::from(2)).await.unwrap();
    let record = jeju_chain::MeasurementRecord::from_words(&packed, &release, &term)
        .unwrap()
        .unwrap();
    assert_eq!(
        (record.version, record.platform, record.custody, record.flags),
        (3, 255, 1, 5)
    );
    assert_eq!(
        (record.stage, record.release_digest),
        (jeju_chain::Stage::Active, RELEASE.0)
    );
    assert_eq!(
        jeju_chain::Policy::from_word(&policy).revoker,
        localnet::revoker_key().address().0.0
    );

    let revoked = registry::revoke(&revoker, at, ID).await.unwrap();
    let again = registry::activate(&owner, at, ID).await.unwrap_err();
    assert!(matches!(&again, SendError::Refused(reason) if reason.starts_with("WrongStage")));
    registry::raise_version_floor(&owner, at, 9).await.unwrap();
    let floor = Proposal {
        id: [0x33; 32],
        ..proposal()
    };
    let below = registry::propose(&owner, at, &floor).await.unwrap_err();
    assert!(matches!(&below, SendError::Refused(reason) if reason.starts_with("BelowFloor")));

    println!(
        "gas: deploy {} propose {} activate {} revoke {}",
        deployed.measurement_registry.created.unwrap().gas_used,
        proposed.gas_used,
        activated.gas_used,
        revoked.gas_used
    );
}

#[tokio::test]
async fn program_goes_through_a_measurements_life() {
    let start = Instant::now();
    let anvil = anvil();
    let url = anvil.url();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("deployments/localnet.json");
    let deploy = |extra: &[&str]| {
        let base = [
            "deploy",
            "--network",
            "localnet",
            "--rpc",
            &url,
            "--out",
            out.to_str().unwrap(),
        ];
        program(&[&base, extra].concat())
    };

    let planned = deploy(&["--dry-run"]).unwrap();
    assert_eq!(planned["outcome"], "planned");
    // What would have to be sent after the deployment is shown too, the announcements first.
    let wiring = planned["wiring"].as_array().unwrap();
    assert_eq!(wiring.len(), 7, "without a committee");
    assert!(
        wiring
            .iter()
            .all(|step| step["state"] == "governance" || step["state"] == "waiting")
    );
    assert_eq!(wiring[2]["step"], "identityRegistry tells attestedKeyRegistry");
    assert_eq!(planned["roles"], Value::Null, "nothing is there to be asked");
    assert!(!out.exists());
    let created = deploy(&[]).unwrap();
    assert_eq!(created["outcome"], "created");
    assert_eq!(created["roles"]["differ"], json!([]));
    assert_eq!(created["roles"]["checked"], 30);
    let written = deployment::read(&out).unwrap().unwrap();
    assert!(written.measurement_registry.created.is_some());
    assert_eq!(deploy(&[]).unwrap()["outcome"], "found");
    assert_eq!(
        deployment::read(&out).unwrap().unwrap(),
        written,
        "a repeated run keeps the receipt"
    );

    let at = written.measurement_registry.address.to_string();
    let (id, release) = (ID.to_string(), RELEASE.to_string());
    let target = [
        "--network",
        "localnet",
        "--rpc",
        &url,
        "--registry",
        &at,
        "--id",
        &id,
    ];
    let run = |name: &str, extra: &[&str]| program(&[&[name], &target[..], extra].concat());
    let status = || run("query", &[]).unwrap()["status"].clone();
    let propose = [
        "--release-digest",
        &release,
        "--version",
        "3",
        "--platform",
        "simulated",
    ];

    anvil.finalize().await.unwrap();
    assert_eq!(status(), "unknown");
    run("propose", &propose).unwrap();
    anvil.finalize().await.unwrap();
    assert_eq!(status(), "pending");
    run("activate", &[]).unwrap();
    anvil.finalize().await.unwrap();
    assert_eq!(status(), "active");
    run("revoke", &[]).unwrap();
    anvil.finalize().await.unwrap();
    let end = run("query", &[]).unwrap();
    assert_eq!(
        (&end["status"], &end["policyEpoch"]),
        (&json!("revoked"), &json!(2))
    );
    assert_eq!(end["record"]["platform"], "simulated");
    assert!(run("propose", &propose).unwrap_err().contains("AlreadyKnown"));
    println!("life of a measurement by the program: {:?}", start.elapsed());
}

#[tokio::test]
async fn program_refuses_what_a_public_network_forbids() {
    let anvil = anvil();
    let url = anvil.url();
    let revoker = Address::repeat_byte(1).to_string();
    let owner = Address::repeat_byte(2).to_string();
    let base = ["deploy", "--network", "mainnet", "--rpc", &url];
    assert!(
        program(&base)
            .unwrap_err()
            .contains("JEJU_DEPLOYER_KEY is not set")
    );
    let dry = [&base[..], &["--dry-run", "--owner", &owner]].concat();
    assert!(program(&dry).unwrap_err().contains("--revoker is missing"));
    let dry = [&dry[..], &["--revoker", &revoker]].concat();
    assert!(program(&dry).unwrap_err().contains("--sink is missing"));
    let dry = [&dry[..], &["--sink", &revoker]].concat();
    assert!(program(&dry).unwrap_err().contains("--arbiter is missing"));
    let dry = [&dry[..], &["--arbiter", &revoker]].concat();
    let committee = [&dry[..], &["--committee", "0x04"]].concat();
    assert!(program(&committee).unwrap_err().contains("33 bytes"));
    assert!(
        program(&dry)
            .unwrap_err()
            .contains("chain id 31337 does not belong to mainnet")
    );

    let _: Value = anvil.rpc().call("anvil_setChainId", json!([1])).await.unwrap();
    let short = [&dry[..], &["--min-delay", "172799"]].concat();
    assert!(program(&short).unwrap_err().contains("below the 172800 s"));
    let short = [&dry[..], &["--challenger-delay", "2591999"]].concat();
    assert!(program(&short).unwrap_err().contains("below the 2592000 s"));
    assert_eq!(program(&dry).unwrap()["outcome"], "planned");
    let local = ["deploy", "--network", "localnet", "--rpc", &url];
    assert!(
        program(&local)
            .unwrap_err()
            .contains("chain id 1 does not belong to localnet")
    );
}

#[tokio::test]
async fn deployment_records_are_not_mixed() {
    let anvil = anvil();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("localnet.json");
    let arguments = localnet::registry_arguments();
    let (deployment, _) = deployment::deploy(anvil.rpc(), None, Network::Localnet, arguments)
        .await
        .unwrap();
    deployment::write(&path, deployment.clone()).unwrap();
    let other = deployment::Deployment {
        chain_id: 7,
        ..deployment
    };
    let refused = deployment::write(&path, other);
    assert!(matches!(
        refused,
        Err(DeployError::OtherDeployment {
            chain_id: LOCALNET_CHAIN_ID,
            ..
        })
    ));
    std::fs::write(&path, "{").unwrap();
    assert!(matches!(
        deployment::read(&path),
        Err(DeployError::Unreadable { .. })
    ));
}

#[tokio::test]
async fn anvil_ends_with_its_owner_and_names_a_taken_port() {
    let anvil = anvil();
    let (pid, port) = (anvil.pid(), anvil.port());
    let taken = Anvil::spawn(&AnvilOptions {
        port,
        block_time: None,
    });
    assert!(taken.is_err(), "two on one port");
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    drop(anvil);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}
