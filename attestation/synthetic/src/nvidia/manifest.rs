//! Manifests: SWID tags that are signed. They are written in canonical form at once, so that nothing here has to know
//! how XML is brought into it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha384};

use super::{Chip, measured};
use crate::certificate::Template as Certificate;
use crate::key::Key;

/// Common name of the synthetic root.
pub const ROOT: &str = "Synthetic CoRIM signing Root CA";
const ISO: &str = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd";
const ENC: &str = "http://www.w3.org/2001/04/xmlenc#sha384";
const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
const TCG: &str =
    "https://trustedcomputinggroup.org/resource/tcg-reference-integrity-manifest-rim-information-model/";

/// Stands for NVIDIA's signing service.
pub struct Signer {
    /// Root.
    pub root: Key,
    /// Its certificate.
    pub root_certificate: Vec<u8>,
    middle: [Key; 2],
    /// Signs manifests.
    pub key: Key,
    /// Certificates of the signer, and of the two authorities above it.
    pub templates: [Certificate; 3],
}

impl Signer {
    /// New keys.
    pub fn new() -> Self {
        let (root, upper, lower, key) = (Key::p384(), Key::p384(), Key::p384(), Key::p384());
        let names = [
            "Synthetic RIM L4 Signer",
            "Synthetic Reference Value L3",
            "Synthetic Reference Value CA",
        ];
        Self {
            root_certificate: Certificate::authority(ROOT, ROOT, &root).sign(&root),
            templates: [
                Certificate::end_entity(names[0], names[1], &key),
                Certificate {
                    authority: Some(Some(0)),
                    ..Certificate::authority(names[1], names[2], &lower)
                },
                Certificate::authority(names[2], ROOT, &upper),
            ],
            root,
            middle: [lower, upper],
            key,
        }
    }

    /// Signer, two authorities, root.
    pub fn chain(&self) -> Vec<Vec<u8>> {
        let [signer, lower, upper] = &self.templates;
        let [lower_key, upper_key] = &self.middle;
        vec![
            signer.sign(lower_key),
            lower.sign(upper_key),
            upper.sign(&self.root),
            self.root_certificate.clone(),
        ]
    }
}

impl Default for Signer {
    fn default() -> Self {
        Self::new()
    }
}

/// What a manifest says.
#[derive(Debug, Clone)]
pub struct Template {
    /// Product.
    pub product: String,
    /// Edition.
    pub edition: String,
    /// Version.
    pub version: String,
    /// Resources, each in canonical form; see [`resource`].
    pub resources: Vec<String>,
    /// Elements behind the payload, in canonical form.
    pub more: String,
    /// CanonicalizationMethod.
    pub canonicalization: String,
    /// SignatureMethod.
    pub method: String,
    /// URI of the reference.
    pub uri: String,
    /// Transforms.
    pub transforms: Vec<String>,
    /// DigestMethod.
    pub digest: String,
}

impl Template {
    /// A manifest for these measurements of a chip, right in all points.
    pub fn new(chip: Chip, version: &str, indices: impl IntoIterator<Item = u8>) -> Self {
        let active: Vec<u8> = indices.into_iter().collect();
        let resources = (0..64u8)
            .map(|index| match active.contains(&index) {
                // The right value is not always the first of the alternatives.
                true if index % 4 == 1 => resource(index, true, &[[0xEE; 48], measured(chip, index)]),
                true => resource(index, true, &[measured(chip, index)]),
                false => resource(index, false, &[[0; 48]]),
            })
            .collect();
        let c14n = "http://www.w3.org/2006/12/xml-c14n11".to_owned();
        Self {
            product: chip.product().to_owned(),
            edition: if chip == Chip::Ls10 { "SWITCH" } else { "GPU" }.to_owned(),
            version: version.to_owned(),
            resources,
            more: String::new(),
            canonicalization: c14n.clone(),
            method: "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384".to_owned(),
            uri: String::new(),
            transforms: vec![
                "http://www.w3.org/2000/09/xmldsig#enveloped-signature".to_owned(),
                c14n,
            ],
            digest: "http://www.w3.org/2001/04/xmldsig-more#sha384".to_owned(),
        }
    }

