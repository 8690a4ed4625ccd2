#!/usr/bin/env python3
"""A node's key on chain, end to end: a committee of three makes its key (2 sign, nobody deals), verifies a running node's evidence
and signs what it says; the provider registers the node's key; a user pays by a voucher, which is settled with the enclave's receipt.
When the agent is sold, the key is dead.

    attested_key.py [--bin DIR]
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent

sys.path.insert(0, str(HERE))
from local_chain import ACCOUNTS  # noqa: E402
from market_node import ETHER, Market, Provider, Refused  # noqa: E402
from node import MODEL  # noqa: E402
from programs import ROOT, arguments  # noqa: E402

PROVIDER, USER, MEMBERS, STRANGER = 2, 5, (6, 7, 8), 4


class Committee(Market):
    """A chain whose verifier of quotes is a committee's."""

    def start(self):
        self.shares = [self.state / f"share-{number}.json" for number in MEMBERS]
        self.key = self.keygen("keygen", self.shares)
        self.chain.start("--block-time", 0.25, "--mixed-mining")
        self.deployment = self.state / "deployment.json"
        self.chain.deploy("--out", self.deployment, "--committee", self.key)

    def folder(self, name):
        path = self.state / name
        path.mkdir()
        return path

    def together(self, commands):
        """Commands of several members at a time: what each prints, and how it ends."""
        running = [subprocess.Popen(arguments([self.binaries / "jeju", "committee", *command, "--json"]), text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE) for command in commands]
        ended = [process.communicate(timeout=120) for process in running]
        return [(process.returncode, json.loads(out or "{}"), error) for process, (out, error) in zip(running, ended)]

    def keygen(self, name, shares):
        exchange = self.folder(name)
        members = [part for number in MEMBERS for part in ("--member", ACCOUNTS[number])]
        made = self.together([["keygen", *members, "--exchange", exchange, "--out", share, "--key", self.key_file(number)]
                              for number, share in zip(MEMBERS, shares)])
        assert all(code == 0 for code, _, _ in made), made
        keys = {answer["key"] for _, answer, _ in made}
        assert len(keys) == 1, keys
        assert all(share.stat().st_mode & 0o777 == 0o600 for share in shares)
        print(f"attested key: three members made {keys}, shares for their owners alone", flush=True)
        return keys.pop()

    def sign(self, request, exchange, policy, members, signers=None, wait=60, share=None, deployment=None):
        """What these members, by their place from 1, come to."""
        numbers = [part for member in signers or members for part in ("--with", member)]
        return self.together([["sign", "--request", request, "--share", share or self.shares[member - 1], *numbers, "--exchange",
                               exchange, "--out", self.state / f"{exchange.name}-proof-{member}.json", "--wait", wait, "--key",
                               self.key_file(MEMBERS[member - 1]), "--contracts", deployment or self.deployment, "--rpc", self.chain.rpc,
                               "--policy", policy, "--development"] for member in members])


