#!/usr/bin/env bash
# A network of five signers, three of which sign together, on loopback: keys, signatures one after the other, and as many as two
# cores give, clients included. Release builds; prints each number and its ratio to what docs/performance.md promises.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --quiet --locked --release -p jeju-host-shim -p jeju-image -p jeju-contracts
cargo build --quiet --locked --release -p jeju-client --bins --example mpc_load
cargo build --quiet --locked --release -p jeju-enclave --features sim
exec taskset -c 0,1 python3 bench/mpc.py "${CARGO_TARGET_DIR:-target}/release"
