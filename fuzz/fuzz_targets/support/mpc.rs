//! A network of three real members, two of which sign, and what they said, kept and were asked for a key and a signature.
// Each target uses a part of it.
#![allow(dead_code)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::LazyLock;
use std::time::Duration;

use jeju_attestation::hex_bytes::HexBytes;
use jeju_mpc::authority::build::Draft;
use jeju_mpc::authority::document::{Address, KeyDocument, Policy};
use jeju_mpc::authority::payload::Payload;
use jeju_mpc::authority::request::Asked;
use jeju_mpc::authority::wallet::WalletAuthority;
use jeju_mpc::configuration::{Founding, Place};
use jeju_mpc::identity::IdentityKey;
use jeju_mpc::member::{Input, Member, Membership, Output, Response, Setup};
use jeju_mpc::network::{MemberIndex, Network, Scheme};
use jeju_mpc::time::Interval;
use jeju_wallet_auth::signature::AccountKey;
use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

/// Seconds since 1970 at which all this happens.
pub const NOW: u64 = 1_700_000_000;

/// Numbers that are the same in each run: a finding comes again.
#[derive(Clone)]
pub struct Numbers(u64);

impl RngCore for Numbers {
    fn next_u32(&mut self) -> u32 {
        self.next_u64() as u32
    }

    // SplitMix64.
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn fill_bytes(&mut self, to: &mut [u8]) {
        for chunk in to.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(to);
        Ok(())
    }
}

impl CryptoRng for Numbers {}

/// What happened.
pub struct Story {
    /// Messages that member 1 got, with their senders.
    pub messages: Vec<(MemberIndex, Vec<u8>)>,
    /// Records of member 1.
    pub records: BTreeMap<String, Vec<u8>>,
    /// Requests that were answered: for a key, for a signature.
    pub requests: Vec<Vec<u8>>,
}

/// Made once.
pub static STORY: LazyLock<Story> = LazyLock::new(story);

pub fn network() -> Network {
    Network {
        genesis: [7; 32],
        chain_id: 31337,
        threshold: 2,
        members: 3,
    }
}

/// Who the members are: configurations of theirs are among what is fuzzed.
fn membership(me: u16) -> Membership {
    let place = |place: u16| Place {
        agent: HexBytes([place as u8; 32]),
        platform: HexBytes([0; 32]),
    };
    let governance = AccountKey::from_bytes(&[4; 32]).expect("a key").account();
    Membership {
        agent: place(me).agent.0,
        founding: Founding {
            governance: Some(governance),
            places: network().indices().map(|member| place(member.0)).collect(),
        },
    }
}

/// Starts a member; its identity follows from its place.
pub fn start(me: u16, records: Vec<(String, Vec<u8>)>, numbers: &mut Numbers) -> Option<Member> {
    let setup = Setup {
        network: network(),
        me: MemberIndex(me),
        membership: Some(membership(me)),
        identity: IdentityKey::generate(&mut numbers_of(me)),
    };
    let records = records
        .into_iter()
        .map(|(name, record)| (name, Zeroizing::new(record)))
        .collect();
    let authority = Box::new(WalletAuthority::new(network()));
    Member::new(setup, authority, records, Interval::exact(NOW - 10), numbers).ok()
}

pub fn numbers_of(place: u16) -> Numbers {
    Numbers(u64::from(place) * 1000)
}

/// Member 1 with what it kept, the others admitted.
pub fn restarted(numbers: &mut Numbers) -> Member {
    let records = STORY.records.clone().into_iter().collect();
    let mut member = start(1, records, numbers).expect("it starts from its own records");
    for peer in [2, 3] {
        let identity = IdentityKey::generate(&mut numbers_of(peer)).public().to_bytes();
        member.handle(
            Input::Admitted {
                member: MemberIndex(peer),
                identity,
            },
            Interval::exact(NOW),
            numbers,
        );
    }
    member
}

fn request(action: Asked, nonce: u8) -> Vec<u8> {
    let wallet = AccountKey::from_bytes(&[1; 32]).expect("a key");
    let key = KeyDocument {
        owners: vec![Address(wallet.account())],
        contracts: vec![],
        quorum: 1,
        policy: Policy {
            messages: true,
            ..Policy::default()
        },
        salt: HexBytes([2; 32]),
        scheme: Scheme::Secp256k1,
        dedicated: false,
    };
    let draft = Draft::new(&network(), key, action, NOW, [nonce; 32]).expect("a request");
    draft.body(&[draft.authorize(&wallet)]).expect("it is short")
}

