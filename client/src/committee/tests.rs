//! Three members in one process, over a folder.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use frost_secp256k1::keys::PublicKeyPackage;
use frost_secp256k1::round1;
use frost_secp256k1::{Signature, SigningPackage};
use jeju_attestation::hash::sha256;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::signature::AccountKey;
use rand_core::OsRng;

use super::exchange::Exchange;
use super::keygen::{ABOUT, keygen};
use super::member::identifier;
use super::signing::sign;
use super::{Committee, CommitteeError, Share, Statement};

const DIGEST: [u8; 32] = [5; 32];

fn key(number: u16) -> AccountKey {
    AccountKey::from_bytes(&[number as u8; 32]).unwrap()
}

fn committee() -> Committee {
    Committee {
        threshold: 2,
        members: (1..=3).map(|number| HexBytes(key(number).account().0)).collect(),
    }
}

fn exchange<'a>(
    committee: &'a Committee,
    folder: &'a Path,
    key: &'a AccountKey,
    member: u16,
    about: [u8; 32],
) -> Exchange<'a> {
    Exchange {
        committee,
        about,
        folder,
        key,
        member,
        wait: Duration::from_secs(20),
    }
}

async fn made(folder: &Path) -> [Share; 3] {
    let (committee, keys) = (committee(), [1, 2, 3].map(key));
    let member = |number: u16| {
        let key = &keys[usize::from(number) - 1];
        let exchange = exchange(&committee, folder, key, number, ABOUT);
        async move { keygen(&exchange).await.unwrap() }
    };
    tokio::join!(member(1), member(2), member(3)).into()
}

fn group(share: &Share) -> &PublicKeyPackage {
    &share.group
}

#[tokio::test]
async fn three_members_make_a_key_by_which_any_two_sign() {
    let folder = tempfile::tempdir().unwrap();
    let shares = made(folder.path()).await;
    let public = shares[0].group_key().unwrap();
    assert!(shares.iter().all(|share| share.group_key().unwrap() == public));
    let committee = committee();
    for (one, other) in [(1u16, 2u16), (1, 3), (2, 3)] {
        let folder = tempfile::tempdir().unwrap();
        let keys = [key(one), key(other)];
        let (first, second) = (
            exchange(&committee, folder.path(), &keys[0], one, DIGEST),
            exchange(&committee, folder.path(), &keys[1], other, DIGEST),
        );
        let share = |number: u16| &shares[usize::from(number) - 1];
        let signers = [one, other];
        let (first, second) = tokio::join!(
            sign(&first, share(one), &DIGEST, &signers),
            sign(&second, share(other), &DIGEST, &signers)
        );
        let signature = first.unwrap();
        assert_eq!(signature, second.unwrap());
        let signature = Signature::deserialize(&signature.0).unwrap();
        let verifying = group(&shares[0]).verifying_key();
        verifying.verify(&DIGEST, &signature).unwrap();
        assert!(verifying.verify(&[6; 32], &signature).is_err());
    }
}

#[tokio::test]
async fn whoever_does_not_keep_to_the_protocol_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (committee, keys) = (committee(), [1, 2, 3].map(key));
    let at = |number: u16, about| {
        exchange(
            &committee,
            folder.path(),
            &keys[usize::from(number) - 1],
            number,
            about,
        )
    };
    at(3, ABOUT).say("keygen-offer", &[7; 100]).unwrap();
    let (honest, alike) = (at(1, ABOUT), at(2, ABOUT));
    let (first, second) = tokio::join!(keygen(&honest), keygen(&alike));
    for refused in [first.err().unwrap(), second.err().unwrap()] {
        assert!(
            matches!(refused, CommitteeError::Message { member: 3, .. }),
            "{refused}"
        );
    }

    // A part of a signature that isn't one, and one of another signature.
    let keygen_folder = tempfile::tempdir().unwrap();
    let shares = made(keygen_folder.path()).await;
    for is_of_this in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let one = exchange(&committee, folder.path(), &keys[0], 1, DIGEST);
        let liar = exchange(&committee, folder.path(), &keys[2], 3, DIGEST);
        let lies = async {
            let (_, commitments) = round1::commit(shares[2].key.signing_share(), &mut OsRng);
            liar.say("sign-commit", &commitments.serialize().unwrap())
                .unwrap();
            let said = liar.hear("sign-commit", &[1, 3]).await.unwrap();
            let all: BTreeMap<_, _> = [1, 3]
                .into_iter()
                .zip(&said)
                .map(|(number, said)| {
                    let commitments = round1::SigningCommitments::deserialize(said).unwrap();
                    (identifier(number).unwrap(), commitments)
                })
                .collect();
            let package = SigningPackage::new(all, &DIGEST).serialize().unwrap();
            let of = if is_of_this { sha256(&package) } else { [0; 32] };
            let mut wrong = [0; 64];
            wrong[..32].copy_from_slice(&of);
            wrong[63] = 1;
            liar.say("sign-share", &wrong).unwrap();
        };
        let (refused, ()) = tokio::join!(sign(&one, &shares[0], &DIGEST, &[1, 3]), lies);
        let refused = refused.unwrap_err();
        assert!(
            matches!(refused, CommitteeError::Message { member: 3, .. }),
            "{refused}"
        );
        assert_eq!(refused.code(), "committee_message_invalid");
    }
}

