#!/usr/bin/env bash
# What takes too long for every change. Each test writes docs/test-record/NAME.json, which is committed, and `make test`
# checks that its inputs are still the same. NAME=... runs one of them.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh test-full
for name in ${NAME:-kernel-rebuild image-repro acpi-control nitro-guest}; do
    python3 scripts/test-record.py run "$name" -- "scripts/$name.sh"
done
