//! The JSON documents: the seed's names (times in milliseconds, sizes in GB), and ours.

use jeju_attestation::launch::rentals::{Isolation, Network};
use serde_json::{Value, json};

use crate::rentals::backend::{ContainerState, DiskLimit};
use crate::rentals::manager::board::{Board, Rental};
use crate::rentals::manager::order::{self, Refusal, Script};
use crate::rentals::manager::plan::{Next, State};

/// Bytes of a list, so that it fits into one frame.
const MAX_LIST: usize = 1_500_000;

/// `GET /v1/resources`.
pub(super) fn resources(board: &Board) -> Value {
    let rentals = board.rentals();
    let running = rentals.iter().filter(|rental| rental.facts.access()).count();
    let (offer, chain) = {
        let view = board.view();
        let chain = json!({
            "readable": view.is_fresh(),
            "finalizedBlock": view.finalized.map(|block| block.number),
            "error": view.error.as_ref().map(ToString::to_string),
        });
        (view.offer, chain)
    };
    let engine = board.engine().clone();
    let resources = offer.map(|offer| {
        let machine = offer.resources;
        json!({
            "gpuType": machine.gpu_type.number(),
            "gpuCount": machine.gpu_count,
            "gpuVram": machine.gpu_vram_gb,
            "cpuCores": machine.cpu_cores,
            "memory": machine.memory_gb,
            "storage": machine.storage_gb,
            "bandwidth": machine.bandwidth_mbps,
            "teeCapable": machine.tee_capable,
        })
    });
    let unmakeable = order::resources(offer.as_ref()).err();
    json!({
        "resources": resources,
        "activeRentals": running,
        "maxRentals": board.places(),
        "sshEnabled": true,
        "dockerEnabled": board.rules.docker,
        "sshHost": board.rules.host,
        "sshPort": board.rules.port,
        "images": board.rules.images,
        "defaultImage": board.rules.default_image,
        "network": board.rules.network.name(),
        "isolation": board.rules.isolation.name(),
        "limits": limits(engine.disk_limit, board.rules.network),
        "refusal": unmakeable.map(|refused| refusal(&refused, false)),
        "chain": chain,
        "docker": { "reachable": engine.answers, "error": engine.error },
    })
}

/// `GET /v1/rentals`.
pub(super) fn list(board: &Board, account: Option<[u8; 20]>) -> Value {
    let all = board.rentals();
    let over = |rental: &&Rental| rental.facts.state(false) == State::Ended;
    // Those that matter now first, and of the others the newest.
    let live = all.iter().filter(|rental| !over(rental));
    let ended = all.iter().rev().filter(over);
    let mut rentals = Vec::new();
    let mut bytes = 0;
    let mut truncated = false;
    for rental in live.chain(ended) {
        let document = public(board, rental, account);
        bytes += document.to_string().len();
        if bytes > MAX_LIST {
            truncated = true;
            break;
        }
        rentals.push(document);
    }
    json!({
        "rentals": rentals,
        "truncated": truncated,
        "isolation": board.rules.isolation.name(),
        "chainReadable": board.view().is_fresh(),
    })
}

/// `GET /v1/rentals/{id}`.
pub(super) fn show(board: &Board, rental: &Rental, account: Option<[u8; 20]>) -> Value {
    let mut document = public(board, rental, account);
    let renter = account == Some(rental.known.record.user);
    let record = &rental.known.record;
    let container = rental.container.as_ref().map(|container| {
        json!({
            "containerId": container.id,
            "image": container.image,
            "imageDigest": container.image_digest,
            "status": container_status(container.state),
            // A container has no ports on the host: tenants reach it through SSH.
            "ports": [],
        })
    });
    let resources = rental
        .container
        .as_ref()
        .map(|container| container.resources)
        .or_else(|| order::resources(board.view().offer.as_ref()).ok());
    let more = json!({
        "provider": address(&record.provider),
        "remainingSeconds": remaining(board, rental),
        "startDeadline": milliseconds(record.start_deadline),
        "image": rental.order().ok().map(|order| &order.image),
        "sshPublicKey": record.ssh_public_key.to_string(),
        "scriptExpected": expects_script(rental),
        "container": container,
        "resources": resources.map(|resources| json!({
            "cpuCores": resources.cpu_cores,
            "memory": resources.memory_gib,
            "storage": resources.storage_gb,
            "bandwidth": resources.bandwidth_mbps,
        })),
        "network": board.rules.network.name(),
        "limits": limits(board.engine().disk_limit, board.rules.network),
        "notice": notice(board.rules.isolation),
        "sshSessions": renter.then(|| sessions(board, rental)),
        "metrics": match renter {
            true => metrics(board, rental),
            false => Value::Null,
        },
    });
    if let (Value::Object(document), Value::Object(more)) = (&mut document, more) {
        document.extend(more);
    }
    document
}

