// SHA-1 and SHA-2, and HMAC with them.
(function (host, web) {
  "use strict";

  web.need("crypto-algorithms");
  web.need("crypto-key");
  const { fail, native } = web.cryptoBase;
  const { known, hash, hashName, long } = web.cryptoAlgorithms;
  const { allow, notEmpty, make, checkJwk, writeJwk, noFormat } = web.cryptoKeys;

  for (const bits of [1, 256, 384, 512]) {
    known[hashName(bits)] = { name: hashName(bits), bits, digest: (_, data) => native.digest(bits, data) };
  }

  const USAGES = ["sign", "verify"];
  const block = (bits) => (bits > 256 ? 1024 : 512);
  const optional = (given) => (given.length === undefined ? undefined : long(given, "length"));
  const parameters = (given) => ({ hash: hash(given), length: optional(given) });
  const bitsOf = (key) => Number(key.algorithm.hash.name.slice(4));

  const described = (bits, length) => ({ name: "HMAC", hash: { name: hashName(bits) }, length });

  // Keeps the first `length` bits of a key that was given whole.
  const cut = (bytes, length) => {
    const whole = bytes.length * 8;
    if (length === undefined || length === whole) return bytes;
    if (length > whole || length <= whole - 8) throw fail("DataError", "the key has another length");
    const copy = bytes.slice();
    copy[copy.length - 1] &= 0xff << (whole - length);
    return copy;
  };

  known.HMAC = {
    name: "HMAC",
    parameters: { generateKey: parameters, importKey: parameters, getKeyLength: parameters },

    sign: (_, key, data) => native.hmac(bitsOf(key), key.handle, data),
    verify: (_, key, signature, data) => native.hmacVerify(bitsOf(key), key.handle, signature, data),

    generateKey(given, extractable, usages) {
      allow(usages, USAGES);
      notEmpty(usages);
      const length = given.length ?? block(given.hash);
      if (length === 0) throw fail("OperationError", "a key of no bits");
      return make(
        "secret",
        native.generateSecret(length),
        described(given.hash, length),
        extractable,
        usages,
      );
    },

    importKey(format, data, given, extractable, usages) {
      allow(usages, USAGES);
      let handle;
      if (format === "raw") {
        if (data.length === 0) throw fail("DataError", "a key of no bits");
        handle = native.read("secret", "raw", cut(data, given.length));
      } else if (format === "jwk") {
        checkJwk(data, { kty: "oct", use: "sig", alg: [`HS${given.hash}`] }, extractable, usages);
        handle = native.readJwk("secret", data);
        if (native.bytes(handle) === 0) throw fail("DataError", "a key of no bits");
        if (given.length !== undefined) {
          const bytes = new Uint8Array(native.write(handle, "raw"));
          handle = native.read("secret", "raw", cut(bytes, given.length));
          bytes.fill(0);
        }
      } else {
        throw noFormat(format);
      }
      const length = given.length ?? native.bytes(handle) * 8;
      return make("secret", handle, described(given.hash, length), extractable, usages);
    },

    exportKey(format, key) {
      if (format === "raw") return native.write(key.handle, "raw");
      if (format === "jwk") return writeJwk(key, { kty: "oct", alg: `HS${bitsOf(key)}` });
      throw noFormat(format);
    },

    getKeyLength(given) {
      if (given.length === 0) throw new TypeError("a key of no bits");
      return given.length ?? block(given.hash);
    },
  };
});
