#!/usr/bin/env bash
# Runs one of the Python scripts next to it, in a virtual environment with llama.cpp, on the pinned model.
#
#   bench/inference/run.sh golden.py check     is the committed golden file what llama.cpp says here?
#   bench/inference/run.sh golden.py write     makes the golden file anew
#   bench/inference/run.sh compare.py          speed and memory next to llama.cpp, as JSON
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../target}
environment=$target/llama-cpp-venv
model=${JEJU_MODEL:-$here/../../target/models/smollm2-135m-instruct-q4_1.gguf}

"$here/fetch-model.sh" "$model" >&2
if ! cmp --silent "$here/requirements.txt" "$environment/requirements.txt"; then
    python3 -m venv --clear "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$environment/requirements.txt"
fi
script=$1
shift
JEJU_MODEL=$model exec "$environment/bin/python" "$here/$script" "$@"
