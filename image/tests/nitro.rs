//! Enclave images on QEMU's `nitro-enclave` machine: what the guest's Nitro Secure Module reports is what was predicted, and
//! because that module signs nothing, what it reports is refused.
//!
//! `scripts/nitro-guest.sh` runs these; they need a QEMU that Debian doesn't build.

mod machine;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ciborium::{Value, cbor};
use jeju_attestation::cbor::Encoder;
use jeju_attestation::endorsements::Endorsements;
use jeju_attestation::nitro as verifier;
use jeju_attestation::offline::{EvidenceKind, Request, Submission, verify};
use jeju_host_shim::{Config, HostShim};
use jeju_image::build::{self, EIF_FILE, Parts};
use jeju_image::cpio::{Archive, Entry};
use jeju_image::eif::{Eif, Metadata};
use jeju_image::manifest::{Platform, Toolchain};
use jeju_image::measure::Image;
use jeju_image::measure::nitro::NitroPcrs;
use jeju_image::measure::prediction::{Circumstances, NitroPrediction, Prediction, predict};
use jeju_shim_protocol::Port;
use jeju_shim_protocol::egress::EgressRequest;
use jeju_shim_protocol::fatal::FatalCode;
use machine::{Machine, guest};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const LAUNCH: &[u8] = include_bytes!("../hosts/launch.example.nitro.toml");
const ROLE: &str = "arn:aws:iam::123456789012:role/enclave";
const INSTANCE: &str = "i-0123456789abcdef0";
const MODULE: &str = "i-0123456789abcdef0-enc0123456789abcdef";

#[tokio::test]
#[ignore = "wants QEMU's nitro-enclave machine: scripts/nitro-guest.sh"]
async fn the_guest_sees_the_predicted_registers_and_its_document_is_refused() {
    let (eif, predicted) = image();
    let options = format!(",id={MODULE},parent-role={ROLE},parent-id={INSTANCE}");
    let mut machine = Machine::boot_enclave(&qemu(), &eif, 512, &options);

    let zero = "00".repeat(48);
    for (index, value) in [
        (0, &predicted.pcr0),
        (1, &predicted.pcr1),
        (2, &predicted.pcr2),
        (3, predicted.pcr3.as_ref().unwrap()),
        (4, predicted.pcr4.as_ref().unwrap()),
        // Nobody signed the image.
        (8, &zero),
    ] {
        assert_eq!(
            machine.describe_pcr(index).await,
            (true, value.clone()),
            "PCR{index}"
        );
    }

    // What the boot does with the launch document.
    assert_eq!(machine.describe_pcr(16).await, (false, zero));
    let digest = jeju_attestation::hash::sha256(LAUNCH);
    let extended = machine
        .nsm(cbor!({"ExtendPCR" => {"index" => 16, "data" => Value::Bytes(digest.to_vec())}}).unwrap())
        .await;
    let pcr16 = predicted.pcr16.as_ref().unwrap();
    assert_eq!(
        hex::encode(bytes(field(&field(&extended, "ExtendPCR"), "data"))),
        *pcr16
    );
    assert_eq!(
        machine.nsm(cbor!({"LockPCR" => {"index" => 16}}).unwrap()).await,
        "LockPCR".into()
    );
    assert_eq!(machine.describe_pcr(16).await, (true, pcr16.clone()));

    let (user_data, nonce, public_key) = ([0xA1; 64], [0xA2; 32], [0xA3; 91]);
    let attestation = machine.nsm(Value::Map(vec![(
        "Attestation".into(),
        Value::Map(vec![
            ("user_data".into(), Value::Bytes(user_data.to_vec())),
            ("nonce".into(), Value::Bytes(nonce.to_vec())),
            ("public_key".into(), Value::Bytes(public_key.to_vec())),
        ]),
    )]));
    let document = bytes(field(&field(&attestation.await, "Attestation"), "document"));
    println!("document of {} bytes", document.len());

    // As it comes, it isn't even a signed message: its algorithm is -1, which is none.
    assert_eq!(refusal(&document), "nitro_not_cose");
    // In an envelope of the right form it says all that was predicted …
    let mended = with_genuine_envelope(&document);
    let parsed = verifier::parse(&mended).unwrap();
    let said = parsed.document();
    assert_eq!(said.module_id.as_str(), MODULE);
    let pcr = |index: u8| hex::encode(said.pcrs[&index]);
    assert_eq!(
        [pcr(0), pcr(1), pcr(2)],
        [predicted.pcr0, predicted.pcr1, predicted.pcr2]
    );
    assert_eq!(
        [pcr(3), pcr(4)],
        [predicted.pcr3.unwrap(), predicted.pcr4.unwrap()]
    );
    assert_eq!(pcr(16), *pcr16);
    assert_eq!(said.user_data.as_deref(), Some(&user_data[..]));
    assert_eq!(said.nonce.as_deref(), Some(&nonce[..]));
    assert_eq!(said.public_key.as_deref(), Some(&public_key[..]));
    // … and nobody vouches for it: where the certificates belong, there are zeros.
    assert_eq!(refusal(&mended), "x509_not_der");
    machine.end().await;
}

