//! The bandwidth that was rented, on a container's own network.
//!
//! Docker has no limit for it. Each rental has a bridge of its own, so the kernel's traffic control holds the rate at the host's end
//! of the container's cable, where the tenant can't reach: what goes in is queued there, and what comes out is queued on a device
//! that stands in for it (`ifb`). It takes iproute2, and the right to administer the host's network (`CAP_NET_ADMIN`).

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use jeju_shim_protocol::docker::answer::Container;
use jeju_shim_protocol::docker::{API_VERSION, ContainerName, Emitted, Request};
use serde::Deserialize;

use super::call::{LOOK_TIME, read};
use super::engine;
use super::failure::Failure;
use crate::shim::State;

/// Label with the Mbit/s that were rented; zero or none: none were.
const LABEL: &str = "jeju.bandwidth";
/// Least bytes that may come at once, and otherwise those of a hundredth of a second.
const MIN_BURST: u64 = 64 * 1024;

/// After a container's start: holds it to its bandwidth.
pub(super) fn hold_soon(state: Arc<State>, name: ContainerName) {
    tokio::spawn(async move {
        let Some(socket) = &state.config.docker else {
            return;
        };
        let held = match found(socket, name).await {
            Ok(Some((bridge, mbps))) => {
                let set = tokio::task::spawn_blocking(move || hold(&bridge, &stand_in(name), mbps));
                set.await.unwrap_or_else(|error| Err(error.to_string()))
            }
            Ok(None) => Ok(()),
            Err(failure) => Err(failure.code().to_owned()),
        };
        if let Err(reason) = held {
            state.events.caused(
                "docker_bandwidth_not_held",
                &[("container", &name), ("reason", &reason)],
            );
        }
    });
}

/// After its end.
pub(super) fn release_soon(name: ContainerName) {
    tokio::task::spawn_blocking(move || {
        // The cable is gone with the container. There may have been no limit.
        let _ = run("ip", &["link", "del", &stand_in(name)]);
    });
}

/// The container's bridge, and its bandwidth in Mbit/s. `None`: it has no network of its own, or no limit.
async fn found(socket: &Path, name: ContainerName) -> Result<Option<(String, u64)>, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Network {
        id: String,
    }
    let inspect = Request::InspectContainer { name, size: false }.emit();
    let container: Container = read(engine::send(socket, inspect, None, false, LOOK_TIME).await?).await?;
    let label = container.config.labels.get(LABEL);
    let mbps: u64 = label
        .and_then(|text| text.parse::<u32>().ok())
        .unwrap_or(0)
        .into();
    if mbps == 0 || container.host_config.network_mode != name.to_string() {
        return Ok(None);
    }
    let inspect = Emitted {
        method: "GET",
        target: format!("/{API_VERSION}/networks/{name}"),
        content_type: None,
        body: None,
    };
    let network: Network = read(engine::send(socket, inspect, None, false, LOOK_TIME).await?).await?;
    let digits = network
        .id
        .get(..12)
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    // As Docker's bridge driver names it.
    let bridge = format!("br-{}", digits.ok_or_else(Failure::malformed)?);
    Ok(Some((bridge, mbps)))
}

/// Name of the device that stands in for what comes out of a container; the kernel takes 15 characters.
fn stand_in(name: ContainerName) -> String {
    format!("jr{}", hex::encode(&name.id()[..6]))
}

/// Sets both limits on every cable of a bridge; there is one.
fn hold(bridge: &str, stand_in: &str, mbps: u64) -> Result<(), String> {
    let cables = fs::read_dir(format!("/sys/class/net/{bridge}/brif")).map_err(|error| error.to_string())?;
    for cable in cables {
        let cable = cable.map_err(|error| error.to_string())?.file_name();
        let cable = cable.to_str().ok_or("a device without a name")?;
        limit(cable, stand_in, mbps)?;
    }
    Ok(())
}

fn limit(cable: &str, stand_in: &str, mbps: u64) -> Result<(), String> {
    let rate = format!("{mbps}mbit");
    let burst = MIN_BURST.max(mbps * 1_000_000 / 8 / 100).to_string();
    let bucket = ["tbf", "rate", &rate, "burst", &burst, "latency", "50ms"];
    let tc = |words: &[&str]| run("tc", words);
    // It may be there from before a restart.
    let _ = run("ip", &["link", "add", stand_in, "type", "ifb"]);
    run("ip", &["link", "set", stand_in, "up"])?;
    tc(&[&["qdisc", "replace", "dev", stand_in, "root"], &bucket[..]].concat())?;
    tc(&[&["qdisc", "replace", "dev", cable, "root"], &bucket[..]].concat())?;
    tc(&["qdisc", "replace", "dev", cable, "handle", "ffff:", "ingress"])?;
    let redirect = ["action", "mirred", "egress", "redirect", "dev", stand_in];
    let all = [
        "protocol", "all", "prio", "1", "handle", "800::1", "u32", "match", "u32", "0", "0",
    ];
    tc(&[
        &["filter", "replace", "dev", cable, "parent", "ffff:"],
        &all[..],
        &redirect[..],
    ]
    .concat())
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    let output = output.map_err(|error: io::Error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("{program}: {}", said.lines().next().unwrap_or_default()))
        }
    }
}
