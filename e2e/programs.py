"""Programs that a test starts: their output in files, their events, and their end. Everything that a `Programs` started dies
with `stop`."""
import contextlib
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import threading
import time

# Names that this test bound for its ports.
CLAIMED = []
ROOT = pathlib.Path(__file__).resolve().parent.parent


class Programs:
    """Programs with one state folder, where `NAME.log` is what each of them writes."""

    def __init__(self, state):
        self.state, self.processes = pathlib.Path(state), []

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def spawn(self, name, *command, events=False, **options):
        """`events`: standard output is JSON lines; an `Events` is returned."""
        with open(self.state / f"{name}.log", "ab") as log:
            process = subprocess.Popen(arguments(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if events else log,
                                       stderr=log, **options)
        self.processes.append(process)
        return Events(name, process) if events else process

    def end(self, process, number=signal.SIGTERM, seconds=30):
        """Ends one of them, and waits until it is gone."""
        if process.poll() is None:
            process.send_signal(number)
        process.wait(seconds)

    def stop(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                # A stopped process can't end.
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGTERM)
        for process in reversed(self.processes):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            if process.poll() is None:
                process.kill()
                process.wait()

    def logs(self):
        return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')[-4000:]}" for path in sorted(self.state.glob("*.log")))


class Events:
    """JSON lines that a program prints."""

    def __init__(self, name, process):
        self.name, self.process, self.seen = name, process, []
        self.arrived = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            with self.arrived:
                self.seen.append(json.loads(line))
                self.arrived.notify_all()
        with self.arrived:
            self.seen.append({"event": "end"})
            self.arrived.notify_all()

    def wait(self, event, seconds):
        def found():
            return next((entry for entry in self.seen if entry["event"] in (event, "fatal", "end")), None)

        with self.arrived:
            entry = self.arrived.wait_for(found, seconds)
        if not entry or entry["event"] != event:
            raise RuntimeError(f"{self.name}: no {event} within {seconds} s, but {self.seen}")
        return entry


def arguments(command):
    return [str(part) for part in command]


# What was just looked at may be gone by now.
gone = contextlib.suppress(FileNotFoundError, ProcessLookupError)


def descendants(pid):
    """A process and all below it."""
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        with gone:
            for child in task.read_text().split():
                found += descendants(int(child))
    return found


def cpu_seconds(pid):
    """That a process and all below it took so far."""
    ticks = 0
    for each in descendants(pid):
        with gone:
            ticks += sum(map(int, pathlib.Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def free_port(count=1):
    """The first of some ports in a row: below those that systems give away, and no other test's as long as this one runs."""
    while True:
        first, claims = random.randrange(20_000, 32_000), []
        try:
            for port in range(first, first + count):
                claims.append(socket.socket(socket.AF_UNIX))
                claims[-1].bind(f"\0jeju-port-{port}")
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
        except OSError:
            for claim in claims:
                claim.close()
            continue
        CLAIMED.extend(claims)
        return first


def wait_for_port(port, seconds):
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise RuntimeError(f"nothing listens on port {port} after {seconds} s") from None
            time.sleep(0.1)


def wait_until(what, seconds, condition, pause=0.2):
    """What `condition` returns as soon as it is something. `what`: a text, or what makes it at the end."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(pause)
