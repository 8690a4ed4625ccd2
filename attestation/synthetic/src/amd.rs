//! Synthetic AMD chips: ARK, ASK, VEK and SEV-SNP reports, written again from AMD's documents (56860 and 57230).

pub mod report;
pub mod table;

use crate::certificate::{Extension, Template, name};
use crate::crl::CrlTemplate;
use crate::der;
use crate::key::Key;
use report::ReportTemplate;

/// A product, with what differs between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// Family 19h, model 01h.
    Milan,
    /// Family 19h, model 11h.
    Genoa,
    /// Family 1Ah, model 02h.
    Turin,
}

impl Product {
    /// As common names have it.
    pub fn name(self) -> &'static str {
        match self {
            Product::Milan => "Milan",
            Product::Genoa => "Genoa",
            Product::Turin => "Turin",
        }
    }

    /// Family, model and stepping.
    pub fn cpuid(self) -> [u8; 3] {
        match self {
            Product::Milan => [0x19, 0x01, 0x01],
            Product::Genoa => [0x19, 0x11, 0x01],
            Product::Turin => [0x1A, 0x02, 0x01],
        }
    }

    /// Common name of its root.
    pub fn ark(self) -> String {
        format!("ARK-{}", self.name())
    }

    /// TCB_VERSION with these levels, and on Turin FMC 1.
    pub fn tcb(self, bootloader: u8, tee: u8, snp: u8, microcode: u8) -> [u8; 8] {
        match self {
            Product::Milan | Product::Genoa => [bootloader, tee, 0, 0, 0, 0, snp, microcode],
            Product::Turin => [1, bootloader, tee, snp, 0, 0, 0, microcode],
        }
    }
}

/// Kind of the key that signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vek {
    /// Of a chip.
    Vcek,
    /// Of a provider.
    Vlek,
}

/// Extensions of a VEK's certificate.
pub mod oid {
    /// structVersion.
    pub const STRUCT_VERSION: &str = "1.3.6.1.4.1.3704.1.1";
    /// productName1.
    pub const PRODUCT_NAME: &str = "1.3.6.1.4.1.3704.1.2";
    /// blSPL.
    pub const BOOTLOADER: &str = "1.3.6.1.4.1.3704.1.3.1";
    /// teeSPL.
    pub const TEE: &str = "1.3.6.1.4.1.3704.1.3.2";
    /// snpSPL.
    pub const SNP: &str = "1.3.6.1.4.1.3704.1.3.3";
    /// spl4, which Turin doesn't have.
    pub const SPL4: &str = "1.3.6.1.4.1.3704.1.3.4";
    /// spl5.
    pub const SPL5: &str = "1.3.6.1.4.1.3704.1.3.5";
    /// spl6.
    pub const SPL6: &str = "1.3.6.1.4.1.3704.1.3.6";
    /// spl7.
    pub const SPL7: &str = "1.3.6.1.4.1.3704.1.3.7";
    /// ucodeSPL.
    pub const MICROCODE: &str = "1.3.6.1.4.1.3704.1.3.8";
    /// fmcSPL, which only Turin has.
    pub const FMC: &str = "1.3.6.1.4.1.3704.1.3.9";
    /// hwID, of a VCEK.
    pub const HWID: &str = "1.3.6.1.4.1.3704.1.4";
    /// cspID, of a VLEK.
    pub const CSP_ID: &str = "1.3.6.1.4.1.3704.1.5";
}

/// A chip with its chain: every part can be changed before [`Chip::make`].
pub struct Chip {
    /// Key of the root.
    pub ark_key: Key,
    /// Key of the ASK or ASVK.
    pub ask_key: Key,
    /// Key of the VEK.
    pub vek_key: Key,
    /// The root's certificate.
    pub ark: Template,
    /// The authority's certificate.
    pub ask: Template,
    /// The VEK's certificate.
    pub vek: Template,
    /// The root's revocation list.
    pub crl: CrlTemplate,
    /// A report.
    pub report: ReportTemplate,
}

/// What a chip hands over.
pub struct Made {
    /// The root.
    pub ark: Vec<u8>,
    /// The authority.
    pub ask: Vec<u8>,
    /// The VEK.
    pub vek: Vec<u8>,
    /// The root's revocation list.
    pub crl: Vec<u8>,
    /// The report.
    pub report: Vec<u8>,
}

