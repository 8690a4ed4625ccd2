"""Writes fuzz/seeds/TARGET/NAME: one small valid input per parser, from which the fuzzer starts.

The first byte is the target's own choice of parser (see fuzz_targets/). Run it again when a format changes; the results
are committed. Needs `cryptography` (for the certificate). The seeds of the target `hardware` are synthetic evidence instead:
`cargo run -p jeju-synthetic --example fuzz_seeds -- fuzz/seeds/hardware` writes them; those of `docker` are requests of ours:
`cargo run -p jeju-shim-protocol --example docker_seeds -- fuzz/seeds/docker`.
"""
import base64
import datetime
import hashlib
import json
import pathlib
import struct

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import NameOID, ObjectIdentifier

here = pathlib.Path(__file__).parent
root = here.parent
claims = bytes.fromhex((root / "attestation/tests/vectors/claims-epoch.hex").read_text())
report_data = hashlib.sha256(claims).digest() + bytes(32)
report = b"JSIM\x00\x01" + b"\x01" * 32 + b"\x02" * 32 + report_data + b"\x04" * 32 + bytes(20) + b"\x05" * 32 + b"\x06" * 64
assert len(report) == 282

launch = """version = 1
[node]
agent = "0x%s"
names = ["localhost", "127.0.0.1"]
[chain]
profile = "localnet"
id = 31337
registry = "0x%s"
rpc = ["http://127.0.0.1:8545"]
[services]
inference = true
[[models]]
id = "smollm2-135m-instruct"
sha256 = "0x%s"
[egress]
allow = ["127.0.0.1:8545"]
""" % ("08" * 32, "09" * 20, "07" * 32)

policy = """version = 1
kind = "production"
tees = ["tdx", "sev-snp"]
any_agent = true
measurements = ["0x%s"]
[registry]
chain_id = 31337
address = "0x%s"
[launch]
chain_profiles = ["localnet"]
services = ["inference"]
""" % ("01" * 32, "09" * 20)


def cbor_bytes(value):
    """A byte string of 24 to 65535 bytes."""
    head = b"\x58" + bytes([len(value)]) if len(value) < 256 else b"\x59" + struct.pack(">H", len(value))
    return head + value


pair = b"\x82" + cbor_bytes(report) + cbor_bytes(claims)
media_type = b"application/vnd.jeju.simulated-report"
record = b"\x82\x78" + bytes([len(media_type)]) + media_type + cbor_bytes(pair)
ccc = b"\xd9\xea\x60\x82" + cbor_bytes(bytes(100)) + cbor_bytes(claims)


def certificate():
    key = ec.derive_private_key(7, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "jeju")])
    start = datetime.datetime(2026, 1, 1)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.UnrecognizedExtension(ObjectIdentifier("2.23.133.5.4.9"), record), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )


def b64url(value):
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


key_list = b"\xa1\x64hpke\x58\x20" + b"\x07" * 32
bundle = json.dumps(
    {
        "__cmwc_t": "tag:jeju,2026:bundle/1",
        "claims": ["application/vnd.jeju.claims+cbor", b64url(claims), 4],
        "cpu": [media_type.decode(), b64url(report), 4],
        "keys": ["application/vnd.jeju.keys+cbor", b64url(key_list), 4],
        "launch": ["application/toml", b64url(launch.encode()), 4],
    }
).encode()


def binary(value):
    return ":" + base64.b64encode(value).decode() + ":"


sha = "sha-256=" + binary(b"\x07" * 32)
params = (
    '("@status" "content-type" "content-digest" "jeju-request-digest" "jeju-nonce" "jeju-channel" "jeju-evidence" '
    '"@method";req "@path";req "@query";req);created=1800000000;'
    'keyid="d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";alg="ed25519";tag="jeju-resp-v1"'
)
head = "\n".join(
    [
        "content-type: application/json",
        f"content-digest: {sha}",
        f"jeju-request-digest: {sha}",
        f"jeju-nonce: {binary(b'n' * 32)}",
        f"jeju-channel: {binary(b'c' * 32)}",
        f'jeju-evidence: {sha};epoch=3;tee="simulated";href="/.well-known/jeju/evidence/{"07" * 32}"',
        f"jeju-quote: {binary(b'q' * 30)};full=282",
        f"signature-input: jeju={params}",
        f"signature: jeju={binary(b's' * 64)}",
    ]
)
stream_head = head.replace('"content-digest" ', "").replace(f"content-digest: {sha}\n", "").replace("jeju-resp-v1", "jeju-stream-start-v1")
stream = f'data: {{"a":1}}\n\n: jeju-sig v=1; digest={sha}; n=14; start={sha}; end="stop"; sig={binary(b"s" * 64)}\n\ndata: [DONE]\n\n'


