#!/bin/sh
# Rebuilds the contracts and compares ABI and bytecode with artifacts/, from which the Rust bindings are made.
#   check-artifacts.sh            exit 1 if they differ
#   check-artifacts.sh --write    take the rebuilt ones
set -eu
cd "$(dirname "$0")"

mode=${1:-}
case $mode in
'' | --write) ;;
*)
    echo "usage: check-artifacts.sh [--write]" >&2
    exit 2
    ;;
esac

[ -x node_modules/.bin/forge ] || npm ci --ignore-scripts --silent
# Folders of its own: forge's cache is not made for two runs with different selections of files.
export FOUNDRY_OUT=cache/artifacts/out FOUNDRY_CACHE_PATH=cache/artifacts
node_modules/.bin/forge build --quiet --skip test
node artifacts.mjs "$FOUNDRY_OUT" "$mode"
