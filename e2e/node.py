"""A whole product on this machine, from its programs as a provider and a user run them: anvil, contracts, host shim, node
(as a process or in QEMU) and proxy. Everything dies with `Node.stop`."""
import json
import pathlib
import subprocess
import time

from local_chain import Chain
from programs import ROOT, Programs, arguments, free_port, wait_for_port

MODEL = "smollm2-135m-instruct"
MODEL_FILE = ROOT / "target/models/smollm2-135m-instruct-q4_1.gguf"
MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
AGENT = "0x" + "a7" * 32


class Node(Programs):
    # What a node with other services than inference has of its own: tables of the launch document, and rules of the policy.
    services, tables, rules = ["inference"], "", ""

    def __init__(self, binaries, state, image=None, embedded=True, upstreams="", egress=(), readers=(), epoch_seconds=None):
        """`image`: an image folder to boot in QEMU; without it the node runs as a process. `embedded`: whether it has a model of
        its own. `upstreams`: what stands about them in the launch document. `egress`: what they need. `readers`: who may read
        prompts there by the policy. `epoch_seconds`: as long as a client without the proxy can trust a leaf; as short as it can
        be where none is said, so that a run sees several."""
        super().__init__(state)
        self.binaries, self.image = pathlib.Path(binaries), image
        self.embedded, self.upstreams, self.egress, self.readers = embedded, upstreams, list(egress), list(readers)
        # An emulated node is too slow for the shortest.
        self.epoch_seconds = epoch_seconds or (600 if image else 30)
        self.node_port, self.proxy_port = free_port(), free_port()
        self.chain = Chain(self, self.binaries)

    def start(self):
        chain = self.chain
        chain.start("--block-time", 1)
        chain.deploy("--registry-only")
        registry, rpc = chain.registry, chain.rpc

        self.launch = self.state / "launch.toml"
        egress = [f"127.0.0.1:{chain.port}", *self.egress]
        document = launch_document(registry, rpc, self.epoch_seconds, egress, self.embedded, self.services)
        self.launch.write_text(document + self.upstreams + self.tables)
        measurement = self.start_node(egress)
        chain.admit(measurement)
        self.at_registry = chain.measurement(measurement)

        self.root = self.silicon_root()
        self.policy = self.state / "policy.toml"
        self.policy.write_text(policy(registry, rpc, self.root, egress, self.embedded, self.readers, self.services) + self.rules)
        self.leaf = self.state / "node.pem"
        self.wait_until_verified()
        self.jeju("cert", self.url, "--out", self.leaf, *self.trust)
        self.spawn("proxy", self.program("jeju"), "proxy", "--node", self.url, "--listen", f"127.0.0.1:{self.proxy_port}", *self.trust)
        wait_for_port(self.proxy_port, 60)

    def start_node(self, egress):
        """The node and its shim, until it is ready. Returns what it measures to."""
        model = ["--model", MODEL_FILE] if self.embedded else []
        what = ["--image", self.image] if self.image else ["--process", "--enclave", self.program("jeju-enclave"), *model]
        events = self.spawn("image", self.program("jeju-image"), "run", *what, "--launch", self.launch, "--state", self.state / "run",
                            "--silicon", self.state / "silicon", "--ready-within", 300, "--json", events=True)
        self.launcher = events.process
        measurement = events.wait("measured", 60)["measurement"]
        transport = events.wait("started", 60)["transport"]
        allowed = [part for authority in egress for part in ("--egress-allow", authority)]
        self.shim = self.spawn("shim", self.program("jeju-host-shim"), "run", "--transport", transport, "--launch", self.launch,
                               "--listen", f"4007=127.0.0.1:{self.node_port}", *allowed, *self.shim_options())
        self.seconds_to_ready = events.wait("ready", 300)["milliseconds"] / 1000
        return measurement

    def shim_options(self):
        """More than every node's shim is told."""
        return []

    @property
    def url(self):
        return f"https://localhost:{self.node_port}"

    @property
    def proxy_url(self):
        return f"http://127.0.0.1:{self.proxy_port}"

    @property
    def trust(self):
        return ["--policy", self.policy, "--development"]

    def wait_until_verified(self):
        """The registry is read at the finalised block, which comes some blocks after the transaction."""
        self.wait_for_verdict(0, None)

    def wait_for_verdict(self, exit_code, code, *trust):
        deadline = time.monotonic() + 120
        while True:
            found = self.verify(*trust)
            if found == (exit_code, code):
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"jeju verify: {found}, not {(exit_code, code)}")
            time.sleep(1)

    def verify(self, *trust, url=None):
        """Exit code, and the code of the refusal."""
        done = subprocess.run(arguments([self.program("jeju"), "verify", url or self.url, "--json", *(trust or self.trust)]),
                              capture_output=True, text=True, timeout=120)
        return done.returncode, json.loads(done.stdout).get("code")

    def jeju(self, *args):
        return subprocess.run(arguments([self.program("jeju"), *args]), check=True, capture_output=True, text=True, timeout=120).stdout

    def program(self, name):
        return self.binaries / name

    def silicon_root(self):
        text = (self.state / "silicon/root.pub").read_text().strip()
        return bytes.fromhex(text.removeprefix("0x"))


def launch_document(registry, rpc, epoch_seconds, egress, embedded, services=("inference",)):
    model = f"""[[models]]
id = "{MODEL}"
sha256 = "0x{MODEL_SHA256}"
"""
    return f"""version = 1
[node]
agent = "{AGENT}"
names = ["localhost", "127.0.0.1"]
epoch_seconds = {epoch_seconds}
[chain]
profile = "localnet"
id = 31337
registry = "{registry}"
rpc = ["{rpc}"]
[services]
{"".join(f"{service} = true" + chr(10) for service in services)}{model if embedded else ""}[egress]
allow = {json.dumps(egress)}
"""


def policy(registry, rpc, root, egress, embedded, readers, services=("inference",)):
    return f"""version = 1
kind = "development"
tees = ["simulated"]
agents = ["{AGENT}"]
[registry]
chain_id = 31337
address = "{registry}"
rpc = ["{rpc}"]
[simulated]
roots = ["0x{root.hex()}"]
[launch]
chain_profiles = ["localnet"]
services = {json.dumps(list(services))}
egress = {json.dumps(egress)}
models = {json.dumps([f"0x{MODEL_SHA256}"] if embedded else [])}
upstreams = {json.dumps(readers)}
"""
