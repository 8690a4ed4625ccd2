//! What a node's quotes come from: simulated silicon, or synthetic silicon of each vendor under test roots, whose
//! evidence has the real formats and takes the whole way of real evidence.

use std::collections::BTreeMap;

use jeju_attestation::endorsements::Endorsements;
use jeju_attestation::hardware::launch_rtmr;
use jeju_attestation::measurement::MeasurementId;
use jeju_attestation::nitro::launch_pcr;
use jeju_attestation::policy::{Policy, TestRootCertificates};
use jeju_attestation::roots::AmdProduct;
use jeju_attestation::stripped::{restore, strip};
use jeju_attestation::tee::Tee;
use jeju_simulated::Chip;
use jeju_synthetic::DAY;
use jeju_synthetic::amd::{self, Product, Vek};
use jeju_synthetic::certificate::{Template, pem};
use jeju_synthetic::der::rfc3339;
use jeju_synthetic::intel::{self, Body};
use jeju_synthetic::nitro::{self, Chain, Document};
use serde_json::json;

use super::node::now;

pub enum Silicon {
    Simulated(Chip),
    /// With a quote whose PCK chain all others share, as it is the platform's, and what the node brings beside its quotes.
    Tdx(intel::Keys, Box<intel::Evidence>, Vec<u8>, Vec<u8>),
    Snp(Box<amd::Chip>),
    Nitro(Box<Enclave>),
}

/// A Nitro enclave with its chain, signed once because its root is pinned byte for byte.
pub struct Enclave {
    keys: nitro::Keys,
    cabundle: Vec<Vec<u8>>,
    certificate: Vec<u8>,
    launch: [u8; 32],
}

impl Silicon {
    /// A TDX 1.5 domain that was launched with this document's digest.
    pub fn tdx(launch: &[u8; 32]) -> Self {
        let keys = intel::Keys::generate();
        let mut evidence = intel::Evidence::tdx_15(&keys);
        let Body::Td(report) = &mut evidence.body else {
            unreachable!("a trust domain's")
        };
        report.mr_config_id = [0; 48];
        report.mr_config_id[..32].copy_from_slice(launch);
        report.rtmr[3] = launch_rtmr(launch);
        // Hosts hand quotes out in a buffer of fixed size.
        evidence.behind = vec![0; 100];
        current(&mut evidence.pck);
        let collateral = &mut evidence.collateral;
        current(&mut collateral.signer);
        for list in [&mut collateral.root_crl, &mut collateral.pck_crl] {
            list.this_update = now() as i64 - DAY;
            list.next_update = Some(now() as i64 + DAY);
        }
        for document in [&mut collateral.tcb_info, &mut collateral.qe_identity] {
            document["issueDate"] = json!(rfc3339(now() as i64 - DAY));
            document["nextUpdate"] = json!(rfc3339(now() as i64 + DAY));
        }
        let first = evidence.quote(&keys, &keys);
        Silicon::Tdx(keys, Box::new(evidence), first, Vec::new())
    }

    /// The same, and the node brings Intel's collateral along.
    pub fn tdx_with_collateral(launch: &[u8; 32]) -> Self {
        let Silicon::Tdx(keys, evidence, first, _) = Self::tdx(launch) else {
            unreachable!("a trust domain's")
        };
        let [root_crl, pck_crl, signer, tcb_info, qe_identity] = evidence.collateral.files(&keys);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let set = json!({"root_ca_crl": hex::encode(root_crl), "pck_crl": hex::encode(pck_crl),
            "tcb_info_issuer_chain": pem(&[&signer]), "tcb_info": text(tcb_info), "qe_identity": text(qe_identity)});
        Silicon::Tdx(keys, evidence, first, set.to_string().into_bytes())
    }

    /// The same, and what the node brings is of no kind.
    pub fn tdx_with_garbage(launch: &[u8; 32]) -> Self {
        let Silicon::Tdx(keys, evidence, first, _) = Self::tdx(launch) else {
            unreachable!("a trust domain's")
        };
        Silicon::Tdx(keys, evidence, first, b"garbage".to_vec())
    }

    /// An SEV-SNP guest on Genoa.
    pub fn snp(launch: &[u8; 32]) -> Self {
        let mut chip = amd::Chip::new(Product::Genoa, Vek::Vcek, 5);
        chip.report.host_data = *launch;
        current(&mut chip.vek);
        Silicon::Snp(Box::new(chip))
    }

    /// A Nitro enclave.
    pub fn nitro(launch: &[u8; 32]) -> Self {
        let keys = nitro::Keys::new();
        let mut chain = Chain::new(&keys);
        current(&mut chain.instance);
        current(&mut chain.enclave);
        Silicon::Nitro(Box::new(Enclave {
            cabundle: chain.cabundle(&keys),
            certificate: chain.certificate(&keys),
            launch: *launch,
            keys,
        }))
    }

    pub fn tee(&self) -> Tee {
        match self {
            Silicon::Simulated(_) => Tee::Simulated,
            Silicon::Tdx(..) => Tee::Tdx,
            Silicon::Snp(_) => Tee::SevSnp,
            Silicon::Nitro(..) => Tee::Nitro,
        }
    }

