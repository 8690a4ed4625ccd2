//! Prints as JSON what an image measures to on SEV-SNP and Nitro, computed by this crate from the files themselves, for
//! `image/tests/peers.py` to compare with other programs.
//!
//! `launch_values KERNEL CMDLINE RAMDISK...` (files). `launch_values --check-id-block FILE` reads QEMU's properties from a
//! file and verifies them. `launch_values --id-block DIGEST ID_KEY AUTHOR_KEY` makes them.

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jeju_image::firmware::SEV_SNP;
use jeju_image::measure::nitro::NitroPcrs;
use jeju_image::measure::snp::id_block::{IdBlock, IdKey, verify};
use jeju_image::measure::snp::{
    Cpu, DEFAULT_POLICY, KernelHashes, SnpFirmware, SnpLaunch, SnpShape, measurement_id, shapes,
};
use serde_json::{Value, json};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let answer = match arguments[..] {
        ["--check-id-block", file] => check_id_block(file)?,
        ["--id-block", digest, id_key, author_key] => make_id_block(digest, id_key, author_key)?,
        [kernel, cmdline, ref ramdisks @ ..] if !ramdisks.is_empty() => values(kernel, cmdline, ramdisks)?,
        _ => bail!("usage: launch_values KERNEL CMDLINE RAMDISK..."),
    };
    println!("{answer}");
    Ok(())
}

fn values(kernel: &str, cmdline: &str, ramdisks: &[&str]) -> Result<Value> {
    let (kernel, cmdline) = (read(kernel)?, read(cmdline)?);
    let ramdisks = ramdisks
        .iter()
        .map(|path| read(path))
        .collect::<Result<Vec<_>>>()?;
    let parts: Vec<&[u8]> = ramdisks.iter().map(Vec::as_slice).collect();

    let firmware = SnpFirmware::parse(SEV_SNP)?;
    let hashes = KernelHashes::of(&kernel, &ramdisks.concat(), &cmdline);
    let launch = SnpLaunch::new(&firmware, Some(&hashes))?;
    let mut all = shapes();
    // What isn't published, but computed.
    all.extend([0x1, 0x21].map(|guest_features| SnpShape {
        vcpus: 3,
        cpu: Cpu::EpycV4,
        guest_features,
    }));
    let mut snp = Vec::new();
    for shape in all {
        let digest = launch.digest(&shape)?;
        snp.push(json!({
            "shape": shape,
            "digest": hex::encode(digest),
            "measurement": measurement_id(&digest, DEFAULT_POLICY).to_string(),
        }));
    }
    let pcrs = NitroPcrs::of(&kernel, &cmdline, &parts);
    Ok(json!({
        "snp": snp,
        "nitro": {
            "PCR0": hex::encode(pcrs.pcr0),
            "PCR1": hex::encode(pcrs.pcr1),
            "PCR2": hex::encode(pcrs.pcr2),
            "measurement": pcrs.measurement().to_string(),
        },
    }))
}

/// `id-block=…,id-auth=…`, in base64.
fn check_id_block(file: &str) -> Result<Value> {
    let text = String::from_utf8(read(file)?)?;
    let property = |name: &str| -> Result<Vec<u8>> {
        let value = text.trim().split(',').find_map(|pair| pair.strip_prefix(name));
        let bytes = value.and_then(|value| STANDARD.decode(value).ok());
        bytes.with_context(|| format!("no {name} in base64"))
    };
    let verified = verify(&property("id-block=")?, &property("id-auth=")?)?;
    Ok(json!({
        "launch_digest": hex::encode(verified.block.launch_digest),
        "policy": verified.block.policy.0,
        "id_key_digest": hex::encode(verified.id_key_digest),
        "author_key_digest": verified.author_key_digest.map(hex::encode),
    }))
}

fn make_id_block(digest: &str, id_key: &str, author_key: &str) -> Result<Value> {
    let key = |path: &str| -> Result<IdKey> { Ok(IdKey::from_pem(&read(path)?)?) };
    let mut launch_digest = [0; 48];
    hex::decode_to_slice(digest, &mut launch_digest)?;
    let block = IdBlock {
        launch_digest,
        family_id: [0; 16],
        image_id: [0; 16],
        guest_svn: 0,
        policy: DEFAULT_POLICY,
    };
    let signed = block.sign(&key(id_key)?, Some(&key(author_key)?))?;
    Ok(json!(signed.qemu_properties()))
}

fn read(path: &str) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| path.to_owned())
}
