#!/usr/bin/env bash
# Measures what docs/performance.md promises. NAME=shim runs one part: attested, verify,
# shim, inference, image or boot.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh bench
for part in ${NAME:-attested verify shim inference image boot}; do
    echo "== $part"
    case $part in
    attested) cargo bench --quiet --locked -p jeju-attested-tls ;;
    verify) bench/verify/run.sh ;;
    shim) bench/shim.sh ;;
    image) bench/image.sh ;;
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
