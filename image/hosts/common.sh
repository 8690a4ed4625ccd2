# Sourced by tdx.sh, snp.sh and nitro.sh: options, and what all three check before they start anything.

usage() {
    echo "usage: ${0##*/} IMAGE LAUNCH.toml [--cpus N] [--memory MIB] [--cid N] [--print] $*" >&2
    exit 2
}

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# Sets image, launch, cpus, memory, cid, print, and digest: the launch document's SHA-256 in hexadecimal.
parse_options() {
    image=$1 launch=$2 cpus=2 memory=2048 cid=16 print=
    shift 2
    while (($#)); do
        case $1 in
        --print) print=1 && shift ;;
        --cpus | --memory | --cid)
            [[ ${2-} =~ ^[1-9][0-9]{0,6}$ ]] || fail "$1 wants a number"
            printf -v "${1#--}" %s "$2"
            shift 2
            ;;
        *) fail "unknown option $1" ;;
        esac
    done
    [[ -f $image/manifest.json ]] || fail "$image is no image folder: it has no manifest.json"
    [[ -f $launch ]] || fail "$launch is not a file"
    digest=$(sha256sum <"$launch" | cut -d' ' -f1)
}

# Refuses a folder that was built for another platform.
check_platform() {
    grep -q "\"platform\": \"$1\"" "$image/manifest.json" || fail "$image was not built with --platform $1"
}

# Hexadecimal to base64, as QEMU takes its identifiers.
base64_of() {
    printf '%b' "$(sed 's/../\\x&/g' <<<"$1")" | base64 -w0
}

# Runs a command, or prints it so that a shell can read it again.
start() {
    echo "launch document $digest" >&2
    if [[ $print ]]; then
        printf '%q ' "$@"
        echo
    else
        exec "$@"
    fi
}
