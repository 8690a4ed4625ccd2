//! From claims to evidence over a real socket: the quoting actor on one side, simulated silicon on the other.

use std::path::Path;
use std::time::Duration;

use jeju_attestation::claims::{Claims, ClaimsBuffer, Mode, Receipts, Role};
use jeju_attestation::simulated::Report;
use jeju_attestation::tee::Tee;
use jeju_quote::launch_binding::{LaunchBinding, LaunchBindingError, bind};
use jeju_quote::{Device, Limits, QuoteError, QuotingActor};
use jeju_shim_protocol::silicon::{SiliconAnswer, SiliconRequest, read_frame};
use jeju_shim_protocol::transport::GuestTransport;
use jeju_simulated::{Silicon, serve};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;

const IMAGE: [u8; 32] = [0x11; 32];
const LAUNCH: [u8; 32] = [0x22; 32];

fn claims(nonce: u8) -> ClaimsBuffer {
    ClaimsBuffer::encode(Claims {
        pubkey_hash: [1; 32],
        mode: Mode::Fresh,
        role: Role::Server,
        resp: [2; 32],
        evm: [2; 33],
        keys: [3; 32],
        boot: [4; 16],
        epoch: 0,
        receipts: Receipts::default(),
        launch: LAUNCH,
        agent: [8; 32],
        chain: (31337, [9; 20]),
        anchor: (10, [11; 32]),
        gpu: ([0; 32], 0),
        log: [0; 32],
        nonce: [nonce; 32],
        channel: [0; 32],
    })
    .unwrap()
}

fn device(dir: &Path) -> Device {
    Device::simulated(GuestTransport::Unix(dir.into()))
}

/// Simulated silicon with this HOST_DATA on `DIR/5006.sock`.
fn start(dir: &Path, host_data: [u8; 32]) -> Silicon {
    let silicon = Silicon::open_or_create(&dir.join("silicon")).unwrap();
    let listener = UnixListener::bind(dir.join("5006.sock")).unwrap();
    tokio::spawn(serve(silicon.chip(IMAGE, host_data), listener));
    silicon
}

