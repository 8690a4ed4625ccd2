#!/bin/sh
# The workers' engine beside workerd and Deno (npm's), in the same run, and what an isolate costs. Prints one JSON object
# and the lines of `measure`. Quiet machines alone give numbers worth keeping.
#   bench/workers/run.sh [rounds]
set -eu
cd "$(dirname "$0")/../.."
[ -d e2e/conformance/node_modules ] || npm --prefix e2e/conformance ci --silent
cargo build --quiet --release -p jeju-worker-http
cargo build --quiet --release -p jeju-workers --example measure
target=${CARGO_TARGET_DIR:-target}/release
python3 bench/workers/compare.py "$target/jeju-worker-http" "${1:-5}"
"$target/examples/measure"
