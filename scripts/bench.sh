#!/usr/bin/env bash
# Measures what docs/performance.md promises. NAME=shim runs the parts whose path holds that.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh bench
export PATH="$PWD/.jeju/venv/bin:$PWD/contracts/node_modules/.bin:$PATH"
for part in $(find bench -name '*.sh' ! -name 'fetch-*' | grep -F -- "${NAME:-}" | sort); do
    echo "== $part"
    bash "$part"
done
