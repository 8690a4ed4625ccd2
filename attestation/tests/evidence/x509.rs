//! Certificate paths and revocation lists: what is right passes, and every refusal.
//!
//! Chains are also shown to `rustls-webpki`: it must accept what we accept, and refuse what we refuse.

use jeju_attestation::roots::{TestRoots, TrustAnchors};
use jeju_attestation::x509::{
    Certificate, PathRules, RevocationList, X509Error, pem_certificates, verify_path,
};
use jeju_synthetic::certificate::{Extension, Template, name, pem, usage};
use jeju_synthetic::crl::CrlTemplate;
use jeju_synthetic::der;
use jeju_synthetic::key::Key;
use jeju_synthetic::{DAY, NOW};

use crate::cases::{Negative, check};

const RULES: PathRules = PathRules {
    longest: 4,
    judged: &[],
    end_entity: true,
};
const NOW_SIGNED: i64 = NOW as i64;

/// Root → authority → end entity, with a change made to the templates before they are signed.
struct Chain {
    root_key: Key,
    authority_key: Key,
    leaf_key: Key,
    root: Template,
    authority: Template,
    leaf: Template,
    /// Another key than the one that should sign.
    wrong_signer: bool,
    extra: Vec<Vec<u8>>,
}

impl Chain {
    fn new() -> Self {
        let (root_key, authority_key, leaf_key) = (Key::p256(), Key::p256(), Key::p256());
        Self {
            root: Template::authority("Root", "Root", &root_key),
            authority: Template::authority("Authority", "Root", &authority_key),
            leaf: Template::end_entity("Leaf", "Authority", &leaf_key),
            root_key,
            authority_key,
            leaf_key,
            wrong_signer: false,
            extra: Vec::new(),
        }
    }

    fn anchors(&self) -> TrustAnchors {
        TrustAnchors::for_development(&TestRoots {
            intel: Some(self.root.sign(&self.root_key)),
            ..TestRoots::default()
        })
        .unwrap()
    }

    /// Leaf first, without the root.
    fn certificates(&self) -> Vec<Vec<u8>> {
        let signer = if self.wrong_signer {
            &self.leaf_key
        } else {
            &self.authority_key
        };
        let mut chain = vec![self.leaf.sign(signer), self.authority.sign(&self.root_key)];
        chain.extend(self.extra.iter().cloned());
        chain
    }

    fn verify(&self) -> Result<(), X509Error> {
        let (anchors, ders) = (self.anchors(), self.certificates());
        let ours = verify(&ders, &anchors, NOW_SIGNED);
        // webpki finds a path by itself, so superfluous certificates and their order mean nothing to it; and it has no
        // notion of an end entity that must be able to sign.
        let theirs = webpki_accepts(&ders, anchors.intel()[0].der());
        if ours.is_ok() {
            assert!(theirs, "webpki refuses a chain that we accept");
        }
        ours
    }
}

fn verify(ders: &[Vec<u8>], anchors: &TrustAnchors, now: i64) -> Result<(), X509Error> {
    let chain: Vec<Certificate<'_>> = ders
        .iter()
        .map(|der| Certificate::parse(der))
        .collect::<Result<_, _>>()?;
    verify_path(&chain, anchors.intel(), RULES, now).map(|_| ())
}

fn webpki_accepts(ders: &[Vec<u8>], root: &[u8]) -> bool {
    use rustls_pki_types::{CertificateDer, UnixTime};
    let (leaf, root) = (
        CertificateDer::from(ders[0].as_slice()),
        CertificateDer::from(root),
    );
    let intermediates: Vec<_> = ders[1..]
        .iter()
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect();
    let Ok(leaf) = webpki::EndEntityCert::try_from(&leaf) else {
        return false;
    };
    let anchor = webpki::anchor_from_trusted_cert(&root).unwrap();
    leaf.verify_for_usage(
        &[webpki::aws_lc_rs::ECDSA_P256_SHA256],
        &[anchor],
        &intermediates,
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(NOW)),
        webpki::KeyUsage::client_auth(),
        None,
        None,
    )
    .is_ok()
}

