//! Synthetic documents, each wrong in one point.

use ciborium::Value;
use jeju_attestation::roots::TestRoots;
use jeju_synthetic::certificate::{Extension, usage};
use jeju_synthetic::crl::CrlTemplate;
use jeju_synthetic::key::Key;
use jeju_synthetic::nitro::{Chain, Document, Keys, encode, names};
use jeju_synthetic::{DAY, NOW, der};

use super::*;
use crate::cases::{self, Negative};

mod chain;
mod envelope;
mod kept;
mod payload;
mod policy;

const AT: i64 = NOW as i64;

/// A synthetic cloud: keys, roots and a right chain.
struct Cloud {
    keys: Keys,
    roots: TrustAnchors,
    bundle: Vec<Vec<u8>>,
    certificate: Vec<u8>,
    /// Lists of root and region, as endorsements.
    lists: Endorsements,
}

impl Cloud {
    fn new() -> Self {
        let keys = Keys::new();
        let chain = Chain::new(&keys);
        let bundle = chain.cabundle(&keys);
        let roots = TrustAnchors::for_development(&TestRoots {
            aws_nitro: Some(bundle[0].clone()),
            ..TestRoots::default()
        });
        let mut lists = Endorsements::default();
        for (issuer, key) in [(names::ROOT, &keys.root), (names::REGION, &keys.region)] {
            lists.add(&CrlTemplate::new(issuer).sign(key)).unwrap();
        }
        Self {
            roots: roots.unwrap(),
            certificate: chain.certificate(&keys),
            bundle,
            lists,
            keys,
        }
    }

    fn document(&self) -> Document {
        Document::new(&self.bundle, &self.certificate)
    }

    /// A right document under another chain. The root stays: signed again it would have other bytes.
    fn under(&self, change: impl FnOnce(&mut Chain)) -> Document {
        let mut chain = Chain::new(&self.keys);
        change(&mut chain);
        let mut bundle = chain.cabundle(&self.keys);
        bundle[0] = self.bundle[0].clone();
        Document::new(&bundle, &chain.certificate(&self.keys))
    }

    /// The right document, changed and signed, under the right policy.
    fn with(&self, change: &dyn Fn(&mut Document)) -> Option<&'static str> {
        let mut document = self.document();
        change(&mut document);
        self.strict(&self.sign(&document))
    }

    /// The same, with its CA bundle changed.
    fn with_bundle(&self, change: &dyn Fn(&mut Vec<Value>)) -> Option<&'static str> {
        self.with(&|document| change(document.field("cabundle").as_array_mut().unwrap()))
    }

    /// The right document under a changed chain and the right policy.
    fn strict_under(&self, change: &dyn Fn(&mut Chain)) -> Option<&'static str> {
        self.strict(&self.sign(&self.under(change)))
    }

    /// Code of the reason why the right policy refuses.
    fn strict(&self, evidence: &[u8]) -> Option<&'static str> {
        code(self.verdict(evidence, &self.lists, &policy(), AT))
    }

    fn payload(&self) -> Value {
        Value::Bytes(self.document().payload())
    }

    fn signature(&self) -> Value {
        Value::Bytes(self.document().signature(&self.keys.enclave))
    }

    fn sign(&self, document: &Document) -> Vec<u8> {
        document.sign(&self.keys.enclave)
    }

    fn claims(&self, evidence: &[u8], lists: &Endorsements, at: i64) -> Result<Claims, NitroError> {
        let signed = nitro::parse(evidence)?;
        Claims::of(&nitro::verify(&signed, lists, &self.roots, at)?)
    }

    fn verdict(
        &self,
        evidence: &[u8],
        lists: &Endorsements,
        rules: &Rules,
        at: i64,
    ) -> Result<Component, NitroError> {
        nitro::appraise(&self.claims(evidence, lists, at)?, rules, at)
    }
}

fn code<T>(result: Result<T, NitroError>) -> Option<&'static str> {
    result.err().map(|error| error.code())
}

/// What the right document must be.
fn policy() -> Rules {
    let pcr = |index: u8| {
        let value = jeju_attestation::hex_bytes::HexBytes([0xA0 + index; 48]);
        (nitro::PcrIndex::new(index).unwrap(), vec![value])
    };
    Rules {
        pcrs: (0..3).map(pcr).collect(),
        max_age_seconds: 60,
        max_future_seconds: 60,
        user_data: Some(vec![0xDA; 64]),
        ..Rules::default()
    }
}

