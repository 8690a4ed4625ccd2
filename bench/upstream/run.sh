#!/usr/bin/env bash
# What a node adds to an upstream: CPU of the front for each token, and time to the first one, with 64 streams of 20 tokens a
# second. Release builds, two cores for all; prints one JSON object. Exit 1 when a promise of docs/performance.md is broken.
#
# JEJU_PROGRAMS: a folder with the programs, which are built otherwise.
set -euo pipefail
cd "$(dirname "$0")/../.."

programs=${JEJU_PROGRAMS:-}
if [[ -z $programs ]]; then
    cargo build --quiet --locked --release -p jeju-host-shim -p jeju-image -p jeju-contracts
    cargo build --quiet --locked --release -p jeju-client --example load
    cargo build --quiet --locked --release -p jeju-enclave --features sim
    programs=${CARGO_TARGET_DIR:-target}/release
fi
exec taskset -c 0,1 python3 bench/upstream/overhead.py "$programs"
