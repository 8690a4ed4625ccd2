//! On a node that runs as processes: the abuser's worker and a neighbour's, with all that lies between them and a client.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::host::{DOCUMENT, Host, Machine};
use crate::owner::{Owner, anybody, text, value};
use crate::scripts::{self, Script};

/// What the neighbour answers.
const NEIGHBOUR: &str = "export default { fetch: () => new Response('still here') };";
/// How long the neighbour is counted in each of the two parts of a comparison.
const COMPARED: Duration = Duration::from_secs(20);

async fn node() -> Host {
    let mut machine = Machine::new();
    machine.blobs = Some(Default::default());
    let workers = "reach = \"public\"\nmax_per_owner = 1000\nmemory_mb = 48\nprocesses = 4";
    machine
        .start(format!(
            "{DOCUMENT}\n[services]\nworkers = true\n[workers]\n{workers}\n"
        ))
        .await
}

/// Deploys a script; the code of the refusal if there is one.
async fn deploy(host: &Host, owner: &Owner, script: &Script) -> Result<String, String> {
    let modules = script.modules();
    let body = json!({
        "name": script.name, "modules": modules, "main": "main.js", "timeoutMs": 10_000, "cpuMs": 300,
    });
    let (_, answer) = owner.ask(host, "POST", "/api/v1/workers", &body).await;
    match answer["deployment"]["workerId"].as_str() {
        Some(id) => Ok(id.to_owned()),
        None => Err(answer["code"].as_str().unwrap_or("no code").to_owned()),
    }
}

async fn deploy_neighbour(host: &Host) -> String {
    let body = json!({"name": "neighbour", "code": NEIGHBOUR});
    let (_, answer) = Owner::new(2).ask(host, "POST", "/api/v1/workers", &body).await;
    answer["deployment"]["workerId"].as_str().unwrap().to_owned()
}

/// A worker's answer, or the code of why there is none.
async fn ask(host: &Host, id: &str, path: &str) -> Result<String, String> {
    let answered = anybody(host, "GET", &format!("/workers/{id}{path}"), "").await;
    match answered.status {
        200 => Ok(String::from_utf8_lossy(&answered.body).into_owned()),
        _ => Err(value(&answered)["code"].as_str().unwrap_or("no code").to_owned()),
    }
}

