//! A network in memory: members, their records, a clock, and a place where messages can be dropped or changed.
// Each test program uses a part of it.
#![allow(dead_code, unused_imports)]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use jeju_mpc::configuration::{Founding, Place};
use jeju_mpc::identity::IdentityKey;
use jeju_mpc::member::{Event, Input, Member, Membership, Output, Response, Setup};
use jeju_mpc::message::Message;
use jeju_mpc::network::{MemberIndex, Network};
use jeju_mpc::refusal::Refusal;
use jeju_mpc::time::Interval;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use zeroize::Zeroizing;

mod authority;
mod verify;

pub use authority::{Kind, Request, TestAuthority};
pub use verify::verifies;

pub const START: u64 = 1_800_000_000;

/// A message on its way.
struct Sent {
    from: MemberIndex,
    to: MemberIndex,
    bytes: Vec<u8>,
}

/// What becomes of a message on its way.
pub enum Fate {
    Deliver,
    Drop,
    Replace(Vec<Message>),
}

type Filter = Box<dyn FnMut(MemberIndex, MemberIndex, &Message) -> Fate>;

pub struct Net {
    pub network: Network,
    pub members: BTreeMap<MemberIndex, Member>,
    pub records: BTreeMap<MemberIndex, BTreeMap<String, Zeroizing<Vec<u8>>>>,
    pub answers: Vec<(MemberIndex, u64, Result<Response, Refusal>)>,
    pub events: Vec<(MemberIndex, Event)>,
    pub filter: Option<Filter>,
    /// What the contract says.
    pub contract: bool,
    pub now: Duration,
    pub delivered: u64,
    /// Messages overtake each other.
    pub shuffle: bool,
    queue: VecDeque<Sent>,
    timers: BinaryHeap<Reverse<(Duration, MemberIndex, u64, u32)>>,
    boots: BTreeMap<MemberIndex, u32>,
    pub rng: ChaCha20Rng,
    /// The first configuration, where members know of one.
    pub founding: Option<Founding>,
    /// The agent that runs at each place, where it isn't the first configuration's.
    pub agents: BTreeMap<MemberIndex, [u8; 32]>,
    /// Who each member was told to admit.
    pub places: BTreeMap<MemberIndex, Vec<Place>>,
}

impl Net {
    pub fn new(threshold: u16, members: u16, seed: u64) -> Self {
        Self::founded(threshold, members, seed, None)
    }

    /// With members that know who the others are.
    pub fn founded(threshold: u16, members: u16, seed: u64, founding: Option<Founding>) -> Self {
        let network = Network {
            genesis: [7; 32],
            chain_id: 31337,
            threshold,
            members,
        };
        let mut net = Self {
            members: BTreeMap::new(),
            records: BTreeMap::new(),
            answers: Vec::new(),
            events: Vec::new(),
            filter: None,
            contract: true,
            now: Duration::ZERO,
            delivered: 0,
            shuffle: false,
            queue: VecDeque::new(),
            timers: BinaryHeap::new(),
            boots: BTreeMap::new(),
            rng: ChaCha20Rng::seed_from_u64(seed),
            network,
            founding,
            agents: BTreeMap::new(),
            places: BTreeMap::new(),
        };
        for member in net.network.indices() {
            net.boot(member);
        }
        net
    }

    fn time(&self) -> Interval {
        Interval::exact(START + self.now.as_secs())
    }

    /// Starts a member from its records and connects it to all others.
    pub fn boot(&mut self, me: MemberIndex) {
        let identity = IdentityKey::generate(&mut self.rng);
        self.boot_with(me, identity);
    }

    /// Restarts a member with an identity key of which the test keeps a twin.
    pub fn reboot_with(&mut self, me: MemberIndex, seed: u64) -> IdentityKey {
        let key = || IdentityKey::generate(&mut ChaCha20Rng::seed_from_u64(seed));
        self.kill(me);
        self.boot_with(me, key());
        key()
    }

