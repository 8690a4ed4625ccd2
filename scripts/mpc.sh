#!/usr/bin/env bash
# From nothing to a network of threshold signers: installs what is missing, builds, and hands over to `jeju mpc local`.
#   ONCE=1             exit 0 after a key and a verified signature, with one JSON line
#   JEJU_PORT_BASE=N   move all ports
#   MPC_TOTAL_SHARES, MPC_THRESHOLD and the like: docs/operating.md, "Threshold signers"
set -euo pipefail
cd "$(dirname "$0")/.."

# Standard output is for the one line of ONCE=1.
exec 3>&1 >&2

scripts/setup.sh mpc
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
readonly target=${CARGO_TARGET_DIR:-target}
echo "mpc: building the programs (minutes the first time)"
cargo build --locked -p jeju-client -p jeju-host-shim -p jeju-image -p jeju-contracts
cargo build --locked -p jeju-enclave --features sim
exec "$target/debug/jeju" mpc local ${ONCE:+--once} >&3 3>&-
