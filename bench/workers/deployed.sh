#!/bin/sh
# What a whole node takes for 10,000 deployed workers of 1,000 owners, none of which runs; on a node of this checkout that
# runs as processes, after they were deployed and after a start from the sealed store. The promise is 256 MiB. Several minutes.
set -eu
cd "$(dirname "$0")/../.."
cargo test --release --locked --package jeju-enclave --test workers_abuse -- --ignored --nocapture ten_thousand_workers_that_do_not_run
