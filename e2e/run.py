#!/usr/bin/env python3
"""End-to-end tests with real clients: curl, openai-python, openai-node and nginx, against a node that runs as a process
and against the image in QEMU. Each prints one line; the first failure ends the run with the logs of all programs.

    run.py [--bin DIR] [--image DIR] [--only process | qemu]
"""
import argparse
import http.client
import json
import os
import pathlib
import ssl
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
PYTHON = ROOT / ".jeju/venv/bin/python"

if pathlib.Path(sys.prefix).resolve() != (ROOT / ".jeju/venv").resolve() and PYTHON.exists():
    os.execv(PYTHON, [PYTHON, *sys.argv])

sys.path.insert(0, str(HERE))
from nginx import Nginx  # noqa: E402
from node import MODEL, Node  # noqa: E402
from programs import arguments, free_port, wait_until  # noqa: E402
from signed_response import Invalid, verify  # noqa: E402

CHAT = "/v1/chat/completions"


def prompt(**changes):
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8, "temperature": 0}
    return json.dumps({**body, **changes}).encode()


# What is wrong, the body, the status, the code.
BAD_REQUESTS = [
    ("malformed JSON", b'{"model": ', 400, None),
    ("no JSON object", b"[]", 400, None),
    ("unknown model", prompt(model="no-such-model"), 404, "model_not_found"),
    ("oversize body", prompt(messages=[{"role": "user", "content": "x" * (2 << 20)}]), 413, "request_too_large"),
    ("too many tokens", prompt(messages=[{"role": "user", "content": "one two " * 20_000}]), 400, "context_length_exceeded"),
    ("messages of a wrong type", prompt(messages="hello"), 400, None),
    ("temperature of a wrong type", prompt(temperature="hot"), 400, None),
    ("max_tokens of a wrong type", prompt(max_tokens="many"), 400, None),
    ("stream of a wrong type", prompt(stream="yes"), 400, None),
    ("no messages", prompt(messages=[]), 400, None),
]


class Endpoint:
    """Somewhere that answers the node's API: the proxy, the node, or nginx before either."""

    def __init__(self, name, node, port, tls):
        self.name, self.node, self.port, self.tls = name, node, port, tls

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://localhost:{self.port}"

    def request(self, method, target, body=b""):
        """Status, headers with lower-case names, body; the signature is checked."""
        if self.tls:
            context = ssl.create_default_context(cafile=self.node.leaf)
            connection = http.client.HTTPSConnection("localhost", self.port, timeout=300, context=context)
        else:
            connection = http.client.HTTPConnection("localhost", self.port, timeout=300)
        headers = {"content-type": "application/json"} if body else {}
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        answer = response.read()
        found = {name.lower(): value for name, value in response.getheaders()}
        connection.close()
        verify(method, target, body, response.status, found, answer, [self.node.root])
        return response.status, found, answer

    def environment(self):
        """Trust in the node's leaf alone, as `jeju cert` wrote it."""
        trust = {"SSL_CERT_FILE": str(self.node.leaf), "NODE_EXTRA_CA_CERTS": str(self.node.leaf)} if self.tls else {}
        return {**{name: value for name, value in os.environ.items() if "proxy" not in name.lower()}, **trust}


def check_signatures(endpoint):
    for target in "/health", "/v1/models", f"/v1/models/{MODEL}", "/v1/hardware", "/v1/metrics", "/no/such?thing=1":
        status, _, _ = endpoint.request("GET", target)
        assert status == (404 if "such" in target else 200), (target, status)
    status, _, whole = endpoint.request("POST", CHAT, prompt())
    assert status == 200, whole
    status, headers, stream = endpoint.request("POST", CHAT, prompt(stream=True))
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    text = "".join(json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
                   for line in stream.decode().splitlines() if line.startswith("data: {"))
    assert text == json.loads(whole)["choices"][0]["message"]["content"], (text, whole)


def check_bad_requests(endpoint):
    for what, body, status, code in BAD_REQUESTS:
        found, _, answer = endpoint.request("POST", CHAT, body)
        error = json.loads(answer)["error"]
        assert set(error) >= {"message", "type", "param", "code"}, (what, error)
        assert (found, error["type"]) == (status, "invalid_request_error"), (what, found, error)
        assert error["code"] and (code is None or error["code"] == code), (what, error)
    status, _, _ = endpoint.request("GET", CHAT)
    assert status == 405, status


def check_curl(endpoint):
    trust = ["--cacert", endpoint.node.leaf] if endpoint.tls else []
    for stream in False, True:
        done = subprocess.run(arguments(["curl", "--silent", "--show-error", "--fail", "--no-buffer", "--max-time", 300, *trust,
                                         "--json", prompt(stream=stream).decode(), endpoint.url + CHAT]),
                              check=True, capture_output=True, text=True)
        assert done.stdout.endswith("data: [DONE]\n\n") if stream else json.loads(done.stdout)["choices"], done.stdout


def check_openai_python(endpoint):
    client(endpoint, sys.executable, HERE / "openai_client.py")


def check_openai_node(endpoint):
    client(endpoint, "node", HERE / "openai_client.mjs")