/// The image that operators run: it takes its launch document from the shim, binds it to the module, makes its keys and asks
/// for its chain, whose endpoints need certificates of the public web, so that there is none here; and it says so.
#[tokio::test]
#[ignore = "wants QEMU's nitro-enclave machine and the node's image: scripts/nitro-guest.sh"]
async fn the_node_boots_and_wants_its_chain() {
    let folder = tempfile::tempdir().unwrap();
    let image = PathBuf::from(variable("JEJU_NITRO_IMAGE"));
    let eif = std::fs::read(image.join(EIF_FILE)).unwrap();
    let launch = folder.path().join("launch.toml");
    std::fs::write(
        &launch,
        node_launch("jeju", "https://rpc.example.org", "rpc.example.org:443"),
    )
    .unwrap();
    let mut machine = Machine::boot_enclave(&qemu(), &eif, 1024, &format!(",id={MODULE}"));
    let shim = HostShim::start(Config::new(machine.transport(), launch))
        .await
        .unwrap();
    let mut fatal = shim.fatal();
    let told = timeout(Duration::from_secs(180), fatal.wait_for(Option::is_some)).await;
    let told = *told.unwrap_or_else(|_| panic!("{}", machine.console())).unwrap();
    assert_eq!(
        told,
        Some(FatalCode::ChainUnavailable.as_u16()),
        "{}",
        machine.console()
    );
    let status = machine.wait_end(Duration::from_secs(20));
    assert!(
        status.is_some_and(|status| status.success()),
        "{}",
        machine.console()
    );
}

/// The same with a development build of the node, which takes a chain on this machine: it serves, and a user's client turns
/// away from it, because nobody signed what it hands out.
#[tokio::test]
#[ignore = "wants QEMU's nitro-enclave machine and the node's image: scripts/nitro-guest.sh"]
async fn a_node_that_serves_is_refused_by_its_user() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, rpc) = anvil().await;
    let image = Image::open(&PathBuf::from(variable("JEJU_NITRO_IMAGE"))).unwrap();
    let mut node = Archive::new();
    let program = std::fs::read(variable("JEJU_NITRO_DEVELOPMENT_NODE")).unwrap();
    node.insert("node/jeju-enclave", Entry::Executable(program))
        .unwrap();
    let (node, metadata) = (node.write(), Metadata::new("test", "6.12"));
    let ramdisks = [&image.archives[0][..], &node[..]];
    let eif = Eif::new(&image.kernel, image.cmdline.as_bytes(), &ramdisks, &metadata).unwrap();

    let (launch, policy) = (
        folder.path().join("launch.toml"),
        folder.path().join("policy.toml"),
    );
    std::fs::write(&launch, node_launch("localnet", &format!("http://{rpc}"), &rpc)).unwrap();
    let measurement = NitroPcrs::of_image(&eif).measurement().to_string();
    std::fs::write(&policy, node_policy(&measurement, &rpc)).unwrap();
    let mut machine = Machine::boot_enclave(&qemu(), &eif.write(), 1024, &format!(",id={MODULE}"));
    let mut config = Config::new(machine.transport(), launch);
    config.listen.insert(Port::Node, ([127, 0, 0, 1], 0).into());
    config
        .egress_allow
        .insert(EgressRequest::parse(format!("CONNECT {rpc}\n").as_bytes()).unwrap());
    let shim = HostShim::start(config).await.unwrap();
    let start = Instant::now();
    machine.until("JEJU-READY").await;
    println!("serves {:?} after QEMU's start", start.elapsed());

    let url = format!(
        "https://localhost:{}",
        shim.local_addr(Port::Node).unwrap().port()
    );
    let output = Command::new(variable("JEJU_CLIENT"))
        .args(["verify", &url, "--development", "--policy"])
        .arg(&policy)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    assert_eq!(output.status.code(), Some(3), "{said}\n{}", machine.console());
    assert!(said.contains("nitro_not_cose"), "{said}\n{}", machine.console());
    drop(chain);
}

fn node_launch(profile: &str, rpc: &str, egress: &str) -> String {
    format!(
        r#"version = 1
[node]
agent = "0x0000000000000000000000000000000000000000000000000000000000000001"
names = ["localhost"]
[chain]
profile = "{profile}"
id = 31337
registry = "0x0000000000000000000000000000000000000002"
rpc = ["{rpc}"]
[egress]
allow = ["{egress}"]
"#
    )
}

/// Accepts the node, if only its document were signed.
fn node_policy(measurement: &str, rpc: &str) -> String {
    format!(
        r#"version = 1
kind = "development"
tees = ["nitro"]
agents = ["0x0000000000000000000000000000000000000000000000000000000000000001"]
measurements = ["{measurement}"]
[registry]
chain_id = 31337
address = "0x0000000000000000000000000000000000000002"
rpc = ["http://{rpc}"]
[launch]
chain_profiles = ["localnet"]
egress = ["{rpc}"]
[nitro]
max_age_seconds = 600
max_future_seconds = 60
revocation_unknown = true
"#
    )
}

