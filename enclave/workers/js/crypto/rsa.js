// RSASSA-PKCS1-v1_5, RSA-PSS, RSA-OAEP.
(function (host, web) {
  "use strict";

  web.need("crypto-algorithms");
  web.need("crypto-key");
  const { fail, native, required, typeName } = web.cryptoBase;
  const { known, hash, hashName, long, optionalBytes } = web.cryptoAlgorithms;
  const { allow, notEmpty, make, pair, allowPair, checkJwk, writeJwk, noFormat } = web.cryptoKeys;

  const bitsOf = (key) => Number(key.algorithm.hash.name.slice(4));
  const needs = (key, type) => {
    if (key.type !== type) throw fail("InvalidAccessError", `this needs the ${type} key`);
  };

  const refuse = (condition, why) => {
    if (condition) throw fail("NotSupportedError", why);
  };

  const generated = (given) => {
    const publicExponent = required(given, "publicExponent");
    if (typeName(publicExponent) !== "Uint8Array")
      throw new TypeError("publicExponent has to be a Uint8Array");
    return { hash: hash(given), modulusLength: long(given, "modulusLength"), publicExponent };
  };

  // Big-endian, as a number; what is longer than 6 bytes is too much for any library.
  const number = (digits) => {
    const start = digits.findIndex((digit) => digit !== 0);
    const significant = start < 0 ? [] : digits.subarray(start);
    return significant.length > 6 ? Infinity : significant.reduce((value, digit) => value * 256 + digit, 0);
  };

  const described = (name, bits, handle) => {
    const about = native.rsa(handle);
    return {
      name,
      modulusLength: about.modulusLength,
      publicExponent: new Uint8Array(about.publicExponent),
      hash: { name: hashName(bits) },
    };
  };

  // What all three share; `alg` names the JSON Web Algorithm with a hash, `noSha1` says which keys don't take SHA-1.
  const scheme = (name, alg, use, allowed, noSha1, operations, parameters) => ({
    name,
    parameters: { generateKey: generated, importKey: (given) => ({ hash: hash(given) }), ...parameters },
    ...operations,

    generateKey(given, extractable, usages) {
      allowPair(usages, allowed);
      const exponent = number(given.publicExponent);
      if (exponent < 3 || exponent % 2 === 0 || exponent === Infinity) {
        throw fail("OperationError", "the public exponent can't be that of a key");
      }
      refuse(exponent !== 65537, "new RSA keys have the public exponent 65537 here");
      if (given.modulusLength < 256) throw fail("OperationError", "the modulus is too short");
      refuse(noSha1.private && given.hash === 1, `${name} with SHA-1 isn't offered`);
      const handles = native.generateRsa(given.modulusLength);
      return pair(handles, described(name, given.hash, handles[0]), extractable, usages, allowed);
    },

    importKey(format, data, given, extractable, usages) {
      let handle;
      const type = format === "pkcs8" || (format === "jwk" && data.d !== undefined) ? "private" : "public";
      if (format === "spki" || format === "pkcs8") {
        allow(usages, allowed[type]);
        handle = native.read("RSA", format, data);
      } else if (format === "jwk") {
        allow(usages, allowed[type]);
        checkJwk(data, { kty: "RSA", use, alg: [alg(given.hash)] }, extractable, usages);
        refuse(data.oth !== undefined, "RSA keys of more than two primes aren't offered");
        handle = native.readJwk("RSA", data);
      } else {
        throw noFormat(format);
      }
      refuse(noSha1[type] && given.hash === 1, `${name} with SHA-1 isn't offered`);
      if (type === "private") notEmpty(usages);
      return make(type, handle, described(name, given.hash, handle), extractable, usages);
    },

    exportKey(format, key) {
      if (format === "jwk") return writeJwk(key, { kty: "RSA", alg: alg(bitsOf(key)) });
      if (format !== "spki" && format !== "pkcs8") throw noFormat(format);
      needs(key, format === "spki" ? "public" : "private");
      return native.write(key.handle, format);
    },
  });

  const SIGNATURE = { public: ["verify"], private: ["sign"] };
  const signature = (salt) => ({
    sign(given, key, data) {
      needs(key, "private");
      return native.rsaSign(bitsOf(key), salt(given), key.handle, data);
    },
    verify(given, key, signed, data) {
      needs(key, "public");
      return native.rsaVerify(bitsOf(key), salt(given), key.handle, signed, data);
    },
  });

  known["RSASSA-PKCS1-V1_5"] = scheme(
    "RSASSA-PKCS1-v1_5",
    (bits) => `RS${bits}`,
    "sig",
    SIGNATURE,
    { private: true, public: false },
    signature(() => undefined),
  );

  const saltLength = (given) => ({ saltLength: long(given, "saltLength") });
  known["RSA-PSS"] = scheme(
    "RSA-PSS",
    (bits) => `PS${bits}`,
    "sig",
    SIGNATURE,
    { private: true, public: true },
    signature((given) => given.saltLength),
    { sign: saltLength, verify: saltLength },
  );

  const label = (given) => ({ label: optionalBytes(given, "label") });
  known["RSA-OAEP"] = scheme(
    "RSA-OAEP",
    (bits) => (bits === 1 ? "RSA-OAEP" : `RSA-OAEP-${bits}`),
    "enc",
    { public: ["encrypt", "wrapKey"], private: ["decrypt", "unwrapKey"] },
    { private: false, public: false },
    {
      encrypt(given, key, data) {
        needs(key, "public");
        return native.oaep(true, bitsOf(key), key.handle, given.label, data);
      },
      decrypt(given, key, data) {
        needs(key, "private");
        return native.oaep(false, bitsOf(key), key.handle, given.label, data);
      },
    },
    { encrypt: label, decrypt: label },
  );
});
