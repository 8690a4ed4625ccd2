//! PCK chains and their SGX extensions.

use std::sync::Arc;

use jeju_synthetic::certificate::{Extension, Template, name, usage};
use jeju_synthetic::intel::{Evidence, ROOT};
use jeju_synthetic::{NOW, der};

use super::{Attempt, wrong};
use crate::cases::Negative;
use crate::intel::Bench;

pub fn pck_chain(bench: &Bench) -> Vec<Negative> {
    let v4 = |name, code, change: fn(&mut Attempt<'_>)| wrong(bench, Evidence::tdx_10, name, code, change);
    let now = NOW as i64;
    assert!(now > 0);
    vec![
        v4("another root of the same name", "x509_untrusted_root", |a| {
            a.keys = a.bench.other.clone();
            a.signing = a.bench.other.clone();
            a.evidence = Evidence::tdx_10(&a.keys);
        }),
        v4("another root of the same name, left out", "x509_signature", |a| {
            a.keys = a.bench.other.clone();
            a.signing = a.bench.other.clone();
            a.evidence = Evidence::tdx_10(&a.keys);
            a.evidence.chain_has_root = false;
        }),
        v4("a root of another name, left out", "x509_untrusted_root", |a| {
            a.evidence.ca.issuer = name("Somebody's Root");
            a.evidence.chain_has_root = false;
        }),
        v4("authority not signed by the root", "x509_signature", |a| {
            a.evidence.chain_has_root = false;
            a.signing.root = Arc::clone(&a.bench.other.root);
        }),
        v4(
            "PCK certificate not signed by its authority",
            "x509_signature",
            |a| {
                a.signing.ca = Arc::clone(&a.bench.other.ca);
            },
        ),
        v4("PCK certificate of another issuer", "x509_issuer", |a| {
            a.evidence.pck.issuer = name("Intel SGX PCK Processor CA");
        }),
        v4("PCK certificate expired", "x509_expired", |a| {
            a.evidence.pck.not_after = NOW as i64 - 1
        }),
        v4("PCK certificate not yet valid", "x509_not_yet_valid", |a| {
            a.evidence.pck.not_before = NOW as i64 + 1;
        }),
        v4("authority expired", "x509_expired", |a| {
            a.evidence.ca.not_after = NOW as i64 - 1
        }),
        v4("authority that is none", "x509_not_ca", |a| {
            a.evidence.ca.authority = None
        }),
        v4(
            "authority that may not sign certificates",
            "x509_key_usage",
            |a| {
                a.evidence.ca.usage = usage::REVOCATION_LISTS;
            },
        ),
        v4("PCK certificate of an authority", "x509_leaf_is_ca", |a| {
            a.evidence.pck.authority = Some(None);
        }),
        v4(
            "PCK certificate with an unknown critical extension",
            "x509_critical_extension",
            |a| {
                let mut extension = Extension::new("1.2.3.4", vec![5, 0]);
                extension.critical = true;
                a.evidence.pck.extensions.push(extension);
            },
        ),
        v4("PCK certificate of another name", "dcap_pck_name", |a| {
            a.evidence.pck.subject = name("Intel SGX TCB Signing");
        }),
        v4("authority of another name", "dcap_pck_ca", |a| {
            a.evidence.pck.issuer = name("Intel SGX Other CA");
            a.evidence.ca.subject = name("Intel SGX Other CA");
        }),
        v4(
            "platform authority, no instance id",
            "dcap_pck_of_other_ca",
            |a| {
                a.evidence.extension.platform_instance_id = None;
            },
        ),
        v4(
            "platform authority, no configuration",
            "dcap_pck_of_other_ca",
            |a| {
                a.evidence.extension.configuration = None;
            },
        ),
        v4("processor authority, instance id", "dcap_pck_of_other_ca", |a| {
            a.evidence.below_processor_ca();
            a.evidence.extension.platform_instance_id = Some([1; 16]);
        }),
        v4(
            "processor authority, configuration",
            "dcap_pck_of_other_ca",
            |a| {
                a.evidence.below_processor_ca();
                a.evidence.extension.configuration = Some([false; 3]);
            },
        ),
        v4("PCK certificate issued by the root itself", "dcap_pck_ca", |a| {
            a.evidence.pck.issuer = name(ROOT);
            a.evidence.chain_has_ca = false;
        }),
        v4("the same, with the root left out", "dcap_pck_chain_length", |a| {
            a.evidence.pck.issuer = name(ROOT);
            a.evidence.chain_has_ca = false;
            a.evidence.chain_has_root = false;
        }),
        v4(
            "an authority between root and PCK authority",
            "dcap_pck_chain_length",
            |a| {
                a.evidence.ca.issuer = name("Intel SGX Other CA");
                a.evidence.between = Some(Template::authority("Intel SGX Other CA", ROOT, &a.keys.signer));
            },
        ),
        v4("no PEM in the chain", "x509_not_pem", |a| {
            a.quote = |quote| {
                let at = quote.windows(5).position(|window| window == b"-----").unwrap();
                quote[at..]
                    .iter_mut()
                    .filter(|byte| **byte == b'-')
                    .for_each(|byte| *byte = b'+');
            };
        }),
    ]
}

pub fn sgx_extension(bench: &Bench) -> Vec<Negative> {
    let v4 = |name, code, change: fn(&mut Attempt<'_>)| wrong(bench, Evidence::tdx_10, name, code, change);
    /// Takes the items apart, and puts them together again.
    fn items(attempt: &mut Attempt<'_>, change: fn(&mut Vec<Vec<u8>>)) {
        let mut items = attempt.evidence.extension.items();
        change(&mut items);
        attempt.evidence.extension_der = Some(der::tlv(0x30, &items.concat()));
    }
    /// The whole encoding.
    fn encoding(attempt: &mut Attempt<'_>, change: fn(&mut Vec<u8>)) {
        let mut encoding = attempt.evidence.extension.to_der();
        change(&mut encoding);
        attempt.evidence.extension_der = Some(encoding);
    }
    vec![
        v4("no SGX extension", "dcap_sgx_extension_missing", |a| {
            a.evidence.extension_der = Some(Vec::new());
        }),
        v4("SGX extension twice", "x509_duplicate_extension", |a| {
            let value = a.evidence.extension.to_der();
            let twice = Extension::new("1.2.840.113741.1.13.1", value);
            a.evidence.pck.extensions.push(twice);
        }),
        v4("no PPID", "dcap_sgx_extension", |a| {
            items(a, |items| drop(items.remove(0)))
        }),
        v4("no TCB", "dcap_sgx_extension", |a| {
            items(a, |items| drop(items.remove(1)))
        }),
        v4("no PCEID", "dcap_sgx_extension", |a| {
            items(a, |items| drop(items.remove(2)))
        }),
        v4("no FMSPC", "dcap_sgx_extension", |a| {
            items(a, |items| drop(items.remove(3)))
        }),
        v4("no SGX type", "dcap_sgx_extension", |a| {
            items(a, |items| drop(items.remove(4)))
        }),
        v4("FMSPC twice", "dcap_sgx_extension", |a| {
            items(a, |items| items.push(items[3].clone()))
        }),
        v4("PPID of 15 bytes", "dcap_sgx_extension", |a| {
            items(a, |items| {
                let oid = der::oid("1.2.840.113741.1.13.1.1");
                items[0] = der::sequence(&[&oid, &der::octets(&[1; 15])]);
            });
        }),
        v4("TCB without components", "dcap_sgx_extension", |a| {
            items(a, |items| {
                let oid = der::oid("1.2.840.113741.1.13.1.2");
                items[1] = der::sequence(&[&oid, &der::sequence(&[])]);
            });
        }),
        v4("something that is no item", "dcap_sgx_extension", |a| {
            items(a, |items| items.push(der::null()));
        }),
        v4("SGX extension cut", "dcap_sgx_extension", |a| {
            encoding(a, |encoding| encoding.truncate(encoding.len() - 1));
        }),
        v4("something behind the SGX extension", "dcap_sgx_extension", |a| {
            encoding(a, |encoding| encoding.push(0));
        }),
        v4("SGX extension that is a SET", "dcap_sgx_extension", |a| {
            encoding(a, |encoding| encoding[0] = 0x31);
        }),
    ]
}
