//! The enveloped XML signature of a manifest (W3C XML Signature 1.1), of the one shape that NVIDIA's have: one
//! signature, child of the root, on the whole document, with the algorithms of [`ALGORITHMS`].
//!
//! Anything looser would let a signature stand on one part of a document while another part is read (signature
//! wrapping): references by id, more transforms, further signatures or references are all refused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha384};

use super::RimError;
use super::canonical::canonical;
use super::xml::{Element, Node};
use crate::primitives::{EcdsaSignature, primitives};

/// Namespace of XML signatures.
const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
const C14N_1_1: &str = "http://www.w3.org/2006/12/xml-c14n11";
const ECDSA_SHA384: &str = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384";
const SHA384: &str = "http://www.w3.org/2001/04/xmldsig-more#sha384";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
/// Most certificates.
const MAX_CERTIFICATES: usize = 8;

/// A signature as it was read, with the digest of the document around it; nothing is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct XmlSignature {
    /// Canonical form of SignedInfo.
    signed_info: Vec<u8>,
    /// SHA-384 in the reference.
    digest_value: Vec<u8>,
    /// SHA-384 of the document without the signature.
    found: [u8; 48],
    /// r ‖ s.
    signature: Vec<u8>,
    /// DER, signer first.
    pub certificates: Vec<Vec<u8>>,
}

impl XmlSignature {
    /// Reads the signature of a document.
    pub fn read(root: &Element) -> Result<Self, RimError> {
        let all = count(root);
        let own = root
            .children
            .iter()
            .enumerate()
            .find_map(|(index, node)| match node {
                Node::Element(element) if is(element, "Signature") => Some((index, element)),
                _ => None,
            });
        let (1, Some((index, signature))) = (all, own) else {
            return Err(RimError::SignatureCount(all));
        };
        let [signed_info, value, key_info] =
            children(signature, ["SignedInfo", "SignatureValue", "KeyInfo"])?;
        if !signature.attributes.is_empty() {
            return Err(form("Signature has attributes"));
        }
        let digest_value = signed_info_digest(signed_info)?;
        let document = canonical(root, &[], Some(index));
        Ok(Self {
            signed_info: canonical(signed_info, &[root, signature], None),
            digest_value,
            found: Sha384::digest(document).into(),
            signature: base64(value)?,
            certificates: certificates(key_info)?,
        })
    }

    /// Checks the signature with the signer's key (uncompressed P-384 point), then the document's digest.
    pub fn verify(&self, key: &[u8]) -> Result<(), RimError> {
        primitives()
            .p384_sha384(key, &self.signed_info, EcdsaSignature::Fixed(&self.signature))
            .map_err(|_| RimError::Signature)?;
        match self.digest_value == self.found {
            true => Ok(()),
            false => Err(RimError::Digest),
        }
    }
}

/// Reads SignedInfo, and returns the digest in it.
fn signed_info_digest(signed_info: &Element) -> Result<Vec<u8>, RimError> {
    let [canonicalization, method, reference] = children(
        signed_info,
        ["CanonicalizationMethod", "SignatureMethod", "Reference"],
    )?;
    algorithm(canonicalization, C14N_1_1)?;
    algorithm(method, ECDSA_SHA384)?;
    let uri = reference.attribute("URI");
    if uri != Some("") || reference.attributes.len() != 1 {
        let uri = uri.unwrap_or("nothing by URI");
        return Err(RimError::Reference(uri.chars().take(64).collect()));
    }
    let [transforms, digest_method, digest_value] =
        children(reference, ["Transforms", "DigestMethod", "DigestValue"])?;
    let [enveloped, last] = children(transforms, ["Transform", "Transform"])?;
    algorithm(enveloped, ENVELOPED)?;
    algorithm(last, C14N_1_1)?;
    algorithm(digest_method, SHA384)?;
    base64(digest_value)
}

fn certificates(key_info: &Element) -> Result<Vec<Vec<u8>>, RimError> {
    let [data] = children(key_info, ["X509Data"])?;
    if !data.has_only_elements() {
        return Err(form("X509Data has text"));
    }
    let mut certificates = Vec::new();
    for element in data.elements() {
        if !is(element, "X509Certificate") || certificates.len() == MAX_CERTIFICATES {
            return Err(form("X509Data has more than a chain of certificates"));
        }
        certificates.push(base64(element)?);
    }
    Ok(certificates)
}

/// How many signatures there are in the whole document.
fn count(element: &Element) -> usize {
    let own = usize::from(is(element, "Signature"));
    own + element.elements().map(count).sum::<usize>()
}

fn is(element: &Element, local: &str) -> bool {
    element.is(DS, local)
}

/// The elements in `parent`, which must be exactly these; between them there may be white space.
fn children<'a, const N: usize>(parent: &'a Element, names: [&str; N]) -> Result<[&'a Element; N], RimError> {
    let found: Vec<&Element> = parent.elements().collect();
    let wrong = || form(&format!("{} doesn't hold {}", parent.local, names.join(", ")));
    let found: [&Element; N] = found.try_into().map_err(|_| wrong())?;
    let fits = found.iter().zip(names).all(|(element, name)| is(element, name));
    match fits && parent.has_only_elements() {
        true => Ok(found),
        false => Err(wrong()),
    }
}

/// An element that names an algorithm and nothing else.
fn algorithm(element: &Element, expected: &'static str) -> Result<(), RimError> {
    let found = element.attribute("Algorithm").unwrap_or("none");
    if found != expected {
        let found = found.chars().take(96).collect();
        return Err(RimError::Algorithm { found, expected });
    }
    match element.attributes.len() == 1 && element.children.is_empty() {
        true => Ok(()),
        false => Err(form(&format!("{} has parameters", element.local))),
    }
}

fn base64(element: &Element) -> Result<Vec<u8>, RimError> {
    let bad = || form(&format!("{} is not base64", element.local));
    if !element.attributes.is_empty() {
        return Err(bad());
    }
    let text: Vec<u8> = element
        .text()
        .ok_or_else(bad)?
        .bytes()
        .filter(|byte| !super::xml::is_space(*byte))
        .collect();
    STANDARD.decode(text).map_err(|_| bad())
}

fn form(what: &str) -> RimError {
    RimError::SignatureForm(what.to_owned())
}
