//! What is done with keys and without: digests, ciphers, signatures, derivation.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac};
use rquickjs::prelude::Func;
use rquickjs::{ArrayBuffer, Ctx, Object, Result};
use zeroize::Zeroizing;

use super::{Key, answer};
use crate::crypto::aes::{self, BLOCK};
use crate::crypto::bytes::{Bytes, buffer, read};
use crate::crypto::hash::Hash;
use crate::crypto::key::Material;
use crate::crypto::refusal::Refusal;
use crate::crypto::rsa::Padding;
use crate::crypto::{derive, gcm};

/// Puts them into the table.
pub(super) fn install(table: &Object<'_>) -> Result<()> {
    table.set("digest", Func::from(digest_of))?;
    table.set("equal", Func::from(equal))?;
    table.set("cbc", Func::from(cbc))?;
    table.set("ctr", Func::from(ctr))?;
    table.set("gcm", Func::from(gcm_crypt))?;
    table.set("wrap", Func::from(wrap))?;
    table.set("oaep", Func::from(oaep))?;
    table.set("hmac", Func::from(hmac_sign))?;
    table.set("hmacVerify", Func::from(hmac_verify))?;
    table.set("ecdsa", Func::from(ecdsa))?;
    table.set("ecdsaVerify", Func::from(ecdsa_verify))?;
    table.set("ed25519", Func::from(ed25519))?;
    table.set("ed25519Verify", Func::from(ed25519_verify))?;
    table.set("rsaSign", Func::from(rsa_sign))?;
    table.set("rsaVerify", Func::from(rsa_verify))?;
    table.set("agree", Func::from(agree))?;
    table.set("hkdf", Func::from(hkdf))?;
    table.set("pbkdf2", Func::from(pbkdf2))?;
    Ok(())
}

fn digest_of<'js>(ctx: Ctx<'js>, hash: Hash, data: Bytes<'js>) -> Result<ArrayBuffer<'js>> {
    buffer(
        &ctx,
        read([&data], |[data]| digest::digest(hash.digest(), data)).as_ref(),
    )
}

/// Whether both hold the same bytes, in a time that doesn't depend on which.
fn equal<'js>(first: Bytes<'js>, second: Bytes<'js>) -> bool {
    read([&first, &second], |[first, second]| {
        verify_slices_are_equal(first, second).is_ok()
    })
}

fn cbc<'js>(
    ctx: Ctx<'js>,
    encrypt: bool,
    key: Key<'js>,
    iv: Bytes<'js>,
    data: Bytes<'js>,
) -> Result<ArrayBuffer<'js>> {
    let key = key.borrow();
    let result = key.material.secret().and_then(|key| {
        read([&iv, &data], |[iv, data]| {
            if encrypt {
                aes::cbc_encrypt(key, iv, data)
            } else {
                aes::cbc_decrypt(key, iv, data)
            }
        })
    });
    answer(&ctx, result)
}

fn ctr<'js>(
    ctx: Ctx<'js>,
    key: Key<'js>,
    counter: Bytes<'js>,
    bits: u32,
    data: Bytes<'js>,
) -> Result<ArrayBuffer<'js>> {
    let key = key.borrow();
    let result = key.material.secret().and_then(|key| {
        read([&counter, &data], |[counter, data]| {
            let counter: [u8; BLOCK] = counter
                .try_into()
                .map_err(|_| Refusal::Operation("the counter has to have 16 bytes"))?;
            aes::ctr(key, counter, bits, data)
        })
    });
    answer(&ctx, result)
}

/// What AES-GCM takes besides key and data.
struct Gcm<'js> {
    iv: Bytes<'js>,
    aad: Bytes<'js>,
    tag: usize,
}

impl<'js> rquickjs::FromJs<'js> for Gcm<'js> {
    fn from_js(_: &Ctx<'js>, value: rquickjs::Value<'js>) -> Result<Self> {
        let value = Object::from_value(value)?;
        Ok(Self {
            iv: value.get("iv")?,
            aad: value.get("aad")?,
            tag: value.get("tag")?,
        })
    }
}

fn gcm_crypt<'js>(
    ctx: Ctx<'js>,
    encrypt: bool,
    key: Key<'js>,
    with: Gcm<'js>,
    data: Bytes<'js>,
) -> Result<ArrayBuffer<'js>> {
    let key = key.borrow();
    let result = key.material.secret().and_then(|key| {
        read([&with.iv, &with.aad, &data], |[iv, aad, data]| {
            if encrypt {
                gcm::seal(key, iv, aad, with.tag, data)
            } else {
                gcm::open(key, iv, aad, with.tag, data)
            }
        })
    });
    answer(&ctx, result)
}

fn wrap<'js>(ctx: Ctx<'js>, wrap: bool, key: Key<'js>, data: Bytes<'js>) -> Result<ArrayBuffer<'js>> {
    let key = key.borrow();
    let result = key.material.secret().and_then(|key| {
        read([&data], |[data]| {
            if wrap {
                aes::wrap(key, data).map(Zeroizing::new)
            } else {
                aes::unwrap(key, data)
            }
        })
    });
    answer(&ctx, result)
}

