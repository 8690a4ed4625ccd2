#!/usr/bin/env bash
# 200 streams of 32 tokens at a time, without end: every stream goes on within four times the mean gap, nothing is refused or cut,
# all signatures are good, and memory stays what it was. Prints one JSON object; exit 1 when one of these doesn't hold.
#
#   bench/soak/run.sh            the embedded model, release builds, MINUTES=10
#   UPSTREAM=1 bench/soak/run.sh an upstream that replays 20 tokens a second in each stream
#   bench/soak/run.sh short      45 seconds, for CI: programs of a debug build
#
# JEJU_PROGRAMS: a folder with the programs, which are built otherwise.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=${CARGO_TARGET_DIR:-target}
programs=${JEJU_PROGRAMS:-}
case ${1:-} in
short)
    if [[ -z $programs ]]; then
        cargo build --quiet --locked --workspace --bins --examples
        programs=$target/debug
    fi
    exec python3 bench/soak/soak.py "$programs" 45
    ;;
'') ;;
*) echo 'usage: bench/soak/run.sh [short]' >&2 && exit 2 ;;
esac
if [[ -z $programs ]]; then
    cargo build --quiet --locked --release -p jeju-host-shim -p jeju-image -p jeju-contracts
    cargo build --quiet --locked --release -p jeju-client --example load
    cargo build --quiet --locked --release -p jeju-enclave --features sim
    programs=$target/release
fi
exec python3 bench/soak/soak.py "$programs" "$((${MINUTES:-10} * 60))"
