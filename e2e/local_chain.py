"""A chain of anvil's with our contracts, and what people do there."""
import json
import subprocess

from programs import ROOT, arguments, free_port, wait_for_port

CHAIN_ID = 31337
# Accounts of a local chain, whose keys everybody knows.
KEYS = [
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    "0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
    "0x8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
    "0x92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e",
    "0x4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356",
    "0xdbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97",
]
ACCOUNTS = [
    "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
    "0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
    "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
    "0x90f79bf6eb2c4f870365e785982e1f101e93b906",
    "0x15d34aaf54267db7d7c367839aaf71a00a2c6a65",
    "0x9965507d1a55bcc2695c58ba16fb37d819b0a4dc",
    "0x976ea74026e726554db657fa54763abd0c3a0aa9",
    "0x14dc79964da2c08b23698b3d3cc7ca32193d9955",
    "0x23618e81e3f5cdf7f54c3d65f7fbc0abf5b21e8f",
]
BIN = ROOT / "contracts/node_modules/.bin"


class Chain:
    def __init__(self, programs, binaries):
        self.programs, self.contracts_program = programs, binaries / "jeju-contracts"

    def start(self, *options, host="127.0.0.1"):
        """A block is final two blocks later, not 64."""
        self.port = free_port()
        self.programs.spawn("anvil", BIN / "anvil", "--host", host, "--port", self.port, "--slots-in-an-epoch", 1, "--silent", *options)
        wait_for_port(self.port, 60)

    @property
    def rpc(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def at(self):
        return ["--network", "localnet", "--rpc", self.rpc]

    def deploy(self, *options):
        """Contracts and where they are."""
        deployed = self.contracts("deploy", *self.at, *options)
        self.registry = deployed["measurementRegistry"]["address"].lower()
        self.deployed = {name: contract["address"].lower() for name, contract in (deployed.get("contracts") or {}).items()}

    def admit(self, measurement):
        """Verifiers accept it once the blocks are final."""
        self.contracts("propose", *self.measurement(measurement), "--release-digest", "0x" + "01" * 32, "--version", 1,
                       "--platform", "simulated")
        self.contracts("activate", *self.measurement(measurement))

    def measurement(self, measurement):
        return [*self.at, "--registry", self.registry, "--id", measurement]

    def contracts(self, *args):
        done = subprocess.run(arguments([self.contracts_program, "--json", *args]), capture_output=True, text=True, timeout=300)
        if done.returncode:
            raise RuntimeError(f"jeju-contracts {args[0]}: {done.stderr}")
        return json.loads(done.stdout)

    def cast(self, *args):
        done = subprocess.run(arguments([BIN / "cast", args[0], "--rpc-url", self.rpc, *args[1:]]), capture_output=True, text=True,
                              timeout=120)
        if done.returncode:
            raise RuntimeError(f"cast {args}: {done.stderr}")
        return done.stdout.strip()

    def number(self, contract, call, *args):
        """A view that returns one number."""
        return int(self.cast("call", contract, call, *args).split()[0])

    def send(self, key, *args):
        """A transaction, which must succeed."""
        receipt = json.loads(self.cast("send", "--private-key", key, "--json", *args))
        assert int(receipt["status"], 16) == 1, receipt
        return receipt

    def mine(self, blocks):
        self.cast("rpc", "anvil_mine", hex(blocks))

    def block_every_second(self):
        self.cast("rpc", "evm_setIntervalMining", 1)
