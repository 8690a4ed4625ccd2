"""The market for inference on this machine, from its programs as providers, gateways and users run them: anvil with our
contracts, and for each provider a node as a process and its host shim."""
import json
import os
import pathlib
import subprocess

from local_chain import ACCOUNTS, CHAIN_ID, KEYS, Chain
from node import AGENT, MODEL, MODEL_FILE, launch_document, policy
from programs import Programs, arguments, free_port, wait_for_port, wait_until

ETHER = 10**18


class Refused(Exception):
    """What a command refused, with the stable code."""

    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


class Market(Programs):
    """Chain and contracts, which all share, and who provides there."""

    def __init__(self, binaries, state, image=None):
        """`image`: what one provider boots in QEMU, where one does."""
        super().__init__(state)
        self.binaries, self.image = pathlib.Path(binaries), image
        self.chain = Chain(self, self.binaries)
        self.parts, self.admitted = [], set()

    def start(self):
        # Transactions have their block at once, and blocks are final after half a second.
        self.chain.start("--block-time", 0.25, "--mixed-mining")
        self.deployment = self.state / "deployment.json"
        self.chain.deploy("--out", self.deployment)

    @property
    def contract(self):
        """Addresses by name."""
        return self.chain.deployed

    def provide(self, part):
        """Starts a provider or a gateway, which ends with the market."""
        self.parts.append(part)
        part.state.mkdir(parents=True, exist_ok=True)
        part.start()
        return part

    def admit(self, measurement):
        """Once: nodes as processes measure to the same."""
        if measurement not in self.admitted:
            self.admitted.add(measurement)
            self.chain.admit(measurement)

    def stop(self):
        for part in self.parts:
            part.stop()
        super().stop()

    def logs(self):
        return "\n".join([super().logs(), *(part.logs() for part in self.parts)])

    def key_file(self, number):
        """The account's private key, readable by its owner only."""
        path = self.state / f"account-{number}.key"
        if not path.exists():
            path.touch(0o600)
            path.write_text(KEYS[number])
        return path

    def jeju(self, *args, check=True, timeout=120, **options):
        """A command that prints one JSON object."""
        command = arguments([self.binaries / "jeju", *args, "--json"])
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, **options)
        if not done.stdout.strip():
            raise RuntimeError(f"jeju {args[:2]}: exit {done.returncode}, {done.stderr}")
        answer = json.loads(done.stdout.strip().splitlines()[-1])
        if check and done.returncode:
            raise Refused(f"jeju {args[:3]}: {answer}", answer.get("code"))
        return answer


