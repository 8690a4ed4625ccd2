//! The launch scripts of `image/hosts` say what they would start, and the example launch documents are valid.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jeju_attestation::launch::LaunchDocument;
use jeju_image::build::{self, Parts};
use jeju_image::manifest::{Platform, Toolchain};
use jeju_image::measure::snp::DEFAULT_POLICY;
use tempfile::TempDir;

const HOSTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/hosts");

fn example(platform: Platform) -> PathBuf {
    Path::new(HOSTS).join(format!("launch.example.{}.toml", platform.name()))
}

fn image(platform: Platform) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let parts = Parts {
        platform,
        init: b"init".to_vec(),
        enclave: b"node".to_vec(),
        agent: None,
        origin: "a test".to_owned(),
        toolchain: Toolchain::default(),
        model: None,
        cmdline: platform.cmdline().to_owned(),
    };
    build::assemble(&parts, folder.path()).unwrap();
    folder
}

fn script(name: &str, image: &Path, launch: &Path, options: &[&str]) -> Output {
    Command::new(Path::new(HOSTS).join(name))
        .arg(image)
        .arg(launch)
        .args(options)
        .output()
        .unwrap()
}

/// What a script prints, as the words that a shell would read.
fn words(output: &Output) -> Vec<String> {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let listed = Command::new("bash")
        .args(["-c", "eval \"words=($0)\"; printf '%s\\0' \"${words[@]}\""])
        .arg(String::from_utf8(output.stdout.clone()).unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    text.trim_end_matches('\0')
        .split('\0')
        .map(str::to_owned)
        .collect()
}

fn value<'a>(words: &'a [String], option: &str) -> &'a str {
    let at = words.iter().position(|word| word == option).unwrap();
    &words[at + 1]
}

#[test]
fn example_documents_are_valid() {
    for platform in [Platform::Tdx, Platform::Snp, Platform::Nitro] {
        let document = fs::read(example(platform)).unwrap();
        LaunchDocument::parse(&document).unwrap_or_else(|error| panic!("{}: {error}", platform.name()));
    }
}

#[test]
fn tdx_is_launched_with_the_measured_files_and_the_documents_digest() {
    let image = image(Platform::Tdx);
    let launch = example(Platform::Tdx);
    let output = script("tdx.sh", image.path(), &launch, &["--cpus", "4", "--print"]);
    let words = words(&output);
    assert_eq!(value(&words, "-smp"), "4");
    assert_eq!(value(&words, "-append"), Platform::Tdx.cmdline());
    for (option, name) in [
        ("-bios", "firmware.fd"),
        ("-kernel", "kernel"),
        ("-initrd", "initrd"),
    ] {
        assert_eq!(Path::new(value(&words, option)), image.path().join(name));
    }
    let guest: serde_json::Value = serde_json::from_str(value(&words, "-object")).unwrap();
    assert_eq!(guest["qom-type"], "tdx-guest");
    assert_eq!(guest["sept-ve-disable"], true);
    let config_id = STANDARD.decode(guest["mrconfigid"].as_str().unwrap()).unwrap();
    let digest = LaunchDocument::digest(&fs::read(launch).unwrap());
    assert_eq!(config_id, [&digest[..], &[0; 16]].concat());
}

#[test]
fn snp_is_launched_with_kernel_hashes_and_host_data() {
    let image = image(Platform::Snp);
    let launch = example(Platform::Snp);
    let block = image.path().join("id-block");
    fs::write(&block, "id-block=AAAA,id-auth=BBBB\n").unwrap();
    let options = [
        "--cpu",
        "EPYC-Genoa",
        "--id-block",
        block.to_str().unwrap(),
        "--print",
    ];
    let output = script("snp.sh", image.path(), &launch, &options);
    let words = words(&output);
    assert_eq!(value(&words, "-cpu"), "EPYC-Genoa");
    let guest: Vec<_> = value(&words, "-object").split(',').collect();
    let digest = LaunchDocument::digest(&fs::read(launch).unwrap());
    let host_data = format!("host-data={}", STANDARD.encode(digest));
    let policy = format!("policy={:#x}", DEFAULT_POLICY.0);
    for wanted in [
        "sev-snp-guest",
        "kernel-hashes=on",
        &policy,
        &host_data,
        "id-block=AAAA",
        "id-auth=BBBB",
    ] {
        assert!(guest.contains(&wanted), "{wanted} in {guest:?}");
    }
}

#[test]
fn nitro_is_launched_from_its_file() {
    let image = image(Platform::Nitro);
    let output = script(
        "nitro.sh",
        image.path(),
        &example(Platform::Nitro),
        &["--cid", "16", "--print"],
    );
    let words = words(&output);
    assert_eq!(words[..2], ["nitro-cli", "run-enclave"]);
    assert_eq!(value(&words, "--enclave-cid"), "16");
    assert_eq!(
        Path::new(value(&words, "--eif-path")),
        image.path().join("image.eif")
    );
}

#[test]
fn what_does_not_fit_is_refused_before_anything_starts() {
    let image = image(Platform::Tdx);
    let launch = example(Platform::Tdx);
    let refused = |output: Output, reason: &str| {
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && message.contains(reason), "{message}");
        assert!(output.stdout.is_empty());
    };
    refused(
        script("snp.sh", image.path(), &launch, &["--print"]),
        "not built with --platform snp",
    );
    refused(
        script("nitro.sh", image.path(), &launch, &["--print"]),
        "not built with --platform nitro",
    );
    refused(
        script("tdx.sh", Path::new("/nonexistent"), &launch, &["--print"]),
        "no manifest.json",
    );
    refused(
        script("tdx.sh", image.path(), Path::new("/nonexistent"), &["--print"]),
        "is not a file",
    );
    refused(
        script("tdx.sh", image.path(), &launch, &["--cpus", "0"]),
        "wants a number",
    );
    refused(
        script("tdx.sh", image.path(), &launch, &["--verbose"]),
        "unknown option",
    );
    refused(
        script("snp.sh", image.path(), &launch, &["--cpu", "host,x=y"]),
        "--cpu wants",
    );
    let snp = self::image(Platform::Snp);
    let block = snp.path().join("id-block");
    fs::write(&block, "id-block=AAAA,id-auth=BBBB,policy=0\n").unwrap();
    refused(
        script(
            "snp.sh",
            snp.path(),
            &launch,
            &["--id-block", block.to_str().unwrap()],
        ),
        "holds no ID block",
    );
}
