"""Who is in the market for inference, and what can be asked of each: providers, gateways, users' proxies, and the chain."""
import contextlib
import json
import ssl
import subprocess
import time
import uuid

import httpx2 as httpx
from openai import OpenAI

from local_chain import ACCOUNTS, BIN, KEYS
from market_node import ETHER, Gateway, Provider
from node import MODEL
from programs import arguments, free_port, wait_for_port

# Wei for a token of a prompt and of an answer: the first provider is the cheapest, the third the dearest.
PRICES = [(1_000_000_000, 2_000_000_000), (1_500_000_000, 3_000_000_000), (2_000_000_000, 4_000_000_000)]
PROVIDERS, USER, STRANGER = (2, 3, 4), 5, 6
DEPOSIT = ETHER // 100
# What an account may owe before it is served again: some answers.
CREDIT = 6 * 10**11
FEE_BPS = 250
DOMAIN = "gw.example"
# An answer that takes a while, and its most tokens.
LONG, MOST = "Tell me a long story about the sea.", 250


class People:
    def __init__(self, market):
        self.market, self.chain = market, market.chain
        self.serving, self.ledger = market.contract["inferenceServing"], market.contract["ledgerManager"]
        # What verified answers cost, by the node that gave them: what the user may be asked for, and no more.
        self.cost = {}
        # What answers that broke off may have cost: a node charges what it had sent.
        self.doubtful = {}
        self.providers = self.start_providers()
        self.gateways = [market.provide(Gateway(market, f"gateway-{number}", DOMAIN)) for number in (1, 2)]
        self.policy = market.state / "policy.toml"
        self.policy.write_text(self.policy_document())
        self.proxies, self.books = 0, market.state / "payments"

    # ------------------------------------------------------------------ who is there

    def start_providers(self):
        """Their accounts make agents first: a node is told which it is."""
        providers = []
        for place, number in enumerate(PROVIDERS):
            made = self.on_chain("provider", "agent", "register", "--uri", "https://provider.example/agent.json", key=number)
            agent = "0x" + made["agent"].removeprefix("0x").rjust(64, "0")
            image = self.market.image if number == PROVIDERS[-1] else None
            provider = Provider(self.market, number, f"p{place + 1}", agent, required=True, credit=CREDIT, image=image)
            providers.append(self.market.provide(provider))
        return providers

    def policy_document(self):
        """One policy of the user's for all of them."""
        first = self.providers[0].policy.read_text()
        return first.replace(f'agents = ["{self.providers[0].agent}"]', f"agents = {json.dumps([p.agent for p in self.providers])}")

    @property
    def trust(self):
        return ["--policy", self.policy, "--development"]

    def on_chain(self, *args, key=USER, **options):
        return self.market.jeju(*args, "--rpc", self.chain.rpc, "--development", "--contracts", self.market.deployment, "--key",
                                self.market.key_file(key), **options)

    def via(self, *gateways):
        return [part for gateway in gateways for part in ("--via", f"{DOMAIN}@127.0.0.1:{gateway}")]

    def proxy(self, *options, gateways=None, key=USER, books=None):
        """`jeju proxy` over the providers of the model, which pays. Returns the process and a client."""
        self.proxies += 1
        port = free_port()
        ports = gateways if gateways is not None else [gateway.tls_port for gateway in self.gateways]
        process = self.market.spawn(f"proxy-{self.proxies}", self.market.binaries / "jeju", "proxy", "--model", MODEL, "--listen",
                                    f"127.0.0.1:{port}", *self.trust, "--contracts", self.market.deployment, *self.via(*ports), "--pay",
                                    "--payments", books or self.books, "--key", self.market.key_file(key), *options)
        wait_for_port(port, 60)
        return process, OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="unused", max_retries=0, timeout=120)

    # ------------------------------------------------------------------ asking

    def prompt(self, client, content, max_tokens=8):
        """One answer, as it came and as the client has it."""
        raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=[{"role": "user", "content": content}],
                                                               max_tokens=max_tokens, temperature=0)
        return raw, raw.parse()

    def ask(self, client, content="Say hello.", max_tokens=8):
        """One answer, and who gave it."""
        raw, whole = self.prompt(client, content, max_tokens)
        assert whole.choices[0].message.content and whole.usage.completion_tokens <= max_tokens, whole
        return self.count(json.loads(raw.text))

    def count(self, document):
        """Takes an answer of the user's into the books."""
        provider, cost = self.price(document)
        self.cost[provider.name] = self.cost.get(provider.name, 0) + cost
        return provider

    def price(self, document):
        """Whom an answer is owed to, and how much: what the node asks for is what usage and chain say of one of them."""
        usage, payment = document["usage"], document["payment"]
        for provider, (given, taken) in zip(self.providers, PRICES):
            cost = usage["prompt_tokens"] * given + usage["completion_tokens"] * taken
            if int(payment["cost"]) == cost:
                return provider, cost
        raise AssertionError(f"a price that nobody has: {document}")

    def stream(self, client, content=LONG, max_tokens=MOST):
        """Chunks of an answer."""
        return client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": content}], max_tokens=max_tokens,
                                              temperature=0, stream=True, stream_options={"include_usage": True})

    # ------------------------------------------------------------------ the chain

    def paid(self, provider, number=USER):
        """What vouchers of an account have paid."""
        return self.chain.number(self.serving, "sessionOf(address,address)(uint256,uint64)", ACCOUNTS[number], provider.account)

    def owed(self, account):
        return self.chain.number(self.ledger, "owed(address)(uint256)", account)

    def total(self):
        """All that the user has in the ledger."""
        found = self.chain.cast("call", self.ledger, "getLedger(address)(uint256,uint256,uint256,uint256)", ACCOUNTS[USER])
        return int(found.split()[0])

    def session(self, provider, number=USER):
        """What a node says of an account, which asks with the headers of the first clients."""
        sign = [BIN / "cast", "wallet", "sign", "--private-key", KEYS[number]]
        account, provider_account = (checksummed(of) for of in (ACCOUNTS[number], provider.account))
        nonce, now = str(uuid.uuid4()), str(int(time.time() * 1000))
        # In hexadecimal: cast takes a text that begins with 0x for that.
        signature = run([*sign, "0x" + f"{account}:{nonce}:{now}:{provider_account}".encode().hex()])
        headers = {"x-jeju-address": account, "x-jeju-nonce": nonce, "x-jeju-timestamp": now, "x-jeju-signature": signature}
        return self.get(provider, "/v1/payments/session", headers)

    def metrics(self, provider):
        return self.get(provider, "/v1/metrics")

    def get(self, provider, path, headers=None):
        answer = httpx.get(provider.url + path, headers=headers, timeout=60, verify=ssl.create_default_context(cafile=provider.leaf))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def submit(self, provider):
        """What the provider's daemon does in one round."""
        return self.on_chain("provider", "settle", "--node", provider.url, "--policy", self.policy, "--once", "--least", "1wei", key=provider.number)

    def check_money(self):
        """Nobody's money is missing, and nobody has more than was paid."""
        paid = {provider.name: self.paid(provider) for provider in self.providers}
        for provider in self.providers:
            most = self.cost.get(provider.name, 0) + self.doubtful.get(provider.name, 0)
            assert paid[provider.name] <= most, (provider.name, paid, self.cost, self.doubtful)
            earned = (paid[provider.name] + self.paid(provider, STRANGER)) * (10_000 - FEE_BPS) // 10_000
            # The fee of each payment is rounded.
            assert abs(self.owed(provider.account) - earned) <= 10, (provider.name, self.owed(provider.account), earned)
        assert self.total() + sum(paid.values()) == self.deposited, (self.total(), paid, self.deposited)
        return paid

    @contextlib.contextmanager
    def asking(self, number, gateways, *options):
        """A proxy for a while. Its book stays where it is: what was promised must not be forgotten."""
        process, client = self.proxy(*options, gateways=gateways, key=number, books=self.market.state / f"books-{number}")
        try:
            yield client
        finally:
            self.market.end(process)



def run(command):
    return subprocess.run(arguments(command), check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def checksummed(account):
    return run([BIN / "cast", "to-check-sum-address", account])