fn story() -> Story {
    let requests = vec![
        request(Asked::Keygen {}, 1),
        request(
            Asked::Sign {
                payload: Payload::Message {
                    message: "hello".into(),
                },
                policy_version: 0,
            },
            2,
        ),
        request(Asked::Refresh {}, 3),
    ];
    let mut story = Story {
        messages: Vec::new(),
        records: BTreeMap::new(),
        requests: requests.clone(),
    };
    let mut numbers = Numbers(1);
    let mut members: BTreeMap<MemberIndex, Member> = (1..=3)
        .map(|me| {
            (
                MemberIndex(me),
                start(me, vec![], &mut numbers).expect("a network"),
            )
        })
        .collect();
    let mut inputs = VecDeque::new();
    for me in 1..=3 {
        for peer in (1..=3).filter(|peer| *peer != me) {
            inputs.push_back((MemberIndex(me), What::Admit(MemberIndex(peer))));
        }
    }
    let mut timers: VecDeque<(MemberIndex, u64, Duration)> = VecDeque::new();
    let mut asked = requests.into_iter();
    let mut answered = 0;
    loop {
        let Some((me, what)) = inputs.pop_front() else {
            if answered == story.requests.len() {
                return story;
            }
            // Quiet: the shortest timer, until nothing is awaited; then the next request.
            if answered == story.requests.len() - asked.len()
                && let Some(bytes) = asked.next()
            {
                inputs.push_back((MemberIndex(1), What::Ask(bytes)));
            } else if let Some(at) = (0..timers.len()).min_by_key(|at| timers[*at].2) {
                let (me, id, _) = timers.remove(at).expect("its place");
                inputs.push_back((me, What::Timer(id)));
            }
            continue;
        };
        let identity;
        let input = match &what {
            What::Admit(member) => {
                identity = IdentityKey::generate(&mut numbers_of(member.0))
                    .public()
                    .to_bytes();
                Input::Admitted {
                    member: *member,
                    identity,
                }
            }
            What::Tell(from, bytes) => {
                if me == MemberIndex(1) {
                    story.messages.push((*from, bytes.clone()));
                }
                Input::Message { from: *from, bytes }
            }
            What::Ask(bytes) => Input::Request { ticket: 1, bytes },
            What::Timer(id) => Input::Timer(*id),
        };
        let member = members.get_mut(&me).expect("a member");
        for output in member.handle(input, Interval::exact(NOW), &mut numbers) {
            match output {
                Output::Send { to, bytes } => inputs.push_back((to, What::Tell(me, bytes.to_vec()))),
                Output::Persist { name, record } if me == MemberIndex(1) => {
                    story.records.insert(name, record.to_vec());
                }
                Output::Timer { id, after } => timers.push_back((me, id, after)),
                Output::Answer { outcome, .. } => {
                    assert!(
                        matches!(
                            outcome,
                            Ok(Response::Key(_) | Response::Signature { .. } | Response::Refreshed(_))
                        ),
                        "{outcome:?}"
                    );
                    answered += 1;
                }
                _ => {}
            }
        }
    }
}

enum What {
    Admit(MemberIndex),
    Tell(MemberIndex, Vec<u8>),
    Ask(Vec<u8>),
    Timer(u64),
}

/// A genuine thing, changed as the input says: bytes of it become others, it is cut, or the input takes its place.
pub fn changed(genuine: &[u8], input: &mut impl Iterator<Item = u8>) -> Vec<u8> {
    let mut bytes = genuine.to_vec();
    match input.next().unwrap_or(0) % 4 {
        0 => {}
        1 => {
            for _ in 0..=input.next().unwrap_or(0) % 4 {
                let at = usize::from(input.next().unwrap_or(0)) << 8 | usize::from(input.next().unwrap_or(0));
                let by = input.next().unwrap_or(1);
                if let Some(len) = (!bytes.is_empty()).then_some(bytes.len()) {
                    bytes[at % len] ^= by;
                }
            }
        }
        2 => {
            let len = usize::from(input.next().unwrap_or(0)) << 8 | usize::from(input.next().unwrap_or(0));
            bytes.truncate(len);
        }
        _ => {
            let len = usize::from(input.next().unwrap_or(0));
            bytes = input.take(len).collect();
        }
    }
    bytes
}
