//! Images by hand, images that AWS's tools made, and images that lie.

use super::header::be;
use super::*;
use crate::measure::nitro::NitroPcrs;

const KERNEL_BYTES: &[u8] = b"a kernel";
const CMDLINE_BYTES: &[u8] = b"console=ttyS0 panic=-1";
const RAMDISKS: [&[u8]; 2] = [b"ramdisk 1", b"ramdisk 2, longer"];

fn image() -> Eif<'static> {
    let metadata = Metadata::new("0.1.0", "6.12.117-jeju");
    Eif::new(KERNEL_BYTES, CMDLINE_BYTES, &RAMDISKS, &metadata).unwrap()
}

fn signed() -> Eif<'static> {
    let (certificate, key) = self_signed();
    let key = SigningKey::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    let mut image = image();
    let pcr0 = NitroPcrs::of_image(&image).pcr0;
    image.signature = Some(Signature::new(&key, &pcr0).unwrap());
    image
}

/// Certificate and key in PEM.
fn self_signed() -> (String, String) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["image.test".to_owned()]).unwrap();
    (parameters.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// Recomputes what a change of the file would betray at once.
fn with_checksum(mut file: Vec<u8>) -> Vec<u8> {
    let crc = checksum(&file);
    file[CRC..HEADER].copy_from_slice(&crc.to_be_bytes());
    file
}

#[test]
fn read_and_written_again() {
    for image in [image(), signed()] {
        let file = image.write();
        let read = Eif::read(&file).unwrap();
        assert_eq!(read, image);
        assert_eq!(read.write(), file);
        assert_eq!(NitroPcrs::of_image(&read), NitroPcrs::of_image(&image));
        assert_eq!(read.metadata().unwrap(), Metadata::new("0.1.0", "6.12.117-jeju"));
    }
    assert_eq!(image().write(), image().write());
}

/// The offsets of the format's definition.
#[test]
fn header_by_hand() {
    let file = image().write();
    assert_eq!(&file[..4], b".eif");
    assert_eq!(
        hex::encode(&file[4..28]),
        "000400000000000040000000000000000000000200000005"
    );
    // The first section, at byte 548, is the kernel: type 1, no flags, 8 bytes.
    assert_eq!(be(&file[28..36]), 548);
    assert_eq!(be(&file[284..292]), 8);
    assert_eq!(hex::encode(&file[548..560]), "000100000000000000000008");
    assert_eq!(&file[560..568], KERNEL_BYTES);
    assert_eq!(be(&file[36..44]), 568);
}

/// `vectors/aws-signed.eif`: made by aws-nitro-enclaves-image-format 0.8.1 from the parts above, with a throwaway key.
#[test]
fn image_of_aws_tools() {
    let theirs = include_bytes!("../../tests/vectors/aws-signed.eif");
    let read = Eif::read(theirs).unwrap();
    assert_eq!(read.write(), theirs);
    let pcrs = NitroPcrs::of_image(&read);
    assert_eq!(pcrs, NitroPcrs::of_image(&image()));
    let verified = read.signature.as_ref().unwrap().verify(&pcrs.pcr0).unwrap();
    // What the builder returned.
    let expected = include_str!("../../tests/vectors/aws-signed.pcrs");
    let ours = [
        ("PCR0", pcrs.pcr0),
        ("PCR1", pcrs.pcr1),
        ("PCR2", pcrs.pcr2),
        ("PCR8", verified.pcr8),
    ]
    .map(|(name, pcr)| format!("{name} {}\n", hex::encode(pcr)));
    assert_eq!(ours.concat(), expected);
    // But for the signature, our file is theirs.
    let ours = Eif::new(KERNEL_BYTES, CMDLINE_BYTES, &RAMDISKS, &read.metadata().unwrap()).unwrap();
    let theirs = Eif {
        signature: None,
        ..read
    };
    assert_eq!(ours.write(), theirs.write());
}

#[test]
fn parts_that_make_no_image() {
    let metadata = Metadata::new("", "");
    let make = |kernel, cmdline, ramdisks: &[&'static [u8]]| {
        Eif::new(kernel, cmdline, ramdisks, &metadata).unwrap_err()
    };
    assert_eq!(make(b"", b"", &RAMDISKS), EifError::Empty("the kernel"));
    assert_eq!(make(b"k", b"a\nb", &RAMDISKS), EifError::Cmdline);
    assert_eq!(make(b"k", &[b'a'; 2048], &RAMDISKS), EifError::Cmdline);
    assert_eq!(make(b"k", b"", &[]), EifError::RamdiskCount(0));
    assert_eq!(make(b"k", b"", &[&b"r"[..]; 29]), EifError::RamdiskCount(29));
    assert_eq!(make(b"k", b"", &[b"r", b""]), EifError::Empty("a ramdisk"));
    let long = Metadata::new(&"v".repeat(MAX_METADATA), "");
    assert!(matches!(
        Eif::new(b"k", b"", &RAMDISKS, &long),
        Err(EifError::MetadataLength(_))
    ));
    assert!(Eif::new(b"k", b"", &[&b"r"[..]; 28], &metadata).is_ok());
}

#[test]
fn headers_that_lie() {
    let refused = |at: usize, bytes: &[u8]| {
        let mut file = image().write();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        Eif::read(&with_checksum(file)).map(|_| ()).unwrap_err()
    };
    assert_eq!(refused(0, b".elf"), EifError::Magic(*b".elf"));
    assert_eq!(refused(4, &[0, 3]), EifError::Version(3));
    for (at, field) in [(6, "flags"), (24, "reserved field"), (540, "unused field")] {
        assert!(matches!(refused(at, &[1]), EifError::Header { field: found, .. } if found == field));
    }
    for count in [0_u16, 3, 33, u16::MAX] {
        assert_eq!(
            refused(26, &count.to_be_bytes()),
            EifError::SectionCount(usize::from(count))
        );
    }
    assert_eq!(
        refused(28, &549_u64.to_be_bytes()),
        EifError::SectionTable {
            field: "offset",
            index: 0,
            actual: 549,
            expected: 548
        }
    );
    assert_eq!(
        refused(284, &9_u64.to_be_bytes()),
        EifError::SectionTable {
            field: "size",
            index: 0,
            actual: 9,
            expected: 8
        }
    );
    // An entry for a section that isn't there.
    assert!(matches!(
        refused(28 + 8 * 31, &[1]),
        EifError::SectionTable { index: 31, .. }
    ));
    // Both header and section: longer than the file, than memory, than numbers.
    for size in [1 << 20, u64::MAX >> 1, u64::MAX - 11, u64::MAX] {
        let mut file = image().write();
        file[284..292].copy_from_slice(&size.to_be_bytes());
        file[552..560].copy_from_slice(&size.to_be_bytes());
        let at = file.len();
        assert_eq!(
            Eif::read(&with_checksum(file)),
            Err(EifError::Truncated {
                what: "a section",
                at
            })
        );
    }
}

#[test]
fn sections_that_lie() {
    let refused = |at: usize, byte: u8| {
        let mut file = image().write();
        file[at] = byte;
        Eif::read(&with_checksum(file)).map(|_| ()).unwrap_err()
    };
    let start = |index: usize| be(&image().write()[28 + 8 * index..36 + 8 * index]) as usize;
    for (index, kind) in [(0, 2), (1, 1), (2, 3), (3, 4), (4, 1), (4, 0), (4, 6), (4, 5)] {
        let error = refused(start(index) + 1, kind);
        let by_signature = matches!(error, EifError::Signature(_)) && kind == 4;
        assert!(
            by_signature || matches!(error, EifError::SectionType { .. }),
            "{index} {kind}: {error}"
        );
    }
    assert_eq!(
        refused(start(3) + 3, 1),
        EifError::SectionFlags { index: 3, flags: 1 }
    );
    assert_eq!(refused(start(1) + 12, b'\n'), EifError::Cmdline);
    assert!(matches!(refused(start(2) + 12, b'['), EifError::Metadata(_)));
    assert_eq!(
        Eif::read(&[image().write(), vec![0]].concat()),
        Err(EifError::Trailing(1))
    );
}

/// Without a matching checksum, no change goes through; with one, the change is seen in what is read.
#[test]
fn every_byte_counts() {
    let image = signed();
    let file = image.write();
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert!(Eif::read(&changed).is_err(), "{at}");
        if (CRC..HEADER).contains(&at) {
            continue;
        }
        let changed = with_checksum(changed);
        if let Ok(read) = Eif::read(&changed) {
            assert!(read != image, "{at}");
            assert_eq!(read.write(), changed, "{at}");
        }
    }
    for length in 0..file.len() {
        let error = Eif::read(&file[..length]).unwrap_err();
        assert!(
            matches!(error, EifError::Truncated { at, .. } if at == length),
            "{error}"
        );
    }
}

