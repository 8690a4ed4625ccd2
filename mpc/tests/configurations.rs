//! Who the members are changes by configurations that governance signs and members approve, and by nothing else.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use jeju_attestation::hex_bytes::HexBytes;
use jeju_mpc::authority::payload::HexData;
use jeju_mpc::authority::typed_data::TypedData;
use jeju_mpc::configuration::{
    Approved, Chain, Configuration, ConfigurationError, Founding, Place, Proposal,
};
use jeju_mpc::identity::IdentityKey;
use jeju_mpc::member::{Event, Input, Member, Membership, Response, RestoreError, Setup};
use jeju_mpc::message::{Level, Message};
use jeju_mpc::network::{MemberIndex, Scheme};
use jeju_mpc::refusal::Refusal;
use jeju_mpc::time::Interval;
use jeju_wallet_auth::signature::AccountKey;
use rand_core::OsRng;
use serde_json::json;

mod support;

use support::{Fate, Kind, Net, Request};

const NEWCOMER: [u8; 32] = [0xaa; 32];

fn governance() -> AccountKey {
    AccountKey::from_bytes(&[4; 32]).unwrap()
}

fn place(agent: u8) -> Place {
    Place {
        agent: HexBytes([agent; 32]),
        platform: HexBytes([agent + 100; 32]),
    }
}

fn founding(members: u8) -> Founding {
    Founding {
        governance: Some(governance().account()),
        places: (1..=members).map(place).collect(),
    }
}

fn signed(configuration: Configuration) -> Proposal {
    let signature = governance().sign(&configuration.digest());
    Proposal {
        configuration,
        signature: HexData(signature.0.to_vec()),
    }
}

/// A network of which all members have the root key.
fn with_key(threshold: u16, members: u8, seed: u64) -> Net {
    let mut net = Net::founded(threshold, members.into(), seed, Some(founding(members)));
    net.run(Duration::from_secs(5));
    assert!(net.ask(1, 1, &Request::new(Kind::Keygen, 1)).is_ok());
    net.run(Duration::from_secs(5));
    net
}

/// The next configuration as member 1 sees it, with another agent in a place.
fn draft(net: &Net, at: usize, agent: [u8; 32]) -> Configuration {
    let member = &net.members[&MemberIndex(1)];
    let mut places = member.configurations().places().to_vec();
    places[at - 1].agent = HexBytes(agent);
    let root_key = member.root_key().unwrap_or([2; 33]);
    member.configurations().draft(root_key, places)
}

fn propose(net: &mut Net, member: u16, ticket: u64, bytes: &[u8]) -> Result<Response, Refusal> {
    net.put(MemberIndex(member), Input::Request { ticket, bytes });
    for _ in 0..300 {
        if let Some(answer) = net.answer(ticket) {
            return answer.clone();
        }
        net.run(Duration::from_millis(100));
    }
    panic!("no answer to {ticket}");
}

fn numbers(net: &Net) -> Vec<u32> {
    let number = |member: &jeju_mpc::member::Member| member.configurations().number();
    net.members.values().map(number).collect()
}