/// A neighbour that is asked one request after the other.
struct Neighbour {
    completed: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Neighbour {
    fn ask(host: &Arc<Host>, id: &str) -> Neighbour {
        let (completed, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (host, id) = (host.clone(), id.to_owned());
        let (count, stopped) = (completed.clone(), stop.clone());
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                let answered = anybody(&host, "GET", &format!("/workers/{id}"), "").await;
                assert_eq!((answered.status, text(&answered)), (200, "still here"));
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Neighbour {
            completed,
            stop,
            task,
        }
    }

    fn completed(&self) -> u64 {
        self.completed.load(Ordering::Relaxed)
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
    }
}

/// Processes that run workers on this node.
fn processes(host: &Host) -> BTreeSet<u32> {
    let node = host.node.id().unwrap();
    let all = std::fs::read_dir("/proc").unwrap();
    let ids = all.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| {
        let arguments = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // The parent is the second field behind the name in parentheses (proc(5)).
        let parent = stat
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.split(' ').nth(1));
        parent == Some(node.to_string().as_str()) && arguments.windows(7).any(|part| part == b"\0worker")
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_on_a_node_and_a_neighbour_goes_on() {
    let host = Arc::new(node().await);
    let abuser = Owner::new(1);
    let neighbour = Neighbour::ask(&host, &deploy_neighbour(&host).await);
    let only = std::env::var("ABUSE_SCRIPT").ok();
    let mut wrong = Vec::new();
    for script in scripts::all("scripts") {
        if only
            .as_ref()
            .is_some_and(|only| !script.name.starts_with(only.as_str()))
        {
            continue;
        }
        let begun = Instant::now();
        let before = neighbour.completed();
        let id = match deploy(&host, &abuser, &script).await {
            Ok(id) => id,
            Err(code) => {
                wrong.push(format!("{}: not deployed: {code}", script.name));
                continue;
            }
        };
        wrong.extend(script.judge(&ask(&host, &id, "/abuse").await));
        let after = ask(&host, &id, "/ok").await;
        wrong.extend(script.judge_after(&after));
        while neighbour.completed() == before {
            // It is asked on a connection of its own: nothing but abuse could hold it up for long.
            if begun.elapsed() > Duration::from_secs(60) {
                wrong.push(format!("{}: the neighbour stands still", script.name));
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        println!(
            "{} {:?}, {} of the neighbour",
            script.name,
            begun.elapsed(),
            neighbour.completed() - before
        );
    }
    for script in scripts::all("refused") {
        let body = json!({"name": script.name, "code": script.source()});
        let (_, answer) = abuser.ask(&host, "POST", "/api/v1/workers", &body).await;
        let code = answer["code"].as_str().unwrap_or_default().to_owned();
        wrong.extend(script.judge(&Err(code)));
    }
    neighbour.stop().await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owners_process_that_is_killed_ends_with_its_events_alone() {
    let host = node().await;
    let owner = Owner::new(1);
    let neighbour = deploy_neighbour(&host).await;
    let code = "export default { async fetch(request) {
        if (request.url.endsWith('/wait')) {
            console.log('waits');
            await new Promise((done) => setTimeout(done, 20000));
        }
        return new Response('here');
    } };";
    let (_, answer) = owner
        .ask(
            &host,
            "POST",
            "/api/v1/workers",
            &json!({"name": "a", "code": code}),
        )
        .await;
    let id = answer["deployment"]["workerId"].as_str().unwrap().to_owned();
    assert_eq!(ask(&host, &neighbour, "").await, Ok("still here".into()));
    assert_eq!(ask(&host, &id, "").await, Ok("here".into()));
    let both = processes(&host);
    assert_eq!(both.len(), 2, "one for each owner");
    let waiting = ask(&host, &id, "/wait");
    let kill = async {
        let logs = format!("/api/v1/workers/{id}/logs");
        while !owner.get(&host, &logs).await.1.to_string().contains("waits") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for process in &both {
            // SAFETY: a plain system call; the process is one of this test's node.
            unsafe { libc::kill(*process as libc::pid_t, libc::SIGKILL) };
        }
    };
    let (waited, ()) = tokio::join!(waiting, kill);
    assert_eq!(waited, Err("worker_crashed".into()));
    // The next events have new processes, and the node goes on.
    assert_eq!(ask(&host, &id, "").await, Ok("here".into()));
    assert_eq!(ask(&host, &neighbour, "").await, Ok("still here".into()));
    let new = processes(&host);
    assert_eq!(new.len(), 2);
    assert!(new.is_disjoint(&both));
    // No process of the node outlives it.
    let machine = host.kill().await;
    let deadline = Instant::now() + Duration::from_secs(30);
    while new
        .iter()
        .any(|id| std::fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| !line.is_empty()))
    {
        assert!(Instant::now() < deadline, "a worker's process outlives its node");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_share_places_for_processes() {
    let host = node().await;
    let mut workers = Vec::new();
    for secret in 10..16 {
        let body = json!({"name": "a", "code": NEIGHBOUR});
        let (_, answer) = Owner::new(secret)
            .ask(&host, "POST", "/api/v1/workers", &body)
            .await;
        workers.push(answer["deployment"]["workerId"].as_str().unwrap().to_owned());
    }
    for _ in 0..2 {
        for id in &workers {
            assert_eq!(ask(&host, id, "").await, Ok("still here".into()));
        }
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    while processes(&host).len() > 4 {
        assert!(
            Instant::now() < deadline,
            "more processes than the document allows"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Asks for abuse, four requests at a time. Those who ask have machines of their own, so they take no more of this one than
/// is left.
fn abuse_from_afar(host: &Arc<Host>, abused: &str, stop: &Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    let (host, abused, stop) = (host.clone(), abused.to_owned(), stop.clone());
    std::thread::spawn(move || {
        // SAFETY: a plain system call, on this thread.
        assert_eq!(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) }, 0);
        let clients = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let client = async || {
            while !stop.load(Ordering::Relaxed) {
                let _ = ask(&host, &abused, "/abuse").await;
            }
        };
        clients
            .unwrap()
            .block_on(async { tokio::join!(client(), client(), client(), client()) });
    })
}

/// How much of its requests a neighbour keeps while others abuse theirs: `bench/workers/abuse.sh` runs it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, for a machine that does nothing else"]
async fn what_a_neighbour_keeps() {
    let host = Arc::new(node().await);
    let abuser = Owner::new(1);
    let id = deploy_neighbour(&host).await;
    let count = async || {
        let neighbour = Neighbour::ask(&host, &id);
        tokio::time::sleep(COMPARED).await;
        let completed = neighbour.completed();
        neighbour.stop().await;
        completed
    };
    // What it does alone changes by a tenth within minutes: each kind is compared with the time before and after it.
    let mut before = count().await;
    let mut least = f64::INFINITY;
    for script in scripts::all("scripts") {
        let kinds = [
            "loop_while",
            "loop_regexp",
            "heap_array",
            "heap_array_buffer",
            "timer_chain",
            "body_endless",
            "log_flood",
            "fetch_flood",
        ];
        if !kinds.contains(&script.name.as_str()) {
            continue;
        }
        let abused = deploy(&host, &abuser, &script).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let abuse = abuse_from_afar(&host, &abused, &stop);
        let beside = count().await;
        stop.store(true, Ordering::Relaxed);
        tokio::task::spawn_blocking(|| abuse.join())
            .await
            .unwrap()
            .unwrap();
        let after = count().await;
        let share = 2.0 * beside as f64 / (before + after) as f64;
        least = least.min(share);
        println!(
            "{}: {beside} requests beside it, {before} and {after} alone: {share:.2}",
            script.name
        );
        before = after;
    }
    println!("least {least:.2}");
}
