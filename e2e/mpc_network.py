"""A network of signers on this machine, from its programs as operators run them: anvil, contracts, and for each node its
own simulated silicon, launcher and host shim. Nodes can be killed, stopped, restarted and cut off from one another.

As root, each shim gets a network namespace on a bridge, so that any two nodes can be parted while both still run, and
clients reach them all. Otherwise all shims listen on loopback, and a node is cut off by stopping its shim."""
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess

from local_chain import ACCOUNTS, BIN, CHAIN_ID, KEYS, Chain
from programs import Programs, arguments, descendants, free_port, gone

SERVICE = 4010
OWNER = ACCOUNTS[0]
OWNER_KEY, OTHER_KEY = KEYS[:2]


def tagged_sha256(tag, *inputs):
    """docs/wire-formats.md §1."""
    hashed = hashlib.sha256(tag.encode() + b"\0")
    for part in inputs:
        hashed.update(len(part).to_bytes(2, "big") + part)
    return hashed.digest()


def cbor(value):
    """Deterministic CBOR of arrays, numbers, texts and bytes."""
    def head(major, length):
        if length < 24:
            return bytes([major << 5 | length])
        size = 1 if length < 1 << 8 else 2 if length < 1 << 16 else 4
        return bytes([major << 5 | {1: 24, 2: 25, 4: 26}[size]]) + length.to_bytes(size, "big")

    if isinstance(value, int):
        return head(0, value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    return head(4, len(value)) + b"".join(cbor(part) for part in value)


class Network(Programs):
    def __init__(self, binaries, state, nodes=5, threshold=3, namespaces=None):
        super().__init__(state)
        self.binaries = pathlib.Path(binaries)
        self.chain = Chain(self, self.binaries)
        self.threshold = threshold
        self.namespaces = can_have_namespaces() if namespaces is None else namespaces
        self.links = Bridge(nodes) if self.namespaces else Loopback(nodes)
        self.nodes = [Node(self, at) for at in range(nodes)]
        # A machine more, which gets its place later.
        self.heir = Node(self, 1, number=nodes + 1)
        self.cuts = set()
        self.paused = set()

    def start(self):
        self.state.mkdir(parents=True, exist_ok=True)
        self.links.start()
        # One block for each transaction until all contracts are there; then one a second, as nodes need.
        self.chain.start(host="0.0.0.0")
        self.chain.deploy()
        self.registry, self.rpc_port, self.rpc = self.chain.registry, self.chain.port, self.chain.rpc
        self.factory = self.chain.deployed["frostWalletFactory"]
        for node in (*self.nodes, self.heir):
            node.make()
        self.measurement = self.nodes[0].measurement
        self.chain.admit(self.measurement)
        # The registry is read at the finalised block.
        self.chain.mine(3)
        self.chain.block_every_second()
        self.genesis_document = self.mpc_section()
        self.policy = self.state / "policy.toml"
        self.account_key = self.state / "account.key"
        self.other_key = self.state / "other.key"
        for path, key in (self.account_key, OWNER_KEY), (self.other_key, OTHER_KEY):
            path.write_text(key)
            path.chmod(0o600)
        self.policy.write_text(self.policy_document())
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait_ready(120)

    @property
    def trust(self):
        return ["--policy", self.policy, "--development"]

    def mpc_section(self):
        members = "".join(f"""
[[mpc.members]]
node = "{node.name}"
agent = "{node.agent}"
platform = "0x{node.platform.hex()}"
address = "{node.address}"
""" for node in self.nodes)
        roots = ", ".join(f'"0x{node.root.hex()}"' for node in (*self.nodes, self.heir))
        return f"""
[mpc]
network = "e2e"
threshold = {self.threshold}
governance = "{OWNER}"
measurements = ["{self.measurement}"]
simulated_roots = [{roots}]
wallet_factory = "{self.factory}"
{members}"""

    def genesis(self):
        """The network's name for ever, docs/wire-formats.md."""
        members = [[node.name, bytes.fromhex(node.agent[2:]), node.platform] for node in self.nodes]
        document = ["e2e", self.threshold, bytes.fromhex(OWNER[2:]), [bytes.fromhex(self.measurement[2:])],
                    [node.root for node in (*self.nodes, self.heir)], bytes.fromhex(self.factory[2:]), members]
        return "0x" + tagged_sha256("jeju-mpc-genesis-v1", hashlib.sha256(cbor(document)).digest()).hex()

    def launch_document(self, node):
        rpc = f"http://{self.links.host}:{self.rpc_port}"
        egress = [f"{self.links.host}:{self.rpc_port}", *(other.address for other in self.nodes if other.at != node.at)]
        mpc = self.genesis_document
        if node is self.heir:
            mpc = mpc.replace("[mpc]\n", f"[mpc]\nplace = {node.at + 1}\n", 1)
        names = ["localhost", "127.0.0.1", *({self.links.address(node.at)} - {"127.0.0.1"})]
        return f"""version = 1
[node]
agent = "{node.agent}"
names = {json.dumps(names)}
[chain]
profile = "localnet"
id = {CHAIN_ID}
registry = "{self.registry}"
rpc = ["{rpc}"]
[services]
mpc = true
[egress]
allow = {json.dumps(egress)}
{mpc}"""

    def policy_document(self):
        egress = [f"{self.links.host}:{self.rpc_port}", *(node.address for node in self.nodes)]
        return f"""version = 1
kind = "development"
tees = ["simulated"]
agents = {json.dumps([node.agent for node in (*self.nodes, self.heir)])}
[registry]
chain_id = {CHAIN_ID}
address = "{self.registry}"
rpc = ["{self.rpc}"]
[simulated]
roots = {json.dumps(["0x" + node.root.hex() for node in (*self.nodes, self.heir)])}
[launch]
chain_profiles = ["localnet"]
services = ["mpc"]
mpc_networks = ["{self.genesis()}"]
egress = {json.dumps(egress)}
"""

    # ------------------------------------------------------------------ what users run

    def mpc(self, action, *args, nodes=None, key=None, check=True, timeout=240):
        """`jeju mpc ACTION --json`, where an action may have two words: the JSON."""
        named = [part for node in (self.nodes if nodes is None else nodes) for part in ("--node", node.url)]
        account = ["--key", key or self.account_key] if action not in ("status", "verify", "wallet", "configure show") else []
        network = [*named, *self.trust] if action not in ("verify", "wallet") else []
        done = subprocess.run(arguments([self.binaries / "jeju", "mpc", *action.split(), "--json", *network, *account, *args]),
                              capture_output=True, text=True, timeout=timeout)
        if not done.stdout.strip():
            raise RuntimeError(f"jeju mpc {action}: exit {done.returncode}, {done.stderr}")
        answer = json.loads(done.stdout)
        if check and done.returncode:
            raise Refused(f"jeju mpc {action}: {answer}", answer.get("code"))
        return answer

    def jeju(self, *args):
        return subprocess.run(arguments([self.binaries / "jeju", *args]), check=True, capture_output=True, text=True, timeout=120).stdout

    def cast(self, *args):
        return self.chain.cast(*args)

    def cast_hash(self, text):
        """EIP-191."""
        return subprocess.run([BIN / "cast", "hash-message", text], capture_output=True, text=True,
                              check=True).stdout.strip()

    def send(self, *args):
        """A transaction of the second development account, which has no say in anything here."""
        return self.chain.send(OTHER_KEY, *args)

    # ------------------------------------------------------------------ faults

    def cut(self, one, other):
        """Nothing passes between two nodes any more, and neither is told."""
        self.cuts.add(frozenset((one.at, other.at)))
        self.links.cut(one, other)

    def part(self, some):
        """Cuts `some` off from all others."""
        inside = {node.at for node in some}
        for one in self.nodes:
            for other in self.nodes:
                if one.at in inside and other.at not in inside:
                    self.cut(one, other)

    def heal(self):
        for pair in self.cuts:
            one, other = pair
            self.links.heal(self.nodes[one], self.nodes[other])
        self.cuts.clear()

    def repair(self):
        """Everything runs and is connected again."""
        self.heal()
        for node in self.nodes:
            node.resume()
            if not node.running:
                node.start()
        for node in self.nodes:
            node.wait_ready(120)

    def largest_group(self):
        """The most running nodes that can all talk to one another."""
        up = [node.at for node in self.nodes if node.running and not node.stopped]
        best = []
        for choice in range(1 << len(up)):
            group = [node for bit, node in enumerate(up) if choice >> bit & 1]
            apart = any(frozenset((a, b)) in self.cuts for a in group for b in group if a < b)
            if not apart and len(group) > len(best):
                best = group
        return best

    def most_heard(self):
        """How many running nodes the best connected one can talk to, itself included. They need not hear one another to sign: it
        carries what they say."""
        up = [node.at for node in self.nodes if node.running and not node.stopped]
        return max((sum(frozenset((one, other)) not in self.cuts for other in up) for one in up), default=0)

    def stop(self):
        super().stop()
        self.links.stop()


class Refused(Exception):
    """What a command refused, with the stable code."""

    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


class Node:
    def __init__(self, network, at, number=None):
        self.network, self.at, self.number = network, at, number or at + 1
        self.name = f"mpc-node-{self.number}"
        self.agent = "0x" + tagged_sha256("e2e-agent", self.name.encode()).hex()
        self.folder = network.state / f"{self.number}"
        self.running = self.stopped = False
        self.launcher = self.shim = None

    @property
    def address(self):
        return f"{self.network.links.address(self.at)}:{self.network.links.port(self.at)}"

    @property
    def url(self):
        return f"https://{self.address}"

    def make(self):
        """Lets the launcher make the silicon and say what the node measures to, which the launch document of every node
        names: for that it starts a node that enables nothing, and is ended at once."""
        self.folder.mkdir()
        probe = self.folder / "probe.toml"
        probe.write_text(f"""version = 1
[node]
agent = "{self.agent}"
names = ["localhost"]
[chain]
profile = "localnet"
id = {CHAIN_ID}
registry = "{self.network.registry}"
rpc = ["http://127.0.0.1:1"]
[egress]
allow = ["127.0.0.1:1"]
""")
        events = self.launch(probe)
        self.measurement = events.wait("measured", 60)["measurement"]
        self.network.end(events.process)
        self.root = bytes.fromhex((self.folder / "silicon/root.pub").read_text().strip().removeprefix("0x"))
        chip = bytes.fromhex((self.folder / "silicon/chip.id").read_text().strip())
        self.platform = tagged_sha256("jeju-simulated-platform-v1", hashlib.sha256(self.root).digest(), chip)

    def launch(self, document):
        network = self.network
        return network.spawn(f"node-{self.number}", network.binaries / "jeju-image", "run", "--process", "--enclave",
                             network.binaries / "jeju-enclave", "--launch", document, "--state", self.folder / "run",
                             "--silicon", self.folder / "silicon", "--ready-within", 300, "--json", events=True)

    def start(self):
        document = self.folder / "launch.toml"
        document.write_text(self.network.launch_document(self))
        self.events = self.launch(document)
        self.launcher = self.events.process
        transport = self.events.wait("started", 60)["transport"]
        network = self.network
        others = [node.address for node in network.nodes if node.at != self.at]
        self.shim = network.spawn(
            f"shim-{self.number}", *network.links.inside(self.at), network.binaries / "jeju-host-shim", "run",
            "--transport", transport, "--launch", document, "--blobs", self.folder / "blobs",
            "--listen", f"{SERVICE}={self.address}",
            "--egress-allow", f"{network.links.host}:{network.rpc_port}", *others)
        self.running, self.stopped = True, False

    def wait_ready(self, seconds):
        self.events.wait("ready", seconds)

    def kill(self):
        """kill -9 of everything, the shim included."""
        for process in self.launcher, self.shim:
            self.network.end(process, signal.SIGKILL)
        self.running = self.stopped = False

    def copy_disk(self):
        """What the host has of the node's sealed records, by their names."""
        blobs, disk = self.folder / "blobs", {}
        for path in blobs.rglob("*"):
            with gone:
                if path.is_file():
                    disk[path.relative_to(blobs)] = path.read_bytes()
        return disk

    def restore_disk(self, disk):
        blobs = self.folder / "blobs"
        shutil.rmtree(blobs, ignore_errors=True)
        for name, content in disk.items():
            (blobs / name).parent.mkdir(parents=True, exist_ok=True)
            (blobs / name).write_bytes(content)

    def pause(self):
        """Everything stands still, connections stay open."""
        self.stopped = True
        for pid in self.pids():
            with gone:
                os.kill(pid, signal.SIGSTOP)

    def resume(self):
        if not self.running or not self.stopped:
            return
        for pid in self.pids():
            with gone:
                os.kill(pid, signal.SIGCONT)
        self.stopped = False

    def pids(self):
        return [pid for process in (self.launcher, self.shim) for pid in descendants(process.pid)]


class Loopback:
    """All on 127.0.0.1. Two nodes can't be parted, only one node from all."""

    host = "127.0.0.1"

    def __init__(self, nodes):
        self.ports = [free_port() for _ in range(nodes)]

    def address(self, _):
        return "127.0.0.1"

    def port(self, at):
        return self.ports[at]

    def inside(self, _):
        return []

    def start(self):
        pass

    def stop(self):
        pass

    def cut(self, one, other):
        raise NotImplementedError("parting nodes needs network namespaces, and so root")

    heal = cut


class Bridge:
    """A network namespace for each node's shim, on one bridge with this machine."""

    def __init__(self, nodes):
        # A name and an address range of this run's own.
        self.id = os.getpid() % 10_000
        self.subnet = f"10.{64 + os.getpid() % 128}.{os.getpid() // 128 % 256}"
        self.count = nodes
        self.bridge = f"jb{self.id}"
        self.host = f"{self.subnet}.254"

    def address(self, at):
        return f"{self.subnet}.{at + 1}"

    def port(self, _):
        return SERVICE

    def name(self, at):
        return f"jn{self.id}-{at + 1}"

    def inside(self, at):
        return ["ip", "netns", "exec", self.name(at)]

    def start(self):
        ip("link", "add", self.bridge, "type", "bridge")
        ip("addr", "add", f"{self.host}/24", "dev", self.bridge)
        ip("link", "set", self.bridge, "up")
        for at in range(self.count):
            name, outer = self.name(at), f"jv{self.id}-{at + 1}"
            ip("netns", "add", name)
            ip("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", outer, "master", self.bridge, "up")
            ip("-n", name, "addr", "add", f"{self.address(at)}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")

    def stop(self):
        for at in range(self.count):
            ip("netns", "del", self.name(at), check=False)
        ip("link", "del", self.bridge, check=False)

    def cut(self, one, other):
        """Packets are dropped on both sides without a word, as on a broken line."""
        for a, b in (one, other), (other, one):
            ip("-n", self.name(a.at), "route", "replace", "blackhole", f"{self.address(b.at)}/32")

    def heal(self, one, other):
        for a, b in (one, other), (other, one):
            ip("-n", self.name(a.at), "route", "del", "blackhole", f"{self.address(b.at)}/32", check=False)


def ip(*args, check=True):
    return subprocess.run(["ip", *args], check=check, capture_output=True).returncode == 0


def can_have_namespaces():
    name = f"jt{os.getpid() % 10_000}"
    if os.geteuid() != 0 or not shutil.which("ip") or not ip("netns", "add", name, check=False):
        return False
    works = ip("-n", name, "link", "add", "veth-a", "type", "veth", "peer", "name", "veth-b", check=False)
    ip("netns", "del", name, check=False)
    bridge = f"jt{os.getpid() % 10_000}"
    works = works and ip("link", "add", bridge, "type", "bridge", check=False)
    ip("link", "del", bridge, check=False)
    return works
