//! Machines that agents may run on.

use jeju_contracts::agent;
use jeju_contracts::hardware::{self, Machine};

use super::*;

/// By the program, as governance and revoker use it.
#[tokio::test]
async fn machines_are_proposed_allowed_and_revoked() {
    let chain = anvil();
    let key = localnet::owner_key();
    let mut arguments = plan_arguments();
    arguments.registry.min_delay = 3600;
    let deployed = deployment::deploy_all(chain.rpc(), Some(&key), Network::Localnet, &arguments);
    let (deployment, _) = deployed.await.unwrap();
    let sender = Sender::new(chain.rpc(), &key, LOCALNET_CHAIN_ID);
    let identities = deployment.contracts["identityRegistry"].address;
    let (agent, _) = agent::register(&sender, identities, "https://provider.example/agent.json", &[])
        .await
        .unwrap();

    let registry = deployment.contracts["hardwareRegistry"].address.to_string();
    let (url, agent) = (chain.url(), agent.to_string());
    let run = |action: &str, machine: B256, more: &[&str]| {
        let machine = machine.to_string();
        let mut given = vec!["hardware", action, "--network", "localnet", "--rpc", &url];
        given.extend(["--registry", &registry, "--hardware", &machine]);
        if action != "revoke-for-all" {
            given.extend(["--agent", &agent]);
        }
        program(&[&given, more].concat())
    };
    let refused = |action, machine, reason: &str| {
        let said = run(action, machine, &[]).unwrap_err();
        assert!(said.contains(reason), "{action}: {said}");
    };
    let (one, other) = (B256::repeat_byte(0x33), B256::repeat_byte(0x44));
    let stage = |machine| {
        let found = run("query", machine, &[]).unwrap();
        (
            found["stage"].as_str().unwrap().to_owned(),
            found["allowed"].as_bool().unwrap(),
        )
    };

    refused("query", one, "nobody proposed");
    refused("allow", one, "WrongStage");
    refused("propose", B256::ZERO, "ZeroHardware");
    run("propose", one, &["--custody", "2"]).unwrap();
    assert_eq!(stage(one), ("proposed".to_owned(), false));
    refused("allow", one, "TooEarly");
    chain.advance_time(3600).await.unwrap();
    run("allow", one, &[]).unwrap();
    assert_eq!(stage(one), ("allowed".to_owned(), true));
    assert_eq!(run("query", one, &[]).unwrap()["custody"], 2);
    run("revoke", one, &[]).unwrap();
    assert_eq!(stage(one), ("revoked".to_owned(), false));
    refused("propose", one, "WrongStage");

    run("propose", other, &[]).unwrap();
    chain.advance_time(3600).await.unwrap();
    run("allow", other, &[]).unwrap();
    run("revoke-for-all", other, &[]).unwrap();
    let ended = run("query", other, &[]).unwrap();
    assert_eq!(
        (&ended["stage"], &ended["allowed"]),
        (&json!("allowed"), &json!(false))
    );
    assert_ne!(ended["endedAt"], 0);
    refused("revoke-for-all", other, "RevokedForAll");

    let one_and_registry = [
        "--hardware",
        &one.to_string(),
        "--registry",
        &registry,
        "--agent",
        &agent,
    ];
    let elsewhere = ["hardware", "query", "--network", "mainnet", "--rpc", &url];
    assert!(
        program(&[&elsewhere[..], &one_and_registry].concat())
            .unwrap_err()
            .contains("chain")
    );

    let machine = Machine {
        agent: agent.parse().unwrap(),
        hardware: one,
    };
    assert!(
        hardware::standing(chain.rpc(), Address::ZERO, machine)
            .await
            .is_err()
    );
}