#[test]
fn a_place_passes_to_another_agent_which_is_repaired_and_signs() {
    let mut net = with_key(2, 3, 1);
    let asked = Request::new(Kind::Sign, 2);
    let before = net.ask(1, 2, &asked);
    net.kill(MemberIndex(2));
    let first = signed(draft(&net, 2, NEWCOMER));
    let digest = first.configuration.digest();
    let answer = propose(&mut net, 1, 3, &first.to_bytes());
    assert_eq!(answer, Ok(Response::Configured { number: 1, digest }));
    net.run(Duration::from_secs(5));
    assert_eq!(numbers(&net), [1, 1]);

    // Another machine with an empty disk.
    net.records.remove(&MemberIndex(2));
    net.agents.insert(MemberIndex(2), NEWCOMER);
    net.boot(MemberIndex(2));
    net.run(Duration::from_secs(30));
    // It admits them, and they admit it, by the configuration that they showed it.
    net.connect(MemberIndex(1), MemberIndex(2));
    net.connect(MemberIndex(2), MemberIndex(3));
    net.run(Duration::from_secs(30));
    assert_eq!(numbers(&net), [1, 1, 1]);
    let key = net.members[&MemberIndex(2)].keys()[0].clone();
    assert!(key.level >= Level::Confirmed);
    assert!(
        net.events
            .iter()
            .any(|(member, event)| *member == MemberIndex(2) && matches!(event, Event::Repaired { .. }))
    );
    net.kill(MemberIndex(1));
    let mut again = Request::new(Kind::Sign, 4);
    again.issued = support::START + 100;
    let after = net.ask(2, 4, &again);
    assert_eq!(net.public_key(&after), net.public_key(&before));

    // And the one after that, which a restarted member still knows.
    net.boot(MemberIndex(1));
    net.run(Duration::from_secs(10));
    let proposal = signed(draft(&net, 3, [0xbb; 32]));
    assert_eq!(proposal.configuration.previous.0, digest);
    let answer = propose(&mut net, 2, 5, &proposal.to_bytes());
    assert!(
        matches!(answer, Ok(Response::Configured { number: 2, .. })),
        "{answer:?}"
    );
    // Asked again, it is what is in force; the one before isn't any more.
    assert_eq!(propose(&mut net, 2, 6, &proposal.to_bytes()), answer);
    let number = Refusal::Configuration(ConfigurationError::Number);
    assert_eq!(propose(&mut net, 2, 7, &first.to_bytes()), Err(number));
}

#[test]
fn who_lost_its_place_gets_no_message_and_takes_part_in_nothing() {
    let mut net = with_key(2, 3, 2);
    // Member 2 doesn't hear of it.
    net.disconnect(MemberIndex(1), MemberIndex(2));
    net.disconnect(MemberIndex(2), MemberIndex(3));
    net.connect(MemberIndex(2), MemberIndex(3));
    net.filter = Some(Box::new(|_, to, message| match message {
        Message::ConfigurationShown { .. } if to == MemberIndex(2) => Fate::Drop,
        _ => Fate::Deliver,
    }));
    let proposal = signed(draft(&net, 2, NEWCOMER));
    assert!(propose(&mut net, 1, 2, &proposal.to_bytes()).is_ok());
    net.run(Duration::from_secs(1));
    net.filter = Some(Box::new(|from, to, message| {
        assert!(to != MemberIndex(2), "{from:?} sends {message:?}");
        Fate::Deliver
    }));
    net.run(Duration::from_secs(30));
    assert_eq!(numbers(&net), [1, 0, 1]);
    assert_eq!(
        net.members[&MemberIndex(3)].reachable(),
        [MemberIndex(1), MemberIndex(3)]
    );
    // It is told after all, by somebody: from then on it does nothing itself.
    net.filter = None;
    let approved = net.members[&MemberIndex(1)]
        .configurations()
        .later(1)
        .unwrap()
        .clone();
    let message = Message::ConfigurationShown {
        proposal: approved.proposal.to_bytes(),
        approval: approved.approval,
    };
    net.inject(MemberIndex(3), MemberIndex(2), &message);
    net.run(Duration::from_secs(1));
    assert_eq!(numbers(&net), [1, 1, 1]);
    let mut sign = Request::new(Kind::Sign, 9);
    sign.issued = support::START + 20;
    assert_eq!(net.ask(2, 9, &sign), Err(Refusal::NoPlace));
}