    fn boot_with(&mut self, me: MemberIndex, identity: IdentityKey) {
        let setup = Setup {
            network: self.network.clone(),
            me,
            membership: self.founding.clone().map(|founding| Membership {
                agent: self.agent(me),
                founding,
            }),
            identity,
        };
        let records = self
            .records
            .entry(me)
            .or_default()
            .iter()
            .map(|(name, record)| (name.clone(), record.clone()))
            .collect();
        let started = self.time();
        let member = Member::new(
            setup,
            Box::<TestAuthority>::default(),
            records,
            started,
            &mut self.rng,
        )
        .expect("records are the member's own");
        let places = member.configurations().places().to_vec();
        self.places.insert(me, places);
        *self.boots.entry(me).or_default() += 1;
        self.members.insert(me, member);
        let others: Vec<_> = self
            .members
            .keys()
            .copied()
            .filter(|other| *other != me)
            .collect();
        for other in others {
            self.connect(me, other);
        }
    }

    fn agent(&self, place: MemberIndex) -> [u8; 32] {
        let founded = |founding: &Founding| founding.places[usize::from(place.0) - 1].agent.0;
        let agent = self.agents.get(&place).copied();
        agent.unwrap_or_else(|| self.founding.as_ref().map_or([0; 32], founded))
    }

    /// Whether the configuration that one member has in force gives the other its place.
    fn admits(&self, one: MemberIndex, other: MemberIndex) -> bool {
        self.places[&one][usize::from(other.0) - 1].agent.0 == self.agent(other)
    }

    /// Connects two members, if each has the other's agent in its configuration.
    pub fn connect(&mut self, one: MemberIndex, other: MemberIndex) {
        for (a, b) in [(one, other), (other, one)] {
            if !self.admits(a, b) {
                continue;
            }
            let identity = self.members[&b].identity().to_bytes();
            self.put(a, Input::Admitted { member: b, identity });
        }
    }

    /// Ends a member; messages to it are lost.
    pub fn kill(&mut self, me: MemberIndex) {
        self.members.remove(&me);
        self.queue.retain(|sent| sent.from != me && sent.to != me);
        let others: Vec<_> = self.members.keys().copied().collect();
        for other in others {
            self.put(other, Input::Left { member: me });
        }
    }

    pub fn disconnect(&mut self, one: MemberIndex, other: MemberIndex) {
        self.put(one, Input::Left { member: other });
        self.put(other, Input::Left { member: one });
    }

    /// Gives a member an input and does what it says.
    pub fn put(&mut self, me: MemberIndex, input: Input<'_>) {
        let now = self.time();
        let Some(member) = self.members.get_mut(&me) else {
            return;
        };
        let outputs = member.handle(input, now, &mut self.rng);
        for output in outputs {
            match output {
                Output::Send { to, bytes } => {
                    assert!(bytes.len() <= jeju_mpc::member::MAX_MESSAGE);
                    self.send(me, to, &bytes);
                }
                Output::Persist { name, record } => {
                    assert!(name.len() <= 80 && record.len() <= 64 * 1024);
                    self.records.entry(me).or_default().insert(name, record);
                }
                Output::Erase { name } => {
                    self.records.entry(me).or_default().remove(&name);
                }
                Output::Timer { id, after } => {
                    let boot = self.boots[&me];
                    self.timers.push(Reverse((self.now + after, me, id, boot)));
                }
                Output::Answer { ticket, outcome } => self.answers.push((me, ticket, outcome)),
                Output::AskContract { query, .. } => {
                    let valid = self.contract;
                    self.put(me, Input::Contract { query, valid });
                }
                // These members keep nothing that a host could bring back.
                Output::Outrun { .. } => {}
                Output::Configured { places } => {
                    self.places.insert(me, places);
                }
                Output::Audit(event) => self.events.push((me, event)),
            }
        }
    }

    fn send(&mut self, from: MemberIndex, to: MemberIndex, bytes: &[u8]) {
        let fate = match &mut self.filter {
            Some(filter) => {
                let message = Message::decode(bytes).expect("members send what they can read");
                filter(from, to, &message)
            }
            None => Fate::Deliver,
        };
        match fate {
            Fate::Deliver => self.queue.push_back(Sent {
                from,
                to,
                bytes: bytes.to_vec(),
            }),
            Fate::Drop => {}
            Fate::Replace(messages) => {
                for message in messages {
                    self.inject(from, to, &message);
                }
            }
        }
    }

