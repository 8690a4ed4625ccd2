// The `crypto` object. What is behind `crypto.subtle` loads when it is first asked for.
(function (host, web) {
  "use strict";

  web.need("crypto-base");
  const { fail, typeName, bytesOf } = web.cryptoBase;
  const RANDOM_MAX = 65536;
  const INTEGERS = new Set([
    "Int8Array",
    "Uint8Array",
    "Uint8ClampedArray",
    "Int16Array",
    "Uint16Array",
    "Int32Array",
    "Uint32Array",
    "BigInt64Array",
    "BigUint64Array",
  ]);
  const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
  const token = {};

  class Crypto {
    #brand;

    constructor(given) {
      if (given !== token) throw new TypeError("Illegal constructor");
      this.#brand = true;
    }

    get subtle() {
      this.#brand;
      web.need("crypto-subtle");
      return web.cryptoSubtle;
    }

    getRandomValues(array) {
      this.#brand;
      if (!ArrayBuffer.isView(array)) throw new TypeError("getRandomValues takes a typed array");
      if (!INTEGERS.has(typeName(array))) {
        throw fail("TypeMismatchError", "the array's elements have to be integers");
      }
      const bytes = bytesOf(array);
      if (bytes.length > RANDOM_MAX) {
        throw fail("QuotaExceededError", `${bytes.length} bytes are more than the ${RANDOM_MAX} of one call`);
      }
      bytes.set(host.random(bytes.length));
      return array;
    }

    randomUUID() {
      this.#brand;
      const bytes = host.random(16);
      bytes[6] = (bytes[6] & 0x0f) | 0x40;
      bytes[8] = (bytes[8] & 0x3f) | 0x80;
      let text = "";
      for (let at = 0; at < 16; at++) {
        if (at === 4 || at === 6 || at === 8 || at === 10) text += "-";
        text += HEX[bytes[at]];
      }
      return text;
    }
  }
  web.idl(Crypto);
  web.crypto = new Crypto(token);
});
