use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use jeju_attestation::claims::{Claims, Receipts, Role};

use super::*;

/// A device that quotes only when told to, and keeps count.
struct Gated {
    gate: Mutex<mpsc::Receiver<()>>,
    seen: Arc<Mutex<Vec<[u8; 64]>>>,
    inside: Arc<AtomicUsize>,
}

struct Controls {
    open: mpsc::Sender<()>,
    seen: Arc<Mutex<Vec<[u8; 64]>>>,
    inside: Arc<AtomicUsize>,
}

fn gated() -> (Gated, Controls) {
    let (open, gate) = mpsc::channel();
    let (seen, inside) = (Arc::default(), Arc::default());
    let controls = Controls {
        open,
        seen: Arc::clone(&seen),
        inside: Arc::clone(&inside),
    };
    (
        Gated {
            gate: Mutex::new(gate),
            seen,
            inside,
        },
        controls,
    )
}

impl Quoter for Gated {
    fn tee(&self) -> Tee {
        Tee::Nitro
    }

    fn quote(&self, report_data: &[u8; 64]) -> Result<Evidence, QuoteError> {
        assert_eq!(
            self.inside.fetch_add(1, Ordering::SeqCst),
            0,
            "two quotes at a time"
        );
        self.seen.lock().unwrap().push(*report_data);
        let open = self.gate.lock().unwrap().recv();
        self.inside.fetch_sub(1, Ordering::SeqCst);
        open.map_err(|_| QuoteError::NsmAnswer("test"))?;
        Ok(Evidence {
            tee: Tee::Nitro,
            cpu: report_data.to_vec(),
            endorsements: vec![],
        })
    }
}

