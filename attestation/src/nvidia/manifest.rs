//! Reference integrity manifests: what NVIDIA says that the measurements of a driver or of a VBIOS version are.
//!
//! A manifest is a SWID tag (ISO/IEC 19770-2:2015) with the attributes of TCG's Reference Integrity Manifest Information
//! Model 1.01: `Meta` names product and version, `Payload` holds a `Resource` for each measurement, counted from 0.
//! [`Manifest`] is one that was read, [`Golden`] one whose signature was verified up to NVIDIA's root for manifests;
//! that can be kept under the manifest's digest, and its signer's dates are checked at each use.

use super::xml::{self, Element};
use super::xml_signature::XmlSignature;
use super::{Architecture, RimError, revocation};
use crate::hash::sha256;
use crate::roots::TrustAnchors;
use crate::x509::{Certificate, PathRules, PublicKey, Validity, VerifiedPath, X509Error, verify_path};

/// Namespace of SWID tags.
const SWID: &str = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd";
/// Namespace of the measurements' values.
const SHA384: &str = "http://www.w3.org/2001/04/xmlenc#sha384";
/// Most values that a measurement may have.
const MAX_ALTERNATIVES: usize = 64;
/// Longest name or version, in bytes.
const MAX_TEXT: usize = 128;

const RULES: PathRules = PathRules {
    longest: 5,
    judged: &[],
    end_entity: true,
};

/// What a manifest is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A driver, by its version (`535.86.09`).
    Driver,
    /// Firmware of a GPU or a switch, by its version (`96.00.5E.00.01`).
    Vbios,
}

impl Kind {
    /// Name in messages and verdicts.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Driver => "driver",
            Kind::Vbios => "VBIOS",
        }
    }
}

/// Which manifest it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// SHA-256 of the file.
    pub digest: [u8; 32],
    /// `tagId` of the root.
    pub tag_id: String,
    /// `product` of Meta: the chip, such as `GH100`.
    pub product: String,
    /// `edition` of Meta: `GPU` or `SWITCH`.
    pub edition: String,
    /// `colloquialVersion` of Meta.
    pub version: String,
    /// From the form of the version.
    pub kind: Kind,
}

impl Identity {
    /// Whether it is for this kind of firmware on this chip.
    pub fn is_for(&self, architecture: Architecture, kind: Kind) -> bool {
        let edition = if architecture.is_switch() { "SWITCH" } else { "GPU" };
        self.kind == kind && self.product == architecture.chip() && self.edition == edition
    }
}

/// What a measurement may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoldenMeasurement {
    /// From 0; a report counts from 1.
    pub index: u8,
    /// NVIDIA's name for it.
    pub name: String,
    /// Whether it counts. NVIDIA lists the others too.
    pub active: bool,
    /// `Hash0`, `Hash1`…: any of them will do.
    pub values: Vec<[u8; 48]>,
}

/// A manifest, read; nothing about it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    identity: Identity,
    measurements: Vec<GoldenMeasurement>,
    signature: XmlSignature,
}

impl Manifest {
    /// Reads a manifest's XML.
    pub fn parse(document: &[u8]) -> Result<Self, RimError> {
        let root = xml::read(document)?;
        if !root.is(SWID, "SoftwareIdentity") {
            return Err(form("the root is not a SoftwareIdentity"));
        }
        let signature = XmlSignature::read(&root)?;
        let meta = one(&root, "Meta")?;
        let payload = one(&root, "Payload")?;
        one(&root, "Entity")?;
        if root.elements().count() != 4 || !root.has_only_elements() {
            return Err(form(
                "the root holds more than Entity, Meta, Payload and Signature",
            ));
        }
        let version = text(meta, "colloquialVersion")?;
        Ok(Self {
            identity: Identity {
                digest: sha256(document),
                tag_id: text(&root, "tagId")?,
                product: text(meta, "product")?,
                edition: text(meta, "edition")?,
                kind: kind_of(&version)?,
                version,
            },
            measurements: measurements(payload)?,
            signature,
        })
    }

    /// Which manifest it says it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Verifies the signer's chain up to NVIDIA's root for manifests at `now` (seconds since 1970), the signature, and
    /// the digest of the document. With `expired_signers`, a signer whose certificates have ended since is verified as
    /// of their end: nothing in a manifest says when it was signed.
    pub fn verify(
        &self,
        lists: &[Vec<u8>],
        roots: &TrustAnchors,
        now: i64,
        expired_signers: bool,
    ) -> Result<Golden, RimError> {
        let certificates = &self.signature.certificates;
        let chain = certificates
            .iter()
            .map(|der| Certificate::parse(der))
            .collect::<Result<Vec<_>, _>>()
            .map_err(RimError::Chain)?;
        let path = path(&chain, roots, now, expired_signers).map_err(RimError::Chain)?;
        let looked_up =
            revocation::check(&chain, 0, lists, roots.nvidia_rim(), now).map_err(RimError::Chain)?;
        let signer = chain.first().map(Certificate::subject).unwrap_or_default();
        let PublicKey::P384(key) = path.key else {
            return Err(RimError::Chain(X509Error::Algorithm(signer)));
        };
        self.signature.verify(&key)?;
        Ok(Golden {
            identity: self.identity.clone(),
            measurements: self.measurements.clone(),
            signer,
            root: path.root,
            validity: path.validity,
            looked_up,
        })
    }
}

/// A manifest whose signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Golden {
    identity: Identity,
    measurements: Vec<GoldenMeasurement>,
    signer: String,
    root: &'static str,
    validity: Validity,
    looked_up: Vec<String>,
}

