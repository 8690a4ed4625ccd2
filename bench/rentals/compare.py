"""See run.sh. Arguments: the folder with the programs; parts of it (all of them)."""
import concurrent.futures
import contextlib
import os
import pathlib
import pwd
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "e2e"))
from programs import Programs, arguments, descendants, free_port, wait_for_port, wait_until  # noqa: E402
from rentals_market import OFFER, Market, Provider, Tenant, make_ssh_key  # noqa: E402

MB = 10**6
BULK = 500 * MB
CIPHERS = ["chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com"]
ROUNDS = 3
TRIPS = 300
# A rental takes 32 connections.
SESSIONS, EACH = 200, 25
STARTS = 7
# Least ratios of speed, milliseconds, MiB, and greatest ratio of times.
LEG, THROUGH, ADDED, MEMORY, START = 1.0, 0.9, 2, 100, 1.5


def main():
    # No bandwidth is rented: none is held.
    OFFER["bandwidth-mbps"] = 0
    binaries, parts = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:] or PARTS
    assert {*parts} <= {*PARTS}, f"parts are {PARTS}"
    with tempfile.TemporaryDirectory(prefix="jb-", dir="/tmp") as folder:
        if "leg" in parts:
            with Leg(binaries, pathlib.Path(folder) / "l") as leg:
                leg.compare()
        if {*parts} == {"leg"}:
            return
        market = Market(binaries, pathlib.Path(folder) / "m")
        try:
            with market:
                provider = market.provide(Provider(market, 2, concurrent=20))
                rental = Tenant(market, 4).rent(provider, market.debian)
                # First, while the node is as small as it was.
                if "sessions" in parts:
                    sessions(market, provider, rental)
                if "through" in parts:
                    through_container(market, rental)
                if "trips" in parts:
                    round_trips(market, rental)
                if "starts" in parts:
                    starts(market, provider)
        except BaseException:
            print(market.logs(), file=sys.stderr)
            raise


PARTS = ["leg", "sessions", "through", "trips", "starts"]


def report(what, value, unit, ratio, promise):
    print(f"{what:34} {value:>9} {unit:8} {ratio:5.2f} x {promise}", flush=True)


# ---------------------------------------------------------------------- the SSH server alone

class Leg(Programs):
    """Both servers behind a host shim each, as at a provider; both send what they hold in memory."""

    def start(self):
        self.state.mkdir()
        self.key = make_ssh_key(self.state / "client")
        self.servers = {"jeju": self.serve_jeju(), "sshd": self.serve_sshd()}

    def __init__(self, binaries, state):
        super().__init__(state)
        self.binaries = binaries

    def behind_shim(self, name):
        """A folder of sockets, where port 2222 is the server's; the TCP port before it."""
        folder, port = self.state / name, free_port()
        folder.mkdir()
        (folder / "launch.toml").write_text("version = 1\n")
        self.spawn(f"shim-{name}", self.binaries / "jeju-host-shim", "run", "--transport", f"unix:{folder}", "--launch",
                   folder / "launch.toml", "--listen", f"2222=127.0.0.1:{port}")
        wait_for_port(port, 20)
        return folder / "2222.sock", port

    def serve_jeju(self):
        path, port = self.behind_shim("jeju")
        self.spawn("ssh_bench", self.binaries / "examples/ssh_bench", self.key.with_suffix(".pub"), path)
        wait_until("ssh_bench listens", 20, path.exists)
        return port, f"send {BULK}"

    def serve_sshd(self):
        path, port = self.behind_shim("sshd")
        host_key = make_ssh_key(self.state / "host")
        authorized, config = self.state / "authorized", self.state / "sshd_config"
        shutil.copy(self.key.with_suffix(".pub"), authorized)
        config.write_text(f"HostKey {host_key}\nAuthorizedKeysFile {authorized}\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPrintMotd no\n")
        # sshd can't serve without it.
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        sshd = shutil.which("sshd") or "/usr/sbin/sshd"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(16)
        threading.Thread(target=each_by_sshd, args=(listener, [sshd, "-i", "-f", str(config)]), daemon=True).start()
        bulk = pathlib.Path(f"/dev/shm/{self.state.parent.name}")
        bulk.write_bytes(bytes(BULK))
        self.bulk = bulk
        return port, f"cat {bulk}"

    def stop(self):
        super().stop()
        with contextlib.suppress(AttributeError, FileNotFoundError):
            self.bulk.unlink()

    def compare(self):
        for cipher in CIPHERS:
            seconds = {name: [] for name in self.servers}
            for _ in range(ROUNDS):
                # In turns, so that other load on the machine meets both.
                for name, (port, command) in self.servers.items():
                    seconds[name].append(self.fetch(port, command, cipher))
            best = {name: min(values) for name, values in seconds.items()}
            report(f"ssh alone, {cipher.split('@')[0]}", round(BULK / best["jeju"] / MB), "MB/s", best["sshd"] / best["jeju"] / LEG,
                   f"{LEG} x sshd ({round(BULK / best['sshd'] / MB)} MB/s)")

    def fetch(self, port, command, cipher):
        user = pwd.getpwuid(os.getuid()).pw_name
        return timed(["ssh", "-F", "none", "-i", self.key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o",
                      "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", f"Ciphers={cipher}", "-p", port, f"{user}@127.0.0.1", command], BULK)


def each_by_sshd(listener, command):
    """As inetd would: the connection is the program's standard input and output."""
    while True:
        connection, _ = listener.accept()
        with connection:
            subprocess.Popen(command, stdin=connection, stdout=connection, stderr=subprocess.DEVNULL)