    /// A message that nobody's member sent.
    pub fn inject(&mut self, from: MemberIndex, to: MemberIndex, message: &Message) {
        self.queue.push_back(Sent {
            from,
            to,
            bytes: message.encode().to_vec(),
        });
    }

    pub fn request(&mut self, member: u16, ticket: u64, request: &Request) {
        self.put(
            MemberIndex(member),
            Input::Request {
                ticket,
                bytes: &request.bytes(),
            },
        );
    }

    /// Lets messages and timers happen until nothing is left or so much time has passed.
    pub fn run(&mut self, most: Duration) {
        let end = self.now + most;
        loop {
            if let Some(Sent { from, to, bytes }) = self.next_message() {
                self.delivered += 1;
                assert!(self.delivered < 2_000_000, "messages without end");
                self.put(to, Input::Message { from, bytes: &bytes });
                continue;
            }
            match self.timers.peek() {
                Some(Reverse((at, ..))) if *at <= end => {}
                _ => break,
            }
            let Some(Reverse((at, me, id, boot))) = self.timers.pop() else {
                break;
            };
            self.now = at;
            if self.boots[&me] == boot {
                self.put(me, Input::Timer(id));
            }
        }
        self.now = end;
    }

    /// Delivers so many messages; whether there are more.
    pub fn steps(&mut self, steps: u32) -> bool {
        for _ in 0..steps {
            let Some(Sent { from, to, bytes }) = self.next_message() else {
                return false;
            };
            self.put(to, Input::Message { from, bytes: &bytes });
        }
        !self.queue.is_empty()
    }

    fn next_message(&mut self) -> Option<Sent> {
        if self.shuffle && !self.queue.is_empty() {
            let at = rand_core::RngCore::next_u32(&mut self.rng) as usize % self.queue.len().min(8);
            self.queue.swap(0, at);
        }
        self.queue.pop_front()
    }

    /// No two members have confirmed different keys, and no client was told of different ones.
    pub fn check_one_key(&self, seed: u64) {
        let mut confirmed = BTreeMap::new();
        for (member, state) in &self.members {
            for key in state.keys() {
                if key.level >= jeju_mpc::message::Level::Confirmed {
                    let first = confirmed.entry(key.root).or_insert(key.public_key);
                    assert_eq!(*first, key.public_key, "seed {seed}, member {member:?}");
                }
            }
        }
        let mut told = BTreeMap::new();
        for (_, _, outcome) in &self.answers {
            if let Ok(Response::Key(info) | Response::Refreshed(info)) = outcome {
                let first = told.entry(info.key).or_insert(info.public_key);
                assert_eq!(*first, info.public_key, "seed {seed}");
            }
        }
    }

    pub fn answer(&self, ticket: u64) -> Option<&Result<Response, Refusal>> {
        self.answers
            .iter()
            .find(|(_, other, _)| *other == ticket)
            .map(|(_, _, outcome)| outcome)
    }

    /// Asks, and runs until the answer has come.
    pub fn ask(&mut self, member: u16, ticket: u64, request: &Request) -> Result<Response, Refusal> {
        self.request(member, ticket, request);
        for _ in 0..300 {
            if let Some(answer) = self.answer(ticket) {
                return answer.clone();
            }
            self.run(Duration::from_millis(100));
        }
        panic!("no answer to {ticket}");
    }

    pub fn blamed(&self) -> Vec<MemberIndex> {
        let mut blamed: Vec<_> = self
            .events
            .iter()
            .filter_map(|(_, event)| match event {
                Event::Blamed { member, .. } => Some(*member),
                _ => None,
            })
            .collect();
        blamed.sort();
        blamed.dedup();
        blamed
    }

    pub fn public_key(&self, response: &Result<Response, Refusal>) -> [u8; 33] {
        match response {
            Ok(Response::Key(info) | Response::Refreshed(info)) => info.public_key,
            Ok(Response::Signature { key, .. }) => key.public_key,
            other => panic!("no key: {other:?}"),
        }
    }
}
