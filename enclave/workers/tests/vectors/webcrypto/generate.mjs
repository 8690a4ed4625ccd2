// Writes `node.json`: what Node's Web Crypto (OpenSSL) makes of fixed and random inputs, for what other vectors lack.
// Run as `node generate.mjs > node.json`.
const { subtle } = globalThis.crypto;
const hex = (buffer) => Buffer.from(buffer).toString("hex");
const random = (length) => crypto.getRandomValues(new Uint8Array(length));
const HASHES = ["SHA-1", "SHA-256", "SHA-384", "SHA-512"];
const out = { digest: [], ecdsa: [], rsa: [], gcm: [], ctr: [], hmac: [], ecdh: [] };

for (const hash of HASHES) {
  for (const length of [0, 1, 55, 56, 64, 111, 112, 128, 1000]) {
    const data = random(length);
    out.digest.push({ hash, data: hex(data), digest: hex(await subtle.digest(hash, data)) });
    if (length === 0) continue;
    const key = await subtle.importKey("raw", random(length), { name: "HMAC", hash }, true, ["sign"]);
    out.hmac.push({
      hash,
      key: hex(await subtle.exportKey("raw", key)),
      data: hex(data),
      tag: hex(await subtle.sign("HMAC", key, data)),
    });
  }
}

for (const namedCurve of ["P-256", "P-384", "P-521"]) {
  const pair = await subtle.generateKey({ name: "ECDSA", namedCurve }, true, ["sign", "verify"]);
  const key = {
    namedCurve,
    pkcs8: hex(await subtle.exportKey("pkcs8", pair.privateKey)),
    spki: hex(await subtle.exportKey("spki", pair.publicKey)),
    raw: hex(await subtle.exportKey("raw", pair.publicKey)),
    jwk: await subtle.exportKey("jwk", pair.privateKey),
  };
  for (const hash of HASHES) {
    const data = random(33);
    out.ecdsa.push({
      ...key,
      hash,
      data: hex(data),
      signature: hex(await subtle.sign({ name: "ECDSA", hash }, pair.privateKey, data)),
    });
  }
  const own = await subtle.generateKey({ name: "ECDH", namedCurve }, true, ["deriveBits"]);
  const peer = await subtle.generateKey({ name: "ECDH", namedCurve }, true, ["deriveBits"]);
  out.ecdh.push({
    namedCurve,
    pkcs8: hex(await subtle.exportKey("pkcs8", own.privateKey)),
    peer: hex(await subtle.exportKey("spki", peer.publicKey)),
    secret: hex(await subtle.deriveBits({ name: "ECDH", public: peer.publicKey }, own.privateKey, null)),
  });
}

for (const [name, hash, salts] of [
  ["RSASSA-PKCS1-v1_5", "SHA-1", [undefined]],
  ["RSASSA-PKCS1-v1_5", "SHA-256", [undefined]],
  ["RSASSA-PKCS1-v1_5", "SHA-384", [undefined]],
  ["RSASSA-PKCS1-v1_5", "SHA-512", [undefined]],
  ["RSA-PSS", "SHA-256", [0, 1, 32, 222]],
  ["RSA-PSS", "SHA-384", [0, 20, 206]],
  ["RSA-PSS", "SHA-512", [0, 64, 190]],
]) {
  for (const publicExponent of [new Uint8Array([1, 0, 1]), new Uint8Array([3])]) {
    const pair = await subtle.generateKey({ name, hash, modulusLength: 2048, publicExponent }, true, [
      "sign",
      "verify",
    ]);
    for (const saltLength of salts) {
      const data = random(50);
      out.rsa.push({
        name,
        hash,
        saltLength,
        pkcs8: hex(await subtle.exportKey("pkcs8", pair.privateKey)),
        spki: hex(await subtle.exportKey("spki", pair.publicKey)),
        jwk: await subtle.exportKey("jwk", pair.privateKey),
        data: hex(data),
        signature: hex(await subtle.sign({ name, saltLength }, pair.privateKey, data)),
      });
    }
  }
}

for (const length of [16, 24, 32]) {
  for (const ivLength of [12, 13, 16, 17, 32, 60, 128]) {
    for (const tagLength of [32, 64, 96, 104, 112, 120, 128]) {
      const [raw, iv, additionalData, data] = [
        random(length),
        random(ivLength),
        random(ivLength % 21),
        random(ivLength * 3),
      ];
      const key = await subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt"]);
      out.gcm.push({
        key: hex(raw),
        iv: hex(iv),
        aad: hex(additionalData),
        tagLength,
        data: hex(data),
        sealed: hex(await subtle.encrypt({ name: "AES-GCM", iv, additionalData, tagLength }, key, data)),
      });
    }
  }
  for (const bits of [1, 4, 8, 31, 32, 33, 64, 127, 128]) {
    for (const before of [0, 1, 2]) {
      // The counter wraps around after `before` blocks more.
      const mask = (1n << BigInt(bits)) - 1n;
      const start = (BigInt(`0x${hex(random(16))}`) & ~mask) | ((mask - BigInt(before)) & mask);
      const counter = Buffer.from(start.toString(16).padStart(32, "0"), "hex");
      const [raw, data] = [random(length), random(bits === 1 ? 32 : 75)];
      const key = await subtle.importKey("raw", raw, "AES-CTR", false, ["encrypt"]);
      out.ctr.push({
        key: hex(raw),
        counter: hex(counter),
        bits,
        data: hex(data),
        sealed: hex(await subtle.encrypt({ name: "AES-CTR", counter, length: bits }, key, data)),
      });
    }
  }
}

const lines = Object.entries(out).map(
  ([name, list]) => `"${name}": [\n${list.map((item) => JSON.stringify(item)).join(",\n")}\n]`,
);
console.log(`{\n${lines.join(",\n")}\n}`);
