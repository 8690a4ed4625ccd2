"""Gateways that lie, and what they get to see."""
import contextlib
import re
import select
import socket
import ssl
import subprocess
import threading

# Stands in prompts that nobody on the way may read.
MARKER = "the-secret-of-the-sea-7f3a"
MAX_HELLO = 16 * 1024


class Hostile:
    """Listens where a gateway would. `kind`: `pass` carries to the ports in `nodes` by the account in the server name; `own` ends TLS
    with a certificate of its own; `replay` says what a node once said to somebody else; `cut` and `flip` carry, and end or change what
    the node says; `answer` speaks HTTP in the clear."""

    # Bytes of what a node says, within its evidence.
    AFTER = 2_000

    def __init__(self, kind, nodes=None, certificate=None, recorded=b""):
        self.kind, self.nodes, self.recorded, self.certificate = kind, nodes or {}, recorded, certificate
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.connections, self.heard, self.over = self.listener.getsockname()[1], 0, [], False

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.listener.close()

    def seen(self):
        """All that clients sent, and what it could read of it."""
        return b"\n".join(self.heard)

    def accept(self):
        while not self.over:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve_quietly, args=(client,), daemon=True).start()

    def serve_quietly(self, client):
        with client:
            client.settimeout(20)
            try:
                self.serve(client)
            except (OSError, ssl.SSLError):
                pass
            # Closing alone doesn't end a connection from which another thread reads.
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def serve(self, client):
        if self.kind == "own":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.certificate)
            context.set_alpn_protocols(["http/1.1"])
            with context.wrap_socket(client, server_side=True) as inner:
                self.heard.append(inner.recv(65536))
            return
        hello = client.recv(MAX_HELLO)
        self.heard.append(hello)
        if self.kind == "answer":
            client.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-jeju-injected: 1\r\ncontent-length: 2\r\n\r\n{}")
            self.heard.append(client.recv(65536))
        elif self.kind == "replay":
            client.sendall(self.recorded)
            self.heard.append(client.recv(65536))
        else:
            self.carry(client, hello)

    def carry(self, client, hello):
        named = re.search(rb"([0-9a-f]{40})\.", hello)
        port = self.nodes.get("0x" + named[1].decode()) if named else None
        if port is None:
            return
        with socket.create_connection(("127.0.0.1", port), 10) as node:
            node.sendall(hello)
            threading.Thread(target=self.copy_heard, args=(client, node), daemon=True).start()
            said = 0
            while True:
                data = node.recv(4096)
                if not data:
                    return
                before, said = said, said + len(data)
                if said > self.AFTER and self.kind == "cut":
                    return
                if said > self.AFTER and self.kind == "flip":
                    at = max(0, self.AFTER - before)
                    data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
                client.sendall(data)

    def copy_heard(self, client, node):
        try:
            while data := client.recv(65536):
                self.heard.append(data)
                node.sendall(data)
        except OSError:
            pass

    @staticmethod
    def record(port):
        """What a node says to somebody, from the first byte on."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            said = []

            def carry():
                client, _ = listener.accept()
                with client, socket.create_connection(("127.0.0.1", port), 60) as node:
                    other = {client: node, node: client}
                    while ready := select.select([client, node], [], [], 60)[0]:
                        for source in ready:
                            try:
                                data = source.recv(65536)
                            except OSError:
                                return
                            if not data:
                                return
                            if source is node:
                                said.append(data)
                            other[source].sendall(data)

            thread = threading.Thread(target=carry, daemon=True)
            thread.start()
            with socket.create_connection(listener.getsockname(), 60) as raw, context.wrap_socket(raw, server_hostname="localhost") as tls:
                tls.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                while tls.recv(65536):
                    pass
            thread.join(10)
        assert said, "the node said nothing"
        return b"".join(said)


def own_certificate(folder):
    """A key and a certificate that anybody can make."""
    certificate, key = folder / "own.pem", folder / "own.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
                   check=True, capture_output=True)
    return str(certificate), str(key)
