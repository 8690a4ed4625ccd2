#!/usr/bin/env python3
"""Workers end to end: a real chain, the node as a process with its host shim, `jeju worker`, curl, node, tsc and esbuild. Each part
prints one line; the first failure ends the run with the logs of all programs.

    workers.py [--bin DIR] [--image DIR] [--only PART...]

Parts: legacy (the first Jeju Compute's seventeen cases), those of workers_story.py, and image, where the node is an image in QEMU.
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
    parser.add_argument("--image", type=pathlib.Path, default=ROOT / "target/image")
    story = [*Story.PARTS[:-1], "legacy", Story.PARTS[-1]]
    parser.add_argument("--only", nargs="+", choices=[*story, "image"], default=[*story, "image"])
    options = parser.parse_args()
    parts = [part for part in options.only if part != "image"]
    if parts:
        on_a_node(options, None, lambda node: tell(node, parts))
    if "image" in options.only:
        on_a_node(options, options.image, in_an_image)


def on_a_node(options, image, run):
    # A short path: sockets lie below it.
    with tempfile.TemporaryDirectory(prefix="jw-", dir="/tmp") as folder:
        node = WorkersNode(options.bin, folder, image)
        try:
            with node:
                run(node)
        except BaseException:
            print(node.logs(), file=sys.stderr)
            raise


def tell(node, parts):
    started = time.monotonic()
    print(f"workers: node ready after {node.seconds_to_ready:.1f} s", flush=True)
    owner, stranger, first = (Owner(node, number) for number in (4, 5, 6))
    story = Story(node, owner, stranger)
    for part in parts:
        begun = time.monotonic()
        cases = workers_legacy.check(first) if part == "legacy" else getattr(story, part)()
        counted = f", {cases} cases" if cases else ""
        print(f"workers: {part} ok, {time.monotonic() - begun:.1f} s{counted}", flush=True)
    print(f"workers: everything within {time.monotonic() - started:.0f} s", flush=True)


def in_an_image(node):
    """PID 1 starts a process for each owner there, with a user and a share of the processors of its own."""
    started = time.monotonic()
    owners = Owner(node, 4), Owner(node, 5)
    story = Story(node, *owners)
    for number, owner in enumerate(owners):
        name = f"owner{number}"
        owner.worker("deploy", story.file(f"{name}.js", f"export default {{ fetch: () => new Response('{name}') }};"), "--route", f"/{name}")
        status, _, body = story.get(f"/w/{name}")
        assert (status, body) == (200, name.encode()), (status, body)
    print(f"workers: image ok, ready after {node.seconds_to_ready:.1f} s and {time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main()
