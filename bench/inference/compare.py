"""Speed of the embedded engine next to llama.cpp, on the same file, token ids, and minutes.

Both run one thread; the unit is tokens per second of CPU time, because hosts are shared. Five rounds, the two
engines in turn; the ratios are medians over rounds. The fixed cost of a call is taken off on both sides by
measuring a prompt of one token. Batches are compared with the engine itself: tokens of all streams together
against those of one stream. Prints JSON; exits with an error if a bar of docs/performance.md isn't reached,
unless --no-bars is given.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

from llama_cpp import MODEL, Reference

ROUNDS = 5
DECODED = 96
BARS = {"decode": 1.15, "prefill_38": 1.6, "prefill_430": 1.2}
STREAMS = (1, 2, 4, 8, 16, 32)
BATCHED_STREAMS, BATCHED_BAR = 8, 2.5
RESIDENT_BYTES = 250_000_000
REPOSITORY = pathlib.Path(__file__).parents[2]


class Ours:
    def __init__(self, kernel):
        cargo = ["cargo", "build", "--quiet", "--release", "-p", "jeju-inference", "--example", "bench"]
        subprocess.run(cargo, check=True, cwd=REPOSITORY)
        target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
        command = [target / "release/examples/bench", MODEL, *kernel]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().split()

    def prefill(self, ids):
        return float(self.ask("prefill " + ",".join(map(str, ids)))[0])

    def decode(self, ids):
        return float(self.ask(f"decode {DECODED} " + ",".join(map(str, ids)))[0])

    def batch(self, streams, ids):
        """Tokens a second of all streams together."""
        command = f"batch {streams} {DECODED} " + ",".join(map(str, ids))
        return streams * DECODED / float(self.ask(command)[0])

    def resident(self):
        return [int(value) for value in self.ask("resident")]


class LlamaCpp:
    def __init__(self):
        self.reference = Reference()

    def cost(self, ids, count):
        before = time.process_time()
        self.reference.complete(ids, count, cache_prompt=False)
        return time.process_time() - before

    def prefill(self, ids):
        return self.cost(ids, 1)

    def decode(self, ids):
        return self.cost(ids, DECODED + 1) - self.cost(ids, 1)


def rates(engine, short, long):
    fixed = min(engine.prefill(short[:1]) for _ in range(3))
    return {
        "decode": DECODED / engine.decode(short),
        "prefill_38": (len(short) - 1) / (engine.prefill(short) - fixed),
        "prefill_430": (len(long) - 1) / (engine.prefill(long) - fixed),
    }


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--no-bars"]
    ours, theirs = Ours(arguments), LlamaCpp()
    text = (REPOSITORY / "enclave/inference/tests/golden.json").read_text()
    ids = [token for passage in json.loads(text)["forced"] for token in passage["ids"]]
    short, long = ids[:38], ids[:430]
    for engine in (ours, theirs):
        rates(engine, short, long)

    rounds = [(rates(ours, short, long), rates(theirs, short, long)) for _ in range(ROUNDS)]
    resident, peak = ours.resident()
    batches = [{streams: ours.batch(streams, short) for streams in STREAMS} for _ in range(ROUNDS)]
    result = {"kernel": arguments[0] if arguments else "best", "resident_bytes": resident, "peak_bytes": peak}
    for key in BARS:
        result[key] = {
            "ours": round(statistics.median(a[key] for a, _ in rounds), 1),
            "llama_cpp": round(statistics.median(b[key] for _, b in rounds), 1),
            "ratio": round(statistics.median(a[key] / b[key] for a, b in rounds), 2),
        }
    result["batched_decode"] = {
        streams: {
            "tokens_per_second": round(statistics.median(each[streams] for each in batches), 1),
            "ratio": round(statistics.median(each[streams] / each[1] for each in batches), 2),
        }
        for streams in STREAMS
    }
    print(json.dumps(result, indent=1))
    missed = [key for key, bar in BARS.items() if result[key]["ratio"] < bar]
    if result["batched_decode"][BATCHED_STREAMS]["ratio"] < BATCHED_BAR:
        missed.append("batched_decode")
    if peak > RESIDENT_BYTES:
        missed.append("resident_bytes")
    if missed and "--no-bars" not in sys.argv:
        raise SystemExit("below the bar: " + ", ".join(missed))


main()
