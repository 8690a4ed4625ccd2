//! Web Crypto: keys and operations in native code, the interface in JavaScript (`js/crypto`).
//!
//! JavaScript checks what the specification has checked (names, usages, formats, the members of a JSON Web Key), and
//! calls [`native`] with handles of keys and bytes. Key material leaves native code only by an export.

mod aes;
mod bytes;
mod container;
mod der;
mod derive;
mod ec;
mod gcm;
mod hash;
mod jwk;
mod key;
mod native;
mod okp;
mod refusal;
mod rsa;

use rquickjs::prelude::Func;
use rquickjs::{Ctx, Object, Result};

use crate::realm::Part;

/// Parts of it. Only getters for the globals cost anything before a worker uses them.
pub(crate) const PARTS: &[Part] = &[
    part("crypto-base", include_str!("../../js/crypto/base.js"), &[]),
    part(
        "crypto",
        include_str!("../../js/crypto/crypto.js"),
        &["crypto", "Crypto"],
    ),
    part(
        "crypto-key",
        include_str!("../../js/crypto/key.js"),
        &["CryptoKey"],
    ),
    part(
        "crypto-subtle",
        include_str!("../../js/crypto/subtle.js"),
        &["SubtleCrypto"],
    ),
    part(
        "crypto-algorithms",
        include_str!("../../js/crypto/algorithms.js"),
        &[],
    ),
    part("crypto-hash", include_str!("../../js/crypto/hash.js"), &[]),
    part("crypto-aes", include_str!("../../js/crypto/aes.js"), &[]),
    part("crypto-rsa", include_str!("../../js/crypto/rsa.js"), &[]),
    part("crypto-curves", include_str!("../../js/crypto/curves.js"), &[]),
    part("crypto-derive", include_str!("../../js/crypto/derive.js"), &[]),
];

const fn part(name: &'static str, source: &'static str, globals: &'static [&'static str]) -> Part {
    Part {
        name,
        source,
        globals,
        eager: false,
    }
}

/// Puts `host.crypto` there: a function that makes the table of natives, so that a worker that never touches Web
/// Crypto pays nothing for it.
pub(crate) fn install<'js>(_ctx: &Ctx<'js>, host: &Object<'js>) -> Result<()> {
    host.set("crypto", Func::from(open))
}

fn open(ctx: Ctx<'_>) -> Result<Object<'_>> {
    if ctx.userdata::<key::Ledger>().is_none() {
        // It can't be borrowed: nothing keeps it across a call.
        let _ = ctx.store_userdata(key::Ledger::default());
    }
    native::table(&ctx)
}