def client(endpoint, *program):
    slow = ["slow"] if endpoint.node.image else []
    done = subprocess.run(arguments([*program, endpoint.url + "/v1", MODEL, *slow]), env=endpoint.environment(), cwd=HERE, timeout=900,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def check_tampering(endpoint):
    """The check itself refuses: a test that can't fail shows nothing."""
    body = prompt()
    status, headers, answer = endpoint.request("POST", CHAT, body)
    forged = [
        ("body", (body, status, headers, answer[:-2] + b" }")),
        ("status", (body, 201, headers, answer)),
        ("request", (body + b" ", status, headers, answer)),
        ("nonce", (body, status, {**headers, "jeju-nonce": ":" + "A" * 43 + "=:"}, answer)),
        ("content type", (body, status, {**headers, "content-type": "text/plain"}, answer)),
    ]
    for what, changed in forged:
        try:
            verify("POST", CHAT, *changed, [endpoint.node.root])
        except Invalid:
            continue
        raise AssertionError(f"a forged {what} passed")


def check_verdicts(endpoint):
    """What users are told, by exit code. Ends with the revocation of the measurement, so nothing can come after it."""
    node = endpoint.node
    original = node.policy.read_text()

    def changed(old, new):
        assert old in original
        path = node.state / "changed-policy.toml"
        path.write_text(original.replace(old, new))
        return "--policy", path, "--development"

    assert node.verify() == (0, None)
    assert node.verify("--policy", node.policy) == (1, "policy_invalid"), "a development policy needs the user's word"
    assert node.verify(*changed('agents = ["0xa7', 'agents = ["0xa8')) == (2, "agent_not_accepted")
    assert node.verify(*changed('services = ["inference"]', "")) == (2, "service_not_accepted")
    assert node.verify(*changed("models = ", "# models = ")) == (2, "model_not_accepted")
    assert node.verify(*changed(f'roots = ["0x{node.root.hex()}"]', f'roots = ["0x04{"11" * 64}"]')) == (3, "root_not_trusted")
    assert node.verify(*changed("[registry]", f'measurements = ["0x{"11" * 32}"]\n[registry]')) == (2, "measurement_unknown")
    code, reason = node.verify(url="https://localhost:1")
    assert (code, reason) == (5, "node_unreachable"), (code, reason)

    node.chain.contracts("revoke", *node.at_registry)
    node.wait_for_verdict(2, "measurement_revoked")
    # The proxy's sessions end with their epoch of 30 seconds.
    deadline = time.monotonic() + 90
    while True:
        connection = http.client.HTTPConnection("localhost", endpoint.port, timeout=60)
        connection.request("GET", "/v1/models")
        response = connection.getresponse()
        error = json.loads(response.read()).get("error", {})
        if response.status == 502 and error["code"] == "measurement_revoked":
            break
        assert time.monotonic() < deadline, f"the proxy still serves: {response.status} {error}"
        time.sleep(1)


EVERYTHING = [check_signatures, check_tampering, check_bad_requests, check_curl, check_openai_python, check_openai_node]


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--bin", default=ROOT / "target/debug", type=pathlib.Path)
    options.add_argument("--image", default=ROOT / "target/image", type=pathlib.Path)
    options.add_argument("--only", choices=["process", "qemu"])
    options = options.parse_args()
    passed = 0
    if options.only != "qemu":
        # Whoever trusts a leaf has to go on trusting it for as long as this takes on a slow machine.
        passed += run("process", options.bin, None, 600, lambda node, nginx: [
            (Endpoint("proxy", node, node.proxy_port, False), EVERYTHING),
            (Endpoint("node", node, node.node_port, True), EVERYTHING),
            (Endpoint("nginx before proxy", node, nginx.before_proxy, False), [check_signatures, check_openai_python]),
            (Endpoint("nginx before node", node, nginx.before_node, False), [check_signatures, check_openai_python]),
        ])
        passed += run("process", options.bin, None, None, lambda node, _: [
            (Endpoint("proxy", node, node.proxy_port, False), [check_verdicts]),
        ])
    if options.only != "process":
        passed += run("qemu", options.bin, options.image, None, lambda node, _: [
            (Endpoint("proxy", node, node.proxy_port, False), [check_signatures, check_openai_python, check_openai_node]),
            (Endpoint("node", node, node.node_port, True), [check_curl]),
        ])
        passed += run_dev(options.bin, options.image)
    print(f"e2e: {passed} checks passed")


def run_dev(binaries, image):
    """`jeju dev --once`, which is what `make run ONCE=1` ends in: a verdict, an answer, and nothing left behind."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="jeju-") as state:
        base = free_port(3)
        done = subprocess.run(arguments([binaries / "jeju", "dev", "--once", "--image", image, "--state", state]), cwd=ROOT, timeout=600,
                              env={**os.environ, "JEJU_PORT_BASE": str(base)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 0, done.stderr
        outcome = json.loads(done.stdout)
        assert outcome["verdict"]["status"] == "affirming" and outcome["answer"], outcome
        left = lambda: subprocess.run(["pgrep", "--full", "--list-full", state], capture_output=True, text=True).stdout  # noqa: E731
        wait_until(left, 20, lambda: not left())
    print(f"dev: {json.dumps(outcome['milliseconds'])}, {time.monotonic() - started:.1f} s", flush=True)
    return 1


def run(name, binaries, image, epoch_seconds, endpoints):
    passed = 0
    with tempfile.TemporaryDirectory(prefix="jeju-") as state:
        node = Node(binaries, state, image, epoch_seconds=epoch_seconds)
        try:
            with node, Nginx(node, state) as nginx:
                print(f"{name}: ready after {node.seconds_to_ready:.1f} s", flush=True)
                for endpoint, checks in endpoints(node, nginx):
                    for check in checks:
                        started = time.monotonic()
                        check(endpoint)
                        print(f"{name}: {endpoint.name}: {check.__name__.removeprefix('check_')} ok, "
                              f"{time.monotonic() - started:.1f} s", flush=True)
                        passed += 1
        except BaseException:
            print(node.logs(), file=sys.stderr)
            raise
    return passed


if __name__ == "__main__":
    main()
