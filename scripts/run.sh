#!/usr/bin/env bash
# From nothing to a verified answer and a verified signature: installs what is missing, builds, starts three signers of which
# two sign together (`jeju mpc local`, with a chain of their own), and hands over to `jeju dev`.
#   ONCE=1             exit 0 after the verified signature and the verified answer, with one JSON line for the answer
#   JEJU_PORT_BASE=N   move all ports: N to N+2, signers' chain N+3, signers N+4 to N+6
set -euo pipefail
cd "$(dirname "$0")/.."

# Standard output is for the one line of ONCE=1.
exec 3>&1 >&2

scripts/setup.sh run
export PATH="$PWD/.jeju/venv/bin:${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
bench/inference/fetch-model.sh
echo "run: building the programs (minutes the first time)"
cargo build --locked -p jeju-client -p jeju-host-shim -p jeju-image -p jeju-contracts
cargo build --locked -p jeju-enclave --features sim
echo "run: building the image (minutes the first time)"
target/debug/jeju-image build --platform qemu --out .jeju/image \
    --model target/models/smollm2-135m-instruct-q4_1.gguf >.jeju/image.log

# Signers are at 4010 and up, their chain just below.
readonly signers_base=$(( ${JEJU_PORT_BASE:-4006} + 3 ))
signers() {
    JEJU_PORT_BASE=$signers_base target/debug/jeju mpc local --nodes 3 --threshold 2 --state .jeju/signers "$@" 3>&-
}
if [ -n "${ONCE:-}" ]; then
    echo "run: three signers, of which two sign"
    signers --once
    exec target/debug/jeju dev --once >&3 3>&-
fi
signers &
readonly signers=$!
# Both are told of Ctrl-C; whichever ends first ends the other.
trap 'kill "$signers" 2>/dev/null && wait "$signers" || true' EXIT
target/debug/jeju dev >&3 3>&-
