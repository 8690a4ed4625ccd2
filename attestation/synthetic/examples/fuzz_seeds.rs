//! Writes a file for each form of evidence that the fuzz target `hardware` reads, right in all points: what it starts from.
//!
//! `cargo run -p jeju-synthetic --example fuzz_seeds -- fuzz/seeds/hardware`. The first byte is the target's choice of
//! parser. Names and forms are the same each time; keys and signatures are new.

use std::path::PathBuf;
use std::{env, fs, io};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jeju_synthetic::NOW;
use jeju_synthetic::amd::{self, Product, Vek, table};
use jeju_synthetic::certificate::pem;
use jeju_synthetic::event_log::{Log, SHA256, SHA384};
use jeju_synthetic::intel::{self, Evidence};
use jeju_synthetic::nitro;
use jeju_synthetic::nvidia::device::Authority;
use jeju_synthetic::nvidia::manifest::{self, Signer};
use jeju_synthetic::nvidia::{Chip, report};
use serde_json::json;

/// Choices of the target.
mod choice {
    pub const ANY: u8 = 0;
    pub const TDX: u8 = 1;
    pub const SGX: u8 = 2;
    pub const SNP: u8 = 3;
    pub const NITRO: u8 = 4;
    pub const NVIDIA: u8 = 5;
    pub const ENDORSEMENT: u8 = 6;
    pub const MANIFEST: u8 = 7;
    pub const EVENT_LOG: u8 = 8;
    pub const REQUEST: u8 = 9;
    pub const COLLATERAL: u8 = 10;
    pub const CERTIFICATE: u8 = 11;
}

type Seed = (String, u8, Vec<u8>);

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| io::Error::other("usage: fuzz_seeds FOLDER"))?;
    fs::create_dir_all(&folder)?;
    let seeds = [
        intel_seeds(),
        amd_seeds(),
        nitro_seeds(),
        nvidia_seeds(),
        logs(),
        policies(),
    ];
    for (name, choice, bytes) in seeds.into_iter().flatten() {
        fs::write(folder.join(name), [&[choice], bytes.as_slice()].concat())?;
    }
    Ok(())
}

fn seed(name: &str, choice: u8, bytes: impl Into<Vec<u8>>) -> Seed {
    (name.to_owned(), choice, bytes.into())
}

fn intel_seeds() -> Vec<Seed> {
    let keys = intel::Keys::generate();
    let evidence = Evidence::tdx_15(&keys);
    let (quote, sgx) = (
        evidence.quote(&keys, &keys),
        Evidence::sgx(&keys).quote(&keys, &keys),
    );
    let files = evidence.collateral.files(&keys);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let [root_crl, pck_crl, signer, tcb_info, qe_identity] = &files;
    let chain = pem(&[signer, &keys.root_certificate]);
    let set = json!({
        "pck_crl_issuer_chain": text(&evidence.pck_chain(&keys, &keys)),
        "root_ca_crl": hex::encode(root_crl),
        "pck_crl": hex::encode(pck_crl),
        "tcb_info_issuer_chain": chain,
        "tcb_info": text(tcb_info),
        "qe_identity_issuer_chain": chain,
        "qe_identity": text(qe_identity),
    });
    let request = json!({
        "evidence": STANDARD.encode(&quote),
        "endorsements": files.iter().map(|file| STANDARD.encode(file)).collect::<Vec<_>>(),
        "nonce": null,
        "report_data": hex::encode([0; 64]),
        "at": NOW,
    });
    let dstack =
        json!({"quote": hex::encode(&quote), "report_data": hex::encode([0; 64]), "collateral": set});
    let inner = |file: &[u8], name: &str| {
        let json: serde_json::Value = serde_json::from_slice(file).expect("JSON");
        json[name].to_string()
    };
    vec![
        seed("tdx-version-5", choice::TDX, quote.clone()),
        seed(
            "tdx-version-4",
            choice::TDX,
            Evidence::tdx_10(&keys).quote(&keys, &keys),
        ),
        seed("sgx", choice::SGX, sgx.clone()),
        seed("sgx-base64", choice::ANY, STANDARD.encode(sgx)),
        seed("tdx-json", choice::ANY, dstack.to_string()),
        seed(
            "tdx-numbers",
            choice::ANY,
            json!({ "td_quote": &quote[..1024] }).to_string(),
        ),
        seed("intel-list", choice::ENDORSEMENT, root_crl.clone()),
        seed("intel-signer", choice::ENDORSEMENT, signer.clone()),
        seed("intel-tcb-info-answer", choice::ENDORSEMENT, tcb_info.clone()),
        seed("intel-set", choice::ENDORSEMENT, set.to_string()),
        seed("intel-chain", choice::ENDORSEMENT, chain),
        seed("intel-tcb-info", choice::COLLATERAL, inner(tcb_info, "tcbInfo")),
        seed(
            "intel-qe-identity",
            choice::COLLATERAL,
            inner(qe_identity, "enclaveIdentity"),
        ),
        seed("intel-list-entries", choice::CERTIFICATE, pck_crl.clone()),
        seed(
            "intel-certificate",
            choice::CERTIFICATE,
            keys.root_certificate.to_vec(),
        ),
        seed("request", choice::REQUEST, request.to_string()),
    ]
}