#[test]
fn who_lost_its_place_is_told_as_the_last_thing() {
    let mut net = with_key(2, 3, 15);
    let after: Rc<RefCell<Vec<Message>>> = Rc::default();
    let heard = Rc::clone(&after);
    net.filter = Some(Box::new(move |_, to, message| {
        let mut heard = heard.borrow_mut();
        let told = matches!(message, Message::ConfigurationShown { .. });
        if to == MemberIndex(2) && (told || !heard.is_empty()) {
            heard.push(message.clone());
        }
        Fate::Deliver
    }));
    let proposal = signed(draft(&net, 2, NEWCOMER));
    assert!(propose(&mut net, 1, 2, &proposal.to_bytes()).is_ok());
    net.run(Duration::from_secs(30));
    assert_eq!(numbers(&net), [1, 1, 1]);
    // Whichever of the others it heard first: what the second one says until it adopts comes between.
    let after = after.borrow();
    let told = matches!(after.last(), Some(Message::ConfigurationShown { .. }));
    assert!(told, "{after:?}");
    let mut sign = Request::new(Kind::Sign, 9);
    sign.issued = support::START + 30;
    assert_eq!(net.ask(2, 9, &sign), Err(Refusal::NoPlace));
    assert_eq!(
        net.members[&MemberIndex(1)].reachable(),
        [MemberIndex(1), MemberIndex(3)]
    );
}

#[test]
fn who_lost_its_place_gives_no_share_to_what_it_began() {
    // Twice the same network: what is approved in one is in the other too.
    let mut other = with_key(2, 3, 16);
    let proposal = signed(draft(&other, 2, NEWCOMER));
    assert!(propose(&mut other, 1, 2, &proposal.to_bytes()).is_ok());
    let approved = other.members[&MemberIndex(1)]
        .configurations()
        .later(1)
        .unwrap()
        .clone();
    for told in [false, true] {
        let mut net = with_key(2, 3, 16);
        net.kill(MemberIndex(3));
        let package: Rc<RefCell<Option<Message>>> = Rc::default();
        let held = Rc::clone(&package);
        net.filter = Some(Box::new(move |_, to, message| match message {
            Message::SignPackage { .. } if to == MemberIndex(2) => {
                held.borrow_mut().get_or_insert(message.clone());
                Fate::Drop
            }
            _ => Fate::Deliver,
        }));
        net.request(1, 5, &Request::new(Kind::Sign, 5));
        net.run(Duration::from_millis(100));
        let package = package.borrow_mut().take().unwrap();
        if told {
            let message = Message::ConfigurationShown {
                proposal: approved.proposal.to_bytes(),
                approval: approved.approval,
            };
            net.inject(MemberIndex(1), MemberIndex(2), &message);
        }
        net.inject(MemberIndex(1), MemberIndex(2), &package);
        net.run(Duration::from_millis(100));
        let gave = |(member, event): &(MemberIndex, Event)| {
            *member == MemberIndex(2) && matches!(event, Event::ShareGiven { .. })
        };
        assert_eq!(net.events.iter().any(gave), !told);
    }
}

#[test]
fn a_member_that_was_away_takes_over_what_it_missed() {
    let mut net = with_key(2, 3, 3);
    net.kill(MemberIndex(3));
    for (number, agent) in [(1, [0xaa; 32]), (2, [2; 32]), (3, [0xcc; 32]), (4, [2; 32])] {
        let proposal = signed(draft(&net, 2, agent));
        let answer = propose(&mut net, 1, 10 + u64::from(number), &proposal.to_bytes());
        assert!(
            matches!(answer, Ok(Response::Configured { number: n, .. }) if n == number),
            "{answer:?}"
        );
        // The same machine goes on under each name, so that there are two members.
        net.agents.insert(MemberIndex(2), agent);
        net.kill(MemberIndex(2));
        net.boot(MemberIndex(2));
        net.run(Duration::from_secs(10));
        net.connect(MemberIndex(1), MemberIndex(2));
        net.run(Duration::from_secs(10));
    }
    net.boot(MemberIndex(3));
    net.run(Duration::from_secs(10));
    assert_eq!(numbers(&net), [4, 4, 4]);
    // From its disk, with nobody to ask.
    net.kill(MemberIndex(1));
    net.kill(MemberIndex(2));
    net.kill(MemberIndex(3));
    net.boot(MemberIndex(3));
    assert_eq!(numbers(&net), [4]);
}

/// A chain with this key as its root key, alone.
fn chain() -> (Chain, Configuration) {
    let net = with_key(2, 3, 4);
    let chain = net.members[&MemberIndex(1)].configurations().clone();
    let next = draft(&net, 2, NEWCOMER);
    (chain, next)
}

