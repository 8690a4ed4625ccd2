// SubtleCrypto: the specification's methods. Each checks what it says there and hands over to an algorithm.
(function (host, web) {
  "use strict";

  web.need("crypto-algorithms");
  web.need("crypto-key");
  const { fail, source, count, native } = web.cryptoBase;
  const { known, normalize } = web.cryptoAlgorithms;
  const { inside, isKey, usages, notEmpty, jwk } = web.cryptoKeys;
  const FORMATS = ["raw", "spki", "pkcs8", "jwk"];
  const token = {};

  const keyOf = (value, what) => {
    if (!isKey(value)) throw new TypeError(`${what} has to be a CryptoKey`);
    return inside(value);
  };

  const formatOf = (value) => {
    const format = String(value);
    if (!FORMATS.includes(format)) throw new TypeError(`${format} isn't a format of keys`);
    return format;
  };

  // The key has to be of the algorithm and for the use.
  const fits = (given, key, usage) => {
    if (given.name !== key.algorithm.name)
      throw fail("InvalidAccessError", `the key isn't one of ${given.name}`);
    if (!key.usages.includes(usage)) throw fail("InvalidAccessError", `the key isn't for ${usage}`);
  };

  const implementation = (key, operation) => {
    const algorithm = known[key.algorithm.name.toUpperCase()];
    if (algorithm[operation] === undefined) {
      throw fail("NotSupportedError", `${algorithm.name} has no ${operation}`);
    }
    return algorithm;
  };

  const imported = (format, data, given, extractable, wanted) => {
    const key = given.algorithm.importKey(format, data, given, extractable, wanted);
    const { type, usages: has } = inside(key);
    if (type !== "public") notEmpty(has);
    return key;
  };

  const exported = (format, key) => {
    const algorithm = implementation(key, "exportKey");
    if (!key.extractable) throw fail("InvalidAccessError", "the key can't be exported");
    return algorithm.exportKey(format, key);
  };

  const keyData = (format, value) => {
    if (format !== "jwk") return source(value, "the key");
    const isObject = typeof value === "object" && value !== null;
    if (!isObject || ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
      throw new TypeError("the key has to be a JSON Web Key");
    }
    return jwk(value);
  };

  // Wrapping is the algorithm's own, or encryption.
  const wrapping = (operation, cipher, algorithm) => {
    try {
      return [normalize(operation, algorithm), operation];
    } catch (error) {
      if (error.name !== "NotSupportedError") throw error;
      return [normalize(cipher, algorithm), cipher];
    }
  };

  class SubtleCrypto {
    #brand;

    constructor(given) {
      if (given !== token) throw new TypeError("Illegal constructor");
      this.#brand = true;
    }

    async digest(algorithm, data) {
      this.#brand;
      count(arguments.length, 2, "digest");
      const bytes = source(data, "data");
      const given = normalize("digest", algorithm);
      return given.algorithm.digest(given, bytes);
    }

    async encrypt(algorithm, key, data) {
      this.#brand;
      count(arguments.length, 3, "encrypt");
      const slots = keyOf(key, "key");
      const bytes = source(data, "data");
      const given = normalize("encrypt", algorithm);
      fits(given, slots, "encrypt");
      return given.algorithm.encrypt(given, slots, bytes);
    }

    async decrypt(algorithm, key, data) {
      this.#brand;
      count(arguments.length, 3, "decrypt");
      const slots = keyOf(key, "key");
      const bytes = source(data, "data");
      const given = normalize("decrypt", algorithm);
      fits(given, slots, "decrypt");
      return given.algorithm.decrypt(given, slots, bytes);
    }

    async sign(algorithm, key, data) {
      this.#brand;
      count(arguments.length, 3, "sign");
      const slots = keyOf(key, "key");
      const bytes = source(data, "data");
      const given = normalize("sign", algorithm);
      fits(given, slots, "sign");
      return given.algorithm.sign(given, slots, bytes);
    }

    async verify(algorithm, key, signature, data) {
      this.#brand;
      count(arguments.length, 4, "verify");
      const slots = keyOf(key, "key");
      const signed = source(signature, "signature");
      const bytes = source(data, "data");
      const given = normalize("verify", algorithm);
      fits(given, slots, "verify");
      return given.algorithm.verify(given, slots, signed, bytes);
    }

    async generateKey(algorithm, extractable, keyUsages) {
      this.#brand;
      count(arguments.length, 3, "generateKey");
      const wanted = usages(keyUsages);
      const given = normalize("generateKey", algorithm);
      return given.algorithm.generateKey(given, Boolean(extractable), wanted);
    }

    async deriveBits(algorithm, baseKey, length = null) {
      this.#brand;
      count(arguments.length, 2, "deriveBits");
      const slots = keyOf(baseKey, "baseKey");
      const bits = length === null ? null : Number(length) >>> 0;
      const given = normalize("deriveBits", algorithm);
      fits(given, slots, "deriveBits");
      return given.algorithm.deriveBits(given, slots, bits);
    }

    async deriveKey(algorithm, baseKey, derivedKeyType, extractable, keyUsages) {
      this.#brand;
      count(arguments.length, 5, "deriveKey");
      const slots = keyOf(baseKey, "baseKey");
      const wanted = usages(keyUsages);
      const given = normalize("deriveBits", algorithm);
      const type = normalize("importKey", derivedKeyType);
      const lengthType = normalize("getKeyLength", derivedKeyType);
      fits(given, slots, "deriveKey");
      const length = lengthType.algorithm.getKeyLength(lengthType);
      const secret = new Uint8Array(given.algorithm.deriveBits(given, slots, length));
      try {
        return imported("raw", secret, type, Boolean(extractable), wanted);
      } finally {
        secret.fill(0);
      }
    }

    async importKey(format, data, algorithm, extractable, keyUsages) {
      this.#brand;
      count(arguments.length, 5, "importKey");
      const from = formatOf(format);
      const key = keyData(from, data);
      const wanted = usages(keyUsages);
      return imported(from, key, normalize("importKey", algorithm), Boolean(extractable), wanted);
    }

    async exportKey(format, key) {
      this.#brand;
      count(arguments.length, 2, "exportKey");
      return exported(formatOf(format), keyOf(key, "key"));
    }

    async wrapKey(format, key, wrappingKey, wrapAlgorithm) {
      this.#brand;
      count(arguments.length, 4, "wrapKey");
      const to = formatOf(format);
      const slots = keyOf(key, "key");
      const by = keyOf(wrappingKey, "wrappingKey");
      const [given, operation] = wrapping("wrapKey", "encrypt", wrapAlgorithm);
      fits(given, by, "wrapKey");
      const plain = exported(to, slots);
      const bytes = to === "jwk" ? web.encode(JSON.stringify(plain)) : new Uint8Array(plain);
      try {
        return given.algorithm[operation](given, by, bytes);
      } finally {
        bytes.fill(0);
      }
    }

    async unwrapKey(format, wrappedKey, unwrappingKey, unwrapAlgorithm, keyType, extractable, keyUsages) {
      this.#brand;
      count(arguments.length, 7, "unwrapKey");
      const from = formatOf(format);
      const wrapped = source(wrappedKey, "wrappedKey");
      const by = keyOf(unwrappingKey, "unwrappingKey");
      const wanted = usages(keyUsages);
      const [given, operation] = wrapping("unwrapKey", "decrypt", unwrapAlgorithm);
      const type = normalize("importKey", keyType);
      fits(given, by, "unwrapKey");
      const bytes = new Uint8Array(given.algorithm[operation](given, by, wrapped));
      try {
        const data = from === "jwk" ? parsed(bytes) : bytes;
        return imported(from, data, type, Boolean(extractable), wanted);
      } finally {
        bytes.fill(0);
      }
    }

    // Not of the standard: whether both hold the same bytes, in a time that doesn't depend on which.
    timingSafeEqual(first, second) {
      this.#brand;
      const [a, b] = [source(first, "the first"), source(second, "the second")];
      if (a.length !== b.length) throw new TypeError("both have to have the same length");
      return native.equal(a, b);
    }
  }
  web.idl(SubtleCrypto);

  const noJwk = () => fail("DataError", "what was wrapped isn't a JSON Web Key");
  const parsed = (bytes) => {
    let value;
    try {
      value = JSON.parse(web.decode(bytes));
    } catch {
      throw noJwk();
    }
    if (typeof value !== "object" || value === null) throw noJwk();
    return jwk(value);
  };

  web.cryptoSubtle = new SubtleCrypto(token);
});
