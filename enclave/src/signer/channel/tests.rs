use super::*;

const GENESIS: [u8; 32] = [0x33; 32];
const LOW: MemberIndex = MemberIndex(2);
const HIGH: MemberIndex = MemberIndex(5);

fn key(byte: u8) -> ChannelKey {
    ChannelKey::of(PrivateKey::from_private_key(&X25519, &[byte; 32]).unwrap()).unwrap()
}

/// Both ends of one channel.
fn pair() -> (Channel, Channel) {
    let (low, high) = (key(0x11), key(0x22));
    (
        Channel::new(&GENESIS, (LOW, &low), (HIGH, &high.public())).unwrap(),
        Channel::new(&GENESIS, (HIGH, &high), (LOW, &low.public())).unwrap(),
    )
}

/// Made with Python's `cryptography` 48 (OpenSSL): `X25519PrivateKey.from_private_bytes`, `HKDF(SHA256(), 64, None, info)`
/// over the exchanged secret with info = tag ‖ genesis ‖ both public keys ‖ 0002 0005, then `AESGCM` with nonce =
/// 4 zero bytes ‖ counter.
const VECTORS: [(&str, u64, &[u8], &str); 4] = [
    (
        "up",
        1,
        b"round one",
        "0000000000000001c0c65ed6f0887c129ef488ec80fb924ecdc1afdc7beab238fa",
    ),
    ("up", 2, b"", "00000000000000020b502648e129b140826e469ad9922a21"),
    (
        "down",
        1,
        b"round one",
        "00000000000000010ca5c1560d7b1b50781a224b9ca5072857f46fb08b4da0ecc9",
    ),
    ("down", 2, b"", "0000000000000002302ed6d283b362b61f1c0a5a9733f590"),
];

#[test]
fn known_answers() {
    let (mut low, mut high) = pair();
    for (direction, counter, text, sealed) in VECTORS {
        let (from, to) = match direction {
            "up" => (&mut low, &mut high),
            _ => (&mut high, &mut low),
        };
        assert_eq!(hex::encode(from.seal(text).unwrap()), sealed);
        assert_eq!(from.sent, counter);
        assert_eq!(to.open(&hex::decode(sealed).unwrap()).unwrap().as_slice(), text);
    }
}

#[test]
fn nothing_passes_twice_or_late() {
    let (mut low, mut high) = pair();
    let sealed: Vec<_> = (0..4).map(|text| low.seal(&[text]).unwrap()).collect();
    assert_eq!(high.open(&sealed[0]).unwrap().as_slice(), [0]);
    assert_eq!(
        high.open(&sealed[0]),
        Err(ChannelError::Replayed { found: 1, last: 1 })
    );
    // A lost message is no reason to stop, and doesn't come back.
    assert_eq!(high.open(&sealed[2]).unwrap().as_slice(), [2]);
    assert_eq!(
        high.open(&sealed[1]),
        Err(ChannelError::Replayed { found: 2, last: 3 })
    );
    assert_eq!(high.open(&sealed[3]).unwrap().as_slice(), [3]);
}

#[test]
fn every_changed_bit_is_noticed_and_locks_nothing_out() {
    let (mut low, mut high) = pair();
    let sealed = low.seal(b"share").unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let refused = high.open(&changed).unwrap_err();
        // The one flip that makes the counter zero is a replay.
        let expected = match bit {
            56 => ChannelError::Replayed { found: 0, last: 0 },
            _ => ChannelError::NotSealed,
        };
        assert_eq!(refused, expected, "bit {bit}");
    }
    for len in 0..sealed.len() {
        assert_eq!(high.open(&sealed[..len]), Err(ChannelError::NotSealed), "{len}");
    }
    assert_eq!(high.open(&sealed).unwrap().as_slice(), b"share");
}

#[test]
fn only_the_other_end_of_the_same_network_can_open() {
    let (low, high, other) = (key(0x11), key(0x22), key(0x44));
    let sealed = |text: &[u8]| pair().0.seal(text).unwrap();
    let refused = |channel: Result<Channel, ChannelError>| channel.unwrap().open(&sealed(b"share")).err();
    // The sender itself: a message that is sent back.
    assert_eq!(refused(Ok(pair().0)), Some(ChannelError::NotSealed));
    let own_end = |genesis: &[u8; 32], me, peer, key: &ChannelKey| {
        Channel::new(genesis, (me, key), (peer, &low.public()))
    };
    assert_eq!(refused(own_end(&GENESIS, HIGH, LOW, &high)), None);
    for (what, channel) in [
        ("another network", own_end(&[0x34; 32], HIGH, LOW, &high)),
        ("another member's key", own_end(&GENESIS, HIGH, LOW, &other)),
        ("another own index", own_end(&GENESIS, MemberIndex(6), LOW, &high)),
        (
            "another index of the peer",
            own_end(&GENESIS, HIGH, MemberIndex(1), &high),
        ),
        ("indices swapped", own_end(&GENESIS, LOW, HIGH, &high)),
        (
            "another boot of the peer",
            Channel::new(&GENESIS, (HIGH, &high), (LOW, &other.public())),
        ),
    ] {
        assert_eq!(refused(channel), Some(ChannelError::NotSealed), "{what}");
    }
}

/// Points of order 1, 2, 4 and 8, and their encodings beyond the field's prime: RFC 7748 §6.1, RFC 7748's errata and
/// <https://cr.yp.to/ecdh.html#validate>.
#[test]
fn points_of_low_order_are_refused() {
    let own = key(0x11);
    for point in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        // The first with the bit that X25519 ignores.
        "0000000000000000000000000000000000000000000000000000000000000080",
    ] {
        let point: [u8; 32] = hex::decode(point).unwrap().try_into().unwrap();
        let channel = Channel::new(&GENESIS, (LOW, &own), (HIGH, &point));
        assert_eq!(channel.err(), Some(ChannelError::PeerKey), "{point:02x?}");
    }
}

#[test]
fn a_member_has_no_channel_to_itself() {
    let (own, other) = (key(0x11), key(0x22));
    let refused = Some(ChannelError::PeerKey);
    assert_eq!(
        Channel::new(&GENESIS, (LOW, &own), (HIGH, &own.public())).err(),
        refused
    );
    assert_eq!(
        Channel::new(&GENESIS, (LOW, &own), (LOW, &other.public())).err(),
        refused
    );
}

#[test]
fn sizes_and_counters_end() {
    let (mut low, mut high) = pair();
    let longest = low.seal(&vec![7; MAX_MESSAGE]).unwrap();
    assert_eq!(longest.len(), MAX_SEALED);
    assert_eq!(high.open(&longest).unwrap().len(), MAX_MESSAGE);
    let too_long = Err(ChannelError::TooLong(MAX_MESSAGE + 1));
    assert_eq!(low.seal(&vec![7; MAX_MESSAGE + 1]), too_long);
    assert_eq!(
        high.open(&vec![7; MAX_SEALED + 1]).err(),
        Some(ChannelError::TooLong(MAX_MESSAGE + 1))
    );
    low.sent = u64::MAX - 1;
    let last = low.seal(b"last").unwrap();
    assert_eq!(high.open(&last).unwrap().as_slice(), b"last");
    assert_eq!(low.seal(b"one more"), Err(ChannelError::Exhausted));
    assert_eq!(low.seal(b"one more"), Err(ChannelError::Exhausted));
}

#[test]
fn debug_shows_no_key() {
    let (low, _) = pair();
    assert_eq!(format!("{low:?}"), "Channel { sent: 0, received: 0, .. }");
    assert_eq!(format!("{:?}", key(1)), "ChannelKey");
}
