#!/usr/bin/env python3
"""The threshold signer end to end: five nodes as processes, a key, its wallet on anvil, and nodes that fail. Each check
prints one line; the first failure ends the run with the logs of all programs.

    mpc.py [--bin DIR] [--schedules N] [--seed N] [--only story | schedules] [--loopback]

Each schedule is made from its seed alone: what fails, when, and what is asked meanwhile. A failing seed is printed, and
`--seed N` runs it by itself. JEJU_MPC_SCHEDULES sets how many there are (12)."""
import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE))
import frost_signature  # noqa: E402
from mpc_network import Network, Refused  # noqa: E402
from programs import wait_until  # noqa: E402

ETHER = 10**18
RECIPIENT = "0x" + "c0" * 20
STRANGER = "0x" + "d0" * 20
# What the network says while too few members can talk.
UNAVAILABLE = {"mpc_no_quorum", "mpc_timed_out", "mpc_busy", "mpc_request_time", "mpc_share_missing", "mpc_not_confirmed", "mpc_members_refuse", "mpc_state_old", "mpc_too_often", "mpc_no_place", "node_unreachable",
               "connection_broken", "timeout", "session_over", "tls_handshake_failed", "attestation_busy", "rpc_other_chain", "chain_unreadable"}
# A member that came back finds its peers, proves itself to them, and has its share repaired.
RECOVERY_SECONDS = 90
STARTED_SECONDS = 60
# With one member that stands still, on a machine that is busy with other tests: 3 s on one that isn't.
SILENT_SECONDS = 30
# The longest that a client waits for an answer, with every member tried.
REQUEST_SECONDS = 240
# For two nodes to notice that the line between them is dead, and for others to be chosen.
FAILOVER_SECONDS = 60


class Key:
    """A key that the network made, and what it signed, checked by other means than ours."""

    def __init__(self, network, name, *options, account=None):
        self.network, self.file = network, network.state / f"{name}.json"
        self.account = account
        # Members that have just started take nothing that was issued before.
        self.made = eventually(STARTED_SECONDS, lambda: network.mpc("keygen", "--out", self.file, *options, key=account))
        self.public_key = bytes.fromhex(self.made["publicKey"][2:])
        self.wallet = self.made["walletAddress"]

    def point(self):
        return "0x" + self.public_key[1:].hex(), self.public_key[0] & 1

    def sign_message(self, text, **options):
        signed = self.network.mpc("sign", self.file, "--message", text, key=self.account, **options)
        # EIP-191 by cast.
        self.check(signed, self.network.cast_hash(text))
        return signed

    def sign_execute(self, to, value, nonce, deadline, data="0x", **options):
        signed = self.network.mpc("sign", self.file, "--execute", "--to", to, "--value", value, "--data", data, "--nonce", nonce,
                                  "--deadline", deadline, key=self.account, **options)
        # EIP-712 by the wallet itself, where it is there.
        self.check(signed, signed["messageHash"])
        return signed

    def check(self, signed, digest):
        assert signed["messageHash"] == digest, (signed, digest)
        assert signed["publicKey"] == self.made["publicKey"], signed
        for form in "signature", "contractSignature":
            signature = bytes.fromhex(signed[form][2:])
            assert frost_signature.verify(self.public_key, bytes.fromhex(digest[2:]), signature), (form, signed)


# ---------------------------------------------------------------------- the story

def story(network):
    threshold, count = network.threshold, len(network.nodes)
    step("every member knows every other", members_find_each_other, network)
    key = step("a key on five nodes, the same from each of them", makes_a_key, network)
    step("its wallet is where the factory puts it", deploys_wallet, network, key)
    step("a transfer that three signed is executed on chain", transfers, network, key)
    step("the wallet says yes to what the key signed (ERC-1271)", wallet_says_yes, network, key)
    step("who may not, or what may not, gets no signature", refuses, network, key)
    step("clients of the first signer are told what to do", old_clients, network)
    step("another policy, and no way back", other_policy, network)
    dedicated = step("a dedicated key, and one of the other scheme", other_keys, network)
    step("new shares, the same key", refreshes, network, key)
    step("an old disk is found out, and made up for", old_disk_is_noticed, network, key)
    step("a member that stands still costs seconds", silent_member, network, key)
    network.nodes[1].kill()
    network.nodes[3].kill()
    step("two of five killed: still signs", lambda: key.sign_message("two are gone"))
    step("and executes", transfers, network, key)
    network.nodes[4].kill()
    step("a third killed: no quorum", no_quorum, network, key)
    network.repair()
    step("all started again: signs", signs_again, key)
    step("the newcomers can sign without the others", newcomers_sign, network, key)
    step("still the same key", same_key, network, key)
    step("a place passes to another node, which signs", place_passes, network, key)
    step("no record can be read in a host's store", records_are_sealed, network, dedicated)
    assert (threshold, count) == (3, 5)


