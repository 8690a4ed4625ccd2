//! Whose containers a guest may touch, where several nodes share an engine.

use std::collections::BTreeMap;
use std::path::Path;

use jeju_shim_protocol::docker::answer::Container;
use jeju_shim_protocol::docker::{API_VERSION, ContainerName, Emitted, Request};
use serde::Deserialize;

use super::call::{LOOK_TIME, read};
use super::engine;
use super::failure::Failure;

/// Refuses a request that is about another agent's container or network. Commands are known by their ids already.
pub(super) async fn check(socket: &Path, agent: [u8; 32], request: &Request) -> Result<(), Failure> {
    let found = match request {
        Request::Ping
        | Request::Info
        | Request::PullImage(_)
        | Request::InspectImage(_)
        | Request::StartExec { .. }
        | Request::InspectExec { .. } => return Ok(()),
        Request::CreateNetwork(spec) => Some(spec.agent),
        Request::CreateContainer(spec) => Some(spec.agent),
        Request::ListContainers { agent } | Request::ListNetworks { agent } => Some(*agent),
        Request::RemoveNetwork(name) => network_agent(socket, *name).await?,
        Request::StartContainer(name)
        | Request::StopContainer { name, .. }
        | Request::KillContainer { name }
        | Request::RemoveContainer(name)
        | Request::InspectContainer { name, .. }
        | Request::Stats(name)
        | Request::Logs { name, .. }
        | Request::PutArchive { name }
        | Request::CreateExec { name, .. } => {
            let inspect = Request::InspectContainer {
                name: *name,
                size: false,
            };
            let answer = engine::send(socket, inspect.emit(), None, false, LOOK_TIME).await?;
            read::<Container>(answer).await?.agent()
        }
    };
    match found == Some(agent) {
        true => Ok(()),
        false => Err(Failure::other_agent()),
    }
}

/// What a network's label says.
async fn network_agent(socket: &Path, name: ContainerName) -> Result<Option<[u8; 32]>, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Network {
        labels: Option<BTreeMap<String, String>>,
    }
    let inspect = Emitted {
        method: "GET",
        target: format!("/{API_VERSION}/networks/{name}"),
        content_type: None,
        body: None,
    };
    let network: Network = read(engine::send(socket, inspect, None, false, LOOK_TIME).await?).await?;
    let labels = network.labels.unwrap_or_default();
    let mut agent = [0; 32];
    let named = labels
        .get("jeju.agent")
        .is_some_and(|text| hex::decode_to_slice(text, &mut agent).is_ok());
    Ok(named.then_some(agent))
}
