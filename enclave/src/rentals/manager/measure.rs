//! What containers use, and whether they keep to their disk.

use futures_util::{StreamExt, stream};
use tokio::time::{Duration, Instant, sleep, timeout};

use super::board::{Board, Measured, Note};
use crate::rentals::backend::{Container, ContainerBackend, ContainerState, DiskLimit, Usage};

/// Between two measurements.
const MEASURE: Duration = Duration::from_secs(10);
/// How long one may take.
const WAIT: Duration = Duration::from_secs(10);
/// Containers that are measured at the same time.
const AT_ONCE: usize = 4;

/// Measures again and again.
pub(super) async fn run(board: &Board, backend: &dyn ContainerBackend) {
    loop {
        sleep(MEASURE).await;
        let containers: Vec<Container> = board.engine().containers.values().cloned().collect();
        let running = containers
            .into_iter()
            .filter(|container| container.state == ContainerState::Running);
        stream::iter(running)
            .for_each_concurrent(AT_ONCE, |container| measure(board, backend, container))
            .await;
    }
}

async fn measure(board: &Board, backend: &dyn ContainerBackend, container: Container) {
    let Ok(Ok(usage)) = timeout(WAIT, backend.usage(container.rental)).await else {
        return;
    };
    let limit = board.engine().disk_limit;
    let exceeded = exceeds(&container, &usage, limit);
    let known = board.view().rentals.contains_key(&container.rental);
    if !known {
        return;
    }
    board.note(container.rental, |note| {
        note.measured = Some(measured(note, &container, usage));
        note.disk_exceeded |= exceeded;
    });
    if exceeded {
        board.wake.notify_one();
    }
}

/// Whether a container has more on disk than was rented, where nothing else holds it to that.
pub(super) fn exceeds(container: &Container, usage: &Usage, limit: Option<DiskLimit>) -> bool {
    let most = u64::from(container.resources.storage_gb) * 1_000_000_000;
    limit != Some(DiskLimit::Quota) && usage.disk_bytes > most
}

fn measured(note: &Note, container: &Container, usage: Usage) -> Measured {
    let at = Instant::now();
    let cpu_percent = match &note.measured {
        Some(last) if usage.cpu_nanoseconds >= last.usage.cpu_nanoseconds => {
            let used = (usage.cpu_nanoseconds - last.usage.cpu_nanoseconds) as f64;
            let had = at.duration_since(last.at).as_nanos() as f64 * f64::from(container.resources.cpu_cores);
            if had > 0.0 { 100.0 * used / had } else { 0.0 }
        }
        _ => 0.0,
    };
    Measured {
        usage,
        at,
        cpu_percent,
    }
}
