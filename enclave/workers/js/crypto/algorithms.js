// Names of algorithms and their parameters: the specification's "normalize an algorithm".
(function (host, web) {
  "use strict";

  web.need("crypto-base");
  const { fail, integer, required, source } = web.cryptoBase;

  // Which part knows which algorithm.
  const PARTS = {
    __proto__: null,
    "SHA-1": "crypto-hash",
    "SHA-256": "crypto-hash",
    "SHA-384": "crypto-hash",
    "SHA-512": "crypto-hash",
    HMAC: "crypto-hash",
    "AES-CBC": "crypto-aes",
    "AES-CTR": "crypto-aes",
    "AES-GCM": "crypto-aes",
    "AES-KW": "crypto-aes",
    "RSASSA-PKCS1-V1_5": "crypto-rsa",
    "RSA-PSS": "crypto-rsa",
    "RSA-OAEP": "crypto-rsa",
    ECDSA: "crypto-curves",
    ECDH: "crypto-curves",
    ED25519: "crypto-curves",
    X25519: "crypto-curves",
    HKDF: "crypto-derive",
    PBKDF2: "crypto-derive",
  };
  const ASCII = /^[\x21-\x7e]*$/;
  const known = { __proto__: null };
  const parameters = (algorithm) =>
    (typeof algorithm === "object" && algorithm !== null) || typeof algorithm === "function"
      ? algorithm
      : { name: String(algorithm) };

  // The algorithm's implementation and its parameters for this operation.
  const normalize = (operation, algorithm) => {
    const given = parameters(algorithm);
    const name = String(required(given, "name"));
    const upper = ASCII.test(name) ? name.toUpperCase() : "";
    if (PARTS[upper] !== undefined) web.need(PARTS[upper]);
    const found = known[upper];
    if (found === undefined || found[operation] === undefined) {
      throw fail("NotSupportedError", `${name} isn't an algorithm of ${operation}`);
    }
    const convert = found.parameters?.[operation];
    return { algorithm: found, name: found.name, ...(convert === undefined ? undefined : convert(given)) };
  };

  // A HashAlgorithmIdentifier as the number in its name.
  const hash = (given) => normalize("digest", required(given, "hash")).algorithm.bits;

  web.cryptoAlgorithms = {
    known,
    normalize,
    hash,
    hashName: (bits) => `SHA-${bits}`,
    bytes: (given, member) => source(required(given, member), member),
    optionalBytes: (given, member) =>
      given[member] === undefined ? new Uint8Array(0) : source(given[member], member),
    octet: (given, member) => integer(required(given, member), 255, member),
    short: (given, member) => integer(required(given, member), 65535, member),
    long: (given, member) => integer(required(given, member), 4294967295, member),
  };
});
