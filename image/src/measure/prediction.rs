//! What hardware will report of an image folder, platform by platform, in the form that `jeju-image measure` prints.

use jeju_attestation::launch::LaunchDocument;
use jeju_attestation::{hardware, nitro as nitro_evidence};
use serde::Serialize;
use thiserror::Error;

use super::Image;
use super::nitro::{self, NitroPcrs};
use super::snp::{self, KernelHashes, OvmfError, SnpError, SnpFirmware, SnpLaunch, SnpShape};
use super::tdx::{
    self, CpuGeneration, Event, KernelError, MetadataError, PageAddOrder, Proven, Register, Shape,
    ShapeError, TdxMeasurement,
};
use crate::eif::{self, EifError, SignatureError};
use crate::manifest::Platform;

/// Why nothing can be predicted.
#[derive(Debug, Error)]
pub enum PredictionError {
    /// The firmware, for TDX.
    #[error("firmware: {0}")]
    Tdvf(#[from] MetadataError),
    /// The kernel, for TDX.
    #[error("kernel: {0}")]
    Kernel(#[from] KernelError),
    /// A shape of machine, for TDX.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The firmware, for SEV-SNP.
    #[error("firmware: {0}")]
    Ovmf(#[from] OvmfError),
    /// A shape, for SEV-SNP.
    #[error(transparent)]
    Snp(#[from] SnpError),
    /// The enclave image file.
    #[error("enclave image: {0}")]
    Eif(#[from] EifError),
    /// The enclave image's signature.
    #[error("enclave image: {0}")]
    Signature(#[from] SignatureError),
}

/// What a prediction depends on beside the image.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// SHA-256 of the launch document.
    pub launch: Option<[u8; 32]>,
    /// SEV-SNP: the shapes to compute; the published ones where there are none.
    pub snp_shapes: Vec<SnpShape>,
    /// Nitro: ARN of the instance's IAM role.
    pub role_arn: Option<String>,
    /// Nitro: id of the instance.
    pub instance_id: Option<String>,
    /// Nitro: certificate (PEM) that will sign the file. A file that is signed already names its own.
    pub signing_certificate: Option<Vec<u8>>,
}

impl Circumstances {
    /// With the digest of a launch document's exact bytes.
    pub fn of_launch(document: Option<&[u8]>) -> Self {
        Self {
            launch: document.map(LaunchDocument::digest),
            ..Self::default()
        }
    }
}

/// What hardware will report. Every value is lower-case hexadecimal; ids have `0x` before them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "platform", rename_all = "kebab-case")]
pub enum Prediction {
    /// Intel TDX.
    Tdx(TdxPrediction),
    /// AMD SEV-SNP.
    Snp(SnpPrediction),
    /// AWS Nitro.
    Nitro(NitroPrediction),
}

impl Prediction {
    /// The measurement ids, `0x` and hexadecimal: of each shape, where a platform measures shapes.
    pub fn measurements(&self) -> Vec<String> {
        match self {
            Prediction::Tdx(tdx) => {
                let processors = tdx.shapes.iter().flat_map(|shape| &shape.processors);
                let mut ids: Vec<_> = processors
                    .map(|processor| processor.measurement.clone())
                    .collect();
                ids.dedup();
                ids
            }
            Prediction::Snp(snp) => snp.shapes.iter().map(|shape| shape.measurement.clone()).collect(),
            Prediction::Nitro(nitro) => vec![nitro.measurement.clone()],
        }
    }
}

/// The registers of a trust domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TdxPrediction {
    /// MRTD, pages added and measured in turn: QEMU 9 and later.
    pub mrtd: String,
    /// MRTD, all pages of a section added first: earlier hosts.
    pub mrtd_two_pass: String,
    /// RTMR1.
    pub rtmr1: String,
    /// RTMR2.
    pub rtmr2: String,
    /// TDATTRIBUTES.
    pub td_attributes: String,
    /// RTMR0 and the ids that come of it, for each shape of machine that was captured.
    pub shapes: Vec<TdxShape>,
    /// The events of RTMR1 and RTMR2 in order.
    pub events: Vec<TdxEvent>,
    /// The launch document's: MRCONFIGID, and RTMR3 after its one event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch: Option<TdxLaunch>,
}

/// A shape of machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TdxShape {
    /// Its name.
    pub shape: &'static str,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// How far RTMR0 was compared with the real thing.
    pub proven: Proven,
    /// The QEMU that it holds for.
    pub qemu: &'static str,
    /// By processor: SMBIOS names it, and XFAM follows from it.
    pub processors: Vec<TdxProcessor>,
}

/// A shape on a processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TdxProcessor {
    /// Generation of the processor.
    pub processor: &'static str,
    /// EAX and EDX of CPUID leaf 1, as SMBIOS has them.
    pub processor_id: String,
    /// XFAM.
    pub xfam: String,
    /// RTMR0.
    pub rtmr0: String,
    /// Measurement id.
    pub measurement: String,
}

/// One event of a register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TdxEvent {
    /// Number of the RTMR.
    pub rtmr: u8,
    /// What it is.
    pub name: String,
    /// SHA-384.
    pub digest: String,
}

impl TdxEvent {
    fn of(event: &Event) -> Self {
        Self {
            rtmr: event.register as u8,
            name: event.name.clone(),
            digest: hex::encode(event.digest),
        }
    }
}

/// What a launch document gives on TDX.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TdxLaunch {
    /// MRCONFIGID: the document's SHA-256, and 16 zero bytes.
    pub mr_config_id: String,
    /// RTMR3.
    pub rtmr3: String,
}