impl Golden {
    /// Which manifest it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// All measurements, in the document's order.
    pub fn measurements(&self) -> &[GoldenMeasurement] {
        &self.measurements
    }

    /// Common name of the signer.
    pub fn signer(&self) -> &str {
        &self.signer
    }

    /// Name of the pinned root that the signer's chain ends in.
    pub fn root(&self) -> &'static str {
        self.root
    }

    /// When the signer's chain is valid.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Whether the issuers' own lists were at hand for all of the signer's chain.
    pub(super) fn looked_up(&self) -> &[String] {
        &self.looked_up
    }

    /// Whether the signer's chain is valid at `now`, or has ended and `expired_signers` are accepted.
    pub fn check_current(&self, now: i64, expired_signers: bool) -> Result<(), RimError> {
        let Validity {
            not_before,
            not_after,
        } = self.validity;
        let ended = now > not_after && expired_signers;
        match self.validity.contains(now) || ended {
            true => Ok(()),
            false => Err(RimError::SignerDates {
                now,
                not_before,
                not_after,
            }),
        }
    }
}

fn path(
    chain: &[Certificate<'_>],
    roots: &TrustAnchors,
    now: i64,
    expired_signers: bool,
) -> Result<VerifiedPath, X509Error> {
    let verify = |at| verify_path(chain, roots.nvidia_rim(), RULES, at);
    match (verify(now), chain.iter().map(Certificate::not_after).min()) {
        (Err(X509Error::Expired { .. }), Some(end)) if expired_signers => verify(end.min(now)),
        (result, _) => result,
    }
}

/// The one element of this name under the root.
fn one<'a>(root: &'a Element, local: &str) -> Result<&'a Element, RimError> {
    let mut found = root.elements().filter(|element| element.is(SWID, local));
    match (found.next(), found.next()) {
        (Some(element), None) => Ok(element),
        _ => Err(form(&format!("there is not one {local}"))),
    }
}

fn text(element: &Element, attribute: &str) -> Result<String, RimError> {
    element
        .attribute(attribute)
        .filter(|value| !value.is_empty() && value.len() <= MAX_TEXT && !value.contains(char::is_control))
        .map(str::to_owned)
        .ok_or_else(|| form(&format!("{} has no {attribute}", element.local)))
}

/// Five pairs of hexadecimal digits are a VBIOS's version; decimal numbers, two or three, a driver's.
fn kind_of(version: &str) -> Result<Kind, RimError> {
    let parts: Vec<&str> = version.split('.').collect();
    let pair = |part: &&str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number =
        |part: &&str| (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    match parts.len() {
        5 if parts.iter().all(pair) => Ok(Kind::Vbios),
        2 | 3 if parts.iter().all(number) => Ok(Kind::Driver),
        _ => Err(form(&format!(
            "version {version:?} is neither a driver's nor a VBIOS's"
        ))),
    }
}

fn measurements(payload: &Element) -> Result<Vec<GoldenMeasurement>, RimError> {
    if !payload.has_only_elements() {
        return Err(form("Payload has text"));
    }
    let mut measurements: Vec<GoldenMeasurement> = Vec::new();
    for element in payload.elements() {
        let measurement = resource(element)?;
        if measurements.iter().any(|other| other.index == measurement.index) {
            return Err(RimError::IndexTwice(measurement.index));
        }
        measurements.push(measurement);
    }
    match measurements.iter().any(|measurement| measurement.active) {
        true => Ok(measurements),
        false => Err(RimError::Vacuous),
    }
}

/// A Resource. Anything in it that isn't known is refused: it may be a value that has to be compared.
fn resource(element: &Element) -> Result<GoldenMeasurement, RimError> {
    const OWN: [&str; 6] = ["type", "index", "active", "alternatives", "name", "size"];
    let wrong = |what: &str| RimError::Resource(what.to_owned());
    if !element.is(SWID, "Resource")
        || element.attribute("type") != Some("Measurement")
        || !element.children.is_empty()
    {
        return Err(wrong("it is not a Resource of type Measurement"));
    }
    let number = |name: &str| {
        element
            .attribute(name)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
            .and_then(|digits| digits.parse::<u8>().ok())
            .ok_or_else(|| RimError::Resource(format!("{name} is not a number")))
    };
    let index = number("index")?;
    let active = match element.attribute("active") {
        Some("True") => true,
        Some("False") => false,
        _ => return Err(wrong("active is neither True nor False")),
    };
    if number("size")? != 48 {
        return Err(wrong("size is not 48"));
    }
    let alternatives = usize::from(number("alternatives")?);
    if !(1..=MAX_ALTERNATIVES).contains(&alternatives) {
        return Err(wrong("there are no values, or too many"));
    }
    let values = (0..alternatives)
        .map(|alternative| {
            let digits = element.qualified(SHA384, &format!("Hash{alternative}"))?;
            let mut value = [0; 48];
            hex::decode_to_slice(digits, &mut value).ok().map(|()| value)
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| wrong("a value is missing or is not 48 bytes in hexadecimal digits"))?;
    let known = OWN
        .iter()
        .filter(|name| element.attribute(name).is_some())
        .count();
    if element.attributes.len() != known + alternatives {
        return Err(wrong("it has attributes that are not known"));
    }
    Ok(GoldenMeasurement {
        index,
        name: text(element, "name")?,
        active,
        values,
    })
}

fn form(what: &str) -> RimError {
    RimError::Form(what.to_owned())
}
