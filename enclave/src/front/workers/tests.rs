//! Workers over a host that may refuse or be gone, with the engine in threads in the place of processes, and a clock that
//! tests set.

use std::collections::{BTreeMap, HashMap};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64};

use jeju_attestation::launch::workers::Reach;
use jeju_shim_protocol::Port;
use jeju_shim_protocol::blob::{self, BlobRequest, Page};
use jeju_shim_protocol::line::ErrorCode;
use jeju_shim_protocol::transport::{GuestTransport, HostTransport};
use jeju_worker_protocol::api::Deploy;
use tokio::io::unix::AsyncFd;
use zeroize::Zeroizing;

use super::change::Refusal;
use super::*;
use crate::ipc::spawner::{Answer, Received, Request, Requests, Spawner, pair};

/// Leads nowhere.
struct Nowhere;

impl jeju_worker_broker::Outbound for Nowhere {
    fn fetch(
        &self,
        _: Arc<jeju_worker_broker::CallContext>,
        _: jeju_worker_protocol::FetchRequest,
        _: Option<jeju_worker_broker::Body>,
    ) -> BoxFuture<'static, Result<(jeju_worker_protocol::FetchResponse, jeju_worker_broker::Body), Failure>>
    {
        Box::pin(async { Err(Failure::new(jeju_worker_protocol::code::FETCH_REFUSED, "")) })
    }
}

impl CodeSource for Nowhere {
    fn fetch<'a>(&'a self, _: &'a [u8; 20], _: &'a str) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async { Err(Failure::new(jeju_worker_protocol::code::FETCH_REFUSED, "")) })
    }

    fn registered<'a>(&'a self, _: &'a [u8; 32]) -> BoxFuture<'a, Result<Registered, Failure>> {
        Box::pin(async { Err(Failure::new(jeju_worker_protocol::code::FETCH_REFUSED, "")) })
    }
}

const OWNER: [u8; 20] = [1; 20];
/// 2026-01-01T00:00Z.
const START: u64 = 1_767_225_600_000;
const MINUTE: u64 = 60_000;

/// A machine whose node can start again.
struct Machine {
    dir: tempfile::TempDir,
    host: Arc<Host>,
    clock: Arc<AtomicU64>,
}

#[derive(Default)]
struct Host {
    blobs: Mutex<BTreeMap<String, Vec<u8>>>,
    full: AtomicBool,
    gone: AtomicBool,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let host = Arc::new(Host::default());
        let listener = HostTransport::Unix(dir.path().into())
            .listen(Port::Blobs)
            .unwrap();
        let serving = host.clone();
        tokio::spawn(async move {
            while let Ok(stream) = listener.accept().await {
                tokio::spawn(keep(stream, serving.clone()));
            }
        });
        Self {
            dir,
            host,
            clock: Arc::new(AtomicU64::new(START)),
        }
    }

    async fn start(&self) -> Arc<Workers> {
        let (requests, front) = pair().unwrap();
        tokio::spawn(processes(requests));
        let outside = Arc::new(Nowhere);
        let parts = Parts {
            config: Config {
                reach: Reach::None,
                fetch: vec![],
                owners: vec![],
                max: 10,
                max_per_owner: 10,
                processes: 4,
                timeout_ms: 30_000,
                memory_mb: 128,
                registry: None,
            },
            blobs: Blobs::new(GuestTransport::Unix(self.dir.path().into())),
            sealing: Some(SealingKey::new(Zeroizing::new([7; 32]))),
            processes: Processes::new(Spawner::new(front).unwrap(), 4, outside.clone()),
            code: outside,
            hpke: Arc::new(KeyPair::generate().unwrap()),
            time: Clock::Set(self.clock.clone()),
        };
        Workers::open(parts).await.unwrap()
    }
}