#[test]
fn each_reason_to_refuse_a_configuration() {
    let (chain, good) = chain();
    let root_key = Some(good.root_key.0);
    assert_eq!(chain.judge(&signed(good.clone()), root_key), Ok(()));
    let refused = |change: &dyn Fn(&mut Configuration)| {
        let mut changed = good.clone();
        change(&mut changed);
        assert_ne!(changed.digest(), good.digest(), "everything is signed");
        chain.judge(&signed(changed), root_key).unwrap_err()
    };
    use ConfigurationError as E;
    assert_eq!(refused(&|next| next.number = 0), E::Number);
    assert_eq!(refused(&|next| next.number = 2), E::Number);
    assert_eq!(refused(&|next| next.previous.0[0] ^= 1), E::Previous);
    assert_eq!(refused(&|next| next.network.0[0] ^= 1), E::Previous);
    assert_eq!(refused(&|next| next.chain_id += 1), E::Previous);
    assert_eq!(refused(&|next| next.threshold = 3), E::Shape);
    assert_eq!(refused(&|next| next.threshold = 1), E::Shape);
    assert_eq!(refused(&|next| next.places.truncate(2)), E::Shape);
    assert_eq!(refused(&|next| next.places.push(place(9))), E::Shape);
    assert_eq!(refused(&|next| next.places[1].agent = place(1).agent), E::Place);
    assert_eq!(
        refused(&|next| next.places[1].platform = place(3).platform),
        E::Place
    );
    assert_eq!(refused(&|next| next.places[1].agent.0 = [0; 32]), E::Place);
    assert_eq!(refused(&|next| next.places[1].platform.0 = [0; 32]), E::Place);
    assert_eq!(refused(&|next| next.places[1] = place(2)), E::Changes);
    assert_eq!(
        refused(&|next| next.places[2] = place(8)),
        E::Changes,
        "two of three"
    );
    assert_eq!(refused(&|next| next.root_key.0[1] ^= 1), E::RootKey);

    let mut other = signed(good.clone());
    other.signature = HexData(
        AccountKey::from_bytes(&[5; 32])
            .unwrap()
            .sign(&good.digest())
            .0
            .to_vec(),
    );
    assert_eq!(chain.judge(&other, root_key), Err(E::Governance));
    other.signature = HexData(vec![0; 65]);
    assert_eq!(chain.judge(&other, root_key), Err(E::Governance));
    other.signature = HexData(Vec::new());
    assert_eq!(chain.judge(&other, root_key), Err(E::Governance));

    let net = Net::new(2, 3, 1);
    let closed = Founding {
        governance: None,
        ..founding(3)
    };
    let closed = Chain::new(net.network.clone(), closed);
    assert_eq!(closed.judge(&signed(good), root_key), Err(E::Closed));
    assert_eq!(
        (chain.digest_of(0), chain.digest_of(1)),
        (Some(chain.digest()), None)
    );
    let codes: std::collections::BTreeSet<_> = E::ALL.iter().map(|error| error.code()).collect();
    assert_eq!(codes.len(), E::ALL.len());
    assert!(E::ALL.iter().enumerate().all(|(at, error)| *error as usize == at));
}

#[test]
fn governance_alone_changes_nothing() {
    let mut net = with_key(2, 3, 5);
    net.kill(MemberIndex(2));
    net.kill(MemberIndex(3));
    let proposal = signed(draft(&net, 2, NEWCOMER));
    let answer = propose(&mut net, 1, 2, &proposal.to_bytes());
    assert!(
        matches!(
            answer,
            Err(Refusal::NoQuorum {
                reachable: 1,
                needed: 2
            })
        ),
        "{answer:?}"
    );
    assert_eq!(numbers(&net), [0]);
    // Nor with an approval that is none.
    let member = &net.members[&MemberIndex(1)];
    for approval in [[0; 65], [2; 65]] {
        let proposal = proposal.clone();
        let mut chain = member.configurations().clone();
        let adopted = chain.adopt(Approved { proposal, approval }, member.root_key());
        assert_eq!(adopted, Err(ConfigurationError::Approval));
    }
}

