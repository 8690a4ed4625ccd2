"""An upstream outside any TEE: prompts leave for whoever runs it, so the node says so, and the policy has to allow it."""
import datetime
import http.server
import ipaddress
import json
import ssl
import subprocess
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from node import Node
from programs import arguments, free_port
from run import Endpoint

MODEL = "somebody-elses-model"
CHAT = "/v1/chat/completions"


class ExternalNode(Node):
    """A node without a model of its own, before a server whose certificate no authority signed."""

    def __init__(self, binaries, state):
        self.port = free_port()
        super().__init__(binaries, state, embedded=False, egress=[f"localhost:{self.port}"], readers=["external"], upstreams=f"""
[[upstreams]]
name = "elsewhere"
kind = "openai"
url = "https://localhost:{self.port}"
[[upstreams.models]]
id = "{MODEL}"
""")

    def start(self):
        self.server = Server(self.state, self.port)
        super().start()
        self.direct = Endpoint("node", self, self.node_port, True)

    def stop(self):
        super().stop()
        self.server.shutdown()


def check(node):
    """Counts what was checked."""
    policy = node.policy.read_text()

    def verdict_with(readers):
        rule = 'upstreams = ["external"]\n'
        assert rule in policy
        path = node.state / "other-policy.toml"
        path.write_text(policy.replace(rule, readers))
        return node.verify("--policy", path, "--development")

    for readers in "", "upstreams = []\n", 'upstreams = ["loopback"]\n', 'upstreams = ["loopback", "attested"]\n':
        assert verdict_with(readers) == (2, "upstream_not_accepted"), readers
    assert verdict_with('upstreams = ["external"]\n') == (0, None)
    done = subprocess.run(arguments([node.program("jeju"), "verify", node.url, "--json", *node.trust]), check=True, capture_output=True, text=True)
    verdict = json.loads(done.stdout)
    assert verdict["external_models"] == [MODEL], verdict
    told = next(entry for entry in verdict["checks"] if entry["claim"] == "upstream")
    assert "NOT CONFIDENTIAL" in told["value"], told
    # Who trusts it by the rule sees it in the list as well.
    found = json.loads(node.direct.request("GET", "/v1/models")[2])["data"]
    assert [(entry["id"], entry["confidential"]) for entry in found] == [(MODEL, False)], found
    # Nobody else may pose as it: its certificate isn't one that the world trusts.
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "canary"}], "max_tokens": 4}).encode()
    status, _, answer = node.direct.request("POST", CHAT, body)
    assert status in (502, 503) and json.loads(answer)["error"]["code"].startswith("upstream_"), (status, answer)
    assert b"canary" not in node.server.seen and not node.server.requests, "a prompt left for a server that isn't who it says"
    return 9


class Server:
    """HTTPS with a certificate of its own."""

    def __init__(self, state, port):
        self.requests, self.seen = 0, b""
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                server.requests += 1
                server.seen += self.rfile.read(int(self.headers.get("content-length", 0)))
                self.send_error(500)

            do_GET = do_POST

            def log_message(self, *_):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate(state))
        self.server = Quiet(("127.0.0.1", port), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def shutdown(self):
        self.server.shutdown()
        self.server.server_close()


def certificate(state):
    """Key and certificate for localhost, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    built = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
             .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
             .not_valid_after(now + datetime.timedelta(days=1)).add_extension(names, critical=False).sign(key, hashes.SHA256()))
    path = state / "elsewhere.pem"
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
                     + built.public_bytes(serialization.Encoding.PEM))
    return path
