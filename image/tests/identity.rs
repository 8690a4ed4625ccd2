//! What is predicted of an image is what a verifier accepts, and one changed byte of any input is refused: reports of
//! synthetic silicon with the predicted values, judged by a policy that lists the predicted ids.

use jeju_attestation::endorsements::Endorsements;
use jeju_attestation::measurement::MeasurementId;
use jeju_attestation::offline::{Request, Submission, verify};
use jeju_attestation::policy::Policy;
use jeju_image::build::{self, Parts};
use jeju_image::manifest::{Platform, Toolchain};
use jeju_image::measure::Image;
use jeju_image::measure::prediction::{Circumstances, Prediction, TdxPrediction, predict};
use jeju_image::measure::snp::{Cpu, DEFAULT_POLICY, GUEST_FEATURES, SnpShape};
use jeju_synthetic::NOW;
use jeju_synthetic::amd::{self, Product, Vek, table};
use jeju_synthetic::certificate::pem;
use jeju_synthetic::intel::{self, Body, TdReport};
use jeju_synthetic::nitro::{self, Document};

const LAUNCH: &[u8] = include_bytes!("../hosts/launch.example.tdx.toml");
const HARDWARE: [Platform; 3] = [Platform::Tdx, Platform::Snp, Platform::Nitro];

/// One byte of one input.
struct Change {
    name: &'static str,
    make: fn(&mut Image, &mut Vec<u8>),
    /// Platforms whose identity doesn't have this input.
    but: &'static [Platform],
}

const CHANGES: [Change; 9] = [
    Change {
        name: "kernel, in the middle",
        make: |image, _| flip(&mut image.kernel, 2),
        but: &[],
    },
    Change {
        name: "kernel, last byte",
        make: |image, _| *image.kernel.last_mut().unwrap() ^= 1,
        but: &[],
    },
    Change {
        name: "first archive",
        make: |image, _| flip(&mut image.archives[0], 2),
        but: &[],
    },
    Change {
        name: "node",
        make: |image, _| flip(&mut image.archives[1], 2),
        but: &[],
    },
    Change {
        name: "model",
        make: |image, _| flip(&mut image.archives[2], 2),
        but: &[],
    },
    Change {
        name: "padding of the last archive",
        make: |image, _| *image.archives[2].last_mut().unwrap() ^= 1,
        but: &[],
    },
    Change {
        name: "command line",
        make: |image, _| image.cmdline.replace_range(..1, "C"),
        but: &[],
    },
    Change {
        // The boot volume of TDX's lies behind the variables.
        name: "firmware",
        make: |image, _| {
            if let Some(firmware) = &mut image.firmware {
                *firmware.last_mut().unwrap() ^= 1;
            }
        },
        but: &[Platform::Nitro],
    },
    Change {
        name: "launch document",
        make: |_, launch| *launch.last_mut().unwrap() = b' ',
        but: &[],
    },
];

fn flip(bytes: &mut [u8], part: usize) {
    let at = bytes.len() / part;
    bytes[at] ^= 1;
}

#[test]
fn one_changed_byte_is_refused() {
    let silicon = Silicon::new();
    for platform in HARDWARE {
        let image = image(platform);
        let (launch, predicted) = (LAUNCH.to_vec(), prediction(platform, &image, LAUNCH));
        let policy = silicon.policy(&predicted);
        assert_eq!(silicon.ask(&predicted, &policy), Ok(()), "{}", platform.name());

        for change in &CHANGES {
            let (mut image, mut launch) = (image.clone(), launch.clone());
            (change.make)(&mut image, &mut launch);
            let case = format!("{} on {}", change.name, platform.name());
            let changed = prediction(platform, &image, &launch);
            if change.but.contains(&platform) {
                assert_eq!(changed, predicted, "{case}");
            } else if change.name == "launch document" {
                // Not of the image's id: the verifier compares it with the document (`node::negatives` of the verifier's
                // tests), so all that is to be shown here is that the register moves.
                assert_ne!(launch_register(&changed), launch_register(&predicted), "{case}");
                assert_eq!(silicon.ask(&changed, &policy), Ok(()), "{case}");
            } else {
                assert_eq!(
                    silicon.ask(&changed, &policy),
                    Err("measurement_unknown".to_owned()),
                    "{case}"
                );
            }
        }
    }
}

