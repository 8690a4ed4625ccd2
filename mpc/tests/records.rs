//! What is kept, what a member makes of damaged or foreign records, and where shares are never seen.

use std::time::Duration;

use frost_secp256k1::keys::KeyPackage;
use jeju_mpc::identity::IdentityKey;
use jeju_mpc::member::{Input, Member, RestoreError, Setup};
use jeju_mpc::message::Message;
use jeju_mpc::network::{MemberIndex, Network};
use jeju_mpc::time::Interval;
use jeju_mpc::wire::WireError;
use zeroize::Zeroizing;

mod support;

use support::{Fate, Kind, Net, Request, START, TestAuthority};

fn start(network: &Network, me: u16, records: Vec<(String, Vec<u8>)>) -> Result<Member, RestoreError> {
    let setup = Setup {
        network: network.clone(),
        me: MemberIndex(me),
        membership: None,
        identity: IdentityKey::generate(&mut rand_core::OsRng),
    };
    let records = records
        .into_iter()
        .map(|(name, record)| (name, Zeroizing::new(record)))
        .collect();
    Member::new(
        setup,
        Box::<TestAuthority>::default(),
        records,
        Interval::exact(START),
        &mut rand_core::OsRng,
    )
}

fn error(network: &Network, me: u16, name: &str, record: &[u8]) -> WireError {
    match start(network, me, vec![(name.to_owned(), record.to_vec())]) {
        Err(RestoreError::Record { error, .. }) => error,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("started"),
    }
}

fn with_key() -> (Net, String, Vec<u8>) {
    let mut net = Net::new(2, 3, 31);
    assert!(net.ask(1, 1, &Request::new(Kind::Keygen, 1)).is_ok());
    net.run(Duration::from_secs(5));
    let (name, record) = net.records[&MemberIndex(1)].iter().next().unwrap();
    let (name, record) = (name.clone(), record.to_vec());
    (net, name, record)
}

#[test]
fn networks_that_are_none() {
    let network = |threshold, members| Network {
        genesis: [7; 32],
        chain_id: 1,
        threshold,
        members,
    };
    for (threshold, members, me) in [
        (0, 0, 1),
        (0, 1, 1),
        (1, 2, 1),
        (1, 3, 1),
        (4, 3, 1),
        (2, 33, 1),
        (2, 3, 0),
        (2, 3, 4),
    ] {
        let refused = start(&network(threshold, members), me, Vec::new()).err();
        assert_eq!(
            refused,
            Some(RestoreError::Network {
                threshold,
                members,
                me
            })
        );
    }
    for (threshold, members) in [(1, 1), (2, 2), (2, 32), (32, 32)] {
        assert!(start(&network(threshold, members), 1, Vec::new()).is_ok());
    }
}

#[test]
fn records_of_others_and_damaged_ones_are_refused() {
    let (net, name, record) = with_key();
    let network = &net.network;
    assert!(start(network, 1, vec![(name.clone(), record.clone())]).is_ok());
    assert_eq!(error(network, 2, &name, &record), WireError::Value("sharing"));
    let mut other = network.clone();
    other.genesis = [8; 32];
    assert_eq!(error(&other, 1, &name, &record), WireError::Value("network"));
    let mut other = network.clone();
    other.threshold = 3;
    assert_eq!(error(&other, 1, &name, &record), WireError::Value("sharing"));
    assert_eq!(error(network, 1, "root-0", &record), WireError::Value("name"));
    let with = |at: usize, value: u8| {
        let mut damaged = record.clone();
        damaged[at] = value;
        damaged
    };
    assert_eq!(error(network, 1, &name, &with(0, 2)), WireError::Value("version"));
    assert_eq!(error(network, 1, &name, &with(1, 5)), WireError::Value("kind"));
    assert_eq!(error(network, 1, &name, &with(66, 2)), WireError::Value("scheme"));
    assert_eq!(
        error(network, 1, &name, &with(66, 1)),
        WireError::Value("sharing")
    );
    assert_eq!(error(network, 1, &name, &with(69, 4)), WireError::Value("level"));
    let long = [record.as_slice(), &[0]].concat();
    assert_eq!(error(network, 1, &name, &long), WireError::Trailing);
    for end in 0..record.len() {
        assert_eq!(
            error(network, 1, &name, &record[..end]),
            WireError::Truncated,
            "cut at {end}"
        );
    }
    let key = 69 + 1 + 4 + 32;
    for (at, byte) in record.iter().enumerate().skip(key + 4).take(100) {
        error(network, 1, &name, &with(at, byte ^ 1));
    }
    let many = vec![(name.clone(), record.clone()); 70_000];
    assert_eq!(start(network, 1, many).err(), Some(RestoreError::TooMany(70_000)));
}

/// This member's share, as its record holds it.
fn share(record: &[u8]) -> Vec<u8> {
    let key = 69 + 1 + 4 + 32;
    let len = u32::from_be_bytes(record[key..key + 4].try_into().unwrap()) as usize;
    let package = KeyPackage::deserialize(&record[key + 4..key + 4 + len]).unwrap();
    package.signing_share().serialize()
}

#[test]
fn a_share_leaves_in_no_message_and_no_text() {
    let (mut net, _, record) = with_key();
    let canary = share(&record);
    assert!(record.windows(32).any(|bytes| bytes == canary));
    let (as_hex, as_list) = (hex::encode(&canary), format!("{:?}", &canary[..8]));
    let as_list = as_list.trim_matches(['[', ']']).to_owned();
    let secret = canary.clone();
    let sent = std::rc::Rc::new(std::cell::Cell::new(0));
    let count = sent.clone();
    net.filter = Some(Box::new(move |_, _, message: &Message| {
        let bytes = message.encode();
        assert!(!bytes.windows(32).any(|bytes| bytes == secret));
        let text = format!("{message:?}");
        assert!(!text.contains(&as_hex) && !text.contains(&as_list));
        let input = Input::Message {
            from: MemberIndex(1),
            bytes: &bytes,
        };
        assert!(format!("{input:?}").len() < 40);
        count.set(count.get() + 1);
        Fate::Deliver
    }));
    for nonce in 2..6 {
        assert!(
            net.ask(1, u64::from(nonce), &Request::new(Kind::Sign, nonce))
                .is_ok()
        );
    }
    net.kill(MemberIndex(2));
    net.records.remove(&MemberIndex(2));
    net.boot(MemberIndex(2));
    net.run(Duration::from_secs(5));
    assert_eq!(net.members[&MemberIndex(2)].keys().len(), 1);
    let mut refresh = Request::new(Kind::Refresh, 9);
    refresh.issued += 100;
    assert!(net.ask(1, 9, &refresh).is_ok());
    net.run(Duration::from_secs(5));
    assert!(sent.get() > 100);
    // After a refresh the old share is in no record.
    for records in net.records.values() {
        for record in records.values() {
            assert!(!record.windows(32).any(|bytes| bytes == canary));
        }
    }
    let events = format!("{:?} {:?}", net.events, net.answers);
    assert!(!events.contains(&hex::encode(&canary)));
}
