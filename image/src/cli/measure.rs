//! `jeju-image measure`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use jeju_image::manifest::Platform;
use jeju_image::measure::prediction::{Circumstances, Prediction};
use jeju_image::measure::snp::id_block::{IdBlock, IdKey};
use jeju_image::measure::snp::{self, Cpu, SnpShape};
use jeju_image::measure::{self, Report};
use zeroize::Zeroizing;

#[derive(Debug, Args)]
pub struct MeasureArgs {
    /// Image folder
    image: PathBuf,
    /// Refuse an image of another platform
    #[arg(long, value_enum)]
    platform: Option<PlatformArg>,
    /// Launch document: what its digest gives in the platform's registers
    #[arg(long, value_name = "FILE")]
    launch: Option<PathBuf>,
    /// SEV-SNP: one shape, by its number of virtual CPUs [default: the published shapes]
    #[arg(long, value_name = "N", requires = "cpu")]
    cpus: Option<u32>,
    /// SEV-SNP: the shape's CPU model in QEMU: EPYC-v4, EPYC-Milan, EPYC-Genoa, EPYC-Turin
    #[arg(long, value_name = "MODEL", requires = "cpus")]
    cpu: Option<Cpu>,
    /// SEV-SNP: the shape's SEV_FEATURES
    #[arg(long, value_name = "BITS", requires = "cpus", default_value = "0x1", value_parser = bits)]
    guest_features: u64,
    /// SEV-SNP: P-384 key (PEM) to sign an ID block with
    #[arg(long, value_name = "FILE", requires = "cpus", requires = "id_block")]
    id_key: Option<PathBuf>,
    /// SEV-SNP: P-384 key (PEM) that vouches for the ID key
    #[arg(long, value_name = "FILE", requires = "id_key")]
    author_key: Option<PathBuf>,
    /// SEV-SNP: security version in the ID block
    #[arg(long, value_name = "N", requires = "id_key", default_value_t = 0)]
    guest_svn: u32,
    /// SEV-SNP: file to write the ID block to, as properties of QEMU's sev-snp-guest
    #[arg(long, value_name = "FILE", requires = "id_key")]
    id_block: Option<PathBuf>,
    /// Nitro: ARN of the instance's IAM role, for PCR3
    #[arg(long, value_name = "ARN")]
    role_arn: Option<String>,
    /// Nitro: id of the instance, for PCR4
    #[arg(long, value_name = "ID")]
    instance_id: Option<String>,
    /// Nitro: certificate (PEM) that will sign the file, for PCR8
    #[arg(long, value_name = "FILE")]
    signing_certificate: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PlatformArg {
    Qemu,
    Tdx,
    Snp,
    Nitro,
}

impl From<PlatformArg> for Platform {
    fn from(platform: PlatformArg) -> Self {
        match platform {
            PlatformArg::Qemu => Platform::Qemu,
            PlatformArg::Tdx => Platform::Tdx,
            PlatformArg::Snp => Platform::Snp,
            PlatformArg::Nitro => Platform::Nitro,
        }
    }
}

fn bits(text: &str) -> Result<u64, std::num::ParseIntError> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    }
}

/// Measures an image folder and prints the result.
pub fn print_measurement(args: &MeasureArgs) -> anyhow::Result<()> {
    let report = measure::measure(&args.image, &circumstances(args)?)?;
    if let Some(wanted) = args.platform.map(Platform::from)
        && wanted != report.platform
    {
        bail!(
            "the image was built for {}, not for {}",
            report.platform.name(),
            wanted.name()
        );
    }
    if let (Some(key), Some(file)) = (&args.id_key, &args.id_block) {
        write_id_block(args, key, file, &report)?;
    }
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print_report(&args.image, &report);
    }
    Ok(())
}

fn circumstances(args: &MeasureArgs) -> anyhow::Result<Circumstances> {
    let launch = args.launch.as_deref().map(read).transpose()?;
    let shape = args.cpus.zip(args.cpu).map(|(vcpus, cpu)| SnpShape {
        vcpus,
        cpu,
        guest_features: args.guest_features,
    });
    Ok(Circumstances {
        snp_shapes: shape.into_iter().collect(),
        role_arn: args.role_arn.clone(),
        instance_id: args.instance_id.clone(),
        signing_certificate: args.signing_certificate.as_deref().map(read).transpose()?,
        ..Circumstances::of_launch(launch.as_deref())
    })
}

