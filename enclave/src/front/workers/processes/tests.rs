use std::collections::HashMap;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use jeju_worker_broker::{BoxFuture, CallEvent};
use jeju_worker_protocol::{
    Bundle, FetchRequest, FetchResponse, Form, Frames, Language, Limits, MAX_FRAME, ScheduledEvent, ToBroker,
    ToProcess, Usage, frame,
};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::*;
use crate::ipc::spawner::{Answer, Received, Request, Requests, pair};

struct NoOutbound;

impl Outbound for NoOutbound {
    fn fetch(
        &self,
        _: Arc<CallContext>,
        _: FetchRequest,
        _: Option<Body>,
    ) -> BoxFuture<'static, Result<(FetchResponse, Body), Failure>> {
        unreachable!("no worker of these tests asks for anything")
    }
}

/// PID 1, and processes that keep an event until they are told to go on.
struct Machine {
    started: AtomicUsize,
    /// Processes that run, by their numbers: dropping one ends it.
    running: Mutex<HashMap<u32, tokio::task::JoinHandle<()>>>,
    loaded: Mutex<Vec<String>>,
    unloaded: AtomicUsize,
    /// Permits let events end.
    go_on: Arc<Semaphore>,
    /// Whether the next event is the last of its process, which says so, and stays for a while.
    ends: AtomicBool,
}

async fn machine(most: u16) -> (Arc<Machine>, Arc<Processes>) {
    let (requests, front) = pair().unwrap();
    let machine = Arc::new(Machine {
        started: AtomicUsize::default(),
        running: Mutex::default(),
        loaded: Mutex::default(),
        unloaded: AtomicUsize::default(),
        go_on: Arc::new(Semaphore::new(0)),
        ends: AtomicBool::default(),
    });
    tokio::spawn(serve(requests, machine.clone()));
    let processes = Processes::new(Spawner::new(front).unwrap(), most, Arc::new(NoOutbound));
    (machine, processes)
}

async fn serve(requests: Requests, machine: Arc<Machine>) {
    let socket = requests.as_fd().try_clone_to_owned().unwrap();
    // SAFETY: an `OwnedFd` is the same open descriptor as long as it lives.
    let ready = unsafe { AsyncFd::register(socket) }.unwrap_or_else(|_| panic!("no socket"));
    loop {
        let mut guard = ready.readable().await.unwrap();
        match requests.receive() {
            Received::Request(Request::Start(number)) => {
                machine.started.fetch_add(1, Ordering::Relaxed);
                let (ours, theirs) = StdUnixStream::pair().unwrap();
                theirs.set_nonblocking(true).unwrap();
                let theirs = UnixStream::from_std(theirs).unwrap();
                let process = tokio::spawn(process(theirs, machine.clone()));
                machine.running.lock().unwrap().insert(number, process);
                requests
                    .answer(Answer::Started(number), Some(ours.as_fd()))
                    .unwrap();
            }
            Received::Request(Request::Kill(number)) => {
                if let Some(process) = machine.running.lock().unwrap().remove(&number) {
                    process.abort();
                }
            }
            Received::Nothing => guard.clear_ready(),
            Received::Malformed | Received::Closed => return,
        }
    }
}

async fn process(channel: UnixStream, machine: Arc<Machine>) {
    let (mut read, mut write) = channel.into_split();
    let (sender, mut answers) = tokio::sync::mpsc::unbounded_channel::<ToBroker>();
    let writing = tokio::spawn(async move {
        while let Some(answer) = answers.recv().await {
            let _ = write.write_all(&frame(&answer).unwrap()).await;
        }
    });
    let mut events = tokio::task::JoinSet::new();
    let mut frames = Frames::new(MAX_FRAME);
    loop {
        while let Some(message) = frames.take::<ToProcess>().unwrap() {
            let done = |call| ToBroker::Done {
                call,
                usage: Usage::default(),
                failure: None,
            };
            match message {
                ToProcess::Load(load) => {
                    let source = load.bundle.modules[0].source.clone();
                    machine.loaded.lock().unwrap().push(source);
                    let _ = sender.send(ToBroker::Loaded {
                        worker: load.worker,
                        handlers: Handlers {
                            scheduled: true,
                            ..Handlers::default()
                        },
                    });
                }
                ToProcess::Call { call, .. } if machine.ends.swap(false, Ordering::Relaxed) => {
                    let _ = sender.send(ToBroker::Ends);
                    let _ = sender.send(ToBroker::Done {
                        call,
                        usage: Usage::default(),
                        failure: Some(Failure::new(code::CPU, "")),
                    });
                }
                ToProcess::Call { call, .. } => {
                    let (sender, go_on) = (sender.clone(), machine.go_on.clone());
                    events.spawn(async move {
                        go_on.acquire().await.unwrap().forget();
                        let _ = sender.send(done(call));
                    });
                }
                ToProcess::Unload(_) => {
                    machine.unloaded.fetch_add(1, Ordering::Relaxed);
                }
                _ => {}
            }
        }
        let mut buffer = [0; 4096];
        match read.read(&mut buffer).await {
            Ok(len) if len > 0 => frames.buffer().extend_from_slice(&buffer[..len]),
            _ => return writing.abort(),
        }
    }
}

