//! The rules for real hardware, shown on synthetic silicon of each vendor: its evidence has the real formats, and only its
//! roots aren't the vendors'. They are put in the place of those here; a launch document can't.

use std::collections::BTreeMap;

use jeju_attestation::claims::ClaimsBuffer;
use jeju_attestation::hardware::launch_rtmr;
use jeju_attestation::measurement::MeasurementId;
use jeju_attestation::nitro::launch_pcr;
use jeju_attestation::policy::{Kind, TestRootCertificates};
use jeju_attestation::roots::AmdProduct;
use jeju_attestation::tee::Tee;
use jeju_synthetic::NOW;
use jeju_synthetic::amd::report::ReportTemplate;
use jeju_synthetic::amd::{self, Product, Vek, table};
use jeju_synthetic::certificate::pem;
use jeju_synthetic::intel::{self, Body, TdReport};
use jeju_synthetic::nitro::{self, Document};
use serde_json::json;

use super::*;

const HARDWARE_TIME: Interval = Interval {
    lower: NOW - 900,
    upper: NOW,
};

/// Those who stand for the vendors, with a machine each.
struct Vendors {
    intel: intel::Keys,
    td: intel::Evidence,
    chip: amd::Chip,
    enclave: nitro::Keys,
    cabundle: Vec<Vec<u8>>,
    certificate: Vec<u8>,
}

/// What is wrong with a machine.
#[derive(Clone, Copy)]
struct Wrong {
    td: fn(&mut intel::Evidence),
    report: fn(&mut ReportTemplate),
    document: fn(&mut Document),
}

const RIGHT: Wrong = Wrong {
    td: |_| {},
    report: |_| {},
    document: |_| {},
};

fn domain(evidence: &mut intel::Evidence) -> &mut TdReport {
    match &mut evidence.body {
        Body::Td(report) => report,
        _ => unreachable!("a trust domain's"),
    }
}

impl Vendors {
    fn new() -> Self {
        let intel = intel::Keys::generate();
        let enclave = nitro::Keys::new();
        let chain = nitro::Chain::new(&enclave);
        let mut td = intel::Evidence::tdx_15(&intel);
        // A domain whose boot was measured.
        for (register, byte) in domain(&mut td).rtmr.iter_mut().zip(0xB0..) {
            *register = [byte; 48];
        }
        Self {
            td,
            intel,
            chip: amd::Chip::new(Product::Genoa, Vek::Vcek, 5),
            cabundle: chain.cabundle(&enclave),
            certificate: chain.certificate(&enclave),
            enclave,
        }
    }

    fn roots(&self) -> TestRootCertificates {
        let amd = pem(&[&self.chip.make().ark]);
        TestRootCertificates {
            intel: Some(pem(&[&self.intel.root_certificate])),
            amd: BTreeMap::from([(AmdProduct::Genoa, amd)]),
            aws_nitro: Some(pem(&[&self.cabundle[0]])),
            ..TestRootCertificates::default()
        }
    }

    fn measurement(&self, tee: Tee) -> MeasurementId {
        let mut td = self.td.clone();
        let td = domain(&mut td);
        let report = &self.chip.report;
        match tee {
            Tee::Tdx => MeasurementId::tdx(
                &td.mr_td,
                [&td.rtmr[0], &td.rtmr[1], &td.rtmr[2]],
                &td.td_attributes,
                &td.xfam,
            ),
            Tee::SevSnp => {
                MeasurementId::sev_snp(&report.measurement, &report.policy.to_le_bytes(), report.vmpl)
            }
            Tee::Nitro => MeasurementId::nitro([&[0xA0; 48], &[0xA1; 48], &[0xA2; 48]]),
            Tee::Simulated => unreachable!("no hardware"),
        }
    }

    fn quote(&self, tee: Tee, report_data: [u8; 64], launch: &[u8; 32], wrong: Wrong) -> Vec<u8> {
        match tee {
            Tee::Tdx => {
                let mut td = self.td.clone();
                let report = domain(&mut td);
                report.report_data = report_data;
                report.mr_config_id = [0; 48];
                report.mr_config_id[..32].copy_from_slice(launch);
                report.rtmr[3] = launch_rtmr(launch);
                (wrong.td)(&mut td);
                td.quote(&self.intel, &self.intel)
            }
            Tee::SevSnp => {
                let mut report = self.chip.report.clone();
                (report.report_data, report.host_data) = (report_data, *launch);
                (wrong.report)(&mut report);
                report.sign(&self.chip.vek_key)
            }
            Tee::Nitro => {
                let mut document = Document::new(&self.cabundle, &self.certificate);
                *document.field("user_data") = report_data.to_vec().into();
                document.set_pcr(16, &launch_pcr(launch));
                (wrong.document)(&mut document);
                document.sign(&self.enclave.enclave)
            }
            Tee::Simulated => unreachable!("no hardware"),
        }
    }

    /// What comes with a node's quotes.
    fn endorsements(&self, tee: Tee) -> Vec<u8> {
        match tee {
            Tee::Tdx => {
                let [root_crl, pck_crl, signer, tcb_info, qe_identity] =
                    self.td.collateral.files(&self.intel);
                let text = |bytes| String::from_utf8(bytes).unwrap();
                json!({
                    "root_ca_crl": hex::encode(root_crl),
                    "pck_crl": hex::encode(pck_crl),
                    "tcb_info_issuer_chain": pem(&[&signer]),
                    "tcb_info": text(tcb_info),
                    "qe_identity": text(qe_identity),
                })
                .to_string()
                .into_bytes()
            }
            Tee::SevSnp => {
                let made = self.chip.make();
                table::table(&[(table::guid::ASK, &made.ask), (table::guid::VCEK, &made.vek)])
            }
            _ => Vec::new(),
        }
    }

