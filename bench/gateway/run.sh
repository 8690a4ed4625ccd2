#!/bin/sh
# The gateway's passthrough beside HAProxy, which reads the server name as well, in the same run, and lists of an index of
# 10,000 providers over HTTP. Prints two JSON objects.
#   bench/gateway/run.sh [rounds]
set -eu
cd "$(dirname "$0")/../.."
cargo build --quiet --release --locked -p jeju-gateway --example carry --example listing
examples="${CARGO_TARGET_DIR:-target}/release/examples"
python3 bench/gateway/compare.py "$examples/carry" "${1:-3}"
exec "$examples/listing" 10000 1000
