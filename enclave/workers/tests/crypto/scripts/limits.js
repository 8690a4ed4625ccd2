// What is bounded and refused, by name: `answer(name)` gives the value, or the error's name and text.
"use strict";

const { subtle } = crypto;
const raw = (length) => new Uint8Array(length);
const exponent = new Uint8Array([1, 0, 1]);
const hex = (buffer) =>
  Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
const megabyte = () => subtle.importKey("raw", raw(1 << 20), "HKDF", false, ["deriveBits"]);
const rsa = (given, usages) =>
  subtle.generateKey(
    { modulusLength: 2048, publicExponent: exponent, hash: "SHA-256", ...given },
    true,
    usages,
  );

async function pbkdf2(iterations, bits) {
  const key = await subtle.importKey("raw", raw(8), "PBKDF2", false, ["deriveBits"]);
  return subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt: raw(8), iterations }, key, bits);
}

const ANSWERS = {
  // What nobody holds is given back, in cycles too.
  async keysOneAfterAnother() {
    for (let i = 0; i < 20; i++) await megabyte();
    return "all";
  },

  async keysInCycles() {
    for (let i = 0; i < 20; i++) {
      const cycle = {};
      cycle.self = cycle;
      cycle.key = await megabyte();
    }
    return "all";
  },

  async bigKeysHeld() {
    const keys = [];
    try {
      for (;;) keys.push(await megabyte());
    } catch (error) {
      const held = keys.length;
      keys.length = 0;
      await megabyte();
      return `${error.name} ${held}`;
    }
  },

  async smallKeysHeld() {
    const keys = [];
    try {
      for (;;) keys.push(await subtle.generateKey("Ed25519", false, ["sign"]));
    } catch (error) {
      return `${error.name} ${keys.length > 5000 && keys.length < 10000}`;
    }
  },

  hugeSecret: () => subtle.generateKey({ name: "HMAC", hash: "SHA-1", length: 4294967295 }, false, ["sign"]),

  manyIterations: () => pbkdf2(2000001, 256),
  manyIterationsForTwoBlocks: () => pbkdf2(1000001, 264),
  muchOutput: () => pbkdf2(1, 4294967288),
  usualIterations: () => pbkdf2(1000, 256),

  rsa1024: () => rsa({ name: "RSA-OAEP", modulusLength: 1024 }, ["decrypt"]),
  rsa2049: () => rsa({ name: "RSA-OAEP", modulusLength: 2049 }, ["decrypt"]),
  rsa8192: () => rsa({ name: "RSA-OAEP", modulusLength: 8192 }, ["decrypt"]),
  rsaHuge: () => rsa({ name: "RSA-OAEP", modulusLength: 4294967295 }, ["decrypt"]),
  rsaExponent3: () => rsa({ name: "RSA-OAEP", publicExponent: raw(1).fill(3) }, ["decrypt"]),
  pssSha1: () => rsa({ name: "RSA-PSS", hash: "SHA-1" }, ["sign"]),
  pkcs1Sha1: () => rsa({ name: "RSASSA-PKCS1-v1_5", hash: "SHA-1" }, ["sign"]),
  oaepSha1: () => rsa({ name: "RSA-OAEP", hash: "SHA-1" }, ["decrypt"]),

  shortModulus: () =>
    subtle.importKey(
      "jwk",
      { kty: "RSA", n: "AQAB".repeat(40), e: "AQAB" },
      { name: "RSA-PSS", hash: "SHA-256" },
      true,
      ["verify"],
    ),
  withoutPrimes: () =>
    subtle.importKey(
      "jwk",
      { kty: "RSA", n: "AQAB".repeat(90), e: "AQAB", d: "AQAB" },
      { name: "RSA-PSS", hash: "SHA-256" },
      true,
      ["sign"],
    ),

  // Each byte of a key's DER changed, cut off, or added to. What is still read has to be written as it was.
  async brokenKeys() {
    const names = new Set();
    let rewritten = 0;
    for (const [type, own, open] of [
      [{ name: "ECDSA", namedCurve: "P-256" }, "sign", ["verify"]],
      ["Ed25519", "sign", ["verify"]],
      ["X25519", "deriveBits", []],
    ]) {
      const pair = await subtle.generateKey(type, true, [own, ...open]);
      for (const [format, key, usages] of [
        ["pkcs8", pair.privateKey, [own]],
        ["spki", pair.publicKey, open],
      ]) {
        const good = new Uint8Array(await subtle.exportKey(format, key));
        for (const bytes of broken(good)) {
          try {
            const read = await subtle.importKey(format, bytes, type, true, usages);
            if (hex(await subtle.exportKey(format, read)) !== hex(bytes)) rewritten++;
          } catch (error) {
            names.add(error.name);
          }
        }
      }
    }
    return `${[...names]} ${rewritten}`;
  },

  async dataThatGoesAway() {
    const key = await subtle.importKey("raw", raw(16), "AES-CBC", false, ["encrypt"]);
    const data = raw(40);
    const given = {
      name: "AES-CBC",
      get iv() {
        data.buffer.transfer();
        return raw(16);
      },
    };
    return (await subtle.encrypt(given, key, data)).byteLength;
  },

  async dataThatShrinks() {
    const key = await subtle.importKey("raw", raw(16), "AES-CBC", false, ["encrypt"]);
    const buffer = new ArrayBuffer(64, { maxByteLength: 128 });
    const given = {
      name: "AES-CBC",
      get iv() {
        buffer.resize(8);
        return raw(16);
      },
    };
    return (await subtle.encrypt(given, key, new Uint8Array(buffer))).byteLength;
  },

  async noBytes() {
    const wrong = [{}, [1, 2], "text", 7, null, Object.create(Uint8Array.prototype), new Proxy(raw(4), {})];
    const answers = await Promise.all(wrong.map((data) => subtle.digest("SHA-256", data).catch(described)));
    return [...new Set(answers)].join();
  },

  // The engine's methods, changed by the worker, don't change what is hashed.
  async changedMethods() {
    Object.defineProperty(Uint8Array.prototype, "byteLength", { value: 1 });
    Uint8Array.prototype.slice = () => raw(0);
    const view = new Uint16Array(2);
    Object.defineProperty(view, "buffer", { value: raw(1).buffer });
    return new Uint8Array(await subtle.digest("SHA-1", view))[0];
  },

  equalBytes: () => [
    subtle.timingSafeEqual(raw(4), raw(4).buffer),
    subtle.timingSafeEqual(raw(4), Uint8Array.of(0, 0, 0, 1)),
  ],
  unequalLengths: () => subtle.timingSafeEqual(raw(4), raw(5)),

  async nothingToReach() {
    const key = await subtle.generateKey({ name: "AES-GCM", length: 128 }, false, ["encrypt"]);
    const own = [key, crypto, subtle].flatMap((object) => Reflect.ownKeys(object));
    return [own.length, typeof host, typeof web, typeof Key, Object.prototype.toString.call(key)];
  },

  async clonedKey() {
    const key = await subtle.generateKey({ name: "HMAC", hash: "SHA-1" }, false, ["sign", "verify"]);
    const [copy, again] = structuredClone([key, key]);
    const verified = await subtle.verify("HMAC", key, await subtle.sign("HMAC", copy, raw(3)), raw(3));
    return [copy !== key, copy === again, copy instanceof CryptoKey, copy.extractable, verified];
  },
};

const described = (error) => `${error.name}: ${error.message}`;

function* broken(good) {
  for (let at = 0; at < good.length; at++) {
    for (const bit of [1, 128]) {
      const copy = good.slice();
      copy[at] ^= bit;
      yield copy;
    }
    yield good.slice(0, at);
  }
  yield Uint8Array.of(...good, 0);
}

async function answer(name) {
  try {
    return `${await ANSWERS[name]()}`;
  } catch (error) {
    return described(error);
  }
}
