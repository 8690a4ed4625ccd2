"""A rental from its payment to its refund, by everything that a tenant does with it."""
import fcntl
import hashlib
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from programs import arguments, free_port, wait_for_port, wait_until
from rentals_market import CANCELLED, COMPLETED, OFFER, PENDING, PRICE, Refused, Task, run, step, together

SCRIPT = """#!/bin/sh
echo the script says hello
echo and this is an error >&2
echo ran >> /ran
mkdir -p /www
echo from inside > /www/index.html
httpd -p 127.0.0.1:8080 -h /www
"""
# Docker's own, without raw packets and device nodes.
CAPABILITIES = {f"CAP_{name}" for name in ("CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT "
                                           "SETFCAP AUDIT_WRITE").split()}
BIG = 100 * 1024 * 1024


def story(market, provider, alice, bob, carol):
    rental, empty, debian = step("three rentals, one with a script that is handed over by digest", starts, market, provider, alice, bob, carol)
    step("the container has what was rented and no more", has_its_limits, market, rental)
    step("the script ran once, its output is in the log", script_ran_once, rental)
    # Beside the others: the node's own limit is 30 s.
    slow = Task(stops_slow_commands, rental)
    step("exec: output, errors and exit status", executes, rental)
    step("exec: a signal ends it, and the client's end too", signals, rental)
    step("a shell with a terminal that changes its size, and a notice", shell, rental)
    step("scp of 100 MB, there and back", copies, market, rental)
    step("sftp", sftp, market, rental)
    step("-L to a web server in the container", forwards, rental)
    step("jeju ssh verifies and connects", lambda: said(rental.jeju_ssh("echo", "attested"), "attested"))
    step("a host key that nobody vouches for is refused", other_host_key, market, rental)
    step("logs, metrics, exec and resources by the renter's wallet", by_wallet, market, provider, rental)
    step("and by nobody else's", not_by_others, rental, bob)
    step("an image of nothing: sftp, but no shell", empty_image, market, empty)
    step("a root like Debian's: bash", debian_image, debian)
    step("a rental that isn't started is cancelled and refunded", cancels, market, provider, bob)
    step("an image that can't be had isn't started", no_image, market, provider, bob)
    step("a command by the API that takes too long was stopped, with what it had started", slow.join)
    step("extended", extends, market, rental)
    step("ended: container and network gone, everybody credited to the wei", ends, market, provider, rental)
    step("withdrawn", withdraws, market, provider, alice)


def starts(market, provider, alice, bob, carol):
    script = market.state / "script.sh"
    script.write_text(SCRIPT)
    rentals = together(lambda: alice.rent(provider, script=script), lambda: bob.rent(provider, market.empty), lambda: carol.rent(provider, market.debian))
    rental = rentals[0]
    record = rental.record()
    assert record["paid"] == PRICE and record["end_time"] - record["start_time"] == 3600, record
    assert market.engine.containers() == sorted(rental.container for rental in rentals), market.engine.containers()
    found = market.chain.cast("call", market.contract, "getRental(bytes32)", rental.id)
    # On chain is the digest, not the script.
    assert hashlib.sha256(SCRIPT.encode()).hexdigest().encode().hex() in found and b"hello".hex() not in found
    return rentals


def has_its_limits(market, rental):
    found = market.engine.inspect(rental.container)
    host, config = found["HostConfig"], found["Config"]
    assert host["NanoCpus"] == OFFER["cpu-cores"] * 10**9 and host["Memory"] == OFFER["memory-gb"] << 30, host
    assert host["PidsLimit"] > 0 and not host["Privileged"] and not host["Binds"], host
    assert "ALL" in host["CapDrop"] and {*host["CapAdd"]} <= CAPABILITIES, host
    assert any("no-new-privileges" in option for option in host["SecurityOpt"]), host
    assert host["NetworkMode"] == rental.container and rental.container in market.engine.networks(), host
    assert config["Labels"]["jeju.agent"] == rental.provider.agent[2:] and config["Labels"]["jeju.rental"] == rental.id[2:], config
    # Nothing of the node is in it.
    seen = rental.ssh("ls /dev; ls /sys/kernel/config 2>&1; env").stdout
    assert not re.search(r"tdx|sev|nsm|vsock|docker\.sock", seen), seen


