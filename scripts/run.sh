#!/usr/bin/env bash
# From nothing to a verified answer: installs what is missing, builds, and hands over to `jeju dev`.
#   ONCE=1             exit 0 after the verified answer, with one JSON line
#   JEJU_PORT_BASE=N   move all ports
set -euo pipefail
cd "$(dirname "$0")/.."

# Standard output is for the one line of ONCE=1.
exec 3>&1 >&2

scripts/setup.sh run
export PATH="$PWD/.jeju/venv/bin:${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
bench/inference/fetch-model.sh
echo "run: building the programs (minutes the first time)"
cargo build --locked -p jeju-client -p jeju-host-shim -p jeju-image -p jeju-contracts
echo "run: building the image (minutes the first time)"
target/debug/jeju-image build --platform qemu --out .jeju/image \
    --model target/models/smollm2-135m-instruct-q4_1.gguf >.jeju/image.log
exec target/debug/jeju dev ${ONCE:+--once} >&3 3>&-
