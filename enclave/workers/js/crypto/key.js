// CryptoKey: what is public of a key, and a handle of what isn't.
(function (host, web) {
  "use strict";

  web.need("crypto-base");
  const { fail, native } = web.cryptoBase;
  const USAGES = ["encrypt", "decrypt", "sign", "verify", "deriveKey", "deriveBits", "wrapKey", "unwrapKey"];
  const token = {};
  let inside;
  let isKey;

  // A copy that the worker may change without changing the key.
  const shown = (algorithm) => {
    const copy = { ...algorithm };
    if (algorithm.hash !== undefined) copy.hash = { ...algorithm.hash };
    if (algorithm.publicExponent !== undefined) copy.publicExponent = algorithm.publicExponent.slice();
    return copy;
  };

  class CryptoKey {
    #slots;
    #algorithm;
    #usages;

    constructor(given, slots) {
      if (given !== token) throw new TypeError("Illegal constructor");
      this.#slots = slots;
    }

    static {
      inside = (key) => key.#slots;
      isKey = (value) => typeof value === "object" && value !== null && #slots in value;
    }

    get type() {
      return this.#slots.type;
    }

    get extractable() {
      return this.#slots.extractable;
    }

    get algorithm() {
      return (this.#algorithm ??= shown(this.#slots.algorithm));
    }

    get usages() {
      return (this.#usages ??= [...this.#slots.usages]);
    }
  }
  web.idl(CryptoKey);

  // Usages as Web IDL converts them: known ones, each once, in the specification's order.
  const usages = (given) => {
    if (given === null || (typeof given !== "object" && typeof given !== "function")) {
      throw new TypeError("key usages have to be a list");
    }
    const found = [];
    for (const value of given) {
      const usage = String(value);
      if (!USAGES.includes(usage)) throw new TypeError(`${usage} isn't a key usage`);
      found.push(usage);
    }
    return USAGES.filter((usage) => found.includes(usage));
  };

  // Refuses usages that keys of this kind don't have.
  const allow = (given, allowed) => {
    const wrong = given.find((usage) => !allowed.includes(usage));
    if (wrong !== undefined) throw fail("SyntaxError", `the key can't be used to ${wrong}`);
  };

  const notEmpty = (given) => {
    if (given.length === 0) throw fail("SyntaxError", "the key would have no usages");
  };

  const only = (given, allowed) => given.filter((usage) => allowed.includes(usage));

  const make = (type, handle, algorithm, extractable, given) =>
    new CryptoKey(token, { type, handle, algorithm, extractable, usages: given });

  // Another object of the same key, as structuredClone makes.
  const copy = (key) => new CryptoKey(token, inside(key));

  // Both keys of a pair that natives made; the public one can always be exported.
  const pair = (handles, algorithm, extractable, given, allowed) => ({
    publicKey: make("public", handles[1], algorithm, true, only(given, allowed.public)),
    privateKey: make("private", handles[0], algorithm, extractable, only(given, allowed.private)),
  });

  // Refuses usages of a pair: those that neither has, and none for the private key.
  const allowPair = (given, allowed) => {
    allow(given, [...allowed.public, ...allowed.private]);
    notEmpty(only(given, allowed.private));
  };

  const JWK_TEXTS = ["kty", "use", "alg", "crv", "x", "y", "d", "n", "e", "p", "q", "dp", "dq", "qi", "k"];

  // A JsonWebKey as Web IDL converts it.
  const jwk = (given) => {
    const copy = { __proto__: null };
    for (const name of JWK_TEXTS) {
      const value = given[name];
      if (value !== undefined) copy[name] = String(value);
    }
    if (given.key_ops !== undefined) {
      if (given.key_ops === null || typeof given.key_ops !== "object") {
        throw new TypeError("key_ops has to be a list");
      }
      copy.key_ops = Array.from(given.key_ops, String);
    }
    if (given.ext !== undefined) copy.ext = Boolean(given.ext);
    if (given.oth !== undefined) copy.oth = given.oth;
    return copy;
  };

  // What every import of a JSON Web Key checks; `alg` lists the names that fit.
  const checkJwk = (key, { kty, use, alg }, extractable, given) => {
    const wrong = (what) => fail("DataError", `the JSON Web Key's ${what} doesn't fit`);
    if (key.kty !== kty) throw wrong("kty");
    if (given.length > 0 && key.use !== undefined && key.use !== use) throw wrong("use");
    if (key.key_ops !== undefined) {
      if (new Set(key.key_ops).size !== key.key_ops.length) throw wrong("key_ops");
      if (!given.every((usage) => key.key_ops.includes(usage))) throw wrong("key_ops");
    }
    if (key.ext === false && extractable) throw wrong("ext");
    if (alg !== undefined && key.alg !== undefined && !alg.includes(key.alg)) throw wrong("alg");
  };

  const writeJwk = (slots, members) => {
    const written = { __proto__: null };
    native.writeJwk(slots.handle, written);
    return { ...members, ...written, key_ops: [...slots.usages], ext: slots.extractable };
  };

  const noFormat = (format) => fail("NotSupportedError", `this algorithm has no format ${format}`);

  web.cryptoKeys = {
    inside,
    isKey,
    copy,
    usages,
    allow,
    notEmpty,
    make,
    pair,
    allowPair,
    jwk,
    checkJwk,
    writeJwk,
    noFormat,
  };
});