/// Launch digests of SEV-SNP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnpPrediction {
    /// POLICY that the ids are for.
    pub policy: String,
    /// A launch digest for each shape.
    pub shapes: Vec<SnpDigest>,
    /// HOST_DATA: the launch document's SHA-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_data: Option<String>,
}

/// The launch digest of one shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnpDigest {
    /// The shape.
    #[serde(flatten)]
    pub shape: SnpShape,
    /// MEASUREMENT.
    pub digest: String,
    /// Measurement id.
    pub measurement: String,
}

/// PCRs of Nitro.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NitroPrediction {
    /// Kernel, command line, all archives.
    pub pcr0: String,
    /// Kernel, command line, first archive.
    pub pcr1: String,
    /// The other archives.
    pub pcr2: String,
    /// IAM role of the instance, if it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pcr3: Option<String>,
    /// The instance, if it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pcr4: Option<String>,
    /// Who signed the file, if it is signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pcr8: Option<String>,
    /// The launch document, if it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pcr16: Option<String>,
    /// Measurement id.
    pub measurement: String,
}

/// What the hardware of a platform will report of an image; nothing for simulated silicon.
///
/// # Errors
/// Any of [`PredictionError`].
pub fn predict(
    platform: Platform,
    image: &Image,
    circumstances: &Circumstances,
) -> Result<Option<Prediction>, PredictionError> {
    let firmware = image.firmware.as_deref().unwrap_or_default();
    Ok(match platform {
        Platform::Qemu => None,
        Platform::Tdx => Some(Prediction::Tdx(predict_tdx(image, firmware, circumstances)?)),
        Platform::Snp => Some(Prediction::Snp(predict_snp(image, firmware, circumstances)?)),
        Platform::Nitro => Some(Prediction::Nitro(predict_nitro(image, circumstances)?)),
    })
}

