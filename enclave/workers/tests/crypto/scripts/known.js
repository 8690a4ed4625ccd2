// Examples of the algorithms' documents: `known(name)` gives what comes out, in hexadecimal.
"use strict";

const { subtle } = crypto;
const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const text = (given) => Uint8Array.from(given, (character) => character.charCodeAt(0));
const hex = (buffer) =>
  Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
const secret = (data, type, usage, extractable = false) =>
  subtle.importKey("raw", data, type, extractable, [usage]);

const KNOWN = {
  "SHA-1": () => subtle.digest("SHA-1", text("abc")),
  "SHA-256": () => subtle.digest("SHA-256", text("abc")),
  "SHA-384": () => subtle.digest("SHA-384", text("abc")),
  "SHA-512": () => subtle.digest("SHA-512", text("abc")),

  async "RFC 4231"() {
    const key = await secret(text("Jefe"), { name: "HMAC", hash: "SHA-256" }, "sign");
    return subtle.sign("HMAC", key, text("what do ya want for nothing?"));
  },

  async "SP 800-38A"() {
    const key = await secret(bytes("2b7e151628aed2a6abf7158809cf4f3c"), "AES-CTR", "encrypt");
    const given = { name: "AES-CTR", counter: bytes("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"), length: 128 };
    const data = bytes("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
    return subtle.encrypt(given, key, data);
  },

  async "RFC 3394"() {
    const key = await secret(bytes("00112233445566778899aabbccddeeff"), "AES-GCM", "encrypt", true);
    const by = await secret(bytes("000102030405060708090a0b0c0d0e0f"), "AES-KW", "wrapKey");
    return subtle.wrapKey("raw", key, by, "AES-KW");
  },

  async "RFC 5869"() {
    const key = await secret(bytes("0b".repeat(22)), "HKDF", "deriveBits");
    const salt = bytes("000102030405060708090a0b0c");
    const given = { name: "HKDF", hash: "SHA-256", salt, info: bytes("f0f1f2f3f4f5f6f7f8f9") };
    return subtle.deriveBits(given, key, 336);
  },

  async "RFC 6070"() {
    const key = await secret(text("password"), "PBKDF2", "deriveBits");
    const given = { name: "PBKDF2", hash: "SHA-1", salt: text("salt"), iterations: 4096 };
    return subtle.deriveBits(given, key, 160);
  },

  async "RFC 8032"() {
    const jwk = {
      kty: "OKP",
      crv: "Ed25519",
      x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
      d: "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    };
    const key = await subtle.importKey("jwk", jwk, "Ed25519", false, ["sign"]);
    return subtle.sign("Ed25519", key, new Uint8Array(0));
  },

  async "RFC 7748"() {
    const jwk = {
      kty: "OKP",
      crv: "X25519",
      x: "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo",
      d: "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo",
    };
    const key = await subtle.importKey("jwk", jwk, "X25519", false, ["deriveBits"]);
    const bob = bytes("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    const peer = await subtle.importKey("raw", bob, "X25519", false, []);
    return subtle.deriveBits({ name: "X25519", public: peer }, key, null);
  },

  // With the neutral element as commitment and zero as the rest, a key of small order would fit every message.
  async "small order"() {
    const signature = bytes("01" + "00".repeat(63));
    const points = [
      "0100000000000000000000000000000000000000000000000000000000000000",
      "0000000000000000000000000000000000000000000000000000000000000000",
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
      "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
      "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ];
    const verified = points.map(async (point) => {
      const key = await subtle.importKey("raw", bytes(point), "Ed25519", false, ["verify"]);
      return subtle.verify("Ed25519", key, signature, text("anything"));
    });
    return Uint8Array.from(await Promise.all(verified));
  },
};

const known = async (name) => hex(await KNOWN[name]());