#[test]
fn a_right_chain_passes_with_and_without_its_root() {
    let mut chain = Chain::new();
    assert_eq!(chain.verify(), Ok(()));
    chain.extra = vec![chain.root.sign(&chain.root_key)];
    // A signature made anew gives another certificate of the same root: not the pinned one.
    assert_eq!(chain.verify().unwrap_err().code(), "x509_untrusted_root");

    let (anchors, mut ders) = (chain.anchors(), chain.certificates());
    ders[2] = anchors.intel()[0].der().to_vec();
    assert_eq!(verify(&ders, &anchors, NOW_SIGNED), Ok(()));

    let parsed: Vec<Certificate<'_>> = ders.iter().map(|der| Certificate::parse(der).unwrap()).collect();
    let path = verify_path(&parsed, anchors.intel(), RULES, NOW_SIGNED).unwrap();
    assert_eq!(path.validity.not_before, chain.leaf.not_before);
    assert_eq!(path.validity.not_after, chain.leaf.not_after);
    assert_eq!(path.root_fingerprint, anchors.intel()[0].fingerprint());
    let text = pem(&ders.iter().map(Vec::as_slice).collect::<Vec<_>>());
    assert_eq!(pem_certificates(text.as_bytes()).unwrap(), ders);
}

#[test]
fn each_wrong_chain_is_refused_for_its_reason() {
    let mut cases = Vec::new();
    let mut wrong = |name, expected, change: &dyn Fn(&mut Chain)| {
        let mut chain = Chain::new();
        change(&mut chain);
        let found = chain.verify().err().map(|error| error.code());
        cases.push(Negative {
            name,
            expected,
            found,
        });
    };
    wrong("leaf expired", "x509_expired", &|chain| {
        chain.leaf.not_after = NOW_SIGNED - 1
    });
    wrong("leaf not yet valid", "x509_not_yet_valid", &|chain| {
        chain.leaf.not_before = NOW_SIGNED + 1;
    });
    wrong("authority expired", "x509_expired", &|chain| {
        chain.authority.not_after = NOW_SIGNED - DAY;
    });
    wrong("root expired", "x509_expired", &|chain| {
        chain.root.not_after = NOW_SIGNED - DAY
    });
    wrong("leaf names another issuer", "x509_issuer", &|chain| {
        chain.leaf.issuer = name("Other")
    });
    wrong("authority names another root", "x509_untrusted_root", &|chain| {
        chain.authority.issuer = name("Other");
    });
    wrong("leaf signed by a stranger", "x509_signature", &|chain| {
        chain.wrong_signer = true
    });
    wrong("root of the same name", "x509_untrusted_root", &|chain| {
        let stranger = Key::p256();
        chain.extra = vec![Template::authority("Root", "Root", &stranger).sign(&stranger)];
    });
    wrong(
        "authority signed by a root of the same name",
        "x509_signature",
        &|chain| {
            let stranger = Key::p256();
            let anchors_root = std::mem::replace(&mut chain.root_key, stranger);
            // The pinned root keeps the first key: only the authority's signature is the stranger's.
            chain.authority_key = Key::p256();
            chain.authority = Template::authority("Authority", "Root", &chain.authority_key);
            chain.extra.clear();
            let pinned = chain.root.clone();
            chain.root = Template {
                spki: anchors_root.spki(),
                ..pinned
            };
        },
    );
    wrong("issuer is no authority", "x509_not_ca", &|chain| {
        chain.authority.authority = None
    });
    wrong("leaf is an authority", "x509_leaf_is_ca", &|chain| {
        chain.leaf.authority = Some(None)
    });
    wrong(
        "authority may not sign certificates",
        "x509_key_usage",
        &|chain| {
            chain.authority.usage = usage::REVOCATION_LISTS;
        },
    );
    wrong("leaf may not sign", "x509_key_usage", &|chain| {
        chain.leaf.usage = usage::CERTIFICATES
    });
    wrong("root allows no authority below", "x509_path_length", &|chain| {
        chain.root.authority = Some(Some(0));
    });
    wrong(
        "unknown critical extension",
        "x509_critical_extension",
        &|chain| {
            chain.leaf.extensions.push(Extension {
                critical: true,
                ..Extension::new("1.2.3.4", vec![5, 0])
            });
        },
    );
    wrong("extension twice", "x509_duplicate_extension", &|chain| {
        chain.leaf.extensions = vec![Extension::new("1.2.3.4", vec![5, 0]); 2];
    });
    wrong("signed by another algorithm", "x509_algorithm", &|chain| {
        chain.authority_key = Key::p384();
        let spki = chain.authority_key.spki();
        // A key of a curve that nobody here uses: secp521r1.
        let p521 = der::oid("1.3.132.0.35");
        let p384 = der::oid("1.3.132.0.34");
        let at = spki
            .windows(p384.len())
            .position(|window| window == p384)
            .unwrap();
        let mut other = spki.clone();
        other[at..at + p384.len()].copy_from_slice(&p521);
        chain.authority.spki = other;
    });
    wrong("more certificates than a chain has", "x509_too_many", &|chain| {
        chain.extra = vec![chain.authority.sign(&chain.root_key); 3];
    });

    let direct = |name, expected, found: Result<(), X509Error>| Negative {
        name,
        expected,
        found: found.err().map(|error| error.code()),
    };
    let chain = Chain::new();
    let anchors = chain.anchors();
    let leaf = &chain.certificates()[0];
    cases.push(direct(
        "no certificate at all",
        "x509_empty",
        verify(&[], &anchors, NOW_SIGNED),
    ));
    let one = |der: &[u8]| Certificate::parse(der).map(|_| ());
    cases.push(direct("not DER", "x509_not_der", one(&leaf[..leaf.len() - 1])));
    cases.push(direct(
        "bytes behind it",
        "x509_not_der",
        one(&[leaf.as_slice(), &[0]].concat()),
    ));
    let mut long = Chain::new();
    long.leaf.extensions = vec![Extension::new("1.2.3.4", vec![0; 17 * 1024])];
    cases.push(direct(
        "longer than any certificate",
        "x509_too_long",
        long.verify(),
    ));
    let no_pem = |text: &str| pem_certificates(text.as_bytes()).map(|_| ());
    cases.push(direct("no PEM block", "x509_not_pem", no_pem("nothing")));
    cases.push(direct(
        "PEM block without an end",
        "x509_not_pem",
        no_pem("-----BEGIN CERTIFICATE-----\nAAAA"),
    ));
    let bomb = pem(&[leaf.as_slice(); 17]);
    cases.push(direct(
        "more PEM blocks than a chain has",
        "x509_too_many",
        no_pem(&bomb),
    ));

    let mut wrong_list = |name, expected, change: &dyn Fn(&mut CrlTemplate, &mut Chain, &mut bool)| {
        let (mut chain, mut stranger) = (Chain::new(), false);
        let mut list = CrlTemplate::new("Authority");
        change(&mut list, &mut chain, &mut stranger);
        let found = revocation(&list, &chain, stranger)
            .err()
            .map(|error| error.code());
        cases.push(Negative {
            name,
            expected,
            found,
        });
    };
    wrong_list("revoked", "x509_revoked", &|list, _, _| {
        list.revoked = vec![vec![0x11, 0x22], vec![1]]
    });
    wrong_list("list of another issuer", "crl_issuer", &|list, _, _| {
        list.issuer = name("Root")
    });
    wrong_list("list signed by a stranger", "crl_signature", &|_, _, stranger| {
        *stranger = true
    });
    wrong_list("list of the future", "crl_not_yet_valid", &|list, _, _| {
        list.this_update = NOW_SIGNED + 1;
    });
    wrong_list("list expired", "crl_expired", &|list, _, _| {
        list.next_update = Some(NOW_SIGNED - 1)
    });
    wrong_list("list without an end", "crl_form", &|list, _, _| {
        list.next_update = None
    });
    wrong_list("delta list", "crl_form", &|list, _, _| {
        list.extensions.push(Extension {
            critical: true,
            ..Extension::new("2.5.29.27", der::number(1))
        });
    });
    wrong_list("issuer may not sign lists", "x509_key_usage", &|_, chain, _| {
        chain.authority.usage = usage::CERTIFICATES;
    });
    let authority = chain.authority.sign(&chain.root_key);
    let authority = Certificate::parse(&authority).unwrap();
    let no_list = |der: &[u8]| RevocationList::verify(der, &authority).map(|_| ());
    cases.push(direct("no list", "crl_not_der", no_list(&[0x30, 0])));
    let mut trailing = CrlTemplate::new("Authority").sign(&chain.authority_key);
    assert_eq!(no_list(&trailing), Ok(()));
    trailing.push(0);
    cases.push(direct("bytes behind the list", "crl_not_der", no_list(&trailing)));

    check(&cases, X509Error::CODES, 30);
}

fn revocation(list: &CrlTemplate, chain: &Chain, stranger: bool) -> Result<(), X509Error> {
    let authority = chain.authority.sign(&chain.root_key);
    let leaf = chain.certificates().remove(0);
    let signer = if stranger {
        &chain.root_key
    } else {
        &chain.authority_key
    };
    let list = RevocationList::verify(&list.sign(signer), &Certificate::parse(&authority)?)?;
    list.check(&Certificate::parse(&leaf)?, NOW_SIGNED)
}