class Provider(Programs):
    """A node as a process, or an image in QEMU, with its host shim, which earns for account `number`."""

    def __init__(self, market, number, name, agent, model=MODEL, required=False, credit=None, payments=True, epoch_seconds=3600,
                 enclave=None, image=None):
        super().__init__(market.state / name)
        enclave = enclave or market.binaries / "jeju-enclave"
        self.what = ["--image", image] if image else ["--process", "--enclave", enclave, "--model", MODEL_FILE]
        self.market, self.number, self.name, self.agent, self.model = market, number, name, agent, model
        self.required, self.credit, self.payments = required, credit, payments
        self.epoch_seconds = epoch_seconds
        self.account, self.node_port = ACCOUNTS[number], free_port()

    def start(self):
        """The node, admitted and verified."""
        chain = self.market.chain
        self.start_anew()
        self.market.admit(self.measurement)
        self.root = bytes.fromhex((self.market.state / "silicon/root.pub").read_text().strip().removeprefix("0x"))
        self.policy = self.state / "policy.toml"
        self.policy.write_text(policy(chain.registry, chain.rpc, self.root, self.egress, True, []).replace(AGENT, self.agent))
        wait_until(f"{self.name} is verified", 60, self.is_verified)
        self.read_leaf()

    @property
    def egress(self):
        return [f"127.0.0.1:{self.market.chain.port}"]

    def start_anew(self):
        """A node without any past."""
        chain = self.market.chain
        document = launch_document(chain.registry, chain.rpc, self.epoch_seconds, self.egress, True)
        document = document.replace(f'id = "{MODEL}"', f'id = "{self.model}"').replace(AGENT, self.agent)
        self.launch = self.state / "launch.toml"
        self.launch.write_text(document + self.tables())
        (self.state / "blobs").mkdir(exist_ok=True)
        self.start_node()

    def start_node(self):
        """Node and shim, until the node is ready."""
        market, chain = self.market, self.market.chain
        events = self.spawn("image", market.binaries / "jeju-image", "run", *self.what, "--launch", self.launch, "--state",
                            self.state / "run", "--silicon", market.state / "silicon", "--ready-within", 300, "--json", events=True)
        self.launcher = events.process
        self.measurement = events.wait("measured", 60)["measurement"]
        transport = events.wait("started", 60)["transport"]
        self.shim = self.spawn("shim", market.binaries / "jeju-host-shim", "run", "--transport", transport, "--launch", self.launch,
                               "--listen", f"4007=127.0.0.1:{self.node_port}", "--egress-allow", f"127.0.0.1:{chain.port}",
                               "--blobs", self.state / "blobs")
        self.seconds_to_ready = events.wait("ready", 300)["milliseconds"] / 1000

    def tables(self):
        """What of the launch document is about money."""
        if not self.payments:
            return ""
        contract = self.market.contract
        credit = f'credit = "{self.credit}"\n' if self.credit is not None else ""
        return f"""[payments]
provider = "{self.account}"
serving = "{contract["inferenceServing"]}"
ledger = "{contract["ledgerManager"]}"
required = {json.dumps(self.required)}
{credit}[receipts]
keys = "{contract["attestedKeyRegistry"]}"
"""

    def is_verified(self):
        return subprocess.run(arguments([self.market.binaries / "jeju", "verify", self.url, *self.trust]), capture_output=True,
                              timeout=120).returncode == 0

    def read_leaf(self):
        """What clients without a verifier trust for an epoch: the leaf of a verified node."""
        self.leaf = self.state / "node.pem"
        subprocess.run(arguments([self.market.binaries / "jeju", "cert", self.url, "--out", self.leaf, *self.trust]), check=True,
                       capture_output=True, timeout=120)

    @property
    def url(self):
        return f"https://localhost:{self.node_port}"

    @property
    def trust(self):
        return ["--policy", self.policy, "--development"]

    def proxy(self, *options):
        """`jeju proxy` before this node alone. Returns the port."""
        port = free_port()
        self.spawn("proxy", self.market.binaries / "jeju", "proxy", "--node", self.url, "--listen", f"127.0.0.1:{port}", *self.trust, *options)
        wait_for_port(port, 60)
        return port


class Gateway(Programs):
    """A gateway with its API, and TLS passed through to nodes."""

    def __init__(self, market, name, domain="gw.example", more=""):
        super().__init__(market.state / name)
        self.market, self.name, self.domain, self.more = market, name, domain, more
        self.http_port, self.tls_port, self.ssh_port = free_port(), free_port(), free_port()

    def start(self):
        chain, contract = self.market.chain, self.market.contract
        config = self.state / "gateway.toml"
        config.write_text(f"""name = "{self.name}"
http = "127.0.0.1:{self.http_port}"
domains = ["{self.domain}"]
[chain]
id = {CHAIN_ID}
rpc = ["{chain.rpc}"]
compute_registry = "{contract["computeRegistry"]}"
compute_rental = "{contract["computeRental"]}"
identity_registry = "{contract["identityRegistry"]}"
reputation_registry = "{contract["reputationRegistry"]}"
interval_seconds = 1
development = true
[[tls]]
listen = "127.0.0.1:{self.tls_port}"
service = "node"
[ssh]
listen = "127.0.0.1:{self.ssh_port}"
[limits]
wallet_per_minute = 6000
address_per_minute = 60000
reads_per_minute = 60000
{self.more}""")
        self.process = self.spawn("gateway", self.market.binaries / "jeju-gateway", "--config", config)
        wait_for_port(self.http_port, 60)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.http_port}"


def trusting(*leaves):
    """An environment in which Node.js and Python trust these leaves alone, and no proxy is used."""
    return {**{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
            **({"NODE_EXTRA_CA_CERTS": str(leaves[0]), "SSL_CERT_FILE": str(leaves[0])} if leaves else {})}
