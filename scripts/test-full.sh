#!/usr/bin/env bash
# What takes too long for every change. Each test writes docs/test-record/NAME.json, which is committed, and `make test`
# checks that its inputs are still the same. NAME=... runs one of them.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh test-full
for name in ${NAME:-kernel-rebuild image-repro acpi-control nitro-guest}; do
    python3 scripts/test-record.py run "$name" -- "scripts/$name.sh"
done

# No records: they would be of yesterday's signers with every change of a node.
[[ -z ${NAME:-} ]] || exit 0
JEJU_MPC_SEEDS=10000 cargo nextest run --locked -p jeju-mpc-sim
JEJU_VSOCK_MIB=1024 cargo nextest run --locked -p jeju-image --test vsock
cargo build --workspace --exclude jeju-enclave --exclude jeju-rental-agent --bins --locked
cargo build -p jeju-enclave --features sim --locked
cargo rustc -p jeju-rental-agent --bin jeju-rental-agent --locked -- -Ctarget-feature=+crt-static -Crelocation-model=static
JEJU_MPC_SCHEDULES=50 python3 e2e/mpc.py
python3 e2e/inference.py --only matrix --all
contracts/coverage.sh
# Storage with a quota of its own, and without, on loop devices.
cargo nextest run --locked -p jeju-enclave --test rentals_docker --run-ignored only
python3 e2e/rentals.py --only crash --all