class Story:
    def __init__(self, market):
        self.market, self.chain = market, market.chain
        made = self.on_chain("provider", "agent", "register", "--uri", "https://provider.example/agent.json", key=PROVIDER)
        self.agent = "0x" + made["agent"].removeprefix("0x").rjust(64, "0")
        self.node = market.provide(Provider(market, PROVIDER, "node", self.agent, required=True))
        self.on_chain("provider", "register", "--name", "p", "--endpoint", "https://p.example:4007", "--agent", self.agent, key=PROVIDER)
        self.on_chain("provider", "service", "add", "--model", MODEL, "--price-in", "1000000000wei", "--price-out", "2000000000wei",
                      key=PROVIDER)
        self.on_chain("deposit", f"{ETHER // 100}wei", "--provider", self.node.account)
        self.request = market.state / "request.json"
        self.asked = self.provider("key", "request", "--node", self.node.url, "--out", self.request)

    def on_chain(self, *args, key=USER):
        return self.market.jeju(*args, "--rpc", self.chain.rpc, "--development", "--contracts", self.market.deployment, "--key",
                                self.market.key_file(key))

    def provider(self, *args):
        return self.on_chain("provider", *args, "--policy", self.node.policy, key=PROVIDER)

    def refusals(self):
        """What no member signs, and what no member alone can."""
        market, policy = self.market, self.node.policy

        def code(name, members, at=0, **options):
            found = market.sign(options.pop("request", self.request), market.folder(name), options.pop("policy", policy), members,
                                **options)
            return found[at][1].get("code")

        assert code("alone", [2], signers=[1, 2], wait=1) == "committee_member_silent"
        assert code("few", [2]) == "committee_members_invalid"
        assert code("not-among", [2], signers=[1, 3]) == "committee_members_invalid"
        # Another member's share, or one that others can read.
        assert code("other", [2], signers=[1, 2], share=market.shares[0]) == "committee_share_locked"
        open_share = market.state / "open.json"
        shutil.copy(market.shares[1], open_share)
        open_share.chmod(0o644)
        assert code("open", [2], signers=[1, 2], share=open_share) == "committee_share_exposed"
        # A committee that is another one than the verifier's on chain.
        others = [market.state / f"other-share-{number}.json" for number in MEMBERS]
        market.keygen("other-keygen", others)
        assert code("differs", [1], signers=[1, 2], share=others[0]) == "committee_key_differs"
        # A registry that has no verifier of the node's platform.
        record = json.loads(market.deployment.read_text())
        record["contracts"]["attestedKeyRegistry"]["address"] = ACCOUNTS[STRANGER]
        elsewhere = market.state / "elsewhere.json"
        elsewhere.write_text(json.dumps(record))
        assert code("elsewhere", [1], signers=[1, 2], deployment=elsewhere) == "key_verifier_missing"
        # A member whose policy doesn't trust the agent, or the silicon.
        stranger = market.state / "stranger.toml"
        stranger.write_text(policy.read_text().replace(self.agent, "0x" + "a8" * 32))
        assert code("stranger", [1], signers=[1, 2], policy=stranger) == "agent_not_accepted"
        # What would count for longer than contracts allow, what ran out, and evidence that was changed.
        for name, change in (("long", {"expiry": self.asked["expiry"] + 30 * 86400}), ("over", {"expiry": 1})):
            wrong = market.state / f"{name}.json"
            wrong.write_text(json.dumps({**json.loads(self.request.read_text()), **change}))
            assert code(name, [1], signers=[1, 2], request=wrong) == "key_request_refused", name
        wrong.write_text(json.dumps({**json.loads(self.request.read_text()), "evidence": "AAAA"}))
        assert code("evidence", [1], signers=[1, 2], request=wrong) == "key_request_refused"

    def register(self):
        """Members 1 and 3 sign, and anyone may submit it: with the consent of the agent's owner."""
        market, key = self.market, self.asked["key"]
        exchange = market.folder("sign")
        signed = market.sign(self.request, exchange, self.node.policy, [1, 3])
        assert all(code == 0 for code, _, _ in signed), signed
        assert signed[0][1]["statement"] == signed[1][1]["statement"], signed
        assert signed[0][1]["statement"]["agentId"] == self.agent, signed
        # A folder is for one ceremony.
        again = market.sign(self.request, exchange, self.node.policy, [1], signers=[1, 3])
        assert again[0][1]["code"] == "file_exists", again
        proof = market.state / "sign-proof-3.json"
        changed = json.loads(proof.read_text())
        changed["statement"]["tcbStatus"] = 1
        wrong = market.state / "wrong-proof.json"
        wrong.write_text(json.dumps(changed))
        self.refuses("contract_refused", "key", "register", "--request", self.request, "--proof", wrong)
        assert self.provider("key", "show", key)["cause"] == "unknown"
        # Governance has to let the agent use the machine first.
        self.refuses("contract_refused", "key", "register", "--request", self.request, "--proof", proof)
        hardware, machine = self.chain.deployed["hardwareRegistry"], signed[0][1]["statement"]["hardware"]
        at = [*self.chain.at, "--registry", hardware, "--agent", self.agent, "--hardware", machine]
        self.chain.contracts("hardware", "propose", *at, "--custody", 1)
        self.chain.contracts("hardware", "allow", *at)
        assert self.chain.contracts("hardware", "query", *at)["allowed"] is True
        done = self.provider("key", "register", "--request", self.request, "--proof", proof)
        assert done["key"].lower() == key.lower() and len(done["transactions"]) == 1, done
        assert self.provider("key", "show", key)["live"] is True
        # The owner's word is for one registration.
        stranger = [*self.place("key", "register", "--request", self.request, "--proof", proof), "--key", market.key_file(STRANGER)]
        try:
            market.jeju("provider", *stranger)
            raise AssertionError("a stranger's consent")
        except Refused as refused:
            assert refused.code == "contract_refused", refused
        return f"{done['transactions'][0]['gasUsed']} gas"

    def place(self, *args):
        return [*args, "--rpc", self.chain.rpc, "--development", "--contracts", self.market.deployment, "--policy", self.node.policy]

    def refuses(self, code, *args):
        try:
            self.provider(*args)
        except Refused as refused:
            assert refused.code == code, refused
            return
        raise AssertionError(f"{args} isn't refused")

    def settle(self):
        """The receipt of the enclave puts the answer on the agent's record."""
        market = self.market
        saved = market.state / "exchange.json"
        market.jeju("chat", "Name a river.", "--node", self.node.url, *self.node.trust, "--max-tokens", 8, "--save", saved, "--pay",
                    "--payments", market.state / "payments", "--key", market.key_file(USER))
        serving = self.chain.deployed["inferenceServing"]
        before = self.stats(serving)
        assert before == [0, 0, 0], before
        command = arguments([market.binaries / "jeju", "provider", "settle", "--node", self.node.url, "--once", "--least", "1wei",
                             *self.place(), "--key", market.key_file(PROVIDER), "--json"])
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        paid = [line for line in lines if "receiptCounted" in line]
        assert done.returncode == 0 and len(paid) == 1 and paid[0]["receiptCounted"] is True, (done.stdout, done.stderr)
        tokens, revenue, count = self.stats(serving)
        assert count == 1 and revenue == int(paid[0]["paidWei"]) and tokens > 0, (tokens, revenue, count)
        on_chain = self.receipt(saved)
        assert on_chain[0] == 0, on_chain
        return f"{tokens} tokens, {revenue} wei"

    def stats(self, serving):
        found = self.chain.cast("call", serving, "getAgentStats(uint256)(uint256,uint256,uint256)", self.agent)
        return [int(line.split()[0]) for line in found.splitlines()]

    def receipt(self, saved):
        """Whether `AttestedKeyRegistry` takes the receipt of a saved answer."""
        done = subprocess.run(arguments([self.market.binaries / "jeju", "receipt", self.node.url, "--exchange", saved, "--on-chain",
                                         *self.place(), "--json"]), capture_output=True, text=True, timeout=120)
        return done.returncode, json.loads(done.stdout or "{}"), done.stderr

    def sold(self):
        """The agent moves, and its keys are dead in the same transaction."""
        identity = self.chain.deployed["identityRegistry"]
        self.chain.cast("send", "--private-key", self.market.key_file(PROVIDER).read_text(), "--json", identity,
                        "transferFrom(address,address,uint256)", ACCOUNTS[PROVIDER], ACCOUNTS[STRANGER], self.agent)
        shown = self.provider("key", "show", self.asked["key"])
        assert (shown["live"], shown["cause"]) == (False, "agent"), shown


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--bin", type=pathlib.Path, default=os.environ.get("JEJU_PROGRAMS", ROOT / "target/debug"))
    options = options.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="jk-", dir="/tmp") as folder:
        market = Committee(options.bin, folder)
        try:
            with market:
                story = Story(market)
                for part in ("refusals", "register", "settle", "sold"):
                    found = getattr(story, part)()
                    print(f"attested key: {part}: ok{f', {found}' if found else ''}", flush=True)
        except BaseException:
            print(market.logs(), file=sys.stderr)
            raise
    print(f"attested key: everything within {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
