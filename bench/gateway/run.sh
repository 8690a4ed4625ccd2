#!/bin/sh
# The gateway's passthrough beside HAProxy, which reads the server name as well, in the same run. Prints one JSON object.
#   bench/gateway/run.sh [rounds]
set -eu
cd "$(dirname "$0")/../.."
cargo build --quiet --release --locked -p jeju-gateway --example carry
exec python3 bench/gateway/compare.py "${CARGO_TARGET_DIR:-target}/release/examples/carry" "${1:-3}"
