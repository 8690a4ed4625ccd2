// AES in its four modes.
(function (host, web) {
  "use strict";

  web.need("crypto-algorithms");
  web.need("crypto-key");
  const { fail, integer, native } = web.cryptoBase;
  const { known, bytes, optionalBytes, octet, short } = web.cryptoAlgorithms;
  const { allow, notEmpty, make, checkJwk, writeJwk, noFormat } = web.cryptoKeys;
  const LENGTHS = [128, 192, 256];
  const TAGS = [32, 64, 96, 104, 112, 120, 128];

  const length = (given) => ({ length: short(given, "length") });
  const checkLength = (bits) => {
    if (!LENGTHS.includes(bits)) throw fail("OperationError", "AES keys have 128, 192 or 256 bits");
    return bits;
  };

  // What all modes share; `letters` end the names of JSON Web Algorithms.
  const mode = (name, letters, USAGES, operations, parameters) => ({
    name,
    parameters: { generateKey: length, getKeyLength: length, ...parameters },
    ...operations,

    generateKey(given, extractable, usages) {
      allow(usages, USAGES);
      const bits = checkLength(given.length);
      notEmpty(usages);
      return make("secret", native.generateSecret(bits), { name, length: bits }, extractable, usages);
    },

    importKey(format, data, _, extractable, usages) {
      allow(usages, USAGES);
      let handle;
      if (format === "raw") {
        handle = native.read("secret", "raw", data);
      } else if (format === "jwk") {
        if (data.kty !== "oct") throw fail("DataError", "the JSON Web Key's kty doesn't fit");
        handle = native.readJwk("secret", data);
      } else {
        throw noFormat(format);
      }
      const bits = native.bytes(handle) * 8;
      if (!LENGTHS.includes(bits)) throw fail("DataError", "AES keys have 128, 192 or 256 bits");
      const fitting = { kty: "oct", use: "enc", alg: [`A${bits}${letters}`] };
      if (format === "jwk") checkJwk(data, fitting, extractable, usages);
      return make("secret", handle, { name, length: bits }, extractable, usages);
    },

    exportKey(format, key) {
      if (format === "raw") return native.write(key.handle, "raw");
      if (format === "jwk") return writeJwk(key, { kty: "oct", alg: `A${key.algorithm.length}${letters}` });
      throw noFormat(format);
    },

    getKeyLength: (given) => checkLength(given.length),
  });

  const CIPHER = ["encrypt", "decrypt", "wrapKey", "unwrapKey"];
  const both = (convert) => ({ encrypt: convert, decrypt: convert });

  known["AES-CBC"] = mode(
    "AES-CBC",
    "CBC",
    CIPHER,
    {
      encrypt: (given, key, data) => native.cbc(true, key.handle, given.iv, data),
      decrypt: (given, key, data) => native.cbc(false, key.handle, given.iv, data),
    },
    both((given) => ({ iv: bytes(given, "iv") })),
  );

  const counter = (given, key, data) => native.ctr(key.handle, given.counter, given.length, data);
  known["AES-CTR"] = mode(
    "AES-CTR",
    "CTR",
    CIPHER,
    { encrypt: counter, decrypt: counter },
    both((given) => ({ counter: bytes(given, "counter"), length: octet(given, "length") })),
  );

  const gcm = (encrypt) => (given, key, data) => {
    if (!TAGS.includes(given.tag)) throw fail("OperationError", `tags have ${TAGS} bits`);
    return native.gcm(encrypt, key.handle, { iv: given.iv, aad: given.aad, tag: given.tag / 8 }, data);
  };
  const gcmGiven = (given) => ({
    aad: optionalBytes(given, "additionalData"),
    iv: bytes(given, "iv"),
    tag: given.tagLength === undefined ? 128 : integer(given.tagLength, 255, "tagLength"),
  });
  known["AES-GCM"] = mode(
    "AES-GCM",
    "GCM",
    CIPHER,
    { encrypt: gcm(true), decrypt: gcm(false) },
    both(gcmGiven),
  );

  known["AES-KW"] = mode("AES-KW", "KW", ["wrapKey", "unwrapKey"], {
    wrapKey: (_, key, data) => native.wrap(true, key.handle, data),
    unwrapKey: (_, key, data) => native.wrap(false, key.handle, data),
  });
});