#[test]
fn another_shape_is_refused() {
    let silicon = Silicon::new();
    let image = image(Platform::Snp);
    let of = |shape| {
        let circumstances = Circumstances {
            snp_shapes: vec![shape],
            ..Circumstances::default()
        };
        predict(Platform::Snp, &image, &circumstances).unwrap().unwrap()
    };
    let policy = silicon.policy(&of(SHAPE));
    for other in [
        SnpShape { vcpus: 4, ..SHAPE },
        SnpShape {
            cpu: Cpu::Turin,
            ..SHAPE
        },
        SnpShape {
            guest_features: 0x21,
            ..SHAPE
        },
    ] {
        let asked = silicon.ask(&of(other), &policy);
        assert_eq!(asked, Err("measurement_unknown".to_owned()), "{other:?}");
    }
}

/// On Nitro, the platform is told from the node.
#[test]
fn pcr1_is_the_platform_and_pcr2_the_node() {
    let image = image(Platform::Nitro);
    let pcrs = |image: &Image| match prediction(Platform::Nitro, image, LAUNCH) {
        Prediction::Nitro(nitro) => (nitro.pcr1, nitro.pcr2),
        _ => unreachable!("asked for Nitro"),
    };
    let (platform, node) = pcrs(&image);
    let mut other = image.clone();
    flip(&mut other.archives[1], 2);
    assert_eq!(pcrs(&other).0, platform);
    assert_ne!(pcrs(&other).1, node);
    let mut other = image;
    flip(&mut other.archives[0], 2);
    assert_ne!(pcrs(&other).0, platform);
    assert_eq!(pcrs(&other).1, node);
}

const SHAPE: SnpShape = SnpShape {
    vcpus: 2,
    cpu: Cpu::Genoa,
    guest_features: GUEST_FEATURES,
};

/// A small image with the real kernel and firmware.
fn image(platform: Platform) -> Image {
    let parts = Parts {
        platform,
        init: b"\x7fELF first program".to_vec(),
        enclave: b"\x7fELF node".to_vec(),
        agent: None,
        origin: "a test".to_owned(),
        toolchain: Toolchain::default(),
        model: Some(vec![7; 4000]),
        cmdline: platform.cmdline().to_owned(),
    };
    let folder = tempfile::tempdir().unwrap();
    build::assemble(&parts, folder.path()).unwrap();
    Image::open(folder.path()).unwrap()
}

fn prediction(platform: Platform, image: &Image, launch: &[u8]) -> Prediction {
    let circumstances = Circumstances {
        snp_shapes: vec![SHAPE],
        ..Circumstances::of_launch(Some(launch))
    };
    predict(platform, image, &circumstances).unwrap().unwrap()
}

fn launch_register(prediction: &Prediction) -> String {
    match prediction {
        Prediction::Tdx(tdx) => {
            let launch = tdx.launch.as_ref().unwrap();
            format!("{} {}", launch.mr_config_id, launch.rtmr3)
        }
        Prediction::Snp(snp) => snp.host_data.clone().unwrap(),
        Prediction::Nitro(nitro) => nitro.pcr16.clone().unwrap(),
    }
}

/// Those who stand for the vendors.
struct Silicon {
    intel: intel::Keys,
    td: intel::Evidence,
    chip: amd::Chip,
    certificates: amd::Made,
    nitro: nitro::Keys,
    cabundle: Vec<Vec<u8>>,
    certificate: Vec<u8>,
}

impl Silicon {
    fn new() -> Self {
        let intel = intel::Keys::generate();
        let td = intel::Evidence::tdx_15(&intel);
        let chip = amd::Chip::new(Product::Genoa, Vek::Vcek, 5);
        let certificates = chip.make();
        let nitro = nitro::Keys::new();
        let chain = nitro::Chain::new(&nitro);
        Self {
            td,
            certificates,
            chip,
            cabundle: chain.cabundle(&nitro),
            certificate: chain.certificate(&nitro),
            intel,
            nitro,
        }
    }

