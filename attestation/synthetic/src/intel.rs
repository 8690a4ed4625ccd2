//! Intel's chains, collateral and quotes.
//!
//! [`Evidence::tdx_15`] and its siblings are right in every point; each field can then be set wrong. [`Keys`] is given
//! twice: once for the keys that certificates name, once for those that sign.

mod collateral;
mod quote;

pub use collateral::{Collateral, PckExtension, sgx_extension_oid};
pub use quote::{Body, EnclaveReport, QuoteHeader, TdReport};

use std::sync::Arc;

use crate::certificate::{self, Extension, Template, usage};
use crate::key::Key;

/// Common name of the root.
pub const ROOT: &str = "Intel SGX Root CA";
/// Common name of the authority of platforms that registered themselves.
pub const PLATFORM_CA: &str = "Intel SGX PCK Platform CA";
/// Common name of the authority of other platforms.
pub const PROCESSOR_CA: &str = "Intel SGX PCK Processor CA";
/// Common name of a platform's certificate.
pub const PCK: &str = "Intel SGX PCK Certificate";
/// Common name of the certificate that signs collateral.
pub const SIGNER: &str = "Intel SGX TCB Signing";

/// The keys of one synthetic Intel and one platform.
#[derive(Clone)]
pub struct Keys {
    /// Root.
    pub root: Arc<Key>,
    /// PCK authority.
    pub ca: Arc<Key>,
    /// PCK.
    pub pck: Arc<Key>,
    /// Signer of TCB info and QE identity.
    pub signer: Arc<Key>,
    /// Attestation key of the quoting enclave.
    pub attestation: Arc<Key>,
    /// The root's certificate: signed once, because it is pinned byte for byte.
    pub root_certificate: Arc<[u8]>,
}

impl Keys {
    /// New ones.
    pub fn generate() -> Self {
        let key = || Arc::new(Key::p256());
        let root = key();
        Self {
            root_certificate: Template::authority(ROOT, ROOT, &root).sign(&root).into(),
            root,
            ca: key(),
            pck: key(),
            signer: key(),
            attestation: key(),
        }
    }
}

/// A quote with its chain and collateral.
#[derive(Clone)]
pub struct Evidence {
    /// Header.
    pub header: QuoteHeader,
    /// Body type and size, which version 5 has.
    pub body_type: Option<(u16, u32)>,
    /// Body.
    pub body: Body,
    /// Report of the quoting enclave; its REPORTDATA vouches for the attestation key unless it is set.
    pub qe_report: EnclaveReport,
    /// REPORTDATA of that report, to be set wrong.
    pub qe_report_data: Option<[u8; 64]>,
    /// QE authentication data.
    pub authentication_data: Vec<u8>,
    /// Type of the certification data that holds the QE report (versions 4 and 5).
    pub outer_type: u16,
    /// Type of the certification data that holds the PCK chain.
    pub inner_type: u16,
    /// The PCK certificate, without its SGX extension.
    pub pck: Template,
    /// Content of that extension.
    pub extension: PckExtension,
    /// Its encoding, to be set wrong; empty: there is none.
    pub extension_der: Option<Vec<u8>>,
    /// The PCK authority.
    pub ca: Template,
    /// Whether the PCK authority stands in the chain; if not, the root issues the PCK certificate itself.
    pub chain_has_ca: bool,
    /// An authority between the root and the PCK authority; its key is the collateral signer's.
    pub between: Option<Template>,
    /// Whether the root stands last in the chain.
    pub chain_has_root: bool,
    /// What is between the PCK chain and the declared end.
    pub inside: Vec<u8>,
    /// What is behind the declared end.
    pub behind: Vec<u8>,
    /// Collateral.
    pub collateral: Collateral,
}

impl Evidence {
    /// A quote of version 5 of a TDX 1.5 domain, on an up-to-date platform.
    pub fn tdx_15(keys: &Keys) -> Self {
        let mut evidence = Self::tdx_10(keys);
        evidence.header.version = 5;
        evidence.body_type = Some((3, 648));
        if let Body::Td(report) = &mut evidence.body {
            report.extended = Some((report.tee_tcb_svn, [0; 48]));
        }
        evidence
    }

    /// A quote of version 5 of a TDX 1.0 domain.
    pub fn tdx_10_version_5(keys: &Keys) -> Self {
        let mut evidence = Self::tdx_10(keys);
        evidence.header.version = 5;
        evidence.body_type = Some((2, 584));
        evidence
    }

