//! Manifests that NVIDIA signed, and those that were changed.

use jeju_attestation::nvidia::manifest::Kind;
use jeju_attestation::nvidia::{Manifest, RimError};
use jeju_attestation::roots::TrustAnchors;

use crate::vectors;

/// 2024-01-01.
const JANUARY_2024: i64 = 1_704_067_200;
/// 2025-01-01, noon.
const JANUARY_2025: i64 = 1_735_732_800;
/// 2025-06-15.
const JUNE_2025: i64 = 1_750_000_000;
/// 2026-09-21.
const SEPTEMBER_2026: i64 = 1_790_000_000;
/// 2026-11-27.
const NOVEMBER_2026: i64 = 1_795_800_000;

fn code(document: &[u8], at: i64, expired_signers: bool) -> Result<(), &'static str> {
    Manifest::parse(document)
        .and_then(|manifest| manifest.verify(&[], TrustAnchors::vendors(), at, expired_signers))
        .map(|_| ())
        .map_err(|error: RimError| error.code())
}

#[test]
fn production_manifests_verify() {
    let names = [
        "1010_0200_882_96005E0001_PROD",
        "1010_0200_882_96005E0001_test_no_gpu",
        "1010_0200_882_96005E0003_PROD",
        "1010_0200_882_960074001A_PROD",
        "1010_0200_882_960074001C_PROD",
        "1010_0205_862_96005E0002_PROD",
        "1010_0205_862_96005E0004_PROD",
        "1010_0205_862_960074001F_PROD",
        "1010_0205_862_9600740020_PROD",
        "1010_0210_886_9600740011_PROD",
        "1010_0215_866_9600740010_PROD",
        "Driver_RIM_test_no_gpu",
        "g520_0200_885_9600740001_PROD",
        "g520_0200_885_960074000D_PROD",
        "g520_0202_885_96006D0008_PROD",
        "g520_0202_885_96006D0027_PROD",
        "g520_0202_885_9600740014_PROD",
        "g520_0202_885_9600740018_PROD",
        "g520_0205_865_9600740006_PROD",
        "g520_0205_865_960074000F_PROD",
        "g520_0207_865_9600740015_PROD",
        "g520_0207_865_9600740019_PROD",
        "g520_0213_881_96006D0007_PROD",
        "g520_0213_881_96006D0026_PROD",
        "g520_0228_889_96006D000A_PROD",
        "g520_0228_889_96006D0029_PROD",
    ];
    for name in names {
        let Some(document) = vectors::read(&format!("nvidia/nvtrust-samples/{name}.swidtag"), names.len())
        else {
            return;
        };
        assert_eq!(code(&document, JANUARY_2024, false), Ok(()), "{name}");
        // Each signer has ended since.
        assert_eq!(
            code(&document, NOVEMBER_2026, false),
            Err("x509_expired"),
            "{name}"
        );
        assert_eq!(code(&document, NOVEMBER_2026, true), Ok(()), "{name}");
        let manifest = Manifest::parse(&document).unwrap();
        let identity = manifest.identity();
        assert_eq!(
            (identity.product.as_str(), identity.edition.as_str()),
            ("GH100", "GPU")
        );
        let golden = manifest
            .verify(&[], TrustAnchors::vendors(), NOVEMBER_2026, true)
            .unwrap();
        assert_eq!(golden.check_current(NOVEMBER_2026, true), Ok(()));
        let ended = golden.check_current(NOVEMBER_2026, false).unwrap_err();
        assert_eq!(ended.code(), "rim_signer_dates");
        let active = golden
            .measurements()
            .iter()
            .filter(|golden| golden.active)
            .count();
        match name.strip_suffix("_PROD") {
            // The file's name ends in the version.
            Some(id) => {
                assert_eq!(identity.kind, Kind::Vbios);
                assert!(id.ends_with(&identity.version.replace('.', "")), "{name}");
                assert_eq!(active, 12);
            }
            None => assert!(active == 12 || (identity.kind == Kind::Driver && active == 21)),
        }
    }
}

