#!/usr/bin/env bash
# Builds the verifier for WebAssembly, holds it to its size, and compares its verdicts with the native ones.
#
#   scripts/wasm.sh build       target/wasm32-unknown-unknown/wasm/jeju_verifier.wasm
#   scripts/wasm.sh test        also runs every recorded case of the native tests through it in Node
set -euo pipefail
cd "$(dirname "$0")/.."

readonly module=target/wasm32-unknown-unknown/wasm/jeju_verifier.wasm most=600000

scripts/setup.sh wasm
cargo build --quiet --locked --target wasm32-unknown-unknown --profile wasm -p jeju-verifier-wasm
size=$(gzip -9 -c "$module" | wc -c)
echo "wasm: $(stat -c %s "$module") bytes, $size after gzip"
((size <= most)) || { echo "wasm: more than $most bytes after gzip" >&2; exit 1; }

case ${1:-build} in
build) ;;
test)
    cases=target/tmp/verdicts.jsonl
    rm -f "$cases"
    # Of the workspace, so that its libraries are those of all other tests.
    cargo test --quiet --locked --workspace --test evidence -- --exact verdicts::recorded_for_other_targets
    node attestation/wasm/test.mjs "$module" "$cases"
    ;;
*) echo 'usage: scripts/wasm.sh [build | test]' >&2 && exit 2 ;;
esac
