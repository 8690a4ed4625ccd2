//! Genuine reports under certificates that aren't, and revocation lists.

use jeju_attestation::endorsements::Endorsements;
use jeju_synthetic::amd::{Chip, Made, Product, Vek, oid};
use jeju_synthetic::certificate::{Extension, name, usage};
use jeju_synthetic::key::Key;
use jeju_synthetic::{DAY, NOW, der};

use super::synthetic::{Case, negative, negative_of};
use crate::cases::Negative;

/// Changes the endorsements.
fn endorsements(change: impl Fn(&mut Made, &mut Endorsements) + 'static) -> impl FnOnce(&mut Case) {
    move |case| case.after = Box::new(change)
}

/// Right reports, wrong certificates.
pub fn certificates() -> Vec<Negative> {
    let turin = |name, expected, change: fn(&mut Case)| {
        negative_of(Product::Turin, Vek::Vcek, 5, name, expected, change)
    };
    let vlek = |name, expected, change: fn(&mut Case)| {
        negative_of(Product::Milan, Vek::Vlek, 3, name, expected, |case| {
            case.rules.vlek = true;
            case.rules.masked_chip_id = true;
            change(case);
        })
    };
    let mut cases = vec![
        negative(
            "no certificates",
            "snp_vek_missing",
            endorsements(|_, all| all.certificates.clear()),
        ),
        negative("VEK of another name", "snp_vek_missing", |case| {
            case.chip.rename_vek("SEV-VCEK2")
        }),
        negative("only a VLEK at hand", "snp_vek_kind", |case| {
            case.chip.rename_vek("SEV-VLEK")
        }),
        vlek("only a VCEK at hand", "snp_vek_kind", |case| {
            case.chip.rename_vek("SEV-VCEK")
        }),
        negative(
            "no authority",
            "snp_authority_missing",
            endorsements(|_, all| drop(all.certificates.remove(1))),
        ),
        negative("VCEK of the VLEKs' authority", "snp_authority_kind", |case| {
            case.chip.rename_ask("SEV-VLEK-Milan")
        }),
        vlek("VLEK of the VCEKs' authority", "snp_authority_kind", |case| {
            case.chip.rename_ask("SEV-Milan")
        }),
        negative(
            "authority named as another product's",
            "snp_authority_kind",
            |case| case.chip.rename_ask("SEV-Genoa"),
        ),
        negative("foreign root of the ARK's name", "snp_ark_not_pinned", |case| {
            let foreign = case.chip.ark.sign(&Key::amd_ask());
            case.after = Box::new(move |_, all| all.certificates[2] = foreign.clone());
        }),
        negative(
            "chain under a foreign root of the ARK's name",
            "snp_ark_not_pinned",
            |case| {
                let mut evil = Chip::new(Product::Milan, Vek::Vcek, 3);
                evil.ark_key = Key::amd_ask();
                evil.ark.spki = evil.ark_key.spki();
                case.after = Box::new(move |made, all| {
                    let forged = evil.make();
                    made.report = forged.report;
                    all.certificates = vec![forged.vek, forged.ask, forged.ark];
                });
            },
        ),
        negative(
            "chain under a foreign root that is left out",
            "x509_signature",
            |case| {
                let mut evil = Chip::new(Product::Milan, Vek::Vcek, 3);
                evil.ark_key = Key::amd_ask();
                case.after = Box::new(move |made, all| {
                    let forged = evil.make();
                    made.report = forged.report;
                    all.certificates = vec![forged.vek, forged.ask];
                });
            },
        ),
        negative("authority of an unknown root", "snp_ark_unknown", |case| {
            case.chip.ask.issuer = name("ARK-Venice")
        }),
        negative("VEK that is an authority", "x509_leaf_is_ca", |case| {
            case.chip.vek.authority = Some(None)
        }),
        negative(
            "VEK signed by the root instead of the authority",
            "x509_signature",
            |case| {
                case.chip.ask_key = Key::amd_ark();
            },
        ),
        negative("VEK that signed itself", "snp_authority_missing", |case| {
            case.chip.vek.issuer = name("SEV-Elsewhere");
        }),
        negative("VEK expired", "x509_expired", |case| {
            case.chip.vek.not_after = NOW as i64 - 1
        }),
        negative("VEK not valid yet", "x509_not_yet_valid", |case| {
            case.chip.vek.not_before = NOW as i64 + 1
        }),
        negative("authority expired", "x509_expired", |case| {
            case.chip.ask.not_after = NOW as i64 - 1
        }),
        negative("authority not valid yet", "x509_not_yet_valid", |case| {
            case.chip.ask.not_before = NOW as i64 + 1
        }),
        negative("root expired", "x509_expired", |case| {
            case.chip.ark.not_after = NOW as i64 - 1
        }),
        negative("verdict of another century", "x509_not_yet_valid", |case| {
            case.now = 0
        }),
        negative("authority without basic constraints", "x509_not_ca", |case| {
            case.chip.ask.authority = None
        }),
        negative(
            "authority that may not sign certificates",
            "x509_key_usage",
            |case| {
                case.chip.ask.usage = usage::SIGNATURES;
            },
        ),
        negative(
            "VEK with an unknown critical extension",
            "x509_critical_extension",
            |case| {
                case.chip.vek.extensions.push(Extension {
                    critical: true,
                    ..Extension::new("1.3.6.1.4.1.3704.1.99", der::null())
                });
            },
        ),
        negative(
            "VEK with an extension twice",
            "x509_duplicate_extension",
            |case| {
                case.chip
                    .vek
                    .extensions
                    .push(Extension::new(oid::SNP, der::number(23)));
            },
        ),
        negative(
            "broken certificate",
            "x509_not_der",
            endorsements(|_, all| all.certificates[0].truncate(100)),
        ),
        negative(
            "certificate and a byte",
            "x509_not_der",
            endorsements(|_, all| all.certificates[0].push(0)),
        ),
        negative("VEK of P-256", "snp_vek_key", |case| {
            case.chip.vek_key = Key::p256();
            case.chip.vek.spki = case.chip.vek_key.spki();
        }),
        negative("VEK of RSA", "snp_vek_key", |case| {
            case.chip.vek.spki = Key::amd_ark().spki()
        }),
        // Extensions.
        negative("structVersion 2", "snp_vek_struct_version", |case| {
            case.chip.set_extension(oid::STRUCT_VERSION, der::number(2));
        }),
        negative("product that isn't known", "snp_vek_product_unknown", |case| {
            case.chip.set_extension(oid::PRODUCT_NAME, der::ia5("Venice-A0"));
        }),
        negative("product of another case", "snp_vek_product_unknown", |case| {
            case.chip.set_extension(oid::PRODUCT_NAME, der::ia5("milan"));
        }),
        negative(
            "Genoa's name under Milan's root",
            "snp_chain_product_mismatch",
            |case| {
                case.chip.set_extension(oid::PRODUCT_NAME, der::ia5("Genoa-B1"));
            },
        ),
        turin(
            "Milan's VEK under Turin's root",
            "snp_chain_product_mismatch",
            |case| {
                let milan = Chip::new(Product::Milan, Vek::Vcek, 5);
                case.chip.vek.extensions = milan.vek.extensions;
            },
        ),
    ];
    for (name, oid) in [
        ("no structVersion", oid::STRUCT_VERSION),
        ("no productName", oid::PRODUCT_NAME),
        ("no blSPL", oid::BOOTLOADER),
        ("no teeSPL", oid::TEE),
        ("no snpSPL", oid::SNP),
        ("no spl4", oid::SPL4),
        ("no spl5", oid::SPL5),
        ("no spl6", oid::SPL6),
        ("no spl7", oid::SPL7),
        ("no ucodeSPL", oid::MICROCODE),
        ("no hwID", oid::HWID),
    ] {
        cases.push(negative(name, "snp_vek_extension_missing", |case| {
            case.chip.remove_extension(oid)
        }));
    }
    cases.extend([
        turin("no fmcSPL", "snp_vek_extension_missing", |case| {
            case.chip.remove_extension(oid::FMC)
        }),
        vlek("no cspID", "snp_vek_extension_missing", |case| {
            case.chip.remove_extension(oid::CSP_ID)
        }),
        turin(
            "hwID of 64 bytes on Turin",
            "snp_vek_extension_malformed",
            |case| {
                case.chip.set_extension(oid::HWID, vec![1; 64]);
            },
        ),
        vlek("cspID that isn't text", "snp_vek_extension_malformed", |case| {
            case.chip.set_extension(oid::CSP_ID, vec![0x16, 3, b'a', 0, b'b']);
        }),
    ]);
    for (name, oid, value) in [
        ("blSPL above 255", oid::BOOTLOADER, vec![0x02, 2, 1, 4]),
        ("teeSPL of another type", oid::TEE, der::octets(&[1])),
        ("negative ucodeSPL", oid::MICROCODE, vec![0x02, 1, 0xD5]),
        ("snpSPL with a leading zero", oid::SNP, vec![0x02, 2, 0, 23]),
        ("snpSPL and a byte", oid::SNP, vec![0x02, 1, 23, 0]),
        ("empty spl5", oid::SPL5, Vec::new()),
        (
            "structVersion without a value",
            oid::STRUCT_VERSION,
            vec![0x02, 0],
        ),
        (
            "productName as UTF8String",
            oid::PRODUCT_NAME,
            der::utf8("Milan-B0"),
        ),
        ("productName cut", oid::PRODUCT_NAME, vec![0x16, 8, b'M']),
        ("hwID of 63 bytes", oid::HWID, vec![0xC1; 63]),
        ("hwID of 8 bytes on Milan", oid::HWID, vec![0xC1; 8]),
        ("wrapped hwID of 65 bytes", oid::HWID, der::octets(&[0xC1; 65])),
    ] {
        cases.push(negative(name, "snp_vek_extension_malformed", move |case| {
            case.chip.set_extension(oid, value)
        }));
    }
    cases
}