impl Chip {
    /// A chip whose everything is right, with a report of `version`.
    pub fn new(product: Product, vek: Vek, version: u32) -> Self {
        let (ark_key, ask_key, vek_key) = (Key::amd_ark(), Key::amd_ask(), Key::p384());
        let ark_name = product.ark();
        let (ask_name, vek_name) = match vek {
            Vek::Vcek => (format!("SEV-{}", product.name()), "SEV-VCEK"),
            Vek::Vlek => (format!("SEV-VLEK-{}", product.name()), "SEV-VLEK"),
        };
        let report = ReportTemplate::new(product, vek, version);
        let mut ask = Template::authority(&ask_name, &ark_name, &ask_key);
        ask.authority = Some(Some(0));
        ask.serial = vec![0x01, 0x00, 0x01];
        let mut certificate = Template::end_entity(vek_name, &ask_name, &vek_key);
        certificate.serial = vec![0];
        certificate.extensions = extensions(product, vek, &report);
        Self {
            ark: Template::authority(&ark_name, &ark_name, &ark_key),
            ask,
            vek: certificate,
            crl: CrlTemplate::new(&ark_name),
            report,
            ark_key,
            ask_key,
            vek_key,
        }
    }

    /// Signs everything, each by the key above it.
    pub fn make(&self) -> Made {
        Made {
            ark: self.ark.sign(&self.ark_key),
            ask: self.ask.sign(&self.ark_key),
            vek: self.vek.sign(&self.ask_key),
            crl: self.crl.sign(&self.ark_key),
            report: self.report.sign(&self.vek_key),
        }
    }

    /// Replaces the value of an extension of the VEK's certificate; adds it where there is none.
    pub fn set_extension(&mut self, oid: &str, value: Vec<u8>) {
        self.remove_extension(oid);
        self.vek.extensions.push(Extension::new(oid, value));
    }

    /// Takes an extension out of the VEK's certificate.
    pub fn remove_extension(&mut self, oid: &str) {
        self.vek.extensions.retain(|extension| extension.oid != oid);
    }

    /// Gives the VEK's certificate another common name.
    pub fn rename_vek(&mut self, common: &str) {
        self.vek.subject = name(common);
    }

    /// Gives the authority another common name, in both places.
    pub fn rename_ask(&mut self, common: &str) {
        self.ask.subject = name(common);
        self.vek.issuer = name(common);
    }
}

fn extensions(product: Product, vek: Vek, report: &ReportTemplate) -> Vec<Extension> {
    let tcb = report.reported_tcb;
    let spl = |oid, level: u8| Extension::new(oid, der::number(level.into()));
    let [bootloader, tee, snp] = match product {
        Product::Turin => [tcb[1], tcb[2], tcb[3]],
        Product::Milan | Product::Genoa => [tcb[0], tcb[1], tcb[6]],
    };
    let stepping = match (product, vek) {
        (Product::Milan, Vek::Vcek) => "-B0",
        _ => "",
    };
    let mut extensions = vec![
        spl(oid::STRUCT_VERSION, u8::from(product == Product::Turin)),
        Extension::new(
            oid::PRODUCT_NAME,
            der::ia5(&format!("{}{stepping}", product.name())),
        ),
        spl(oid::BOOTLOADER, bootloader),
        spl(oid::TEE, tee),
        spl(oid::SPL5, 0),
        spl(oid::SPL6, 0),
        spl(oid::SPL7, 0),
        spl(oid::SNP, snp),
        spl(oid::MICROCODE, tcb[7]),
        match product {
            Product::Turin => spl(oid::FMC, tcb[0]),
            Product::Milan | Product::Genoa => spl(oid::SPL4, 0),
        },
    ];
    extensions.push(match (vek, product) {
        (Vek::Vlek, _) => Extension::new(oid::CSP_ID, der::ia5("CN=cloud.example")),
        (Vek::Vcek, Product::Turin) => Extension::new(oid::HWID, report.chip_id[..8].to_vec()),
        (Vek::Vcek, _) => Extension::new(oid::HWID, report.chip_id.to_vec()),
    });
    extensions
}
