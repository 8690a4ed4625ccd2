//! Synthetic chips and what is asked of them; each is accepted when everything is right.

use jeju_attestation::endorsements::Endorsements;
use jeju_attestation::evidence::LaunchBinding;
use jeju_attestation::measurement::MeasurementId;
use jeju_attestation::roots::{AmdProduct, TestRoots, TrustAnchors};
use jeju_attestation::sev_snp::{self, Claims, Rules, SnpError};
use jeju_attestation::verdict::{Component, Revocation};
use jeju_synthetic::NOW;
use jeju_synthetic::amd::{Chip, Made, Product, Vek, oid, table};
use jeju_synthetic::der;
use serde_json::json;

use crate::cases::Negative;

/// Changes to what a chip made, and to the endorsements.
pub type After = Box<dyn Fn(&mut Made, &mut Endorsements)>;

/// One verdict to be asked for.
pub struct Case {
    product: Product,
    pub chip: Chip,
    pub rules: Rules,
    pub now: i64,
    pub after: After,
}

impl Case {
    pub fn new(product: Product, vek: Vek, version: u32) -> Self {
        Self {
            product,
            chip: Chip::new(product, vek, version),
            rules: policy(),
            now: NOW as i64,
            after: Box::new(|_, _| {}),
        }
    }

    pub fn claims(&self) -> Result<Claims, SnpError> {
        let mut made = self.chip.make();
        let anchors = TrustAnchors::for_development(&TestRoots {
            amd: vec![(self.product(), made.ark.clone())],
            ..TestRoots::default()
        })
        .unwrap();
        let mut endorsements = Endorsements {
            certificates: vec![made.vek.clone(), made.ask.clone(), made.ark.clone()],
            revocation_lists: vec![made.crl.clone()],
            ..Endorsements::default()
        };
        (self.after)(&mut made, &mut endorsements);
        sev_snp::verify(&made.report, &endorsements, &anchors, self.now)
    }

    pub fn verdict(&self) -> Result<Component, SnpError> {
        sev_snp::appraise(&self.claims()?, &self.rules)
    }

    /// The product whose root the chip's ARK is pinned as.
    fn product(&self) -> AmdProduct {
        match self.product {
            Product::Milan => AmdProduct::Milan,
            Product::Genoa => AmdProduct::Genoa,
            Product::Turin => AmdProduct::Turin,
        }
    }
}

/// A Milan with a report of version 3, changed.
pub fn negative(name: &'static str, expected: &'static str, change: impl FnOnce(&mut Case)) -> Negative {
    negative_of(Product::Milan, Vek::Vcek, 3, name, expected, change)
}

pub fn negative_of(
    product: Product,
    vek: Vek,
    version: u32,
    name: &'static str,
    expected: &'static str,
    change: impl FnOnce(&mut Case),
) -> Negative {
    let mut case = Case::new(product, vek, version);
    change(&mut case);
    Negative {
        name,
        expected,
        found: case.verdict().err().map(|error| error.code()),
    }
}

/// Accepts what synthetic chips make, and nothing older.
pub fn policy() -> Rules {
    let hex = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    let floor = |fmc: Option<u8>| {
        let mut tcb = json!({"bootloader": 4, "tee": 1, "snp": 23, "microcode": 0xD5});
        if let Some(fmc) = fmc {
            tcb["fmc"] = fmc.into();
        }
        json!({
            "tcb": tcb,
            "firmware": {"major": 1, "minor": 55, "build": 29},
            "launch_mitigations": 0,
            "current_mitigations": 0,
        })
    };
    serde_json::from_value(json!({
        "products": {"milan": floor(None), "genoa": floor(None), "turin": floor(Some(1))},
        "required": ["ecc"],
        "abi": [0, 31],
        "measurements": [hex(&[0x3E; 48])],
        "guest_svn": 7,
        "no_id_block": true,
        "smt": true,
    }))
    .unwrap()
}

#[test]
fn right_evidence_is_accepted() {
    for product in [Product::Milan, Product::Genoa, Product::Turin] {
        for version in [2, 3, 5] {
            for vek in [Vek::Vcek, Vek::Vlek] {
                let mut case = Case::new(product, vek, version);
                case.rules.vlek = vek == Vek::Vlek;
                case.rules.masked_chip_id = vek == Vek::Vlek;
                let component = case.verdict();
                let name = format!("{product:?} {version} {vek:?}");
                let component = component.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(component.revocation, Revocation::Good);
                assert_eq!(component.tcb.unwrap().status, "reported = committed = current");
                let names: Vec<_> = component.checks.iter().map(|check| check.claim).collect();
                assert_eq!(names.contains(&"CPUID_FAM_ID"), version >= 3, "{name}");
                assert_eq!(names.contains(&"LAUNCH_MIT_VECTOR"), version >= 5, "{name}");
                assert_eq!(names.contains(&"cspID"), vek == Vek::Vlek, "{name}");
                case.rules = Rules::strict();
                assert!(case.verdict().is_ok(), "{name}");
            }
        }
    }
}

#[test]
fn claims_are_the_fields() {
    let mut case = Case::new(Product::Turin, Vek::Vcek, 5);
    case.chip.report.current_mit_vector = 0b111;
    case.chip.report.host_data = [0; 32];
    let claims = case.claims().unwrap();
    let report = &case.chip.report;
    assert_eq!(claims.product, AmdProduct::Turin);
    assert_eq!(claims.report_data, report.report_data);
    assert_eq!(claims.reported_tcb.fmc, Some(1));
    assert_eq!(
        (claims.launch_mit_vector, claims.current_mit_vector),
        (Some(0b11), Some(0b111))
    );
    assert_eq!(claims.launch_binding(), LaunchBinding::NotSettable);
    assert_eq!(claims.platform(), Some(report.chip_id));
    assert_eq!(
        claims.measurement_id(),
        MeasurementId::sev_snp(&report.measurement, &report.policy.to_le_bytes(), 0)
    );
    case.rules.measurements.clear();
    case.rules.measurement_ids = vec![jeju_attestation::hex_bytes::HexBytes(claims.measurement_id().0)];
    assert!(case.verdict().is_ok());
}