#[test]
fn an_approval_is_for_one_configuration_and_is_not_made_up_by_a_peer() {
    let mut net = with_key(2, 3, 6);
    let proposal = signed(draft(&net, 2, NEWCOMER));
    net.disconnect(MemberIndex(1), MemberIndex(3));
    net.disconnect(MemberIndex(2), MemberIndex(3));
    net.connect(MemberIndex(3), MemberIndex(1));
    net.filter = Some(Box::new(|_, to, message| {
        let tells = matches!(message, Message::ConfigurationShown { .. });
        if tells && to == MemberIndex(3) {
            Fate::Drop
        } else {
            Fate::Deliver
        }
    }));
    assert!(propose(&mut net, 1, 2, &proposal.to_bytes()).is_ok());
    let approved = net.members[&MemberIndex(1)]
        .configurations()
        .later(1)
        .unwrap()
        .clone();
    let other = signed(draft_of(&approved, [0xbb; 32]));
    let mut wrong = approved.approval;
    wrong[40] ^= 1;
    for (proposal, approval) in [(&other, approved.approval), (&approved.proposal, wrong)] {
        let message = Message::ConfigurationShown {
            proposal: proposal.to_bytes(),
            approval,
        };
        net.inject(MemberIndex(1), MemberIndex(3), &message);
    }
    net.run(Duration::from_secs(1));
    assert_eq!(net.members[&MemberIndex(3)].configurations().number(), 0);
    let message = Message::ConfigurationShown {
        proposal: approved.proposal.to_bytes(),
        approval: approved.approval,
    };
    net.inject(MemberIndex(1), MemberIndex(3), &message);
    net.run(Duration::from_secs(1));
    assert_eq!(net.members[&MemberIndex(3)].configurations().number(), 1);
}

fn draft_of(approved: &Approved, agent: [u8; 32]) -> Configuration {
    let mut other = approved.proposal.configuration.clone();
    other.places[1].agent = HexBytes(agent);
    other
}

#[test]
fn a_member_approves_one_configuration_of_a_number_also_after_a_restart() {
    let mut net = with_key(2, 3, 7);
    let one = signed(draft(&net, 2, NEWCOMER));
    let other = signed(draft(&net, 2, [0xbb; 32]));
    // All of them approve, but no share of it arrives: nothing is in force.
    net.filter = Some(Box::new(|_, _, message| match message {
        Message::SignShare { .. } => Fate::Drop,
        _ => Fate::Deliver,
    }));
    for member in 1..=3 {
        let answer = propose(&mut net, member, u64::from(member) + 1, &one.to_bytes());
        assert!(answer.is_err());
    }
    net.filter = None;
    assert_eq!(numbers(&net), [0, 0, 0]);
    for member in 1..=3 {
        net.kill(MemberIndex(member));
    }
    for member in 1..=3 {
        net.boot(MemberIndex(member));
    }
    net.run(Duration::from_secs(10));
    let voted = Refusal::Configuration(ConfigurationError::Voted);
    for member in 1..=3 {
        let answer = propose(&mut net, member, 10 + u64::from(member), &other.to_bytes());
        assert_eq!(answer, Err(voted.clone()));
    }
    assert!(propose(&mut net, 3, 20, &one.to_bytes()).is_ok());
}

/// A network of which these members approve one configuration, and the others another one of the same number.
fn split(threshold: u16, members: u8, first: &[u16]) -> (Net, [Proposal; 2]) {
    let mut net = with_key(threshold, members, 17);
    let proposals = [NEWCOMER, [0xbb; 32]].map(|agent| signed(draft(&net, 2, agent)));
    net.filter = Some(Box::new(|_, _, message| match message {
        Message::SignInit { .. } => Fate::Drop,
        _ => Fate::Deliver,
    }));
    for member in 1..=u16::from(members) {
        let proposal = &proposals[usize::from(!first.contains(&member))];
        let ticket = 700 + u64::from(member);
        assert!(propose(&mut net, member, ticket, &proposal.to_bytes()).is_err());
        let approves = net.members[&MemberIndex(member)].approves();
        assert_eq!(approves, Some(proposal.configuration.digest()));
    }
    net.filter = None;
    (net, proposals)
}