def gguf():
    def text(value):
        return struct.pack("<Q", len(value)) + value

    pairs = text(b"general.architecture") + struct.pack("<I", 8) + text(b"llama")
    pairs += text(b"general.alignment") + struct.pack("<II", 4, 32)
    pairs += text(b"tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + text(b"a") + text(b"b")
    tensors = text(b"output_norm.weight") + struct.pack("<IQIQ", 1, 4, 0, 0)
    header = b"GGUF" + struct.pack("<IQQ", 3, 1, 3) + pairs + tensors
    return header + bytes(-len(header) % 32) + struct.pack("<4f", 1, 2, 3, 4)


def model():
    """A whole model of one layer with random weights, in fuzz/model.gguf: the target `inference` runs it."""
    width, vocabulary = 32, 262
    random = 7

    def bits():
        nonlocal random
        random = (random * 6364136223846793005 + 1442695040888963407) % 2**64
        return random >> 33

    def text(value):
        return struct.pack("<Q", len(value)) + value

    def string(key, value):
        return text(key) + struct.pack("<I", 8) + text(value)

    def word(key, value):
        return text(key) + struct.pack("<II", 4, value)

    def array(key, kind, values):
        return text(key) + struct.pack("<IIQ", 9, kind, len(values)) + b"".join(values)

    letters, more = [], 0x100
    for byte in range(256):
        printable = byte in range(0x21, 0x7F) or byte in range(0xA1, 0x100) and byte != 0xAD
        letters.append(chr(byte if printable else more))
        more += not printable
    merges = ["h e", "l l", "he ll"]
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *letters, *(merge.replace(" ", "") for merge in merges)]
    assert len(tokens) == vocabulary
    pairs = [
        string(b"general.architecture", b"llama"),
        word(b"llama.block_count", 1),
        word(b"llama.context_length", 128),
        word(b"llama.embedding_length", width),
        word(b"llama.feed_forward_length", width),
        word(b"llama.attention.head_count", 2),
        word(b"llama.attention.head_count_kv", 1),
        word(b"llama.rope.dimension_count", 16),
        text(b"llama.attention.layer_norm_rms_epsilon") + struct.pack("<If", 6, 1e-5),
        string(b"tokenizer.ggml.model", b"gpt2"),
        string(b"tokenizer.ggml.pre", b"smollm"),
        array(b"tokenizer.ggml.tokens", 8, [text(token.encode()) for token in tokens]),
        array(b"tokenizer.ggml.merges", 8, [text(merge.encode()) for merge in merges]),
        array(b"tokenizer.ggml.token_type", 5, [struct.pack("<i", 3 if index < 3 else 1) for index in range(vocabulary)]),
        word(b"tokenizer.ggml.eos_token_id", 2),
    ]
    shapes = {"token_embd": vocabulary, "blk.0.attn_norm": 1, "blk.0.ffn_norm": 1, "output_norm": 1}
    shapes |= {f"blk.0.{part}": width for part in ("attn_q", "attn_output", "ffn_gate", "ffn_up", "ffn_down")}
    shapes |= {"blk.0.attn_k": 16, "blk.0.attn_v": 16}
    infos, data = b"", b""
    for name, rows in shapes.items():
        data += bytes(-len(data) % 32)
        dimensions = [width] if rows == 1 else [width, rows]
        infos += text(name.encode() + b".weight") + struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
        infos += struct.pack("<IQ", 0 if rows == 1 else 8, len(data))
        for _ in range(rows):
            if rows == 1:
                data += b"".join(struct.pack("<f", 0.5 + bits() % 1000 / 1000) for _ in range(width))
            else:
                data += struct.pack("<e32b", 0.01, *(bits() % 255 - 127 for _ in range(width)))
    header = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(pairs)) + b"".join(pairs) + infos
    return header + bytes(-len(header) % 32) + data


def request(flags, text):
    """For the target `inference`: what is asked for, how much, and a prompt."""
    return bytes([flags, 20, 3, 5]) + text


