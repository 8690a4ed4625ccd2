//! `SubjectPublicKeyInfo` (RFC 5280) and `PrivateKeyInfo` (RFC 5208, 5958): a key and what kind of key it is.

use zeroize::Zeroizing;

use super::der::{
    self, CONTEXT_0, CONTEXT_1_BITS, Malformed, OBJECT_IDENTIFIER, OCTET_STRING, Reader, SEQUENCE,
};

/// An `AlgorithmIdentifier`: object identifier, and parameters as they are, tag and all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Identifier<'a> {
    pub(super) algorithm: &'a [u8],
    pub(super) parameters: &'a [u8],
}

impl<'a> Identifier<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let content = reader.take(SEQUENCE)?;
        let mut inside = Reader::new(content);
        let algorithm = inside.take(OBJECT_IDENTIFIER)?;
        // Tag and length of an object identifier of less than 128 bytes take two.
        let parameters = content.get(2 + algorithm.len()..).ok_or(Malformed)?;
        Ok(Self {
            algorithm,
            parameters,
        })
    }

    fn write(&self) -> Zeroizing<Vec<u8>> {
        let algorithm = der::value(OBJECT_IDENTIFIER, &[self.algorithm]);
        der::value(SEQUENCE, &[&algorithm, self.parameters])
    }
}

/// Reads a `SubjectPublicKeyInfo`.
pub(super) fn read_spki(bytes: &[u8]) -> Result<(Identifier<'_>, &[u8]), Malformed> {
    let mut reader = Reader::only(bytes, SEQUENCE)?;
    let identifier = Identifier::read(&mut reader)?;
    let key = reader.bits(der::BIT_STRING)?;
    reader.end()?;
    Ok((identifier, key))
}

/// Writes a `SubjectPublicKeyInfo`.
pub(super) fn write_spki(identifier: Identifier<'_>, key: &[u8]) -> Zeroizing<Vec<u8>> {
    der::value(SEQUENCE, &[&identifier.write(), &der::bits(der::BIT_STRING, key)])
}

/// What a `PrivateKeyInfo` or `OneAsymmetricKey` says.
pub(super) struct PrivateKeyInfo<'a> {
    pub(super) identifier: Identifier<'a>,
    pub(super) key: &'a [u8],
    /// The public key, where version 2 has it.
    pub(super) public: Option<&'a [u8]>,
}

/// Reads a `PrivateKeyInfo`, attributes and all.
pub(super) fn read_pkcs8(bytes: &[u8]) -> Result<PrivateKeyInfo<'_>, Malformed> {
    let mut reader = Reader::only(bytes, SEQUENCE)?;
    let version = reader.unsigned()?;
    let identifier = Identifier::read(&mut reader)?;
    let key = reader.take(OCTET_STRING)?;
    reader.optional(CONTEXT_0)?;
    let public = match version {
        [] => None,
        [1] => Some(reader.bits(CONTEXT_1_BITS)?),
        _ => return Err(Malformed),
    };
    reader.end()?;
    Ok(PrivateKeyInfo {
        identifier,
        key,
        public,
    })
}

/// Writes a `PrivateKeyInfo`, version 1, without attributes.
pub(super) fn write_pkcs8(identifier: Identifier<'_>, key: &[u8]) -> Zeroizing<Vec<u8>> {
    let version = der::unsigned(&[]);
    der::value(
        SEQUENCE,
        &[&version, &identifier.write(), &der::value(OCTET_STRING, &[key])],
    )
}
