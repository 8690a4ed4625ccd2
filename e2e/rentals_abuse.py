"""Tenants who do harm, and strangers: the neighbour and the node go on as if nothing were."""
import contextlib
import pathlib
import select
import socket
import subprocess
import time

from programs import arguments, gone, wait_until
from rentals_market import Task, make_ssh_key, step, together

# Seconds for an answer of a neighbour's shell or of /health, and for a new login, on a machine that also runs the harm.
PATIENCE, LOGIN = 60, 120
HALF_OPEN = 500
# What the node may grow by, and what a log may have, in MiB.
GROWTH, MOST_LOG = 64, 8
FLOOD = """#!/bin/sh
yes the log is flooded with this line &
"""


def abuse(market, provider, alice, bob, carol, dave):
    flood = market.state / "flood.sh"
    flood.write_text(FLOOD)
    neighbour, hog, full, flooding = step("a neighbour, and three that will do harm", together, lambda: alice.rent(provider), lambda: bob.rent(provider),
                                          lambda: carol.rent(provider), lambda: dave.rent(provider, script=flood))
    filling = Task(fills_disk, market, full)
    shell = Shell(neighbour)
    shell.answers(30)
    step("a log that is flooded: neighbour and node go on", floods_log, market, neighbour, shell, flooding)
    step("keys that aren't the renter's are refused", wrong_keys, market, neighbour, hog)
    step("old algorithms, passwords and -R are refused, the agent isn't forwarded", old_ways, neighbour)
    for what, harm in ("a fork bomb", fork_bomb), ("a memory hog", memory_hog), ("clients that don't read", slow_readers):
        step(f"{what}: neighbour and node go on", suffered, neighbour, shell, hog, harm)
    step(f"{HALF_OPEN} half-open connections: neighbour and node go on", half_open, neighbour, shell)
    step("a disk that is filled has ended in a stop", filling.join)
    shell.close()
    step("all of it ended and gone", end_all, [neighbour, hog, full])


def end_all(rentals):
    together(*(rental.end for rental in rentals))


def wrong_keys(market, neighbour, hog):
    stranger = make_ssh_key(market.state / "stranger")
    done = neighbour.ssh("true", key=stranger, check=False)
    assert done.returncode == 255 and "Permission denied" in done.stderr, done
    # Another tenant's key leads to its own rental, and to none by the neighbour's name.
    done = neighbour.ssh("true", key=hog.tenant.ssh_key, check=False)
    assert done.returncode == 255 and "Permission denied" in done.stderr, done


def old_ways(neighbour):
    for option, said in (
        ("KexAlgorithms=diffie-hellman-group14-sha256", "no matching key exchange"),
        ("Ciphers=aes128-cbc", "no matching cipher"),
        ("MACs=hmac-sha1", "no matching MAC"),
        ("HostKeyAlgorithms=rsa-sha2-512", "no matching host key"),
        ("PreferredAuthentications=password,keyboard-interactive", "Permission denied"),
    ):
        # A cipher that has a MAC of its own would need none.
        options = ["-o", option, *(["-o", "Ciphers=aes256-ctr"] if option.startswith("MACs") else [])]
        done = neighbour.ssh("true", options=options, check=False)
        assert done.returncode == 255 and ("no matching" in done.stderr or said in done.stderr), (option, done)
    done = neighbour.ssh("true", options=["-R", "0:127.0.0.1:1", "-o", "ExitOnForwardFailure=yes"], check=False)
    assert done.returncode == 255, done
    assert neighbour.ssh("echo ${SSH_AUTH_SOCK-none}", options=["-A"]).stdout == "none\n"


def suffered(neighbour, shell, hog, harm):
    with harm(hog):
        for _ in range(3):
            goes_on(neighbour, shell)
            time.sleep(0.5)
        gets_in(neighbour)


def goes_on(neighbour, shell):
    """A shell that is open answers, and the node does."""
    started = time.monotonic()
    shell.answers(PATIENCE)
    seconds = time.monotonic() - started
    health = neighbour.provider.health()
    assert seconds < PATIENCE and health < PATIENCE, (seconds, health)


