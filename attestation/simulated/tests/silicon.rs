//! Reports of simulated silicon, checked by an ECDSA that isn't the one that signs, and served over a socket.

use jeju_attestation::hash::sha256;
use jeju_attestation::simulated::Report;
use jeju_shim_protocol::silicon::{DerivedKey, SiliconAnswer, SiliconRequest, read_frame};
use jeju_simulated::{Chip, MAX_CONNECTIONS, Silicon, serve};
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

const IMAGE: [u8; 32] = [0x11; 32];
const HOST_DATA: [u8; 32] = [0x22; 32];

fn silicon() -> (Silicon, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Silicon::open_or_create(dir.path()).unwrap(), dir)
}

fn verifies(report: &[u8; 282], public: &[u8; 65]) -> bool {
    let key = VerifyingKey::from_sec1_bytes(public).unwrap();
    let signed = [&b"jeju-simulated-report-v1\0"[..], &report[..218]].concat();
    Signature::from_slice(&report[218..]).is_ok_and(|signature| key.verify(&signed, &signature).is_ok())
}

#[test]
fn a_report_verifies_with_rustcrypto_and_says_what_the_launcher_set() {
    let (silicon, _dir) = silicon();
    let report = silicon.chip(IMAGE, HOST_DATA).report([0x33; 64]);
    assert!(verifies(&report, &silicon.root_public()));
    assert_eq!(report[..6], *b"JSIM\0\x01");
    assert_eq!(report[6..38], IMAGE);
    assert_eq!(report[38..70], HOST_DATA);
    assert_eq!(report[70..134], [0x33; 64]);
    assert_eq!(report[134..166], silicon.platform_id());
    assert_eq!(report[166..186], [0; 20]);
    assert_eq!(report[186..218], silicon.root_id());
    for at in [0, 6, 40, 80, 140, 170, 190, 217, 218, 281] {
        let mut forged = report;
        forged[at] ^= 1;
        assert!(!verifies(&forged, &silicon.root_public()), "byte {at} changed");
    }
}

#[test]
fn the_verifier_of_the_product_agrees() {
    let (silicon, _dir) = silicon();
    let (other, _other_dir) = self::silicon();
    let report = Report::parse(&silicon.chip(IMAGE, HOST_DATA).report([0x33; 64])).unwrap();
    assert!(report.is_signed_by(&silicon.root_public()));
    assert!(!report.is_signed_by(&other.root_public()));
    assert_ne!(silicon.platform_id(), other.platform_id());
}

#[test]
fn the_public_file_is_the_root_that_signs() {
    let (silicon, dir) = silicon();
    let public = std::fs::read_to_string(dir.path().join("root.pub")).unwrap();
    assert_eq!(public, hex::encode(silicon.root_public()));
    let again = Silicon::open_or_create(dir.path()).unwrap();
    assert_eq!(again.root_public(), silicon.root_public());
    assert_eq!(again.platform_id(), silicon.platform_id());
    assert!(verifies(
        &again.chip(IMAGE, HOST_DATA).report([1; 64]),
        &silicon.root_public()
    ));
    let shown = format!("{silicon:?} {:?}", silicon.chip(IMAGE, HOST_DATA));
    assert!(
        shown.contains(&hex::encode(silicon.root_id())) && !shown.contains("EcdsaKeyPair"),
        "{shown}"
    );
}

