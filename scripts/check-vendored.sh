#!/usr/bin/env bash
# Shows that third_party/russh/src is what the registry has under that name and version, with changes.patch applied, and
# nothing else; and that third_party/web-streams-polyfill is what npm has.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly name=russh version=0.65.1
# As in third_party/russh/README.md.
readonly digest=94be3d86c71b9ed220a675c405e35c7a02565a009bf8da2e9cc13a700320a5c5

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src" && touch "$work/src/lib.rs"
cat >"$work/Cargo.toml" <<TOML
[package]
name = "vendored"
version = "0.0.0"
edition = "2024"
[dependencies]
$name = { version = "=$version", default-features = false, features = ["aws-lc-rs"] }
[workspace]
TOML
cargo fetch --quiet --target x86_64-unknown-linux-gnu --manifest-path "$work/Cargo.toml"
crate=$(find "${CARGO_HOME:-$HOME/.cargo}/registry/cache" -name "$name-$version.crate" -print -quit)
echo "$digest  $crate" | sha256sum --check --quiet
grep -q "$digest" "third_party/$name/README.md"
tar -xzf "$crate" -C "$work"
(cd "$work/$name-$version" && git apply) <"third_party/$name/changes.patch"
diff -r "$work/$name-$version/src" "third_party/$name/src"
echo "vendored: $name $version with its patch, nothing else"

# npm checks what it gets against the digest that its registry names.
readonly package=web-streams-polyfill@4.3.0
(cd "$work" && npm pack --silent "$package" >/dev/null && tar -xzf web-streams-polyfill-*.tgz)
for file in dist/ponyfill.js LICENSE; do
    cmp "$work/package/$file" "third_party/web-streams-polyfill/$(basename "$file")"
done
echo "vendored: $package, unchanged"
