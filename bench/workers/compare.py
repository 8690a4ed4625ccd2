"""The workers' engine beside workerd and Deno, in the same run: requests per second of CPU, and native work.

Engines take turns, several rounds; medians are printed as one JSON object. CPU time is that of the engine's processes, from
/proc. Called by run.sh.
"""

import json
import os
import pathlib
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
BIN = HERE.parent.parent / "e2e/conformance/node_modules/.bin"
WORKER = HERE / "worker.mjs"
TICK = os.sysconf("SC_CLK_TCK")
REQUESTS, CONNECTIONS = 20_000, 32
# Times a kind of work is done in one request: long enough for a clock of 10 ms.
WORK = {"sha256": 200, "aes-gcm": 200, "json": 200, "base64": 2000}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def real(program):
    """The program itself: npm's are scripts that start it."""
    package = BIN.parent / {"deno": "@deno/linux-x64-glibc/deno", "workerd": "@cloudflare/workerd-linux-64/bin/workerd"}[program]
    return package if package.exists() else BIN / program


class Engine:
    def __init__(self, name, command, folder):
        self.name, self.port = name, free_port()
        if name == "workerd":
            config = pathlib.Path(folder) / "config.capnp"
            (pathlib.Path(folder) / "worker.mjs").write_bytes(WORKER.read_bytes())
            config.write_text(
                'using Workerd = import "/workerd/workerd.capnp";\n'
                'const config :Workerd.Config = (services = [(name = "main", worker = (modules = [(name = "worker.mjs", '
                'esModule = embed "worker.mjs")], compatibilityDate = "2026-11-01"))], sockets = [(name = "http", '
                f'address = "127.0.0.1:{self.port}", http = (), service = "main")]);\n'
            )
            command = [real("workerd"), "serve", config]
        elif name == "deno":
            command = [real("deno"), "serve", "--quiet", "--no-config", "--host", "127.0.0.1", "--port", str(self.port), WORKER]
        else:
            command = [*command, str(self.port), WORKER]
        start = time.monotonic()
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                self.get("/")
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() - start > 60:
                    sys.exit(f"{name} doesn't start")
                time.sleep(0.002)
        self.start_ms = (time.monotonic() - start) * 1000

    def get(self, path):
        with socket.create_connection(("127.0.0.1", self.port), timeout=120) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while part := connection.recv(65536):
                answer += part
        if not answer.startswith(b"HTTP/1.1 200"):
            raise OSError(answer[:200])

    def pids(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def cpu(self):
        """Seconds."""
        ticks = 0
        for pid in self.pids():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICK

    def resident_kib(self):
        return sum(int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4 for pid in self.pids())

    def hello(self):
        """Requests per second of CPU, over connections that are kept."""
        request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        before = self.cpu()
        with selectors.DefaultSelector() as selector:
            sent = 0
            for _ in range(CONNECTIONS):
                connection = socket.create_connection(("127.0.0.1", self.port))
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(connection, selectors.EVENT_READ)
                connection.sendall(request)
                sent += 1
            done = 0
            while done < REQUESTS:
                for key, _ in selector.select():
                    # Heads and such a short body come in one piece.
                    answer = key.fileobj.recv(65536)
                    if b"Hello from Jeju!" not in answer:
                        if not answer.startswith(b"HTTP/1.1 200"):
                            sys.exit(f"{self.name}: {answer[:200]}")
                        continue
                    done += 1
                    if sent < REQUESTS:
                        key.fileobj.sendall(request)
                        sent += 1
            for key in list(selector.get_map().values()):
                key.fileobj.close()
        return REQUESTS / (self.cpu() - before)

    def work(self, name):
        """Milliseconds of CPU for one piece of work."""
        before = self.cpu()
        self.get(f"/?{name}={WORK[name]}")
        return (self.cpu() - before) * 1000 / WORK[name]


def main():
    program, rounds = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        engines = [
            Engine("jeju", [program], folder),
            Engine("jeju, own process", [program, "--process"], folder),
            Engine("workerd", [], folder),
            Engine("deno", [], folder),
        ]
        try:
            measured = {engine.name: {"requests_per_cpu_s": []} for engine in engines}
            for turn in range(rounds + 1):
                for engine in engines:
                    values = {"requests_per_cpu_s": engine.hello(), **{f"{name}_cpu_ms": engine.work(name) for name in WORK}}
                    for key, value in values.items():
                        # The first turn warms up.
                        if turn:
                            measured[engine.name].setdefault(key, []).append(value)
            result = {name: {key: round(statistics.median(values), 3) for key, values in of.items()} for name, of in measured.items()}
            for engine in engines:
                result[engine.name] |= {"first_answer_ms": round(engine.start_ms, 1), "resident_kib": engine.resident_kib()}
        finally:
            for engine in engines:
                engine.process.terminate()
                engine.process.wait()
    started = subprocess.run([program, "--start", "50", HERE / "hello.mjs"], check=True, capture_output=True, text=True)
    result["process_start_p50_ms"] = float(started.stdout)
    ours, deno = result["jeju"], result["deno"]
    result["ratios"] = {
        "hello, to workerd (at least 1.5)": round(ours["requests_per_cpu_s"] / result["workerd"]["requests_per_cpu_s"], 2),
        "hello in an own process, to workerd (at least 0.8)": round(result["jeju, own process"]["requests_per_cpu_s"] / result["workerd"]["requests_per_cpu_s"], 2),
        "hello, to deno": round(ours["requests_per_cpu_s"] / deno["requests_per_cpu_s"], 2),
        **{f"{name}, to deno (at least 0.9)": round(deno[f"{name}_cpu_ms"] / ours[f"{name}_cpu_ms"], 2) for name in WORK},
    }
    print(json.dumps(result, indent=1))


main()