fn key(owner: u8, id: &str, version: u32) -> WorkerKey {
    WorkerKey {
        owner: [owner; 20],
        id: id.to_owned(),
        version,
    }
}

async fn begin(processes: &Arc<Processes>, who: &WorkerKey) -> Result<Call, Failure> {
    begin_with(processes, who, Limits::default()).await
}

async fn begin_with(processes: &Arc<Processes>, who: &WorkerKey, limits: Limits) -> Result<Call, Failure> {
    let source = format!("{} {}", who.id, who.version);
    let load = Load {
        worker: 0,
        bundle: Bundle::single(Language::JavaScript, source).unwrap(),
        env: Vec::new(),
        limits,
        form: Form::Detect,
        max_concurrent: 2,
    };
    let load = || std::future::ready(Ok(load.clone()));
    let event = Event::Scheduled(ScheduledEvent {
        cron: "* * * * *".into(),
        scheduled_time_ms: 0,
    });
    processes.call(who, load, event, None).await
}

async fn end_of(mut call: Call) -> String {
    match call.next().await {
        Some(CallEvent::Done { failure, .. }) => failure.map(|failure| failure.code).unwrap_or_default(),
        _ => panic!("no end"),
    }
}

/// A call, with a task that waits for it.
fn spawn(processes: &Arc<Processes>, who: &WorkerKey) -> tokio::task::JoinHandle<String> {
    let (processes, who) = (processes.clone(), who.clone());
    tokio::spawn(async move {
        match begin(&processes, &who).await {
            Ok(call) => end_of(call).await,
            Err(failure) => failure.code,
        }
    })
}

async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_owner_has_one_process_and_its_code_is_loaded_once() {
    let (machine, processes) = machine(4).await;
    machine.go_on.add_permits(100);
    for worker in ["a", "b", "a", "b", "a"] {
        assert_eq!(
            end_of(begin(&processes, &key(1, worker, 1)).await.ok().unwrap()).await,
            ""
        );
    }
    assert_eq!(machine.started.load(Ordering::Relaxed), 1);
    assert_eq!(*machine.loaded.lock().unwrap(), ["a 1", "b 1"]);
    assert_eq!(
        end_of(begin(&processes, &key(2, "a", 1)).await.ok().unwrap()).await,
        ""
    );
    assert_eq!(machine.started.load(Ordering::Relaxed), 2);
    assert_eq!(processes.count(), 2);
}

