"""A market for machines on this machine, from its programs as providers and tenants run them: anvil with our contracts, a
Docker engine, and for each provider a node (as a process or in QEMU), its host shim and the daemon of its wallet."""
import json
import pathlib
import signal
import subprocess
import threading
import time

from docker_engine import Engine
from local_chain import ACCOUNTS, CHAIN_ID, KEYS, Chain
from programs import Programs, arguments, descendants, free_port, wait_until

ETHER = 10**18
# What an offer is, and what it costs by the hour: a number that no division leaves whole.
PRICE = 10**15 + 7
OFFER = {"cpu-cores": 1, "memory-gb": 1, "storage-gb": 1, "bandwidth-mbps": 1000, "min-hours": 1, "max-hours": 4}
# The contract's states of a rental.
PENDING, ACTIVE, COMPLETED, CANCELLED = 0, 1, 3, 4


class Refused(Exception):
    """What a command refused, with the stable code."""

    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


class Market(Programs):
    """Chain, contracts and engine, which all share. Account 0 governs, 1 revokes, 2 and 3 provide, the others rent."""

    def __init__(self, binaries, state):
        super().__init__(state)
        self.binaries = pathlib.Path(binaries)
        self.chain = Chain(self, self.binaries)
        self.engine = Engine(self.state / "d")
        self.providers, self.admitted = [], set()

    def start(self):
        self.state.mkdir(parents=True, exist_ok=True)
        preparing = Task(self.prepare_engine)
        # Transactions have their block at once, and blocks are final after half a second.
        self.chain.start("--block-time", 0.25, "--mixed-mining")
        self.chain.deploy()
        self.contract = self.chain.deployed["computeRental"]
        preparing.join()

    def prepare_engine(self):
        self.engine.start()
        self.busybox, self.empty, self.debian = (self.engine.publish_busybox(), self.engine.publish_empty(),
                                                 self.engine.publish_debian())

    def admit(self, measurement):
        """Once: nodes as processes measure to the same."""
        if measurement not in self.admitted:
            self.admitted.add(measurement)
            self.chain.admit(measurement)

    def provide(self, provider):
        """Starts a provider, which ends with the market."""
        self.providers.append(provider)
        provider.start()
        return provider

    def stop(self):
        for provider in self.providers:
            provider.stop()
        super().stop()
        self.engine.stop()

    def logs(self):
        return "\n".join([super().logs(), self.engine.logs(), *(provider.logs() for provider in self.providers)])

    def jeju(self, *args, check=True, timeout=120, **options):
        """A command that prints one JSON object. What stands behind `--` stays at the end."""
        at = args.index("--") if "--" in args else len(args)
        done = subprocess.run(arguments([self.binaries / "jeju", *args[:at], "--json", *args[at:]]), capture_output=True, text=True, timeout=timeout, **options)
        if not done.stdout.strip():
            raise RuntimeError(f"jeju {args[:2]}: exit {done.returncode}, {done.stderr}")
        answer = json.loads(done.stdout)
        if check and done.returncode:
            raise Refused(f"jeju {args[:2]}: {answer}", answer.get("code"))
        return answer

    def key_file(self, number):
        path = self.state / f"account-{number}.key"
        if not path.exists():
            path.write_text(KEYS[number])
            path.chmod(0o600)
        return path

    @property
    def on_chain(self):
        return ["--rpc", self.chain.rpc, "--development", "--contract", self.contract]

    def left(self):
        """What the engine has of rentals: each container and network, with the rental's state on chain and how the container ended."""
        found = []
        for name in sorted({*self.engine.containers(), *self.engine.networks()}):
            status = self.chain.cast("call", self.contract, "getRental(bytes32)", "0x" + name.removeprefix("jeju-"))[2 + 64 * 4:2 + 64 * 5]
            found.append({"name": name, "status": int(status, 16), "state": (self.engine.inspect(name) or {}).get("State")})
        return found

    # ------------------------------------------------------------------ the contract, read by cast

    def owed(self, account):
        return self.chain.number(self.contract, "owed(address)(uint256)", account)

    def check_money(self):
        """Every wei that the contract has is somebody's."""
        balance = int(self.chain.cast("balance", self.contract))
        parts = [self.chain.number(self.contract, f"{part}()(uint256)") for part in ("totalEscrow", "totalBonds", "totalOwed")]
        assert balance == sum(parts), (balance, parts)
        return parts


