//! SEV-SNP launch digests of our firmware and kernel against virtee's `sev` crate.

use std::fs;
use std::path::Path;

use jeju_image::firmware::SEV_SNP;
use jeju_image::measure::snp::{Cpu, KernelHashes, SnpFirmware, SnpLaunch, SnpShape, shapes};
use sev::measurement::snp::{SnpMeasurementArgs, snp_calc_launch_digest};
use sev::measurement::vcpu_types::CpuType;
use sev::measurement::vmsa::{GuestFeatures, VMMType};

const CMDLINE: &str = "console=ttyS0 quiet panic=-1 random.trust_bootloader=off";

#[test]
fn every_shape() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let kernel_path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernel/bzImage");
    let kernel = fs::read(&kernel_path).unwrap();
    let initrd = b"archives".repeat(1000);
    let (firmware_path, initrd_path) = (write("firmware", SEV_SNP), write("initrd", &initrd));

    let firmware = SnpFirmware::parse(SEV_SNP).unwrap();
    let hashes = KernelHashes::of(&kernel, &initrd, CMDLINE.as_bytes());
    let launch = SnpLaunch::new(&firmware, Some(&hashes)).unwrap();
    let mut all = shapes();
    all.extend([0x1, 0x21].map(|guest_features| SnpShape {
        vcpus: 3,
        cpu: Cpu::EpycV4,
        guest_features,
    }));
    for shape in &all {
        let theirs = snp_calc_launch_digest(SnpMeasurementArgs {
            vcpus: shape.vcpus,
            vcpu_type: match shape.cpu {
                Cpu::EpycV4 => CpuType::EpycV4,
                Cpu::Milan => CpuType::EpycMilan,
                Cpu::Genoa => CpuType::EpycGenoa,
                Cpu::Turin => CpuType::EpycTurin,
            },
            ovmf_file: firmware_path.clone(),
            guest_features: GuestFeatures(shape.guest_features),
            kernel_file: Some(kernel_path.clone()),
            initrd_file: Some(initrd_path.clone()),
            append: Some(CMDLINE),
            ovmf_hash_str: None,
            vmm_type: Some(VMMType::QEMU),
        });
        let theirs: Vec<u8> = theirs.unwrap().try_into().unwrap();
        assert_eq!(launch.digest(shape).unwrap()[..], theirs, "{shape:?}");
    }
    println!("{} launch digests equal those of the sev crate", all.len());
}
