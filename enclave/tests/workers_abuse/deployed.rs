//! Many workers that are deployed and don't run: what a whole node takes for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::host::{DOCUMENT, Host, Machine};
use crate::owner::{Owner, anybody, text, value};

const OWNERS: u16 = 1000;
const WORKERS: u16 = 10;
/// Owners that deploy at a time.
const AT_A_TIME: usize = 4;
/// Longest that the last processes of workers stay without an event.
const IDLE: Duration = Duration::from_secs(180);
/// What docs/performance.md promises, in bytes.
const MOST: u64 = 256 << 20;

fn document() -> String {
    format!("{DOCUMENT}\n[services]\nworkers = true\n[workers]\nreach = \"none\"\nmax = 10000\n")
}

fn answer(owner: u16, worker: u16) -> String {
    format!("worker {worker} of owner {owner}")
}

/// A worker as they are: some code of its own, a route, a variable; a schedule in each tenth.
async fn deploy(host: &Host, number: u16, owner: &Owner, worker: u16) {
    let code = format!(
        "// {}\nexport default {{ fetch(request, env) {{ return new Response(env.ANSWER); }}, scheduled() {{}} }};",
        format!("{number}.{worker} ").repeat(120)
    );
    let mut body = json!({
        "name": format!("worker-{worker}"), "code": code, "env": {"ANSWER": answer(number, worker)},
        "routes": [format!("/owner-{number}/worker-{worker}/*")],
    });
    if worker == 0 {
        body["cronSchedule"] = json!("0 0 1 1 *");
    }
    let (status, answer) = owner.ask(host, "POST", "/api/v1/workers", &body).await;
    assert_eq!(status, 201, "{answer}");
}

/// A process and all that it started, directly or not, but for those that are gone.
fn family(root: u32) -> BTreeSet<u32> {
    let mut children = BTreeMap::<u32, Vec<u32>>::new();
    let all = std::fs::read_dir("/proc").unwrap();
    for id in all.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok()) {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // The parent is the second field behind the name in parentheses (proc(5)).
        let parent = stat
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.split(' ').nth(1));
        if let Some(Ok(parent)) = parent.map(str::parse) {
            children.entry(parent).or_default().push(id);
        }
    }
    let mut found = BTreeSet::new();
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        found.insert(id);
        open.extend(children.remove(&id).into_iter().flatten());
    }
    found
}

/// Resident memory of all processes of a node, each with what it shares with others, in bytes.
fn resident(host: &Host) -> u64 {
    let of = |id: &u32| {
        let pages = std::fs::read_to_string(format!("/proc/{id}/statm")).unwrap_or_default();
        let pages = pages
            .split(' ')
            .nth(1)
            .and_then(|pages| pages.parse::<u64>().ok());
        pages.unwrap_or(0) * 4096
    };
    family(host.node.id().unwrap()).iter().map(of).sum()
}

/// Waits until as few processes are left as before anybody deployed.
async fn rest(host: &Host, processes: usize) {
    let begun = Instant::now();
    while family(host.node.id().unwrap()).len() > processes {
        assert!(begun.elapsed() < IDLE, "workers' processes stay");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// A worker of the first owner, one of the last, and one in the middle answer by their routes.
async fn some_answer(host: &Host) {
    for (owner, worker) in [(0, 0), (OWNERS / 2, 5), (OWNERS - 1, WORKERS - 1)] {
        let path = format!("/w/owner-{owner}/worker-{worker}/x");
        let answered = anybody(host, "GET", &path, "").await;
        assert_eq!(
            (answered.status, text(&answered)),
            (200, answer(owner, worker).as_str())
        );
    }
}

/// What a node takes for ten thousand workers of a thousand owners, none of which runs: `bench/workers/deployed.sh` runs it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of several minutes"]
async fn ten_thousand_workers_that_do_not_run() {
    let mut machine = Machine::new();
    machine.blobs = Some(Default::default());
    let host = Arc::new(machine.start(document()).await);
    let processes = family(host.node.id().unwrap()).len();
    println!(
        "no worker: {} KiB in {processes} processes",
        resident(&host) / 1024
    );

    let begun = Instant::now();
    let next = Arc::new(AtomicU16::new(0));
    let mut owners = tokio::task::JoinSet::new();
    for _ in 0..AT_A_TIME {
        let (host, next) = (host.clone(), next.clone());
        owners.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= OWNERS {
                    return;
                }
                let owner = Owner::numbered(number);
                for worker in 0..WORKERS {
                    deploy(&host, number, &owner, worker).await;
                }
            }
        });
    }
    while let Some(done) = owners.join_next().await {
        done.unwrap();
    }
    let all = u64::from(OWNERS) * u64::from(WORKERS);
    println!(
        "{all} workers of {OWNERS} owners: deployed in {:.0?}",
        begun.elapsed()
    );
    let health = value(&anybody(&host, "GET", "/health", "").await);
    assert_eq!(health["workers"], json!(all));
    some_answer(&host).await;
    rest(&host, processes).await;
    let deployed = resident(&host);
    println!("none runs any more: {} KiB", deployed / 1024);

    let host = Arc::into_inner(host).expect("all are done").kill().await;
    let begun = Instant::now();
    let host = host.start(document()).await;
    let health = value(&anybody(&host, "GET", "/health", "").await);
    assert_eq!(health["workers"], json!(all));
    let restored = resident(&host);
    println!(
        "started anew within {:.1?}: {} KiB",
        begun.elapsed(),
        restored / 1024
    );
    some_answer(&host).await;
    assert!(deployed <= MOST && restored <= MOST, "more than {MOST} bytes");
}
