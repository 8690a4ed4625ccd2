#!/usr/bin/env bash
# Writes image/expected.json from a fresh build: called by lock-update.sh, or by hand after a change of kernel, firmware or
# first program.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/image.sh
"${CARGO_TARGET_DIR:-target}"/debug/jeju-image expected target/image --write image/expected.json