def members_find_each_other(network):
    for node in network.nodes:
        wait_until(f"{node.name} sees all members", 60, lambda: reachable(network, node) == len(network.nodes))


def reachable(network, node):
    try:
        return len(network.mpc("status", nodes=[node])["nodes"][0]["admitted"]) + 1
    except Refused:
        return 0


def makes_a_key(network):
    key = Key(network, "wallet", "--messages", "--call-to", RECIPIENT, "--max-value", ETHER)
    assert len(key.public_key) == 33, key.made
    for node in network.nodes:
        again = network.mpc("keygen", "--from", key.file, nodes=[node, *network.nodes])
        assert again["publicKey"] == key.made["publicKey"], (node.name, again)
        assert again["keyId"] == key.made["keyId"], (node.name, again)
    return key


def deploys_wallet(network, key):
    x, parity = key.point()
    found = network.cast("call", network.factory, "addressOf(uint256,uint8)(address)", x, parity)
    assert found.lower() == key.wallet.lower(), (found, key.wallet)
    # Paid before it is there.
    network.send(key.wallet, "--value", 2 * ETHER)
    network.send(network.factory, "deploy(uint256,uint8)", x, parity)
    assert network.cast("code", key.wallet) != "0x"
    assert int(network.cast("balance", key.wallet)) == 2 * ETHER


def transfers(network, key):
    before = int(network.cast("balance", RECIPIENT))
    nonce = int(network.cast("call", key.wallet, "nonce()(uint64)").split()[0])
    deadline = int(time.time()) + 3600
    value = ETHER // 10
    signed = key.sign_execute(RECIPIENT, value, nonce, deadline)
    digest = network.cast("call", key.wallet, "executeDigest(address,uint256,bytes,uint256,uint64)(bytes32)",
                          RECIPIENT, value, "0x", nonce, deadline)
    assert digest == signed["messageHash"], (digest, signed)
    assert len(bytes.fromhex(signed["contractSignature"][2:])) == 96, signed
    network.send(key.wallet, "execute(address,uint256,bytes,uint256,uint64,bytes)", RECIPIENT, value, "0x", nonce, deadline,
                 signed["contractSignature"])
    assert int(network.cast("balance", RECIPIENT)) == before + value
    # The form of 65 bytes, and as ERC-1271 asks for.
    assert len(signed["signers"]) == network.threshold, signed


def wallet_says_yes(network, key):
    signed = network.mpc("sign", key.file, "--message", "log me in", "--for-wallet")
    for hash, magic in (network.cast_hash("log me in"), "0x1626ba7e"), (network.cast_hash("log him in"), "0xffffffff"):
        found = network.cast("call", key.wallet, "isValidSignature(bytes32,bytes)(bytes4)", hash, signed["signature"])
        assert found == magic, (found, magic)


def old_clients(network):
    """The seed's request, which nobody signed."""
    node = network.nodes[0]
    leaf = network.state / "leaf.pem"
    network.jeju("cert", node.url, "--out", leaf, *network.trust)
    body = {"userId": "did:x:1", "messageHash": "0x" + "11" * 32, "signatureType": "message"}
    for path, code in ("/mpc/sign", "mpc_request_unsigned"), ("/mpc/keygen", "mpc_request_unsigned"), ("/mpc/none", "unknown_url"):
        done = subprocess.run(["curl", "--silent", "--cacert", leaf, "--json", json.dumps(body), node.url + path],
                              check=True, capture_output=True, text=True)
        answer = json.loads(done.stdout)
        assert answer["code"] == code and isinstance(answer["error"], str), answer


