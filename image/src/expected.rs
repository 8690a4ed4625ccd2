//! What of an image's measurements doesn't change with the node: kernel, firmware and first program. `image/expected.json` is
//! committed, so that a moved input shows as a diff, and `make test` compares it with what was built.

use jeju_attestation::hash::sha256;
use serde::{Deserialize, Serialize};

use crate::firmware;
use crate::manifest::Platform;
use crate::measure::Image;
use crate::measure::nitro::NitroPcrs;
use crate::measure::prediction::PredictionError;
use crate::measure::tdx::{self, PageAddOrder, Register};

/// The committed values, lower-case hexadecimal. Digests of files are SHA-256, registers are SHA-384.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The kernel.
    pub kernel: String,
    /// The archive with the first program.
    pub init_archive: String,
    /// Firmware for TDX, without Secure Boot keys.
    pub tdx_firmware: String,
    /// MRTD, pages added and measured in turn.
    pub mrtd: String,
    /// MRTD, all pages of a section added first.
    pub mrtd_two_pass: String,
    /// RTMR1.
    pub rtmr1: String,
    /// Firmware for SEV-SNP.
    pub snp_firmware: String,
    /// PCR1 on Nitro: kernel, command line and first program.
    pub pcr1: String,
}

impl Expected {
    /// Of an image of any platform: kernel and first program are the same in all of them.
    ///
    /// # Errors
    /// [`PredictionError`] for a kernel or firmware that TDX wouldn't take.
    pub fn of(image: &Image) -> Result<Self, PredictionError> {
        let file = |bytes: &[u8]| hex::encode(sha256(bytes));
        let tdx_firmware = firmware::tdx();
        let mrtd = |order| tdx::mrtd(&tdx_firmware, order).map(hex::encode);
        let init: &[u8] = image.archives.first().map_or(&[], Vec::as_slice);
        let cmdline = Platform::Nitro.cmdline();
        Ok(Self {
            kernel: file(&image.kernel),
            init_archive: file(init),
            mrtd: mrtd(PageAddOrder::Interleaved)?,
            mrtd_two_pass: mrtd(PageAddOrder::TwoPass)?,
            rtmr1: hex::encode(tdx::replay(Register::Rtmr1, &tdx::kernel_events(&image.kernel)?)),
            tdx_firmware: file(&tdx_firmware),
            snp_firmware: file(firmware::SEV_SNP),
            pcr1: hex::encode(NitroPcrs::of(&image.kernel, cmdline.as_bytes(), &[init]).pcr1),
        })
    }

    /// As it is committed: JSON with a line for each value.
    pub fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("texts are JSON");
        text.push('\n');
        text
    }

    /// Names of the values in which two differ.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let pairs = [
            ("kernel", &self.kernel, &other.kernel),
            ("init_archive", &self.init_archive, &other.init_archive),
            ("tdx_firmware", &self.tdx_firmware, &other.tdx_firmware),
            ("mrtd", &self.mrtd, &other.mrtd),
            ("mrtd_two_pass", &self.mrtd_two_pass, &other.mrtd_two_pass),
            ("rtmr1", &self.rtmr1, &other.rtmr1),
            ("snp_firmware", &self.snp_firmware, &other.snp_firmware),
            ("pcr1", &self.pcr1, &other.pcr1),
        ];
        pairs
            .into_iter()
            .filter(|(_, ours, theirs)| ours != theirs)
            .map(|(name, ..)| name)
            .collect()
    }
}
