//! The PCRs of a Nitro enclave, computed from the parts of its image.
//!
//! | PCR | what | who chooses it |
//! |---|---|---|
//! | 0 | kernel, command line, all ramdisks | image |
//! | 1 | kernel, command line, first ramdisk | image: kernel and PID 1 |
//! | 2 | the other ramdisks | image: node and model |
//! | 3 | IAM role of the instance | operator |
//! | 4 | id of the instance | AWS |
//! | 8 | certificate that signed the image | operator |
//! | 16 | launch document ([`jeju_attestation::nitro::launch_pcr`]) | operator, bound by the boot |
//!
//! (AWS Nitro Enclaves user guide, "Cryptographic attestation"; aws-nitro-enclaves-image-format, `EifHasher`.) Header,
//! metadata and signature of the file aren't measured, nor are memory and processors.
//!
//! **The parts are hashed without their lengths.** Who holds an image can move bytes from the end of one part to the start
//! of the next, and PCR0 stays; PCR1 and PCR2 fix only where the first ramdisk ends. Our bzImage with text behind it
//! still boots (seen in QEMU), so the *start of the command line, or all of it, can be cut off* unseen. Nothing else comes of
//! it: bytes moved into or out of a ramdisk leave nothing that unpacks, and where the later ramdisks are parted makes no
//! difference. So a command line may not carry what must hold: that is compiled into the kernel, or PID 1 checks
//! `/proc/cmdline`.

use jeju_attestation::measurement::MeasurementId;
use jeju_attestation::nitro::extend;
use sha2::{Digest, Sha384};

use crate::eif::Eif;

/// What the hypervisor measures of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NitroPcrs {
    /// The whole image.
    pub pcr0: [u8; 48],
    /// Kernel, command line, first ramdisk.
    pub pcr1: [u8; 48],
    /// The other ramdisks; of nothing where there is one only.
    pub pcr2: [u8; 48],
}

impl NitroPcrs {
    /// Of the parts in the order of the image; `cmdline` without line end and NUL.
    pub fn of(kernel: &[u8], cmdline: &[u8], ramdisks: &[&[u8]]) -> Self {
        let (first, others) = ramdisks.split_at(ramdisks.len().min(1));
        let boot = absorb(Sha384::new().chain_update(kernel).chain_update(cmdline), first);
        Self {
            pcr0: register(absorb(boot.clone(), others)),
            pcr1: register(boot),
            pcr2: register(absorb(Sha384::new(), others)),
        }
    }

    /// Of an image file.
    pub fn of_image(image: &Eif<'_>) -> Self {
        Self::of(image.kernel, image.cmdline, &image.ramdisks)
    }

    /// What a contract lists.
    pub fn measurement(&self) -> MeasurementId {
        MeasurementId::nitro([&self.pcr0, &self.pcr1, &self.pcr2])
    }
}

/// PCR3 of an enclave on an instance with this IAM role: `arn:aws:iam::123456789012:role/name`.
pub fn role_pcr(role_arn: &str) -> [u8; 48] {
    extend(&[0; 48], role_arn.as_bytes())
}

/// PCR4 of an enclave on the instance with this id: `i-` and hexadecimal digits.
pub fn instance_pcr(instance_id: &str) -> [u8; 48] {
    extend(&[0; 48], instance_id.as_bytes())
}

/// PCR8 of an enclave from an image that this certificate (DER) signed. Without a signature, the register is zero.
pub fn signer_pcr(certificate: &[u8]) -> [u8; 48] {
    extend(&[0; 48], &Sha384::digest(certificate))
}

fn absorb(hash: Sha384, parts: &[&[u8]]) -> Sha384 {
    parts.iter().fold(hash, |hash, part| hash.chain_update(part))
}

