#!/bin/bash
# What a tenant's page suffers from a neighbour that takes all it can get: each act in turn, for some seconds, and as long
# a quiet time directly before it, at 10 requests a second with a connection each. The host has one processor, which all
# must share; two emulated ones would take turns on one thread, whatever the guest's scheduler decides. Prints rows for
# docs/benchmarks.md. The page is to stay within twice its quiet 99th percentile. Needs python3 and curl.
# usage: benches/neighbour.sh KENNEL.raw [seconds [act…]]
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,/^# usage/s/^# //p' "$0" >&2; exit 64; }
image=$(realpath "$1") seconds=${2:-60}
shift $(($# > 1 ? 2 : 1))
[ $# -gt 0 ] || set -- processor processes memory disk files descriptors log connections download slow idle
cd "$(dirname "$0")/.."
work=$(mktemp -d)
. benches/host.sh
trap 'host_stop; rm -rf "$work"' EXIT
host_start "$image" --cpus 1
host_tenant page node-24 examples/node-hello
host_tenant bad node-24 benches/neighbour --no-freeze

client() { python3 benches/neighbour/client.py "$1" "$web_port" "$2.localhost" "$3" "$4"; }
ask() { curl -s -o "$work/answer" --max-time "$2" -H "Host: bad.localhost" "http://127.0.0.1:$web_port$1" || true; }
# An act that ended its program is begun again until the time is over.
misbehave() { # act
    local end=$((SECONDS + seconds)) left
    while left=$((end - SECONDS)) && [ $left -gt 0 ]; do
        case $1 in
            download) client "$1" bad "$left" 20 ;;
            slow | idle) client "$1" bad "$left" 200 ;;
            *) ask "/act/$1?seconds=$left" $((left + 5)) ;;
        esac
        sleep 0.2
    done
}
percentile() { # file, percent
    grep -v failed "$1" | sort -n | awk -v p="$2" '
        { t[NR] = $1 }
        END { n = int(NR * p / 100 + 0.999999); if (n > NR) n = NR; print t[n] }'
}

client page page 5 4 > "$work/warm"
ask / 60
echo "| the neighbour's act | quiet p50, ms | quiet p99 | during it p50 | p99 | p99 to quiet p99 | not answered |"
echo "|---|---|---|---|---|---|---|"
for act in "$@"; do
    client page page "$seconds" 10 > "$work/quiet"
    misbehave "$act" &
    sleep 1
    client page page $((seconds - 2)) 10 > "$work/during"
    wait $!
    awk -v act="$act" -v a="$(percentile "$work/quiet" 50)" -v b="$(percentile "$work/quiet" 99)" \
        -v c="$(percentile "$work/during" 50)" -v d="$(percentile "$work/during" 99)" \
        -v failed="$(grep -c failed "$work/during" || true)" \
        'BEGIN { printf "| %s | %.0f | %.0f | %.0f | %.0f | %.1f | %s |\n", act, a, b, c, d, d / b, failed }'
    # What the act left behind ends before the next is measured.
    sleep 3
done
