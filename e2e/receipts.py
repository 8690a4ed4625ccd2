#!/usr/bin/env python3
"""End-to-end test of receipts: a node as a process answers, `jeju receipt` fetches what its key says of the answers and
compares it with what `jeju chat --save` has saved, foundry's wallet checks the signatures, and this script's own
arithmetic the tree of answers that the next quote carries.

    receipts.py [--bin DIR]
"""
import argparse
import base64
import hashlib
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent

sys.path.insert(0, str(HERE))
from local_chain import BIN, CHAIN_ID  # noqa: E402
from node import Node  # noqa: E402
from programs import arguments  # noqa: E402

KEYS = "0x" + "06" * 20
WORDS = {"agentId": "uint256", "boot": "bytes16", "requestId": "bytes32", "requestDigest": "bytes32", "responseDigest": "bytes32",
         "inputUnits": "uint64", "outputUnits": "uint64", "epoch": "uint64", "anchorBlock": "uint64"}


class Receipts(Node):
    tables = f'[receipts]\nkeys = "{KEYS}"\n'


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def octets(text):
    return bytes.fromhex(text[2:])


def run(*command):
    done = subprocess.run(arguments(command), capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def receipt(node, *more):
    code, out, error = run(node.program("jeju"), "receipt", node.url, *more, "--json", *node.trust)
    assert out, error
    return code, json.loads(out)


def get(node, path):
    """Through the verifying proxy."""
    code, out, error = run("curl", "-sf", f"http://127.0.0.1:{node.proxy_port}{path}")
    assert code == 0, error
    return json.loads(out)


def check_typed(folder, shown):
    """Foundry's wallet, by the contract's own names and types."""
    domain = {"name": "string", "version": "string", "chainId": "uint256", "verifyingContract": "address"}
    typed = {
        "types": {name: [{"name": member, "type": kind} for member, kind in members.items()]
                  for name, members in (("EIP712Domain", domain), ("Receipt", WORDS))},
        "primaryType": "Receipt",
        "domain": {"name": "Jeju Receipt", "version": "1", "chainId": CHAIN_ID, "verifyingContract": KEYS},
        "message": {name: shown[name] for name in WORDS},
    }
    file = folder / "typed.json"

    def verify():
        file.write_text(json.dumps(typed))
        return run(BIN / "cast", "wallet", "verify", "--data", "--from-file", "--address", shown["signer"], file, shown["signature"])[0]

    assert verify() == 0, shown
    typed["message"]["outputUnits"] += 1
    assert verify() != 0, "another usage"


def leads_to(shown, inclusion):
    """The root that the answer's leaf leads to (RFC 9162, 2.1.3.2)."""
    parts = [shown["id"].encode(), *(octets(shown[name]) for name in ("requestId", "requestDigest", "responseDigest")),
             *(struct.pack(">Q", shown[name]) for name in ("inputUnits", "outputUnits", "epoch"))]
    content = sha256(b"jeju-receipt-leaf-v1\0", *(struct.pack(">H", len(part)) + part for part in parts))
    found, place, last = sha256(b"\0", content), inclusion["index"], inclusion["count"] - 1
    for beside in map(octets, inclusion["path"]):
        if place % 2 or place == last:
            found = sha256(b"\1", beside, found)
            while place and place % 2 == 0:
                place, last = place >> 1, last >> 1
        else:
            found = sha256(b"\1", found, beside)
        place, last = place >> 1, last >> 1
    assert last == 0
    return found


def check_saved(node, folder):
    """Receipts of answers that were saved, by what the files themselves hold."""
    found = []
    for name, more in ("whole", []), ("stream", ["--stream"]):
        file = folder / f"{name}.json"
        node.jeju("chat", "Name a river.", "--node", node.url, "--max-tokens", 8, "--save", file, *more, *node.trust)
        code, shown = receipt(node, "--exchange", file)
        assert (code, shown["compared"]) == (0, ["request", "response"]), shown
        exchanged = json.loads(file.read_text())
        body = exchanged["response"]["body"].split(": jeju-sig ")[0]
        assert shown["responseDigest"] == "0x" + sha256(body.encode()).hex(), shown
        assert shown["requestDigest"] == "0x" + sha256(exchanged["request"]["body"].encode()).hex(), shown
        check_typed(folder, shown)
        near = get(node, f"/v1/signature/{shown['id']}?signing_algo=ecdsa")
        assert near["text"] == f"{shown['requestDigest'][2:]}:{shown['responseDigest'][2:]}", near
        code, _, error = run(BIN / "cast", "wallet", "verify", "--address", near["signing_address"], near["text"], near["signature"])
        assert code == 0 and near["signing_algo"] == "ecdsa", error
        exchanged["request"]["body"] += " "
        file.write_text(json.dumps(exchanged))
        code, refused = receipt(node, "--exchange", file)
        assert (code, refused["code"]) == (3, "receipt_request_differs"), refused
        found.append(shown)
        print(f"receipts: {name}: {shown['inputUnits']} tokens in, {shown['outputUnits']} out, signature checked by cast")
    code, refused = receipt(node, "chatcmpl-nobody")
    assert (code, refused["code"]) == (5, "receipt_not_found"), refused
    return found


def check_quoted(node, found):
    """The next epoch's quote vouches for them."""
    begun = time.time()
    for shown in found:
        while True:
            code, quoted = receipt(node, shown["id"], "--quoted")
            if code == 0 or time.time() - begun > 90:
                break
            assert quoted["code"] == "receipt_not_quoted", quoted
            time.sleep(1)
        assert code == 0, quoted
        inclusion = get(node, f"/v1/receipts/{shown['id']}")["inclusion"]
        root = leads_to(shown, inclusion)
        assert quoted["quoted"]["root"] == inclusion["root"] == "0x" + root.hex(), inclusion
        # The claims that the evidence has, in their deterministic CBOR: epoch, count, root.
        bundle = get(node, inclusion["evidence"])
        claims = base64.urlsafe_b64decode(bundle["claims"][1] + "==")
        assert inclusion["epoch"] < 24 and inclusion["count"] < 24
        said = b"\x68receipts\x83" + bytes([inclusion["epoch"], inclusion["count"]]) + b"\x58\x20" + root
        assert said in claims, claims.hex()
    print(f"receipts: in the quote of the next epoch after {time.time() - begun:.0f} s")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--bin", type=pathlib.Path, default=ROOT / "target/debug")
    options = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="jeju-receipts-") as state:
        node = Receipts(options.bin, state)
        try:
            with node:
                check_quoted(node, check_saved(node, node.state))
        except BaseException:
            print(node.logs(), file=sys.stderr)
            raise
    print("receipts: all passed")


if __name__ == "__main__":
    main()
