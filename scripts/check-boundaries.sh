#!/usr/bin/env bash
# Compares what each package of the workspace depends on (without its tests) with boundaries.txt.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t ours < <(cargo metadata --no-deps --format-version 1 --locked --offline |
    python3 -c 'import json, sys; print("\n".join(p["name"] for p in json.load(sys.stdin)["packages"]))')

broken=0 checked=0 forbidden=()
while IFS=: read -r package rule; do
    [[ $package == \#* || -z $package ]] && continue
    [[ " ${ours[*]} " == *" $package "* ]] || { echo "boundaries.txt: no package $package" >&2; exit 1; }
    # Every feature but those of other packages: what may ever be built into it.
    found=$(cargo tree --locked --offline --package "$package" --edges normal --all-features --prefix none --format '{lib}|{p}' |
        sed 's/^[^|]*|\([^ ]*\).*/\1/' | sort -u)
    for name in $rule; do
        case $name in
        @ours) forbidden+=("${ours[@]}") ;;
        !*) mapfile -t forbidden < <(printf '%s\n' "${forbidden[@]}" | grep -vxF "${name#!}") ;;
        *) forbidden+=("$name") ;;
        esac
    done
    for name in "${forbidden[@]}"; do
        if [[ $name != "$package" ]] && grep -qxF "$name" <<<"$found"; then
            echo "$package depends on $name, which boundaries.txt forbids:" >&2
            cargo tree --locked --offline --package "$package" --edges normal --all-features --invert "$name" >&2 || true
            broken=1
        fi
    done
    forbidden=()
    checked=$((checked + 1))
done <scripts/boundaries.txt
((broken == 0)) && echo "boundaries: $checked packages keep to the table"
