mod mallory;
mod network;

use jeju_mpc::member::MAX_MESSAGE;
use tokio::io::AsyncWriteExt;

use self::mallory::Mallory;
use self::network::{Member, Seen, Wires, until};
use super::frame::PeerFrame;
use super::*;
use crate::signer::admission::tests::{Node, silicon};

const EPOCH: Duration = Duration::from_secs(600);

async fn network(epoch: Duration) -> (Arc<Wires>, Vec<Member>) {
    let wires = Arc::new(Wires::default());
    let mut members = Vec::new();
    for index in 1..=3 {
        members.push(Member::start(index, &wires, epoch).await);
    }
    (wires, members)
}

async fn all_connected(members: &[Member]) {
    until("every member has every other one", || {
        members
            .iter()
            .all(|member| member.connected().len() == members.len() - 1)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_admit_each_other_and_their_signers_talk() {
    let (wires, members) = network(EPOCH).await;
    members.iter().for_each(|member| member.peers.dial());
    all_connected(&members).await;
    for (index, member) in (1..).zip(&members) {
        for to in (1..=3).filter(|to| *to != index) {
            member.say(to, format!("{index} to {to}").as_bytes());
            member.say(to, &vec![7; MAX_MESSAGE]);
        }
    }
    for (index, member) in (1..).zip(&members) {
        for from in (1..=3).filter(|from| *from != index) {
            let text = Seen::Text(from, format!("{from} to {index}").into_bytes());
            until("a text", || member.sees(&text)).await;
            until("a long text", || {
                member.sees(&Seen::Text(from, vec![7; MAX_MESSAGE]))
            })
            .await;
        }
        assert_eq!(member.quotes.made.load(std::sync::atomic::Ordering::Relaxed), 2);
    }
    // Of a pair, one dials.
    assert_eq!(wires.dialled.load(std::sync::atomic::Ordering::Relaxed), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parted_members_find_each_other_again() {
    let (wires, members) = network(EPOCH).await;
    members.iter().for_each(|member| member.peers.dial());
    all_connected(&members).await;
    wires.cut(true);
    until("nobody is connected", || {
        members.iter().all(|member| member.connected().is_empty())
    })
    .await;
    members[0].say(2, b"lost");
    wires.cut(false);
    all_connected(&members).await;
    members[0].say(2, b"found");
    until("a text", || members[1].sees(&Seen::Text(1, b"found".to_vec()))).await;
    assert!(!members[1].sees(&Seen::Text(1, b"lost".to_vec())));
    assert!(members[1].sees(&Seen::Left(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_attest_again_and_who_fails_is_left() {
    let (_wires, members) = network(Duration::from_secs(2)).await;
    members.iter().for_each(|member| member.peers.dial());
    all_connected(&members).await;
    let admissions = |member: &Member, of| {
        let seen = member.seen.lock().unwrap();
        seen.iter().filter(|seen| **seen == Seen::Admitted(of)).count()
    };
    until("each attests again, twice", || {
        (1..)
            .zip(&members)
            .all(|(index, member)| (1..=3).all(|of| of == index || admissions(member, of) >= 3))
    })
    .await;
    let left = |member: &Member| member.sees(&Seen::Left(1)) || member.sees(&Seen::Left(3));
    assert!(!left(&members[1]), "no connection was lost for it");
    members[0].say(2, b"after rounds");
    until("a text", || {
        members[1].sees(&Seen::Text(1, b"after rounds".to_vec()))
    })
    .await;
    // The third one's next quotes are of another image.
    members[2].quotes.node.lock().unwrap().image = [0x12; 32];
    until("it is left", || {
        members[0].sees(&Seen::Left(3)) && members[1].sees(&Seen::Left(3))
    })
    .await;
    members[0].say(3, b"too late");
    until("the others go on", || admissions(&members[1], 1) >= 4).await;
    assert!(!members[2].sees(&Seen::Text(1, b"too late".to_vec())));
    // The front hears of it after the signer.
    until("its connection is gone", || members[0].connected() == [2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admission_that_runs_out_ends_the_connection() {
    let (_wires, members) = network(EPOCH).await;
    members[0].peers.dial();
    until("connected", || members[0].connected() == [2, 3]).await;
    // The signer counts for itself, whatever the front does.
    members[1].ahead.store(3600, std::sync::atomic::Ordering::Relaxed);
    until("it ended", || members[1].sees(&Seen::Refused("peer_expired"))).await;
    until("the connection too", || {
        members[1].closed.lock().unwrap().contains(&Closed::Unwanted)
    })
    .await;
    until("and came again", || members[1].connected() == [1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_measurement_is_left_and_an_unreadable_chain_changes_nothing() {
    use std::sync::atomic::Ordering::Relaxed;
    for (stage, admitted) in [(0, true), (1, true), (2, true), (3, false)] {
        let (wires, members) = network(EPOCH).await;
        wires.stage.store(stage, Relaxed);
        members[0].peers.dial();
        if admitted {
            until("admitted", || members[0].connected() == [2, 3]).await;
        } else {
            until("refused", || {
                members[1].sees(&Seen::Refused("measurement_revoked"))
            })
            .await;
            until("told", || {
                members[0].last(2).as_deref() == Some("measurement_revoked")
            })
            .await;
            assert_eq!(members[0].connected(), [] as [u16; 0]);
        }
    }
}

/// Somebody between two members, with a genuine node of its own: it is no member, whichever way it turns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_man_in_the_middle_with_genuine_evidence_is_refused() {
    // A node of the same image on a machine of the network's silicon, which is another member's.
    for (machine, code) in [(0, "root_not_trusted"), (3, "peer_platform")] {
        let (wires, members) = network(EPOCH).await;
        let mallory = Mallory::new(Node::new(2).with(|node| node.silicon = silicon(machine)));
        let mut incoming = wires.listen("127.0.0.1:4112");
        members[0].peers.dial();
        let mut session = mallory.accept(incoming.recv().await.unwrap()).await;
        let nonce = session.hello(2).await;
        assert!(matches!(session.read().await, Some(PeerFrame::Evidence { .. })));
        session.prove(Role::Server, nonce).await;
        assert_eq!(session.refusal().await, code);
        assert!(members[0].connected().iter().all(|member| *member != 2));
        until("known", || members[0].last(2).as_deref() == Some(code)).await;
    }
    // Member 3 itself, at member 2's address: honest about who it is, and not.
    for says in [3, 2] {
        let (wires, members) = network(EPOCH).await;
        let mallory = Mallory::new(Node::new(3));
        let mut incoming = wires.listen("127.0.0.1:4112");
        members[0].peers.dial();
        let mut session = mallory.accept(incoming.recv().await.unwrap()).await;
        let nonce = session.hello(says).await;
        session.prove(Role::Server, nonce).await;
        assert_eq!(session.refusal().await, "peer_other_member");
    }
}

/// Both halves of an exchange, each passed on over a connection of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relayed_exchange_is_refused() {
    let (wires, members) = network(EPOCH).await;
    let mallory = Mallory::new(Node::new(2).with(|node| node.silicon = silicon(0)));
    let mut incoming = wires.listen("127.0.0.1:4112");
    let one = members[0].peers.clone();
    tokio::spawn(async move { one.keep(2).await });
    let mut from_one = mallory.accept(incoming.recv().await.unwrap()).await;
    // The wires still lead to member 3, whom the relay passes off as itself.
    let mut to_three = mallory.dial(&wires, "127.0.0.1:4113").await;
    let hello = from_one.read().await.unwrap();
    to_three.send(hello).await;
    let answer = to_three.read().await.unwrap();
    assert!(matches!(answer, PeerFrame::Hello { member: 3, .. }), "{answer:?}");
    let PeerFrame::Hello { genesis, nonce, .. } = answer else {
        unreachable!()
    };
    let member = 2;
    from_one
        .send(PeerFrame::Hello {
            genesis,
            member,
            nonce,
        })
        .await;
    // Evidence of member 1, for member 3's nonce, and of another connection.
    let evidence = from_one.read().await.unwrap();
    assert!(matches!(evidence, PeerFrame::Evidence { .. }));
    to_three.send(evidence).await;
    assert_eq!(to_three.refusal().await, "certificate_key_not_in_claims");
    assert_eq!(members[2].connected(), [] as [u16; 0]);
    assert_eq!(
        members[2].quotes.made.load(std::sync::atomic::Ordering::Relaxed),
        0
    );
}

/// With the member's own TLS key in the wrong hands, the quotes still name the connection that they were made for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_of_another_connection_is_refused() {
    let (wires, members) = network(EPOCH).await;
    let stolen = Mallory {
        node: members[0].quotes.node.lock().unwrap().clone(),
        certificate: members[0].certificate.clone(),
    };
    let mut session = stolen.dial(&wires, "127.0.0.1:4112").await;
    let nonce = session.hello(1).await;
    let bundle = stolen.node.clone().with(|node| node.role = Role::Client);
    let elsewhere = bundle.bundle(nonce, [0x0D; 32]);
    session.send(PeerFrame::Evidence { bundle: elsewhere }).await;
    assert_eq!(session.refusal().await, "channel_mismatch");
    // Made for a nonce that was drawn for another connection.
    let mut other = stolen.dial(&wires, "127.0.0.1:4112").await;
    other.hello(1).await;
    other.prove(Role::Client, nonce).await;
    assert_eq!(other.refusal().await, "nonce_mismatch");
    // And of the wrong end.
    let mut reflected = stolen.dial(&wires, "127.0.0.1:4112").await;
    let nonce = reflected.hello(1).await;
    reflected.prove(Role::Server, nonce).await;
    assert_eq!(reflected.refusal().await, "role_mismatch");
    // The right one passes, by which the others were refused for what they are.
    let mut right = stolen.dial(&wires, "127.0.0.1:4112").await;
    let nonce = right.hello(1).await;
    right.prove(Role::Client, nonce).await;
    assert!(matches!(right.read().await, Some(PeerFrame::Evidence { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_refused_before_any_quote() {
    let (wires, members) = network(EPOCH).await;
    let stranger = Mallory::new(Node::new(1).with(|node| node.silicon = silicon(0)));
    let genesis = members[1].peers.genesis;
    let hello = |genesis, member| PeerFrame::Hello {
        genesis,
        member,
        nonce: [9; 32],
    };
    for (first, code) in [
        (hello([8; 32], 1), "peer_other_network"),
        (hello(genesis, 0), "peer_other_member"),
        // Itself, and one that it would dial.
        (hello(genesis, 2), "peer_other_member"),
        (hello(genesis, 3), "peer_other_member"),
        (hello(genesis, u16::MAX), "peer_other_member"),
        (PeerFrame::Challenge { nonce: [9; 32] }, "peer_protocol"),
        (PeerFrame::Sealed { bytes: vec![0; 40] }, "peer_protocol"),
        (PeerFrame::Evidence { bundle: vec![0; 40] }, "peer_protocol"),
        (PeerFrame::Ping, "peer_protocol"),
    ] {
        let mut session = stranger.dial(&wires, "127.0.0.1:4112").await;
        session.read().await.unwrap();
        session.send(first).await;
        assert_eq!(session.refusal().await, code);
    }
    for (second, code) in [
        (
            PeerFrame::Evidence {
                bundle: vec![b'{'; 60_000],
            },
            "bundle_invalid",
        ),
        (PeerFrame::Sealed { bytes: vec![0; 40] }, "peer_protocol"),
        (PeerFrame::Challenge { nonce: [9; 32] }, "peer_protocol"),
        (hello(genesis, 1), "peer_protocol"),
    ] {
        let mut session = stranger.dial(&wires, "127.0.0.1:4112").await;
        session.hello(1).await;
        session.send(second).await;
        assert_eq!(session.refusal().await, code);
    }
    // A length that no frame has is refused before memory is taken for it.
    for length in [0u32, 64 * 1024 + 1, u32::MAX] {
        let mut session = stranger.dial(&wires, "127.0.0.1:4112").await;
        session.read().await.unwrap();
        session.tls.write_all(&length.to_be_bytes()).await.unwrap();
        session.tls.write_all(&[1, 2, 3]).await.unwrap();
        session.tls.flush().await.unwrap();
        assert_eq!(session.refusal().await, "peer_protocol", "{length}");
    }
    assert_eq!(
        members[1].quotes.made.load(std::sync::atomic::Ordering::Relaxed),
        0
    );
    // And an honest member comes through all the same.
    members[0].peers.dial();
    until("admitted", || members[1].connected() == [1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_bounded_and_keep_no_member_out() {
    let (wires, members) = network(EPOCH).await;
    let stranger = Mallory::new(Node::new(1).with(|node| node.silicon = silicon(0)));
    let mut held = Vec::new();
    for _ in 0..STRANGERS {
        let mut session = stranger.dial(&wires, "127.0.0.1:4112").await;
        session.read().await.unwrap();
        held.push(session);
    }
    assert!(members[1].closed.lock().unwrap().is_empty());
    members[0].peers.dial();
    until("admitted", || members[1].connected() == [1]).await;
    assert_eq!(*members[1].closed.lock().unwrap(), [Closed::Busy]);
    assert_eq!(held[0].read().await, None, "the oldest had to go");
    // As many as there may be, again: an admitted member isn't one of them.
    let mut again = stranger.dial(&wires, "127.0.0.1:4112").await;
    again.read().await.unwrap();
    let mut one_more = stranger.dial(&wires, "127.0.0.1:4112").await;
    one_more.read().await.unwrap();
    assert_eq!(held[1].read().await, None);
    assert_eq!(members[1].connected(), [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newer_connection_of_a_member_counts() {
    let (wires, members) = network(EPOCH).await;
    members[0].peers.dial();
    until("connected", || members[1].connected() == [1]).await;
    let again = Mallory {
        node: members[0].quotes.node.lock().unwrap().clone(),
        certificate: members[0].certificate.clone(),
    };
    let mut session = again.dial(&wires, "127.0.0.1:4112").await;
    let nonce = session.hello(1).await;
    session.prove(Role::Client, nonce).await;
    until("the older one ended", || {
        members[1].closed.lock().unwrap().contains(&Closed::Unwanted)
    })
    .await;
    assert!(members[1].sees(&Seen::Refused("peer_replaced")));
    assert!(!members[1].sees(&Seen::Left(1)), "the member never left");
}

#[test]
fn pauses_are_cut_at_random() {
    let pauses: std::collections::HashSet<_> = (0..64).map(|_| cut(PAUSE.1, 2)).collect();
    assert!(pauses.len() > 8);
    assert!(
        pauses
            .iter()
            .all(|pause| *pause >= PAUSE.1 / 2 && *pause <= PAUSE.1)
    );
    let day = Duration::from_secs(86_400);
    assert!(cut(day, 5) >= day / 5 * 4 && cut(day, 5) <= day);
}