fn predict_tdx(
    image: &Image,
    firmware: &[u8],
    circumstances: &Circumstances,
) -> Result<TdxPrediction, PredictionError> {
    let mut events = tdx::kernel_events(&image.kernel)?;
    events.push(tdx::load_options_event(&image.cmdline, true));
    events.push(tdx::initrd_event(&image.archives.concat()));
    let launch = circumstances.launch.map(|digest| TdxLaunch {
        mr_config_id: hex::encode([&digest[..], &[0; 16]].concat()),
        rtmr3: hex::encode(hardware::launch_rtmr(&digest)),
    });
    let registers = TdxMeasurement {
        mrtd: tdx::mrtd(firmware, PageAddOrder::Interleaved)?,
        rtmr: [
            [0; 48],
            tdx::replay(Register::Rtmr1, &events),
            tdx::replay(Register::Rtmr2, &events),
        ],
        td_attributes: tdx::TD_ATTRIBUTES,
        xfam: [0; 8],
    };
    let shapes = Shape::all()
        .iter()
        .map(|shape| tdx_shape(shape, firmware, &registers));
    let shapes = match shapes.collect() {
        Ok(shapes) => shapes,
        // Captured with another firmware: RTMR0 isn't known, and MRTD is another one.
        Err(ShapeError::Firmware { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    Ok(TdxPrediction {
        mrtd: hex::encode(registers.mrtd),
        mrtd_two_pass: hex::encode(tdx::mrtd(firmware, PageAddOrder::TwoPass)?),
        rtmr1: hex::encode(registers.rtmr[1]),
        rtmr2: hex::encode(registers.rtmr[2]),
        td_attributes: hex::encode(registers.td_attributes),
        shapes,
        events: events.iter().map(TdxEvent::of).collect(),
        launch,
    })
}

fn tdx_shape(
    shape: &'static Shape,
    firmware: &[u8],
    registers: &TdxMeasurement,
) -> Result<TdxShape, ShapeError> {
    let processors = CpuGeneration::ALL.into_iter().map(|processor| {
        let events = shape.events(firmware, processor.processor_id())?;
        let [_, rtmr1, rtmr2] = registers.rtmr;
        let registers = TdxMeasurement {
            rtmr: [tdx::rtmr0(&events), rtmr1, rtmr2],
            xfam: processor.xfam(),
            ..*registers
        };
        Ok(TdxProcessor {
            processor: processor.name(),
            processor_id: hex::encode(processor.processor_id()),
            xfam: hex::encode(registers.xfam),
            rtmr0: hex::encode(registers.rtmr[0]),
            measurement: registers.id().to_string(),
        })
    });
    Ok(TdxShape {
        shape: &shape.name,
        vcpus: shape.vcpus,
        memory_mib: shape.memory_mib,
        proven: shape.proven,
        qemu: &shape.qemu,
        processors: processors.collect::<Result<_, ShapeError>>()?,
    })
}

fn predict_snp(
    image: &Image,
    firmware: &[u8],
    circumstances: &Circumstances,
) -> Result<SnpPrediction, PredictionError> {
    let hashes = KernelHashes::of(&image.kernel, &image.archives.concat(), image.cmdline.as_bytes());
    let launch = SnpLaunch::new(&SnpFirmware::parse(firmware)?, Some(&hashes))?;
    let shapes = match &circumstances.snp_shapes[..] {
        [] => snp::shapes(),
        given => given.to_vec(),
    };
    let shapes = shapes.into_iter().map(|shape| {
        let digest = launch.digest(&shape)?;
        Ok(SnpDigest {
            shape,
            digest: hex::encode(digest),
            measurement: snp::measurement_id(&digest, snp::DEFAULT_POLICY).to_string(),
        })
    });
    Ok(SnpPrediction {
        policy: format!("{:#x}", snp::DEFAULT_POLICY.0),
        shapes: shapes.collect::<Result<_, SnpError>>()?,
        host_data: circumstances.launch.map(hex::encode),
    })
}

fn predict_nitro(image: &Image, circumstances: &Circumstances) -> Result<NitroPrediction, PredictionError> {
    let ramdisks: Vec<_> = image.archives.iter().map(Vec::as_slice).collect();
    let pcrs = NitroPcrs::of(&image.kernel, image.cmdline.as_bytes(), &ramdisks);
    let signature = image.signature.as_ref();
    let signer = signature
        .map(|signature| signature.verify(&pcrs.pcr0))
        .transpose()?;
    let signer = match (signer, &circumstances.signing_certificate) {
        (Some(signer), _) => Some(signer.pcr8),
        (None, Some(certificate)) => Some(nitro::signer_pcr(&eif::signing_certificate(certificate)?)),
        (None, None) => None,
    };
    Ok(NitroPrediction {
        pcr0: hex::encode(pcrs.pcr0),
        pcr1: hex::encode(pcrs.pcr1),
        pcr2: hex::encode(pcrs.pcr2),
        pcr3: circumstances
            .role_arn
            .as_deref()
            .map(|arn| hex::encode(nitro::role_pcr(arn))),
        pcr4: circumstances
            .instance_id
            .as_deref()
            .map(|id| hex::encode(nitro::instance_pcr(id))),
        pcr8: signer.map(hex::encode),
        pcr16: circumstances
            .launch
            .map(|digest| hex::encode(nitro_evidence::launch_pcr(&digest))),
        measurement: pcrs.measurement().to_string(),
    })
}
