"""See mpc.sh. Argument: the folder with the programs."""
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "e2e"))
from mpc_network import Network, Refused  # noqa: E402
from programs import arguments, wait_until  # noqa: E402

# Milliseconds, milliseconds, signatures a second.
KEYGEN, SIGN, RATE = 150, 15, 200


def has_key(network):
    try:
        return network.mpc("keygen", "--messages")
    except Refused:
        return None


def main():
    binaries = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="jm-", dir="/tmp") as folder:
        # On loopback: a bridge between namespaces is no part of what is measured.
        with Network(binaries, pathlib.Path(folder) / "n", namespaces=False) as network:
            wait_until("all members are connected", 60, lambda: all(
                len(node.get("admitted", [])) == len(network.nodes) - 1 for node in network.mpc("status")["nodes"]))
            # Members that have just started take nothing that was issued before.
            wait_until("a first key", 30, lambda: has_key(network))
            nodes = [part for node in network.nodes for part in ("--node", node.url)]
            done = subprocess.run(arguments([binaries / "examples/mpc_load", *nodes, *network.trust, "--key", network.account_key]),
                                  capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr + network.logs())
    found = json.loads(done.stdout)
    keygen, sign, rate = found["keygen_ms"], found["sign_ms"], found["signatures_per_second"]
    print(f"keygen 3-of-5  p50 {keygen['p50']:7.1f} ms, p95 {keygen['p95']:.1f} ms   {keygen['p50'] / KEYGEN:5.2f} x {KEYGEN} ms")
    print(f"sign 3-of-5    p50 {sign['p50']:7.1f} ms, p95 {sign['p95']:.1f} ms   {sign['p50'] / SIGN:5.2f} x {SIGN} ms")
    print(f"sustained          {rate:7.0f} /s with {found['in_flight']} in flight   {rate / RATE:5.2f} x {RATE} /s")


main()
