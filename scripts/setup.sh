#!/usr/bin/env bash
# Makes sure that a target's tools are there: uses what exists, lists what is missing, installs that.
#
#   scripts/setup.sh run | mpc | test | test-full | bench | fuzz | image | wasm
#
# Only Debian packages need root: they are installed as root or through sudo; where neither is to be had, the exact
# command is printed and the exit is 3. Everything else lands in ~/.cargo/bin, in node_modules/ and in .jeju/venv.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly target=${1:?usage: scripts/setup.sh run | mpc | test | test-full | bench | fuzz | image | wasm}

main() {
    check_prerequisites
    local packages=(
        'cc build-essential' 'c++ build-essential' 'curl curl' 'zstd zstd'
        'qemu-system-x86_64 qemu-system-x86' 'python3 python3' 'ensurepip python3-venv'
    )
    # An engine and a registry of a test's own, what images are made of, and the client that tenants have.
    local rentals=('dockerd docker.io' 'docker docker.io' 'docker-registry docker-registry' 'busybox busybox-static' 'ssh openssh-client' 'sshd openssh-server')
    case $target in
    run) packages+=('ss iproute2') && cargo_tools=(vhost-device-vsock) ;;
    mpc) packages=('cc build-essential' 'c++ build-essential') && cargo_tools=() ;;
    test) packages+=('nginx nginx-light' 'iasl acpica-tools' 'ip iproute2' 'openssl openssl' "${rentals[@]}") && cargo_tools=(vhost-device-vsock cargo-nextest cargo-deny cargo-fuzz) ;;
    bench) packages+=('socat socat' 'faketime faketime' 'openssl openssl' 'haproxy haproxy' "${rentals[@]}") && cargo_tools=(vhost-device-vsock) ;;
    fuzz) packages=('cc build-essential' 'c++ build-essential') && cargo_tools=(cargo-fuzz) ;;
    # The compiler is for jeju-image itself: what it puts into an image is compiled by that of image/lock.toml.
    image) packages=('cc build-essential' 'c++ build-essential' 'curl curl' 'python3 python3' 'ensurepip python3-venv') && cargo_tools=() ;;
    wasm) packages=('cc build-essential' 'c++ build-essential' 'gzip gzip') && cargo_tools=() ;;
    test-full)
        packages+=(
            'ninja ninja-build' 'pkg-config pkg-config' 'patch patch' 'iasl acpica-tools' 'cbor.h libcbor-dev'
            'gnutls/gnutls.h libgnutls28-dev' 'glib-2.0/glib.h libglib2.0-dev' 'libfdt.h libfdt-dev'
            "${rentals[@]}" 'mkfs.btrfs btrfs-progs' 'mkfs.xfs xfsprogs'
        )
        cargo_tools=(vhost-device-vsock cargo-nextest)
        ;;
    *) echo "setup: unknown target $target" >&2 && exit 2 ;;
    esac
    install_packages "${packages[@]}"
    # These compile; the others wait for the network.
    install_cargo_tools &
    local compiling=$!
    trap "kill $compiling 2>/dev/null || true" EXIT
    case $target in
    run | mpc | bench | test-full) install_npm contracts ;;
    test) install_npm contracts && install_npm e2e ;;
    wasm) install_wasm_target ;;
    esac
    # Debian's own Python has no pip, which fetches the model; e2e's clients come along.
    [[ $target == fuzz || $target == wasm || $target == mpc ]] || install_venv
    wait "$compiling"
    trap - EXIT
}

# What README asks for: not ours to install.
check_prerequisites() {
    local tool
    for tool in cargo node npm git make; do
        command -v "$tool" >/dev/null || fail "$tool is missing; README.md lists what has to be there before"
    done
    local rust node
    rust=$(rustc --version | sed 's/^rustc 1\.\([0-9]*\).*/\1/')
    ((rust >= 95)) || fail "Rust 1.95 or later is needed, this is $(rustc --version): rustup update stable"
    node=$(node --version | sed 's/^v\([0-9]*\).*/\1/')
    ((node >= 20)) || fail "Node 20 or later is needed, this is $(node --version)"
}