#[test]
fn right_documents_are_accepted_in_each_form() {
    let cloud = Cloud::new();
    let mut tagged = cloud.document();
    tagged.tag = Some(18);
    let mut definite = cloud.document();
    definite.indefinite = false;
    let mut absent = cloud.document();
    absent.remove("nonce");
    absent.remove("public_key");
    let mut full = cloud.document();
    *full.field("nonce") = Value::Bytes(vec![7; 512]);
    *full.field("public_key") = Value::Bytes(vec![8; 1024]);
    for document in [cloud.document(), tagged, definite, absent, full] {
        let component = cloud
            .verdict(&cloud.sign(&document), &cloud.lists, &policy(), AT)
            .unwrap();
        assert_eq!(
            (component.kind, component.revocation),
            ("nitro", Revocation::Good)
        );
        let anchor = &component.checks[0].anchor;
        assert!(anchor.starts_with("development root for AWS"), "{anchor}");
    }
    // Without policy nothing is compared; without lists nothing is known of revocation, and shown so.
    let none = Endorsements::default();
    let component = cloud
        .verdict(&cloud.sign(&cloud.document()), &none, &Rules::strict(), AT)
        .unwrap();
    assert_eq!(component.revocation, Revocation::Unknown);
    // The region's list alone doesn't tell of the region itself.
    let mut half = Endorsements::default();
    half.add(&CrlTemplate::new(names::REGION).sign(&cloud.keys.region))
        .unwrap();
    let claims = cloud.claims(&cloud.sign(&cloud.document()), &half, AT).unwrap();
    assert_eq!(claims.revocation, Revocation::Unknown);
    // Lists of other chains are no business of this one.
    let mut foreign = cloud.lists.clone();
    foreign
        .add(&CrlTemplate::new("Intel SGX Root CA").sign(&Key::p256()))
        .unwrap();
    let claims = cloud
        .claims(&cloud.sign(&cloud.document()), &foreign, AT)
        .unwrap();
    assert_eq!(claims.revocation, Revocation::Good);
    assert_eq!(claims.module_id.instance(), "i-0123456789abcdef0");
    assert_eq!(claims.module_id.enclave(), "enc0fedcba987654321");
    assert_eq!(claims.platform(), b"i-0123456789abcdef0");
}

#[test]
fn pcr16_binds_the_launch_document() {
    let cloud = Cloud::new();
    let digest = [0x5C; 32];
    let launch = |pcr: Option<[u8; 48]>| {
        let mut document = cloud.document();
        if let Some(pcr) = pcr {
            document.set_pcr(16, &pcr);
        }
        cloud
            .claims(&cloud.sign(&document), &cloud.lists, AT)
            .unwrap()
            .launch(&digest)
    };
    let once = nitro::launch_pcr(&digest);
    assert_eq!(launch(Some(once)), Launch::Bound);
    assert_eq!(launch(None), Launch::NotSettable);
    assert_eq!(launch(Some([0; 48])), Launch::NotSettable);
    // Extended a second time, or with another digest: something else runs, or ran before.
    let twice = nitro::extend(&once, &digest);
    assert_eq!(launch(Some(twice)), Launch::Other(twice));
    let other = nitro::launch_pcr(&[0x5D; 32]);
    assert_eq!(launch(Some(other)), Launch::Other(other));
}

#[test]
fn a_verified_chain_is_kept() {
    let cloud = Cloud::new();
    let first = nitro::parse(&cloud.sign(&cloud.document())).unwrap();
    let leaf = VerifiedLeaf::verify(first.document(), &cloud.lists, &cloud.roots, AT).unwrap();
    assert_eq!(
        leaf.verify_document(&first, AT).unwrap().revocation,
        Revocation::Good
    );
    // Another enclave of the same instance: only its certificate is new.
    let key = Key::p384();
    let mut chain = Chain::new(&cloud.keys);
    chain.enclave.spki = key.spki();
    let second = Document::new(&cloud.bundle, &chain.certificate(&cloud.keys));
    let second = nitro::parse(&second.sign(&key)).unwrap();
    assert_eq!(
        code(leaf.verify_document(&second, AT)),
        Some("nitro_other_certificate")
    );
    let warm = VerifiedLeaf::verify_below(second.document(), leaf.bundle(), AT).unwrap();
    let cold = nitro::verify(&second, &cloud.lists, &cloud.roots, AT).unwrap();
    assert_eq!(warm.verify_document(&second, AT).unwrap(), cold);
}

/// Cases of all kinds.
#[derive(Default)]
struct Table(Vec<Negative>);

impl Table {
    fn add(&mut self, name: &'static str, expected: &'static str, found: Option<&'static str>) {
        self.0.push(Negative {
            name,
            expected,
            found,
        });
    }
}

/// Reasons of certificates and lists that a Nitro chain can be refused for. The others have a reason of their own here
/// (length, count, algorithm, root), or are of PEM.
const OF_CHAIN: [&str; 17] = [
    "x509_not_der",
    "x509_not_yet_valid",
    "x509_expired",
    "x509_issuer",
    "x509_signature",
    "x509_not_ca",
    "x509_leaf_is_ca",
    "x509_path_length",
    "x509_key_usage",
    "x509_critical_extension",
    "x509_duplicate_extension",
    "x509_revoked",
    "crl_not_der",
    "crl_signature",
    "crl_not_yet_valid",
    "crl_expired",
    "crl_form",
];

#[test]
fn everything_else_is_refused() {
    let cloud = Cloud::new();
    let mut table = Table::default();
    envelope::add(&cloud, &mut table);
    payload::add(&cloud, &mut table);
    chain::add(&cloud, &mut table);
    kept::add(&cloud, &mut table);
    policy::add(&cloud, &mut table);
    // What they all start from is right.
    assert_eq!(cloud.with(&|_| {}), None);
    cases::check(&table.0, &[NitroError::CODES, &OF_CHAIN].concat(), 181);
}
