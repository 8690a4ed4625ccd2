//! What AMD states of a VEK in its certificate (57230, "VCEK certificate extensions" and "VLEK certificate
//! extensions"), OIDs 1.3.6.1.4.1.3704.1.*.

use core::fmt;

use super::SnpError;
use crate::roots::AmdProduct;
use crate::x509::Certificate;

/// 1.3.6.1.4.1.3704.1
const ARC: [u8; 8] = [0x2B, 0x06, 0x01, 0x04, 0x01, 0x9C, 0x78, 0x01];
/// Common names of VEKs.
const VCEK: &str = "SEV-VCEK";
const VLEK: &str = "SEV-VLEK";
/// Longest product name or provider id.
const MAX_TEXT: usize = 128;

/// Kind of a versioned endorsement key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VekKind {
    /// Of one chip.
    Vcek,
    /// Of a cloud provider, who can load it into any chip that AMD agreed to.
    Vlek,
}

impl VekKind {
    /// The kind that a certificate's common name says.
    pub(super) fn of(certificate: &Certificate<'_>) -> Option<Self> {
        match certificate.subject().as_str() {
            VCEK => Some(VekKind::Vcek),
            VLEK => Some(VekKind::Vlek),
            _ => None,
        }
    }

    /// Common name of the authority that issues keys of this kind.
    pub(super) fn issuer(self, product: AmdProduct) -> &'static str {
        match (self, product) {
            (VekKind::Vcek, AmdProduct::Milan) => "SEV-Milan",
            (VekKind::Vcek, AmdProduct::Genoa) => "SEV-Genoa",
            (VekKind::Vcek, AmdProduct::Turin) => "SEV-Turin",
            (VekKind::Vlek, AmdProduct::Milan) => "SEV-VLEK-Milan",
            (VekKind::Vlek, AmdProduct::Genoa) => "SEV-VLEK-Genoa",
            (VekKind::Vlek, AmdProduct::Turin) => "SEV-VLEK-Turin",
        }
    }
}

impl fmt::Display for VekKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            VekKind::Vcek => "VCEK",
            VekKind::Vlek => "VLEK",
        })
    }
}

/// The extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VekExtensions {
    /// productName1.
    pub product: AmdProduct,
    /// The SPLs, in the byte order of the product's TCB_VERSION.
    pub tcb: [u8; 8],
    /// hwID as CHIP_ID has it: 64 bytes, on Turin 8 and zeros. VCEK only.
    pub hwid: Option<[u8; 64]>,
    /// cspID: the cloud provider. VLEK only.
    pub csp_id: Option<String>,
}

impl VekExtensions {
    pub(super) fn read(certificate: &Certificate<'_>, kind: VekKind) -> Result<Self, SnpError> {
        let read = Reader(certificate);
        let version = read.byte("structVersion", &[1])?;
        if version > 1 {
            return Err(SnpError::VekStructVersion(version));
        }
        let name = read.text("productName1", &[2])?;
        let product = product(name).ok_or_else(|| SnpError::VekProduct(name.to_owned()))?;
        let bootloader = read.byte("blSPL", &[3, 1])?;
        let tee = read.byte("teeSPL", &[3, 2])?;
        let snp = read.byte("snpSPL", &[3, 3])?;
        let spl5 = read.byte("spl5", &[3, 5])?;
        let spl6 = read.byte("spl6", &[3, 6])?;
        let spl7 = read.byte("spl7", &[3, 7])?;
        let microcode = read.byte("ucodeSPL", &[3, 8])?;
        let tcb = match product {
            AmdProduct::Milan | AmdProduct::Genoa => {
                let spl4 = read.byte("spl4", &[3, 4])?;
                [bootloader, tee, spl4, spl5, spl6, spl7, snp, microcode]
            }
            AmdProduct::Turin => {
                let fmc = read.byte("fmcSPL", &[3, 9])?;
                [fmc, bootloader, tee, snp, spl5, spl6, spl7, microcode]
            }
        };
        let (hwid, csp_id) = match kind {
            VekKind::Vcek => (Some(read.hwid(product)?), None),
            VekKind::Vlek => (None, Some(read.text("cspID", &[5])?.to_owned())),
        };
        Ok(Self {
            product,
            tcb,
            hwid,
            csp_id,
        })
    }
}

/// `Milan-B0` names the product Milan. Bergamo and Siena are built like Genoa, and have its authority.
fn product(name: &str) -> Option<AmdProduct> {
    match name.split('-').next()? {
        "Milan" => Some(AmdProduct::Milan),
        "Genoa" | "Bergamo" | "Siena" => Some(AmdProduct::Genoa),
        "Turin" => Some(AmdProduct::Turin),
        _ => None,
    }
}

struct Reader<'a, 'b>(&'b Certificate<'a>);

impl<'a> Reader<'a, '_> {
    fn value(&self, name: &'static str, arcs: &[u8]) -> Result<&'a [u8], SnpError> {
        let oid = [&ARC[..], arcs].concat();
        self.0
            .extension(&oid)
            .map_err(SnpError::Chain)?
            .ok_or(SnpError::VekExtensionMissing(name))
    }

    /// INTEGER from 0 to 255, in DER.
    fn byte(&self, name: &'static str, arcs: &[u8]) -> Result<u8, SnpError> {
        match self.value(name, arcs)? {
            [0x02, 1, value @ 0..=0x7F] | [0x02, 2, 0, value @ 0x80..=0xFF] => Ok(*value),
            _ => Err(SnpError::VekExtensionMalformed(name)),
        }
    }

    /// IA5String.
    fn text(&self, name: &'static str, arcs: &[u8]) -> Result<&'a str, SnpError> {
        let malformed = SnpError::VekExtensionMalformed(name);
        match self.value(name, arcs)? {
            [0x16, len, text @ ..]
                if usize::from(*len) == text.len()
                    && text.len() < MAX_TEXT
                    && text.iter().all(|c| (0x20..0x7F).contains(c)) =>
            {
                core::str::from_utf8(text).map_err(|_| malformed)
            }
            _ => Err(malformed),
        }
    }

    /// The bytes themselves; some certificates have them in an OCTET STRING.
    fn hwid(&self, product: AmdProduct) -> Result<[u8; 64], SnpError> {
        let name = "hwID";
        let len: usize = match product {
            AmdProduct::Milan | AmdProduct::Genoa => 64,
            AmdProduct::Turin => 8,
        };
        let id = match self.value(name, &[4])? {
            [0x04, short, id @ ..] if usize::from(*short) == len && id.len() == len => id,
            id if id.len() == len => id,
            _ => return Err(SnpError::VekExtensionMalformed(name)),
        };
        let mut hwid = [0; 64];
        hwid[..len].copy_from_slice(id);
        Ok(hwid)
    }
}