/// Where 2t − 1 is n, one of two proposals always has enough members; with fewer spare ones, perhaps neither.
#[test]
fn votes_that_are_split_between_two_proposals_of_one_number() {
    let voted = Err(Refusal::Configuration(ConfigurationError::Voted));
    let (mut net, [one, other]) = split(2, 3, &[1, 2]);
    assert_eq!(propose(&mut net, 1, 10, &other.to_bytes()), voted);
    assert_eq!(propose(&mut net, 3, 11, &other.to_bytes()), voted);
    assert!(propose(&mut net, 2, 12, &one.to_bytes()).is_ok());
    net.run(Duration::from_secs(5));
    assert_eq!(numbers(&net), [1, 1, 1]);
    assert!(net.members.values().all(|member| member.approves().is_none()));

    let (mut net, proposals) = split(3, 4, &[1, 2]);
    for restarted in [false, true] {
        for (at, proposal) in proposals.iter().enumerate() {
            for member in 1..=4 {
                let ticket = 800 + u64::from(restarted) * 20 + at as u64 * 10 + u64::from(member);
                assert_eq!(propose(&mut net, member, ticket, &proposal.to_bytes()), voted);
            }
        }
        for member in (1..=4).map(MemberIndex) {
            net.kill(member);
            net.boot(member);
        }
        net.run(Duration::from_secs(30));
        assert_eq!(numbers(&net), [0; 4]);
    }
    // That number is lost, not the key.
    let mut sign = Request::new(Kind::Sign, 9);
    sign.issued = support::START + 1000;
    sign.expires = support::START + 2000;
    let answer = net.ask(1, 900, &sign);
    assert!(matches!(answer, Ok(Response::Signature { .. })), "{answer:?}");
}

#[test]
fn a_rival_that_came_too_late_gets_no_vote_of_the_next_number() {
    // Twice the same network: what is approved in one is in the other too.
    let approved = |lost: u16| {
        let mut other = with_key(2, 3, 21);
        let proposal = signed(draft(&other, lost.into(), NEWCOMER));
        assert!(propose(&mut other, 4 - lost, 2, &proposal.to_bytes()).is_ok());
        let member = &other.members[&MemberIndex(4 - lost)];
        member.configurations().later(1).unwrap().clone()
    };
    let mut net = with_key(2, 3, 21);
    let asked: Rc<RefCell<Option<MemberIndex>>> = Rc::default();
    let noted = Rc::clone(&asked);
    net.filter = Some(Box::new(move |_, to, message| match message {
        Message::SignInit { .. } => {
            noted.borrow_mut().get_or_insert(to);
            Fate::Drop
        }
        _ => Fate::Deliver,
    }));
    let rival = signed(draft(&net, 2, NEWCOMER)).to_bytes();
    net.put(
        MemberIndex(2),
        Input::Request {
            ticket: 2,
            bytes: &rival,
        },
    );
    net.run(Duration::from_millis(100));
    // The one that it waits for loses its place to a configuration that the other one shows.
    let lost = asked.borrow_mut().take().unwrap();
    let first = approved(lost.0);
    let message = Message::ConfigurationShown {
        proposal: first.proposal.to_bytes(),
        approval: first.approval,
    };
    net.inject(MemberIndex(4 - lost.0), MemberIndex(2), &message);
    net.run(Duration::from_millis(100));
    let member = &net.members[&MemberIndex(2)];
    assert_eq!((member.configurations().number(), member.approves()), (1, None));
    let late = Refusal::Configuration(ConfigurationError::Number);
    assert_eq!(net.answer(2), Some(&Err(late)));
    assert_eq!(*asked.borrow(), None, "nobody was asked again");
}

