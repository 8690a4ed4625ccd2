#!/usr/bin/env bash
# Moves image/lock.toml to what Debian offers today, then everything that follows from it: the kernel, and the
# measurements that auditors expect. `make lock-update`; one commit takes all of it.
#
#   scripts/lock-update.sh              all of that
#   scripts/lock-update.sh --lock-only  image/lock.toml alone
#
# Needs apt-get and Debian's archive keys, no root: package lists are kept in a folder of this script's own, and apt
# checks their signatures. What a build downloads later is checked by the digests that are written here.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly lock=image/lock.toml
# name, URL path below a mirror, suites
readonly repositories=(
    'debian bookworm bookworm-updates'
    'debian-security bookworm-security'
)
# Each group with what it needs, without recommended packages: the build of the node, and that of the kernel.
readonly base='bash coreutils dash diffutils findutils grep gzip mawk sed tar'
readonly node="$base rustc-web cargo-web gcc libc6-dev"
readonly kernel="$base gcc libc6-dev make flex bison bc perl zstd xz-utils patch acpica-tools libelf-dev libssl-dev linux-source-6.12"
readonly keyring=/usr/share/keyrings/debian-archive-keyring.gpg
readonly mirror=${DEBIAN_MIRROR:-http://deb.debian.org}

main() {
    local mode=${1:-}
    case $mode in '' | --lock-only) ;; *) echo "usage: scripts/lock-update.sh [--lock-only]" >&2 && exit 2 ;; esac
    [[ -e $keyring ]] || fail "$keyring is missing: apt-get install debian-archive-keyring"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    private_apt
    write_lock >"$work/lock.toml"
    mv "$work/lock.toml" "$lock"
    echo "lock-update: $(grep -c '^\[\[package\]\]' "$lock") packages in $lock"
    [[ $mode == --lock-only ]] && return 0

    cargo build --locked --release -p jeju-image
    target/release/jeju-image kernel build --accept
    # What follows from the lock and the kernel.
    [[ ! -x scripts/expected-update.sh ]] || scripts/expected-update.sh
}

# An apt that knows the suites of the lock and no installed package, so that the closure is whole.
private_apt() {
    mkdir -p "$work"/{state/lists/partial,cache/archives/partial,etc/preferences.d}
    : >"$work/status"
    local repository name suites suite
    for repository in "${repositories[@]}"; do
        read -r name suites <<<"$repository"
        for suite in $suites; do
            echo "deb [signed-by=$keyring] $mirror/$name $suite main"
        done
    done >"$work/sources.list"
    cat >"$work/apt.conf" <<CONF
Dir "$work";
Dir::State "state";
Dir::State::status "$work/status";
Dir::Cache "cache";
Dir::Etc "etc";
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Parts "/dev/null";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Languages "none";
CONF
    export APT_CONFIG=$work/apt.conf LC_ALL=C
    apt-get update -qq
}

write_lock() {
    cat <<HEAD
# Debian packages that builds run in, by SHA-256. Written by \`make lock-update\`; rust crates are in Cargo.lock.
format = "jeju-image-lock/1"
# When the package lists were read: a snapshot archive of that time has every package.
time = "$(date -u +%Y%m%dT%H%M%SZ)"
HEAD
    local repository name suites
    for repository in "${repositories[@]}"; do
        read -r name suites <<<"$repository"
        printf '\n[[repository]]\nname = "%s"\nsuites = [%s]\n' "$name" "$(sed 's/[^ ]*/"&"/g; s/ /, /g' <<<"$suites")"
    done
    closure $node >"$work/node"
    closure $kernel >"$work/kernel"
    # One description per package: that of the version which apt would install.
    sort -u "$work/node" "$work/kernel" | while IFS== read -r name version; do
        local groups=()
        for group in node kernel; do
            grep -qxF "$name=$version" "$work/$group" && groups+=("\"$group\"")
        done
        apt-cache show "$name=$version" | describe "$(IFS=,; sed 's/,/, /g' <<<"${groups[*]}")"
    done
}

# The packages to install for the given ones, as name=version.
closure() {
    apt-get install --simulate -y "$@" | sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1=\2/p'
}

# A [[package]] table from the first paragraph of `apt-cache show`.
describe() {
    awk -v groups="$1" '
        /^$/ { exit }
        /^[A-Z][A-Za-z0-9-]*: / { key = $1; sub(/:$/, "", key); value[key] = $2 }
        END {
            # Updates of a suite are in the same pool; security has its own.
            repository = value["Filename"] ~ /^pool\/updates\// ? "debian-security" : "debian"
            printf "\n[[package]]\nname = \"%s\"\nversion = \"%s\"\narchitecture = \"%s\"\nrepository = \"%s\"\n", \
                value["Package"], value["Version"], value["Architecture"], repository
            printf "path = \"%s\"\nsize = %s\nsha256 = \"%s\"\ngroups = [%s]\n", \
                value["Filename"], value["Size"], value["SHA256"], groups
        }'
}

fail() { echo "lock-update: $*" >&2; exit 1; }

main "$@"
