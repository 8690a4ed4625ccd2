// HKDF and PBKDF2.
(function (host, web) {
  "use strict";

  web.need("crypto-algorithms");
  web.need("crypto-key");
  const { fail, native } = web.cryptoBase;
  const { known, hash, bytes, long } = web.cryptoAlgorithms;
  const { allow, make, noFormat } = web.cryptoKeys;
  const USAGES = ["deriveKey", "deriveBits"];

  const whole = (length) => {
    if (length === null || length % 8 !== 0) throw fail("OperationError", "the length isn't a multiple of 8");
    return length / 8;
  };

  const derivation = (name, parameters, deriveBits) => ({
    name,
    parameters: { deriveBits: parameters },
    deriveBits,
    importKey(format, data, _, extractable, usages) {
      if (format !== "raw") throw noFormat(format);
      allow(usages, USAGES);
      if (extractable) throw fail("SyntaxError", `keys of ${name} can't be extractable`);
      return make("secret", native.read("secret", "raw", data), { name }, false, usages);
    },
    getKeyLength: () => null,
  });

  known.HKDF = derivation(
    "HKDF",
    (given) => ({ hash: hash(given), info: bytes(given, "info"), salt: bytes(given, "salt") }),
    (given, key, length) => native.hkdf(given.hash, key.handle, given.salt, given.info, whole(length)),
  );

  known.PBKDF2 = derivation(
    "PBKDF2",
    (given) => ({ hash: hash(given), iterations: long(given, "iterations"), salt: bytes(given, "salt") }),
    (given, key, length) =>
      native.pbkdf2(given.hash, key.handle, given.salt, given.iterations, whole(length)),
  );
});
