//! The launch digest as the security processor computes it: one SHA-384 per page (56860, SNP_LAUNCH_UPDATE,
//! table "PAGE_INFO").

use sha2::{Digest, Sha384};

use super::PAGE;

/// The guest context's launch digest, LD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LaunchContext(pub(super) [u8; 48]);

/// PAGE_TYPE.
#[derive(Debug, Clone, Copy)]
enum PageType {
    Normal = 1,
    Vmsa = 2,
    Zero = 3,
    Secrets = 5,
    Cpuid = 6,
}

/// Address of every VMSA: that of all ones, in 48 bits and by page (Linux, `arch/x86/kvm/svm/sev.c`).
const VMSA_GPA: u64 = 0xFFFF_FFFF_F000;
const PAGE_INFO: u16 = 0x70;

impl LaunchContext {
    /// SNP_LAUNCH_START.
    pub(super) fn new() -> Self {
        Self([0; 48])
    }

    /// Pages with content, which is a multiple of the page size long.
    pub(super) fn normal(&mut self, gpa: u64, content: &[u8]) {
        for (page, gpa) in content.chunks(PAGE).zip((gpa..).step_by(PAGE)) {
            self.update(PageType::Normal, gpa, Sha384::digest(page).into());
        }
    }

    /// Pages of zeros.
    pub(super) fn zero(&mut self, gpa: u64, length: usize) {
        for gpa in (gpa..).step_by(PAGE).take(length / PAGE) {
            self.update(PageType::Zero, gpa, [0; 48]);
        }
    }

    /// The page that the security processor writes secrets to.
    pub(super) fn secrets(&mut self, gpa: u64) {
        self.update(PageType::Secrets, gpa, [0; 48]);
    }

    /// The page of CPUID values. They aren't measured: the security processor refuses values that the processor
    /// doesn't have.
    pub(super) fn cpuid(&mut self, gpa: u64) {
        self.update(PageType::Cpuid, gpa, [0; 48]);
    }

    /// The state that a processor starts with.
    pub(super) fn vmsa(&mut self, page: &[u8; PAGE]) {
        self.update(PageType::Vmsa, VMSA_GPA, Sha384::digest(page).into());
    }

    fn update(&mut self, page_type: PageType, gpa: u64, contents: [u8; 48]) {
        self.0 = Sha384::new()
            .chain_update(self.0)
            .chain_update(contents)
            .chain_update(PAGE_INFO.to_le_bytes())
            // IMI_PAGE, permissions of VMPL 3 to 1, reserved: all zero.
            .chain_update([page_type as u8, 0, 0, 0, 0, 0])
            .chain_update(gpa.to_le_bytes())
            .finalize()
            .into();
    }
}