async fn keep(mut stream: jeju_shim_protocol::transport::Stream, host: Arc<Host>) {
    while let Ok(request) = blob::read_request(&mut stream).await {
        if host.gone.load(Relaxed) {
            return;
        }
        let answered = match request {
            BlobRequest::Get(name) => {
                let found = host.blobs.lock().unwrap().get(&name.to_string()).cloned();
                blob::write_found(&mut stream, found.as_deref().ok_or(ErrorCode::NotFound)).await
            }
            BlobRequest::Put(name, len) => match blob::read_body(&mut stream, len).await {
                Ok(_) if host.full.load(Relaxed) => blob::write_done(&mut stream, Err(ErrorCode::Full)).await,
                Ok(body) => {
                    host.blobs.lock().unwrap().insert(name.to_string(), body);
                    blob::write_done(&mut stream, Ok(())).await
                }
                Err(error) => Err(error),
            },
            BlobRequest::Delete(name) => {
                host.blobs.lock().unwrap().remove(&name.to_string());
                blob::write_done(&mut stream, Ok(())).await
            }
            BlobRequest::List(request) => {
                let space = format!("{}/", request.space());
                let page = {
                    let blobs = host.blobs.lock().unwrap();
                    let leaves = blobs.keys().filter_map(|name| name.strip_prefix(&space));
                    Page::select(&request, leaves).encode()
                };
                blob::write_found(&mut stream, Ok(&page)).await
            }
        };
        if answered.is_err() {
            return;
        }
    }
}

/// PID 1: the engine runs in threads.
async fn processes(requests: Requests) {
    let socket = requests.as_fd().try_clone_to_owned().unwrap();
    // SAFETY: an `OwnedFd` is the same open descriptor as long as it lives.
    let ready = unsafe { AsyncFd::register(socket) }.unwrap_or_else(|_| panic!("no socket"));
    let mut running: HashMap<u32, StdUnixStream> = HashMap::new();
    loop {
        let mut guard = ready.readable().await.unwrap();
        match requests.receive() {
            Received::Request(Request::Start(number)) => {
                let (ours, theirs) = StdUnixStream::pair().unwrap();
                running.insert(number, ours.try_clone().unwrap());
                std::thread::spawn(move || drop(jeju_workers::serve(theirs)));
                requests
                    .answer(Answer::Started(number), Some(ours.as_fd()))
                    .unwrap();
            }
            Received::Request(Request::Kill(number)) => {
                if let Some(channel) = running.remove(&number) {
                    let _ = channel.shutdown(Shutdown::Both);
                }
            }
            Received::Nothing => guard.clear_ready(),
            Received::Malformed | Received::Closed => return,
        }
    }
}

const SCHEDULED: &str = "export default { scheduled(event) { console.log(event.scheduledTime) } };";

fn deploy(name: &str, cron: &str) -> Deploy {
    Deploy {
        name: Some(name.to_owned()),
        code: Some(SCHEDULED.to_owned()),
        cron_schedule: Some(cron.to_owned()),
        ..Deploy::default()
    }
}

async fn deployed(workers: &Arc<Workers>, name: &str, cron: &str) -> String {
    match workers.deploy(OWNER, deploy(name, cron)).await {
        Ok((worker, _)) => worker.id,
        Err(refusal) => panic!("{}", code(&refusal)),
    }
}

fn code(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Api(error) => error.code.to_owned(),
        Refusal::Code(failure) => failure.code.clone(),
    }
}

/// The minutes after [`START`] that a worker was woken for.
fn woken(workers: &Workers, id: &str) -> Vec<u64> {
    let lines = workers.logs.read(id, Some(1), 100).logs;
    lines
        .iter()
        .map(|line| (line.text.parse::<u64>().unwrap() - START) / MINUTE)
        .collect()
}

