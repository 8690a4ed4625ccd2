"""A node that takes workers, and those who deploy to it: with `jeju worker`, and with the first clients' JSON, signed by cast."""
import http.client
import json
import os
import secrets
import ssl
import subprocess
import time

from local_chain import ACCOUNTS, BIN, CHAIN_ID, KEYS
from node import AGENT, Node
from programs import arguments, free_port, wait_for_port, wait_until
from signed_response import sha256


class WorkersNode(Node):
    services = ["workers"]
    tables = """
[workers]
reach = "public"
"""
    rules = """workers = ["public"]
"""

    def __init__(self, binaries, state, image=None):
        # As long as a run: clients without a verifier trust one leaf.
        super().__init__(binaries, state, image, embedded=False, epoch_seconds=3600)
        self.workers_port = free_port()

    def shim_options(self):
        return ["--listen", f"4020=127.0.0.1:{self.workers_port}", "--blobs", self.state / "blobs", "--egress-public"]

    def start(self):
        (self.state / "blobs").mkdir()
        super().start()
        self.read_leaf()

    def restart(self):
        """The whole machine goes away at once, and comes back with what the host has kept."""
        self.end(self.launcher)
        self.end(self.shim)
        self.start_node([f"127.0.0.1:{self.chain.port}"])
        self.wait_until_verified()
        self.read_leaf()

    def read_leaf(self):
        """What clients without a verifier trust for a while: the leaf of a verified node."""
        wait_for_port(self.workers_port, 30)
        self.jeju("cert", self.workers_url, "--out", self.leaf, *self.trust)

    @property
    def workers_url(self):
        return f"https://localhost:{self.workers_port}"

    def environment(self):
        """Trust in the node's leaf alone."""
        return {**{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
                "SSL_CERT_FILE": str(self.leaf), "NODE_EXTRA_CA_CERTS": str(self.leaf)}


class Refused(Exception):
    """What a command refused, with the stable code."""

    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


class Owner:
    """An account, at the node's command line and at its API."""

    def __init__(self, node, number):
        self.node, self.account, self.key = node, ACCOUNTS[number], KEYS[number]
        self.key_file = node.state / f"owner-{number}.key"
        self.key_file.write_text(self.key)
        self.key_file.chmod(0o600)

    # ------------------------------------------------------------------ jeju worker

    def command(self, *args):
        at = ["--node", self.node.workers_url, *self.node.trust, "--key", self.key_file]
        return arguments([self.node.program("jeju"), "worker", *args, *at])

    def worker(self, *args, data=None):
        """A command that prints one JSON object."""
        done = subprocess.run([*self.command(*args), "--json"], input=data, capture_output=True, text=True, timeout=120)
        if not done.stdout.strip():
            raise RuntimeError(f"jeju worker {args}: exit {done.returncode}, {done.stderr}")
        answer = json.loads(done.stdout)
        if done.returncode:
            raise Refused(f"jeju worker {args}: {answer}", answer.get("code"))
        return answer

    def refused(self, *args, data=None):
        """The code of a refusal."""
        try:
            answer = self.worker(*args, data=data)
        except Refused as refused:
            return refused.code
        raise AssertionError(f"jeju worker {args} was not refused: {answer}")

    # ------------------------------------------------------------------ the API

    def call(self, method, path, document=None, signed=True):
        """Status and document, of a request as the first clients send it, signed as they would by their wallet."""
        body = document if isinstance(document, bytes) else b"" if document is None else json.dumps(document).encode()
        headers = {"content-type": "application/json"} if body else {}
        if signed:
            headers |= self.signature(method, path, body)
        context = ssl.create_default_context(cafile=self.node.leaf)
        connection = http.client.HTTPSConnection("localhost", self.node.workers_port, timeout=60, context=context)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        return response.status, json.loads(answer)

    def signature(self, method, path, body):
        """docs/wire-formats.md, "Wallet requests"."""
        message = {"account": self.account, "method": method, "path": path, "bodyDigest": "0x" + sha256(body).hex(), "node": AGENT,
                   "nonce": "0x" + secrets.token_hex(32), "expiry": int(time.time()) + 300}
        data = {
            "types": {
                "EIP712Domain": fields("string name", "string version", "uint256 chainId", "address verifyingContract"),
                "Request": fields("address account", "string method", "string path", "bytes32 bodyDigest", "bytes32 node", "bytes32 nonce",
                                  "uint64 expiry"),
            },
            "primaryType": "Request",
            "domain": {"name": "Jeju Request", "version": "2", "chainId": CHAIN_ID, "verifyingContract": self.node.chain.registry},
            "message": message,
        }
        signed = subprocess.run(arguments([BIN / "cast", "wallet", "sign", "--data", json.dumps(data), "--private-key", self.key]),
                                check=True, capture_output=True, text=True).stdout.strip()
        return {"x-jeju-address": self.account, "x-jeju-nonce": message["nonce"], "x-jeju-expiry": str(message["expiry"]),
                "x-jeju-signature": signed}


def fields(*types):
    return [dict(zip(("type", "name"), field.split())) for field in types]


def eventually(what, seconds, condition):
    return wait_until(what, seconds, condition, 1)
