#!/usr/bin/env python3
"""Rentals end to end: a real chain, a real Docker engine, the real OpenSSH client, the node as a process and once in QEMU. Each
check prints one line; the first failure ends the run with the logs of all programs.

    rentals.py [--bin DIR] [--image DIR] [--only PART...] [--all]

Parts: story, routes, abuse, hostile, qemu, crash, expiry. `--all` runs each crash by itself as well, which takes many minutes."""
import argparse
import os
import pathlib
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE))
import rentals_abuse  # noqa: E402
import rentals_crash  # noqa: E402
import rentals_hostile  # noqa: E402
import rentals_routes  # noqa: E402
import rentals_story  # noqa: E402
from rentals_market import Market, Provider, Task, Tenant  # noqa: E402

PARTS = ["story", "routes", "abuse", "hostile", "qemu", "crash", "expiry"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "debug")
    parser.add_argument("--image", type=pathlib.Path, default=ROOT / "target/image")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    # A short path: sockets lie below it.
    with tempfile.TemporaryDirectory(prefix="jr-", dir="/tmp") as folder:
        market = Market(options.bin, pathlib.Path(folder) / "m")
        try:
            with market:
                run(market, options)
        except BaseException:
            print(market.logs(), file=sys.stderr)
            raise


def run(market, options):
    started = time.monotonic()
    provider = market.provide(Provider(market, 2))
    print(f"rentals: ready after {time.monotonic() - started:.1f} s", flush=True)
    alice, bob, carol, dave, _ = tenants = [Tenant(market, number) for number in range(4, 9)]
    # Booting takes a while under emulation.
    guest = Task(lambda: market.provide(Provider(market, 3, options.image, network="none"))) if {"qemu", "hostile"} & {*options.only} else None
    if "story" in options.only:
        rentals_story.story(market, provider, alice, bob, carol)
    if "routes" in options.only:
        rentals_routes.routes(market, provider, alice, bob)
    if "abuse" in options.only:
        rentals_abuse.abuse(market, provider, alice, bob, carol, dave)
    if "qemu" in options.only:
        rentals_story.in_qemu(market, guest.join(), alice)
    if "hostile" in options.only:
        rentals_hostile.hostile(market, provider, guest.join(), alice)
    if "crash" in options.only:
        rentals_crash.crashes(market, provider, tenants, options.all)
    if "expiry" in options.only:
        rentals_story.expiry(market, provider, alice)
    market.check_money()
    print(f"rentals: everything within {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