    /// A quote of version 4 of a TDX 1.0 domain.
    pub fn tdx_10(keys: &Keys) -> Self {
        Self::new(
            keys,
            QuoteHeader::tdx(),
            Body::Td(Box::new(TdReport::right())),
            EnclaveReport::td_qe(),
            Collateral::tdx(keys),
        )
    }

    /// A quote of version 3 of an enclave.
    pub fn sgx(keys: &Keys) -> Self {
        Self::new(
            keys,
            QuoteHeader::sgx(),
            Body::Enclave(Box::new(EnclaveReport::right())),
            EnclaveReport::qe(),
            Collateral::sgx(keys),
        )
    }

    fn new(
        keys: &Keys,
        header: QuoteHeader,
        body: Body,
        qe_report: EnclaveReport,
        collateral: Collateral,
    ) -> Self {
        let mut pck = Template::end_entity(PCK, PLATFORM_CA, &keys.pck);
        pck.serial = vec![0x11, 0x11];
        let mut ca = Template::authority(PLATFORM_CA, ROOT, &keys.ca);
        ca.authority = Some(Some(0));
        ca.serial = vec![0x22, 0x22];
        ca.usage = usage::CERTIFICATES | usage::REVOCATION_LISTS;
        Self {
            header,
            body_type: None,
            body,
            qe_report,
            qe_report_data: None,
            authentication_data: (0..32).collect(),
            outer_type: 6,
            inner_type: 5,
            pck,
            extension: PckExtension::right(),
            extension_der: None,
            ca,
            chain_has_ca: true,
            between: None,
            chain_has_root: true,
            inside: Vec::new(),
            behind: Vec::new(),
            collateral,
        }
    }

    /// Moves the platform below the processor authority.
    pub fn below_processor_ca(&mut self) {
        self.pck.issuer = certificate::name(PROCESSOR_CA);
        self.ca.subject = certificate::name(PROCESSOR_CA);
        self.collateral.pck_crl.issuer = certificate::name(PROCESSOR_CA);
        self.extension.platform_instance_id = None;
        self.extension.configuration = None;
    }

    /// PEM of the PCK chain, with the NUL that genuine ones end in.
    pub fn pck_chain(&self, keys: &Keys, signing: &Keys) -> Vec<u8> {
        let mut pck = self.pck.clone();
        let value = self
            .extension_der
            .clone()
            .unwrap_or_else(|| self.extension.to_der());
        if !value.is_empty() {
            pck.extensions
                .push(Extension::new(&sgx_extension_oid(&[]), value));
        }
        let (issuer, above) = match (self.chain_has_ca, &self.between) {
            (false, _) => (&signing.root, &signing.root),
            (true, None) => (&signing.ca, &signing.root),
            (true, Some(_)) => (&signing.ca, &signing.signer),
        };
        let mut pem = certificate::pem(&[&pck.sign(issuer)]);
        if self.chain_has_ca {
            pem.push_str(&certificate::pem(&[&self.ca.sign(above)]));
        }
        if let Some(between) = &self.between {
            pem.push_str(&certificate::pem(&[&between.sign(&signing.root)]));
        }
        if self.chain_has_root {
            pem.push_str(&certificate::pem(&[&keys.root_certificate]));
        }
        let mut bytes = pem.into_bytes();
        bytes.push(0);
        bytes
    }

    /// The quote.
    pub fn quote(&self, keys: &Keys, signing: &Keys) -> Vec<u8> {
        let mut signed = self.header.to_bytes();
        if let Some((body_type, size)) = self.body_type {
            signed.extend(body_type.to_le_bytes());
            signed.extend(size.to_le_bytes());
        }
        signed.extend(self.body.to_bytes());

        let key = &keys.attestation.public()[1..];
        let mut qe_report = self.qe_report.clone();
        qe_report.report_data = self
            .qe_report_data
            .unwrap_or_else(|| quote::vouch(key, &self.authentication_data));
        let qe_report = qe_report.to_bytes();
        let mut certified = qe_report.clone();
        certified.extend(signing.pck.sign_fixed(&qe_report));
        certified.extend((self.authentication_data.len() as u16).to_le_bytes());
        certified.extend(&self.authentication_data);
        let chain = self.pck_chain(keys, signing);
        certified.extend(self.inner_type.to_le_bytes());
        certified.extend((chain.len() as u32).to_le_bytes());
        certified.extend(chain);
        certified.extend(&self.inside);

        let mut data = signing.attestation.sign_fixed(&signed);
        data.extend(key);
        if self.header.version >= 4 {
            data.extend(self.outer_type.to_le_bytes());
            data.extend((certified.len() as u32).to_le_bytes());
        }
        data.extend(certified);

        let mut bytes = signed;
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(data);
        bytes.extend(&self.behind);
        bytes
    }
}