    /// A policy that lists what was predicted, and otherwise takes this silicon as it is.
    fn policy(&self, predicted: &Prediction) -> Policy {
        let roots = [
            ("intel", &self.intel.root_certificate[..]),
            ("aws_nitro", &self.cabundle[0]),
            ("amd.genoa", &self.certificates.ark),
        ]
        .map(|(name, der)| format!("{name} = '''\n{}'''\n", pem(&[der])))
        .concat();
        let text = format!(
            r#"
version = 1
kind = "development"
tees = ["tdx", "sev-snp", "nitro"]
agents = ["0x{agent}"]
measurements = ["{measurement}"]
require_channel = false

[launch]
chain_profiles = ["jeju"]

[tdx.tcb]
least_evaluation_data_number = 20
dynamic_platform = true
cached_keys = true
smt_enabled = true

[sev-snp]
required = []
abi = [0, 31]
guest_svn = 7
no_id_block = true
smt = true
revocation_unknown = true

[sev-snp.products.genoa]
tcb = {{ bootloader = 4, tee = 1, snp = 23, microcode = 213 }}
firmware = {{ major = 1, minor = 55, build = 29 }}
launch_mitigations = 3
current_mitigations = 3

[nitro]
max_age_seconds = 60
max_future_seconds = 60
revocation_unknown = true

[test_roots]
{roots}"#,
            agent = "08".repeat(32),
            measurement = self.measurement(predicted),
        );
        Policy::parse(&text, true).unwrap()
    }

    /// The id that a registry would list.
    fn measurement(&self, predicted: &Prediction) -> String {
        match predicted {
            Prediction::Tdx(tdx) => {
                let td = self.domain(tdx);
                let [rtmr0, rtmr1, rtmr2, _] = &td.rtmr;
                MeasurementId::tdx(&td.mr_td, [rtmr0, rtmr1, rtmr2], &td.td_attributes, &td.xfam).to_string()
            }
            Prediction::Snp(snp) => snp.shapes[0].measurement.clone(),
            Prediction::Nitro(nitro) => nitro.measurement.clone(),
        }
    }

    /// A trust domain's report with the predicted registers. RTMR0 is the machine's.
    fn domain(&self, predicted: &TdxPrediction) -> TdReport {
        let Body::Td(mut report) = self.td.body.clone() else {
            unreachable!("a trust domain's")
        };
        report.mr_td = register(&predicted.mrtd);
        report.rtmr[1] = register(&predicted.rtmr1);
        report.rtmr[2] = register(&predicted.rtmr2);
        let launch = predicted.launch.as_ref().unwrap();
        report.rtmr[3] = register(&launch.rtmr3);
        report.mr_config_id = register(&launch.mr_config_id);
        assert_eq!(hex::encode(report.td_attributes), predicted.td_attributes);
        *report
    }

    /// The verdict on evidence with the predicted values: the code of the refusal, if it is refused.
    fn ask(&self, predicted: &Prediction, policy: &Policy) -> Result<(), String> {
        let mut files: Vec<Vec<u8>> = Vec::new();
        let evidence = match predicted {
            Prediction::Tdx(tdx) => {
                files.extend(self.td.collateral.files(&self.intel));
                let mut td = self.td.clone();
                td.body = Body::Td(Box::new(self.domain(tdx)));
                td.quote(&self.intel, &self.intel)
            }
            Prediction::Snp(snp) => {
                let certificates = [
                    (table::guid::ASK, self.certificates.ask.as_slice()),
                    (table::guid::VCEK, &self.certificates.vek),
                ];
                files.push(table::table(&certificates));
                let mut report = self.chip.report.clone();
                report.measurement = register(&snp.shapes[0].digest);
                report.policy = DEFAULT_POLICY.0;
                hex::decode_to_slice(
                    snp.host_data.as_deref().unwrap_or(&"00".repeat(32)),
                    &mut report.host_data,
                )
                .unwrap();
                report.sign(&self.chip.vek_key)
            }
            Prediction::Nitro(nitro) => {
                let mut document = Document::new(&self.cabundle, &self.certificate);
                for (index, pcr) in [(0, &nitro.pcr0), (1, &nitro.pcr1), (2, &nitro.pcr2)] {
                    document.set_pcr(index, &register(pcr));
                }
                document.set_pcr(16, &register(nitro.pcr16.as_ref().unwrap()));
                document.sign(&self.nitro.enclave)
            }
        };
        let mut endorsements = Endorsements::default();
        for file in &files {
            endorsements.add(file).unwrap();
        }
        let request = Request {
            submission: Submission::read(&evidence, None).unwrap(),
            endorsements,
            nonce: None,
            report_data: None,
            event_log: None,
            at: NOW,
            policy: Some(policy.clone()),
        };
        verify(&request)
            .map(|_| ())
            .map_err(|rejection| rejection.code().to_owned())
    }
}

fn register(text: &str) -> [u8; 48] {
    let mut register = [0; 48];
    hex::decode_to_slice(text, &mut register).unwrap();
    register
}