fn write_id_block(args: &MeasureArgs, key: &Path, file: &Path, report: &Report) -> anyhow::Result<()> {
    let Some(Prediction::Snp(prediction)) = &report.prediction else {
        bail!("an ID block is for SEV-SNP alone");
    };
    let mut launch_digest = [0; 48];
    // One shape was asked for, so there is one.
    hex::decode_to_slice(&prediction.shapes[0].digest, &mut launch_digest)?;
    let mut image_id = [0; 16];
    hex::decode_to_slice(&report.image_digest[..32], &mut image_id)?;
    let block = IdBlock {
        launch_digest,
        family_id: *b"jeju-enclave\0\0\0\0",
        image_id,
        guest_svn: args.guest_svn,
        policy: snp::DEFAULT_POLICY,
    };
    let author = args.author_key.as_deref().map(id_key).transpose()?;
    let signed = block.sign(&id_key(key)?, author.as_ref())?;
    fs::write(file, format!("{}\n", signed.qemu_properties())).with_context(|| file.display().to_string())
}

fn id_key(path: &Path) -> anyhow::Result<IdKey> {
    let text = Zeroizing::new(read(path)?);
    IdKey::from_pem(&text).with_context(|| path.display().to_string())
}

/// Longest file that is read: a launch document, or a key.
const MAX_FILE: u64 = 256 * 1024;

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let length = fs::metadata(path)
        .with_context(|| path.display().to_string())?
        .len();
    if length > MAX_FILE {
        bail!("{} is longer than {MAX_FILE} bytes", path.display());
    }
    fs::read(path).with_context(|| path.display().to_string())
}

/// The report for people.
pub fn print_report(folder: &Path, report: &Report) {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!("image        {} for {}", folder.display(), report.platform.name());
    for file in &report.files {
        println!("  {:<20} {:>10} {}", file.name, file.size, file.sha256);
    }
    println!("root         {} files", report.root_files);
    for entry in &report.root {
        println!("  {:<20} {:>10} {}", entry.path, entry.size, entry.mode);
    }
    println!(
        "size         {:.1} MiB, {:.1} MiB without the model",
        mib(report.size),
        mib(report.size_without_model)
    );
    println!("image digest {}", report.image_digest);
    if let Some(measurement) = &report.measurement {
        println!("measurement  {measurement} (simulated)");
    }
    if let Some(prediction) = &report.prediction {
        print_prediction(prediction);
    }
}

fn print_prediction(prediction: &Prediction) {
    let line = |name: &str, value: &str| println!("{name:<12} {value}");
    let given = |name: &str, value: &Option<String>| {
        if let Some(value) = value {
            line(name, value);
        }
    };
    match prediction {
        Prediction::Tdx(tdx) => {
            line("MRTD", &tdx.mrtd);
            line("  two-pass", &tdx.mrtd_two_pass);
            line("RTMR1", &tdx.rtmr1);
            line("RTMR2", &tdx.rtmr2);
            line("TDATTRIBUTES", &tdx.td_attributes);
            if let Some(launch) = &tdx.launch {
                line("MRCONFIGID", &launch.mr_config_id);
                line("RTMR3", &launch.rtmr3);
            }
            for shape in &tdx.shapes {
                println!(
                    "shape        {} with {} (RTMR0 proven on {:?} only)",
                    shape.shape, shape.qemu, shape.proven
                );
                for processor in &shape.processors {
                    println!(
                        "  {:<16} RTMR0 {} {}",
                        processor.processor, processor.rtmr0, processor.measurement
                    );
                }
            }
        }
        Prediction::Snp(snp) => {
            line("POLICY", &snp.policy);
            given("HOST_DATA", &snp.host_data);
            println!("{:<12} {:>5} {:<96} measurement", "CPU", "vCPUs", "MEASUREMENT");
            for shape in &snp.shapes {
                println!(
                    "{:<12} {:>5} {} {}",
                    shape.shape.cpu, shape.shape.vcpus, shape.digest, shape.measurement
                );
            }
        }
        Prediction::Nitro(nitro) => {
            line("PCR0", &nitro.pcr0);
            line("PCR1", &nitro.pcr1);
            line("PCR2", &nitro.pcr2);
            given("PCR3", &nitro.pcr3);
            given("PCR4", &nitro.pcr4);
            given("PCR8", &nitro.pcr8);
            given("PCR16", &nitro.pcr16);
            line("measurement", &nitro.measurement);
        }
    }
}
