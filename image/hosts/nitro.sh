#!/usr/bin/env bash
# Starts an image as an AWS Nitro enclave. Needs an EC2 instance with enclaves switched on and the Nitro CLI. docs/hosts.md
# has the whole guide. The launch document is bound by PCR16, which the enclave extends itself: nothing about it is given here.
set -euo pipefail
# shellcheck source=image/hosts/common.sh
source "$(dirname "$0")/common.sh"

(($# >= 2)) || usage
parse_options "$@"
check_platform nitro

start "${JEJU_NITRO_CLI:-nitro-cli}" run-enclave \
    --eif-path "$image/image.eif" --cpu-count "$cpus" --memory "$memory" --enclave-cid "$cid"