def other_policy(network):
    key = Key(network, "policy", "--messages")
    key.sign_message("before")
    before = network.state / "before.json"
    before.write_text(key.file.read_text())
    changed = network.mpc("policy", key.file, "--raw-hashes")
    assert changed["version"] == 1, changed
    refused("mpc_policy_refuses", lambda: key.sign_message("after"))
    refused("mpc_policy_version", lambda: network.mpc("sign", before, "--message", "after"))
    network.mpc("sign", key.file, "--raw", "0x" + "22" * 32)
    # Also where the members that heard of it first are gone.
    for node in network.nodes[:2]:
        node.pause()
    refused("mpc_policy_version", lambda: eventually(FAILOVER_SECONDS, lambda: network.mpc(
        "sign", before, "--message", "after", nodes=network.nodes[2:])))
    network.repair()


def refuses(network, key):
    deadline = int(time.time()) + 3600
    refused("mpc_not_allowed", lambda: network.mpc("sign", key.file, "--message", "mine", key=network.other_key))
    refused("mpc_policy_refuses", lambda: key.sign_execute(STRANGER, 1, 1, deadline))
    refused("mpc_policy_refuses", lambda: key.sign_execute(RECIPIENT, 2 * ETHER, 1, deadline))
    refused("mpc_policy_refuses", lambda: network.mpc("sign", key.file, "--raw", "0x" + "11" * 32))
    # The description of the key is bound to its name: another policy is another key, which has no owner's signature.
    changed = json.loads(key.file.read_text())
    changed["key"]["policy"]["raw"] = True
    other = network.state / "changed.json"
    other.write_text(json.dumps(changed))
    refused("key_file_invalid", lambda: network.mpc("sign", other, "--raw", "0x" + "11" * 32))


def refused(code, action):
    try:
        found = action()
    except Refused as error:
        assert error.code == code, (error.code, code, str(error))
        return
    raise AssertionError(f"{code} expected, not {found}")


def other_keys(network):
    dedicated = Key(network, "dedicated", "--messages", "--dedicated")
    dedicated.sign_message("dedicated")
    made = network.mpc("keygen", "--out", network.state / "taproot.json", "--scheme", "frost-secp256k1-bip340", "--raw-hashes")
    message = "0x" + "ab" * 32
    signed = network.mpc("sign", network.state / "taproot.json", "--raw", message)
    assert len(bytes.fromhex(signed["signature"][2:])) == 64, signed
    checked = network.mpc("verify", "--public-key", made["publicKey"], "--scheme", "frost-secp256k1-bip340", "--hash", message,
                          signed["signature"])
    assert checked["valid"] is True, checked
    return dedicated


def refreshes(network, key):
    refreshed = network.mpc("refresh", key.file)
    assert refreshed["generation"] == 1 and refreshed["publicKey"] == key.made["publicKey"], refreshed
    key.sign_message("after the refresh")


def old_disk_is_noticed(network, key):
    """The host of one node shows it the disk from before the last refresh."""
    node = network.nodes[2]
    says = lambda name: eventually(RECOVERY_SECONDS, lambda: network.mpc("status", nodes=[node]))["nodes"][0][name]  # noqa: E731
    wait_until("the newest state is remembered", RECOVERY_SECONDS, lambda: says("rollback") == "protected")
    old = node.copy_disk()
    eventually(RECOVERY_SECONDS, lambda: network.mpc("refresh", key.file))
    time.sleep(3)
    wait_until("the newest state is remembered", RECOVERY_SECONDS, lambda: says("rollback") == "protected")
    node.kill()
    node.restore_disk(old)
    node.start()
    node.wait_ready(120)
    wait_until("the old state is noticed", RECOVERY_SECONDS, lambda: says("rollbacksDetected") == 1)
    wait_until("the newest state is there again", RECOVERY_SECONDS, lambda: says("rollback") == "protected")
    eventually(RECOVERY_SECONDS, lambda: key.sign_message("an old disk", nodes=[node]))


def silent_member(network, key):
    """Whoever is asked first, or has to sign: the others are asked beside it."""
    for node in network.nodes[:2]:
        key.sign_message("who is quick?")
        node.pause()
        started = time.monotonic()
        key.sign_message("who is silent?")
        took = time.monotonic() - started
        network.repair()
        print(f"mpc: with {node.name} standing still: {took:.1f} s", flush=True)
        assert took < SILENT_SECONDS, f"{took:.1f} s"


def no_quorum(network, key):
    refused("mpc_no_quorum", lambda: key.sign_message("three are gone"))


