#!/bin/sh
# How many of its requests a worker completes while another owner's workers loop, take memory, and flood; on a node of this
# checkout that runs as processes, on this machine. The promise is 0.8 of what it completes alone.
set -eu
cd "$(dirname "$0")/../.."
cargo test --release --package jeju-enclave --test workers_abuse -- --ignored --nocapture what_a_neighbour_keeps