/// By an HKDF that isn't the one of the chip.
#[test]
fn the_sealing_key_is_of_machine_image_and_host_data() {
    let (silicon, dir) = silicon();
    let (other, _other_dir) = self::silicon();
    let key = silicon.chip(IMAGE, HOST_DATA).sealing_key();
    let again = Silicon::open_or_create(dir.path()).unwrap();
    assert_eq!(key, again.chip(IMAGE, HOST_DATA).sealing_key());
    for wrong in [
        other.chip(IMAGE, HOST_DATA),
        silicon.chip(HOST_DATA, IMAGE),
        silicon.chip([0x12; 32], HOST_DATA),
        silicon.chip(IMAGE, [0x23; 32]),
    ] {
        assert_ne!(key, wrong.sealing_key());
    }
    let hmac = |key: &[u8], message: &[&[u8]]| -> [u8; 32] {
        let block = |pad: u8| -> Vec<u8> {
            let mut block = [pad; 64];
            key.iter().zip(&mut block).for_each(|(key, out)| *out ^= key);
            block.to_vec()
        };
        assert!(key.len() <= 64);
        let inner = sha256(&[&block(0x36)[..], &message.concat()].concat());
        sha256(&[&block(0x5c)[..], &inner].concat())
    };
    // RFC 2104: a key longer than a block is hashed first.
    let root = sha256(&std::fs::read(dir.path().join("root.key")).unwrap());
    let secret = hmac(&root, &[b"jeju-simulated-chip-secret-v1"]);
    let prk = hmac(b"jeju-simulated-sealing-v1", &[&secret]);
    assert_eq!(*key, hmac(&prk, &[&IMAGE, &HOST_DATA, &[1]]));
    let shown = format!("{silicon:?} {:?}", silicon.chip(IMAGE, HOST_DATA));
    assert!(!shown.contains("secret"), "{shown}");
}

#[tokio::test]
async fn the_sealing_key_is_served() {
    let (silicon, _dir) = silicon();
    let chip = silicon.chip(IMAGE, HOST_DATA);
    let (path, _socket_dir, server) = listen(chip.clone());
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let expected = SiliconAnswer::DerivedKey(DerivedKey(*chip.sealing_key()));
    assert_eq!(ask(&mut stream, SiliconRequest::SealingKey).await, expected);
    server.abort();
}

fn listen(chip: Chip) -> (std::path::PathBuf, tempfile::TempDir, tokio::task::JoinHandle<()>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("5006.sock");
    let listener = UnixListener::bind(&path).unwrap();
    (path, dir, tokio::spawn(serve(chip, listener)))
}

async fn ask(stream: &mut UnixStream, request: SiliconRequest) -> SiliconAnswer {
    stream.write_all(&request.encode()).await.unwrap();
    SiliconAnswer::parse(&read_frame(stream).await.unwrap().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_guests_at_once_get_their_own_reports() {
    let (silicon, _dir) = silicon();
    let (path, _socket_dir, server) = listen(silicon.chip(IMAGE, HOST_DATA));
    let guests: Vec<_> = (0..16u8)
        .map(|guest| {
            let path = path.clone();
            tokio::spawn(async move {
                let mut stream = UnixStream::connect(path).await.unwrap();
                let mut reports = vec![];
                for request in 0..8u8 {
                    let report_data = [guest * 8 + request; 64];
                    match ask(&mut stream, SiliconRequest::Report(report_data)).await {
                        SiliconAnswer::Evidence(report) => reports.push((report_data, report)),
                        other => panic!("{other:?}"),
                    }
                }
                reports
            })
        })
        .collect();
    for guest in guests {
        for (report_data, report) in guest.await.unwrap() {
            assert_eq!(report[70..134], report_data);
            assert!(verifies(&report, &silicon.root_public()));
        }
    }
    server.abort();
}

#[tokio::test]
async fn connections_are_limited_and_room_comes_back() {
    let (silicon, _dir) = silicon();
    let (path, _socket_dir, server) = listen(silicon.chip(IMAGE, HOST_DATA));
    let mut open = vec![];
    for _ in 0..MAX_CONNECTIONS {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        assert_eq!(
            ask(&mut stream, SiliconRequest::Describe).await,
            SiliconAnswer::HostData(HOST_DATA)
        );
        open.push(stream);
    }
    let mut surplus = UnixStream::connect(&path).await.unwrap();
    assert_eq!(
        surplus.read(&mut [0]).await.unwrap_or(0),
        0,
        "closed without an answer"
    );
    open.truncate(MAX_CONNECTIONS / 2);
    let served = async {
        loop {
            let mut stream = UnixStream::connect(&path).await.unwrap();
            let _ = stream.write_all(&SiliconRequest::Describe.encode()).await;
            if matches!(read_frame(&mut stream).await, Ok(Some(_))) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), served)
        .await
        .expect("room comes back");
    server.abort();
}