    /// The document, signed.
    pub fn sign(&self, signer: &Signer) -> String {
        let (body, end) = (self.body(), "</SoftwareIdentity>");
        let digest = STANDARD.encode(Sha384::digest(format!("{body}{end}")));
        // SignedInfo alone takes the namespaces along that it stands in.
        let alone = format!(
            "<ds:SignedInfo xmlns=\"{ISO}\" xmlns:ds=\"{DS}\" xmlns:ns0=\"{ISO}\" xmlns:ns2=\"{ENC}\">"
        );
        let info = self.signed_info(&digest);
        let value = STANDARD.encode(signer.key.sign_fixed(format!("{alone}{info}").as_bytes()));
        let certificates: String = signer
            .chain()
            .iter()
            .map(|der| {
                format!(
                    "<ds:X509Certificate>{}\n</ds:X509Certificate>",
                    STANDARD.encode(der)
                )
            })
            .collect();
        format!(
            "{body}<ds:Signature xmlns:ds=\"{DS}\"><ds:SignedInfo>{info}<ds:SignatureValue>{value}</ds:SignatureValue>\
             <ds:KeyInfo><ds:X509Data>{certificates}</ds:X509Data></ds:KeyInfo></ds:Signature>{end}"
        )
    }

    fn signed_info(&self, digest: &str) -> String {
        let transforms: String = self
            .transforms
            .iter()
            .map(|uri| format!("<ds:Transform Algorithm=\"{uri}\"></ds:Transform>"))
            .collect();
        format!(
            "<ds:CanonicalizationMethod Algorithm=\"{}\"></ds:CanonicalizationMethod>\
             <ds:SignatureMethod Algorithm=\"{}\"></ds:SignatureMethod>\
             <ds:Reference URI=\"{}\"><ds:Transforms>{transforms}</ds:Transforms>\
             <ds:DigestMethod Algorithm=\"{}\"></ds:DigestMethod><ds:DigestValue>{digest}</ds:DigestValue>\
             </ds:Reference></ds:SignedInfo>",
            self.canonicalization, self.method, self.uri, self.digest
        )
    }

    /// The document without its signature and its last tag.
    fn body(&self) -> String {
        let Self {
            product,
            edition,
            version,
            ..
        } = self;
        let resources: String = self
            .resources
            .iter()
            .map(|resource| format!("\n        {resource}"))
            .collect();
        let more = &self.more;
        format!(
            "<SoftwareIdentity xmlns=\"{ISO}\" xmlns:ns0=\"{ISO}\" xmlns:ns2=\"{ENC}\" corpus=\"false\" \
             name=\"{product}\" patch=\"false\" supplemental=\"false\" tagId=\"synthetic {version}\" tagVersion=\"0\" \
             version=\"1.0\">\n    \
             <ns0:Entity name=\"Nobody &amp; Sons\" role=\"softwareCreator tagCreator\"></ns0:Entity>\n    \
             <ns0:Meta xmlns:ns1=\"{TCG}\" PayloadType=\"direct\" colloquialVersion=\"{version}\" edition=\"{edition}\" \
             product=\"{product}\" revision=\"r1\" ns1:BindingSpec=\"RIMIM\" ns1:BindingSpecVersion=\"1.01\" \
             ns1:PlatformModel=\"{product}\"></ns0:Meta>\n    \
             <ns0:Payload xmlns:SHA384=\"{ENC}\">{resources}\n    </ns0:Payload>\n{more}"
        )
    }
}

/// A resource: a measurement and the values that it may have.
pub fn resource(index: u8, active: bool, values: &[[u8; 48]]) -> String {
    let active = if active { "True" } else { "False" };
    let alternatives = values.len();
    let hashes: String = values
        .iter()
        .enumerate()
        .map(|(number, value)| format!(" ns2:Hash{number}=\"{}\"", hex::encode(value)))
        .collect();
    format!(
        "<ns0:Resource active=\"{active}\" alternatives=\"{alternatives}\" index=\"{index}\" \
         name=\"Measurement_{index}\" size=\"48\" type=\"Measurement\"{hashes}></ns0:Resource>"
    )
}
