#!/bin/sh
# Tests FrostWallet behind the entry point of ERC-4337 itself. Its bytecode is fetched from npm for the test alone, by digest: its
# sources are under the GPL, so nothing of it is kept here or built into anything.
set -eu
cd "$(dirname "$0")"

readonly package=@account-abstraction/contracts@0.8.0
readonly file=account-abstraction-contracts-0.8.0.tgz
readonly sha512=f24acfc7f8299e84fee7102ba1a81509b780ec56d48a031959714a28f9bea20872af6f4392cb2c771e6c23bc46bfddb5da2e093da0c3506164e7c769bb05601c

folder=cache/entry-point
mkdir -p "$folder"
if [ ! -f "$folder/EntryPoint.json" ]; then
    (cd "$folder" && npm pack --silent --ignore-scripts "$package" >/dev/null && echo "$sha512  $file" | sha512sum --check --quiet &&
        tar -xzf "$file" --strip-components 2 package/artifacts/EntryPoint.json && rm "$file")
fi
[ -x node_modules/.bin/forge ] || npm ci --ignore-scripts --silent
# Folders of its own: forge's cache is not made for two runs with different selections of files.
export FOUNDRY_OUT="$folder/out" FOUNDRY_CACHE_PATH="$folder" FOUNDRY_TEST=entry-point
node_modules/.bin/forge test "$@"
