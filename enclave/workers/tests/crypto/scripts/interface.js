// What Web Crypto answers, case by case; `interface_public.js` goes on. The same scripts run in Node, whose answers are in
// `tests/vectors/webcrypto/interface.json`.
"use strict";

const { subtle } = crypto;
const data = Uint8Array.from({ length: 40 }, (_, at) => at * 7);
const exponent = new Uint8Array([1, 0, 1]);
const hex = (buffer) =>
  Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
const bytes = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const raw = (length) => Uint8Array.from({ length }, (_, at) => at + 1);

// Every key that cases share, made once.
const EC = {
  kty: "EC",
  crv: "P-256",
  x: "Ze2loSV3wrroKUN_4zhwGhCqo3Xhu1td4QjeQ5wIVR0",
  y: "HlLtdXARY_f55A3fnzQbPcm6hgr34Mp8p-nuzQCE0Zw",
  d: "r_kHyZ-a06rmxM3yESK84r1otSg-aQcVStkRhA-iCM8",
};
const OKP = {
  kty: "OKP",
  crv: "Ed25519",
  x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
  d: "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
};
const X = {
  kty: "OKP",
  crv: "X25519",
  x: "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo",
  d: "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo",
};
const aes = (name, usages = ["encrypt", "decrypt"]) => subtle.importKey("raw", raw(16), name, true, usages);
const hmac = (usages = ["sign", "verify"]) =>
  subtle.importKey("raw", raw(20), { name: "HMAC", hash: "SHA-256" }, true, usages);
const kdf = (name, usages = ["deriveBits", "deriveKey"]) =>
  subtle.importKey("raw", raw(16), name, false, usages);
const ecdsa = (jwk = EC, usages = ["sign"]) =>
  subtle.importKey("jwk", jwk, { name: "ECDSA", namedCurve: "P-256" }, true, usages);
const ecdh = (jwk = EC, usages = ["deriveBits", "deriveKey"]) =>
  subtle.importKey("jwk", jwk, { name: "ECDH", namedCurve: "P-256" }, true, usages);
const open = ({ d, ...rest }) => rest;