def gets_in(neighbour):
    """A new login, for which the engine itself has to start a program: on a machine that is full, that may take a while."""
    wait_until("the neighbour gets in", LOGIN, lambda: neighbour.ssh("echo well", check=False, timeout=LOGIN).stdout == "well\n")


class Shell:
    """A neighbour's shell that stays open."""

    def __init__(self, rental):
        self.process = subprocess.Popen(arguments(rental.ssh_command()), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, bufsize=0)
        self.asked = 0

    def answers(self, seconds):
        self.asked += 1
        self.process.stdin.write(f"echo answer-$(({self.asked} + 0))\n".encode())
        wanted, seen, deadline = f"answer-{self.asked}\n".encode(), b"", time.monotonic() + seconds
        while wanted not in seen:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"no answer within {seconds} s, but {seen!r}"
            part = self.process.stdout.read(4096)
            assert part, "the shell has ended"
            seen += part

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)


@contextlib.contextmanager
def fork_bomb(hog):
    with client(hog, "b() { b | b & }; b; sleep 1000"):
        wait_until("it explodes", 30, lambda: tasks(hog) > 1000)
        yield
    # What it left is as many as may be, and no more.
    limit = hog.market.engine.inspect(hog.container)["HostConfig"]["PidsLimit"]
    assert tasks(hog) <= limit, (tasks(hog), limit)
    hog.market.engine.request("POST", f"/v1.41/containers/{hog.container}/restart?t=0")
    wait_until("it is itself again", 60, lambda: hog.ssh("echo up", check=False).stdout == "up\n")


def tasks(rental):
    """Processes of a container, by the kernel's count."""
    for folder in pathlib.Path("/sys/fs/cgroup").glob(f"**/{rental.market.engine.cgroup}/*/cgroup.procs"):
        if rental.market.engine.inspect(rental.container)["Id"] in str(folder):
            return len(folder.read_text().split())
    return 0


@contextlib.contextmanager
def memory_hog(hog):
    with client(hog, "dd if=/dev/zero of=/dev/null bs=1500M count=1; echo $?") as process:
        yield
        out, _ = process.communicate(timeout=60)
        assert out.strip() == b"137", out
    assert hog.ssh("echo lives").stdout == "lives\n"


@contextlib.contextmanager
def slow_readers(hog):
    before = resident(hog.provider)
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(client(hog, "yes a line that nobody reads"))
        time.sleep(3)
        yield
        assert resident(hog.provider) - before < GROWTH, (before, resident(hog.provider))


@contextlib.contextmanager
def client(rental, command):
    """A client whose output nobody reads."""
    process = subprocess.Popen(arguments(rental.ssh_command(command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def resident(provider):
    """MiB of node and shim."""
    pages = 0
    for pid in provider.pids():
        with gone:
            pages += int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def floods_log(market, neighbour, shell, flooding):
    before = resident(neighbour.provider)
    for _ in range(3):
        goes_on(neighbour, shell)
        assert "flooded" in flooding.ask("logs")["logs"]
    folder = pathlib.Path(market.engine.inspect(flooding.container)["LogPath"]).parent
    size = 0
    for path in folder.glob("*-json.log*"):
        with gone:
            size += path.stat().st_size
    assert size < MOST_LOG << 20, f"the log has {size} bytes"
    assert resident(neighbour.provider) - before < GROWTH
    flooding.end()


def half_open(neighbour, shell):
    port = neighbour.provider.ssh_port
    with contextlib.ExitStack() as stack:
        for number in range(HALF_OPEN):
            with contextlib.suppress(OSError):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
                # Some say nothing at all, some begin.
                if number % 2:
                    connection.sendall(b"SSH-2.0-half-open\r\n")
        for _ in range(3):
            goes_on(neighbour, shell)
            gets_in(neighbour)


def fills_disk(market, rental):
    """Measured every 10 seconds where the engine has no quota."""
    rental.ssh("dd if=/dev/zero of=/full bs=1M count=1200", check=False, timeout=120)
    stopped = lambda: not (market.engine.inspect(rental.container) or {"State": {"Running": False}})["State"]["Running"]  # noqa: E731
    wait_until("it is stopped", 60, stopped)
    said = str(rental.ask("show"))
    assert "storage" in said or "disk" in said, said
