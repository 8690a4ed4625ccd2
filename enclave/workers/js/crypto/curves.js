// ECDSA and ECDH on NIST's curves; Ed25519 and X25519.
(function (host, web) {
  "use strict";

  web.need("crypto-algorithms");
  web.need("crypto-key");
  const { fail, native, required } = web.cryptoBase;
  const { known, hash } = web.cryptoAlgorithms;
  const { isKey, inside, allow, notEmpty, make, pair, allowPair } = web.cryptoKeys;
  const { checkJwk, writeJwk, noFormat } = web.cryptoKeys;
  const ES = { __proto__: null, "P-256": "ES256", "P-384": "ES384", "P-521": "ES512" };

  const needs = (key, type) => {
    if (key.type !== type) throw fail("InvalidAccessError", `this needs the ${type} key`);
  };
  const namedCurve = (given) => ({ namedCurve: String(required(given, "namedCurve")) });

  // What all four share. `kind` names the key for natives, `jwk` says what a JSON Web Key holds besides material.
  const keys = (name, use, allowed, kind, jwk, describe) => ({
    name,

    generateKey(given, extractable, usages) {
      const of = kind(given);
      allowPair(usages, allowed);
      return pair(native.generate(of), describe(given), extractable, usages, allowed);
    },

    importKey(format, data, given, extractable, usages) {
      const of = kind(given);
      const type = format === "pkcs8" || (format === "jwk" && data.d !== undefined) ? "private" : "public";
      let handle;
      if (format === "jwk") {
        allow(usages, allowed[type]);
        const { kty, crv, alg } = jwk(given);
        checkJwk(data, { kty, use, alg }, extractable, usages);
        if (data.crv !== crv) throw fail("DataError", "the JSON Web Key's crv doesn't fit");
        handle = native.readJwk(of, data);
      } else if (format === "raw" || format === "spki" || format === "pkcs8") {
        allow(usages, allowed[type]);
        handle = native.read(of, format, data);
      } else {
        throw noFormat(format);
      }
      if (type === "private") notEmpty(usages);
      return make(type, handle, describe(given), extractable, usages);
    },

    exportKey(format, key) {
      if (format === "jwk") {
        const { kty, crv, written } = jwk(key.algorithm);
        return writeJwk(key, written === undefined ? { kty, crv } : { kty, crv, alg: written });
      }
      if (format !== "raw" && format !== "spki" && format !== "pkcs8") throw noFormat(format);
      needs(key, format === "pkcs8" ? "private" : "public");
      return native.write(key.handle, format);
    },
  });

  // Key agreement, for both kinds of curves.
  const agreement = (same) => ({
    deriveBits(given, key, length) {
      needs(key, "private");
      const peer = inside(given.public);
      needs(peer, "public");
      if (peer.algorithm.name !== key.algorithm.name || !same(peer.algorithm, key.algorithm)) {
        throw fail("InvalidAccessError", "the keys are of different algorithms");
      }
      const secret = native.agree(key.handle, peer.handle);
      if (length === null || length === secret.byteLength * 8) return secret;
      if (length > secret.byteLength * 8) throw fail("OperationError", "that is more than the keys agree on");
      const bits = secret.slice(0, Math.ceil(length / 8));
      if (length % 8 !== 0) new Uint8Array(bits)[bits.byteLength - 1] &= 0xff << (8 - (length % 8));
      return bits;
    },
  });
  const peer = (given) => {
    const key = required(given, "public");
    if (!isKey(key)) throw new TypeError("public has to be a CryptoKey");
    return { public: key };
  };

  const SIGNATURE = { public: ["verify"], private: ["sign"] };
  const AGREEMENT = { public: [], private: ["deriveKey", "deriveBits"] };
  const curve = (given) => {
    if (ES[given.namedCurve] === undefined)
      throw fail("NotSupportedError", `${given.namedCurve} isn't offered`);
    return given.namedCurve;
  };
  const onCurve = (name) => (given) => ({ name, namedCurve: given.namedCurve });

  known.ECDSA = {
    ...keys(
      "ECDSA",
      "sig",
      SIGNATURE,
      curve,
      (given) => ({ kty: "EC", crv: given.namedCurve, alg: [ES[given.namedCurve]] }),
      onCurve("ECDSA"),
    ),
    parameters: {
      generateKey: namedCurve,
      importKey: namedCurve,
      sign: (given) => ({ hash: hash(given) }),
      verify: (given) => ({ hash: hash(given) }),
    },
    sign(given, key, data) {
      needs(key, "private");
      return native.ecdsa(given.hash, key.handle, data);
    },
    verify(given, key, signature, data) {
      needs(key, "public");
      return native.ecdsaVerify(given.hash, key.handle, signature, data);
    },
  };

  known.ECDH = {
    ...keys(
      "ECDH",
      "enc",
      AGREEMENT,
      curve,
      (given) => ({ kty: "EC", crv: given.namedCurve }),
      onCurve("ECDH"),
    ),
    parameters: { generateKey: namedCurve, importKey: namedCurve, deriveBits: peer },
    ...agreement((first, second) => first.namedCurve === second.namedCurve),
  };

  known.ED25519 = {
    ...keys(
      "Ed25519",
      "sig",
      SIGNATURE,
      () => "Ed25519",
      () => ({ kty: "OKP", crv: "Ed25519", alg: ["Ed25519", "EdDSA"], written: "Ed25519" }),
      () => ({ name: "Ed25519" }),
    ),
    sign(_, key, data) {
      needs(key, "private");
      return native.ed25519(key.handle, data);
    },
    verify(_, key, signature, data) {
      needs(key, "public");
      return native.ed25519Verify(key.handle, signature, data);
    },
  };

  known.X25519 = {
    ...keys(
      "X25519",
      "enc",
      AGREEMENT,
      () => "X25519",
      () => ({ kty: "OKP", crv: "X25519" }),
      () => ({ name: "X25519" }),
    ),
    parameters: { deriveBits: peer },
    ...agreement(() => true),
  };
});
