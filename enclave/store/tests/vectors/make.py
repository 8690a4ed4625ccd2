"""Writes store.txt: a store of one record, made from docs/wire-formats.md §4 alone. Needs `cryptography`."""
import hashlib
import hmac
import pathlib
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def hkdf(salt, secret, *inputs, length=32):
    prk = hmac.digest(salt, secret, "sha256")
    info = b"".join(struct.pack(">H", len(one)) + one for one in inputs)
    return hmac.digest(prk, info + b"\x01", "sha256")[:length]


platform, launch, store, suffix = b"\x01" * 32, b"\x02" * 32, b"\x03" * 16, b"\x04" * 8
sealing = hkdf(b"jeju-sealing-v1", platform, b"purpose", launch, b"signer")
space = hkdf(b"jeju-store-v1", sealing, b"space", b"signer")


def of_space(*inputs, length=32):
    return hkdf(b"jeju-store-space-v1", space, *inputs, length=length)


def sealed(kind, counter, name, content, nonce):
    stands_for = of_space(b"name", store, name, length=16)
    bound = bytes([1, kind]) + of_space(b"id", length=8) + store + struct.pack(">Q", counter) + stands_for
    key = of_space(b"record", store, bytes([kind]), stands_for)
    return bound + nonce + AESGCM(key).encrypt(nonce, content, b"jeju-store-blob-v1\0" + bound)


record = sealed(1, 5, b"root-0", b"a share", b"\x05" * 12)
manifest = struct.pack(">I", 1) + b"\x06root-0" + struct.pack(">Q", 5) + suffix + hashlib.sha256(record).digest()
bound = store + struct.pack(">Q", 9) + hashlib.sha256(b"jeju-store-root-v1\0" + store + struct.pack(">Q", 9) + manifest).digest()
blobs = {
    "signer/manifest": sealed(2, 9, b"manifest", manifest, b"\x06" * 12),
    f"signer/r-{5:016x}-{suffix.hex()}": record,
}
mark = bound + hmac.digest(of_space(b"marks"), bound, "sha256")[:16]
lines = [f"{name} {blob.hex()}" for name, blob in blobs.items()] + [f"mark {mark.hex()}"]
pathlib.Path(__file__).with_name("store.txt").write_text("\n".join(lines) + "\n")
