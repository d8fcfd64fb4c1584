#!/bin/bash
# What a visitor waits for when the program sleeps: the time to the first byte of a page of examples/node-hello (or of the
# folder PROGRAM, whose server.js prints a line when it listens and ends at SIGTERM) that is warm, frozen, reclaimed (its
# memory in zram) and stopped, taking turns in one machine, beside a bare start of the same `node server.js` in it, which no
# proxy and no init has a part in. Then what idle programs cost: memory for each of so many that are reclaimed, and for each
# tenant that is registered and stopped; 0 leaves that out. Prints rows for docs/benchmarks.md. Times are the client's here,
# of the bare start the machine's own. Needs curl and jq.
# usage: benches/idle.sh KENNEL.raw [rounds [reclaimed [registered]]]     (15, 20 and 200; `kennel run` options in HOST_OPTIONS)
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,/^# usage/s/^# //p' "$0" >&2; exit 64; }
program=$(realpath "${PROGRAM:-$(dirname "$0")/../examples/node-hello}")
image=$(realpath "$1") rounds=${2:-15} reclaimed=${3:-20} registered=${4:-200}
cd "$(dirname "$0")/.."
work=$(mktemp -d)
. benches/host.sh
trap 'host_stop; rm -rf "$work"' EXIT

figure() { percentile "$2" < "$work/$1"; }
# What the kernel has charged to tenants who sleep, and zram's memory; not what is charged to nobody.
charged() {
    local own zram
    own=$("$kennel" --json top | jq '[.tenants[] | select(.tenant | startswith("sleeper-")) | .holds.resident] | add // 0')
    zram=$("$kennel" --json host status | jq .swap.zram_memory_bytes)
    echo $((own + zram))
}

host_start "$image" ${HOST_OPTIONS:-}
# Nothing happens but what is asked for here.
awake=(--freeze-after never --reclaim-after never --stop-after never)
host_tenant hello node-24 "$program" "${awake[@]}"
first_byte_ms hello / > /dev/null
host_bare "$program" --memory 512M "${awake[@]}"
for _ in $(seq "$rounds"); do
    for depth in frozen reclaimed stopped; do
        sleeps hello $depth
        # No visitor comes while the host is still busy with putting it to sleep.
        sleep 2
        first_byte_ms hello / >> "$work/$depth"
        # The request that woke it has paid for what it touched; these find it warm.
        for _ in 1 2 3; do first_byte_ms hello / >> "$work/warm"; done
    done
    sleep 2
    host_bare_start_ms >> "$work/bare_start"
done
echo "| to the first byte | p50, ms | p99 or worst | p50 to warm p50 | to a bare start's p50 |"
echo "|---|---|---|---|---|"
for what in warm frozen reclaimed stopped bare_start; do
    awk -v what="$what" -v p50="$(figure $what 50)" -v p99="$(figure $what 99)" \
        -v warm="$(figure warm 50)" -v bare="$(figure bare_start 50)" \
        'BEGIN { printf "| %s | %.0f | %.0f | %.2f | %.2f |\n", what, p50, p99, p50 / warm, p50 / bare }'
done

[ "$reclaimed" -gt 0 ] || exit 0
for n in $(seq "$reclaimed"); do
    host_tenant "sleeper-$n" node-24 examples/node-hello "${awake[@]}"
done
first_byte_ms hello / > /dev/null
sleep 5
before=$(host_available) charged_before=$(charged)
for n in $(seq "$reclaimed"); do
    first_byte_ms "sleeper-$n" / > /dev/null
    sleeps "sleeper-$n" reclaimed
done
sleep 5
echo "each of $reclaimed reclaimed tenants: $(((before - $(host_available)) / reclaimed / 1024)) KiB"
echo "of that zram and charged to them: $((($(charged) - charged_before) / reclaimed / 1024)) KiB"
"$kennel" host status | grep -i swap
[ "$registered" -gt 0 ] || exit 0
before=$(host_available)
for n in $(seq "$registered"); do
    "$kennel" -q tenant add "registered-$n" --runtime node-24 --domain "registered-$n.localhost" >&2
done
sleep 5
echo "each of $registered registered tenants: $(((before - $(host_available)) / registered / 1024)) KiB"
