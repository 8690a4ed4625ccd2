"""See run.sh. Argument: the folder with the programs."""
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "load"))
from loaded_node import Loaded, cpu_seconds, found  # noqa: E402

STREAMS, RATE, TOKENS = 64, 20, 64
ROUNDS, SECONDS = 3, 12
# Microseconds of CPU, milliseconds.
PER_TOKEN, ADDED = 60, 2


def main():
    with tempfile.TemporaryDirectory(prefix="ju-", dir="/tmp") as folder:
        with Loaded(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(folder) / "n", replay=RATE) as node:
            try:
                result = measure(node)
            except BaseException:
                print(node.logs(), file=sys.stderr)
                raise
    print(json.dumps(result))
    cpu, added = result["front_us_per_token"], result["added_first_token_ms_p50"]
    print(f"CPU of the front, per token     {cpu:6.1f} us   {cpu / PER_TOKEN:5.2f} x {PER_TOKEN} us", file=sys.stderr)
    print(f"added to first token, p50       {added:6.2f} ms   {added / ADDED:5.2f} x {ADDED} ms", file=sys.stderr)
    sys.exit(0 if result["ok"] else 1)


def measure(node):
    """Streams of the node and of the replay alone, in turns, so that other load on the machine meets both."""
    rounds = {"node": [], "direct": []}
    used = {"front": [], "shim": []}
    for number in range(ROUNDS):
        rounds["direct"].append(run(node, direct=True))
        before = {name: cpu_seconds(pid) for name, pid in watched(node)}
        rounds["node"].append(run(node))
        for name, pid in watched(node):
            used[name].append((cpu_seconds(pid) - before[name]) * 1e6 / rounds["node"][-1]["tokens"])
    first = {name: [part["first_token_ms"]["p50"] for part in parts] for name, parts in rounds.items()}
    added = statistics.median(first["node"]) - statistics.median(first["direct"])
    of_node = rounds["node"]
    result = {
        "streams": STREAMS,
        "tokens_per_second_of_a_stream": RATE,
        "tokens": sum(part["tokens"] for part in of_node),
        "answers": sum(part["ended"] for part in of_node),
        "front_us_per_token": round(statistics.median(used["front"]), 1),
        "front_us_per_token_of_rounds": [round(value, 1) for value in used["front"]],
        "shim_us_per_token": round(statistics.median(used["shim"]), 1),
        "first_token_ms_p50": first,
        "added_first_token_ms_p50": round(added, 2),
        "gap_ms": [part["gap_ms"] for part in of_node],
        "client_us_per_token": round(statistics.median(part["client_cpu_seconds"] * 1e6 / part["tokens"] for part in of_node), 1),
        "failures": {why: count for parts in rounds.values() for part in parts for why, count in part["failures"].items()},
        "refused": sum(part["refused"] for part in of_node),
        "load_average": os.getloadavg()[0],
    }
    # The client has already refused an answer in which a token is missing, merged with another, or twice there.
    whole = not result["failures"] and not result["refused"]
    result["ok"] = whole and result["front_us_per_token"] <= PER_TOKEN and added <= ADDED
    return result


def watched(node):
    return [("front", node.front), ("shim", node.shim.pid)]


def run(node, direct=False):
    clients = node.streams("--streams", STREAMS, "--tokens", TOKENS, "--seconds", SECONDS, "--ramp", TOKENS / RATE, direct=direct)
    part = found(clients)
    # What a stream's end leaves to do belongs to it.
    time.sleep(0.5)
    return part


main()
