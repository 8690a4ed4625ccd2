/** Web Crypto. Keys' material stays in native memory; JavaScript holds handles. */

type KeyType = "private" | "public" | "secret";
type KeyFormat = "jwk" | "pkcs8" | "raw" | "spki";
type KeyUsage =
  | "decrypt"
  | "deriveBits"
  | "deriveKey"
  | "encrypt"
  | "sign"
  | "unwrapKey"
  | "verify"
  | "wrapKey";

interface Algorithm {
  name: string;
}

type AlgorithmIdentifier = Algorithm | string;

interface KeyAlgorithm {
  name: string;
}

interface CryptoKey {
  readonly algorithm: KeyAlgorithm & { [member: string]: any };
  readonly extractable: boolean;
  readonly type: KeyType;
  readonly usages: KeyUsage[];
}

declare var CryptoKey: { prototype: CryptoKey };

interface CryptoKeyPair {
  privateKey: CryptoKey;
  publicKey: CryptoKey;
}

interface JsonWebKey {
  alg?: string;
  crv?: string;
  d?: string;
  dp?: string;
  dq?: string;
  e?: string;
  ext?: boolean;
  k?: string;
  key_ops?: string[];
  kty?: string;
  n?: string;
  p?: string;
  q?: string;
  qi?: string;
  use?: string;
  x?: string;
  y?: string;
}

interface HmacKeyParams extends Algorithm {
  hash: AlgorithmIdentifier;
  length?: number;
}

interface AesKeyParams extends Algorithm {
  length: number;
}

interface RsaHashedKeyGenParams extends Algorithm {
  modulusLength: number;
  publicExponent: Uint8Array;
  hash: AlgorithmIdentifier;
}

interface RsaHashedImportParams extends Algorithm {
  hash: AlgorithmIdentifier;
}

interface EcKeyParams extends Algorithm {
  namedCurve: string;
}

interface AesGcmParams extends Algorithm {
  iv: BufferSource;
  additionalData?: BufferSource;
  tagLength?: number;
}

interface AesCbcParams extends Algorithm {
  iv: BufferSource;
}

interface AesCtrParams extends Algorithm {
  counter: BufferSource;
  length: number;
}

interface RsaOaepParams extends Algorithm {
  label?: BufferSource;
}

interface RsaPssParams extends Algorithm {
  saltLength: number;
}

interface EcdsaParams extends Algorithm {
  hash: AlgorithmIdentifier;
}

interface EcdhKeyDeriveParams extends Algorithm {
  public: CryptoKey;
}

interface HkdfParams extends Algorithm {
  hash: AlgorithmIdentifier;
  salt: BufferSource;
  info: BufferSource;
}

interface Pbkdf2Params extends Algorithm {
  hash: AlgorithmIdentifier;
  salt: BufferSource;
  iterations: number;
}

type GenerateParams = AlgorithmIdentifier | HmacKeyParams | AesKeyParams | RsaHashedKeyGenParams | EcKeyParams;
type ImportParams = AlgorithmIdentifier | HmacKeyParams | RsaHashedImportParams | EcKeyParams;
type CipherParams = AlgorithmIdentifier | AesGcmParams | AesCbcParams | AesCtrParams | RsaOaepParams;
type SignatureParams = AlgorithmIdentifier | RsaPssParams | EcdsaParams;
type DeriveParams = EcdhKeyDeriveParams | HkdfParams | Pbkdf2Params;

interface SubtleCrypto {
  decrypt(algorithm: CipherParams, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>;
  deriveBits(algorithm: DeriveParams, baseKey: CryptoKey, length?: number | null): Promise<ArrayBuffer>;
  deriveKey(
    algorithm: DeriveParams,
    baseKey: CryptoKey,
    derivedKeyType: AlgorithmIdentifier | AesKeyParams | HmacKeyParams,
    extractable: boolean,
    usages: KeyUsage[],
  ): Promise<CryptoKey>;
  digest(algorithm: AlgorithmIdentifier, data: BufferSource): Promise<ArrayBuffer>;
  encrypt(algorithm: CipherParams, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>;
  exportKey(format: "jwk", key: CryptoKey): Promise<JsonWebKey>;
  exportKey(format: Exclude<KeyFormat, "jwk">, key: CryptoKey): Promise<ArrayBuffer>;
  generateKey(
    algorithm: RsaHashedKeyGenParams | EcKeyParams | "Ed25519" | "X25519",
    extractable: boolean,
    usages: KeyUsage[],
  ): Promise<CryptoKeyPair>;
  generateKey(algorithm: AesKeyParams | HmacKeyParams, extractable: boolean, usages: KeyUsage[]): Promise<CryptoKey>;
  generateKey(algorithm: GenerateParams, extractable: boolean, usages: KeyUsage[]): Promise<CryptoKey | CryptoKeyPair>;
  importKey(
    format: "jwk",
    keyData: JsonWebKey,
    algorithm: ImportParams,
    extractable: boolean,
    usages: KeyUsage[],
  ): Promise<CryptoKey>;
  importKey(
    format: Exclude<KeyFormat, "jwk">,
    keyData: BufferSource,
    algorithm: ImportParams,
    extractable: boolean,
    usages: KeyUsage[],
  ): Promise<CryptoKey>;
  sign(algorithm: SignatureParams, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>;
  /** Compares in a time that doesn't depend on where they differ. Throws where the lengths differ. */
  timingSafeEqual(one: BufferSource, other: BufferSource): boolean;
  unwrapKey(
    format: KeyFormat,
    wrappedKey: BufferSource,
    unwrappingKey: CryptoKey,
    unwrapAlgorithm: CipherParams,
    unwrappedKeyAlgorithm: ImportParams,
    extractable: boolean,
    usages: KeyUsage[],
  ): Promise<CryptoKey>;
  verify(algorithm: SignatureParams, key: CryptoKey, signature: BufferSource, data: BufferSource): Promise<boolean>;
  wrapKey(format: KeyFormat, key: CryptoKey, wrappingKey: CryptoKey, wrapAlgorithm: CipherParams): Promise<ArrayBuffer>;
}

declare var SubtleCrypto: { prototype: SubtleCrypto };

interface Crypto {
  readonly subtle: SubtleCrypto;
  /** Fills at most 65,536 bytes. */
  getRandomValues<T extends ArrayBufferView>(array: T): T;
  randomUUID(): `${string}-${string}-${string}-${string}-${string}`;
}

declare var Crypto: { prototype: Crypto };
declare var crypto: Crypto;
