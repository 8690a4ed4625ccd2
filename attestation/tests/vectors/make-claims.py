"""Encodes the sample claims of `attestation/src/claims.rs` with cbor2, an encoder that we didn't write."""
import hashlib
import pathlib

import cbor2

claims = {
    "pubkey-hash": cbor2.dumps([1, b"\x01" * 32]),
    "mode": 0,
    "role": 0,
    "resp": b"\x02" * 32,
    "evm": b"\x02" + b"\x07" * 32,
    "keys": b"\x03" * 32,
    "boot": b"\x04" * 16,
    "epoch": 5,
    "receipts": [0, 0, bytes(32)],
    "launch": b"\x06" * 32,
    "agent": b"\x08" * 32,
    "chain": [31337, b"\x09" * 20],
    "anchor": [10, b"\x0b" * 32],
    "gpu": [bytes(32), 0],
    "log": bytes(32),
    "nonce": bytes(32),
    "channel": bytes(32),
    "profile": "tag:jeju,2026:node-evidence/1",
}
encoded = cbor2.dumps(claims, canonical=True)
here = pathlib.Path(__file__).parent
(here / "claims-epoch.hex").write_text(encoded.hex() + "\n")
(here / "claims-epoch.report-data.hex").write_text((hashlib.sha256(encoded).digest() + bytes(32)).hex() + "\n")