# Arguments: "what package" pairs, where `what` is a command, a C header, or the Python module ensurepip.
install_packages() {
    local missing=() entry
    for entry in "$@"; do
        has "${entry% *}" || missing+=("${entry#* }")
    done
    ((${#missing[@]})) || return 0
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
    local command="apt-get install -y --no-install-recommends ${missing[*]}"
    say "missing Debian packages: ${missing[*]}"
    command -v apt-get >/dev/null || fail "this is no Debian system: install what these packages hold"
    local root=()
    if ((EUID != 0)); then
        if ! command -v sudo >/dev/null || ! { sudo -n true 2>/dev/null || [[ -t 0 ]]; }; then
            echo "setup: installing them needs root. Run this, then try again:" >&2
            echo "    sudo sh -c 'apt-get update && $command'" >&2
            exit 3
        fi
        root=(sudo)
    fi
    say "installing: $command"
    "${root[@]}" apt-get update -qq
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive $command >/dev/null
    for entry in "$@"; do
        has "${entry% *}" || fail "${entry#* } is installed, but ${entry% *} is still missing"
    done
}

has() {
    case $1 in
    *.h) [[ -e /usr/include/$1 || -e /usr/include/$(uname -m)-linux-gnu/$1 ]] ;;
    ensurepip) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
    *) command -v "$1" >/dev/null || [[ -x /usr/sbin/$1 ]] ;;
    esac
}

install_cargo_tools() {
    local tool
    for tool in "${cargo_tools[@]}"; do install_cargo_tool "$tool"; done
}

install_cargo_tool() {
    local version features=()
    case $1 in
    vhost-device-vsock) version=0.3.0 ;;
    # Tools that wait or read small files: optimising them would take minutes and win none.
    cargo-nextest) version=0.9.143 && features=(--debug --no-default-features --features default-no-update) ;;
    cargo-deny) version=0.20.2 && features=(--debug) ;;
    cargo-fuzz) version=0.13.2 && features=(--debug) ;;
    esac
    command -v "$1" >/dev/null && [[ $("$1" --version 2>/dev/null) == *"${version}"* ]] && return 0
    case $1 in
    cargo-*) [[ $(cargo "${1#cargo-}" --version 2>/dev/null) == *"${version}"* ]] && return 0 ;;
    esac
    say "installing $1 $version into ${CARGO_HOME:-$HOME/.cargo}/bin (a few minutes)"
    # A folder of their own, shared by them, so that what they have in common is built once.
    CARGO_TARGET_DIR=target/tools cargo install --quiet --locked "${features[@]}" "$1@$version"
}

# The standard library for WebAssembly, from where the toolchain came.
install_wasm_target() {
    local name=wasm32-unknown-unknown
    [[ -d $(rustc --print sysroot)/lib/rustlib/$name ]] && return 0
    command -v rustup >/dev/null || fail "Rust's $name is missing, and there is no rustup to add it"
    say "adding $name to the Rust toolchain"
    rustup target add "$name" || fail "rustup can't add $name"
}

install_npm() {
    local installed=$1/node_modules/.package-lock.json
    [[ -e $installed && ! $1/package-lock.json -nt $installed ]] && return 0
    say "npm ci in $1/"
    npm ci --prefix "$1" --ignore-scripts --no-audit --no-fund --silent
    touch "$installed"
}

install_venv() {
    local stamp=.jeju/venv/requirements.txt
    local wanted=(e2e/requirements.txt image/tests/requirements.txt)
    cat "${wanted[@]}" | cmp -s - "$stamp" && return 0
    say "Python clients into .jeju/venv"
    rm -rf .jeju/venv
    python3 -m venv .jeju/venv
    .jeju/venv/bin/pip install --quiet --disable-pip-version-check "${wanted[@]/#/--requirement=}"
    cat "${wanted[@]}" >"$stamp"
}

say() { echo "setup: $*"; }
fail() { echo "setup: $*" >&2; exit 1; }

main
