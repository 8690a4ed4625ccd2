use std::time::Duration;

use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::keys::MpcKeys;
use jeju_mpc::configuration::Founding;

use super::super::admission::tests::{CHANNEL, Node, TIME, document};
use super::*;
use crate::ipc::signer::{MeasurementStatus, PeerRole};

/// A member with its node, so that others can be shown its evidence.
struct Member {
    peers: Peers,
    node: Node,
}

impl Member {
    fn new(member: u8) -> Self {
        let key = ChannelKey::generate().unwrap();
        let node = Node::new(member).with(|node| {
            let identity = node.keys.mpc.unwrap().identity;
            node.keys.mpc = Some(MpcKeys {
                identity,
                channel: key.public(),
            });
            node.boot = key.public()[..16].try_into().unwrap();
        });
        Self {
            peers: Peers::new(document(member), key).unwrap(),
            node,
        }
    }

    /// This member is shown the evidence of `peer` on a connection.
    fn meet(&mut self, connection: u32, peer: &Node, now: Instant) -> Vec<PeerEvent> {
        let nonce = self.peers.challenge(connection, now).unwrap();
        let evidence = PeerEvidence {
            role: PeerRole::Server,
            channel: CHANNEL,
            bundle: peer.bundle(nonce, CHANNEL),
            measurement: MeasurementStatus::Active,
        };
        self.peers.evidence(connection, &evidence, TIME, now);
        self.events()
    }

    fn events(&mut self) -> Vec<PeerEvent> {
        std::iter::from_fn(|| self.peers.next_event()).collect()
    }
}

fn admitted(connection: u32, node: &Node, again: bool) -> PeerEvent {
    PeerEvent::Admitted {
        connection,
        member: MemberIndex(u16::from(node.agent[0])),
        identity: node.keys.mpc.unwrap().identity,
        again,
    }
}

fn refused(connection: u32, reason: AdmissionError) -> PeerEvent {
    PeerEvent::Refused { connection, reason }
}

const LEFT: PeerEvent = PeerEvent::Left {
    member: MemberIndex(2),
};

/// Two members that admitted each other.
fn pair(now: Instant) -> (Member, Member) {
    let (mut one, mut two) = (Member::new(1), Member::new(2));
    assert_eq!(one.meet(1, &two.node, now), [admitted(1, &two.node, false)]);
    assert_eq!(two.meet(9, &one.node, now), [admitted(9, &one.node, false)]);
    (one, two)
}

#[test]
fn admitted_members_talk() {
    let now = Instant::now();
    let (mut one, mut two) = pair(now);
    let (connection, sealed) = one.peers.seal(MemberIndex(2), b"share", now).unwrap();
    assert_eq!(connection, 1);
    let (from, text) = two.peers.open(9, &sealed, now).unwrap();
    assert_eq!((from, text.as_slice()), (MemberIndex(1), &b"share"[..]));
    let replayed = two.peers.open(9, &sealed, now).unwrap_err();
    assert!(matches!(
        replayed,
        PeerError::Channel(ChannelError::Replayed { .. })
    ));
    // Neither strangers nor connections that nobody was admitted on.
    assert_eq!(
        one.peers.seal(MemberIndex(3), b"share", now),
        Err(PeerError::NotAdmitted)
    );
    assert_eq!(
        one.peers.seal(MemberIndex(1), b"share", now),
        Err(PeerError::NotAdmitted)
    );
    assert_eq!(
        two.peers.open(8, &sealed, now).err(),
        Some(PeerError::NotAdmitted)
    );
}

#[test]
fn who_does_not_attest_again_gets_no_further_message() {
    let now = Instant::now();
    let (mut one, two) = pair(now);
    let until = one.peers.next_expiry().unwrap();
    let moment = Duration::from_millis(1);
    assert!(one.peers.seal(MemberIndex(2), b"share", until - moment).is_ok());
    // Even before the expiry was noticed.
    assert_eq!(
        one.peers.seal(MemberIndex(2), b"share", until),
        Err(PeerError::NotAdmitted)
    );
    assert_eq!(
        one.peers.open(1, &[0; 40], until).err(),
        Some(PeerError::NotAdmitted)
    );
    one.peers.expire(until - moment);
    assert_eq!(one.events(), []);
    // In time, it goes on.
    assert_eq!(
        one.meet(1, &two.node, until - moment),
        [admitted(1, &two.node, true)]
    );
    one.peers.expire(until);
    assert_eq!(one.events(), []);
    let until = one.peers.next_expiry().unwrap();
    one.peers.expire(until);
    assert_eq!(one.events(), [LEFT, refused(1, AdmissionError::Expired)]);
    assert_eq!(one.peers.next_expiry(), None);
    assert_eq!(one.peers.admitted().count(), 0);
}

#[test]
fn who_fails_to_attest_again_gets_no_further_message() {
    let now = Instant::now();
    let (mut one, two) = pair(now);
    let events = one.meet(1, &two.node.clone().with(|node| node.image = [0x12; 32]), now);
    assert!(
        matches!(
            &events[..],
            [
                PeerEvent::Left {
                    member: MemberIndex(2)
                },
                PeerEvent::Refused { connection: 1, .. }
            ]
        ),
        "{events:?}"
    );
    assert_eq!(
        one.peers.seal(MemberIndex(2), b"share", now),
        Err(PeerError::NotAdmitted)
    );
    // On its own connection, that is: nobody else's failure ends an admission.
    let (mut one, two) = pair(now);
    let events = one.meet(2, &two.node.clone().with(|node| node.image = [0x12; 32]), now);
    assert!(
        matches!(&events[..], [PeerEvent::Refused { connection: 2, .. }]),
        "{events:?}"
    );
    assert!(one.peers.seal(MemberIndex(2), b"share", now).is_ok());
}

