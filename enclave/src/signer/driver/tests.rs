//! The driver with an engine that says what it is told to: the order of what is done is the driver's.

use jeju_attestation::launch::LaunchDocument;
use jeju_mpc::configuration::{Chain, Founding};
use jeju_mpc::member::Response;
use jeju_mpc::network::{KeyId, MemberIndex, RootId};
use jeju_store::{BlobReply, MemoryBlobs, SealingKey};

use super::super::channel::ChannelKey;
use super::super::vault::{Opened, Records};
use super::*;

const DOCUMENT: &str = r#"
version = 1
[node]
agent = "0x0101010101010101010101010101010101010101010101010101010101010101"
names = ["localhost"]
[chain]
profile = "localnet"
id = 31337
registry = "0x0202020202020202020202020202020202020202"
rpc = ["http://127.0.0.1:8545"]
[egress]
allow = ["127.0.0.1:8545"]
[services]
mpc = true
[mpc]
network = "jeju-localnet"
threshold = 1
governance = "0x0101010101010101010101010101010101010101"
measurements = ["0x0202020202020202020202020202020202020202020202020202020202020202"]
[[mpc.members]]
node = "mpc-node-1"
agent = "0x0101010101010101010101010101010101010101010101010101010101010101"
address = "127.0.0.1:4010"
"#;

/// What the engine says to each input, in order.
struct Script {
    answers: VecDeque<Vec<Output>>,
    seen: Vec<String>,
    chain: Chain,
}

impl Engine for Script {
    fn handle(&mut self, input: Input<'_>, _now: Interval) -> Vec<Output> {
        self.seen.push(match input {
            Input::Timer(id) => format!("timer {id}"),
            Input::Contract { query, valid } => format!("contract {query} {valid}"),
            Input::Request { ticket, .. } => format!("request {ticket}"),
            other => format!("{other:?}"),
        });
        self.answers.pop_front().unwrap_or_default()
    }

    fn stored_keys(&self) -> usize {
        2
    }

    fn rollback(&self) -> member::Rollback {
        member::Rollback::Protected
    }

    fn configurations(&self) -> Known<'_> {
        Known {
            chain: &self.chain,
            root_key: None,
            approves: None,
        }
    }
}

fn key() -> SealingKey {
    SealingKey::new(Zeroizing::new([1; 32]))
}

fn open(host: &mut MemoryBlobs, sealed: bool) -> (Vault, Records) {
    let key = sealed.then(key);
    let mut opened = Opened::new(key.as_ref()).unwrap();
    while let Some(op) = opened.ask().unwrap() {
        let reply = host.perform(&op);
        opened.answer(key.as_ref().unwrap(), Some(reply)).unwrap();
    }
    opened.finish().unwrap()
}

struct Fixture {
    driver: Driver<Script>,
    host: MemoryBlobs,
    now: Instant,
}

impl Fixture {
    fn new(sealed: bool, answers: Vec<Vec<Output>>) -> Fixture {
        let mut host = MemoryBlobs::default();
        let (vault, _) = open(&mut host, sealed);
        let launch = LaunchDocument::parse(DOCUMENT.as_bytes()).unwrap();
        let (network, me) = super::super::network(&launch).unwrap();
        let now = Instant::now();
        let parts = Parts {
            engine: Script {
                answers: answers.into(),
                seen: Vec::new(),
                chain: Chain::new(
                    network.clone(),
                    Founding {
                        governance: None,
                        places: Vec::new(),
                    },
                ),
            },
            audit: AuditLog::new(&network.genesis, me.0),
            network,
            peers: Peers::new(launch, ChannelKey::generate().unwrap()).unwrap(),
            clock: Clock::new(Interval::exact(1000), now),
            vault,
        };
        Fixture {
            driver: Driver::new(parts, now),
            host,
            now,
        }
    }

    fn take(&mut self, message: ToSigner) -> Vec<FromSigner> {
        self.driver.take(message, self.now).unwrap();
        self.driver.take_frames()
    }

    fn request(&mut self, ticket: u64) -> Vec<FromSigner> {
        let bytes = b"{}".to_vec();
        self.take(ToSigner::Request { ticket, bytes })
    }

    fn tick(&mut self, seconds: u64) -> Vec<FromSigner> {
        self.now += Duration::from_secs(seconds);
        self.driver.tick(self.now).unwrap();
        self.driver.take_frames()
    }

