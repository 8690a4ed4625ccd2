#!/usr/bin/env bash
# Rentals against what tenants would otherwise have: the SSH server alone against OpenSSH's sshd, through the container against
# `docker exec`, a start against `docker run`; and what many sessions cost. Release builds, two cores for all; prints each number and
# its ratio to what docs/performance.md promises, all of one run.
set -euo pipefail
cd "$(dirname "$0")/../.."

cargo build --quiet --locked --release -p jeju-host-shim -p jeju-image -p jeju-contracts
cargo build --quiet --locked --release -p jeju-client --bins
cargo build --quiet --locked --release -p jeju-enclave --features sim --bins --example ssh_bench
cargo rustc --quiet --locked --release -p jeju-rental-agent --bin jeju-rental-agent -- -Ctarget-feature=+crt-static -Crelocation-model=static
exec taskset -c 0,1 python3 bench/rentals/compare.py "${CARGO_TARGET_DIR:-target}/release" "$@"
