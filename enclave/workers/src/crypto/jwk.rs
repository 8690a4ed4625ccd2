//! The members of JSON Web Keys that hold key material (RFC 7517, 7518, 8037).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::ec::{EcPrivate, EcPublic};
use super::key::{Kind, Material};
use super::okp::{OkpPrivate, OkpPublic};
use super::refusal::Refusal;
use super::rsa::{Components, RsaPrivate, RsaPublic};

/// Names of an RSA private key's members, in the order of `RSAPrivateKey`.
pub(super) const RSA_MEMBERS: [&str; 8] = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];

/// Base64url without padding.
pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The way back; strict.
pub(super) fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map(Zeroizing::new)
        .map_err(|_| Refusal::Data("a member of the JSON Web Key isn't base64url"))
}

/// Reads a key; `member` looks up a member's text.
pub(super) fn read(
    kind: Kind,
    member: impl Fn(&str) -> Result<Option<Zeroizing<String>>, Refusal>,
) -> Result<Material, Refusal> {
    let optional = |name| member(name)?.map(|text| decode(&text)).transpose();
    let required = |name| optional(name)?.ok_or(Refusal::Data("the JSON Web Key lacks a member"));
    match kind {
        Kind::Secret => Ok(Material::Secret(required("k")?)),
        Kind::Ec(curve) => {
            let public = EcPublic::from_coordinates(curve, &required("x")?, &required("y")?)?;
            let Some(scalar) = optional("d")? else {
                return Ok(Material::EcPublic(public));
            };
            let key = EcPrivate::from_scalar(curve, &scalar)?;
            same(public.raw(), key.public.raw())?;
            Ok(Material::EcPrivate(key))
        }
        Kind::Okp(okp) => {
            let public = OkpPublic::from_raw(okp, &required("x")?)?;
            let Some(seed) = optional("d")? else {
                return Ok(Material::OkpPublic(public));
            };
            let key = OkpPrivate::from_seed(okp, &seed)?;
            same(public.raw(), key.public.raw())?;
            Ok(Material::OkpPrivate(key))
        }
        Kind::Rsa => {
            if optional("d")?.is_none() {
                return RsaPublic::from_components(&required("n")?, &required("e")?).map(Material::RsaPublic);
            }
            if RSA_MEMBERS[3..]
                .iter()
                .all(|name| matches!(member(name), Ok(None)))
            {
                return Err(Refusal::NotSupported("an RSA private key without its primes"));
            }
            let mut members = Vec::with_capacity(RSA_MEMBERS.len());
            for name in RSA_MEMBERS {
                members.push(required(name)?);
            }
            let components: Components<'_> = std::array::from_fn(|index| &members[index][..]);
            Ok(Material::RsaPrivate(Box::new(RsaPrivate::from_components(
                components,
            )?)))
        }
    }
}

fn same(given: &[u8], computed: &[u8]) -> Result<(), Refusal> {
    if given == computed {
        Ok(())
    } else {
        Err(Refusal::Data("the public key in it isn't the private key's"))
    }
}

/// The members of a key.
pub(super) fn write(material: &Material) -> Result<Vec<(&'static str, Zeroizing<String>)>, Refusal> {
    let member = |name, bytes: &[u8]| (name, Zeroizing::new(encode(bytes)));
    let point = |key: &EcPublic| {
        let (x, y) = key.coordinates();
        vec![member("x", x), member("y", y)]
    };
    Ok(match material {
        Material::Secret(bytes) => vec![member("k", bytes)],
        Material::EcPublic(key) => point(key),
        Material::EcPrivate(key) => {
            let mut members = point(&key.public);
            members.push(member("d", key.scalar()));
            members
        }
        Material::OkpPublic(key) => vec![member("x", key.raw())],
        Material::OkpPrivate(key) => vec![member("x", key.public.raw()), member("d", key.seed())],
        Material::RsaPublic(key) => vec![member("n", key.modulus()), member("e", key.exponent())],
        Material::RsaPrivate(key) => RSA_MEMBERS
            .into_iter()
            .zip(key.components()?)
            .map(|(name, bytes)| member(name, bytes))
            .collect(),
    })
}
