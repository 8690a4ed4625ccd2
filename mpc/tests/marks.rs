//! What a member says and does about its stored state, message by message.

use jeju_mpc::identity::IdentityKey;
use jeju_mpc::marks::{MARK_LEN, MARKS_NAME, StartedState, StateMark};
use jeju_mpc::member::{Event, Input, Member, Output, Rollback, Setup};
use jeju_mpc::message::{CeremonyKind, Decline, Message, Start};
use jeju_mpc::network::{KeyId, MemberIndex, Network, Scheme};
use jeju_mpc::refusal::Refusal;
use jeju_mpc::time::Interval;
use rand_core::OsRng;
use zeroize::Zeroizing;

mod support;

use support::{Kind, Request, START, TestAuthority};

/// A state that is the newest up to a number.
struct State(u8);

impl StartedState for State {
    fn mark(&self) -> StateMark {
        [self.0; MARK_LEN]
    }

    fn is_older_than(&self, remembered: &StateMark) -> bool {
        remembered[0] > self.0
    }
}

struct One {
    member: Member,
    peers: Vec<[u8; 33]>,
    out: Vec<Output>,
}

type Records = Vec<(String, Zeroizing<Vec<u8>>)>;

impl One {
    /// Member 1 of three, two of which sign, with a state of this number.
    fn new(state: u8, records: Records) -> One {
        let network = Network {
            genesis: [7; 32],
            chain_id: 1,
            threshold: 2,
            members: 3,
        };
        let setup = Setup {
            network,
            me: MemberIndex(1),
            membership: None,
            identity: IdentityKey::generate(&mut OsRng),
        };
        let authority = Box::<TestAuthority>::default();
        let member = Member::new(setup, authority, records, Interval::exact(START), &mut OsRng).unwrap();
        One {
            member: member.with_state(Box::new(State(state))),
            peers: (0..2)
                .map(|_| IdentityKey::generate(&mut OsRng).public().to_bytes())
                .collect(),
            out: Vec::new(),
        }
    }

    fn put(&mut self, input: Input<'_>) {
        let now = Interval::exact(START + 10);
        self.out = self.member.handle(input, now, &mut OsRng);
    }

    fn admit(&mut self, peer: u16) {
        let identity = self.peers[usize::from(peer) - 2];
        self.put(Input::Admitted {
            member: MemberIndex(peer),
            identity,
        });
    }

    fn hear(&mut self, peer: u16, message: &Message) {
        let bytes = message.encode();
        self.put(Input::Message {
            from: MemberIndex(peer),
            bytes: &bytes,
        });
    }

    fn shown(&mut self, peer: u16, mark: Option<u8>) {
        let mark = mark.map(|number| [number; MARK_LEN]);
        self.hear(peer, &Message::MarkShown { mark });
    }

    /// Messages of the last turn.
    fn sent(&self) -> Vec<(u16, Message)> {
        self.out
            .iter()
            .filter_map(|output| match output {
                Output::Send { to, bytes } => Some((to.0, Message::decode(bytes).unwrap())),
                _ => None,
            })
            .collect()
    }

    fn tells(&self, peer: u16, number: u8) -> bool {
        let mark = [number; MARK_LEN];
        self.sent().contains(&(peer, Message::MarkTell { mark }))
    }

    fn timers(&self) -> Vec<u64> {
        self.out
            .iter()
            .filter_map(|output| match output {
                Output::Timer { id, .. } => Some(*id),
                _ => None,
            })
            .collect()
    }

    fn record(&self) -> Option<Zeroizing<Vec<u8>>> {
        self.out.iter().find_map(|output| match output {
            Output::Persist { name, record } if name == MARKS_NAME => Some(record.clone()),
            _ => None,
        })
    }

    /// A peer says that it has no shares and no policies.
    fn says_it_has_nothing(&mut self, peer: u16, nonce: [u8; 16]) {
        let nothing = Message::Status {
            nonce,
            all: true,
            roots: vec![],
        };
        self.hear(peer, &nothing);
        let none = Message::PolicyIndex {
            after: KeyId([0; 32]),
            entries: vec![],
            more: false,
        };
        self.hear(peer, &none);
    }

    fn nonce(&self, peer: u16) -> [u8; 16] {
        self.sent()
            .into_iter()
            .find_map(|(to, message)| match message {
                Message::StatusQuery { nonce } if to == peer => Some(nonce),
                _ => None,
            })
            .unwrap()
    }
}