#[test]
fn other_manifests_get_their_verdict() {
    let sdk = "nvidia/attestation-sdk-rims";
    let unit = "nvidia/attestation-sdk-unit";
    let cases = [
        (
            format!("{unit}/NV_GPU_DRIVER_GH100_550.144.03.xml"),
            JUNE_2025,
            Ok(()),
        ),
        (
            format!("{unit}/switchVBIOSRim_NV_SWITCH_BIOS_5612_0002_890_9610550001.xml"),
            SEPTEMBER_2026,
            Ok(()),
        ),
        (
            format!("{unit}/incorrect_signature_driver_rim.xml"),
            JUNE_2025,
            Err("rim_signature"),
        ),
        // "NVIDIA CoRIM L1 Root CA Debug Only".
        (
            format!("{unit}/incorrect_cert_chain_driver_rim.xml"),
            JUNE_2025,
            Err("x509_untrusted_root"),
        ),
        // Signed by NVIDIA: another issue for the same version, in which measurement 9 differs.
        (
            format!("{sdk}/NV_GPU_VBIOS_1010_0200_882_96005E0001_measurement_mismatch.xml"),
            JUNE_2025,
            Ok(()),
        ),
        (
            format!("{sdk}/NV_GPU_DRIVER_GH100_535.86.09_measurement_mismatch.xml"),
            JUNE_2025,
            Err("rim_digest"),
        ),
        (
            format!("{sdk}/NV_SWITCH_BIOS_5612_0002_890_9610550001_measurement_mismatch.xml"),
            JUNE_2025,
            Err("rim_digest"),
        ),
        (
            format!("{sdk}/NV_SWITCH_BIOS_5612_0002_890_9610550001_invalid_signature.xml"),
            JUNE_2025,
            Err("rim_digest"),
        ),
        (
            format!("{sdk}/NV_GPU_DRIVER_GH100_570.124.03_expired.xml"),
            JUNE_2025,
            Err("x509_expired"),
        ),
        // Valid for one day; then it shows that the document was changed too.
        (
            format!("{sdk}/NV_GPU_DRIVER_GH100_570.124.03_expired.xml"),
            JANUARY_2025,
            Err("rim_digest"),
        ),
    ];
    for (name, at, expected) in &cases {
        let Some(document) = vectors::read(name, cases.len()) else {
            return;
        };
        assert_eq!(code(&document, *at, false), *expected, "{name}");
    }
    let test = vectors::read("nvidia/trustee/test-rim.b64", 1).unwrap();
    let document =
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, test.trim_ascii()).unwrap();
    assert_eq!(code(&document, JANUARY_2024, false), Ok(()));
    assert_eq!(
        Manifest::parse(&document).unwrap().identity().version,
        "96.00.74.00.1C"
    );
}

/// What XML allows without changing what a document says: white space in tags, order of attributes, the form of empty
/// elements and of line ends, comments, references for characters. The signature must hold for it as well.
#[test]
fn the_signature_is_on_the_canonical_form() {
    let Some(document) = vectors::read(
        "nvidia/attestation-sdk-unit/NV_GPU_DRIVER_GH100_550.144.03.xml",
        1,
    ) else {
        return;
    };
    let text = String::from_utf8(document).unwrap();
    let same = [
        text.replace('\n', "\r\n"),
        text.replace("/>", "  />"),
        text.replace(" product=\"GH100\"", " product = '&#x47;H100'"),
        text.replace("<ns0:Payload", "<!-- <ns0:Payload/> --><ns0:Payload"),
        text.replace(
            "corpus=\"false\" name=\"GH100\"",
            "name=\"GH100\" corpus=\"false\"",
        ),
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- -->{text}\n"),
        text.replace(
            "role=\"softwareCreator tagCreator\"/>",
            "role=\"softwareCreator tagCreator\"></ns0:Entity>",
        ),
        text.replace(
            "<ns0:Entity ",
            "<ns0:Entity xmlns=\"http://standards.iso.org/iso/19770/-2/2015/schema.xsd\" ",
        ),
    ];
    for changed in same {
        assert_ne!(changed, text);
        assert_eq!(code(changed.as_bytes(), JUNE_2025, false), Ok(()));
    }
    let other = [
        text.replacen('\n', " \n", 1),
        text.replace("active=\"False\"", "active=\"True\""),
        text.replace("edition=\"GPU\"", "edition=\"GPU \""),
        text.replace("550.144.03", "550.144.04"),
        text.replace("<ns0:Meta", "<ns0:Meta a=\"\""),
    ];
    for changed in other {
        assert_ne!(changed, text);
        assert_eq!(code(changed.as_bytes(), JUNE_2025, false), Err("rim_digest"));
    }
    // Prefixes are part of the canonical form, and those around it of SignedInfo's.
    let renamed = text.replace("ns0", "swid");
    assert_eq!(code(renamed.as_bytes(), JUNE_2025, false), Err("rim_signature"));
}

/// Bytes changed and cut off all over a manifest: it is refused, or what it says is what was signed (not all of KeyInfo
/// is under the signature).
#[test]
fn nothing_that_a_manifest_says_can_be_changed() {
    let Some(document) = vectors::read(
        "nvidia/attestation-sdk-unit/NV_GPU_DRIVER_GH100_550.144.03.xml",
        1,
    ) else {
        return;
    };
    let verify = |document: &[u8]| {
        Manifest::parse(document)
            .and_then(|manifest| manifest.verify(&[], TrustAnchors::vendors(), JUNE_2025, false))
    };
    let signed = verify(&document).unwrap();
    let mut refused = 0;
    for at in (0..document.len()).step_by(13) {
        let mut changed = document.clone();
        changed[at] ^= 1 << (at % 7);
        match verify(&changed) {
            Err(_) => refused += 1,
            Ok(golden) => {
                assert_eq!(golden.measurements(), signed.measurements(), "byte {at}");
                assert_eq!(golden.identity().version, signed.identity().version, "byte {at}");
            }
        }
        assert!(verify(&document[..at]).is_err(), "{at} bytes");
    }
    assert!(refused > document.len() / 13 - 10, "{refused}");
}