/// Revocation lists that refuse, or are refused.
pub fn revocation() -> Vec<Negative> {
    vec![
        negative("authority revoked", "x509_revoked", |case| {
            case.chip.crl.revoked = vec![vec![0x01, 0x00, 0x01]]
        }),
        negative("authority revoked among others", "x509_revoked", |case| {
            case.chip.crl.revoked = vec![vec![9], vec![0x01, 0x00, 0x01], vec![0xFF; 20]];
        }),
        negative("VEK's serial number revoked", "x509_revoked", |case| {
            case.chip.vek.serial = vec![0x77];
            case.chip.crl.revoked = vec![vec![0x77]];
        }),
        negative("revoked on the second of two lists", "x509_revoked", |case| {
            let mut second = case.chip.crl.clone();
            second.revoked = vec![vec![0x01, 0x00, 0x01]];
            let second = second.sign(&case.chip.ark_key);
            case.after = Box::new(move |_, all| all.revocation_lists.push(second.clone()));
        }),
        negative("list out of date", "crl_expired", |case| {
            case.chip.crl.next_update = Some(NOW as i64 - 1)
        }),
        negative("list of the future", "crl_not_yet_valid", |case| {
            case.chip.crl.this_update = NOW as i64 + DAY
        }),
        negative("list without an end", "crl_form", |case| {
            case.chip.crl.next_update = None
        }),
        negative("partial list", "crl_form", |case| {
            case.chip.crl.extensions.push(Extension {
                critical: true,
                ..Extension::new("2.5.29.27", der::number(1))
            });
        }),
        negative("list that another key signed", "crl_signature", |case| {
            let forged = case.chip.crl.sign(&Key::amd_ask());
            case.after = Box::new(move |_, all| all.revocation_lists = vec![forged.clone()]);
        }),
        negative(
            "changed list",
            "crl_signature",
            endorsements(|_, all| {
                let last = all.revocation_lists[0].len() - 1;
                all.revocation_lists[0][last] ^= 1;
            }),
        ),
        negative(
            "broken list",
            "crl_not_der",
            endorsements(|_, all| all.revocation_lists[0].truncate(50)),
        ),
        negative(
            "list and a byte",
            "crl_not_der",
            endorsements(|_, all| all.revocation_lists[0].push(0)),
        ),
    ]
}
