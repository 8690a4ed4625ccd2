"""Checks a signed response as docs/wire-formats.md describes it, with libraries that Jeju's own code doesn't use.

Shares nothing with the Rust verifier, so that a mistake on both of its ends would show here.
"""
import base64
import hashlib
import re

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

# §9: the budget that keeps nginx, Node and aiohttp at their defaults.
MAX_HEADER_BYTES = 3500
SIGNED = ["content-digest", "jeju-request-digest", "jeju-nonce", "jeju-channel", "jeju-evidence", "jeju-quote", "jeju-claims",
          "signature-input", "signature"]
COVERED = SIGNED[:5]
COMPONENTS = ('"@status" "content-type" {}"jeju-request-digest" "jeju-nonce" "jeju-channel" "jeju-evidence" {}'
              '"@method";req "@path";req "@query";req')


class Invalid(Exception):
    """The response isn't what the enclave signed; the message says in what."""


def require(condition, reason):
    if not condition:
        raise Invalid(reason)


def verify(method, target, request_body, status, headers, body, roots, ends=("stop", "length"), worker=False):
    """`headers`: lower-case names. `roots`: development roots as 65-byte points. `ends`: how a stream may have ended. `worker`: whether
    a worker answered. Returns the claims."""
    stream = headers["content-type"].startswith("text/event-stream")
    present = [name for name in SIGNED if not (stream and name == "content-digest")]
    if worker:
        present.insert(present.index("jeju-evidence") + 1, "jeju-worker")
    require(worker == ("jeju-worker" in headers), "who answered isn't who was asked")
    missing = [name for name in present if name not in headers]
    require(not missing, f"headers are missing: {missing}")
    size = sum(len(name) + len(headers[name]) + len(": \r\n") for name in present)
    require(size <= MAX_HEADER_BYTES, f"headers take {size} bytes")

    claims_buffer = item(headers["jeju-claims"])
    claims = cbor2.loads(claims_buffer)
    check_quote(headers["jeju-quote"], claims_buffer, roots)
    key = ed25519.Ed25519PublicKey.from_public_bytes(claims["resp"])

    content = "" if stream else '"content-digest" '
    answered = '"jeju-worker" ' if worker else ""
    tag = {(False, False): "jeju-resp-v1", (True, False): "jeju-stream-start-v1", (False, True): "jeju-worker-v1",
           (True, True): "jeju-worker-stream-start-v1"}[stream, worker]
    parameters = headers["signature-input"].removeprefix("jeju=")
    created = re.search(r";created=([0-9]+);", parameters)
    require(created, "no time of signing")
    wanted = (f"({COMPONENTS.format(content, answered)});created={created[1]};keyid=\"{claims['resp'].hex()}\";"
              f'alg="ed25519";tag="{tag}"')
    require(parameters == wanted, f"Signature-Input is {parameters}, not {wanted}")

    path, _, query = target.partition("?")
    base = [('"@status"', str(status)), ('"content-type"', headers["content-type"])]
    base += [(f'"{name}"', headers[name]) for name in present if name in COVERED or name == "jeju-worker"]
    base += [('"@method";req', method), ('"@path";req', path), ('"@query";req', "?" + query), ('"@signature-params"', parameters)]
    signature = item(headers["signature"].removeprefix("jeju="))
    ed25519_verify(key, signature, "\n".join(f"{name}: {value}" for name, value in base).encode(), "response")

    require(digest_of(headers["jeju-request-digest"]) == sha256(request_body), "another request was answered")
    require(len(item(headers["jeju-nonce"])) == 32, "nonce has another length")
    require(f";epoch={claims['epoch']};" in headers["jeju-evidence"], "evidence is of another epoch")
    if stream:
        verify_stream(key, signature, body, ends, worker)
    else:
        require(digest_of(headers["content-digest"]) == sha256(body), "the body was changed")
    return claims


def verify_stream(key, start_signature, body, ends, worker=False):
    """§9, end of a stream. What stands before it is a worker's own business, and no `[DONE]` follows."""
    done = b"" if worker else b"data: [DONE]\n\n"
    require(body.endswith(b"\n\n" + done), "stream does not end in [DONE]")
    at = body.rfind(b": jeju-sig ")
    require(at > 0, "stream has no final signature")
    line = body[at:len(body) - len(done)].decode()
    found = re.fullmatch(r': jeju-sig v=1; digest=(\S+); n=([0-9]+); start=(\S+); end="(\w+)"; sig=(\S+)\n\n', line)
    require(found, f"malformed: {line!r}")
    digest, length, start, end, signature = found.groups()
    require(digest_of(digest) == sha256(body[:at]) and int(length) == at, "the stream was changed")
    require(digest_of(start) == sha256(start_signature), "the end belongs to another start")
    require(end in ends, f"stream ended by {end}")
    text = f"jeju-stream-end-v1\ndigest: {digest}\nn: {length}\nstart: {start}\nend: {end}"
    ed25519_verify(key, item(signature), text.encode(), "end of the stream")


def check_quote(header, claims_buffer, roots):
    """§3: a simulated report over exactly these claims, signed by one of the roots."""
    value, _, full = header.partition(";full=")
    report = item(value)
    require(len(report) == int(full) == 282 and report[:6] == b"JSIM\0\1", "not a simulated report")
    require(report[70:134] == sha256(claims_buffer) + bytes(32), "the quote is not over the claims")
    root = next((root for root in roots if sha256(root) == report[186:218]), None)
    require(root, "the quote is by another root")
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), root)
    signature = encode_dss_signature(int.from_bytes(report[218:250], "big"), int.from_bytes(report[250:], "big"))
    try:
        point.verify(signature, b"jeju-simulated-report-v1\0" + report[:218], ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Invalid("the quote's signature is bad") from None


def ed25519_verify(key, signature, message, what):
    try:
        key.verify(signature, message)
    except InvalidSignature:
        raise Invalid(f"bad signature of the {what}") from None


def item(value):
    """A byte sequence of RFC 9651."""
    require(value.startswith(":") and value.endswith(":") and len(value) > 1, f"not a byte sequence: {value!r}")
    return base64.b64decode(value[1:-1], validate=True)


def digest_of(value):
    return item(value.removeprefix("sha-256="))


def sha256(data):
    return hashlib.sha256(data).digest()
