#!/usr/bin/env python3
"""End-to-end test of recomputed answers: a node as a process answers in every form that has a receipt, exchanges are saved
by `jeju chat --save` and by this script, which knows the file's format from docs/wire-formats.md alone, and
`jeju audit response` recomputes them. Then every answer is changed a little, and each is refused.

    audit.py [--bin DIR]
"""
import argparse
import hashlib
import http.client
import json
import os
import pathlib
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
from node import MODEL, MODEL_FILE, MODEL_SHA256, Node  # noqa: E402
from programs import arguments  # noqa: E402

SIGNED = ["content-type", "content-digest", "jeju-request-digest", "jeju-nonce", "jeju-channel", "jeju-evidence",
          "signature-input", "signature"]
COLOUR = [{"role": "user", "content": "Name a colour."}]
# A name, the path, the body but for the model.
REQUESTS = [
    ("chat", "/v1/chat/completions", {"messages": COLOUR, "max_tokens": 8}),
    ("chat of two choices", "/v1/chat/completions",
     {"messages": COLOUR, "max_tokens": 6, "n": 2, "temperature": 1.3, "top_p": 0.95, "logit_bias": {"284": -2.5}}),
    ("streamed chat", "/v1/chat/completions",
     {"messages": COLOUR, "max_tokens": 8, "stream": True, "stream_options": {"include_usage": True}, "logprobs": True}),
    ("streamed chat of three choices without usage", "/v1/chat/completions",
     {"messages": COLOUR, "max_tokens": 5, "n": 3, "temperature": 1, "stream": True, "seed": 5, "stop": [" and"]}),
    ("JSON object", "/v1/chat/completions", {"messages": COLOUR, "max_tokens": 12, "response_format": {"type": "json_object"}}),
    ("completion", "/v1/completions", {"prompt": "The sky is", "max_tokens": 5, "echo": True}),
    ("streamed completion of many prompts", "/v1/completions",
     {"prompt": ["Once upon", [504, 253, 2240]], "n": 2, "temperature": 0.9, "max_tokens": 4, "stream": True}),
    ("response", "/v1/responses", {"input": "Name a city.", "instructions": "Be brief.", "max_output_tokens": 6}),
    ("streamed response", "/v1/responses", {"input": "Name a city.", "max_output_tokens": 6, "stream": True}),
]


def ask(node, method, path, body=b""):
    """Status, headers with lower-case names, body, through the verifying proxy, which hands signatures on."""
    connection = http.client.HTTPConnection("127.0.0.1", node.proxy_port, timeout=120)
    connection.request(method, path, body, {"content-type": "application/json"} if body else {})
    response = connection.getresponse()
    answer = response.read()
    headers = {name.lower(): value for name, value in response.getheaders()}
    connection.close()
    return response.status, headers, answer


def saved(node, path, body):
    """A saved exchange."""
    body = json.dumps({"model": MODEL, **body}).encode()
    status, headers, answer = ask(node, "POST", path, body)
    assert status == 200, answer
    href = headers["jeju-evidence"].split('href="')[1].split('"')[0]
    status, _, bundle = ask(node, "GET", href)
    assert status == 200, bundle
    return {
        "format": "tag:jeju,2026:exchange/1", "node": node.url, "saved": int(time.time()),
        "request": {"method": "POST", "path": path, "query": "?", "body": body.decode()},
        "response": {"status": 200, "headers": {name: headers[name] for name in SIGNED if name in headers}, "body": answer.decode()},
        "evidence": bundle.decode(),
    }


def receipt(exchanged):
    """The receipt, by another reader than the client's."""
    body = exchanged["response"]["body"]
    if not body.startswith("{"):
        documents = [json.loads(line[6:]) for line in body.split("\n") if line.startswith("data: {")]
        documents = [document.get("response", document) for document in documents]
        [found] = [document["receipt"] for document in documents if "receipt" in document]
        return found
    return json.loads(body)["receipt"]


def audit(node, file, *more, model=MODEL_FILE):
    done = subprocess.run(arguments([node.program("jeju"), "audit", "response", file, "--model", model, "--json", *more]),
                          capture_output=True, text=True, timeout=120)
    return done.returncode, json.loads(done.stdout)


def check_saved_by_jeju(node, folder):
    for name, more in ("whole", []), ("stream", ["--stream"]):
        file = folder / f"{name}.json"
        node.jeju("chat", "Name a river.", "--node", node.url, "--max-tokens", 8, "--save", file, *more, *node.trust)
        code, verdict = audit(node, file, *node.trust)
        assert (code, verdict["status"]) == (0, "affirming"), verdict
        assert verdict["node"]["reference"]["mode"] == "rpc", verdict
    code, verdict = audit(node, file)
    assert (code, verdict["status"], verdict["appraisal"]) == (0, "recomputed", "none"), verdict


def check_all_forms(node, folder):
    file = folder / "exchange.json"
    for name, path, body in REQUESTS:
        exchanged = saved(node, path, body)
        found = receipt(exchanged)
        assert found["model_sha256"] == MODEL_SHA256 and found["sampling"]["top_p"] == body.get("top_p", 1), found
        file.write_text(json.dumps(exchanged))
        code, verdict = audit(node, file, *node.trust)
        assert (code, verdict["status"]) == (0, "affirming"), (name, verdict)
        assert verdict["outputs"] == [choice["output_sha256"] for choice in found["choices"]], name
        assert ("log probabilities" in str(verdict["not_checked"])) == ("logprobs" in body), verdict
        if name == "chat":
            text = json.loads(exchanged["response"]["body"])["choices"][0]["message"]["content"]
            assert verdict["outputs"] == [hashlib.sha256(text.encode()).hexdigest()], verdict
        print(f"audit: {name}: {verdict['completion_tokens']} tokens recomputed")
        # A space more, or the first event twice: an answer that says the same, and that nobody signed.
        answer = exchanged["response"]["body"]
        exchanged["response"]["body"] = answer[:answer.index("\n\n") + 2] + answer if body.get("stream") else answer + " "
        file.write_text(json.dumps(exchanged))
        code, verdict = audit(node, file)
        assert code == 3 and verdict["code"] in ("response_body_changed", "stream_changed"), (name, verdict)


def check_no_receipt(node, folder):
    file = folder / "none.json"
    file.write_text(json.dumps(saved(node, "/v1/embeddings", {"input": "hello"})))
    assert audit(node, file)[1]["code"] == "endpoint_not_audited"


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--bin", type=pathlib.Path, default=ROOT / "target/debug")
    options = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="jeju-audit-") as state:
        node = Node(options.bin, state)
        try:
            with node:
                check_saved_by_jeju(node, node.state)
                check_all_forms(node, node.state)
                check_no_receipt(node, node.state)
        except BaseException:
            print(node.logs(), file=sys.stderr)
            raise
    print("audit: all passed")


if __name__ == "__main__":
    main()