def signs_again(key):
    eventually(RECOVERY_SECONDS, lambda: key.sign_message("all are back"))


def newcomers_sign(network, key):
    """Three that were killed hold shares again: with two more stopped, nobody else could sign."""
    for node in network.nodes[0], network.nodes[2]:
        node.pause()
    back = [network.nodes[at] for at in (1, 3, 4)]
    eventually(RECOVERY_SECONDS, lambda: key.sign_message("newcomers only", nodes=back))
    network.repair()


def same_key(network, key):
    again = eventually(RECOVERY_SECONDS, lambda: network.mpc("keygen", "--from", key.file))
    assert again["publicKey"] == key.made["publicKey"], again


def place_passes(network, key):
    """The machine of one place is given up for another one, with an agent of its own."""
    old, heir = network.nodes[1], network.heir
    keys = lambda node: eventually(RECOVERY_SECONDS, lambda: network.mpc("status", nodes=[node]))["nodes"][0].get("storedKeys")  # noqa: E731
    all_keys = keys(network.nodes[0])
    first = network.mpc("configure show")
    assert first["number"] == 0 and first["verified"]["rootKey"] >= network.threshold, first
    old.kill()
    place = f"{old.at + 1}={heir.agent}:0x{heir.platform.hex()}"
    propose = lambda **by: network.mpc("configure propose", "--place", place, **by)  # noqa: E731
    refused("mpc_configuration_governance", lambda: propose(key=network.other_key))
    passed = eventually(FAILOVER_SECONDS, propose)
    assert passed["number"] == 1 and passed["configurations"][0]["proposal"]["configuration"]["previous"] == first["digest"], passed
    assert passed["verified"] == {"governance": 1, "approvals": 1, "rootKey": "governance"}, passed
    # At the old one's address, where the others look for it.
    network.nodes[heir.at] = heir
    heir.start()
    heir.wait_ready(120)
    assert all_keys > 0
    wait_until("the newcomer has its shares", RECOVERY_SECONDS, lambda: keys(heir) == all_keys)
    eventually(RECOVERY_SECONDS, lambda: network.mpc("refresh", key.file))
    for node in network.nodes[2:4]:
        node.pause()
    signed = eventually(FAILOVER_SECONDS, lambda: key.sign_message("the newcomer and two others", nodes=[heir]))
    assert heir.at + 1 in signed["signers"], signed
    network.repair()
    same_key(network, key)


def records_are_sealed(network, dedicated):
    """A record holds its share beside what is public of the key: where that can't be found, the record is sealed. Every
    member has one of the dedicated key, whose name and public key a record would hold as they are."""
    for node in network.nodes:
        blobs = list(node.copy_disk().values())
        # A record for each of three roots, and the manifest.
        assert len(blobs) >= 4, (node.name, len(blobs))
        for known in dedicated.public_key, bytes.fromhex(dedicated.made["keyId"][2:]):
            for form in known, known.hex().encode():
                assert not any(form in blob for blob in blobs), node.name


def unavailable(error):
    return getattr(error, "code", "timeout") in UNAVAILABLE


