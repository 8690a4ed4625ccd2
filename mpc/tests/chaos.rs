//! Networks that lose, repeat and reorder messages while members die and come back. Whatever happens, there is one key;
//! and when it is over, there is a signature.

use std::time::Duration;

use jeju_mpc::member::Response;
use jeju_mpc::message::Level;
use jeju_mpc::network::{MemberIndex, Scheme};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

mod support;

use support::{Fate, Kind, Net, Request, verifies};

fn storm(seed: u64, threshold: u16, members: u16) {
    let mut net = Net::new(threshold, members, seed);
    let mut dice = ChaCha20Rng::seed_from_u64(seed ^ 0xD1CE);
    let loss = u64::from(dice.next_u32() % 20);
    let mut wire = ChaCha20Rng::seed_from_u64(seed ^ 0x3152);
    net.filter = Some(Box::new(move |_, _, message| {
        let dice = u64::from(wire.next_u32() % 100);
        if dice < loss {
            Fate::Drop
        } else if dice < loss + 5 {
            Fate::Replace(vec![message.clone(), message.clone()])
        } else {
            Fate::Deliver
        }
    }));
    net.shuffle = true;
    let mut ticket = 0;
    let mut down: Vec<MemberIndex> = Vec::new();
    let mut lost = 0;
    for _ in 0..30 {
        let member = MemberIndex(1 + (dice.next_u32() % u32::from(members)) as u16);
        match dice.next_u32() % 12 {
            0..=3 => {
                ticket += 1;
                let mut request = Request::new(Kind::Keygen, ticket as u8);
                request.issued += 1_000_000;
                request.expires += 2_000_000;
                net.request(member.0, ticket, &request);
            }
            4 => {
                ticket += 1;
                let mut request = Request::new(Kind::Refresh, ticket as u8);
                request.issued += 1_000_000;
                request.expires += 2_000_000;
                net.request(member.0, ticket, &request);
            }
            5 | 6 if !down.contains(&member) => {
                net.kill(member);
                down.push(member);
                // A disk is lost only when everything is well, as an operator would see to: a network that loses more
                // disks than it has shares to spare is lost.
                let whole = net
                    .members
                    .values()
                    .filter(|other| other.keys().iter().any(|key| key.level == Level::Complete))
                    .count();
                if lost == 0 && whole >= usize::from(threshold) && dice.next_u32() % 3 == 0 {
                    net.records.remove(&member);
                    lost += 1;
                }
            }
            7 | 8 => {
                if let Some(back) = down.pop() {
                    net.boot(back);
                }
            }
            _ => {}
        }
        let steps = dice.next_u32() % 60;
        net.steps(steps);
        if dice.next_u32() % 3 == 0 {
            net.run(Duration::from_millis(u64::from(dice.next_u32() % 3000)));
        }
        net.check_one_key(seed);
    }
    // The storm is over.
    net.filter = None;
    net.shuffle = false;
    while let Some(back) = down.pop() {
        net.boot(back);
    }
    for one in 1..=members {
        for other in one + 1..=members {
            net.disconnect(MemberIndex(one), MemberIndex(other));
            net.connect(MemberIndex(one), MemberIndex(other));
        }
    }
    net.run(Duration::from_secs(60));
    let mut request = Request::new(Kind::Keygen, 250);
    request.issued += 1_000_000;
    request.expires += 2_000_000;
    let answer = net.ask(1, 1000, &request);
    assert!(answer.is_ok(), "seed {seed}: {answer:?} {:?}", keys(&net));
    let public = net.public_key(&answer);
    let mut sign = Request::new(Kind::Sign, 251);
    sign.issued += 1_000_000;
    sign.expires += 2_000_000;
    for member in 1..=members {
        sign.nonce = [251, member as u8].repeat(16).try_into().unwrap();
        let answer = net.ask(member, 2000 + u64::from(member), &sign);
        let Ok(Response::Signature { signature, .. }) = &answer else {
            panic!("seed {seed}: {answer:?} {:?}", keys(&net));
        };
        assert!(verifies(Scheme::Secp256k1, &public, &sign.message, signature));
    }
    net.check_one_key(seed);
    assert!(net.blamed().is_empty(), "seed {seed}");
}

fn keys(net: &Net) -> Vec<(u16, Vec<jeju_mpc::member::RootInfo>)> {
    net.members
        .iter()
        .map(|(member, state)| (member.0, state.keys()))
        .collect()
}

#[test]
fn one_key_whatever_happens() {
    let seeds = std::env::var("SEEDS")
        .ok()
        .and_then(|seeds| seeds.parse().ok())
        .unwrap_or(60);
    let first = std::env::var("FIRST")
        .ok()
        .and_then(|first| first.parse().ok())
        .unwrap_or(0);
    for seed in first..first + seeds {
        let (threshold, members) = [(2, 3), (2, 4), (3, 5), (2, 2)][seed as usize % 4];
        storm(seed, threshold, members);
    }
}

/// A member dies after each message of a key generation or refresh, with its disk or without, and comes back.
#[test]
fn death_at_every_step() {
    for (kind, keep) in [
        (Kind::Keygen, true),
        (Kind::Keygen, false),
        (Kind::Refresh, true),
        (Kind::Refresh, false),
    ] {
        for dies in [1, 3] {
            let mut steps = 0;
            loop {
                let mut net = Net::new(2, 3, 21);
                let mut public = None;
                if kind == Kind::Refresh {
                    let answer = net.ask(1, 1, &Request::new(Kind::Keygen, 1));
                    public = Some(net.public_key(&answer));
                }
                net.run(Duration::from_secs(3));
                net.request(1, 2, &Request::new(kind, 2));
                let left = net.steps(steps);
                let told = net.answer(2).cloned();
                net.kill(MemberIndex(dies));
                if !keep {
                    net.records.remove(&MemberIndex(dies));
                }
                net.run(Duration::from_millis(100));
                net.boot(MemberIndex(dies));
                net.run(Duration::from_secs(25));
                let mut again = Request::new(Kind::Keygen, 3);
                again.issued += 100;
                let answer = net.ask(2, 3, &again);
                let now = net.public_key(&answer);
                if let Some(Ok(_)) = &told {
                    public = Some(net.public_key(told.as_ref().unwrap()));
                }
                assert!(
                    public.is_none_or(|public| public == now),
                    "{kind:?}, member {dies} after {steps}"
                );
                let mut sign = Request::new(Kind::Sign, 4);
                sign.issued += 100;
                let answer = net.ask(dies, 4, &sign);
                assert!(
                    answer.is_ok(),
                    "{kind:?}, member {dies} after {steps}: {answer:?}"
                );
                assert!(net.blamed().is_empty());
                if !left {
                    break;
                }
                steps += 1;
            }
            assert!(steps > 30, "{steps} steps");
        }
    }
}