fn amd_seeds() -> Vec<Seed> {
    let made = amd::Chip::new(Product::Turin, Vek::Vcek, 5).make();
    let older = amd::Chip::new(Product::Milan, Vek::Vlek, 2).make();
    let certificates = table::table(&[
        (table::guid::VCEK, &made.vek),
        (table::guid::ASK, &made.ask),
        (table::guid::CRL, &made.crl),
    ]);
    let tsm = json!({
        "provider": "sev_guest\n",
        "outblob": STANDARD.encode(&made.report),
        "auxblob": STANDARD.encode(&certificates),
    });
    let kind = "application/vnd.veraison.tsm-report+json";
    let collection = json!({ "tsm-report": [kind, STANDARD.encode(tsm.to_string())] });
    let ratsd = json!({ "cmw": STANDARD.encode(collection.to_string()), "eat_nonce": "AAAA" });
    // Kind 3, length 1184 and one certificate of 400 bytes or so, as SCALE writes numbers.
    let len = (made.vek.len() << 2 | 1) as u16;
    let dstack = [
        &[0x00, 0x03, 0x81, 0x12],
        made.report.as_slice(),
        &[1 << 2],
        &len.to_le_bytes(),
        &made.vek,
    ]
    .concat();
    vec![
        seed("snp-version-5", choice::SNP, made.report.clone()),
        seed("snp-version-2", choice::SNP, older.report),
        seed("snp-dstack", choice::ANY, dstack),
        seed("snp-tsm", choice::ANY, tsm.to_string()),
        seed("snp-ratsd", choice::ANY, ratsd.to_string()),
        seed("snp-table", choice::ENDORSEMENT, certificates.clone()),
        seed("snp-table-alone", choice::CERTIFICATE, certificates),
        seed("snp-vlek", choice::CERTIFICATE, older.vek),
    ]
}

fn nitro_seeds() -> Vec<Seed> {
    let keys = nitro::Keys::new();
    let chain = nitro::Chain::new(&keys);
    let document =
        nitro::Document::new(&chain.cabundle(&keys), &chain.certificate(&keys)).sign(&keys.enclave);
    let kms = json!({ "Recipient": { "AttestationDocument": STANDARD.encode(&document) } });
    vec![
        seed("nitro", choice::NITRO, document),
        seed("nitro-kms", choice::ANY, kms.to_string()),
    ]
}

fn nvidia_seeds() -> Vec<Seed> {
    const PDI: [u8; 8] = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88];
    let (authority, signer) = (Authority::new(), Signer::new());
    let evidence = |chip| {
        let device = authority.device(chip, PDI);
        let report = report::Template::new(chip, PDI, [7; 32]).sign(&device.firmware);
        let chain = authority.chain(&device);
        (report, pem(&chain.iter().map(Vec::as_slice).collect::<Vec<_>>()))
    };
    let (gpu, chain) = evidence(Chip::Gh100);
    let (switch, _) = evidence(Chip::Ls10);
    let entry = json!({
        "arch": "HOPPER",
        "nonce": hex::encode([7; 32]),
        "evidence": STANDARD.encode(&gpu),
        "certificate": STANDARD.encode(&chain),
    });
    let mut short = manifest::Template::new(Chip::Gh100, "580.95.05", [0, 1]);
    short.resources.truncate(4);
    let document = short.sign(&signer);
    vec![
        seed("nvidia-gpu", choice::NVIDIA, gpu),
        seed("nvidia-switch", choice::NVIDIA, switch),
        seed("nvidia-list", choice::ANY, json!([entry]).to_string()),
        seed("nvidia-chain", choice::ENDORSEMENT, chain),
        seed("nvidia-manifest", choice::MANIFEST, document.clone()),
        seed("nvidia-manifest-endorsement", choice::ENDORSEMENT, document),
    ]
}

fn logs() -> Vec<Seed> {
    let log = Log::boot(&[SHA384], [1, 2, 3]).bytes();
    let events = json!([{
        "imr": 3,
        "event_type": 0x0800_0001,
        "digest": "",
        "event": "app-id",
        "event_payload": "0102",
    }]);
    vec![
        seed("log-ccel", choice::EVENT_LOG, log),
        seed(
            "log-tpm",
            choice::EVENT_LOG,
            Log::boot(&[SHA256, SHA384], [0, 4, 8]).bytes(),
        ),
        seed("log-dstack", choice::EVENT_LOG, events.to_string()),
    ]
}

fn policies() -> Vec<Seed> {
    let policy = format!(
        "version = 1\nkind = \"production\"\ntees = [\"tdx\", \"sev-snp\", \"nitro\"]\nmeasurements = [\"0x{}\"]\n\
         [tdx]\n[sev-snp]\n[nitro]\n[gpu]\n",
        "01".repeat(32)
    );
    vec![seed("policy", choice::REQUEST, policy)]
}
