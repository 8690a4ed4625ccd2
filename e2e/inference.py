#!/usr/bin/env python3
"""Inference as people use it: openai-python, openai-node, Vercel's AI SDK, LangChain and LiteLLM, unchanged, through
`jeju proxy` and directly, against the embedded model and against a real llama.cpp server as upstream. Then what no client
asks for: fields that can't be served, lengths of events, an upstream that dies, and one outside any TEE.

    inference.py [--bin DIR] [--only NAME...] [--client NAME...] [--call NAME...] [--all]

Each client makes its calls to both models, to one of them through the proxy and to the other directly; --all: in either way
to either."""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from run import ROOT, Endpoint  # First: it goes on in the environment of e2e/requirements.txt.

import inference_external
import inference_fields
import inference_lost
from llama_cpp import CALL_A_TOOL
from node import MODEL, Node
from programs import arguments, free_port

CLIENTS = ["openai_python.py", "openai_node.mjs", "ai_sdk.mjs", "langchain_client.py", "litellm_client.py"]
CLIENTS_AT = ROOT / "e2e/clients"
ENVIRONMENT = ROOT / ".jeju/clients"
UPSTREAM_MODEL = "smollm2-by-llama-cpp"
# Of all clients together, for each backend.
LEAST_CALLS = 40


class InferenceNode(Node):
    """A node with a model of its own, and with llama.cpp's server as upstream on its loopback."""

    def __init__(self, binaries, state):
        self.llama_port = free_port()
        super().__init__(binaries, state, epoch_seconds=3600, readers=["loopback"], upstreams=f"""
[[upstreams]]
name = "llama-cpp"
kind = "llama_cpp"
url = "http://127.0.0.1:{self.llama_port}"
max_concurrent = 16
[[upstreams.models]]
id = "{UPSTREAM_MODEL}"
name = "{MODEL}"
endpoints = ["chat", "completions", "embeddings"]
context_length = 2048
[upstreams.models.probe]
prompt = "What is the capital of France?"
answer = "The capital of France is Paris"
""")

    def start(self):
        self.start_llama()
        super().start()
        self.proxied = Endpoint("proxy", self, self.proxy_port, False)
        self.direct = Endpoint("node", self, self.node_port, True)

    def start_llama(self):
        """Returns when it answers."""
        events = self.spawn("llama-cpp", ROOT / "bench/inference/run.sh", "../../e2e/llama_cpp.py", self.llama_port, events=True)
        events.wait("ready", 300)
        self.llama = events.process

    def targets(self, endpoints):
        """Of an endpoint for each model."""
        for endpoint, (backend, model) in zip(endpoints, [("embedded", MODEL), ("llama_cpp", UPSTREAM_MODEL)]):
            yield {"name": f"{endpoint.name}/{backend}", "base_url": f"{endpoint.url}/v1", "model": model, "backend": backend,
                   "call_a_tool": CALL_A_TOOL}


def check_matrix(node, options):
    """All clients at a time, as far as there are cores."""
    make_environment()
    clients = [client for client in CLIENTS if client.split(".")[0] in (options.client or client)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        done = dict(zip(clients, pool.map(lambda client: run_client(node, client, options), clients)))
    passed, failed = collections.Counter(), []
    for client, (calls, rest) in done.items():
        for call in calls:
            if call["error"]:
                failed.append(f"{client}: {call['call']} at {call['target']}: {call['error']}")
            else:
                passed[call["target"].split("/")[1]] += 1
        print(f"matrix: {client}: {sum(not call['error'] for call in calls)} of {len(calls)} calls, "
              f"{sum(call['seconds'] for call in calls):.0f} s", flush=True)
        if not calls:
            failed.append(f"{client}: {rest}")
    assert not failed, "\n".join([f"{len(failed)} calls failed", *failed])
    assert options.client or options.call or all(passed[backend] >= LEAST_CALLS for backend in ("embedded", "llama_cpp")), passed
    return sum(passed.values())


def run_client(node, client, options):
    """What it says of its calls, and what else it printed."""
    ways = [(node.proxied, node.direct), (node.direct, node.proxied)]
    chosen = ways if options.all else [ways[CLIENTS.index(client) % 2]]
    targets = json.dumps([target for endpoints in chosen for target in node.targets(endpoints)])
    program = ["node"] if client.endswith(".mjs") else [ENVIRONMENT / "bin/python", "-W", "ignore"]
    done = subprocess.run(arguments([*program, client, targets, *options.call]), cwd=CLIENTS_AT, env=node.direct.environment(), timeout=900,
                          capture_output=True, text=True)
    lines = done.stdout.splitlines()
    found = [json.loads(line) for line in lines if line.startswith('{"target":')]
    return found, done.stdout[-2000:] + done.stderr[-2000:]


def make_environment():
    """The Python clients, where they aren't there."""
    wanted, stamp = CLIENTS_AT / "requirements.txt", ENVIRONMENT / "requirements.txt"
    if stamp.exists() and stamp.read_bytes() == wanted.read_bytes():
        return
    print("e2e: Python clients into .jeju/clients", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
    subprocess.run([ENVIRONMENT / "bin/pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", "--requirement", wanted], check=True)
    stamp.write_bytes(wanted.read_bytes())


CHECKS = {
    "matrix": check_matrix,
    "fields": lambda node, _: inference_fields.check(node, MODEL, UPSTREAM_MODEL),
    "lost": lambda node, _: inference_lost.check(node, MODEL, UPSTREAM_MODEL),
}


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--bin", default=ROOT / "target/debug", type=pathlib.Path)
    options.add_argument("--only", nargs="*", default=[*CHECKS, "external"], choices=[*CHECKS, "external"])
    options.add_argument("--client", nargs="*", default=[])
    options.add_argument("--call", nargs="*", default=[])
    options.add_argument("--all", action="store_true")
    options = options.parse_args()
    started, passed = time.monotonic(), 0
    wanted = [name for name in CHECKS if name in options.only]
    if wanted:
        passed += run(options, InferenceNode, {name: CHECKS[name] for name in wanted})
    if "external" in options.only:
        passed += run(options, inference_external.ExternalNode, {"external": lambda node, _: inference_external.check(node)})
    print(f"inference: {passed} checks passed in {time.monotonic() - started:.0f} s")


def run(options, kind, checks):
    passed = 0
    with tempfile.TemporaryDirectory(prefix="jeju-") as state:
        node = kind(options.bin, state)
        try:
            with node:
                print(f"inference: node ready after {node.seconds_to_ready:.1f} s", flush=True)
                for name, check in checks.items():
                    started = time.monotonic()
                    found = check(node, options)
                    print(f"inference: {name}: {found} ok, {time.monotonic() - started:.1f} s", flush=True)
                    passed += found
        except BaseException:
            print(node.logs(), file=sys.stderr)
            raise
    return passed


if __name__ == "__main__":
    main()