#[test]
fn of_two_proposals_at_once_at_most_one_comes_into_force() {
    for seed in 0..60 {
        let mut net = with_key(2, 3, 100 + seed);
        net.shuffle = true;
        for (member, agent) in [(1, 0xaa), (3, 0xbb)] {
            let bytes = signed(draft(&net, 2, [agent; 32])).to_bytes();
            net.put(
                MemberIndex(member),
                Input::Request {
                    ticket: 50 + u64::from(member),
                    bytes: &bytes,
                },
            );
        }
        net.run(Duration::from_secs(60));
        let chains: std::collections::BTreeSet<[u8; 32]> = net
            .members
            .values()
            .filter(|member| member.configurations().number() == 1)
            .map(|member| member.configurations().digest())
            .collect();
        assert!(chains.len() <= 1, "seed {seed}");
        let done = |ticket| matches!(net.answer(ticket), Some(Ok(_)));
        assert!(!(done(51) && done(53)), "seed {seed}");
    }
}

#[test]
fn the_root_key_signs_for_no_user_whatever_an_authority_allows() {
    let mut net = with_key(2, 3, 8);
    let message = draft(&net, 2, NEWCOMER).approved_message();
    for (nonce, scheme) in [(10, Scheme::Secp256k1), (20, Scheme::Taproot)] {
        for (kind, dedicated) in [
            (Kind::Sign, true),
            (Kind::Sign, false),
            (Kind::Keygen, true),
            (Kind::Refresh, true),
        ] {
            let nonce = nonce + kind as u8 * 2 + u8::from(dedicated);
            let mut request = Request::new(kind, nonce).scheme(scheme);
            request.key = net.network.root(scheme).0;
            request.dedicated = dedicated;
            request.message = message;
            let answer = net.ask(1, 100 + u64::from(nonce), &request);
            assert_eq!(answer, Err(Refusal::NotAllowed));
            // Nor for a coordinator that passes it on itself.
            let init = Message::SignInit {
                exchange: [nonce; 16],
                root: net.network.root(scheme),
                sharing: [0; 32],
                request: request.bytes(),
            };
            net.inject(MemberIndex(2), MemberIndex(3), &init);
            net.run(Duration::from_secs(1));
        }
    }
    let gave = |event: &Event| matches!(event, Event::ShareGiven { message: given, .. } if *given == message);
    assert!(!net.events.iter().any(|(_, event)| gave(event)));
    // What the members approve is not what a user's key signs either, though it signs any 32 bytes.
    let mut sign = Request::new(Kind::Sign, 90);
    sign.message = message;
    let Ok(Response::Signature { signature, .. }) = net.ask(1, 300, &sign) else {
        panic!("no signature");
    };
    let member = &net.members[&MemberIndex(1)];
    let mut chain = member.configurations().clone();
    let approved = Approved {
        proposal: signed(draft(&net, 2, NEWCOMER)),
        approval: signature.try_into().unwrap(),
    };
    assert_eq!(
        chain.adopt(approved, member.root_key()),
        Err(ConfigurationError::Approval)
    );
}

#[test]
fn without_a_root_key_there_is_nothing_to_approve_with() {
    let mut net = Net::founded(2, 3, 9, Some(founding(3)));
    net.run(Duration::from_secs(5));
    let proposal = signed(draft(&net, 2, NEWCOMER));
    assert_eq!(
        propose(&mut net, 1, 1, &proposal.to_bytes()),
        Err(Refusal::KeyUnknown)
    );
    assert_eq!(numbers(&net), [0, 0, 0]);
}

#[test]
fn a_network_without_governance_never_changes() {
    let founding = Founding {
        governance: None,
        ..founding(3)
    };
    let mut net = Net::founded(2, 3, 10, Some(founding));
    assert!(net.ask(1, 1, &Request::new(Kind::Keygen, 1)).is_ok());
    let proposal = signed(draft(&net, 2, NEWCOMER));
    let closed = Refusal::Configuration(ConfigurationError::Closed);
    assert_eq!(propose(&mut net, 1, 2, &proposal.to_bytes()), Err(closed));
}

