#!/bin/sh
# Throughput of the host shim against socat over the same Unix sockets in the same run, and its resident memory when
# idle. Prints one JSON object. Exit 1 when a promise of docs/performance.md is broken, 3 when socat is missing.
#   bench/shim.sh [MiB per round] [rounds]
set -eu
cd "$(dirname "$0")/.."
if ! command -v socat >/dev/null; then
    echo "bench/shim.sh: socat is not installed (apt-get install socat)" >&2
    exit 3
fi
cargo build --quiet --release -p jeju-host-shim
exec python3 bench/shim.py "${CARGO_TARGET_DIR:-target}/release/jeju-host-shim" "${1:-512}" "${2:-5}"