/// One extension of a register that was zero.
fn register(hash: Sha384) -> [u8; 48] {
    extend(&[0; 48], &hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: &[u8] = b"kernel";
    const CMDLINE: &[u8] = b"console=ttyS0";
    const RAMDISKS: [&[u8]; 3] = [b"init", b"node", b"model"];

    fn base() -> NitroPcrs {
        NitroPcrs::of(KERNEL, CMDLINE, &RAMDISKS)
    }

    /// By hand: `printf … | sha384sum`, with 48 NUL bytes before the second hash.
    #[test]
    fn by_hand() {
        let by_hand = |data: &[u8]| -> [u8; 48] {
            Sha384::digest([&[0; 48][..], &Sha384::digest(data)[..]].concat()).into()
        };
        assert_eq!(base().pcr0, by_hand(b"kernelconsole=ttyS0initnodemodel"));
        assert_eq!(base().pcr1, by_hand(b"kernelconsole=ttyS0init"));
        assert_eq!(base().pcr2, by_hand(b"nodemodel"));
    }

    /// PCR2 that AWS's tools print for every image of one ramdisk.
    #[test]
    fn one_ramdisk() {
        assert_eq!(
            hex::encode(NitroPcrs::of(KERNEL, CMDLINE, &RAMDISKS[..1]).pcr2),
            "21b9efbc184807662e966d34f390821309eeac6802309798826296bf3e8bec7c10edb30948c90ba67310f7b964fc500a"
        );
    }

    #[test]
    fn one_changed_byte_changes_the_identity() {
        let base = base();
        let others = [
            NitroPcrs::of(b"kernem", CMDLINE, &RAMDISKS),
            NitroPcrs::of(KERNEL, b"console=ttyS1", &RAMDISKS),
            NitroPcrs::of(KERNEL, CMDLINE, &[b"inis", b"node", b"model"]),
            NitroPcrs::of(KERNEL, CMDLINE, &[b"init", b"nodf", b"model"]),
            NitroPcrs::of(KERNEL, CMDLINE, &[b"init", b"node", b"modem"]),
            NitroPcrs::of(KERNEL, CMDLINE, &[b"node", b"init", b"model"]),
            NitroPcrs::of(KERNEL, CMDLINE, &RAMDISKS[..2]),
        ];
        for (at, other) in others.iter().enumerate() {
            assert_ne!(other.measurement(), base.measurement(), "{at}");
            assert_ne!(other.pcr0, base.pcr0, "{at}");
            assert!(others[..at].iter().all(|earlier| earlier != other));
        }
        // What changes only the node leaves the name of the platform, and the other way round.
        for other in [&others[3], &others[4], &others[6]] {
            assert_eq!(other.pcr1, base.pcr1);
            assert_ne!(other.pcr2, base.pcr2);
        }
        for other in &others[..3] {
            assert_ne!(other.pcr1, base.pcr1);
            assert_eq!(other.pcr2, base.pcr2);
        }
    }

    /// What this platform doesn't measure, so that nobody relies on it: see the module's comment.
    #[test]
    fn lengths_are_not_measured() {
        let cut = NitroPcrs::of(b"kernelconsole=", b"ttyS0", &RAMDISKS);
        assert_eq!(cut, base());
        // Where the first ramdisk ends is: PCR1 and PCR2 tell.
        let moved = NitroPcrs::of(KERNEL, CMDLINE, &[b"initn", b"ode", b"model"]);
        assert_eq!(moved.pcr0, base().pcr0);
        assert_ne!(moved.pcr1, base().pcr1);
        assert_ne!(moved.measurement(), base().measurement());
    }

    /// Instance and PCR4 of genuine documents: Dstack-TEE/dstack (commit 312dc60, `nitro_attestation.bin` and
    /// `nitro_attestation_dbg.bin`), evervault (`valid-attestation-doc-bytes`).
    #[test]
    fn instances_of_genuine_documents() {
        for (instance, expected) in [
            (
                "i-0827e799ec9232d44",
                "7b3574ad9b7e88ec8335e8ce967315fac77218441e97eea9795de704d7f2678d0b298ecda39b544c1689669f48cba5e8",
            ),
            (
                "i-0fd3fdaad4e904e69",
                "19f6d013fa4df46d45cb0a112515bfe0fed27e400153118bd9b2b0c3741b5102e29eaf193a724da643923f3190ffe5ce",
            ),
            (
                "i-020b6af9246d90e92",
                "1f442c86d494a88185642086d904ed89f62fb66ee9997d7b1a4f040faab3bba4244c768a584e5778195b3afc715637c6",
            ),
        ] {
            assert_eq!(hex::encode(instance_pcr(instance)), expected);
        }
    }

    /// Role and instance are extended as text (AWS's guide, QEMU's `nitro_enclave.c`), the certificate as a hash.
    #[test]
    fn registers_of_the_operator() {
        let by_hand = |text: &[u8]| -> [u8; 48] { Sha384::digest([&[0; 48][..], text].concat()).into() };
        let role = "arn:aws:iam::123456789012:role/jeju";
        assert_eq!(role_pcr(role), by_hand(role.as_bytes()));
        assert_eq!(
            instance_pcr("i-1234567890abcdef0"),
            by_hand(b"i-1234567890abcdef0")
        );
        assert_ne!(role_pcr(role), role_pcr("arn:aws:iam::123456789012:role/jejv"));
        assert_eq!(
            signer_pcr(b"certificate"),
            by_hand(&Sha384::digest(b"certificate"))
        );
    }
}