#[test]
fn peers_are_asked_first_and_told_then() {
    let mut one = One::new(5, vec![]);
    one.admit(2);
    assert!(one.sent().contains(&(2, Message::MarkQuery)) && !one.tells(2, 5));
    // What a peer remembers is older, as after a crash between a commit and the telling.
    one.shown(2, Some(4));
    assert!(one.tells(2, 5));
    assert_eq!(one.member.rollback(), Rollback::Unprotected);
    one.admit(3);
    one.shown(3, None);
    assert!(one.tells(3, 5));
    one.shown(2, Some(5));
    assert_eq!(
        one.member.rollback(),
        Rollback::Unprotected,
        "one of two is too few"
    );
    one.shown(3, Some(5));
    assert_eq!(one.member.rollback(), Rollback::Protected);

    // The next commit is told a moment later, and until peers keep it nothing protects it.
    one.put(Input::Stored { mark: [6; MARK_LEN] });
    assert_eq!(one.member.rollback(), Rollback::Unprotected);
    for timer in one.timers() {
        one.put(Input::Timer(timer));
    }
    assert!(one.tells(2, 6) && one.tells(3, 6));
    for peer in [2, 3] {
        one.shown(peer, Some(6));
    }
    assert_eq!(one.member.rollback(), Rollback::Protected);
    one.put(Input::Left {
        member: MemberIndex(3),
    });
    assert_eq!(
        one.member.rollback(),
        Rollback::Unprotected,
        "nobody knows what it keeps"
    );
}

#[test]
fn an_old_state_is_named_and_takes_part_in_nothing_until_it_is_made_up_for() {
    let mut one = One::new(5, vec![]);
    one.admit(2);
    let second = one.nonce(2);
    one.shown(2, Some(9));
    assert_eq!(one.member.rollback(), Rollback::Detected);
    let newest = [9; MARK_LEN];
    let noticed_by = MemberIndex(2);
    assert!(one.out.iter().any(|output| match output {
        Output::Outrun { newest: found } => *found == newest,
        _ => false,
    }));
    assert!(one.out.iter().any(|output| match output {
        Output::Audit(event) => *event == Event::RolledBack { noticed_by },
        _ => false,
    }));
    assert!(one.record().is_some(), "a commit that is numbered above");
    assert!(!one.tells(2, 5), "the peer keeps what it remembers");

    let request = Request::new(Kind::Keygen, 1).bytes();
    one.put(Input::Request {
        ticket: 1,
        bytes: &request,
    });
    let refused = one.out.iter().any(|output| match output {
        Output::Answer { outcome, .. } => *outcome == Err(Refusal::StateOld),
        _ => false,
    });
    assert!(refused, "{:?}", one.out);
    assert_eq!(Refusal::StateOld.code(), "mpc_state_old");

    one.admit(3);
    let third = one.nonce(3);
    one.hear(3, &Message::Start(start(&one, request)));
    let declined = one.sent().into_iter().any(|(to, message)| match message {
        Message::Decline { reason, .. } => to == 3 && reason == Decline::Refused(Refusal::StateOld),
        _ => false,
    });
    assert!(declined, "{:?}", one.out);
    one.shown(3, Some(9));
    let again = one.out.iter().any(|output| matches!(output, Output::Audit(_)));
    assert!(!again, "it happened once: {:?}", one.out);

    one.says_it_has_nothing(2, second);
    assert_eq!(
        one.member.rollback(),
        Rollback::Detected,
        "one peer brings no share back"
    );
    one.says_it_has_nothing(3, third);
    assert_eq!(one.member.rollback(), Rollback::Unprotected);
}

fn start(one: &One, request: Vec<u8>) -> Start {
    let identities = [one.member.identity().to_bytes(), one.peers[0], one.peers[1]];
    let network = Network {
        genesis: [7; 32],
        chain_id: 1,
        threshold: 2,
        members: 3,
    };
    let mut start = Start {
        kind: CeremonyKind::KeyGeneration,
        scheme: Scheme::Secp256k1,
        root: network.root(Scheme::Secp256k1),
        generation: 0,
        attempt: 1,
        seed: [1; 32],
        session: [0; 32],
        request,
    };
    start.session = start.session_id(&network.genesis, MemberIndex(3), &identities);
    start
}

#[test]
fn what_peers_tell_outlives_a_restart() {
    let mut one = One::new(5, vec![]);
    one.admit(2);
    let mark = [8; MARK_LEN];
    one.hear(2, &Message::MarkTell { mark });
    assert!(one.record().is_none(), "not each by itself");
    for timer in one.timers() {
        one.put(Input::Timer(timer));
    }
    let record = one.record().unwrap();
    assert!(one.sent().contains(&(2, Message::MarkShown { mark: Some(mark) })));

    let mut again = One::new(5, vec![(MARKS_NAME.to_owned(), record)]);
    again.admit(2);
    again.hear(2, &Message::MarkQuery);
    assert_eq!(again.sent(), [(2, Message::MarkShown { mark: Some(mark) })]);
    // Of a peer that never told anything nothing is known.
    again.admit(3);
    again.hear(3, &Message::MarkQuery);
    assert_eq!(again.sent(), [(3, Message::MarkShown { mark: None })]);
}