def archive():
    """One empty directory, as image/src/cpio.rs writes it."""

    def entry(inode, mode, links, name):
        numbers = (inode, mode, 0, 0, links, 0, 0, 0, 0, 0, 0, len(name) + 1, 0)
        record = b"070701" + b"".join(b"%08X" % number for number in numbers) + name + b"\0"
        return record + bytes(-len(record) % 4)

    records = entry(1, 0o040755, 2, b"dev") + entry(0, 0, 1, b"TRAILER!!!")
    return records + bytes(-len(records) % 512)


def id_block():
    """A block and its authentication information up to the end of the author key (image/src/measure/snp/id_block.rs)."""

    def numbers(a, b, length):
        return (a.to_bytes(72, "little") + b.to_bytes(72, "little")).ljust(length, b"\0")

    def public(key):
        point = key.public_key().public_numbers()
        return struct.pack("<I", 2) + numbers(point.x, point.y, 1024)

    def sign(key, message):
        signature = key.sign(message, ec.ECDSA(hashes.SHA384(), deterministic_signing=True))
        return numbers(*utils.decode_dss_signature(signature), 512)

    block = bytes(80) + struct.pack("<IIQ", 1, 0, 0x30133)
    key, author = (ec.derive_private_key(secret, ec.SECP384R1()) for secret in (7, 8))
    auth = struct.pack("<II", 1, 1).ljust(0x40, b"\0") + sign(key, block) + public(key)
    return block + auth.ljust(0x680, b"\0") + sign(author, public(key)) + public(author)


def words(*values):
    return b"".join(value if isinstance(value, bytes) else value.to_bytes(32, "big") for value in values)


def rental():
    """Answers of getRental and termsOf about an active rental, behind its id."""
    texts = [b"ssh-ed25519 AAAA", b"busybox", b"sha256:" + b"0" * 64, b"ssh.example"]
    tails = [words(len(text)) + text + bytes(-len(text) % 32) for text in texts]
    offsets = [14 * 32 + sum(map(len, tails[:place])) for place in range(4)]
    head = words(32, b"\7" * 32, 1, 2, 1, 1000, 8200, 20, 20, 0, *offsets, 2222)
    return b"\7" * 32 + words(10, 8000, 0, 250) + head + b"".join(tails)


def messages(*parts):
    """Messages of a worker's process."""
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def frames(*parts):
    """Frames of a kind, on channel 1, with a payload."""
    return b"".join(struct.pack(">BIB", kind, 1, 0) + struct.pack(">H", len(payload)) + payload for kind, payload in parts)


def text(value):
    return struct.pack(">H", len(value)) + value


no_env = struct.pack(">H", 0)
pty = b"\1" + text(b"xterm") + struct.pack(">HHHH", 80, 24, 0, 0) + b"\1\x35" + bytes(4)
env = struct.pack(">H", 1) + text(b"LANG") + text(b"C")
of_client = [
    (1, b"\2" + text(b"cat") + b"\0" + no_env),
    (4, b"data"),
    (7, struct.pack(">I", 40000)),
    (8, struct.pack(">HHHH", 100, 40, 0, 0)),
    (9, b"TERM"),
    (6, b""),
    (11, b""),
]
of_container = [(2, b""), (4, b"out"), (5, b"err"), (7, struct.pack(">I", 40000)), (6, b""), (10, bytes(5)), (11, b"")]
refused = [(3, text(b"no_shell") + text(b"no shell"))]
opened = [(1, b"\1" + pty + env), (1, b"\3"), (1, b"\4" + text(b"localhost") + b"\0\x50"), (10, b"\1\0TERM")]

openai_chat = json.dumps({
    "model": "m", "stream": True, "n": 2, "temperature": 0.5, "stop": ["a"], "logit_bias": {"5": 1}, "logprobs": True,
    "top_logprobs": 2, "cache_salt": "x", "response_format": {"type": "json_object"}, "tool_choice": "auto",
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"$ref": "#/a"}}}],
    "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
                 {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
                 {"role": "tool", "tool_call_id": "c", "content": "4"}]}).encode()
openai_usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
openai_answer = json.dumps({
    "object": "chat.completion", "usage": openai_usage,
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "a", "reasoning": "b"},
                 "logprobs": {"content": [{"token": "a", "logprob": -1, "bytes": [97], "top_logprobs": []}]}}]}).encode()