    /// Answers one operation of the store as an honest host does.
    fn host(&mut self, frame: &FromSigner) -> Vec<FromSigner> {
        let FromSigner::Blob { id, op } = frame else {
            panic!("{frame:?}")
        };
        let (id, reply) = (*id, Some(self.host.perform(op)));
        self.take(ToSigner::BlobAnswer { id, reply })
    }

    fn status(&mut self) -> Status {
        let frames = self.take(ToSigner::StatusQuery { ticket: 99 });
        let [FromSigner::Status { ticket: 99, document }] = &frames[..] else {
            panic!("{frames:?}")
        };
        serde_json::from_slice(document).unwrap()
    }
}

fn persist(name: &str) -> Output {
    Output::Persist {
        name: name.to_owned(),
        record: Zeroizing::new(vec![0xA5; 100]),
    }
}

fn answer(ticket: u64) -> Output {
    Output::Answer {
        ticket,
        outcome: Ok(Response::PolicySet {
            key: KeyId([7; 32]),
            version: 1,
        }),
    }
}

fn answered(frame: &FromSigner) -> (u64, Outcome) {
    match frame {
        FromSigner::Answer { ticket, document } => (*ticket, serde_json::from_slice(document).unwrap()),
        other => panic!("{other:?}"),
    }
}

fn is_blob(frame: &FromSigner) -> bool {
    matches!(frame, FromSigner::Blob { .. })
}

/// The rule of [`Output`]: nothing that comes after a record is done before the record is durable.
#[test]
fn outputs_wait_for_records() {
    let outputs = vec![persist("root-a"), persist("root-b"), answer(1)];
    let mut fixture = Fixture::new(true, vec![outputs, vec![answer(2)]]);
    let mut frames = fixture.request(1);
    // What comes meanwhile waits behind it.
    assert!(fixture.request(2).is_empty());
    let mut operations = 0;
    while frames.len() == 1 && is_blob(&frames[0]) {
        operations += 1;
        frames = fixture.host(&frames[0]);
    }
    assert_eq!(operations, 3, "two records and the manifest");
    let tickets: Vec<u64> = frames.iter().map(|frame| answered(frame).0).collect();
    assert_eq!(tickets, [1, 2]);
    let (_, records) = open(&mut fixture.host, true);
    assert_eq!(records.keys().collect::<Vec<_>>(), ["root-a", "root-b"]);
}

#[test]
fn where_nothing_is_kept_nothing_waits() {
    let mut fixture = Fixture::new(false, vec![vec![persist("root-a"), answer(1)]]);
    let frames = fixture.request(1);
    assert_eq!(answered(&frames[0]).0, 1);
    assert_eq!(fixture.status().storage, Storage::Volatile);
    assert!(fixture.host.0.is_empty());
}

#[test]
fn a_host_that_stores_nothing_ends_the_signer() {
    let mut fixture = Fixture::new(true, vec![vec![persist("root-a"), answer(1)]]);
    let mut frames = fixture.request(1);
    for _ in 0..100 {
        let Some(FromSigner::Blob { id, .. }) = frames.first() else {
            panic!("answered without a record")
        };
        let id = *id;
        let refused = fixture
            .driver
            .take(ToSigner::BlobAnswer { id, reply: None }, fixture.now);
        if refused.is_err() {
            return;
        }
        assert!(fixture.driver.take_frames().is_empty(), "not at once");
        frames = fixture.tick(1);
    }
    panic!("goes on without a store");
}

/// Answers to operations that weren't asked for change nothing.
#[test]
fn made_up_answers_of_the_host_are_ignored() {
    let mut fixture = Fixture::new(true, vec![vec![persist("root-a"), answer(1)]]);
    let frames = fixture.request(1);
    for id in [1, 7, u64::MAX] {
        let reply = Some(BlobReply::Done);
        assert!(fixture.take(ToSigner::BlobAnswer { id, reply }).is_empty());
    }
    assert!(!fixture.host(&frames[0]).is_empty());
}

#[test]
fn timers_run_out_once_and_in_order() {
    let timer = |id, seconds| Output::Timer {
        id,
        after: Duration::from_secs(seconds),
    };
    let mut fixture = Fixture::new(false, vec![vec![timer(1, 5), timer(2, 1), timer(3, 60)]]);
    fixture.request(1);
    fixture.tick(1);
    fixture.tick(1);
    fixture.tick(4);
    let fired = &fixture.driver.engine.seen[1..];
    assert_eq!(fired, ["timer 2", "timer 1"]);
}