#[test]
fn signatures() {
    let image = signed();
    let pcr0 = NitroPcrs::of_image(&image).pcr0;
    let signature = image.signature.as_ref().unwrap();
    let verified = signature.verify(&pcr0).unwrap();
    assert_eq!(
        verified.pcr8,
        crate::measure::nitro::signer_pcr(&verified.certificate)
    );

    // Of another image.
    let mut other = pcr0;
    other[0] ^= 1;
    assert!(matches!(
        signature.verify(&other),
        Err(SignatureError::Message(_))
    ));
    // Every bit of the section matters; the certificate's own signature isn't looked at here.
    let bytes = signature.to_bytes();
    assert_eq!(Signature::parse(&bytes).unwrap(), *signature);
    let message_at = bytes.len() - 100;
    for at in message_at..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let verified = Signature::parse(&changed).and_then(|changed| changed.verify(&pcr0));
        assert!(verified.is_err(), "{at}");
    }
    for length in 0..bytes.len() {
        assert!(matches!(
            Signature::parse(&bytes[..length]),
            Err(SignatureError::Form { .. })
        ));
    }
    assert_eq!(
        Signature::parse(&vec![0; MAX_SIGNATURE + 1]),
        Err(SignatureError::TooLong(MAX_SIGNATURE + 1))
    );

    let (certificate, key) = self_signed();
    let (other, _) = self_signed();
    let refused = |certificate: &str, key: &str| {
        SigningKey::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap_err()
    };
    assert!(matches!(refused(&other, &key), SignatureError::OtherKey(_)));
    assert_eq!(
        refused(&format!("{certificate}{other}"), &key),
        SignatureError::CertificateCount(2)
    );
    assert_eq!(refused(&certificate, &certificate), SignatureError::Key);
    assert!(matches!(refused("", &key), SignatureError::Certificate(_)));
}