def said_in(rental, texts):
    log = rental.ask("logs")["logs"]
    return all(text in log for text in texts)


def script_ran_once(rental):
    wait_until("the script ran", 60, lambda: rental.ssh("cat /ran; true").stdout == "ran\n")
    # The engine copies it when it comes to it.
    said = ["the script says hello", "and this is an error"]
    wait_until("its log is there", 60, lambda: said_in(rental, said))
    log = rental.ask("logs")["logs"]
    assert log.count("the script says hello") == 1 and log.count("and this is an error") == 1, log


def executes(rental):
    done = rental.ssh("echo out; echo err >&2; exit 7", check=False)
    assert (done.returncode, done.stdout) == (7, "out\n") and "err" in done.stderr, done
    # What comes in goes through, and so do bytes of all values.
    data = bytes(range(256)) * 1000
    done = rental.ssh("cat", text=False, input=data)
    assert done.stdout == data, len(done.stdout)
    assert rental.ssh("no-such-program", check=False).returncode == 127


def signals(rental):
    done = rental.ssh("kill -TERM $$", check=False)
    # OpenSSH has no better way to say it.
    assert done.returncode == 255, done
    client = subprocess.Popen(arguments(rental.ssh_command("sleep 4242")), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    running = "ps | grep -c '[s]leep 4242'; true"
    wait_until("it runs", 60, lambda: rental.ssh(running).stdout.strip() == "1")
    client.kill()
    client.wait()
    wait_until("its end is noticed", 60, lambda: rental.ssh(running).stdout.strip() == "0")


def shell(rental):
    with Terminal(rental.ssh_command(), 33, 101) as terminal:
        notice = terminal.until("#|\\$")
        assert re.search(r"isolation: host", notice), notice
        terminal.send("stty size\n")
        terminal.until("33 101")
        terminal.resize(44, 120)
        # What is typed may overtake a terminal's new size.
        terminal.send("until [ \"$(stty size)\" = '44 120' ]; do sleep 1; done; echo si\"\"zed $TERM\n")
        terminal.until("sized xterm-test")
        # Said by the command itself: the terminal is its own by then.
        terminal.send("sh -c 'echo be\"\"gun; exec sleep 1000'\n")
        terminal.until("begun")
        terminal.send("\x03")
        terminal.send("exit 5\n")
        assert terminal.wait() == 5


def copies(market, rental):
    there, back = market.state / "there", market.state / "back"
    there.write_bytes(os.urandom(1024) * (BIG // 1024))
    digest = hashlib.sha256(there.read_bytes()).hexdigest()
    scp(rental, there, ":/big")
    assert rental.ssh("sha256sum /big").stdout.split()[0] == digest
    scp(rental, ":/big", back)
    assert hashlib.sha256(back.read_bytes()).hexdigest() == digest
    rental.ssh("rm /big")
    there.unlink()
    back.unlink()


def scp(rental, source, target):
    """Where a path begins with a colon, it is the rental's."""
    def at(path):
        return f"{rental.id[2:18]}@127.0.0.1{path}" if str(path).startswith(":") else path

    run(["scp", *rental.client(), *rental.known_hosts(), "-P", rental.provider.ssh_port, at(source), at(target)])


def sftp(market, rental, folder="/tmp"):
    local = market.state / "sftp"
    local.mkdir(exist_ok=True)
    (local / "a").write_text("first")
    batch = local / "batch"
    batch.write_text(f"cd {folder}\nmkdir d\nput {local}/a d/a\nrename d/a d/b\nchmod 600 d/b\nls -l d\nget d/b {local}/b\nrm d/b\nrmdir d\n")
    listed = run(["sftp", *rental.client(), *rental.known_hosts(), "-P", rental.provider.ssh_port, "-b", batch, "x@127.0.0.1"]).stdout
    assert (local / "b").read_text() == "first" and re.search(r"-rw------- .* 5 .* d?/?b", listed), listed


def forwards(rental, path="index.html", text="from inside"):
    port = free_port()
    client = subprocess.Popen(arguments(rental.ssh_command(options=["-N", "-L", f"{port}:127.0.0.1:8080", "-o", "ExitOnForwardFailure=yes"])),
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_for_port(port, 60)
        for _ in range(5):
            assert text in run(["curl", "--silent", "--fail", "--max-time", 60, f"http://127.0.0.1:{port}/{path}"]).stdout
    finally:
        client.kill()
        client.wait()


def other_host_key(market, rental):
    """Plain ssh with the key that this node had before, as one would find at a host that isn't the node."""
    known = market.state / "known_hosts"
    key = (market.state / f"tenant-{rental.tenant.number}.pub").read_text().split()[:2]
    known.write_text(f"[127.0.0.1]:{rental.provider.ssh_port} {' '.join(key)}\n")
    done = run(["ssh", *rental.client(), "-o", f"UserKnownHostsFile={known}", "-o", "GlobalKnownHostsFile=none", "-o",
                "StrictHostKeyChecking=yes", "-p", rental.provider.ssh_port, "x@127.0.0.1", "true"], check=False)
    assert done.returncode == 255 and "Host key verification failed" in done.stderr, done


def by_wallet(market, provider, rental):
    metrics = wait_until("it was measured", 30, lambda: measured(rental))
    assert metrics["memoryUsage"] > 0 and metrics["processes"] > 0, metrics
    assert "host" in str(rental.ask("show"))
    done = rental.ask("exec", "--", "sh", "-c", "echo by the API; exit 3")
    assert done["exitCode"] == 3 and "by the API" in done["stdout"], done
    for path in "rentals", "resources":
        listed = json.loads(run(["curl", "--silent", "--insecure", "--fail", f"{provider.url}/v1/{path}"]).stdout)
        assert listed["isolation"] == "host" if path == "rentals" else listed, listed


def measured(rental):
    try:
        return rental.ask("metrics")["metrics"]
    except Refused as error:
        assert error.code == "rental_not_running", error
        return None


def stops_slow_commands(rental):
    try:
        found = rental.ask("exec", "--", "sh", "-c", "sleep 4243 & sleep 4243")
    except Refused as error:
        assert error.code == "rental_command_timed_out", error
    else:
        raise AssertionError(f"it ended by itself: {found}")
    assert rental.ssh("ps | grep -c '[s]leep 4243'; true").stdout.strip() == "0"


def not_by_others(rental, bob):
    for action, args in ("logs", ()), ("metrics", ()), ("exec", ("--", "true")):
        try:
            found = rental.ask(action, *args, key=bob.account_key)
        except Refused as error:
            assert error.code == "rental_not_yours", error
        else:
            raise AssertionError(f"{action} for somebody else: {found}")


def empty_image(market, rental):
    sftp(market, rental, "/")
    for command in [], ["true"]:
        done = rental.ssh(*command, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode not in (0, None), done
    rental.end()


def debian_image(rental):
    assert rental.ssh("echo ${BASH_VERSION%%.*}").stdout.strip().isdigit()
    with Terminal(rental.ssh_command(), 24, 80) as terminal:
        terminal.until("#|\\$")
        terminal.send("shopt -q login_shell; echo $0-$?; exit\n")
        terminal.until("bash-[01]")
    rental.end()


def cancels(market, provider, bob):
    before = market.owed(bob.account)
    provider.stop_daemon()
    rental = bob.rent(provider, wait=False)
    rental.send("cancel")
    assert rental.status() == CANCELLED and market.owed(bob.account) == before + PRICE
    provider.start_daemon()
    wait_until("nothing is left of it", 30, rental.gone)


def no_image(market, provider, bob):
    at = f"127.0.0.1:{market.engine.registry_port}/busybox@sha256:{'0' * 64}"
    rental = bob.rent(provider, at, wait=False)
    time.sleep(3)
    assert rental.status() == PENDING and rental.container not in market.engine.containers()
    rental.send("cancel")


def extends(market, rental):
    before = rental.record()
    rental.send("extend", "--hours", 1)
    after = rental.record()
    assert after["paid"] == before["paid"] + PRICE and after["end_time"] == before["end_time"] + 3600, (before, after)
    assert rental.ssh("echo still here").stdout == "still here\n"


def ends(market, provider, rental):
    owed = [market.owed(account) for account in (provider.account, rental.tenant.account)]
    session = subprocess.Popen(arguments(rental.ssh_command("sleep 1000")), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until("a session is open", 60, lambda: "sleep 1000" in rental.ssh("ps").stdout)
    rental.send("end")
    record = rental.wait(COMPLETED).record()
    assert session.wait(60) != 0, "the session ended well"
    wait_until("container and network are gone", 60, rental.gone)
    assert rental.ssh("true", check=False).returncode == 255, "the key still logs in"
    check_credits(market, provider, rental, record, owed)


def check_credits(market, provider, rental, record, owed):
    """The contract's arithmetic, done again: seconds used at the rate, less the platform's part; the rest goes back."""
    used = min(record["rate"] * (record["ended_at"] - record["start_time"]) // 3600, record["paid"])
    fee = used * record["fee_bps"] // 10_000
    found = [market.owed(account) - before for account, before in zip((provider.account, rental.tenant.account), owed)]
    assert found == [used - fee, record["paid"] - used], (found, used, fee, record)
    market.check_money()


def withdraws(market, provider, alice):
    for account, withdraw in (provider.account, provider.withdraw), (alice.account, alice.withdraw):
        held, owed = int(market.chain.cast("balance", market.contract)), market.owed(account)
        withdraw()
        assert owed > 0 and market.owed(account) == 0
        assert held - int(market.chain.cast("balance", market.contract)) == owed
    market.check_money()


def in_qemu(market, provider, alice):
    print(f"rentals: the node in QEMU was ready after {provider.seconds_to_ready:.1f} s", flush=True)
    script = market.state / "script.sh"
    script.write_text(SCRIPT)
    rental = step("in QEMU: a paid rental runs", alice.rent, provider, None, 1, script)
    step("in QEMU: jeju ssh", wait_until, "the script ran", 60, lambda: rental.jeju_ssh("cat", "/ran", check=False).stdout == "ran\n")
    step("in QEMU: exit status", executes, rental)
    step("in QEMU: sftp", sftp, market, rental)
    step("in QEMU: -L", forwards, rental)
    step("in QEMU: ended and gone", rental.end)


def expiry(market, provider, alice):
    """The chain's time leaps, so nothing can come after it."""
    rental = alice.rent(provider)
    owed = [market.owed(account) for account in (provider.account, alice.account)]
    session = subprocess.Popen(arguments(rental.ssh_command("sleep 1000")), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until("a session is open", 60, lambda: "sleep 1000" in rental.ssh("ps").stdout)

    def passes():
        market.chain.cast("rpc", "evm_increaseTime", 3600)
        assert session.wait(60) != 0
        assert rental.ssh("true", check=False).returncode == 255, "an expired key logs in"
        wait_until("it is gone", 60, rental.gone)

    step("its time is over: sessions end, the key is refused, the container is gone", passes)
    record = rental.wait(COMPLETED).record()
    step("and the provider is paid all of it", check_credits, market, provider, rental, record, owed)
    assert record["refunded"] == 0, record


def said(done, text):
    assert done.stdout.strip() == text, done


class Terminal:
    """A program at a terminal."""

    def __init__(self, command, rows, columns):
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.process = subprocess.Popen(arguments(command), stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        env={**os.environ, "TERM": "xterm-test"}, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.seen = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.master)

    def resize(self, rows, columns):
        """The kernel tells the program."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, text):
        os.write(self.master, text.encode())

    def until(self, pattern, seconds=60):
        """What comes up to a pattern."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.seen)):
            self.read(deadline, pattern)
        before, self.seen = self.seen[:found.end()], self.seen[found.end():]
        return before

    def read(self, deadline, what):
        ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"not seen in time: {what}, but {self.seen[-500:]!r}"
        try:
            self.seen += os.read(self.master, 65536).decode(errors="replace")
        except OSError:
            raise AssertionError(f"ended without {what}: {self.seen[-500:]!r}") from None

    def wait(self, seconds=60):
        """Its status; what it still writes is read."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"still runs: {self.seen[-500:]!r}"
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.master, 65536).decode(errors="replace")
                except OSError:
                    break
        return self.process.wait(5)