const CASES = {
  // Names of algorithms.
  "digest of an unknown name": () => subtle.digest("MD5", data),
  "digest of no name": () => subtle.digest({}, data),
  "digest of undefined": () => subtle.digest(undefined, data),
  "digest with HMAC": () => subtle.digest("HMAC", data),
  "digest in lower case": () => subtle.digest({ name: "sha-256" }, data),
  "digest of a Kelvin sign": () => subtle.importKey("raw", raw(16), "AES-\u212aW", true, ["wrapKey"]),
  "digest of text": () => subtle.digest("SHA-1", "text"),
  "digest of nothing": () => subtle.digest("SHA-1"),
  "digest of an ArrayBuffer": () => subtle.digest("SHA-384", data.buffer),
  "digest of a DataView": () => subtle.digest("SHA-512", new DataView(data.buffer, 3, 8)),
  "digest of a part": () => subtle.digest("SHA-256", new Uint16Array(data.buffer, 4, 5)),
  "digest called on nothing": () => subtle.digest.call(undefined, "SHA-1", data),

  // Random numbers.
  "random floats": () => crypto.getRandomValues(new Float32Array(2)),
  "random DataView": () => crypto.getRandomValues(new DataView(new ArrayBuffer(2))),
  "random ArrayBuffer": () => crypto.getRandomValues(new ArrayBuffer(2)),
  "random too many": () => crypto.getRandomValues(new Uint16Array(32769)),
  "random just enough": () => crypto.getRandomValues(new Uint16Array(32768)).length,
  "random returns its argument": () => {
    const a = new Uint8Array(2);
    return crypto.getRandomValues(a) === a;
  },
  "random UUID": () =>
    /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID()),

  // AES.
  "AES-GCM seals": async () =>
    subtle.encrypt({ name: "AES-GCM", iv: raw(12), additionalData: raw(5) }, await aes("AES-GCM"), data),
  "AES-GCM with a tag of 96 bits": async () =>
    subtle.encrypt({ name: "AES-GCM", iv: raw(12), tagLength: 96 }, await aes("AES-GCM"), data),
  "AES-GCM with an IV of 16 bytes": async () =>
    subtle.encrypt({ name: "AES-GCM", iv: raw(16) }, await aes("AES-GCM"), data),
  "AES-GCM with an IV of 1 byte": async () =>
    subtle.encrypt({ name: "AES-GCM", iv: raw(1), tagLength: 120 }, await aes("AES-GCM"), data),
  "AES-GCM with a tag of 97 bits": async () =>
    subtle.encrypt({ name: "AES-GCM", iv: raw(12), tagLength: 97 }, await aes("AES-GCM"), data),
  "AES-GCM with a tag of 256 bits": async () =>
    subtle.encrypt({ name: "AES-GCM", iv: raw(12), tagLength: 256 }, await aes("AES-GCM"), data),
  "AES-GCM without IV": async () => subtle.encrypt({ name: "AES-GCM" }, await aes("AES-GCM"), data),
  "AES-GCM with IV text": async () =>
    subtle.encrypt({ name: "AES-GCM", iv: "text" }, await aes("AES-GCM"), data),
  "AES-GCM opens less than a tag": async () =>
    subtle.decrypt({ name: "AES-GCM", iv: raw(12) }, await aes("AES-GCM"), raw(8)),
  "AES-GCM opens what is wrong": async () =>
    subtle.decrypt({ name: "AES-GCM", iv: raw(12) }, await aes("AES-GCM"), raw(40)),
  "AES-CBC": async () => subtle.encrypt({ name: "AES-CBC", iv: raw(16) }, await aes("AES-CBC"), data),
  "AES-CBC with an IV of 15 bytes": async () =>
    subtle.encrypt({ name: "AES-CBC", iv: raw(15) }, await aes("AES-CBC"), data),
  "AES-CBC opens half a block": async () =>
    subtle.decrypt({ name: "AES-CBC", iv: raw(16) }, await aes("AES-CBC"), raw(8)),
  "AES-CBC opens nothing": async () =>
    subtle.decrypt({ name: "AES-CBC", iv: raw(16) }, await aes("AES-CBC"), raw(0)),
  "AES-CTR": async () =>
    subtle.encrypt({ name: "AES-CTR", counter: raw(16), length: 64 }, await aes("AES-CTR"), data),
  "AES-CTR wraps within 4 bits": async () =>
    subtle.encrypt({ name: "AES-CTR", counter: raw(16).fill(255), length: 4 }, await aes("AES-CTR"), data),
  "AES-CTR wraps within 128 bits": async () =>
    subtle.encrypt({ name: "AES-CTR", counter: raw(16).fill(255), length: 128 }, await aes("AES-CTR"), data),
  "AES-CTR of no bits": async () =>
    subtle.encrypt({ name: "AES-CTR", counter: raw(16), length: 0 }, await aes("AES-CTR"), data),
  "AES-CTR of 129 bits": async () =>
    subtle.encrypt({ name: "AES-CTR", counter: raw(16), length: 129 }, await aes("AES-CTR"), data),
  "AES-CTR of a short counter": async () =>
    subtle.encrypt({ name: "AES-CTR", counter: raw(15), length: 64 }, await aes("AES-CTR"), data),
  "AES-CTR uses the counter up": async () =>
    subtle.encrypt({ name: "AES-CTR", counter: raw(16), length: 1 }, await aes("AES-CTR"), data),
  "AES-CTR of 256 as length": async () =>
    subtle.encrypt({ name: "AES-CTR", counter: raw(16), length: 256 }, await aes("AES-CTR"), data),
  "AES with another mode's key": async () =>
    subtle.encrypt({ name: "AES-CBC", iv: raw(16) }, await aes("AES-CTR"), data),
  "AES without the usage": async () =>
    subtle.encrypt({ name: "AES-CBC", iv: raw(16) }, await aes("AES-CBC", ["decrypt"]), data),
  "AES with no key": () => subtle.encrypt({ name: "AES-CBC", iv: raw(16) }, {}, data),
  "AES of a length": () => subtle.generateKey({ name: "AES-GCM", length: 100 }, true, ["encrypt"]),
  "AES of no length": () => subtle.generateKey({ name: "AES-GCM" }, true, ["encrypt"]),
  "AES without usages": () => subtle.generateKey({ name: "AES-GCM", length: 128 }, true, []),
  "AES to sign": () => subtle.generateKey({ name: "AES-GCM", length: 128 }, true, ["sign"]),
  "AES with an unknown usage": () => subtle.generateKey({ name: "AES-GCM", length: 128 }, true, ["fly"]),
  "AES raw of 17 bytes": () => subtle.importKey("raw", raw(17), "AES-GCM", true, ["encrypt"]),
  "AES spki": () => subtle.importKey("spki", raw(17), "AES-GCM", true, ["encrypt"]),
  "AES of an unknown format": () => subtle.importKey("pem", raw(16), "AES-GCM", true, ["encrypt"]),
  "AES-KW to encrypt": () => subtle.importKey("raw", raw(16), "AES-KW", true, ["encrypt"]),
  "AES-KW wraps": async () => subtle.wrapKey("raw", await hmac(), await aes("AES-KW", ["wrapKey"]), "AES-KW"),
  "AES-KW wraps 24 bytes": async () =>
    subtle.wrapKey("raw", await aes("AES-GCM"), await aes("AES-KW", ["wrapKey"]), "AES-KW"),
  "AES-KW unwraps what is wrong": async () =>
    subtle.unwrapKey("raw", raw(24), await aes("AES-KW", ["unwrapKey"]), "AES-KW", "AES-GCM", true, [
      "encrypt",
    ]),
  "AES-KW unwraps 9 bytes": async () =>
    subtle.unwrapKey("raw", raw(9), await aes("AES-KW", ["unwrapKey"]), "AES-KW", "AES-GCM", true, [
      "encrypt",
    ]),
  "AES-GCM wraps a JSON Web Key": async () => {
    const by = await aes("AES-GCM", ["wrapKey", "unwrapKey"]);
    const given = { name: "AES-GCM", iv: raw(12) };
    const wrapped = await subtle.wrapKey("jwk", await ecdsa(), by, given);
    const key = await subtle.unwrapKey(
      "jwk",
      wrapped,
      by,
      given,
      { name: "ECDSA", namedCurve: "P-256" },
      false,
      ["sign"],
    );
    return `${key.type} ${key.extractable} ${key.usages}`;
  },
  "unwraps what isn't JSON": async () => {
    const given = { name: "AES-CTR", counter: raw(16), length: 64 };
    return subtle.unwrapKey("jwk", raw(30), await aes("AES-CTR", ["unwrapKey"]), given, "AES-GCM", true, [
      "encrypt",
    ]);
  },
  "wraps what can't be exported": async () => {
    const key = await subtle.importKey("raw", raw(16), "AES-GCM", false, ["encrypt"]);
    return subtle.wrapKey("raw", key, await aes("AES-KW", ["wrapKey"]), "AES-KW");
  },
  "wraps without the usage": async () =>
    subtle.wrapKey("raw", await aes("AES-GCM"), await aes("AES-CBC"), { name: "AES-CBC", iv: raw(16) }),
  "exports what can't be exported": async () =>
    subtle.exportKey("raw", await subtle.importKey("raw", raw(16), "AES-GCM", false, ["encrypt"])),
  "exports an AES key as spki": async () => subtle.exportKey("spki", await aes("AES-GCM")),
  "exports an AES key as JSON Web Key": async () => subtle.exportKey("jwk", await aes("AES-CTR")),

  // JSON Web Keys of secrets.
  "JSON Web Key": () =>
    subtle.importKey("jwk", { kty: "oct", k: "AQIDBAUGBwgJCgsMDQ4PEA" }, "AES-GCM", true, ["encrypt"]),
  "JSON Web Key of another kty": () =>
    subtle.importKey("jwk", { kty: "EC", k: "AQIDBAUGBwgJCgsMDQ4PEA" }, "AES-GCM", true, ["encrypt"]),
  "JSON Web Key of another alg": () =>
    subtle.importKey("jwk", { kty: "oct", alg: "A256GCM", k: "AQIDBAUGBwgJCgsMDQ4PEA" }, "AES-GCM", true, [
      "encrypt",
    ]),
  "JSON Web Key of another use": () =>
    subtle.importKey("jwk", { kty: "oct", use: "sig", k: "AQIDBAUGBwgJCgsMDQ4PEA" }, "AES-GCM", true, [
      "encrypt",
    ]),
  "JSON Web Key without the usage": () =>
    subtle.importKey(
      "jwk",
      { kty: "oct", key_ops: ["decrypt"], k: "AQIDBAUGBwgJCgsMDQ4PEA" },
      "AES-GCM",
      true,
      ["encrypt"],
    ),
  "JSON Web Key with a usage twice": () =>
    subtle.importKey(
      "jwk",
      { kty: "oct", key_ops: ["encrypt", "encrypt"], k: "AQIDBAUGBwgJCgsMDQ4PEA" },
      "AES-GCM",
      true,
      ["encrypt"],
    ),
  "JSON Web Key that isn't extractable": () =>
    subtle.importKey("jwk", { kty: "oct", ext: false, k: "AQIDBAUGBwgJCgsMDQ4PEA" }, "AES-GCM", true, [
      "encrypt",
    ]),
  "JSON Web Key without key": () => subtle.importKey("jwk", { kty: "oct" }, "AES-GCM", true, ["encrypt"]),
  "JSON Web Key of no object": () => subtle.importKey("jwk", "text", "AES-GCM", true, ["encrypt"]),
  "JSON Web Key of bytes": () => subtle.importKey("jwk", raw(16), "AES-GCM", true, ["encrypt"]),
  "raw key of an object": () => subtle.importKey("raw", { kty: "oct" }, "AES-GCM", true, ["encrypt"]),

  // HMAC.
  "HMAC signs": async () => subtle.sign("HMAC", await hmac(), data),
  "HMAC verifies": async () =>
    subtle.verify("HMAC", await hmac(), await subtle.sign("HMAC", await hmac(), data), data),
  "HMAC verifies less": async () => subtle.verify("HMAC", await hmac(), raw(16), data),
  "HMAC of no bytes": () => subtle.importKey("raw", raw(0), { name: "HMAC", hash: "SHA-1" }, true, ["sign"]),
  "HMAC without hash": () => subtle.importKey("raw", raw(8), "HMAC", true, ["sign"]),
  "HMAC of an unknown hash": () =>
    subtle.importKey("raw", raw(8), { name: "HMAC", hash: "MD5" }, true, ["sign"]),
  "HMAC of another length": () =>
    subtle.importKey("raw", raw(8), { name: "HMAC", hash: "SHA-1", length: 48 }, true, ["sign"]),
  "HMAC of its length": async () =>
    (await subtle.importKey("raw", raw(8), { name: "HMAC", hash: "SHA-1", length: 64 }, true, ["sign"]))
      .algorithm,
  "HMAC new": async () =>
    (await subtle.generateKey({ name: "HMAC", hash: "SHA-384" }, true, ["sign"])).algorithm,
  "HMAC new of no bits": () =>
    subtle.generateKey({ name: "HMAC", hash: "SHA-384", length: 0 }, true, ["sign"]),
  "HMAC as JSON Web Key": async () => subtle.exportKey("jwk", await hmac()),
  "HMAC JSON Web Key of another alg": () =>
    subtle.importKey(
      "jwk",
      { kty: "oct", alg: "HS512", k: "AQID" },
      { name: "HMAC", hash: "SHA-256" },
      true,
      ["sign"],
    ),

  // Derivation.
  HKDF: async () =>
    subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt: raw(8), info: raw(4) }, await kdf("HKDF"), 256),
  "HKDF of no length": async () =>
    subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt: raw(8), info: raw(4) }, await kdf("HKDF"), null),
  "HKDF of 20 bits": async () =>
    subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt: raw(8), info: raw(4) }, await kdf("HKDF"), 20),
  "HKDF of too much": async () =>
    subtle.deriveBits(
      { name: "HKDF", hash: "SHA-256", salt: raw(8), info: raw(4) },
      await kdf("HKDF"),
      65288,
    ),
  "HKDF without info": async () =>
    subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt: raw(8) }, await kdf("HKDF"), 256),
  "HKDF without the usage": async () =>
    subtle.deriveBits(
      { name: "HKDF", hash: "SHA-256", salt: raw(8), info: raw(4) },
      await kdf("HKDF", ["deriveKey"]),
      256,
    ),
  "HKDF of an empty key": async () =>
    subtle.deriveBits(
      { name: "HKDF", hash: "SHA-1", salt: raw(0), info: raw(0) },
      await subtle.importKey("raw", raw(0), "HKDF", false, ["deriveBits"]),
      160,
    ),
  "HKDF key that is extractable": () => subtle.importKey("raw", raw(8), "HKDF", true, ["deriveBits"]),
  "HKDF key as JSON Web Key": () =>
    subtle.importKey("jwk", { kty: "oct", k: "AQID" }, "HKDF", false, ["deriveBits"]),
  "HKDF key to sign": () => subtle.importKey("raw", raw(8), "HKDF", false, ["sign"]),
  "HKDF new": () => subtle.generateKey("HKDF", false, ["deriveBits"]),
  PBKDF2: async () =>
    subtle.deriveBits(
      { name: "PBKDF2", hash: "SHA-512", salt: raw(8), iterations: 10 },
      await kdf("PBKDF2"),
      256,
    ),
  "PBKDF2 of no iterations": async () =>
    subtle.deriveBits(
      { name: "PBKDF2", hash: "SHA-512", salt: raw(8), iterations: 0 },
      await kdf("PBKDF2"),
      256,
    ),
  "PBKDF2 exports": async () => subtle.exportKey("raw", await kdf("PBKDF2")),
  "derives an AES key": async () => {
    const key = await subtle.deriveKey(
      { name: "PBKDF2", hash: "SHA-256", salt: raw(8), iterations: 3 },
      await kdf("PBKDF2"),
      { name: "AES-CBC", length: 192 },
      true,
      ["encrypt"],
    );
    return hex(await subtle.exportKey("raw", key));
  },
  "derives an HMAC key": async () => {
    const key = await subtle.deriveKey(
      { name: "HKDF", hash: "SHA-256", salt: raw(8), info: raw(1) },
      await kdf("HKDF"),
      { name: "HMAC", hash: "SHA-1" },
      true,
      ["sign"],
    );
    return hex(await subtle.exportKey("raw", key));
  },
  "derives an AES key of 100 bits": async () =>
    subtle.deriveKey(
      { name: "PBKDF2", hash: "SHA-256", salt: raw(8), iterations: 3 },
      await kdf("PBKDF2"),
      { name: "AES-CBC", length: 100 },
      true,
      ["encrypt"],
    ),
  "derives a key without usages": async () =>
    subtle.deriveKey(
      { name: "PBKDF2", hash: "SHA-256", salt: raw(8), iterations: 3 },
      await kdf("PBKDF2"),
      { name: "AES-CBC", length: 128 },
      true,
      [],
    ),
  "derives an RSA key": async () =>
    subtle.deriveKey(
      { name: "PBKDF2", hash: "SHA-256", salt: raw(8), iterations: 3 },
      await kdf("PBKDF2"),
      { name: "RSA-PSS", hash: "SHA-256" },
      true,
      ["sign"],
    ),
};