/// Masked, the chip is still known: its certificate names it.
#[test]
fn a_masked_chip_id_is_known_from_the_certificate() {
    for version in [2, 3] {
        let mut case = Case::new(Product::Milan, Vek::Vcek, version);
        let chip_id = case.chip.report.chip_id;
        case.chip.report.chip_id = [0; 64];
        case.rules.masked_chip_id = true;
        assert!(case.verdict().is_ok());
        assert_eq!(case.claims().unwrap().platform(), Some(chip_id));

        // Two chips' certificates of one TCB: the signature tells.
        let other = Chip::new(Product::Milan, Vek::Vcek, version);
        let other = other.vek.sign(&case.chip.ask_key);
        case.after = Box::new(move |_, endorsements| endorsements.certificates.insert(0, other.clone()));
        assert!(case.verdict().is_ok());
    }
}

#[test]
fn products_that_share_an_authority() {
    for (name, model) in [
        ("Bergamo-A0", 0xA0),
        ("Siena", 0xA2),
        ("Genoa-B1", 0x11),
        ("Genoa", 0x1F),
    ] {
        let mut case = Case::new(Product::Genoa, Vek::Vcek, 3);
        case.chip.set_extension(oid::PRODUCT_NAME, der::ia5(name));
        case.chip.report.cpuid[1] = model;
        assert_eq!(case.claims().unwrap().product, AmdProduct::Genoa, "{name}");
    }
}

/// Some certificates have hwID in an OCTET STRING.
#[test]
fn hwid_has_two_spellings() {
    for product in [Product::Milan, Product::Turin] {
        let mut case = Case::new(product, Vek::Vcek, 3);
        let len = if product == Product::Turin { 8 } else { 64 };
        let wrapped = der::octets(&case.chip.report.chip_id[..len]);
        case.chip.set_extension(oid::HWID, wrapped);
        assert!(case.verdict().is_ok());
    }
}

/// Lists of others say nothing of this chain, and do it no harm.
#[test]
fn other_issuers_lists_are_no_revocation_state() {
    let mut case = Case::new(Product::Milan, Vek::Vcek, 3);
    case.rules.revocation_unknown = true;
    let genoa = Chip::new(Product::Genoa, Vek::Vcek, 3).make().crl;
    case.after = Box::new(move |_, endorsements| endorsements.revocation_lists = vec![genoa.clone()]);
    assert_eq!(case.verdict().unwrap().revocation, Revocation::Unknown);
}

/// What a guest gets from its host goes into the endorsements as it is.
#[test]
fn a_certificate_table_is_an_endorsement() {
    for (vek, guid) in [(Vek::Vcek, table::guid::VCEK), (Vek::Vlek, table::guid::VLEK)] {
        let mut case = Case::new(Product::Genoa, vek, 3);
        case.rules.vlek = true;
        case.rules.masked_chip_id = true;
        case.after = Box::new(move |made, endorsements| {
            let pem = jeju_synthetic::certificate::pem(&[&made.ask]);
            let contents: [(&str, &[u8]); 5] = [
                (table::guid::ARK, &made.ark),
                (table::guid::ASK, pem.as_bytes()),
                ("00112233445566778899aabbccddeeff", b"the host's own"),
                (guid, &made.vek),
                (table::guid::CRL, &made.crl),
            ];
            *endorsements = Endorsements::default();
            endorsements.add(&table::table(&contents)).unwrap();
        });
        assert_eq!(case.verdict().unwrap().revocation, Revocation::Good);
    }
}

/// A list that was in force when the key was verified is no longer in force for ever.
#[test]
fn a_kept_key_ends_with_its_list() {
    let case = Case::new(Product::Milan, Vek::Vcek, 3);
    let made = case.chip.make();
    let anchors = TrustAnchors::for_development(&TestRoots {
        amd: vec![(AmdProduct::Milan, made.ark)],
        ..TestRoots::default()
    })
    .unwrap();
    let endorsements = Endorsements {
        certificates: vec![made.vek, made.ask],
        revocation_lists: vec![made.crl],
        ..Endorsements::default()
    };
    let report = sev_snp::Report::parse(&made.report).unwrap();
    let vek = sev_snp::verify_vek(&report, &endorsements, &anchors, case.now).unwrap();
    let list = vek.revocation_lists().unwrap();
    let code = |now| {
        vek.endorse(&report, now)
            .map(|_| ())
            .map_err(|error| error.code())
    };
    assert_eq!(code(case.now), Ok(()));
    assert_eq!(code(list.not_after + 1), Err("crl_expired"));
    assert_eq!(code(list.not_before - 1), Err("crl_not_yet_valid"));
    assert_eq!(code(vek.validity().not_after + 1), Err("x509_expired"));
}

/// Test roots give no verdict on vendors' evidence, and vendors' roots none on synthetic evidence.
#[test]
fn synthetic_chips_are_none_of_amds() {
    let case = Case::new(Product::Milan, Vek::Vcek, 3);
    let made = case.chip.make();
    let endorsements = Endorsements {
        certificates: vec![made.vek, made.ask, made.ark],
        ..Endorsements::default()
    };
    let refused = sev_snp::verify(&made.report, &endorsements, TrustAnchors::vendors(), case.now);
    assert_eq!(refused.unwrap_err().code(), "snp_ark_unknown");
}