#[test]
fn a_newcomer_takes_no_key_but_the_one_that_governance_named() {
    let mut net = with_key(2, 3, 11);
    let proposal = signed(draft(&net, 2, NEWCOMER));
    assert!(propose(&mut net, 1, 2, &proposal.to_bytes()).is_ok());
    // Another network of the same name, whose members are real and whose key is another one.
    let mut elsewhere = with_key(2, 3, 12);
    let real = signed(draft(&elsewhere, 2, NEWCOMER));
    assert!(propose(&mut elsewhere, 1, 2, &real.to_bytes()).is_ok());
    let approved = net.members[&MemberIndex(1)]
        .configurations()
        .later(1)
        .unwrap()
        .clone();
    elsewhere.kill(MemberIndex(2));
    elsewhere.records.remove(&MemberIndex(2));
    elsewhere.agents.insert(MemberIndex(2), NEWCOMER);
    elsewhere.boot(MemberIndex(2));
    let message = Message::ConfigurationShown {
        proposal: approved.proposal.to_bytes(),
        approval: approved.approval,
    };
    elsewhere.put(
        MemberIndex(2),
        Input::Message {
            from: MemberIndex(1),
            bytes: &message.encode(),
        },
    );
    assert_eq!(elsewhere.members[&MemberIndex(2)].configurations().number(), 1);
    elsewhere.run(Duration::from_secs(30));
    elsewhere.connect(MemberIndex(2), MemberIndex(3));
    elsewhere.connect(MemberIndex(2), MemberIndex(1));
    elsewhere.run(Duration::from_secs(30));
    assert!(elsewhere.members[&MemberIndex(2)].root_key().is_none());
}

#[test]
fn typed_data_is_a_configurations_to_the_last_field() {
    let (_, configuration) = chain();
    let typed_data = configuration.typed_data();
    assert_eq!(
        Configuration::of_typed_data(&typed_data),
        Some(configuration.clone())
    );
    // What wallets make of it is what members check.
    let read: TypedData = serde_json::from_value(typed_data.clone()).unwrap();
    assert_eq!(read.hash().unwrap().digest, configuration.digest());
    for (pointer, value) in [
        ("/primaryType", json!("Place")),
        ("/domain/name", json!("Jeju")),
        ("/domain/version", json!("2")),
        ("/domain/chainId", json!("31337")),
        ("/types/Place/0/name", json!("agents")),
        ("/message/number", json!(-1)),
        ("/message/places/0/agent", json!("0x00")),
    ] {
        let mut changed = typed_data.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        assert_eq!(Configuration::of_typed_data(&changed), None, "{pointer}");
    }
    let mut more = typed_data.clone();
    more["message"]["more"] = json!(1);
    assert_eq!(Configuration::of_typed_data(&more), None);
    let mut other = typed_data;
    other["message"]["number"] = json!(2);
    assert_ne!(Configuration::of_typed_data(&other), Some(configuration));
}

#[test]
fn a_record_of_a_configuration_that_nobody_approved_ends_the_start() {
    let mut net = with_key(2, 3, 13);
    let proposal = signed(draft(&net, 2, NEWCOMER));
    assert!(propose(&mut net, 1, 2, &proposal.to_bytes()).is_ok());
    let name = "configuration-00000001";
    let start = |change: usize| {
        let mut records = net.records[&MemberIndex(1)].clone();
        let record = records.get_mut(name).unwrap();
        let at = record.len() - 1;
        record[at] ^= change as u8;
        let setup = Setup {
            network: net.network.clone(),
            me: MemberIndex(1),
            membership: Some(Membership {
                agent: [1; 32],
                founding: founding(3),
            }),
            identity: IdentityKey::generate(&mut OsRng),
        };
        let now = Interval::exact(support::START);
        let authority = Box::<support::TestAuthority>::default();
        Member::new(setup, authority, records.into_iter().collect(), now, &mut OsRng)
    };
    assert!(start(0).is_ok());
    assert!(matches!(
        start(1).err(),
        Some(RestoreError::Record { name: found, .. }) if found == name
    ));
}
