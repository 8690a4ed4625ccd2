"""What happens in the market, part by part: each begins where the one before has ended."""
import concurrent.futures
import json
import shutil
import signal

import httpx2 as httpx
from openai import APIError

from local_chain import ACCOUNTS, KEYS
from market_hostile import MARKER, Hostile, own_certificate
from market_node import ETHER, Provider
from market_people import CREDIT, DEPOSIT, LONG, MOST, PRICES, STRANGER, USER, People
from node import MODEL
from programs import cpu_seconds, wait_until

# What a node is found to be to which a gateway leads instead. The others end in the handshake.
REFUSED = {"leads elsewhere": "node_other_provider", "its own certificate": "certificate_without_evidence",
           "leads to other code": "measurement_unknown"}
# What a client meets when an answer breaks off.
BROKEN = (APIError, httpx.HTTPError)


class Story(People):
    PARTS = ["register", "use", "several_at_once", "too_little_set_aside", "pay", "gateway_dies", "gateway_dies_before_an_answer", "provider_dies", "hostile_gateways",
             "settle", "provider_comes_back", "take_the_rest_home", "logs"]

    def register(self):
        """Providers register with stake, prices and the key of their node; the user deposits."""
        for provider, (given, taken) in zip(self.providers, PRICES):
            agent = str(int(provider.agent, 16))
            endpoint = f"https://127.0.0.1:{provider.node_port}"
            self.on_chain("provider", "register", "--name", provider.name, "--endpoint", endpoint, "--agent", agent, key=provider.number)
            self.on_chain("provider", "service", "add", "--model", MODEL, "--price-in", f"{given}wei", "--price-out", f"{taken}wei",
                          key=provider.number)
            self.on_chain("provider", "signer", "set", "--node", provider.url, "--policy", self.policy, key=provider.number)
        for provider in self.providers:
            self.on_chain("deposit", f"{DEPOSIT}wei", "--provider", provider.account)
        self.deposited = DEPOSIT * len(self.providers)
        assert self.total() == self.deposited
        listed = self.market.jeju("models", "--rpc", self.chain.rpc, "--development", "--contracts", self.market.deployment)
        model = next(model for model in listed["models"] if model["id"] == MODEL)
        assert [offer["inputWei"] for offer in model["providers"]] == [str(given) for given, _ in PRICES], model
        for gateway in self.gateways:
            wait_until("the gateway lists them", 60,
                       lambda: len(httpx.get(f"{gateway.url}/v1/providers", timeout=60).json().get("providers", [])) >= 3)

    def use(self):
        """openai-python, unchanged, is served by the cheapest."""
        self.process, self.client = self.proxy()
        assert self.ask(self.client).name == "p1"
        text, last = "", None
        for chunk in self.stream(self.client, "What is the capital of France?", 12):
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            last = chunk
        assert text and last.usage, last
        assert self.count(last.model_dump()).name == "p1"

    def several_at_once(self):
        """Requests of several threads are each paid for once."""
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda number: self.ask(self.client, f"Count to {number}.", 6), range(3, 9)))
        assert {provider.name for provider in found} == {"p1"}, found

    def too_little_set_aside(self):
        """Who set nothing aside for the cheapest is served by the next."""
        for provider in self.providers[1:]:
            self.on_chain("deposit", f"{DEPOSIT}wei", "--provider", provider.account, key=STRANGER)
            wait_until("the deposit is final", 20, lambda at=provider: int(self.session(at, STRANGER)["balance"]) == DEPOSIT)
        with self.asking(STRANGER, [gateway.tls_port for gateway in self.gateways]) as client:
            raw, _ = self.prompt(client, MARKER)
        assert self.price(json.loads(raw.text))[0].name == "p2", raw.text

    def pay(self):
        """More answers than an account may owe: vouchers pay for them on the way. Then the provider submits them, once."""
        while self.cost["p1"] < CREDIT * 3 // 2:
            self.ask(self.client, "Describe a tree in many words.", 100)
        self.submit(self.providers[0])
        paid = self.paid(self.providers[0])
        assert 0 < paid <= self.cost["p1"], (paid, self.cost)
        assert self.cost["p1"] - paid <= CREDIT, (paid, self.cost)
        self.submit(self.providers[0])
        # Meanwhile the proxy may have handed in what the last answers took.
        paid = self.check_money()["p1"]
        return f"{paid} wei paid of {self.cost['p1']}"

    def gateway_dies(self):
        """Under a stream: the client is told, nothing is asked again by itself, and the next request goes through the other one."""
        stream = self.stream(self.client)
        self.read_some(stream)
        self.gateways[0].end(self.gateways[0].process, signal.SIGKILL)
        self.must_break(stream)
        assert self.ask(self.client).name == "p1"

    def gateway_dies_before_an_answer(self):
        """Of which nothing came: the user's policy lets the proxy ask the next provider once, through the gateway that is left."""
        first, second = self.gateways
        first.start()
        wait_until("the gateway has read the chain", 60, lambda: httpx.get(f"{first.url}/health", timeout=60).status_code == 200)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            node = self.providers[0].launcher.pid
            before, took = self.metrics(self.providers[0])["totalInferences"], cpu_seconds(node)
            asked = pool.submit(self.ask, self.client, LONG, MOST)
            wait_until("it is at work", 60, lambda: cpu_seconds(node) > took + 0.5, pause=0.05)
            second.end(second.process, signal.SIGKILL)
            assert self.metrics(self.providers[0])["totalInferences"] == before, "it was answered too soon to tell"
            self.doubt()
            assert asked.result(60).name == "p2"

    def provider_dies(self):
        """The cheapest, under a stream: the client is told; from then on the next one serves."""
        # Who gave no answer is put last for a while: another proxy doesn't know that.
        self.market.end(self.process)
        self.process, self.client = self.proxy()
        assert self.ask(self.client).name == "p1"
        stream = self.stream(self.client)
        self.read_some(stream)
        first = self.providers[0]
        first.end(first.launcher, signal.SIGKILL)
        self.must_break(stream)
        assert self.ask(self.client).name == "p2"
        assert self.ask(self.client).name == "p2"

    def hostile_gateways(self):
        """Gateways that lie get no plaintext and no money, and the client says why. The account has money: an honest one leads it to
        an answer."""
        second, third = self.providers[1:]
        before = self.standing(STRANGER)
        straight = {second.account: second.node_port, third.account: third.node_port}
        cases = {
            # Another genuine node than the one that was asked for.
            "leads elsewhere": Hostile("pass", {second.account: third.node_port, third.account: second.node_port}),
            "its own certificate": Hostile("own", certificate=own_certificate(self.market.state)),
            "replays": Hostile("replay", recorded=Hostile.record(second.node_port)),
            "cuts off": Hostile("cut", straight),
            "changes bytes": Hostile("flip", straight),
            "answers itself": Hostile("answer"),
            # A node with the same agent, account and silicon, of which the registry knows nothing.
            "leads to other code": Hostile("pass", {second.account: self.twin(second).node_port}),
        }
        said = {}
        for what, hostile in cases.items():
            with hostile, self.asking(STRANGER, [hostile.port], "--provider", second.account) as client:
                try:
                    self.prompt(client, MARKER)
                except BROKEN as error:
                    said[what] = f"{error.body['code']}: {error.body['message']}"
                else:
                    raise AssertionError(f"a gateway that {what} got an answer through")
            seen = hostile.seen()
            assert hostile.connections, what
            assert not [text for text in (MARKER.encode(), b"/v1/chat", b"x-jeju", b"jeju-voucher") if text in seen.lower()], what
            assert self.standing(STRANGER) == before, what
        with self.asking(STRANGER, [self.gateways[0].tls_port]) as client:
            self.prompt(client, MARKER)
        assert self.standing(STRANGER) != before
        for what, code in REFUSED.items():
            assert code in said[what], (what, said[what])
        return f"{len(said)} kinds"

    def twin(self, provider):
        """A node that says to be this provider's, from a program with one more byte."""
        enclave = self.market.state / "jeju-enclave"
        shutil.copy(self.market.binaries / "jeju-enclave", enclave)
        with open(enclave, "ab") as program:
            program.write(b"\0")
        twin = Provider(self.market, provider.number, "twin", provider.agent, required=True, credit=CREDIT, enclave=enclave)
        self.market.parts.append(twin)
        twin.state.mkdir()
        twin.start_anew()
        assert twin.measurement != provider.measurement
        return twin

    def standing(self, number):
        """What an account has to do with the nodes that are up, and how often they answered."""
        return [(self.session(provider, number), self.paid(provider, number),
                 self.metrics(provider)["totalInferences"]) for provider in self.providers[1:]]

    def settle(self):
        """The proxy ends, which hands in what is owed; providers submit; doing it again changes nothing."""
        self.market.end(self.process)
        for provider in self.providers[1:]:
            self.submit(provider)
        paid = self.check_money()
        # All of what these two answered was verified, so all of it was promised.
        assert paid["p2"] == self.cost["p2"], (paid, self.cost)
        for provider in self.providers[1:]:
            self.submit(provider)
        assert self.check_money() == paid
        return json.dumps(paid)

    def provider_comes_back(self):
        """With its storage: it still has the vouchers that it was given, and not one wei more than was promised."""
        first = self.providers[0]
        first.end(first.shim)
        first.start_node()
        wait_until("the first provider is verified again", 60, first.is_verified)
        before = self.paid(first)
        self.submit(first)
        paid = self.check_money()["p1"]
        assert before <= paid
        # The new boot has another key.
        self.on_chain("provider", "signer", "set", "--node", first.url, "--policy", self.policy, key=first.number)
        return f"{paid} wei paid of {self.cost['p1']}"

    def take_the_rest_home(self):
        """What wasn't spent is the user's again after the refund's lock, and what was earned is the providers'."""
        left = self.total()
        for provider in self.providers:
            self.on_chain("refund", provider.account)
        self.chain.cast("rpc", "evm_increaseTime", 25 * 3600)
        self.chain.mine(1)
        for provider in self.providers:
            self.on_chain("refund", provider.account, "--complete")
        balance = int(self.chain.cast("balance", ACCOUNTS[USER]))
        self.on_chain("withdraw", f"{left}wei")
        spent_on_gas = balance + left - int(self.chain.cast("balance", ACCOUNTS[USER]))
        assert self.total() == 0 and 0 < spent_on_gas < ETHER // 100, spent_on_gas
        for provider in self.providers:
            if self.owed(provider.account):
                self.on_chain("withdraw", "--earned", key=provider.number)
                assert self.owed(provider.account) == 0
        return f"{self.deposited} wei deposited, {left} back, {self.deposited - left} paid"

    def logs(self):
        """Nobody wrote down what was asked, or who may pay."""
        logs = sorted(self.market.state.rglob("*.log"))
        for path in logs:
            text = path.read_text(errors="replace")
            for secret in (MARKER, LONG, *(key[2:] for key in KEYS)):
                assert secret not in text, (path.name, secret[:12])
        return f"{len(logs)} files"

    # ------------------------------------------------------------------ small parts

    def doubt(self):
        """The cheapest was asked for a long answer whose end nobody knows."""
        given, taken = PRICES[0]
        # At most as it was estimated: a quarter of a token a character.
        self.doubtful["p1"] = self.doubtful.get("p1", 0) + -(-len(LONG) // 4) * given + MOST * taken

    def read_some(self, stream, chunks=5):
        """Until the answer is under way."""
        for _ in range(chunks):
            assert next(stream).choices

    def must_break(self, stream):
        """The rest of the cheapest's stream whose end is lost: an error, never an end that looks good."""
        self.doubt()
        try:
            rest = [chunk for chunk in stream]
        except BROKEN:
            return
        ended = [chunk for chunk in rest if chunk.choices and chunk.choices[0].finish_reason]
        raise AssertionError(f"the stream ended as if nothing had happened: {len(rest)} chunks, {ended[-1:]}")
