#!/usr/bin/env bash
# Boots enclave images on QEMU's `nitro-enclave` machine, which scripts/qemu-nitro.sh builds: a test guest's, and the node's
# own. What their Nitro Secure Module reports must be as predicted, and be refused, since an emulator signs nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

qemu=$(scripts/qemu-nitro.sh)
cargo build --quiet --locked -p jeju-image -p jeju-client
programs=${CARGO_TARGET_DIR:-$PWD/target}/debug
"$programs/jeju-image" build --platform nitro --out target/nitro-image
# A release build takes a chain only from endpoints with a certificate of the public web.
target=x86_64-unknown-linux-gnu
RUSTFLAGS='-Ctarget-feature=+crt-static -Crelocation-model=static' cargo build --quiet --locked --release --target "$target" \
    --target-dir target/nitro-node -p jeju-enclave --features sim
JEJU_QEMU_NITRO=$qemu JEJU_NITRO_IMAGE=$PWD/target/nitro-image JEJU_CLIENT=$programs/jeju \
    JEJU_NITRO_DEVELOPMENT_NODE=$PWD/target/nitro-node/$target/release/jeju-enclave \
    JEJU_ANVIL=$PWD/contracts/node_modules/.bin/anvil \
    cargo test --quiet --locked -p jeju-image --test nitro -- --ignored