    /// A quote over REPORT_DATA.
    pub fn quote(&self, report_data: [u8; 64]) -> Vec<u8> {
        match self {
            Silicon::Simulated(chip) => chip.report(report_data).to_vec(),
            Silicon::Tdx(keys, evidence, first, _) => {
                let mut evidence = evidence.clone();
                if let Body::Td(report) = &mut evidence.body {
                    report.report_data = report_data;
                }
                // Each quote signs the chain anew, and now and then at the same length.
                let quotes = std::iter::repeat_with(|| evidence.quote(keys, keys));
                let stripped = quotes.map(|quote| strip(Tee::Tdx, &quote).unwrap());
                let mut restored = stripped.map(|quote| restore(Tee::Tdx, &quote, first, first.len()));
                restored.find_map(Result::ok).unwrap()
            }
            Silicon::Snp(chip) => {
                let mut report = chip.report.clone();
                report.report_data = report_data;
                report.sign(&chip.vek_key)
            }
            Silicon::Nitro(enclave) => {
                let mut document = Document::new(&enclave.cabundle, &enclave.certificate);
                *document.field("timestamp") = (now() * 1000).into();
                *document.field("user_data") = report_data.to_vec().into();
                document.set_pcr(16, &launch_pcr(&enclave.launch));
                document.sign(&enclave.keys.enclave)
            }
        }
    }

    /// What the platform hands out beside its quotes.
    pub fn endorsements(&self) -> Vec<u8> {
        match self {
            Silicon::Snp(chip) => {
                let made = chip.make();
                let contents = [
                    (amd::table::guid::ASK, &made.ask),
                    (amd::table::guid::VCEK, &made.vek),
                ];
                amd::table::table(&contents.map(|(guid, der)| (guid, der.as_slice())))
            }
            Silicon::Tdx(.., brought) => brought.clone(),
            _ => Vec::new(),
        }
    }

    /// What whoever verifies must have of the vendor.
    pub fn collateral(&self) -> Endorsements {
        let mut endorsements = Endorsements::default();
        if let Silicon::Tdx(keys, evidence, ..) = self {
            for file in evidence.collateral.files(keys) {
                endorsements.add(&file).unwrap();
            }
        }
        endorsements
    }

    pub fn measurement(&self, image: &[u8; 32]) -> MeasurementId {
        match self {
            Silicon::Simulated(_) => MeasurementId::simulated(image),
            Silicon::Tdx(_, evidence, ..) => {
                let Body::Td(report) = &evidence.body else {
                    unreachable!("a trust domain's")
                };
                let [rtmr0, rtmr1, rtmr2, _] = &report.rtmr;
                MeasurementId::tdx(
                    &report.mr_td,
                    [rtmr0, rtmr1, rtmr2],
                    &report.td_attributes,
                    &report.xfam,
                )
            }
            Silicon::Snp(chip) => {
                let report = &chip.report;
                MeasurementId::sev_snp(&report.measurement, &report.policy.to_le_bytes(), report.vmpl)
            }
            Silicon::Nitro(..) => MeasurementId::nitro([&[0xA0; 48], &[0xA1; 48], &[0xA2; 48]]),
        }
    }

    /// Makes a policy trust this silicon's roots, and gives it rules for the platform.
    pub fn trust(&self, policy: &mut Policy) {
        let one = |der: &[u8]| Some(pem(&[der]));
        let mut roots = TestRootCertificates::default();
        match self {
            Silicon::Simulated(_) => return,
            Silicon::Tdx(keys, ..) => {
                roots.intel = one(&keys.root_certificate);
                let rules = json!({"tcb": {"least_evaluation_data_number": 20, "dynamic_platform": true,
                    "cached_keys": true, "smt_enabled": true}});
                policy.tdx = Some(serde_json::from_value(rules).unwrap());
            }
            Silicon::Snp(chip) => {
                let root = pem(&[&chip.ark.sign(&chip.ark_key)]);
                roots.amd = BTreeMap::from([(AmdProduct::Genoa, root)]);
                let floor = json!({"tcb": {"bootloader": 4, "tee": 1, "snp": 23, "microcode": 0xD5},
                    "firmware": {"major": 1, "minor": 55, "build": 29},
                    "launch_mitigations": 3, "current_mitigations": 3});
                let rules = json!({"products": {"genoa": floor}, "required": [], "abi": [0, 31], "guest_svn": 7,
                    "no_id_block": true, "smt": true, "revocation_unknown": true});
                policy.sev_snp = Some(serde_json::from_value(rules).unwrap());
            }
            Silicon::Nitro(enclave) => {
                roots.aws_nitro = one(&enclave.cabundle[0]);
                let rules =
                    json!({"max_age_seconds": 600, "max_future_seconds": 60, "revocation_unknown": true});
                policy.nitro = Some(serde_json::from_value(rules).unwrap());
            }
        }
        policy.test_roots = Some(roots);
    }
}

/// Valid now, and not at the time for which synthetic evidence is made.
fn current(template: &mut Template) {
    template.not_before = now() as i64 - DAY;
    template.not_after = now() as i64 + DAY;
}
