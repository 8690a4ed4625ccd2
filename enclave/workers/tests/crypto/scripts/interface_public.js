// The rest of the cases of `interface.js`: public keys and objects. `cases()` answers all.

Object.assign(CASES, {
  // Curves.
  "ECDSA key": async () => {
    const key = await ecdsa();
    return [key.type, key.extractable, key.algorithm, key.usages];
  },
  "ECDSA pkcs8": async () => subtle.exportKey("pkcs8", await ecdsa()),
  "ECDSA spki": async () => subtle.exportKey("spki", await ecdsa(open(EC), ["verify"])),
  "ECDSA raw": async () => subtle.exportKey("raw", await ecdsa(open(EC), [])),
  "ECDSA raw of a private key": async () => subtle.exportKey("raw", await ecdsa()),
  "ECDSA pkcs8 of a public key": async () => subtle.exportKey("pkcs8", await ecdsa(open(EC), [])),
  "ECDSA compressed": async () => {
    const key = await subtle.importKey(
      "raw",
      bytes("0265eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d"),
      { name: "ECDSA", namedCurve: "P-256" },
      true,
      ["verify"],
    );
    return hex(await subtle.exportKey("raw", key));
  },
  "ECDSA verifies": async () => {
    const signature = await subtle.sign({ name: "ECDSA", hash: "SHA-512" }, await ecdsa(), data);
    const key = await ecdsa(open(EC), ["verify"]);
    const short = signature.slice(1);
    const given = { name: "ECDSA", hash: "SHA-512" };
    return [
      await subtle.verify(given, key, signature, data),
      await subtle.verify(given, key, short, data),
      await subtle.verify(given, key, signature, raw(3)),
    ];
  },
  "ECDSA without hash": async () => subtle.sign("ECDSA", await ecdsa(), data),
  "ECDSA signs with a public key": async () =>
    subtle.sign({ name: "ECDSA", hash: "SHA-256" }, await ecdsa(open(EC), ["verify"]), data),
  "ECDSA private to verify": () => ecdsa(EC, ["verify"]),
  "ECDSA private for nothing": () => ecdsa(EC, []),
  "ECDSA public to sign": () => ecdsa(open(EC), ["sign"]),
  "ECDSA new to verify only": () =>
    subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["verify"]),
  "ECDSA new": async () => {
    const pair = await subtle.generateKey({ name: "ECDSA", namedCurve: "P-384" }, false, ["sign", "verify"]);
    return [pair.publicKey, pair.privateKey].map((key) => [
      key.type,
      key.extractable,
      key.algorithm,
      key.usages,
    ]);
  },
  "ECDSA new on an unknown curve": () =>
    subtle.generateKey({ name: "ECDSA", namedCurve: "P-512" }, true, ["sign"]),
  "ECDSA new without curve": () => subtle.generateKey("ECDSA", true, ["sign"]),
  "ECDSA key of an unknown curve": () =>
    subtle.importKey("raw", raw(65), { name: "ECDSA", namedCurve: "P-512" }, true, ["verify"]),
  "ECDSA key of another curve": () =>
    subtle.importKey("jwk", EC, { name: "ECDSA", namedCurve: "P-384" }, true, ["sign"]),
  "ECDSA key of another alg": () => ecdsa({ ...EC, alg: "ES384" }),
  "ECDSA key not on the curve": () => ecdsa({ ...open(EC), x: EC.y }, ["verify"]),
  "ECDSA key with another's private": () => ecdsa({ ...EC, d: EC.y }),
  "ECDSA key of another length": () => ecdsa({ ...open(EC), x: "AQID" }, ["verify"]),
  "ECDSA raw of nothing": () =>
    subtle.importKey("raw", raw(0), { name: "ECDSA", namedCurve: "P-256" }, true, ["verify"]),
  "ECDSA spki of nothing": () =>
    subtle.importKey("spki", raw(10), { name: "ECDSA", namedCurve: "P-256" }, true, ["verify"]),
  "ECDSA jwk": async () => subtle.exportKey("jwk", await ecdsa()),
  ECDH: async () => subtle.deriveBits({ name: "ECDH", public: await ecdh(open(EC), []) }, await ecdh(), 256),
  "ECDH of no length": async () =>
    subtle.deriveBits({ name: "ECDH", public: await ecdh(open(EC), []) }, await ecdh(), null),
  "ECDH of 20 bits": async () =>
    subtle.deriveBits({ name: "ECDH", public: await ecdh(open(EC), []) }, await ecdh(), 20),
  "ECDH of too much": async () =>
    subtle.deriveBits({ name: "ECDH", public: await ecdh(open(EC), []) }, await ecdh(), 264),
  "ECDH with a private key": async () =>
    subtle.deriveBits({ name: "ECDH", public: await ecdh() }, await ecdh(), 256),
  "ECDH with ECDSA's key": async () =>
    subtle.deriveBits({ name: "ECDH", public: await ecdsa(open(EC), []) }, await ecdh(), 256),
  "ECDH with no key": async () => subtle.deriveBits({ name: "ECDH" }, await ecdh(), 256),
  "ECDH jwk": async () => subtle.exportKey("jwk", await ecdh(open(EC), [])),
  "Ed25519 signs": async () =>
    subtle.sign("Ed25519", await subtle.importKey("jwk", OKP, "Ed25519", true, ["sign"]), data),
  "Ed25519 pkcs8": async () =>
    subtle.exportKey("pkcs8", await subtle.importKey("jwk", OKP, "Ed25519", true, ["sign"])),
  "Ed25519 raw": async () =>
    subtle.exportKey("raw", await subtle.importKey("jwk", open(OKP), "Ed25519", true, ["verify"])),
  "Ed25519 spki": async () =>
    subtle.exportKey("spki", await subtle.importKey("jwk", open(OKP), "Ed25519", true, ["verify"])),
  "Ed25519 of another curve": () =>
    subtle.importKey("jwk", { ...OKP, crv: "X25519" }, "Ed25519", true, ["sign"]),
  "Ed25519 with another's private": () =>
    subtle.importKey("jwk", { ...OKP, d: X.d }, "Ed25519", true, ["sign"]),
  "Ed25519 of 31 bytes": () => subtle.importKey("raw", raw(31), "Ed25519", true, ["verify"]),
  X25519: async () =>
    subtle.deriveBits(
      {
        name: "X25519",
        public: await subtle.importKey(
          "raw",
          bytes("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"),
          "X25519",
          true,
          [],
        ),
      },
      await subtle.importKey("jwk", X, "X25519", true, ["deriveBits"]),
      256,
    ),
  "X25519 with zero": async () =>
    subtle.deriveBits(
      { name: "X25519", public: await subtle.importKey("raw", new Uint8Array(32), "X25519", true, []) },
      await subtle.importKey("jwk", X, "X25519", true, ["deriveBits"]),
      256,
    ),

  // RSA.
  "RSA of exponent 1": () =>
    subtle.generateKey(
      { name: "RSA-PSS", hash: "SHA-256", modulusLength: 2048, publicExponent: new Uint8Array([1]) },
      true,
      ["sign"],
    ),
  "RSA without exponent": () =>
    subtle.generateKey({ name: "RSA-PSS", hash: "SHA-256", modulusLength: 2048 }, true, ["sign"]),
  "RSA without hash": () =>
    subtle.generateKey({ name: "RSA-PSS", modulusLength: 2048, publicExponent: exponent }, true, ["sign"]),
  "RSA to encrypt": () =>
    subtle.generateKey(
      { name: "RSA-PSS", hash: "SHA-256", modulusLength: 2048, publicExponent: exponent },
      true,
      ["encrypt"],
    ),
  RSA: async () => {
    const pair = await subtle.generateKey(
      { name: "RSA-PSS", hash: "SHA-384", modulusLength: 2048, publicExponent: exponent },
      false,
      ["sign", "verify"],
    );
    const signature = await subtle.sign({ name: "RSA-PSS", saltLength: 17 }, pair.privateKey, data);
    const verify = (saltLength, of = data) =>
      subtle.verify({ name: "RSA-PSS", saltLength }, pair.publicKey, signature, of);
    return [
      signature.byteLength,
      await verify(17),
      await verify(18),
      await verify(17, raw(2)),
      pair.publicKey.extractable,
      pair.privateKey.extractable,
      pair.publicKey.algorithm,
    ];
  },
  "RSA with too much salt": async () => {
    const pair = await subtle.generateKey(
      { name: "RSA-PSS", hash: "SHA-512", modulusLength: 2048, publicExponent: exponent },
      false,
      ["sign", "verify"],
    );
    return subtle.sign({ name: "RSA-PSS", saltLength: 191 }, pair.privateKey, data);
  },
  "RSA-OAEP": async () => {
    const pair = await subtle.generateKey(
      { name: "RSA-OAEP", hash: "SHA-256", modulusLength: 2048, publicExponent: exponent },
      true,
      ["encrypt", "decrypt"],
    );
    const sealed = await subtle.encrypt({ name: "RSA-OAEP", label: raw(3) }, pair.publicKey, data);
    const jwk = await subtle.exportKey("jwk", pair.privateKey);
    const again = await subtle.importKey("jwk", jwk, { name: "RSA-OAEP", hash: "SHA-256" }, true, [
      "decrypt",
    ]);
    const pkcs8 = await subtle.importKey(
      "pkcs8",
      await subtle.exportKey("pkcs8", again),
      { name: "RSA-OAEP", hash: "SHA-256" },
      true,
      ["decrypt"],
    );
    const wrong = await subtle.decrypt("RSA-OAEP", pkcs8, sealed).catch((error) => error.name);
    const long = await subtle.encrypt("RSA-OAEP", pair.publicKey, raw(191)).catch((error) => error.name);
    return [
      hex(await subtle.decrypt({ name: "RSA-OAEP", label: raw(3) }, pkcs8, sealed)),
      wrong,
      long,
      Object.keys(jwk).sort(),
    ];
  },
  "RSA private to verify": () =>
    subtle.importKey("pkcs8", raw(10), { name: "RSA-PSS", hash: "SHA-256" }, true, ["verify"]),
  "RSA of no DER": () =>
    subtle.importKey("spki", raw(10), { name: "RSA-PSS", hash: "SHA-256" }, true, ["verify"]),
  "RSA raw": () => subtle.importKey("raw", raw(10), { name: "RSA-PSS", hash: "SHA-256" }, true, ["verify"]),

  // Objects.
  "a new CryptoKey": () => new CryptoKey(),
  "a new SubtleCrypto": () => new SubtleCrypto(),
  "a new Crypto": () => new Crypto(),
  tags: async () => [crypto, subtle, await hmac()].map((value) => Object.prototype.toString.call(value)),
  "an algorithm is the same object": async () => {
    const key = await hmac();
    return key.algorithm === key.algorithm && key.usages === key.usages;
  },
  "an algorithm can't be changed": async () => {
    const key = await hmac();
    key.algorithm.name = "AES-GCM";
    key.usages.push("encrypt");
    return subtle.encrypt({ name: "AES-GCM", iv: raw(12) }, key, data);
  },
  "usages in order": async () =>
    (await aes("AES-GCM", ["unwrapKey", "decrypt", "encrypt", "encrypt"])).usages,
  "usages of another object": () => subtle.importKey("raw", raw(16), "AES-GCM", true, "encrypt"),
  "too few arguments": () => subtle.importKey("raw", raw(16), "AES-GCM", true),
});

const sorted = (value) => {
  if (Array.isArray(value)) return value.map(sorted);
  if (value instanceof Uint8Array || value instanceof ArrayBuffer) return hex(value);
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof CryptoKey) return `CryptoKey ${value.type}`;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key])]),
  );
};

async function cases() {
  const answers = {};
  for (const [name, run] of Object.entries(CASES)) {
    try {
      answers[name] = JSON.stringify(sorted(await run()));
    } catch (error) {
      answers[name] = `throws ${error.name}`;
    }
  }
  return JSON.stringify(answers, undefined, 1);
}
