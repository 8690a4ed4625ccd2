"""Hosts that lie: they can deny service, and nothing else goes unseen."""
import contextlib
import json
import os
import re
import socket
import threading
import time

from docker_engine import UnixConnection
from programs import wait_for_port, wait_until
from rentals_market import ACTIVE, PENDING, step

# How long a rental is watched that must not start.
WATCHED = 4


def hostile(market, provider, other, alice):
    step("SSH carried to another node: jeju ssh and plain ssh refuse", another_node, market, provider, other, alice)
    step("all carried to another node: refused for its agent", another_agent, provider, other, alice)
    for what, lie in LIES.items():
        step(f"a host whose Docker {what}: not started, the node lives", lying_docker, provider, alice, lie)
    step("a host in the same place that tells the truth: started", true_docker, provider, alice)
    step("with an honest host, all as before", honest, provider, alice)


def another_node(market, provider, other, alice):
    rental = alice.rent(provider)
    provider.kill_shim()
    relay = Relay(provider.ssh_port, other.ssh_port)
    try:
        provider.start_shim(ssh=False)
        for connect in rental.jeju_ssh, rental.ssh:
            taken = relay.taken
            done = wait_until("the node answers again", 30, lambda: answered(connect("true", check=False)))  # noqa: B023
            assert done.returncode != 0 and relay.taken > taken, done
            assert re.search("host key|Host key", done.stderr), done
    finally:
        relay.close()
    provider.kill_shim()
    provider.start_shim()
    wait_until("it is reached again", 30, lambda: rental.ssh("echo back", check=False).stdout == "back\n")
    rental.end()


def answered(done):
    return done if "verification" in done.stderr.lower() or "host key" in done.stderr.lower() else None


def another_agent(provider, other, alice):
    rental = alice.rent(provider, wait=False)
    url, provider.node_port = provider.node_port, other.node_port
    try:
        done = rental.jeju_ssh("true", check=False)
        assert done.returncode == 2 and "agent_not_accepted" in done.stderr, done
        done = rental.ssh("true", check=False)
        assert done.returncode == 255, done
    finally:
        provider.node_port = url
    wait_until("it runs", 60, lambda: rental.status() == ACTIVE)
    rental.end()


def lying_docker(provider, alice, lie):
    provider.kill_shim()
    provider.start_shim(docker=False)
    wait_for_port(provider.node_port, 60)
    with LyingDocker(provider, lie) as docker:
        rental = rented(provider, alice)
        deadline = time.monotonic() + 60
        while not docker.lied and time.monotonic() < deadline:
            time.sleep(0.1)
        assert docker.lied, "nobody asked"
        time.sleep(WATCHED)
        assert rental.status() == PENDING, rental.record()
        provider.health()
        assert provider.launcher.poll() is None, "the node ended"
        rental.send("cancel")
    provider.kill_shim()
    provider.start_shim()
    wait_until("nothing is left of it", 60, rental.gone)


def true_docker(provider, alice):
    """What was refused before was refused for the lies."""
    provider.kill_shim()
    provider.start_shim(docker=False)
    wait_for_port(provider.node_port, 60)
    with LyingDocker(provider, lambda _, status, body: (status, body)):
        rental = rented(provider, alice)
        wait_until("its container runs", 60, lambda: rental.running())
    provider.kill_shim()
    provider.start_shim()
    rental.ready()
    rental.end()


def rented(provider, alice):
    """Once: a rental that was made although its command failed would run to its end."""
    wait_until("the node answers again", 60, provider.verified)
    return alice.rent(provider, wait=False)


def honest(provider, alice):
    rental = alice.rent(provider)
    assert rental.ssh("echo fine").stdout == "fine\n"
    rental.end()


# ---------------------------------------------------------------------- lies

def garbage(request, status, body):
    return 200, os.urandom(4096)


def other_image(request, status, body):
    """Whatever image is asked for, another one is what it is."""
    if "/images/" not in request:
        return status, body
    return status, re.sub(rb"@sha256:[0-9a-f]{64}", b"@sha256:" + b"11" * 32, body)


def others_containers(request, status, body):
    """As if each rental had its container already, of another image and not ours."""
    if not re.search(r"^(GET|HEAD) /v1.41/containers/", request):
        return status, body
    found = {"Id": "22" * 32, "Name": "/someone", "Names": ["/someone"], "Image": "sha256:" + "33" * 32, "State": {"Status": "running", "Running": True},
             "Config": {"Image": "x", "Labels": {}}, "Labels": {}, "HostConfig": {}, "Mounts": []}
    return 200, json.dumps([found] if "/json?" in request and "/containers/json" in request else found).encode()


def endless(request, status, body):
    return 200, None


def nothing(request, status, body):
    return None, None


LIES = {
    "answers garbage": garbage,
    "has another image": other_image,
    "says that it runs already": others_containers,
    "answers without end": endless,
    "does not answer": nothing,
}


class LyingDocker:
    """Listens where the node calls Docker, asks the real one, and changes what it says."""

    def __init__(self, provider, lie):
        self.path = provider.state / "run/5002.sock"
        self.engine, self.lie, self.lied = provider.market.engine, lie, False

    def __enter__(self):
        self.path.unlink(missing_ok=True)
        self.server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.server.bind(str(self.path))
        self.path.chmod(0o666)
        self.server.listen(64)
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.path.unlink(missing_ok=True)

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.server.accept()
                threading.Thread(target=self.answer, args=(client,), daemon=True).start()

    def answer(self, client):
        with client, contextlib.suppress(OSError, ValueError):
            reader = client.makefile("rb")
            while line := reader.readline():
                method, target, _ = line.decode().split(" ", 2)
                headers = {}
                while (header := reader.readline().decode().strip()):
                    name, value = header.split(":", 1)
                    headers[name.lower()] = value.strip()
                body = reader.read(int(headers.get("content-length", 0)))
                status, answer = self.ask(method, target, headers, body)
                changed = self.lie(f"{method} {target}", status, answer)
                self.lied |= changed != (status, answer)
                self.send(client, *changed)

    def ask(self, method, target, headers, body):
        connection = UnixConnection(self.engine.socket)
        kept = {name: value for name, value in headers.items() if name == "content-type"}
        connection.request(method, target, body, kept)
        response = connection.getresponse()
        answer = response.read()
        if response.status >= 400:
            # As the host's shim says it.
            answer = json.dumps({"code": "docker_engine", "message": json.loads(answer)["message"]}).encode()
        return response.status, answer

    def send(self, client, status, body):
        if status is None:
            time.sleep(WATCHED * 2)
            raise OSError
        if body is None:
            client.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
            while True:
                client.sendall(b"10000\r\n[" + b"[" * 65535 + b"\r\n")
        client.sendall(f"HTTP/1.1 {status} Lie\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)


class Relay:
    """A host that carries connections somewhere else than it should."""

    def __init__(self, listen, target):
        self.server = socket.create_server(("127.0.0.1", listen))
        self.target, self.taken = target, 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.server.accept()
                self.taken += 1
                other = socket.create_connection(("127.0.0.1", self.target))
                for a, b in (client, other), (other, client):
                    threading.Thread(target=carry, args=(a, b), daemon=True).start()

    def close(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()


def carry(source, sink):
    with contextlib.suppress(OSError):
        while part := source.recv(65536):
            sink.sendall(part)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
