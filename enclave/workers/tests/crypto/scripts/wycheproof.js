// Runs a file of Wycheproof's vectors through Web Crypto: `check(vectors)` gives the numbers of those that failed.
"use strict";

const { subtle } = crypto;
const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const hex = (buffer) =>
  Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
const CURVES = { secp256r1: "P-256", secp384r1: "P-384", secp521r1: "P-521" };

// By the type of a group: whether the test's result is what it says for valid ones. Throwing is a failed operation.
const KINDS = {
  async AeadTest(group, test) {
    const key = await subtle.importKey("raw", bytes(test.key), "AES-GCM", false, ["encrypt", "decrypt"]);
    const given = {
      name: "AES-GCM",
      iv: bytes(test.iv),
      additionalData: bytes(test.aad),
      tagLength: group.tagSize,
    };
    const plain = await subtle.decrypt(given, key, bytes(test.ct + test.tag));
    const sealed = await subtle.encrypt(given, key, bytes(test.msg));
    return hex(plain) === test.msg && hex(sealed) === test.ct + test.tag;
  },

  async IndCpaTest(_, test) {
    const key = await subtle.importKey("raw", bytes(test.key), "AES-CBC", false, ["encrypt", "decrypt"]);
    const given = { name: "AES-CBC", iv: bytes(test.iv) };
    const plain = await subtle.decrypt(given, key, bytes(test.ct));
    return hex(plain) === test.msg && hex(await subtle.encrypt(given, key, bytes(test.msg))) === test.ct;
  },

  async KeywrapTest(_, test) {
    const by = await subtle.importKey("raw", bytes(test.key), "AES-KW", false, ["wrapKey", "unwrapKey"]);
    const hmac = { name: "HMAC", hash: "SHA-256" };
    const key = await subtle.unwrapKey("raw", bytes(test.ct), by, "AES-KW", hmac, true, ["sign"]);
    return (
      hex(await subtle.exportKey("raw", key)) === test.msg &&
      hex(await subtle.wrapKey("raw", key, by, "AES-KW")) === test.ct
    );
  },

  async MacTest(group, test, name) {
    const hash = `SHA-${name.slice(8)}`;
    const key = await subtle.importKey("raw", bytes(test.key), { name: "HMAC", hash }, false, [
      "sign",
      "verify",
    ]);
    const tag = hex(await subtle.sign("HMAC", key, bytes(test.msg))).slice(0, group.tagSize / 4);
    const whole = group.tagSize === hash.replace("SHA-1", "SHA-160").slice(4) * 1;
    return (
      tag === test.tag && (!whole || (await subtle.verify("HMAC", key, bytes(test.tag), bytes(test.msg))))
    );
  },

  async HkdfTest(_, test, name) {
    const key = await subtle.importKey("raw", bytes(test.ikm), "HKDF", false, ["deriveBits"]);
    const given = {
      name: "HKDF",
      hash: `SHA-${name.slice(8)}`,
      salt: bytes(test.salt),
      info: bytes(test.info),
    };
    return hex(await subtle.deriveBits(given, key, test.size * 8)) === test.okm;
  },

  async PbkdfTest(_, test, name) {
    const key = await subtle.importKey("raw", bytes(test.password), "PBKDF2", false, ["deriveBits"]);
    const hash = `SHA-${name.slice(14)}`;
    const given = { name: "PBKDF2", hash, salt: bytes(test.salt), iterations: test.iterationCount };
    return hex(await subtle.deriveBits(given, key, test.dkLen * 8)) === test.dk;
  },

  async EcdsaP1363Verify(group, test, name) {
    const namedCurve = CURVES[name.split("_")[1]];
    const key = await subtle.importKey(
      "spki",
      bytes(group.publicKeyDer),
      { name: "ECDSA", namedCurve },
      true,
      ["verify"],
    );
    return subtle.verify({ name: "ECDSA", hash: group.sha }, key, bytes(test.sig), bytes(test.msg));
  },

  async EcdhWebcryptoTest(group, test) {
    const type = { name: "ECDH", namedCurve: group.curve };
    const own = await subtle.importKey("jwk", test.private, type, false, ["deriveBits"]);
    const peer = await subtle.importKey("jwk", test.public, type, false, []);
    return hex(await subtle.deriveBits({ name: "ECDH", public: peer }, own, null)) === test.shared;
  },

  async XdhJwkComp(_, test) {
    const own = await subtle.importKey("jwk", test.private, "X25519", false, ["deriveBits"]);
    const peer = await subtle.importKey("jwk", test.public, "X25519", false, []);
    return hex(await subtle.deriveBits({ name: "X25519", public: peer }, own, null)) === test.shared;
  },

  async EddsaVerify(group, test) {
    const key = await subtle.importKey("spki", bytes(group.publicKeyDer), "Ed25519", true, ["verify"]);
    return subtle.verify("Ed25519", key, bytes(test.sig), bytes(test.msg));
  },

  async RsaesOaepDecrypt(group, test) {
    const type = { name: "RSA-OAEP", hash: group.sha };
    const key = await subtle.importKey("pkcs8", bytes(group.privateKeyPkcs8), type, false, ["decrypt"]);
    const given = { name: "RSA-OAEP", label: bytes(test.label) };
    return hex(await subtle.decrypt(given, key, bytes(test.ct))) === test.msg;
  },

  async RsassaPssVerify(group, test) {
    const type = { name: "RSA-PSS", hash: group.sha };
    const key = await subtle.importKey("spki", bytes(group.publicKeyDer), type, true, ["verify"]);
    return subtle.verify({ name: "RSA-PSS", saltLength: group.sLen }, key, bytes(test.sig), bytes(test.msg));
  },

  async RsassaPkcs1Verify(group, test) {
    const type = { name: "RSASSA-PKCS1-v1_5", hash: group.sha };
    const key = await subtle.importKey("spki", bytes(group.publicKeyDer), type, true, ["verify"]);
    return subtle.verify("RSASSA-PKCS1-v1_5", key, bytes(test.sig), bytes(test.msg));
  },

  async RsassaPkcs1Generate(group, test) {
    const type = { name: "RSASSA-PKCS1-v1_5", hash: group.sha };
    const key = await subtle.importKey("pkcs8", bytes(group.privateKeyPkcs8), type, true, ["sign"]);
    return hex(await subtle.sign("RSASSA-PKCS1-v1_5", key, bytes(test.msg))) === test.sig;
  },
};

// Gives the number of tests, and those that failed: valid ones that don't work, others that do.
async function check(name, vectors) {
  let ran = 0;
  const failed = [];
  for (const group of vectors.groups) {
    for (const test of group.tests) {
      ran++;
      let works;
      try {
        works = await KINDS[group.type](group, test, name);
      } catch (error) {
        works = error.name;
        if (!(error instanceof DOMException) && !(error instanceof TypeError)) throw error;
      }
      if (test.result === "acceptable" || (works === true) === (test.result === "valid")) continue;
      failed.push(`${test.tcId} ${test.result} ${works}`);
    }
  }
  return [ran, ...failed].join(", ");
}
