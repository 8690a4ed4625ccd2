// Checks `node.json`: `check(vectors)` gives how many vectors there are, and what failed.
"use strict";

const { subtle } = crypto;
const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const hex = (buffer) =>
  Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
const { stringify } = JSON;

const CHECKS = {
  digest: async ({ hash, data, digest }) => hex(await subtle.digest(hash, bytes(data))) === digest,

  async hmac({ hash, key, data, tag }) {
    const imported = await subtle.importKey("raw", bytes(key), { name: "HMAC", hash }, true, [
      "sign",
      "verify",
    ]);
    return (
      hex(await subtle.sign("HMAC", imported, bytes(data))) === tag &&
      (await subtle.verify("HMAC", imported, bytes(tag), bytes(data)))
    );
  },

  async ecdsa({ namedCurve, pkcs8, spki, raw, jwk, hash, data, signature }) {
    const type = { name: "ECDSA", namedCurve };
    const open = await subtle.importKey("spki", bytes(spki), type, true, ["verify"]);
    const key = await subtle.importKey("pkcs8", bytes(pkcs8), type, true, ["sign"]);
    const same = await subtle.importKey("jwk", jwk, type, true, ["sign"]);
    const own = await subtle.sign({ name: "ECDSA", hash }, same, bytes(data));
    const written = await subtle.exportKey("jwk", key);
    return (
      (await subtle.verify({ name: "ECDSA", hash }, open, bytes(signature), bytes(data))) &&
      (await subtle.verify({ name: "ECDSA", hash }, open, own, bytes(data))) &&
      !(await subtle.verify({ name: "ECDSA", hash }, open, own, bytes(`${data}00`))) &&
      hex(await subtle.exportKey("raw", open)) === raw &&
      hex(await subtle.exportKey("spki", open)) === spki &&
      hex(await subtle.exportKey("pkcs8", same)) === pkcs8 &&
      ["x", "y", "d", "crv", "kty"].every((name) => written[name] === jwk[name])
    );
  },

  async ecdh({ namedCurve, pkcs8, peer, secret }) {
    const type = { name: "ECDH", namedCurve };
    const own = await subtle.importKey("pkcs8", bytes(pkcs8), type, true, ["deriveBits"]);
    const other = await subtle.importKey("spki", bytes(peer), type, true, []);
    return hex(await subtle.deriveBits({ name: "ECDH", public: other }, own, null)) === secret;
  },

  async rsa({ name, hash, saltLength, pkcs8, spki, jwk, data, signature }) {
    const type = { name, hash };
    const open = await subtle.importKey("spki", bytes(spki), type, true, ["verify"]);
    const verified = await subtle.verify({ name, saltLength }, open, bytes(signature), bytes(data));
    if (hash === "SHA-1") return verified;
    const key = await subtle.importKey("jwk", jwk, type, true, ["sign"]);
    const own = await subtle.sign({ name, saltLength }, key, bytes(data));
    const again = await subtle.importKey("pkcs8", bytes(pkcs8), type, true, ["sign"]);
    const written = await subtle.exportKey("jwk", again);
    return (
      verified &&
      (await subtle.verify({ name, saltLength }, open, own, bytes(data))) &&
      (name === "RSA-PSS" || hex(own) === signature) &&
      hex(await subtle.exportKey("pkcs8", key)) === pkcs8 &&
      hex(await subtle.exportKey("spki", open)) === spki &&
      Object.keys(jwk).every((member) => stringify(written[member]) === stringify(jwk[member]))
    );
  },

  async gcm({ key, iv, aad, tagLength, data, sealed }) {
    const given = { name: "AES-GCM", iv: bytes(iv), additionalData: bytes(aad), tagLength };
    const imported = await subtle.importKey("raw", bytes(key), "AES-GCM", true, ["encrypt", "decrypt"]);
    const changed = bytes(sealed);
    changed[changed.length - 1] ^= 1;
    return (
      hex(await subtle.encrypt(given, imported, bytes(data))) === sealed &&
      hex(await subtle.decrypt(given, imported, bytes(sealed))) === data &&
      (await subtle.decrypt(given, imported, changed).catch((error) => error.name)) === "OperationError"
    );
  },

  async ctr({ key, counter, bits, data, sealed }) {
    const given = { name: "AES-CTR", counter: bytes(counter), length: bits };
    const imported = await subtle.importKey("raw", bytes(key), "AES-CTR", true, ["encrypt", "decrypt"]);
    return (
      hex(await subtle.encrypt(given, imported, bytes(data))) === sealed &&
      hex(await subtle.decrypt(given, imported, bytes(sealed))) === data
    );
  },
};

async function check(vectors) {
  let ran = 0;
  const failed = [];
  for (const [kind, list] of Object.entries(vectors)) {
    for (const [at, vector] of list.entries()) {
      ran++;
      const result = await CHECKS[kind](vector).catch((error) => `${error.name}: ${error.message}`);
      if (result !== true) failed.push(`${kind} ${at} ${result}`);
    }
  }
  return [ran, ...failed].join(", ");
}
