#!/usr/bin/env python3
"""Workers end to end: a real chain, the node as a process with its host shim, `jeju worker`, curl, node, tsc and esbuild. Each part
prints one line; the first failure ends the run with the logs of all programs.

    workers.py [--bin DIR] [--only PART...]

Parts: legacy (the first Jeju Compute's seventeen cases) and those of workers_story.py.
"""
import argparse
import os
import pathlib
import sys
import tempfile
import time

from run import ROOT  # First: it goes on in the environment of e2e/requirements.txt.

import workers_legacy
from workers_node import Owner, WorkersNode
from workers_story import Story


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "debug")
    parser.add_argument("--only", nargs="+", choices=["legacy", *Story.PARTS], default=[*Story.PARTS[:-1], "legacy", Story.PARTS[-1]])
    options = parser.parse_args()
    # A short path: sockets lie below it.
    with tempfile.TemporaryDirectory(prefix="jw-", dir="/tmp") as folder:
        node = WorkersNode(options.bin, folder)
        try:
            with node:
                run(node, options)
        except BaseException:
            print(node.logs(), file=sys.stderr)
            raise


def run(node, options):
    started = time.monotonic()
    print(f"workers: node ready after {node.seconds_to_ready:.1f} s", flush=True)
    owner, stranger, first = (Owner(node, number) for number in (4, 5, 6))
    story = Story(node, owner, stranger)
    for part in options.only:
        begun = time.monotonic()
        cases = workers_legacy.check(first) if part == "legacy" else getattr(story, part)()
        counted = f", {cases} cases" if cases else ""
        print(f"workers: {part} ok, {time.monotonic() - begun:.1f} s{counted}", flush=True)
    print(f"workers: everything within {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
