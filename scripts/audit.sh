#!/usr/bin/env bash
# Audits target/image (scripts/image.sh makes it), and holds what the audit writes to the published formats.
# JEJU_PROGRAMS: a folder with jeju-image, which is built otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

image=${1:-target/image}
[[ -n ${JEJU_PROGRAMS:-} ]] || cargo build --quiet --locked -p jeju-image
tool=${JEJU_PROGRAMS:-${CARGO_TARGET_DIR:-target}/debug}/jeju-image
report=$(mktemp -d)
trap 'rm -rf "$report"' EXIT
"$tool" audit "$image" --sbom "$report/sbom.cdx.json" --provenance "$report/provenance.json" \
    --builder tag:jeju,2026:make-test >"$report/audit.txt" || { grep -v '^ok ' "$report/audit.txt"; exit 1; }
tail -n 1 "$report/audit.txt"
.jeju/venv/bin/python3 image/tests/documents.py "$report/sbom.cdx.json" "$report/provenance.json" "$image"