/// A chain on this machine, and where it listens.
async fn anvil() -> (Child, String) {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let chain = Command::new(variable("JEJU_ANVIL"))
        .args(["--silent", "--port", &address.port().to_string()])
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    while TcpStream::connect(address).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (chain, address.to_string())
}

impl Machine {
    /// Whether a register is locked, and its value.
    async fn describe_pcr(&mut self, index: u8) -> (bool, String) {
        let answer = self
            .nsm(cbor!({"DescribePCR" => {"index" => index}}).unwrap())
            .await;
        let register = field(&answer, "DescribePCR");
        (
            field(&register, "lock").as_bool().unwrap(),
            hex::encode(bytes(field(&register, "data"))),
        )
    }

    /// Asks the Nitro Secure Module.
    async fn nsm(&mut self, request: Value) -> Value {
        let mut encoded = Vec::new();
        ciborium::into_writer(&request, &mut encoded).unwrap();
        let answer = self.ask(&format!("nsm {}", hex::encode(encoded))).await;
        ciborium::from_reader(&answer[..]).unwrap()
    }

    /// The guest resets, which ends QEMU.
    async fn end(mut self) {
        let mut stream = self.dial(Port::Node).await;
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"power off\n")
            .await
            .unwrap();
        let status = self.wait_end(Duration::from_secs(20));
        assert!(
            status.is_some_and(|status| status.success()),
            "{status:?}\n{}",
            self.console()
        );
    }
}

/// An image of the test guest, and what it should measure to.
fn image() -> (Vec<u8>, NitroPrediction) {
    let parts = Parts {
        platform: Platform::Nitro,
        init: guest().to_vec(),
        enclave: b"not started by the test guest".to_vec(),
        agent: None,
        origin: "image/tests/guest/main.rs".to_owned(),
        toolchain: Toolchain::default(),
        model: Some(vec![7; 100_000]),
        cmdline: Platform::Nitro.cmdline().to_owned(),
    };
    let folder = tempfile::tempdir().unwrap();
    build::assemble(&parts, folder.path()).unwrap();
    let predicted = prediction(folder.path(), LAUNCH);
    (std::fs::read(folder.path().join(EIF_FILE)).unwrap(), predicted)
}

fn prediction(image: &Path, launch: &[u8]) -> NitroPrediction {
    let circumstances = Circumstances {
        role_arn: Some(ROLE.to_owned()),
        instance_id: Some(INSTANCE.to_owned()),
        ..Circumstances::of_launch(Some(launch))
    };
    match predict(Platform::Nitro, &Image::open(image).unwrap(), &circumstances).unwrap() {
        Some(Prediction::Nitro(predicted)) => predicted,
        other => panic!("{other:?}"),
    }
}

/// The stable code with which `jeju evidence verify` refuses a document, at any time.
fn refusal(document: &[u8]) -> String {
    let request = Request {
        submission: Submission::read(document, Some(EvidenceKind::Nitro)).unwrap(),
        endorsements: Endorsements::default(),
        nonce: None,
        report_data: None,
        event_log: None,
        at: 1_800_000_000,
        policy: None,
    };
    verify(&request).unwrap_err().code().to_owned()
}

/// The payload of a document in an envelope that names the right algorithm and has a signature of the right length.
fn with_genuine_envelope(document: &[u8]) -> Vec<u8> {
    let message: Value = ciborium::from_reader(document).unwrap();
    let payload = message.as_array().unwrap()[2].as_bytes().unwrap().clone();
    let mut encoder = Encoder::new();
    encoder
        .array(4)
        // {1: -35}: ES384.
        .bytes(&[0xA1, 0x01, 0x38, 0x22])
        .map(0)
        .bytes(&payload)
        .bytes(&[0; 96]);
    encoder.finish()
}

fn field(value: &Value, name: &str) -> Value {
    let entries = value.as_map().unwrap_or_else(|| panic!("{name} of {value:?}"));
    let found = entries.iter().find(|(key, _)| key.as_text() == Some(name));
    found.unwrap_or_else(|| panic!("{name} of {value:?}")).1.clone()
}

/// A byte string, or the list of numbers as which AWS's library writes some of them.
fn bytes(value: Value) -> Vec<u8> {
    match value {
        Value::Bytes(bytes) => bytes,
        Value::Array(numbers) => numbers
            .iter()
            .map(|number| u8::try_from(number.as_integer().unwrap()).unwrap())
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn qemu() -> PathBuf {
    variable("JEJU_QEMU_NITRO").into()
}

fn variable(name: &str) -> OsString {
    std::env::var_os(name).unwrap_or_else(|| panic!("{name} is set by scripts/nitro-guest.sh"))
}