class Provider(Programs):
    """A node with its shim and its wallet's daemon. `image`: an image folder to boot in QEMU; without it the node is a process."""

    def __init__(self, market, number, image=None, network="open", concurrent=10):
        super().__init__(market.state / f"p{number}")
        self.market, self.number, self.image, self.network, self.concurrent = market, number, image, network, concurrent
        self.account = ACCOUNTS[number]
        self.node_port, self.ssh_port = free_port(), free_port()
        self.launcher = self.shim = self.daemon = None

    @property
    def url(self):
        return f"https://localhost:{self.node_port}"

    @property
    def trust(self):
        return ["--policy", self.policy, "--development"]

    def start(self):
        self.state.mkdir(parents=True, exist_ok=True)
        self.offer()
        self.launch = self.state / "launch.toml"
        self.launch.write_text(self.launch_document())
        self.start_node()
        self.market.admit(self.measurement)
        self.root = (self.market.state / "silicon/root.pub").read_text().strip().removeprefix("0x")
        self.policy = self.state / "policy.toml"
        self.policy.write_text(self.policy_document())
        self.start_shim()
        self.wait_ready()
        wait_until("the node is verified", 60, self.verified)
        self.start_daemon()

    def verified(self):
        return run([self.market.binaries / "jeju", "verify", self.url, *self.trust], check=False).returncode == 0

    def offer(self):
        """An agent, a provider with stake, and what it rents out."""
        market = self.market
        chain = [*market.on_chain, "--key", market.key_file(self.number)]
        made = market.jeju("provider", "register", *chain, "--name", f"p{self.number}", "--endpoint", self.url, "--new-agent",
                           "https://provider.example/agent.json")
        self.agent = "0x" + made["agent"].removeprefix("0x").rjust(64, "0")
        options = [part for name, value in OFFER.items() for part in (f"--{name}", value)]
        market.jeju("provider", "offer", *chain, "--price", f"{PRICE}wei", "--max", self.concurrent, "--agent", self.agent, *options)

    def start_node(self):
        market = self.market
        guest = ["--image", self.image] if self.image else ["--process", "--enclave", market.binaries / "jeju-enclave", "--agent",
                                                            market.binaries / "jeju-rental-agent"]
        self.events = self.spawn("node", market.binaries / "jeju-image", "run", *guest, "--launch", self.launch, "--state",
                                 self.state / "run", "--silicon", self.market.state / "silicon", "--ready-within", 300, "--json", "--console",
                                 events=True)
        self.launcher = self.events.process
        self.measurement = self.events.wait("measured", 60)["measurement"]
        self.transport = self.events.wait("started", 60)["transport"]

    def start_shim(self, docker=True, ssh=True):
        options = ["--docker", f"unix:{self.market.engine.socket}", "--docker-agent", self.agent[2:]] if docker else []
        options += ["--listen", f"2222=127.0.0.1:{self.ssh_port}"] if ssh else []
        self.shim = self.spawn("shim", self.market.binaries / "jeju-host-shim", "run", "--transport", self.transport, "--launch", self.launch,
                               "--listen", f"4007=127.0.0.1:{self.node_port}", "--egress-allow", f"127.0.0.1:{self.market.chain.port}",
                               *options)

    def start_daemon(self):
        """What sends the provider's transactions."""
        market = self.market
        self.daemon = self.spawn("daemon", market.binaries / "jeju", "provider", "run", "--node", self.url, *self.trust, "--interval", 1,
                                 "--key", market.key_file(self.number))

    def stop_daemon(self):
        self.end(self.daemon)

    def withdraw(self):
        self.market.jeju("provider", "withdraw", *self.market.on_chain, "--key", self.market.key_file(self.number))

    def wait_ready(self, seconds=300):
        self.seconds_to_ready = self.events.wait("ready", seconds)["milliseconds"] / 1000

    # ------------------------------------------------------------------ what kills it

    def kill_node(self):
        """kill -9 of the launcher, which takes the node with it."""
        self.end(self.launcher, signal.SIGKILL)

    def kill_shim(self):
        self.end(self.shim, signal.SIGKILL)

    def pids(self):
        return [pid for process in (self.launcher, self.shim) for pid in descendants(process.pid)]

    # ------------------------------------------------------------------ documents

    def launch_document(self):
        chain = self.market.chain
        return f"""version = 1
[node]
agent = "{self.agent}"
names = ["localhost", "127.0.0.1"]
[chain]
profile = "localnet"
id = {CHAIN_ID}
registry = "{chain.registry}"
rpc = ["{chain.rpc}"]
[services]
rentals = true
[egress]
allow = ["127.0.0.1:{chain.port}"]
[rentals]
contract = "{self.market.contract}"
provider = "{self.account}"
host = "127.0.0.1"
port = {self.ssh_port}
network = "{self.network}"
isolation = "host"
"""

    def policy_document(self):
        chain = self.market.chain
        return f"""version = 1
kind = "development"
tees = ["simulated"]
agents = ["{self.agent}"]
[registry]
chain_id = {CHAIN_ID}
address = "{chain.registry}"
rpc = ["{chain.rpc}"]
[simulated]
roots = ["0x{self.root}"]
[launch]
chain_profiles = ["localnet"]
services = ["rentals"]
rentals = ["host"]
egress = ["127.0.0.1:{chain.port}"]
"""

    def health(self):
        """Seconds that /health takes."""
        started = time.monotonic()
        done = subprocess.run(["curl", "--silent", "--insecure", "--fail", "--max-time", "60", f"{self.url}/health"], capture_output=True)
        assert done.returncode == 0, f"/health: curl {done.returncode}"
        return time.monotonic() - started