/// Sets the clock, looks at the schedules, and waits for what runs.
async fn pass(machine: &Machine, workers: &Arc<Workers>, minutes: u64) {
    machine.clock.store(START + minutes * MINUTE + 1000, Relaxed);
    let places = Arc::new(tokio::sync::Semaphore::new(4));
    for run in workers.wake_due(machine.clock.load(Relaxed), &places).await {
        run.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_wake_each_minute_once_over_restarts_and_gaps() {
    let machine = Machine::new();
    let workers = machine.start().await;
    let each = deployed(&workers, "each", "* * * * *").await;
    let quarter = deployed(&workers, "quarter", "*/15 * * * *").await;
    for minute in [1, 1, 2] {
        pass(&machine, &workers, minute).await;
    }
    assert_eq!(woken(&workers, &each), [1, 2]);
    // It starts again in the same minute, and again much later.
    let workers = machine.start().await;
    pass(&machine, &workers, 2).await;
    assert_eq!(woken(&workers, &each), [0; 0]);
    pass(&machine, &workers, 50).await;
    assert_eq!(woken(&workers, &each), [50], "the newest that was missed");
    assert_eq!(woken(&workers, &quarter), [45]);
    // What is paused doesn't run later for the time of the pause.
    let pause = |paused| workers.set_paused(OWNER, &quarter, paused);
    assert!(pause(true).await.is_ok());
    pass(&machine, &workers, 61).await;
    assert!(pause(false).await.is_ok());
    pass(&machine, &workers, 62).await;
    assert_eq!(woken(&workers, &quarter), [45]);
    pass(&machine, &workers, 75).await;
    assert_eq!(woken(&workers, &quarter), [45, 75]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_woken_that_could_be_woken_twice() {
    let machine = Machine::new();
    let workers = machine.start().await;
    let id = deployed(&workers, "each", "* * * * *").await;
    machine.host.gone.store(true, Relaxed);
    pass(&machine, &workers, 1).await;
    assert_eq!(woken(&workers, &id), [0; 0]);
    machine.host.gone.store(false, Relaxed);
    pass(&machine, &workers, 1).await;
    assert_eq!(woken(&workers, &id), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_for_which_there_is_no_room_changes_nothing() {
    let machine = Machine::new();
    let workers = machine.start().await;
    let first = deployed(&workers, "first", "").await;
    machine.host.full.store(true, Relaxed);
    let refused = workers.deploy(OWNER, deploy("second", "")).await.err().unwrap();
    assert_eq!(code(&refused), "workers_storage_full");
    assert_eq!(workers.directory().len(), 1);
    machine.host.full.store(false, Relaxed);
    deployed(&workers, "second", "").await;
    assert!(workers.delete(OWNER, &first).await.is_ok());
    let workers = machine.start().await;
    let names: Vec<_> = workers
        .directory()
        .of_owner(&OWNER)
        .map(|worker| worker.name.clone())
        .collect();
    assert_eq!(names, ["second"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_a_host_cut_off_is_brought_to_its_end() {
    let machine = Machine::new();
    let workers = machine.start().await;
    deployed(&workers, "first", "").await;
    machine.host.gone.store(true, Relaxed);
    let refused = workers.deploy(OWNER, deploy("second", "")).await.err().unwrap();
    assert_eq!(code(&refused), "workers_storage_failed");
    machine.host.gone.store(false, Relaxed);
    deployed(&workers, "third", "").await;
    let names = |workers: &Arc<Workers>| -> Vec<String> {
        let directory = workers.directory();
        let mut names: Vec<_> = directory
            .of_owner(&OWNER)
            .map(|worker| worker.name.clone())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&workers), ["first", "second", "third"]);
    assert_eq!(names(&machine.start().await), ["first", "second", "third"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_the_host_broke_is_an_empty_one() {
    let machine = Machine::new();
    deployed(&machine.start().await, "first", "").await;
    for blob in machine.host.blobs.lock().unwrap().values_mut() {
        *blob = vec![0; 60];
    }
    let workers = machine.start().await;
    assert_eq!(workers.directory().len(), 0);
    deployed(&workers, "second", "").await;
    assert_eq!(machine.start().await.directory().len(), 1);
}

/// Short records of 10,000 workers of 1,000 owners take a small part of what a node may use for them.
#[test]
fn workers_that_do_not_run_cost_little() {
    fn resident() -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4096
    }
    let before = resident();
    let mut directory = Directory::default();
    for key in 0..10_000_u64 {
        let (name, exact, below) = (format!("worker {key}"), format!("/{key}"), format!("/{key}/*"));
        let mut worker = worker::tests::worker(key, 0, &name, &[&exact, &below]);
        worker.owner[..8].copy_from_slice(&(key / 10).to_be_bytes());
        worker.id = format!("{}-{key}", worker.id);
        worker.cron = Some("*/5 * * * *".to_owned());
        worker.versions = vec![worker.versions[0].clone(); worker::MAX_VERSIONS];
        directory.put(worker);
    }
    assert_eq!(directory.len(), 10_000);
    assert!(directory.find("/9999/x").is_some());
    let took = resident().saturating_sub(before);
    println!("10,000 short records: {} KiB", took / 1024);
    assert!(took < 64 << 20, "{took} bytes");
}
