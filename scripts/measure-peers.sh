#!/usr/bin/env bash
# Compares the launch values that jeju-image computes with those of other programs, for our own firmware and kernel.
#
#   scripts/measure-peers.sh          virtee/sev-snp-measure (Python, from .jeju/venv)
#   scripts/measure-peers.sh crate    the `sev` crate as well: some minutes of building (image/peers)
#
# JEJU_PROGRAMS: a folder with examples/launch_values, which is built otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
'' | crate) ;;
*) echo 'usage: scripts/measure-peers.sh [crate]' >&2 && exit 2 ;;
esac
python=.jeju/venv/bin/python
[[ -x $python ]] && "$python" -c 'import sevsnpmeasure' 2>/dev/null || scripts/setup.sh image

[[ -n ${JEJU_PROGRAMS:-} ]] || cargo build --quiet --locked -p jeju-image --example launch_values
"$python" image/tests/peers.py "${JEJU_PROGRAMS:-${CARGO_TARGET_DIR:-target}/debug}/examples/launch_values"
if [[ ${1:-} == crate ]]; then
    cargo test --quiet --locked --manifest-path image/peers/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}/peers"
fi