def timed(command, expected):
    """Seconds until everything is there."""
    started = time.monotonic()
    with subprocess.Popen(arguments(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        buffer, seen = bytearray(1 << 20), 0
        while count := process.stdout.readinto1(buffer):
            seen += count
    assert process.returncode == 0 and seen == expected, (command[0], process.returncode, seen)
    return time.monotonic() - started


# ---------------------------------------------------------------------- through the container

def plain_ssh(rental, *args):
    """With the host key found once: verifying the node isn't what is measured."""
    known = rental.market.state / "known"
    if not known.exists():
        provider = rental.provider
        line = subprocess.run(arguments([rental.market.binaries / "jeju", "ssh-known-hosts", "--node", provider.url, *provider.trust,
                                         f"[127.0.0.1]:{provider.ssh_port}"]), check=True, capture_output=True, text=True).stdout
        known.write_text(line)
    return arguments(["ssh", *rental.client(), "-o", f"UserKnownHostsFile={known}", "-o", "GlobalKnownHostsFile=none", "-p",
                      rental.provider.ssh_port, f"{rental.id[2:18]}@127.0.0.1", *args])


def docker_exec(market, rental, *args):
    return arguments(["docker", "--host", f"unix://{market.engine.socket}", "exec", "-i", rental.container, *args])


def through_container(market, rental):
    rental.ssh(f"head -c {BULK} /dev/zero > /bulk", timeout=300)
    ways = {"ssh": plain_ssh(rental, "cat /bulk"), "docker": docker_exec(market, rental, "cat", "/bulk")}
    seconds = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, command in ways.items():
            seconds[name].append(timed(command, BULK))
    best = {name: min(values) for name, values in seconds.items()}
    report("cat through the container", round(BULK / best["ssh"] / MB), "MB/s", best["docker"] / best["ssh"] / THROUGH,
           f"{THROUGH} x docker exec ({round(BULK / best['docker'] / MB)} MB/s)")


def round_trips(market, rental):
    """A key that is pressed and shown, in milliseconds."""
    medians = {}
    for name, command in ("ssh", plain_ssh(rental, "cat")), ("docker", docker_exec(market, rental, "cat")):
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
            times = []
            for _ in range(TRIPS):
                started = time.monotonic()
                process.stdin.write(b"x")
                assert process.stdout.read(1) == b"x", name
                times.append((time.monotonic() - started) * 1000)
            process.stdin.close()
        medians[name] = statistics.median(times[10:])
    added = medians["ssh"] - medians["docker"]
    report("a key's way and back, added", f"{added:.2f}", "ms", added / ADDED, f"{ADDED} ms (ssh {medians['ssh']:.2f}, docker exec {medians['docker']:.2f})")


def sessions(market, provider, rental):
    rentals = [rental, *(rental.tenant.rent(provider) for _ in range(SESSIONS // EACH - 1))]
    before = resident(provider)
    with contextlib.ExitStack() as stack:
        def open_one(number):
            process = subprocess.Popen(plain_ssh(rentals[number % len(rentals)], "cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
            process.stdin.write(b"x")
            assert process.stdout.read(1) == b"x"
            return process

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            opened = list(pool.map(open_one, range(SESSIONS)))
        for process in opened:
            stack.callback(process.wait)
            stack.callback(process.kill)
        after = resident(provider)
    for other in rentals[1:]:
        other.end()
    grown = {name: after[name] - before[name] for name in after}
    report(f"{SESSIONS} sessions, node", f"{grown['node']:.0f}", "MiB", grown["node"] / MEMORY, f"{MEMORY} MiB (the shim besides: {grown['shim']:.0f} MiB)")


def resident(provider):
    """MiB by program."""
    def of(process):
        return sum(int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in descendants(process.pid)) * 4096 / 2**20

    return {"node": of(provider.launcher), "shim": of(provider.shim)}


def starts(market, provider):
    """From the network's creation to the start of the first process, by the engine's own events, the image being there."""
    tenant = Tenant(market, 5)
    market.engine.docker("pull", market.busybox)
    own, plain = [], []
    for number in range(STARTS):
        since = time.time()
        rental = tenant.rent(provider)
        own.append(between_events(market, since, rental.container))
        rental.end()
        since, name = time.time(), f"plain-{number}"
        market.engine.docker("network", "create", name)
        market.engine.docker("run", "--detach", "--name", name, "--network", name, "--memory", "1g", "--cpus", "1", "--pids-limit", "4096",
                             market.busybox, "sleep", "1000")
        plain.append(between_events(market, since, name))
        market.engine.docker("rm", "--force", name)
        market.engine.docker("network", "rm", name)
    best = statistics.median(own), statistics.median(plain)
    report("start, image there", f"{best[0] * 1000:.0f}", "ms", best[0] / best[1] / START, f"{START} x docker run ({best[1] * 1000:.0f} ms)")


def between_events(market, since, name):
    found = market.engine.docker("events", "--since", f"{since:.3f}", "--until", f"{time.time():.3f}", "--format",
                                 "{{.TimeNano}} {{.Type}} {{.Action}} {{index .Actor.Attributes \"name\"}}")
    times = {}
    for line in found.splitlines():
        if match := re.match(rf"(\d+) (network create|container start) {re.escape(name)}$", line):
            times.setdefault(match[2], int(match[1]))
    return (times["container start"] - times["network create"]) / 1e9


main()
