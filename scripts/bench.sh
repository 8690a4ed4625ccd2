#!/usr/bin/env bash
# Measures what docs/performance.md promises. NAME=shim runs one part: attested, verify,
# store, shim, inference, upstream, image, mpc, rentals, gateway, workers or boot; workers-abuse and workers-deployed by their names alone.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh bench
for part in ${NAME:-attested verify store shim inference upstream image mpc rentals gateway workers boot}; do
    echo "== $part"
    case $part in
    attested) cargo bench --quiet --locked -p jeju-attested-tls ;;
    verify) bench/verify/run.sh ;;
    store) cargo bench --quiet --locked -p jeju-store ;;
    shim) bench/shim.sh ;;
    image) bench/image.sh ;;
    mpc) cargo bench --quiet --locked -p jeju-mpc --bench signing && bench/mpc.sh ;;
    rentals) bench/rentals/run.sh ;;
    gateway) bench/gateway/run.sh ;;
    workers) bench/workers/run.sh ;;
    workers-abuse) bench/workers/abuse.sh ;;
    workers-deployed) bench/workers/deployed.sh ;;
    upstream) bench/upstream/run.sh ;;
    inference) bench/inference/run.sh compare.py && bench/inference/run.sh compare.py avx2 ;;
    boot)
        ONCE=1 scripts/run.sh | python3 -c 'import json, sys
run = json.load(sys.stdin)
ready, verify = run["milliseconds_from_start_to_ready"], run["milliseconds"]["verify"]
rate = run["tokens_per_second"]
print(f"ready after {ready} ms, first attested session after {ready + verify} ms, {rate:.1f} tokens/s")'
        ;;
    *) echo "bench: no part $part" >&2 && exit 2 ;;
    esac
done
