#!/usr/bin/env bash
# Verification of genuine evidence: ours, peers' and the bare signatures, one core, in one run. Prints medians and ratios.
set -euo pipefail
cd "$(dirname "$0")"

vectors=${JEJU_VECTORS:-../../../shared/vectors}
[[ -d $vectors ]] || { echo "bench: no genuine evidence in $vectors" >&2; exit 1; }

# The built file of a bench: cargo names it.
built() {
    cargo bench --quiet --locked --no-run --bench "$1" --message-format json |
        python3 -c 'import json, sys
for line in sys.stdin:
    if (found := json.loads(line).get("executable")): print(found)'
}
verify=$(built verify)
peer=$(built nitro_peer)
rm -rf target/criterion
core=(taskset -c 0)
"${core[@]}" "$verify" --bench --quiet >/dev/null
# 2022-10-13 09:00 UTC: inside the three hours of the document's certificate.
FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1 "${core[@]}" faketime -f '2022-10-13 09:00:00' "$peer" --bench --quiet >/dev/null

python3 - <<'END'
import json, pathlib

def median(group, name):
    for path in pathlib.Path("target/criterion").rglob("new/benchmark.json"):
        bench = json.loads(path.read_text())
        if (bench["group_id"], bench["function_id"]) == (group, name) or bench["full_id"] == f"{group}/{name}":
            return json.loads((path.parent / "estimates.json").read_text())["median"]["point_estimate"] / 1000
    raise SystemExit(f"no measurement of {group}/{name}")

rows = [
    ("tdx", "cold", "tdx: 9 P-256", "dcap-qvl (ring)"),
    ("tdx", "warm", "tdx warm: 2 P-256", None),
    ("snp", "cold", "snp: 3 RSA-4096 + 1 P-384", "sev (nossl)"),
    ("snp", "warm", "snp warm: 1 P-384", None),
    ("nitro", "cold", "nitro: 5 P-384", "attestation-doc-validation"),
    ("nitro", "warm", "snp warm: 1 P-384", None),
]
for kind, what, limit, peer in rows:
    ours, bare = median(kind, what), median("limit", limit)
    line = f"{kind:5} {what:4} {ours:7.0f} µs   {ours / bare:5.2f} x {limit.split(': ')[1]} ({bare:.0f} µs)"
    if peer:
        theirs = median(kind, peer)
        line += f"   {ours / theirs:5.2f} x {peer} ({theirs:.0f} µs)"
    print(line)
END
