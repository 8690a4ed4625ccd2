//! Files of an image, which auditors get from anybody: enclave images, initramfs archives, firmware. The first byte
//! chooses. What is read must be written again as it was.
#![no_main]

use jeju_image::cpio::Archive;
use jeju_image::eif::Eif;
use jeju_image::measure::nitro::NitroPcrs;
use jeju_image::measure::snp::{KernelHashes, PAGE, SnpFirmware, SnpLaunch, id_block, shapes};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else {
        return;
    };
    match choice % 4 {
        0 => {
            if let Ok(image) = Eif::read(bytes) {
                assert!(image.write() == bytes, "one form only");
                let pcrs = NitroPcrs::of_image(&image);
                let _ = image
                    .signature
                    .as_ref()
                    .map(|signature| signature.verify(&pcrs.pcr0));
            }
        }
        1 => {
            if let Ok(archive) = Archive::read(bytes) {
                assert!(archive.write() == bytes, "one form only");
            }
        }
        2 => firmware(bytes),
        _ => {
            if let Some((block, auth)) = bytes.split_at_checked(id_block::BLOCK) {
                // What comes after the last key is zero.
                let mut auth = auth.to_vec();
                auth.resize(id_block::AUTH, 0);
                let _ = id_block::verify(block, &auth);
            }
        }
    }
});

/// Only the end of a firmware is read: the fuzzer's bytes are that, behind zeros up to a whole page.
fn firmware(bytes: &[u8]) {
    let mut firmware = vec![0; bytes.len().next_multiple_of(PAGE) - bytes.len()];
    firmware.extend_from_slice(bytes);
    let Ok(firmware) = SnpFirmware::parse(&firmware) else {
        return;
    };
    let hashes = KernelHashes::of(b"", b"", b"");
    if let Ok(launch) = SnpLaunch::new(&firmware, Some(&hashes)) {
        assert!(shapes().iter().all(|shape| launch.digest(shape).is_ok()));
    }
}
