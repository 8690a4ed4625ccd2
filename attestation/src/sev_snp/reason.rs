//! Why a report is refused.

use super::parse::LEN;
use super::tcb::{FirmwareVersion, Tcb};
use super::vek::VekKind;
use crate::hex_bytes::HexBytes;
use crate::measurement::MeasurementId;
use crate::reasons::reasons;
use crate::x509::X509Error;

reasons! {
    /// Why SEV-SNP evidence is refused.
    pub enum SnpError {
        own {
            // The report's form.
            #[error("an SEV-SNP report has {LEN} bytes, these are {0}")]
            Length(usize) => Evidence "snp_length",
            #[error("SEV-SNP report version {0} is not known; 2, 3 and 5 are")]
            Version(u32) => Evidence "snp_version",
            #[error("reserved byte at {offset:#05x} of the SEV-SNP report (version {version}) is not zero")]
            Reserved { offset: usize, version: u32 } => Evidence "snp_reserved",
            #[error("SIGNATURE_ALGO is {0}, expected 1 (ECDSA P-384 with SHA-384)")]
            SignatureAlgorithm(u32) => Evidence "snp_signature_algorithm",
            #[error("{0} of the report's signature is longer than 48 bytes")]
            SignatureForm(&'static str) => Evidence "snp_signature_form",
            #[error("the report is not signed: SIGNING_KEY is 7 (none)")]
            Unsigned => Evidence "snp_unsigned",
            #[error("SIGNING_KEY is {0}, expected 0 (VCEK) or 1 (VLEK)")]
            SigningKey(u8) => Evidence "snp_signing_key",
            #[error("MASK_CHIP_KEY is set, but the report says that the VCEK signed it")]
            ChipKeyMasked => Evidence "snp_chip_key_masked",
            #[error("AUTHOR_KEY_EN, AUTHOR_KEY_DIGEST and ID_KEY_DIGEST contradict each other")]
            AuthorKey => Evidence "snp_author_key_contradiction",
            #[error("the host asked for this report, not the guest: VMPL is 0xffffffff")]
            HostRequested => Evidence "snp_host_requested",
            #[error("VMPL is {0}, expected 0 to 3")]
            VmplInvalid(u32) => Evidence "snp_vmpl_invalid",
            #[error("CPU of family {family:#04x}, model {model:#04x} is of no product that is known")]
            Cpu { family: u8, model: u8 } => Evidence "snp_cpu_unknown",
            #[error("reserved bytes of {0} are not zero")]
            TcbReserved(&'static str) => Evidence "snp_tcb_reserved",

            // The key that signs.
            #[error("no certificate of the {0} that signed the report is at hand")]
            VekMissing(VekKind) => Evidence "snp_vek_missing",
            #[error("the report is signed by a {wanted}, the certificate is of a {found}")]
            OtherVekKind { wanted: VekKind, found: VekKind } => Evidence "snp_vek_kind",
            #[error("no certificate of {0:?}, who issued the VEK, is at hand")]
            AuthorityMissing(String) => Evidence "snp_authority_missing",
            #[error("{kind}s are issued by {wanted}, this one is by {found:?}")]
            AuthorityKind { kind: VekKind, wanted: &'static str, found: String } => Evidence "snp_authority_kind",
            #[error("certificate of {0:?} is not the pinned one")]
            ForeignArk(String) => Evidence "snp_ark_not_pinned",
            #[error("authority is issued by {0:?}, which is not a pinned ARK")]
            ArkUnknown(String) => Evidence "snp_ark_unknown",
            #[error("the VEK is not a P-384 key")]
            VekKey => Evidence "snp_vek_key",
            #[error("VEK certificate has no extension {0}")]
            VekExtensionMissing(&'static str) => Evidence "snp_vek_extension_missing",
            #[error("extension {0} of the VEK certificate is malformed")]
            VekExtensionMalformed(&'static str) => Evidence "snp_vek_extension_malformed",
            #[error("structVersion of the VEK certificate is {0}, expected 0 or 1")]
            VekStructVersion(u8) => Evidence "snp_vek_struct_version",
            #[error("VEK certificate is for product {0:?}, which is not known")]
            VekProduct(String) => Evidence "snp_vek_product_unknown",
            #[error("VEK certificate is for {vek}, its root for {ark}")]
            ChainProduct { vek: &'static str, ark: &'static str } => Evidence "snp_chain_product_mismatch",
            #[error("the report's CPU is a {report}, the VEK certificate is for {vek}")]
            Product { report: &'static str, vek: &'static str } => Evidence "snp_product_mismatch",
            #[error("CHIP_ID is {report}, the VEK certificate is for {vek}")]
            ChipId { report: String, vek: String } => Evidence "snp_chip_id_mismatch",
            #[error("REPORTED_TCB is {report}, the VEK certificate is for {vek}")]
            Tcb { report: String, vek: String } => Evidence "snp_tcb_mismatch",
            #[error("the VEK did not sign this report")]
            Signature => Evidence "snp_signature",

            // Tables of certificates (GHCB specification).
            #[error("SNP certificate table of {0} bytes is too long")]
            TableTooLong(usize) => Evidence "snp_table_too_long",
            #[error("SNP certificate table has no end")]
            TableUnterminated => Evidence "snp_table_unterminated",
            #[error("entry {0} of the SNP certificate table lies outside of it")]
            TableBounds(usize) => Evidence "snp_table_bounds",
            #[error("SNP certificate table has two entries of {0}")]
            TableDuplicate(&'static str) => Evidence "snp_table_duplicate",

            // Binding.
            #[error("REPORT_DATA is {found}, expected {expected}")]
            ReportData { found: Box<HexBytes<64>>, expected: Box<HexBytes<64>> } => Evidence "snp_report_data",
            #[error("HOST_DATA is {found}, expected {expected}")]
            HostData { found: HexBytes<32>, expected: HexBytes<32> } => Evidence "snp_host_data",

            // What no genuine firmware says.
            #[error("reserved bit 17 of POLICY is zero")]
            PolicyBit17 => Evidence "snp_policy_bit_17",
            #[error("reserved bits of POLICY are set: {0:#x}")]
            PolicyReserved(u64) => Evidence "snp_policy_reserved",
            #[error("REPORTED_TCB ({reported}) is above CURRENT_TCB ({current})")]
            ReportedAboveCurrent { reported: Tcb, current: Tcb } => Evidence "snp_reported_above_current",
            #[error("COMMITTED_TCB ({committed}) is above CURRENT_TCB ({current})")]
            CommittedAboveCurrent { committed: Tcb, current: Tcb } => Evidence "snp_committed_above_current",
            #[error("committed firmware {committed} is above the current one, {current}")]
            CommittedVersionAboveCurrent { committed: FirmwareVersion, current: FirmwareVersion }
                => Evidence "snp_committed_version_above_current",
            #[error("POLICY asks for ABI {wanted}, the firmware is {current}")]
            AbiAboveFirmware { wanted: String, current: FirmwareVersion } => Evidence "snp_abi_above_firmware",
            #[error("POLICY forbids SMT, PLATFORM_INFO says that it is on")]
            SmtContradiction => Evidence "snp_smt_contradiction",
            #[error("POLICY forbids RAPL, PLATFORM_INFO says that it is on")]
            RaplContradiction => Evidence "snp_rapl_contradiction",
            #[error("POLICY asks for ciphertext hiding, PLATFORM_INFO says that it is off")]
            CiphertextContradiction => Evidence "snp_ciphertext_hiding_contradiction",

            // Genuine, but refused.
            #[error("POLICY allows debugging: the host can read the guest's memory")]
            Debug => Policy "snp_debug",
            #[error("POLICY allows a migration agent")]
            MigrateMa => Policy "snp_migrate_ma",
            #[error("guest has the migration agent {0}")]
            MigrationAgent(HexBytes<32>) => Policy "snp_migration_agent",
            #[error("LAUNCH_TCB ({launch}) is above CURRENT_TCB ({current}): firmware was rolled back under the guest")]
            LaunchAboveCurrent { launch: Tcb, current: Tcb } => Policy "snp_launch_above_current",
            #[error("report was made at VMPL {found}, accepted are {accepted:?}")]
            Vmpl { found: u32, accepted: Vec<u8> } => Policy "snp_vmpl",
            #[error("no rule accepts {0} chips")]
            ProductNotAccepted(&'static str) => Policy "snp_product_not_accepted",
            #[error("REPORTED_TCB is {found}, at least {floor} is wanted")]
            TcbBelowFloor { found: Tcb, floor: Tcb } => Policy "snp_tcb_below_floor",
            #[error("COMMITTED_TCB is {found}, at least {floor} is wanted: firmware could be rolled back")]
            CommittedTcbBelowFloor { found: Tcb, floor: Tcb } => Policy "snp_committed_tcb_below_floor",
            #[error("LAUNCH_TCB is {found}, at least {floor} is wanted")]
            LaunchTcbBelowFloor { found: Tcb, floor: Tcb } => Policy "snp_launch_tcb_below_floor",
            #[error("committed firmware is {found}, at least {minimum} is wanted")]
            FirmwareBelowMinimum { found: FirmwareVersion, minimum: FirmwareVersion }
                => Policy "snp_firmware_below_minimum",
            #[error("firmware is provisional: COMMITTED_TCB is {committed}, CURRENT_TCB is {current}")]
            Provisional { committed: Tcb, current: Tcb } => Policy "snp_provisional_firmware",
            #[error("version {0} of the report has no mitigation vectors, and some are wanted")]
            MitigationsAbsent(u32) => Policy "snp_mitigations_absent",
            #[error("LAUNCH_MIT_VECTOR is {found:#x}, bits {wanted:#x} are wanted")]
            LaunchMitigations { found: u64, wanted: u64 } => Policy "snp_launch_mitigations",
            #[error("CURRENT_MIT_VECTOR is {found:#x}, bits {wanted:#x} are wanted")]
            CurrentMitigations { found: u64, wanted: u64 } => Policy "snp_current_mitigations",
            #[error("memory was not checked for aliased addresses (AMD-SB-3015)")]
            AliasCheck => Policy "snp_alias_check_incomplete",
            #[error("PLATFORM_INFO has bits without a known meaning: {0:#x}")]
            PlatformInfoUnknown(u64) => Policy "snp_platform_info_unknown",
            #[error("POLICY or PLATFORM_INFO allows SMT")]
            Smt => Policy "snp_smt",
            #[error("POLICY allows CXL")]
            Cxl => Policy "snp_cxl",
            #[error("POLICY allows the guest on more than one socket")]
            MultipleSockets => Policy "snp_multiple_sockets",
            #[error("POLICY does not ask for AES-256-XTS")]
            Aes256Xts => Policy "snp_aes_256_xts_not_required",
            #[error("POLICY allows RAPL")]
            Rapl => Policy "snp_rapl",
            #[error("POLICY does not ask for ciphertext hiding")]
            CiphertextHiding => Policy "snp_ciphertext_hiding_not_required",
            #[error("POLICY allows the host to swap and move pages")]
            PageSwap => Policy "snp_page_swap",
            #[error("memory has no error correction: ECC_EN is zero")]
            Ecc => Policy "snp_ecc_off",
            #[error("the host's memory is not encrypted: TSME_EN is zero")]
            Tsme => Policy "snp_tsme_off",
            #[error("POLICY asks for ABI {found}, at least {minimum} is wanted")]
            AbiBelowMinimum { found: String, minimum: String } => Policy "snp_abi_below_minimum",
            #[error("report is signed by a VLEK, which belongs to the provider {0:?} and to no chip")]
            Vlek(String) => Policy "snp_vlek",
            #[error("CHIP_ID is masked")]
            ChipIdMasked => Policy "snp_chip_id_masked",
            #[error("nothing is known of the chain's revocation")]
            RevocationUnknown => Policy "snp_revocation_unknown",
            #[error("guest was launched without an ID block")]
            IdBlockMissing => Policy "snp_id_block_missing",
            #[error("ID block is signed by key {0}, which is not accepted")]
            IdKey(HexBytes<48>) => Policy "snp_id_key",
            #[error("ID block is signed by key {id_key} of author {author_key}, neither of which is accepted")]
            AuthorKeyNotAccepted { id_key: HexBytes<48>, author_key: HexBytes<48> } => Policy "snp_author_key",
            #[error("MEASUREMENT {measurement} (measurement id {id}) has no reference value")]
            Measurement { measurement: HexBytes<48>, id: MeasurementId } => Policy "snp_measurement",
            #[error("FAMILY_ID {0} has no reference value")]
            FamilyId(HexBytes<16>) => Policy "snp_family_id",
            #[error("IMAGE_ID {0} has no reference value")]
            ImageId(HexBytes<16>) => Policy "snp_image_id",
            #[error("GUEST_SVN is {found}, at least {minimum} is wanted")]
            GuestSvn { found: u32, minimum: u32 } => Policy "snp_guest_svn",
        }
        of {
            #[error("chain of the VEK: {0}")]
            Chain(X509Error),
            #[error("AMD's revocation list: {0}")]
            RevocationList(X509Error),
            #[error("SNP certificate table: {0}")]
            TableContent(X509Error),
        }
    }
}