class Tenant:
    """An account with an SSH key."""

    def __init__(self, market, number):
        self.market, self.number, self.account = market, number, ACCOUNTS[number]
        self.ssh_key = make_ssh_key(market.state / f"tenant-{number}")

    @property
    def account_key(self):
        return self.market.key_file(self.number)

    def rent(self, provider, image=None, hours=1, script=None, wait=True):
        """A rental, which runs unless it isn't waited for."""
        at = ["--key", self.account_key, "--node", provider.url, *provider.trust]
        given = ["--script", script] if script else []
        answer = self.market.jeju("rental", "create", *at, "--provider", provider.account, "--image", image or self.market.busybox,
                                  "--hours", hours, "--ssh-key", f"{self.ssh_key}.pub", *given)
        rental = Rental(self, provider, answer["rentalId"])
        return rental.ready() if wait else rental


    def withdraw(self):
        self.market.jeju("rental", "withdraw", *self.market.on_chain, "--key", self.account_key)


class Rental:
    """A rental, as its tenant sees it."""

    def __init__(self, tenant, provider, id):
        self.tenant, self.provider, self.market, self.id = tenant, provider, tenant.market, id
        self.container = "jeju-" + id.removeprefix("0x")

    # ------------------------------------------------------------------ on chain

    def record(self):
        """What the contract says, read by cast."""
        chain, contract = self.market.chain, self.market.contract
        found = bytes.fromhex(chain.cast("call", contract, "getRental(bytes32)", self.id)[2:])
        words = [int.from_bytes(found[at:at + 32]) for at in range(32, 32 * 15, 32)]
        names = "status start_time end_time total_cost paid refunded".split()
        record = dict(zip(names, words[3:9]))
        terms = bytes.fromhex(chain.cast("call", contract, "termsOf(bytes32)", self.id)[2:])
        rate, _, ended_at, fee_bps = (int.from_bytes(terms[at:at + 32]) for at in range(0, 128, 32))
        return {**record, "rate": rate, "ended_at": ended_at, "fee_bps": fee_bps}

    def status(self):
        return self.record()["status"]

    def wait(self, status, seconds=60):
        wait_until(f"rental {self.id} is {status}", seconds, lambda: self.status() == status)
        return self

    def ready(self):
        """Waits until it is started, and the node has seen that: from then on the tenant gets in."""
        self.wait(ACTIVE)
        wait_until(f"the tenant of {self.id} gets in", 60, lambda: self.gets_in())
        return self

    def gets_in(self):
        """An image without a shell can't run it, and says so."""
        done = self.ssh("true", check=False)
        return done.returncode != 255 or "request failed" in done.stderr

    def send(self, action, *args, key=None):
        """`jeju rental ACTION` of the tenant."""
        at = [*self.market.on_chain, "--key", key or self.tenant.account_key]
        return self.market.jeju("rental", action, self.id, *at, *args)

    def ask(self, action, *args, key=None):
        """The same of what the node is asked."""
        at = ["--node", self.provider.url, *self.provider.trust, "--key", key or self.tenant.account_key]
        return self.market.jeju("rental", action, self.id, *at, *args)

    # ------------------------------------------------------------------ by SSH

    def jeju_ssh(self, *args, options=(), **how):
        """`jeju ssh`, which checks the node and runs OpenSSH."""
        market, provider = self.market, self.provider
        # OpenSSH's options, then the command.
        command = [market.binaries / "jeju", "ssh", self.id, "--node", provider.url, *provider.trust, "--", *self.client(), *options, *args]
        return run(command, **how)

    def client(self, key=None):
        """Options of an OpenSSH client that asks nobody and reads nobody's configuration."""
        return ["-F", "none", "-i", key or self.tenant.ssh_key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20",
                "-o", "IdentityAgent=none"]

    def known_hosts(self):
        """Options with which plain OpenSSH asks `jeju` for the host's key, and takes no other."""
        market, provider = self.market, self.provider
        command = " ".join(arguments([market.binaries / "jeju", "ssh-known-hosts", "--node", provider.url, *provider.trust, "%H"]))
        return ["-o", f"KnownHostsCommand={command}", "-o", "UserKnownHostsFile=none", "-o", "GlobalKnownHostsFile=none", "-o",
                "StrictHostKeyChecking=yes"]

    def ssh_command(self, *args, options=(), key=None, user=None):
        target = f"{user or self.id[2:18]}@127.0.0.1"
        return ["ssh", *self.client(key), *self.known_hosts(), *options, "-p", self.provider.ssh_port, target, *args]

    def ssh(self, *args, options=(), key=None, user=None, **how):
        """Plain OpenSSH."""
        return run(self.ssh_command(*args, options=options, key=key, user=user), **how)

    def end(self):
        """Ends it, and waits until nothing of it is left."""
        self.send("end")
        wait_until(f"{self.id} is gone", 60, self.gone)

    def running(self):
        """Whether its container runs."""
        found = self.market.engine.inspect(self.container)
        return found and found["State"]["Running"]

    def gone(self):
        """Nothing of it is left in the engine."""
        return self.container not in self.market.engine.containers() and self.container not in self.market.engine.networks()


# ---------------------------------------------------------------------- small parts

def step(what, action, *args):
    started = time.monotonic()
    result = action(*args)
    print(f"rentals: {what}: ok, {time.monotonic() - started:.1f} s", flush=True)
    return result


def make_ssh_key(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path)], check=True)
    return path


def run(command, timeout=60, check=True, text=True, **options):
    done = subprocess.run(arguments(command), capture_output=True, text=text, timeout=timeout, **options)
    if check and done.returncode:
        raise AssertionError(f"{pathlib.Path(str(command[0])).name}: exit {done.returncode}, {done.stderr!r}, {done.stdout[-500:]!r}")
    return done


def together(*actions):
    """Results of actions that go on at the same time."""
    return [task.join() for task in [Task(action) for action in actions]]


class Task:
    """Something that goes on meanwhile. What it fails with, `join` raises."""

    def __init__(self, action, *args):
        self.action, self.args, self.error, self.result = action, args, None, None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            self.result = self.action(*self.args)
        except BaseException as error:
            self.error = error

    def join(self, seconds=300):
        self.thread.join(seconds)
        assert not self.thread.is_alive(), f"not within {seconds} s: {self.action}"
        if self.error:
            raise self.error
        return self.result
