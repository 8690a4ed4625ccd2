#!/usr/bin/env python3
"""The market for inference end to end: a real chain, three providers (nodes as processes with their shims), two gateways, and
`jeju proxy --model … --via … --pay` before openai-python, unchanged. A gateway and a provider are killed under a stream, gateways
lie; then everything is settled, and each wei is looked for on chain. Each part prints one line; the first failure ends the run with
the logs of all programs.

With an image the dearest provider is the appliance in QEMU, as it is shipped for development.

    market.py [--bin DIR] [--image DIR] [--only PART...]
"""
import argparse
import os
import pathlib
import sys
import tempfile
import time

from run import ROOT  # First: it goes on in the environment of e2e/requirements.txt.

from market_node import Market
from market_story import Story


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=pathlib.Path, default=os.environ.get("JEJU_PROGRAMS", ROOT / "target/debug"))
    parser.add_argument("--image", type=pathlib.Path)
    parser.add_argument("--only", nargs="+", choices=Story.PARTS, default=Story.PARTS)
    options = parser.parse_args()
    started = time.monotonic()
    # A short path: sockets lie below it.
    with tempfile.TemporaryDirectory(prefix="jm-", dir="/tmp") as folder:
        market = Market(options.bin, folder, options.image)
        try:
            with market:
                story = Story(market)
                print(f"market: three providers and two gateways after {time.monotonic() - started:.0f} s", flush=True)
                for part in options.only:
                    begun = time.monotonic()
                    found = getattr(story, part)()
                    print(f"market: {part.replace('_', ' ')}: ok, {time.monotonic() - begun:.1f} s{f', {found}' if found else ''}", flush=True)
        except BaseException:
            print(market.logs(), file=sys.stderr)
            raise
    print(f"market: everything within {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
