"""A node as a process behind a host shim, whose memory and CPU are watched, and what loads it (main.rs)."""
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "e2e"))
from local_chain import Chain  # noqa: E402
from node import MODEL, MODEL_FILE, launch_document  # noqa: E402
from programs import Programs, arguments, descendants, free_port, wait_for_port  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
# No epoch ends within a measurement but the first one, which a long soak sees.
EPOCH_SECONDS = 600


class Loaded(Programs):
    """`replay`: tokens a second of each stream of an upstream that replays; without it the model of the image answers."""

    def __init__(self, binaries, state, replay=None):
        super().__init__(state)
        self.binaries, self.rate, self.port = pathlib.Path(binaries), replay, free_port()
        self.model = "replay" if replay else MODEL
        self.chain = Chain(self, self.binaries)

    def start(self):
        self.state.mkdir()
        self.chain.start("--block-time", 1)
        self.chain.deploy("--registry-only")
        egress = [self.chain.rpc.removeprefix("http://")]
        text = launch_document(self.chain.registry, self.chain.rpc, EPOCH_SECONDS, egress, embedded=True)
        if self.rate:
            self.replay_port = free_port()
            self.spawn("replay", self.load_program, "replay", "--listen", f"127.0.0.1:{self.replay_port}", "--rate", self.rate)
            wait_for_port(self.replay_port, 20)
            text += upstream(self.replay_port)
        launch = self.state / "launch.toml"
        launch.write_text(text)
        events = self.spawn("image", self.binaries / "jeju-image", "run", "--process", "--enclave", self.binaries / "jeju-enclave",
                            "--model", MODEL_FILE, "--launch", launch, "--state", self.state / "run", "--silicon",
                            self.state / "silicon", "--ready-within", 300, "--json", events=True)
        transport = events.wait("started", 60)["transport"]
        self.shim = self.spawn("shim", self.binaries / "jeju-host-shim", "run", "--transport", transport, "--launch", launch,
                               "--listen", f"4007=127.0.0.1:{self.port}", "--egress-allow", f"127.0.0.1:{self.chain.port}")
        events.wait("ready", 300)
        self.roles = {role(pid): pid for pid in descendants(events.process.pid) if role(pid)}
        self.front = self.roles["front"]

    @property
    def load_program(self):
        return self.binaries / "examples/load"

    def streams(self, *options, direct=False):
        """Starts clients, which print what they found at their end: see `found`."""
        if direct:
            to = ["--to", f"127.0.0.1:{self.replay_port}"]
        else:
            to = ["--to", f"127.0.0.1:{self.port}", "--root", self.state / "silicon/root.pub"]
        if self.rate:
            to.append("--numbered")
        command = [self.load_program, "streams", *to, "--model", self.model, *options]
        return subprocess.Popen(arguments(command), stdout=subprocess.PIPE, text=True)

    def resident(self):
        """MiB of each of the node's processes."""
        return {name: resident_mib(pid) for name, pid in self.roles.items()}


def found(clients):
    text, _ = clients.communicate()
    if clients.returncode:
        raise RuntimeError(f"the load ended with {clients.returncode}")
    return json.loads(text)


def upstream(port):
    return f"""[[upstreams]]
name = "replay"
kind = "openai"
url = "http://127.0.0.1:{port}"
max_concurrent = 256
[[upstreams.models]]
id = "replay"
"""


def role(pid):
    """Of a node's process; the first one's is `node`."""
    command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    if "jeju-enclave" not in os.path.realpath(f"/proc/{pid}/exe"):
        return None
    return command[command.index("--role") + 1] if "--role" in command else "node"


def cpu_seconds(pid):
    """User and system time of all threads, those that have ended too."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mib(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024
