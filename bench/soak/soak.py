"""See run.sh. Arguments: the folder with the programs, and for how many seconds."""
import json
import os
import pathlib
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "load"))
from loaded_node import Loaded, found, resident_mib  # noqa: E402

STREAMS, TOKENS = 200, 32
# Longest wait of a stream for its next token, to the mean; resident memory at the end, to that after some time.
GAP, MEMORY = 4.0, 1.05
# Runs shorter than this are for CI, on machines that do other things too, where a stream may take all of it: waits are counted
# in tokens that others got only, from the first stream on, and memory has no time to settle, so its peak (MiB) is judged.
LONG = 300
PEAK = 700


def main():
    programs, seconds = pathlib.Path(sys.argv[1]).resolve(), float(sys.argv[2])
    replay = 20 if os.environ.get("UPSTREAM") == "1" else None
    with tempfile.TemporaryDirectory(prefix="js-", dir="/tmp") as folder:
        with Loaded(programs, pathlib.Path(folder) / "n", replay) as node:
            try:
                result = soak(node, seconds)
            except BaseException:
                print(node.logs(), file=sys.stderr)
                raise
    result["broken"] = broken(result, seconds)
    print(json.dumps(result))
    for line in result["broken"]:
        print(f"soak: {line}", file=sys.stderr)
    sys.exit(1 if result["broken"] else 0)


def soak(node, seconds):
    samples, over = [], threading.Event()

    def watch():
        started = time.monotonic()
        while not over.wait(1):
            samples.append((time.monotonic() - started, node.resident(), resident_mib(node.shim.pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        # The first streams start together, which none does later.
        result = found(node.streams("--streams", STREAMS, "--tokens", TOKENS, "--seconds", seconds, "--ramp", ramp(seconds),
                                    "--warm-up", seconds / 5 if seconds >= LONG else 0))
    finally:
        over.set()
        watcher.join()
    settled = seconds / 5
    early, late = at(samples, settled), at(samples, seconds)
    return {
        **result,
        "load_average": os.getloadavg()[0],
        "resident_mib": {"settled": early, "at_the_end": late, "ratio": round(sum(late.values()) / sum(early.values()), 3),
                         "peak": round(max(sum(sizes.values()) for _, sizes, _ in samples), 1)},
        "shim_resident_mib": {"settled": shim_at(samples, settled), "at_the_end": shim_at(samples, seconds)},
    }


def ramp(seconds):
    return min(20, seconds / 8)


def around(samples, second):
    """The samples of the ten seconds before a second: what answers under way take goes up and down."""
    span = 10
    return [sample for sample in samples if second - span <= sample[0] <= second] or [samples[-1]]


def at(samples, second):
    found_there = [sizes for _, sizes, _ in around(samples, second)]
    return {name: round(sum(sizes[name] for sizes in found_there) / len(found_there), 1) for name in found_there[0]}


def shim_at(samples, second):
    found_there = [shim for _, _, shim in around(samples, second)]
    return round(sum(found_there) / len(found_there), 1)


def broken(result, seconds):
    """Which promises are."""
    lines = [f"{count} x {why}" for why, count in result["failures"].items()]
    if result["refused"]:
        lines.append(f"{result['refused']} streams were refused")
    if result["counted"] < STREAMS / 2:
        lines.append(f"only {result['counted']} streams ran to their end")
    # Turns count from the request on; the time to the first token has the reading of the prompt in it, and is printed only.
    waits = {"turns": result["turns"]["most"] or 0}
    if seconds >= LONG:
        waits["longest_gap_to_mean"] = result["longest_gap_to_mean"]["most"] or 0
    lines += [f"{name} is {value:.2f}, at most {GAP} is promised" for name, value in waits.items() if value > GAP]
    ratio, peak = result["resident_mib"]["ratio"], result["resident_mib"]["peak"]
    if seconds >= LONG and ratio > MEMORY:
        lines.append(f"resident memory grew to {ratio} x, at most {MEMORY} is promised")
    if peak > PEAK:
        lines.append(f"{peak} MiB were resident, at most {PEAK} are promised")
    return lines


main()