/// A host that answers each request on port 5006 with what `answer` makes of it.
fn hostile(dir: &Path, mut answer: impl FnMut(SiliconRequest) -> Vec<u8> + Send + 'static) {
    let listener = UnixListener::bind(dir.join("5006.sock")).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if let Ok(Some(frame)) = read_frame(&mut stream).await {
                let _ = stream
                    .write_all(&answer(SiliconRequest::parse(&frame).unwrap()))
                    .await;
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_become_evidence_that_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let silicon = start(dir.path(), LAUNCH);
    let device = device(dir.path());
    assert_eq!(device.tee(), Tee::Simulated);
    assert_eq!(bind(&device, &LAUNCH).unwrap(), LaunchBinding::Bound);

    let actor = QuotingActor::spawn(device, Limits::default()).unwrap();
    let asked: Vec<_> = (1..9)
        .map(|nonce| {
            let actor = actor.clone();
            tokio::spawn(async move { (claims(nonce), actor.quote(&claims(nonce)).await.unwrap()) })
        })
        .collect();
    for one in asked {
        let (claims, evidence) = one.await.unwrap();
        assert_eq!(evidence.tee, Tee::Simulated);
        assert!(evidence.endorsements.is_empty());
        let report = Report::parse(&evidence.cpu).unwrap();
        assert!(report.is_signed_by(&silicon.root_public()));
        assert_eq!(report.report_data, claims.report_data());
        assert_eq!(report.host_data, LAUNCH);
        assert_eq!(report.image_digest, IMAGE);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sealing_secret_is_the_chips() {
    let dir = tempfile::tempdir().unwrap();
    let silicon = start(dir.path(), LAUNCH);
    let secret = device(dir.path()).sealing_secret().unwrap().unwrap();
    assert_eq!(secret, silicon.chip(IMAGE, LAUNCH).sealing_key());
    assert_ne!(secret, silicon.chip(IMAGE, [0; 32]).sealing_key());

    // A host that answers another question gives no key.
    let dir = tempfile::tempdir().unwrap();
    hostile(dir.path(), |_| SiliconAnswer::HostData([7; 32]).encode());
    let error = device(dir.path()).sealing_secret().unwrap_err();
    assert!(error.to_string().contains("another question"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_launch_document_is_refused_and_none_is_named() {
    let dir = tempfile::tempdir().unwrap();
    start(dir.path(), LAUNCH);
    let error = bind(&device(dir.path()), &[0x23; 32]).unwrap_err();
    assert!(
        matches!(
            error,
            LaunchBindingError::Mismatch {
                register: "HOST_DATA",
                ..
            }
        ),
        "{error:?}"
    );

    let dir = tempfile::tempdir().unwrap();
    start(dir.path(), [0; 32]);
    assert_eq!(
        bind(&device(dir.path()), &LAUNCH).unwrap(),
        LaunchBinding::NotSettable
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_description_must_agree_with_the_report() {
    let dir = tempfile::tempdir().unwrap();
    let chip = Silicon::open_or_create(dir.path())
        .unwrap()
        .chip(IMAGE, [0x44; 32]);
    hostile(dir.path(), move |request| match request {
        SiliconRequest::Describe => SiliconAnswer::HostData(LAUNCH).encode(),
        SiliconRequest::Report(report_data) => SiliconAnswer::Evidence(chip.report(report_data)).encode(),
        SiliconRequest::SealingKey => SiliconAnswer::Error(1).encode(),
    });
    let error = bind(&device(dir.path()), &LAUNCH).unwrap_err();
    assert!(
        matches!(
            error,
            LaunchBindingError::Mismatch {
                register: "HOST_DATA of the simulated report",
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_host_gives_errors_only() {
    let dir = tempfile::tempdir().unwrap();
    let old = Silicon::open_or_create(dir.path())
        .unwrap()
        .chip(IMAGE, LAUNCH)
        .report(claims(1).report_data());
    let answers: [(Vec<u8>, &str); 7] = [
        (vec![], "closed in the middle of a message"),
        (vec![0xff; 64], "over the limit"),
        (b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), "over the limit"),
        (
            SiliconAnswer::Evidence(old).encode()[..100].to_vec(),
            "closed in the middle of a message",
        ),
        (SiliconAnswer::Error(1).encode(), "refused with code 1"),
        (SiliconAnswer::HostData(LAUNCH).encode(), "another question"),
        (
            SiliconAnswer::Evidence(old).encode(),
            "does not carry the requested REPORT_DATA",
        ),
    ];
    let mut given = answers.clone().into_iter();
    hostile(dir.path(), move |_| given.next().unwrap().0);
    let actor = QuotingActor::spawn(device(dir.path()), Limits::default()).unwrap();
    for (_, reason) in answers {
        let error = actor.quote(&claims(2)).await.unwrap_err();
        assert!(error.to_string().contains(reason), "{error} instead of {reason}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silicon_that_is_away_or_silent_is_an_error_and_may_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let actor = QuotingActor::spawn(device(dir.path()), Limits::default()).unwrap();
    let error = actor.quote(&claims(1)).await.unwrap_err();
    assert!(matches!(error, QuoteError::Simulated(_)), "{error:?}");

    let socket = dir.path().join("5006.sock");
    let silent = UnixListener::bind(&socket).unwrap();
    let limits = Limits {
        wait: Duration::from_millis(200),
        ..Limits::default()
    };
    let impatient = QuotingActor::spawn(device(dir.path()), limits).unwrap();
    let error = impatient.quote(&claims(2)).await.unwrap_err();
    assert!(matches!(error, QuoteError::Timeout(_)), "{error:?}");
    drop(silent);
    std::fs::remove_file(&socket).unwrap();

    start(dir.path(), LAUNCH);
    assert!(actor.quote(&claims(3)).await.is_ok(), "the silicon is back");
}