openai_stream = b"\n".join([*(json.dumps({
    "object": "chat.completion.chunk", "usage": openai_usage,
    "choices": [{"index": index, "delta": {"content": "a", "tool_calls": [{"index": 0, "id": "c"}]}, "finish_reason": "length"}]}).encode()
    for index in (0, 1)), b"[DONE]"])

seeds = {
    "agent_protocol": {
        "frames-client": b"\0" + frames(*of_client, *opened),
        "frames-container": b"\0" + frames(*of_container, *refused),
        "client": b"\1" + frames(*of_client),
        "container": b"\2" + frames(*of_container),
        "container-refused": b"\2" + frames(*refused),
    },
    "chain": {
        "rental": b"\0" + rental(),
        "no-rental": b"\0" + bytes(32 + 128) + words(32, *[0] * 9, 448, 480, 512, 544, *[0] * 5),
        "offer": b"\1" + words(4, 2, 80, 32, 256, 2000, 1000, 1, 10, 3, 1, 720, 4, 1, 1, 0),
        "page": b"\2" + words(32, 2, b"\1" * 32, b"\2" * 32),
    },
    "documents": {"launch": b"\0" + launch.encode(), "policy": b"\1" + policy.encode()},
    "evidence": {
        "claims": b"\0" + claims,
        "extension": b"\1" + record,
        "extension-tdx": b"\1" + ccc,
        "certificate": b"\2" + certificate(),
        "bundle": b"\3" + bundle,
        "key-list": b"\4" + key_list,
        "simulated-report": b"\5" + report,
    },
    "responses": {
        "head": b"\0" + head.encode(),
        "stream-head": b"\0" + stream_head.encode(),
        "stream": b"\1\x0f" + stream.encode(),
    },
    "shim_protocol": {
        "egress": b"\0CONNECT rpc.example:443\n",
        "egress-v6": b"\0CONNECT [::1]:8545\n",
        "egress-ok": b"\1OK\n",
        "egress-error": b"\1ERR denied\n",
        "launch": b"\2GET launch\n",
        "collateral": b"\2GET collateral/tcb.json\n",
        "document": b"\3OK 4096\n",
        "fatal": b"\4\x01\x00\x02\x00\x07",
        "log": b"\4\x02\x00\x05hello",
        "describe": b"\5\0\0\0\1\1",
        "report": b"\5\0\0\0\x41\2" + bytes(64),
        "host-data": b"\6\0\0\0\x21\x81" + bytes(32),
        "evidence": b"\6" + struct.pack(">I", 283) + b"\x82" + report,
        "serial": b"\7JEJU-FATAL 7",
        "stream": b"\x08OK 5\nhello",
        "sealing-key": b"\5\0\0\0\1\3",
        "derived-key": b"\6\0\0\0\x21\x83" + bytes(32),
        "blob-get": b"\x0aGET signer/manifest\n",
        "blob-put": b"\x0aPUT signer/r-01 300\n",
        "blob-delete": b"\x0aDELETE signer/r-01\n",
        "blob-list": b"\x0aLIST signer/r- r-01\n",
        "blob-full": b"\x0bERR full\n",
        "blob-page": b"\x0cr-01\nr-02\n",
        "blob-stream": b"\x08OK 10\nr-01\nr-02\n",
        "blob-requests": b"\x08PUT signer/a 5\nhelloGET signer/a\n",
    },
    # Generation, then changes of four bytes each: what, which blob, where, with what.
    "sealed_store": {
        "genuine": b"\3",
        "bit": b"\3\0\0\x40\1",
        "cut": b"\3\1\1\x20\0",
        "gone": b"\3\3\0\0\0",
        "older-blob": b"\3\4\1\0\1",
        "older-state": b"\3\5\0\0\1",
    },
    # The first byte is the parser, plus five times the program and twenty times the endpoint.
    "openai": {
        "events": b"\x0f: comment\r\nevent: x\r\ndata: {}\r\n\r\ndata: [DONE]\n\n",
        "chat": b"\x01" + openai_chat,
        "chat-llama": b"\x06" + openai_chat,
        "completion": b"\x15" + b'{"model":"m","prompt":["a",[1]],"n":2,"logprobs":1,"max_tokens":5,"stream":true}',
        "embedding": b"\x29" + b'{"model":"m","input":["a"],"encoding_format":"base64","dimensions":5}',
        "chat-answer": b"\x02" + openai_answer,
        "completion-answer": b"\x16" + b'{"object":"text_completion","choices":[{"index":0,"text":"a","finish_reason":"stop","logprobs":{"tokens":["a"],"token_logprobs":[-1],"top_logprobs":[{"a":-1}],"text_offset":[0]}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}',
        "embedding-answer": b"\x2a" + b'{"object":"list","data":[{"index":0,"embedding":[0.5]}],"usage":{"prompt_tokens":1}}',
        "chat-stream": b"\x03" + openai_stream,
        "embedded": b"\x04" + openai_chat,
        "responses": b"\x04" + b'{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"a"}]}],"instructions":"b","max_output_tokens":5}',
    },
    "worker_bundle": {
        "typescript": b"\0" + (root / "enclave/workers/tests/vectors/typescript/casts.ts").read_bytes(),
        "classes": b"\0" + (root / "enclave/workers/tests/vectors/typescript/classes.ts").read_bytes(),
        "enums": b"\0" + (root / "enclave/workers/tests/vectors/typescript/enums.ts").read_bytes(),
        "imports": b"\0" + (root / "enclave/workers/tests/vectors/typescript/imports.ts").read_bytes(),
        "namespaces": b"\0" + (root / "enclave/workers/tests/vectors/typescript/namespaces.ts").read_bytes(),
        "semicolons": b"\0" + (root / "enclave/workers/tests/vectors/typescript/semicolons.ts").read_bytes(),
        "json": b'\1{"__proto__": [1, "\\u005f"]}',
        "modules": b'\2a.ts 1\nb/index.js 2\nnode_modules/c/package.json {"exports":{".":{"import":"./d.js"},"./*":"./*.js"}}\n'
        b"node_modules/c/d.js 3\n ./b\n ../a\n c\n c/d\n",
    },
    "worker_cron": {
        "steps": bytes(8) + b"*/5 1-9/2 * jan,3 sun-fri",
        "either": bytes(8) + b"0 0 29 2 7",
    },
    "worker_fetch": {
        "multipart": b'\0--b\r\nContent-Disposition: form-data; name="a"; filename="f"\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n',
        "type": b'\1multipart/form-data; boundary="x y"',
        "urlencoded": b"\2a=1&b=%20+c",
        "headers": b"\3a: b\nset-cookie: c=d",
        "url": b"\4https://u:p@ex\xc3\xa4mple.com:80/a/../b?c#d",
        "pattern": b"\5/users/:id(\\d+)?/*\nhttps://a.example",
        "encoding": b"\6shift_jis\n\x82\xa0",
    },
    # Head and end of the first call, as the process sends them.
    "worker_frames": {
        "answer": b"\2" + messages(b"\x08\1\1\2hi", b"\2\1\xc8\1\0\1\1a\1b\1\2hi", b"\x09\1\1\1\1\0\0"),
        "loaded": b"\2" + messages(b"\0\1\1\0\0"),
        "streamed": b"\0" + messages(b"\2\1\xc8\1\0\0\0", b"\3\1\0\2hi", b"\4\1\0\0", b"\5\1\1\1\7"),
        "fetch": b"\x03" + messages(b"\6\1\1\3GET\x09http://a/\0\0\0", b"\7\1\1"),
        "cancel": b"\1" + messages(b"\x08\1", b"\x09"),
    },
    "worker_route": {
        "table": b"/a/b/c\n/a/*\n/:x/b/c\n/a/:y/c\n/a/b/c\n/a/b*\n*",
    },
    "gguf": {"header": gguf()},
    "inference": {
        "plain": request(0, b"hello"),
        "sampled": request(1, b"hello"),
        "json": request(3, b"hell"),
        "logprobs": request(4, b"hello \xc3\xa9\xf0\x9f\x98\x80"),
        "stop": request(9, b"a b c"),
        "embedding": request(16, b"hello hello"),
    },
    "image_files": {
        "eif": b"\0" + (root / "image/tests/vectors/aws-signed.eif").read_bytes(),
        "archive": b"\1" + archive(),
        "firmware": b"\2" + (root / "image/firmware/OVMF.amdsev.fd").read_bytes()[-1500:],
        "id-block": b"\3" + id_block(),
    },
}
(here / "model.gguf").write_bytes(model())
for target, inputs in seeds.items():
    directory = here / "seeds" / target
    directory.mkdir(parents=True, exist_ok=True)
    for name, value in inputs.items():
        (directory / name).write_bytes(value)
