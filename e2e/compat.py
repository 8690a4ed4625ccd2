#!/usr/bin/env python3
"""Clients of the first Jeju Compute against this one: e2e/compat, built with ethers, drives a node that serves everybody, one
that serves who pays, a gateway and the contracts on a real chain.

    compat.py [--bin DIR] [--only SUITE...]
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from run import ROOT  # First: it goes on in the environment of e2e/requirements.txt.

from local_chain import CHAIN_ID, KEYS
from market_node import Gateway, Market, Provider, trusting
from node import AGENT
from programs import arguments, free_port

# What the first clients' tests call it.
MODEL = "test-model"
# Two nodes of one agent would have two certificates of one name, of which clients without a verifier find only one.
OTHER_AGENT = "0x" + "b8" * 32
# What an account may owe at the node that is paid: a few answers, in wei.
CREDIT = 300 * 10**9
PROGRAM = ROOT / "e2e/compat/main.mjs"


class Compat(Market):
    def start(self):
        super().start()
        # Account 0 earns at the node that serves everybody, 1 at the other.
        self.open = self.provide(Provider(self, 0, "open", AGENT, MODEL))
        self.paid = self.provide(Provider(self, 1, "paid", OTHER_AGENT, MODEL, required=True, credit=CREDIT))
        self.gateway = self.provide(Gateway(self, "gateway"))
        self.proxy_port = self.open.proxy()
        self.leaves = self.state / "leaves.pem"
        self.leaves.write_bytes(self.open.leaf.read_bytes() + self.paid.leaf.read_bytes())

    def context(self, rpc=None):
        """What the JavaScript is told."""
        path = self.state / "context.json"
        path.write_text(json.dumps({
            "rpc": rpc or self.chain.rpc, "chainId": CHAIN_ID, "contracts": self.contract, "keys": KEYS,
            "nodes": {name: {"url": url, "model": MODEL, "provider": part.account} for name, part, url in (
                ("open", self.open, self.open.url), ("paid", self.paid, self.paid.url),
                ("proxied", self.open, f"http://127.0.0.1:{self.proxy_port}"))},
            "credit": str(CREDIT),
            "gateway": {"url": self.gateway.url},
            "jeju_program": str((self.binaries / "jeju").resolve()),
        }))
        return path

    def run(self, context, suites):
        return subprocess.run(arguments(["node", PROGRAM, context, *suites]), env=trusting(self.leaves), cwd=PROGRAM.parent.parent,
                              timeout=300, text=True, stdout=subprocess.PIPE)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=pathlib.Path, default=os.environ.get("JEJU_PROGRAMS", ROOT / "target/debug"))
    parser.add_argument("--only", nargs="+", default=[])
    options = parser.parse_args()
    started = time.monotonic()
    # A short path: sockets lie below it.
    with tempfile.TemporaryDirectory(prefix="jc-", dir="/tmp") as folder:
        compat = Compat(options.bin, folder)
        try:
            with compat:
                print(f"compat: two nodes and a gateway after {time.monotonic() - started:.0f} s", flush=True)
                check(compat, options.only)
        except BaseException:
            print(compat.logs(), file=sys.stderr)
            raise
    print(f"compat: everything within {time.monotonic() - started:.0f} s", flush=True)


def check(compat, suites):
    # A chain that isn't there must fail every suite: the first clients' tests passed by not running.
    absent = compat.run(compat.context(f"http://127.0.0.1:{free_port()}"), suites)
    assert absent.returncode == 2 and "no chain" in absent.stdout, absent.stdout
    print("compat: without a chain nothing passes: ok", flush=True)
    done = compat.run(compat.context(), suites)
    print(done.stdout, end="", flush=True)
    assert done.returncode == 0, "compat: some checks failed"


if __name__ == "__main__":
    main()