#[test]
fn the_newest_connection_counts_and_counters_go_on() {
    let now = Instant::now();
    let (mut one, mut two) = pair(now);
    let (_, first) = one.peers.seal(MemberIndex(2), b"first", now).unwrap();
    assert!(two.peers.open(9, &first, now).is_ok());
    assert_eq!(
        one.meet(3, &two.node, now),
        [
            refused(1, AdmissionError::Replaced),
            admitted(3, &two.node, false)
        ]
    );
    assert_eq!(
        two.meet(4, &one.node, now),
        [
            refused(9, AdmissionError::Replaced),
            admitted(4, &one.node, false)
        ]
    );
    let (connection, second) = one.peers.seal(MemberIndex(2), b"second", now).unwrap();
    assert_eq!(connection, 3);
    assert_eq!(&second[..8], 2u64.to_be_bytes(), "no nonce twice under one key");
    let replayed = two.peers.open(4, &first, now).unwrap_err();
    assert!(matches!(
        replayed,
        PeerError::Channel(ChannelError::Replayed { .. })
    ));
    assert!(two.peers.open(4, &second, now).is_ok());
    // The end of a connection that was replaced is nobody's end.
    one.peers.closed(1);
    assert_eq!(one.events(), []);
    one.peers.closed(3);
    assert_eq!(one.events(), [LEFT]);
    // Back again, the counters still go on.
    one.meet(5, &two.node, now);
    let (_, third) = one.peers.seal(MemberIndex(2), b"third", now).unwrap();
    assert_eq!(&third[..8], 3u64.to_be_bytes());
}

#[test]
fn a_new_boot_takes_the_place_of_the_old_one() {
    let now = Instant::now();
    let (mut one, old) = pair(now);
    let mut new = Member::new(2);
    assert_eq!(
        one.meet(2, &new.node, now),
        [
            refused(1, AdmissionError::Replaced),
            admitted(2, &new.node, false)
        ]
    );
    new.meet(6, &one.node, now);
    let (_, sealed) = one.peers.seal(MemberIndex(2), b"share", now).unwrap();
    let mut old = old;
    assert_eq!(
        old.peers.open(9, &sealed, now).err(),
        Some(PeerError::Channel(ChannelError::NotSealed))
    );
    assert!(new.peers.open(6, &sealed, now).is_ok());
    assert_eq!(one.meet(3, &old.node, now), [refused(3, AdmissionError::OldBoot)]);
}

#[test]
fn a_connection_stays_with_its_member() {
    let now = Instant::now();
    let (mut one, three) = (pair(now).0, Member::new(3));
    assert_eq!(
        one.meet(1, &three.node, now),
        [LEFT, refused(1, AdmissionError::OtherMember)]
    );
}

#[test]
fn a_channel_key_of_low_order_is_no_members() {
    let now = Instant::now();
    let mut one = Member::new(1);
    let node = Node::new(2).with(|node| node.keys.mpc.as_mut().unwrap().channel = [0; 32]);
    assert_eq!(
        one.meet(1, &node, now),
        [refused(1, AdmissionError::Channel(ChannelError::PeerKey))]
    );
}

#[test]
fn a_place_that_passed_to_another_node_is_that_nodes() {
    let now = Instant::now();
    let (mut one, two) = pair(now);
    let mut places = Founding::of(document(1).mpc.as_ref().unwrap()).places;
    one.peers.configured(places.clone());
    assert_eq!(one.events(), [], "nothing changed");
    places[1].agent = HexBytes([4; 32]);
    one.peers.configured(places.clone());
    assert_eq!(one.events(), [LEFT, refused(1, AdmissionError::NoPlace)]);
    assert_eq!(
        one.peers.seal(MemberIndex(2), b"share", now),
        Err(PeerError::NotAdmitted)
    );
    let codes = |events: Vec<PeerEvent>| -> Vec<&str> {
        let code = |event| match event {
            PeerEvent::Refused { reason, .. } => reason.code(),
            _ => "none",
        };
        events.into_iter().map(code).collect()
    };
    assert_eq!(codes(one.meet(2, &two.node, now)), ["agent_not_accepted"]);
    // The node that has it now, whose own launch document says which place it is to have.
    let heir = Member::new(2).node.with(|node| {
        node.agent = [4; 32];
        let agent = |byte| format!("[node]\nagent = \"{}\"", HexBytes([byte; 32]));
        node.rewrite(&agent(2), &agent(4));
        node.rewrite("[mpc]\n", "[mpc]\nplace = 2\n");
    });
    let identity = heir.keys.mpc.unwrap().identity;
    let admitted = PeerEvent::Admitted {
        connection: 3,
        member: MemberIndex(2),
        identity,
        again: false,
    };
    assert_eq!(one.meet(3, &heir, now), [admitted]);
    // On another machine than the one that the configuration names, it is nobody.
    places[1].platform = HexBytes([9; 32]);
    one.peers.configured(places);
    assert_eq!(one.events().len(), 2);
    assert_eq!(codes(one.meet(4, &heir, now)), ["peer_platform"]);
}