/// What the engine measured last; null where it didn't.
pub(super) fn metrics(board: &Board, rental: &Rental) -> Value {
    let Some(measured) = rental.note.measured.filter(|_| rental.container.is_some()) else {
        return Value::Null;
    };
    let age = measured.at.elapsed();
    let usage = measured.usage;
    let uptime = rental.note.running.map(|since| since.elapsed().as_secs());
    json!({
        "cpuUsage": (measured.cpu_percent * 10.0).round() / 10.0,
        "memoryUsage": usage.memory_bytes,
        "gpuUsage": 0,
        "gpuMemoryUsage": 0,
        "networkRx": usage.network_received,
        "networkTx": usage.network_sent,
        "diskUsage": usage.disk_bytes,
        "processes": usage.pids,
        "uptime": uptime.unwrap_or(0),
        "lastUpdated": milliseconds(board.view().now().saturating_sub(age.as_secs())),
    })
}

/// What everybody may know: what the chain shows, and how far the node has come with it.
fn public(board: &Board, rental: &Rental, account: Option<[u8; 20]>) -> Value {
    let record = &rental.known.record;
    // As backends say it; what comes behind the image says something else.
    let fetching = |line: &String| line.starts_with("fetch");
    let state = rental
        .facts
        .state(rental.note.progress.as_ref().is_some_and(fetching));
    let renter = account == Some(record.user);
    let container = rental.container.as_ref();
    json!({
        "rentalId": format!("0x{}", hex::encode(record.id)),
        "user": address(&record.user),
        "status": record.status.number(),
        "statusName": record.status.name(),
        "startTime": milliseconds(record.start_time),
        "endTime": milliseconds(record.end_time),
        "hasContainer": container.is_some(),
        "containerStatus": container.map(|container| container_status(container.state)),
        "imageDigest": container.map(|container| &container.image_digest),
        "activeSessions": renter.then(|| sessions(board, rental)),
        "isolation": board.rules.isolation.name(),
        "state": state.name(),
        "progress": rental.note.progress,
        "refusal": why(board, rental, state),
        "next": next(board, rental),
    })
}

/// What the provider's wallet should send.
fn next(board: &Board, rental: &Rental) -> Value {
    match (rental.facts.next(), &rental.container) {
        (Some(Next::Start), Some(container)) => json!({
            "operation": "start",
            "sshHost": board.rules.host,
            "sshPort": board.rules.port,
            "containerId": container.id,
        }),
        (Some(Next::Complete), _) => json!({ "operation": "complete" }),
        _ => Value::Null,
    }
}

/// Why it doesn't run, or not yet.
fn why(board: &Board, rental: &Rental, state: State) -> Value {
    let used = state == State::Ended && rental.known.record.start_time != 0;
    if used || state == State::WaitingFinality {
        return Value::Null;
    }
    let fixed = |code, message| refusal(&Refusal { code, message }, false);
    match state {
        State::WaitingCapacity => fixed(
            "at_capacity",
            format!("The node runs as many rentals as it can, {}.", board.places()),
        ),
        State::EngineUnavailable => fixed(
            "docker_unavailable",
            "The host's Docker can't be asked.".to_owned(),
        ),
        State::Elsewhere => fixed(
            "started_elsewhere",
            format!(
                "Another node of the provider runs it: its tenant logs in at {}:{}.",
                rental.known.record.ssh_host, rental.known.record.ssh_port
            ),
        ),
        State::DiskExceeded => refusal(
            &Refusal {
                code: "disk_exceeded",
                message: "The container took more disk than was rented and was stopped for good.".to_owned(),
            },
            true,
        ),
        _ => {
            let offer = order::resources(board.view().offer.as_ref()).err();
            let known = rental.refusal(offer.as_ref());
            known.map_or(Value::Null, |(known, last)| refusal(&known, last))
        }
    }
}

fn refusal(refusal: &Refusal, last: bool) -> Value {
    json!({ "code": refusal.code, "message": refusal.message, "final": last })
}

/// What is enforced, and how.
fn limits(disk: Option<DiskLimit>, network: Network) -> Value {
    json!({
        "cpu": "cgroup",
        "memory": "cgroup",
        "processes": "cgroup",
        "disk": match disk {
            Some(DiskLimit::Quota) => "quota",
            Some(DiskLimit::Measured) => "measured every 10 s, enforced by stopping",
            None => "unknown",
        },
        "bandwidth": match network {
            Network::None => "by the node",
            Network::Open => "over SSH by the node; the container's own network by the host, or not at all",
        },
    })
}

fn notice(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Host => {
            "The container runs on the provider's Docker host, which can see and change everything in it."
        }
    }
}

fn expects_script(rental: &Rental) -> bool {
    let digest = rental
        .order()
        .is_ok_and(|order| matches!(order.script, Script::Digest(_)));
    let made = rental.facts.container.has_run();
    digest && !made && !rental.facts.time_over && !rental.facts.script
}

fn container_status(state: ContainerState) -> &'static str {
    match state {
        ContainerState::Created => "created",
        ContainerState::Running => "running",
        ContainerState::Exited { .. } => "exited",
        ContainerState::Dead => "dead",
    }
}

fn sessions(board: &Board, rental: &Rental) -> usize {
    board.leases.sessions(&rental.known.record.id)
}

fn remaining(board: &Board, rental: &Rental) -> u64 {
    match rental.facts.access() {
        true => rental.known.record.end_time.saturating_sub(board.view().now()),
        false => 0,
    }
}

fn milliseconds(seconds: u64) -> u64 {
    seconds.saturating_mul(1000)
}

fn address(account: &[u8; 20]) -> String {
    format!("0x{}", hex::encode(account))
}