def eventually(seconds, action):
    """Does it as soon as the network can."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except (Refused, subprocess.TimeoutExpired) as error:
            if not unavailable(error):
                raise
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds} s: {error}") from None
            time.sleep(1)


# ---------------------------------------------------------------------- schedules

def schedule(network, key, seed):
    """Some faults, a request while each happens, and a check of what the network owes: a signature whenever enough members
    can talk to one another, no wrong one ever, and all as before once everything is back."""
    choose = random.Random(seed)
    made = network.state / f"{seed}.json"
    asking = []
    network.old_disks = {node.at: node.copy_disk() for node in network.nodes}
    for number in range(choose.randint(2, 4)):
        fault = choose.choice([kill, pause, part_some, part_pair, restart, restart_on_old_disk])
        asked = choose.choice([ask_signature, ask_signature, ask_key, ask_refresh])
        asking.append(Asking(asked, network, key, made, f"{seed}: during {number}"))
        time.sleep(choose.random() * choose.choice([0.1, 1]))
        fault(network, choose)
        check_owed(network, key, f"{seed}: after {number}")
        if choose.random() < 0.4:
            network.repair()
    network.repair()
    for request in asking:
        request.finish()
    eventually(RECOVERY_SECONDS, lambda: key.sign_message(f"{seed}: repaired"))
    same_key(network, key)
    if made.exists():
        # A key that a client was told of is there for good, and no other one has its name.
        told = json.loads(made.read_text())["publicKey"]
        again = eventually(RECOVERY_SECONDS, lambda: network.mpc("keygen", "--from", made))
        assert again["publicKey"] == told, (again, told)


def kill(network, choose):
    choose.choice(network.nodes).kill()


def restart(network, choose):
    node = choose.choice(network.nodes)
    node.kill()
    time.sleep(choose.random())
    node.start()
    node.wait_ready(120)


def restart_on_old_disk(network, choose):
    node = choose.choice(network.nodes)
    node.kill()
    node.restore_disk(network.old_disks[node.at])
    node.start()
    node.wait_ready(120)


def pause(network, choose):
    node = choose.choice(network.nodes)
    if node.running and not node.stopped:
        node.pause()


def part_some(network, choose):
    some = choose.sample(network.nodes, choose.randint(1, 2))
    if not network.namespaces:
        for node in some:
            if node.running and not node.stopped:
                node.pause()
        return
    network.part(some)


def part_pair(network, choose):
    one, other = choose.sample(network.nodes, 2)
    if network.namespaces:
        network.cut(one, other)


def check_owed(network, key, text):
    group = network.largest_group()
    nodes = [network.nodes[at] for at in group]
    if len(group) >= network.threshold:
        eventually(FAILOVER_SECONDS, lambda: key.sign_message(text, nodes=nodes))
        return
    # Too few for anyone: no signature, and it says why. In between, one may be made.
    may = network.most_heard() >= network.threshold
    try:
        key.sign_message(text, nodes=[node for node in network.nodes if node.running and not node.stopped] or network.nodes)
    except Refused as error:
        assert unavailable(error), str(error)
    else:
        assert may, f"a signature by {len(group)} members that can talk to one another"


class Asking:
    """A request in the middle of a fault. It may fail, but never comes back wrong."""

    def __init__(self, action, *args):
        self.action, self.args, self.error = action, args, None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            self.action(*self.args)
        except Refused as error:
            if not unavailable(error):
                self.error = error
        except BaseException as error:
            self.error = error

    def finish(self):
        self.thread.join(REQUEST_SECONDS)
        assert not self.thread.is_alive(), f"no answer within {REQUEST_SECONDS} s: {self.args}"
        if self.error:
            raise self.error


def ask_signature(network, key, made, text):
    key.sign_message(text)


def ask_key(network, key, made, text):
    """A key of its own, which takes all members: the first that comes about, and afterwards the same one."""
    if made.exists():
        network.mpc("keygen", "--from", made)
    else:
        network.mpc("keygen", "--messages", "--dedicated", "--salt", "0x" + text.encode().hex().ljust(64, "0")[:64], "--out", made)


def ask_refresh(network, key, made, text):
    refreshed = network.mpc("refresh", key.file)
    assert refreshed["publicKey"] == key.made["publicKey"], refreshed


# ----------------------------------------------------------------------

def step(what, action, *args):
    started = time.monotonic()
    result = action(*args)
    print(f"mpc: {what}: ok, {time.monotonic() - started:.1f} s", flush=True)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "debug")
    parser.add_argument("--schedules", type=int, default=int(os.environ.get("JEJU_MPC_SCHEDULES", "12")))
    parser.add_argument("--seed", type=int)
    parser.add_argument("--only", choices=["story", "schedules"])
    parser.add_argument("--loopback", action="store_true", help="no network namespaces")
    options = parser.parse_args()
    seeds = [options.seed] if options.seed is not None else range(1, options.schedules + 1)
    with tempfile.TemporaryDirectory(prefix="jm-", dir="/tmp") as folder:
        network = Network(options.bin, pathlib.Path(folder) / "n", namespaces=False if options.loopback else None)
        print(f"mpc: {'a network namespace for each node' if network.namespaces else 'all nodes on loopback'}", flush=True)
        try:
            with network:
                if options.only != "schedules":
                    story(network)
                if options.only != "story":
                    key = Key(network, "schedules", "--messages")
                    for seed in seeds:
                        step(f"schedule {seed}", schedule, network, key, seed)
        except BaseException:
            print(network.logs(), file=sys.stderr)
            raise


if __name__ == "__main__":
    main()
