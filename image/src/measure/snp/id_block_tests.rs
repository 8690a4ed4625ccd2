//! ID blocks against the published expectations of virtee/sev-snp-measure (commit 8f2b337, `tests/test_id_block.py`).

use super::*;
use crate::measure::snp::DEFAULT_POLICY;

/// Public halves of `tests/keyfile/id_key_test.pem` and `author_key_test.pem` there.
const ID: &str = concat!(
    "04b20fd1a1c2bd2b65183a76e2390ac805f6d8e5e2af725e5a8e93cf87ec029f9d45eb326b04b92beb714e14fa986f8a9a",
    "2c94a0b8ab30cc76352675944876891e954ff6ef5826a6231ba6d6d7f6ebfb68ce330e1e59394efb7080883ddc69364b"
);
const AUTHOR: &str = concat!(
    "0406811fc62409bf2d9ae51c07423254d893c6c23fbf164af3383b0f813a627e6168d9067a7f4bd97990588c18411210a0",
    "32b420a22656d271dcfd4e25668c72fd58bb5f6851fe472f9d160f880b14df4c3623068962cde4d608e737342da912c9"
);

#[test]
fn published_key_digests() {
    for (point, expected) in [
        (
            ID,
            "hwt+NcU/inLQ0yL3WrKvgmJ5Kq9leWIs5BMcPyHyied8sFYKXjuQs5MuZ07HCcsU",
        ),
        (
            AUTHOR,
            "YxEcNLv8Ckk4+aAJvQdJgNgXIyPmFZnJ/TNtqGcySOHcqY0L6PdjdqEGuK/UwKBX",
        ),
    ] {
        let key = IdPublicKey(hex::decode(point).unwrap().try_into().unwrap());
        assert_eq!(STANDARD.encode(key.digest()), expected);
    }
}

#[test]
fn published_block() {
    let digest = "B28FLQi9p6cAqipgjFyqawDrrSl7bWioWkWx5mmlWLZ+G5HShKMB/mPE+gdQRn7t";
    let block = IdBlock {
        launch_digest: STANDARD.decode(digest).unwrap().try_into().unwrap(),
        family_id: [0; 16],
        image_id: [0; 16],
        guest_svn: 0,
        policy: GuestPolicy(0x3_0000),
    };
    assert_eq!(
        STANDARD.encode(block.to_bytes()),
        format!("{digest}AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABAAAAAAAAAAAAAwAAAAAA")
    );
}

fn block() -> IdBlock {
    IdBlock {
        launch_digest: [7; 48],
        family_id: *b"jeju-compute----",
        image_id: *b"node------------",
        guest_svn: 3,
        policy: DEFAULT_POLICY,
    }
}

fn key() -> IdKey {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new());
    IdKey::from_der(pkcs8.unwrap().as_ref()).unwrap()
}

#[test]
fn signed_and_verified() {
    let (id, author) = (key(), key());
    for author in [None, Some(&author)] {
        let signed = block().sign(&id, author).unwrap();
        let expected = VerifiedIdBlock {
            block: block(),
            id_key_digest: id.public().digest(),
            author_key_digest: author.map(|author| author.public().digest()),
        };
        assert_eq!(verify(&signed.block, &signed.auth[..]), Ok(expected));

        let properties = signed.qemu_properties();
        assert_eq!(properties.ends_with(",author-key-enabled=on"), author.is_some());
        let value = |name: &str| {
            let mut values = properties.split(',').filter_map(|pair| pair.strip_prefix(name));
            STANDARD.decode(values.next().unwrap()).unwrap()
        };
        assert_eq!(value("id-block="), signed.block);
        assert_eq!(value("id-auth="), signed.auth[..]);
    }
}

/// Nothing in block or authentication information can be changed, unused bytes neither.
#[test]
fn every_byte_counts() {
    let (id, author) = (key(), key());
    for author in [None, Some(&author)] {
        let signed = block().sign(&id, author).unwrap();
        for at in 0..BLOCK {
            let mut changed = signed.block;
            changed[at] ^= 1;
            assert!(verify(&changed, &signed.auth[..]).is_err(), "{at:#x}");
        }
        // Each signature check takes a while in a debug build: all bytes with a meaning, some of the zeros.
        let start_of = [0, ID_BLOCK_SIG, ID_KEY, ID_KEY_SIG, AUTHOR_KEY];
        let used = start_of.into_iter().flat_map(|start| start..start + 160);
        for at in used.chain((0..AUTH).step_by(61)) {
            let mut changed = signed.auth.clone();
            changed[at] ^= 1;
            assert!(verify(&signed.block, &changed[..]).is_err(), "{at:#x}");
        }
        for length in [0, 1, AUTH - 1] {
            let short = verify(&signed.block, &signed.auth[..length]);
            assert!(matches!(short, Err(IdBlockError::Length { expected: AUTH, .. })));
        }
        for length in [0, BLOCK - 1] {
            let short = verify(&signed.block[..length], &signed.auth[..]);
            assert!(matches!(short, Err(IdBlockError::Length { expected: BLOCK, .. })));
        }
    }
    // The signature of another key.
    let mixed = block().sign(&id, None).unwrap();
    let mut auth = block().sign(&author, None).unwrap().auth;
    auth[ID_KEY..ID_KEY + KEY].copy_from_slice(&mixed.auth[ID_KEY..ID_KEY + KEY]);
    assert_eq!(
        verify(&mixed.block, &auth[..]),
        Err(IdBlockError::Signature("signature of the ID block"))
    );
}

#[test]
fn keys_in_files() {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(pkcs8.as_ref())
    );
    let key = IdKey::from_pem(pem.as_bytes()).unwrap();
    assert_eq!(key.public(), IdKey::from_der(pkcs8.as_ref()).unwrap().public());
    assert_eq!(IdKey::from_pem(b"").unwrap_err(), IdBlockError::KeyCount(0));
    assert_eq!(
        IdKey::from_pem(pem.repeat(2).as_bytes()).unwrap_err(),
        IdBlockError::KeyCount(2)
    );
    assert_eq!(IdKey::from_der(&[0x30, 0]).unwrap_err(), IdBlockError::Key);
    // Nothing of the private half is shown.
    assert!(format!("{key:?}").starts_with("IdKey(IdPublicKey("));
}