fn oaep<'js>(
    ctx: Ctx<'js>,
    encrypt: bool,
    hash: Hash,
    key: Key<'js>,
    label: Bytes<'js>,
    data: Bytes<'js>,
) -> Result<ArrayBuffer<'js>> {
    let key = key.borrow();
    let result = read([&label, &data], |[label, data]| {
        if encrypt {
            key.material
                .rsa_public()?
                .encrypt(hash, label, data)
                .map(Zeroizing::new)
        } else {
            key.material.rsa_private()?.decrypt(hash, label, data)
        }
    });
    answer(&ctx, result)
}

fn hmac_sign<'js>(ctx: Ctx<'js>, hash: Hash, key: Key<'js>, data: Bytes<'js>) -> Result<ArrayBuffer<'js>> {
    let key = key.borrow();
    let result = key.material.secret().map(|key| {
        read([&data], |[data]| {
            hmac::sign(&hmac::Key::new(hash.hmac(), key), data)
        })
    });
    answer(&ctx, result)
}

fn hmac_verify<'js>(
    ctx: Ctx<'js>,
    hash: Hash,
    key: Key<'js>,
    signature: Bytes<'js>,
    data: Bytes<'js>,
) -> Result<bool> {
    let key = key.borrow();
    let key = key.material.secret().map_err(|refusal| refusal.throw(&ctx))?;
    let key = hmac::Key::new(hash.hmac(), key);
    Ok(read([&signature, &data], |[signature, data]| {
        hmac::verify(&key, data, signature).is_ok()
    }))
}

fn ecdsa<'js>(ctx: Ctx<'js>, hash: Hash, key: Key<'js>, data: Bytes<'js>) -> Result<ArrayBuffer<'js>> {
    let result = match &key.borrow().material {
        Material::EcPrivate(key) => read([&data], |[data]| key.sign(hash, data)),
        _ => Err(Refusal::Operation("the key is of another kind")),
    };
    answer(&ctx, result)
}

fn ecdsa_verify<'js>(hash: Hash, key: Key<'js>, signature: Bytes<'js>, data: Bytes<'js>) -> bool {
    match &key.borrow().material {
        Material::EcPublic(key) => read([&signature, &data], |[signature, data]| {
            key.verify(hash, signature, data)
        }),
        _ => false,
    }
}

fn ed25519<'js>(ctx: Ctx<'js>, key: Key<'js>, data: Bytes<'js>) -> Result<ArrayBuffer<'js>> {
    let result = match &key.borrow().material {
        Material::OkpPrivate(key) => read([&data], |[data]| key.sign(data)),
        _ => Err(Refusal::Operation("the key is of another kind")),
    };
    answer(&ctx, result)
}

fn ed25519_verify<'js>(key: Key<'js>, signature: Bytes<'js>, data: Bytes<'js>) -> bool {
    match &key.borrow().material {
        Material::OkpPublic(key) => read([&signature, &data], |[signature, data]| {
            key.verify(signature, data)
        }),
        _ => false,
    }
}

/// A salt length of PSS, or none for PKCS #1 v1.5.
fn padding(salt: Option<u32>) -> std::result::Result<Padding, Refusal> {
    let Some(salt) = salt else {
        return Ok(Padding::Pkcs1);
    };
    salt.try_into()
        .map(Padding::Pss)
        .map_err(|_| Refusal::Operation("the salt is too long for the key"))
}

fn rsa_sign<'js>(
    ctx: Ctx<'js>,
    hash: Hash,
    salt: Option<u32>,
    key: Key<'js>,
    data: Bytes<'js>,
) -> Result<ArrayBuffer<'js>> {
    let key = key.borrow();
    let result = padding(salt).and_then(|padding| {
        let key = key.material.rsa_private()?;
        read([&data], |[data]| key.sign(padding, hash, data))
    });
    answer(&ctx, result)
}

fn rsa_verify<'js>(
    ctx: Ctx<'js>,
    hash: Hash,
    salt: Option<u32>,
    key: Key<'js>,
    signature: Bytes<'js>,
    data: Bytes<'js>,
) -> Result<bool> {
    let key = key.borrow();
    let result = padding(salt).and_then(|padding| {
        let key = key.material.rsa_public()?;
        read([&signature, &data], |[signature, data]| {
            key.verify(padding, hash, signature, data)
        })
    });
    result.map_err(|refusal| refusal.throw(&ctx))
}

fn agree<'js>(ctx: Ctx<'js>, key: Key<'js>, peer: Key<'js>) -> Result<ArrayBuffer<'js>> {
    answer(&ctx, key.borrow().material.agree(&peer.borrow().material))
}

fn hkdf<'js>(
    ctx: Ctx<'js>,
    hash: Hash,
    key: Key<'js>,
    salt: Bytes<'js>,
    info: Bytes<'js>,
    length: usize,
) -> Result<ArrayBuffer<'js>> {
    let key = key.borrow();
    let result = key.material.secret().and_then(|key| {
        read([&salt, &info], |[salt, info]| {
            derive::hkdf(hash, key, salt, info, length)
        })
    });
    answer(&ctx, result)
}

fn pbkdf2<'js>(
    ctx: Ctx<'js>,
    hash: Hash,
    key: Key<'js>,
    salt: Bytes<'js>,
    iterations: u32,
    length: usize,
) -> Result<ArrayBuffer<'js>> {
    let key = key.borrow();
    let result = key.material.secret().and_then(|key| {
        read([&salt], |[salt]| {
            derive::pbkdf2(hash, key, salt, iterations, length)
        })
    });
    answer(&ctx, result)
}