    /// A member's launch document where member 2's machine is `platform`.
    fn document(&self, tee: Tee, member: u8, platform: &[u8; 32]) -> String {
        let simulated = MeasurementId::simulated(&IMAGE).to_string();
        let was = HexBytes(silicon(2).platform_id()).to_string();
        public_text(member)
            .replace(&simulated, &self.measurement(tee).to_string())
            .replace(&was, &HexBytes(*platform).to_string())
    }

    fn bundle(&self, tee: Tee, launch: &str, nonce: [u8; 32], wrong: Wrong) -> Bundle {
        let node = Node::new(2).with(|node| node.launch = launch.to_owned());
        let mut bundle = Bundle::parse(&node.bundle(nonce, CHANNEL)).unwrap();
        let claims = ClaimsBuffer::parse(&bundle.claims).unwrap();
        bundle.tee = tee;
        bundle.cpu = self.quote(tee, claims.report_data(), &claims.claims().launch, wrong);
        bundle.endorsements = self.endorsements(tee);
        bundle
    }

    /// Member 1 with these roots in the place of the vendors', and nothing else changed.
    fn admission(&self, own: &str) -> Admission {
        let mut admission = Admission::new(LaunchDocument::parse(own.as_bytes()).unwrap()).unwrap();
        assert_eq!(admission.policy.kind, Kind::Production);
        admission.policy.kind = Kind::Development;
        admission.policy.test_roots = Some(self.roots());
        admission.verifier = Verifier::of_policy(&admission.policy, Endorsements::default()).unwrap();
        admission
    }

    fn judge(&self, tee: Tee, wrong: Wrong) -> Result<MemberIndex, String> {
        // Which machine it is doesn't depend on the document.
        let any = self.bundle(tee, &public_text(2), [5; 32], RIGHT);
        let verifier = self.admission(&public_text(1)).verifier;
        let genuine = verifier
            .verify_end(&NodeEvidence::of(&any), Role::Server, NOW)
            .unwrap();
        let platform = genuine.platform.unwrap();

        let mut admission = self.admission(&self.document(tee, 1, &platform));
        let now = Instant::now();
        let nonce = admission.challenge(CONNECTION, now).unwrap();
        let launch = self.document(tee, 2, &platform);
        let evidence = PeerEvidence {
            role: PeerRole::Server,
            channel: CHANNEL,
            bundle: self.bundle(tee, &launch, nonce, wrong).encode(),
            measurement: MeasurementStatus::Unreadable,
        };
        admission
            .admit(CONNECTION, &evidence, HARDWARE_TIME, now)
            .map(|admitted| admitted.member)
            .map_err(|error| error.code().to_owned())
    }
}

#[test]
fn members_on_each_vendors_hardware_are_admitted() {
    let vendors = Vendors::new();
    for tee in [Tee::Tdx, Tee::SevSnp, Tee::Nitro] {
        assert_eq!(vendors.judge(tee, RIGHT), Ok(MemberIndex(2)), "{tee:?}");
    }
}

#[test]
fn hardware_that_is_out_of_date_in_debug_or_unchecked_is_refused() {
    let vendors = Vendors::new();
    let refused = |tee, wrong| vendors.judge(tee, wrong).unwrap_err();
    let debug = Wrong {
        td: |td| domain(td).td_attributes[0] |= 1,
        report: |report| report.policy |= 1 << 19,
        document: |document| (0..3).for_each(|pcr| document.set_pcr(pcr, &[0; 48])),
    };
    assert_eq!(refused(Tee::Tdx, debug), "tdx_debug");
    assert_eq!(refused(Tee::SevSnp, debug), "snp_debug");
    assert_eq!(refused(Tee::Nitro, debug), "nitro_debug");
    let old = Wrong {
        td: |td| td.extension.pce_svn = 10,
        report: |report| (report.current_version, report.committed_version) = ([28, 55, 1], [28, 55, 1]),
        document: |document| *document.field("timestamp") = ((NOW - 4 * 3600) * 1000).into(),
    };
    assert_eq!(refused(Tee::Tdx, old), "dcap_tcb_out_of_date");
    assert_eq!(refused(Tee::SevSnp, old), "snp_firmware_below_minimum");
    assert_eq!(refused(Tee::Nitro, old), "nitro_document_age");
    let unchecked = Wrong {
        // ALIAS_CHECK_COMPLETE.
        report: |report| report.platform_info &= !(1 << 5),
        ..RIGHT
    };
    assert_eq!(refused(Tee::SevSnp, unchecked), "snp_alias_check_incomplete");
    // Launched without the document bound.
    let unbound = Wrong {
        td: |td| domain(td).mr_config_id = [0; 48],
        report: |report| report.host_data = [0; 32],
        document: |document| document.set_pcr(16, &[0; 48]),
    };
    for tee in [Tee::Tdx, Tee::SevSnp, Tee::Nitro] {
        assert_eq!(refused(tee, unbound), "launch_not_bound", "{tee:?}");
    }
}