#[tokio::test]
async fn many_first_events_start_one_process_and_load_once() {
    let (machine, processes) = machine(4).await;
    machine.go_on.add_permits(100);
    let calls: Vec<_> = (0..20).map(|_| spawn(&processes, &key(1, "a", 1))).collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), "");
    }
    assert_eq!(machine.started.load(Ordering::Relaxed), 1);
    assert_eq!(machine.loaded.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_new_version_takes_the_place_of_an_old_one_that_is_unused() {
    let (machine, processes) = machine(4).await;
    let old = begin(&processes, &key(1, "a", 1)).await.ok().unwrap();
    let new = begin(&processes, &key(1, "a", 2)).await.ok().unwrap();
    machine.go_on.add_permits(2);
    assert_eq!(
        (end_of(old).await, end_of(new).await),
        (String::new(), String::new())
    );
    assert_eq!(machine.unloaded.load(Ordering::Relaxed), 0, "it was in use");
    machine.go_on.add_permits(1);
    assert_eq!(
        end_of(begin(&processes, &key(1, "a", 3)).await.ok().unwrap()).await,
        ""
    );
    until(|| machine.unloaded.load(Ordering::Relaxed) == 2).await;
}

#[tokio::test]
async fn events_wait_for_the_workers_turn_and_not_too_many_of_them() {
    let (machine, processes) = machine(4).await;
    let who = key(1, "a", 1);
    let mut calls = Vec::new();
    for _ in 0..2 {
        calls.push(begin(&processes, &who).await.ok().unwrap());
    }
    // Two run, as `max_concurrent` says; 32 wait.
    let waiting: Vec<_> = (0..40).map(|_| spawn(&processes, &who)).collect();
    until(|| waiting.iter().filter(|call| call.is_finished()).count() == 8).await;
    // Another worker of the owner has turns of its own.
    let other = spawn(&processes, &key(1, "b", 1));
    until(|| machine.loaded.lock().unwrap().len() == 2).await;
    machine.go_on.add_permits(100);
    let mut refused = 0;
    for call in waiting {
        let code = call.await.unwrap();
        refused += usize::from(code == OVERLOADED);
        assert!(code == OVERLOADED || code.is_empty(), "{code}");
    }
    assert_eq!(refused, 8);
    assert_eq!(other.await.unwrap(), "");
}

#[tokio::test]
async fn an_idle_process_goes_for_an_owner_that_has_none() {
    let (machine, processes) = machine(1).await;
    machine.go_on.add_permits(3);
    for owner in [1, 2, 1] {
        assert_eq!(
            end_of(begin(&processes, &key(owner, "a", 1)).await.ok().unwrap()).await,
            ""
        );
        assert_eq!(processes.count(), 1);
    }
    assert_eq!(machine.started.load(Ordering::Relaxed), 3);
    until(|| machine.running.lock().unwrap().len() == 1).await;
}

#[tokio::test]
async fn a_busy_process_is_waited_for() {
    let (machine, processes) = machine(1).await;
    let first = begin(&processes, &key(1, "a", 1)).await.ok().unwrap();
    let second = spawn(&processes, &key(2, "a", 1));
    until(|| processes.owners.is_waited_for()).await;
    assert!(!second.is_finished());
    assert_eq!(machine.started.load(Ordering::Relaxed), 1);
    machine.go_on.add_permits(2);
    assert_eq!(end_of(first).await, "");
    assert_eq!(second.await.unwrap(), "");
    assert_eq!(machine.started.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn owners_take_turns_where_none_is_ever_idle() {
    let (machine, processes) = machine(1).await;
    let first = begin(&processes, &key(1, "a", 1)).await.ok().unwrap();
    let second = spawn(&processes, &key(2, "a", 1));
    until(|| processes.owners.is_waited_for()).await;
    let later = Instant::now() + TENURE;
    assert!(
        processes.owners.take_for_waiting(later, TENURE).is_none(),
        "it is busy"
    );
    // The first owner's next event gets no more of that process.
    let third = spawn(&processes, &key(1, "a", 1));
    machine.go_on.add_permits(3);
    assert_eq!(end_of(first).await, "");
    assert_eq!(second.await.unwrap(), "");
    assert_eq!(third.await.unwrap(), "");
    assert_eq!(machine.started.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_process_that_is_gone_is_started_again_but_not_for_ever() {
    let (machine, processes) = machine(4).await;
    let mut codes = Vec::new();
    for _ in 0..20 {
        match begin(&processes, &key(1, "a", 1)).await {
            Ok(call) => {
                // It dies with its events.
                let running: Vec<_> = machine.running.lock().unwrap().drain().collect();
                running.iter().for_each(|(_, process)| process.abort());
                codes.push(end_of(call).await);
                until(|| processes.count() == 0).await;
            }
            Err(failure) => codes.push(failure.code),
        }
    }
    assert!(codes.iter().all(|found| found == code::CRASHED), "{codes:?}");
    assert_eq!(machine.started.load(Ordering::Relaxed), 12);
    // Nobody else is the worse for it.
    machine.go_on.add_permits(1);
    assert_eq!(
        end_of(begin(&processes, &key(2, "a", 1)).await.ok().unwrap()).await,
        ""
    );
}

#[tokio::test]
async fn nothing_is_lost_by_a_process_that_says_that_it_ends() {
    let (machine, processes) = machine(4).await;
    machine.ends.store(true, Ordering::Relaxed);
    let first = begin(&processes, &key(1, "a", 1)).await.ok().unwrap();
    assert_eq!(end_of(first).await, code::CPU);
    // It is there still, and would take the event.
    assert_eq!(machine.running.lock().unwrap().len(), 1);
    machine.go_on.add_permits(1);
    let second = begin(&processes, &key(1, "a", 1)).await.ok().unwrap();
    assert_eq!(end_of(second).await, "");
    assert_eq!(machine.started.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_process_that_lets_time_pass_keeps_its_events_and_gets_no_more() {
    let (machine, processes) = machine(4).await;
    let hurried = Limits {
        wall_ms: 1,
        ..Limits::default()
    };
    let mut kept = Vec::new();
    for started in 1..=2 {
        kept.push(begin(&processes, &key(1, "patient", 1)).await.ok().unwrap());
        let late = begin_with(&processes, &key(1, "hurried", 1), hurried.clone()).await;
        assert_eq!(end_of(late.ok().unwrap()).await, code::TIMEOUT);
        assert_eq!(machine.started.load(Ordering::Relaxed), started);
    }
    // An owner has one process of that kind at most: the first one goes.
    let third = begin(&processes, &key(1, "patient", 1)).await.ok().unwrap();
    assert_eq!(machine.started.load(Ordering::Relaxed), 3);
    let second = kept.pop().unwrap();
    assert_eq!(end_of(kept.pop().unwrap()).await, code::CRASHED);
    machine.go_on.add_permits(10);
    assert_eq!(end_of(second).await, "");
    assert_eq!(end_of(third).await, "");
    until(|| machine.running.lock().unwrap().len() == 1).await;
}

#[tokio::test]
async fn events_that_wait_for_their_turn_outlive_the_process() {
    let (machine, processes) = machine(4).await;
    let who = key(1, "a", 1);
    let begun = [begin(&processes, &who).await, begin(&processes, &who).await];
    let waiting: Vec<_> = (0..8).map(|_| spawn(&processes, &who)).collect();
    until(|| processes.owners.waiting(&who.owner) == 8).await;
    let running: Vec<_> = machine.running.lock().unwrap().drain().collect();
    running.iter().for_each(|(_, process)| process.abort());
    for call in begun {
        assert_eq!(end_of(call.ok().unwrap()).await, code::CRASHED);
    }
    machine.go_on.add_permits(8);
    for call in waiting {
        assert_eq!(call.await.unwrap(), "");
    }
    assert_eq!(machine.started.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn processes_end_when_nothing_came_for_a_while() {
    let (machine, processes) = machine(4).await;
    let busy = begin(&processes, &key(1, "a", 1)).await.ok().unwrap();
    machine.go_on.add_permits(1);
    // The first permit is the first event's: it is over.
    assert_eq!(end_of(busy).await, "");
    let busy = begin(&processes, &key(2, "a", 1)).await.ok().unwrap();
    let now = Instant::now();
    until(|| processes.owners.is_idle(&[1; 20])).await;
    assert!(processes.owners.take_idle(now, IDLE).is_empty());
    let idle = processes.owners.take_idle(now + IDLE * 2, IDLE);
    assert_eq!(idle.len(), 1);
    assert_eq!(idle[0].owner(), &[1; 20]);
    processes.end(&idle[0]);
    until(|| machine.running.lock().unwrap().len() == 1).await;
    drop(busy);
}

#[tokio::test]
async fn what_cannot_be_loaded_fails_for_everyone_who_asks() {
    let (_machine, processes) = machine(4).await;
    for _ in 0..3 {
        let load = || async { Err(Failure::new(code::SYNTAX, "no")) };
        let failed = processes.check(&key(1, "a", 1), load).await;
        assert_eq!(failed.err().unwrap().code, code::SYNTAX);
    }
}