#[tokio::test]
async fn a_share_is_for_its_member_alone() {
    let folder = tempfile::tempdir().unwrap();
    let [share, ..] = made(folder.path()).await;
    let path = folder.path().join("share.json");
    let read = |account: u16| {
        Share::read(&path, &key(account))
            .map(drop)
            .map_err(|error| error.code())
    };
    share.write(&path, &key(1)).unwrap();
    assert_eq!(share.write(&path, &key(1)).unwrap_err().code(), "file_exists");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(read(1), Ok(()));
    assert_eq!(read(2), Err("committee_share_locked"));
    assert_eq!(read(9), Err("committee_not_a_member"));
    let secret = hex::encode(share.key.signing_share().serialize());
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains(&secret));

    // Another threshold, another sealed byte, another form.
    let sealed = text.rfind('"').unwrap() - 1;
    let mut other = text.clone().into_bytes();
    other[sealed] = if other[sealed] == b'0' { b'1' } else { b'0' };
    for (changed, code) in [
        (
            text.replace("\"threshold\":2", "\"threshold\":3"),
            "committee_share_locked",
        ),
        (String::from_utf8(other).unwrap(), "committee_share_locked"),
        (
            text.replace("\"version\":1", "\"version\":2"),
            "committee_file_malformed",
        ),
        ("{}".to_owned(), "committee_file_malformed"),
    ] {
        fs::write(&path, changed).unwrap();
        assert_eq!(read(1), Err(code));
    }
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(read(1), Err("committee_share_exposed"));
}

/// The same digest as `FrostVerifier.digestOf` gives, which `e2e/attested_key.py` shows on a chain; here each member counts.
#[test]
fn a_statement_is_signed_for_one_chain_and_verifier() {
    let word = |byte| HexBytes([byte; 32]);
    let statement = Statement {
        platform: 1,
        measurement: word(1),
        hardware: word(2),
        agent_id: word(3),
        claims_digest: word(4),
        launch_digest: word(5),
        key: HexBytes([6; 20]),
        tcb_status: 0,
        expiry: 7,
    };
    let digest = statement.digest(1, Account([9; 20]));
    let mut others = vec![
        statement.digest(2, Account([9; 20])),
        statement.digest(1, Account([8; 20])),
    ];
    let changes: [fn(&mut Statement); 9] = [
        |other| other.platform = 2,
        |other| other.measurement.0[0] = 0,
        |other| other.hardware.0[0] = 0,
        |other| other.agent_id.0[0] = 0,
        |other| other.claims_digest.0[0] = 0,
        |other| other.launch_digest.0[0] = 0,
        |other| other.key.0[0] = 0,
        |other| other.tcb_status = 1,
        |other| other.expiry = 8,
    ];
    for change in changes {
        let mut other = statement.clone();
        change(&mut other);
        others.push(other.digest(1, Account([9; 20])));
    }
    assert!(!others.contains(&digest));
    others.sort_unstable();
    others.dedup();
    assert_eq!(others.len(), 11);
}