impl Controls {
    async fn until_inside(&self) {
        while self.inside.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn release(&self, quotes: usize) {
        for _ in 0..quotes {
            self.open.send(()).unwrap();
        }
    }

    fn seen(&self) -> Vec<[u8; 64]> {
        self.seen.lock().unwrap().clone()
    }
}

fn claims(mode: Mode, distinction: u8) -> ClaimsBuffer {
    ClaimsBuffer::encode(Claims {
        pubkey_hash: [1; 32],
        mode,
        role: Role::Server,
        resp: [2; 32],
        evm: [2; 33],
        keys: [3; 32],
        boot: [4; 16],
        epoch: u32::from(distinction),
        receipts: Receipts::default(),
        launch: [6; 32],
        agent: [8; 32],
        chain: (31337, [9; 20]),
        anchor: (10, [11; 32]),
        gpu: ([0; 32], 0),
        log: [0; 32],
        nonce: [if mode == Mode::Epoch { 0 } else { 1 }; 32],
        channel: [0; 32],
    })
    .unwrap()
}

fn start(queue: usize, wait: Duration) -> (QuotingActor, Controls) {
    let (quoter, controls) = gated();
    (
        QuotingActor::spawn_quoter(quoter, Limits { queue, wait }).unwrap(),
        controls,
    )
}

type Asked = tokio::task::JoinHandle<Result<Arc<Evidence>, QuoteError>>;

/// Asks, and returns once the request is queued: on this single-threaded runtime the new task runs up to its wait.
async fn ask(actor: &QuotingActor, claims: ClaimsBuffer) -> Asked {
    let actor = actor.clone();
    let asked = tokio::spawn(async move { actor.quote(&claims).await });
    tokio::task::yield_now().await;
    asked
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn quotes_are_made_one_at_a_time_over_the_claims() {
    let (actor, controls) = start(16, LONG);
    controls.release(8);
    let asked: Vec<_> = (0..8)
        .map(|n| claims(Mode::Fresh, n))
        .map(|claims| (claims.report_data(), claims))
        .collect();
    let mut answers = vec![];
    for (report_data, claims) in asked {
        answers.push((report_data, ask(&actor, claims).await));
    }
    for (report_data, answer) in answers {
        assert_eq!(answer.await.unwrap().unwrap().cpu, report_data);
        assert_eq!(report_data[32..], [0; 32]);
    }
    assert_eq!(actor.tee(), Tee::Nitro);
}

#[tokio::test]
async fn identical_claims_share_one_quote() {
    let (actor, controls) = start(1, LONG);
    let mut answers = vec![];
    for _ in 0..10 {
        answers.push(ask(&actor, claims(Mode::Fresh, 1)).await);
    }
    controls.release(1);
    let mut evidence = vec![];
    for answer in answers {
        evidence.push(answer.await.unwrap().unwrap());
    }
    assert!(evidence.iter().all(|one| Arc::ptr_eq(one, &evidence[0])));
    assert_eq!(controls.seen().len(), 1);

    controls.release(1);
    assert!(actor.quote(&claims(Mode::Fresh, 1)).await.is_ok());
    assert_eq!(
        controls.seen().len(),
        2,
        "nothing is kept after the quote is made"
    );
}

#[tokio::test]
async fn errors_are_shared_too() {
    let (actor, controls) = start(1, LONG);
    let first = ask(&actor, claims(Mode::Fresh, 1)).await;
    let second = ask(&actor, claims(Mode::Fresh, 1)).await;
    controls.until_inside().await;
    drop(controls);
    for answer in [first, second] {
        assert!(matches!(
            answer.await.unwrap(),
            Err(QuoteError::NsmAnswer("test"))
        ));
    }
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let (actor, controls) = start(2, LONG);
    let first = ask(&actor, claims(Mode::Fresh, 0)).await;
    controls.until_inside().await;
    let second = ask(&actor, claims(Mode::Fresh, 1)).await;
    let third = ask(&actor, claims(Mode::Fresh, 2)).await;
    let refused = actor.quote(&claims(Mode::Fresh, 3)).await;
    assert!(matches!(refused, Err(QuoteError::QueueFull(2))), "{refused:?}");
    // Claims that are in flight already need no room.
    let shared = ask(&actor, claims(Mode::Fresh, 2)).await;
    controls.release(3);
    for answer in [first, second, third, shared] {
        assert!(answer.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn epoch_quotes_go_first_and_have_room_of_their_own() {
    let (actor, controls) = start(1, LONG);
    let making = ask(&actor, claims(Mode::Fresh, 0)).await;
    controls.until_inside().await;
    let fresh = ask(&actor, claims(Mode::Fresh, 1)).await;
    let epoch = ask(&actor, claims(Mode::Epoch, 2)).await;
    controls.release(3);
    for answer in [making, fresh, epoch] {
        assert!(answer.await.unwrap().is_ok());
    }
    let order = [
        claims(Mode::Fresh, 0),
        claims(Mode::Epoch, 2),
        claims(Mode::Fresh, 1),
    ];
    assert_eq!(controls.seen(), order.map(|claims| claims.report_data()));
}

#[tokio::test]
async fn a_device_that_hangs_times_out_and_skips_those_who_left() {
    let wait = Duration::from_secs(3);
    let (actor, controls) = start(4, wait);
    let hanging = ask(&actor, claims(Mode::Fresh, 0)).await;
    controls.until_inside().await;
    let behind = ask(&actor, claims(Mode::Fresh, 1)).await;
    for answer in [hanging, behind] {
        let outcome = answer.await.unwrap();
        assert!(
            matches!(outcome, Err(QuoteError::Timeout(found)) if found == wait),
            "{outcome:?}"
        );
    }
    // The device comes back: the quote that nobody waits for any more isn't made.
    controls.release(2);
    let patient = QuotingActor {
        limits: Limits {
            wait: LONG,
            ..actor.limits
        },
        ..actor.clone()
    };
    assert!(patient.quote(&claims(Mode::Fresh, 2)).await.is_ok());
    let made = [claims(Mode::Fresh, 0), claims(Mode::Fresh, 2)];
    assert_eq!(controls.seen(), made.map(|claims| claims.report_data()));
}

#[tokio::test]
async fn a_thread_that_dies_is_reported() {
    struct Panicking;
    impl Quoter for Panicking {
        fn tee(&self) -> Tee {
            Tee::Nitro
        }
        fn quote(&self, _: &[u8; 64]) -> Result<Evidence, QuoteError> {
            panic!("the device driver's fault, made by a test")
        }
    }
    let actor = QuotingActor::spawn_quoter(Panicking, Limits::default()).unwrap();
    for _ in 0..2 {
        assert!(matches!(
            actor.quote(&claims(Mode::Fresh, 0)).await,
            Err(QuoteError::Stopped)
        ));
    }
}

#[tokio::test]
async fn dropping_the_last_handle_ends_the_thread() {
    let (actor, controls) = start(1, LONG);
    let clone = actor.clone();
    drop(actor);
    controls.release(1);
    assert!(clone.quote(&claims(Mode::Fresh, 0)).await.is_ok());
    drop(clone);
    // The device, and with it the gate's receiver, is dropped by the thread.
    tokio::time::timeout(LONG, async {
        while controls.open.send(()).is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .expect("the thread ends");
}