#[test]
fn refusals_reach_the_client_with_their_code() {
    let outcome = Err(Refusal::Misbehaved(vec![MemberIndex(2)]));
    let mut fixture = Fixture::new(false, vec![vec![Output::Answer { ticket: 4, outcome }]]);
    let frames = fixture.request(4);
    let (ticket, Outcome::Refused { code, culprits, .. }) = answered(&frames[0]) else {
        panic!()
    };
    assert_eq!(
        (ticket, &code[..], culprits),
        (4, "mpc_member_misbehaved", vec![2])
    );
}

#[test]
fn the_audit_log_is_stored_and_nothing_waits_for_it() {
    let blamed = || {
        Output::Audit(Event::Blamed {
            member: MemberIndex(2),
            fault: "bad share",
        })
    };
    let mut fixture = Fixture::new(true, vec![vec![blamed(), blamed(), answer(1)], vec![answer(2)]]);
    assert_eq!(fixture.request(1).len(), 1);
    let before = fixture.status();
    assert_eq!((before.audit_count, before.counters.blamed), (2, 2));
    let mut frames = fixture.tick(2);
    assert!(is_blob(&frames[0]));
    assert_eq!(answered(&fixture.request(2)[0]).0, 2, "while it is being stored");
    while let Some(frame) = frames.first().filter(|frame| is_blob(frame)).cloned() {
        frames = fixture.host(&frame);
    }
    assert!(fixture.tick(2).is_empty(), "nothing new to store");
    let (_, records) = open(&mut fixture.host, true);
    let launch = LaunchDocument::parse(DOCUMENT.as_bytes()).unwrap();
    let (network, me) = super::super::network(&launch).unwrap();
    let (resumed, rest) = super::super::resume_audit(&network, me, records);
    assert_eq!(
        (resumed.count(), HexBytes(resumed.head())),
        (2, before.audit_head)
    );
    assert!(rest.is_empty());
}

#[test]
fn questions_to_contracts_go_out_and_their_answers_in() {
    let question = jeju_mpc::authority::ContractQuery {
        account: [1; 20],
        digest: [2; 32],
        signature: vec![3; 65],
    };
    let ask = vec![Output::AskContract { query: 6, question }];
    let mut fixture = Fixture::new(false, vec![ask, vec![answer(1)]]);
    let frames = fixture.request(1);
    assert!(matches!(frames[0], FromSigner::AskContract { query: 6, .. }));
    let query = 6;
    let frames = fixture.take(ToSigner::ContractAnswer { query, valid: true });
    assert_eq!(answered(&frames[0]).0, 1);
    assert_eq!(fixture.driver.engine.seen[1], "contract 6 true");
}

#[test]
fn strangers_bytes_never_reach_the_engine() {
    let mut fixture = Fixture::new(false, vec![]);
    for connection in [0, 1, u32::MAX] {
        let bytes = vec![0; 100];
        assert!(fixture.take(ToSigner::PeerBytes { connection, bytes }).is_empty());
        fixture.take(ToSigner::PeerClosed { connection });
    }
    let frames = fixture.take(ToSigner::PeerOpened { connection: 5 });
    assert!(matches!(frames[0], FromSigner::Nonce { connection: 5, .. }));
    assert!(fixture.driver.engine.seen.is_empty());
}

#[test]
fn the_status_says_what_is() {
    let active = Output::Audit(Event::KeyActive {
        root: RootId([1; 32]),
        public_key: [2; 33],
        generation: 0,
    });
    let mut fixture = Fixture::new(false, vec![vec![active]]);
    fixture.request(1);
    let status = fixture.status();
    assert_eq!((status.member, status.threshold, status.members), (1, 1, 1));
    assert_eq!((status.active_sessions, status.stored_keys), (1, 2));
    assert_eq!((status.time_lower, status.time_upper), (1000, 1000));
    assert_eq!(status.rollback, Rollback::Protected, "as the engine says");
    assert_eq!(status.counters.keys_active, 1);
}

/// A barrier that never lifts must not let the queue grow without bound.
#[test]
fn the_queue_is_bounded() {
    let mut answers = vec![vec![persist("root-a")]];
    answers.extend((0..MAX_QUEUED as u64 + 10).map(|ticket| vec![answer(ticket)]));
    let mut fixture = Fixture::new(true, answers);
    fixture.request(0);
    let mut busy = 0;
    for ticket in 1..MAX_QUEUED as u64 + 10 {
        for frame in fixture.request(ticket) {
            let (_, outcome) = answered(&frame);
            assert!(matches!(outcome, Outcome::Refused { code, .. } if code == "mpc_busy"));
            busy += 1;
        }
    }
    assert_eq!(busy, 9);
    assert_eq!(fixture.driver.queue.len(), MAX_QUEUED);
}
