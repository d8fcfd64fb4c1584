#!/bin/bash
# How many small Node.js sites a little machine holds: that many tenants, each of which answers once, and then each once
# more, in the same order, which is the worst for who forgets the least recently used. No request may fail, and the kernel
# may kill nobody. Then, when none of them is awake, all of them at once, within a second, while a neighbour is visited 10
# times a second. Prints rows for docs/benchmarks.md. Needs curl, jq and python3.
# usage: benches/crowd.sh KENNEL.raw [tenants [memory]]      (150 and 1G)
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,/^# usage/s/^# //p' "$0" >&2; exit 64; }
image=$(realpath "$1") tenants=${2:-150} memory=${3:-1G}
cd "$(dirname "$0")/.."
work=$(mktemp -d)
. benches/host.sh
trap 'host_stop; rm -rf "$work"' EXIT

states() { "$kennel" --json tenant ls | jq -r '.[].state' | sort | uniq -c | awk '{ printf "%s%s %s", n++ ? ", " : "", $1, $2 }'; }
kills() { grep -c "Out of memory\|oom-kill" "$host_state/console.log" || true; }

host_start "$image" --memory "$memory"
names=()
for n in $(seq "$tenants"); do
    host_tenant "site-$n" node-24 examples/node-hello
    visit "$web_port" "site-$n" >> "$work/first"
    names+=("site-$n")
done
echo "$tenants tenants in $memory: $(failures "$work/first") first visits failed; now $(states)"
visit "$web_port" "${names[@]}" > "$work/second"
echo "second visits: $(failures "$work/second") failed, p50 $(awk '{ print $2 * 1000 }' "$work/second" | percentile 50) ms," \
    "worst $(awk '{ print $2 * 1000 }' "$work/second" | percentile 100) ms; now $(states); $(kills) killed by the kernel"
"$kennel" host status >&2

host_tenant page node-24 examples/node-hello --no-freeze
client() { python3 benches/neighbour/client.py page "$web_port" page.localhost "$1" 10; }
while "$kennel" --json tenant ls | jq -e 'any(.[]; .name != "page" and .state == "running")' > /dev/null; do sleep 5; done
echo "before the crowd: $(states)"
client 5 > /dev/null
client 20 > "$work/quiet"
client 60 > "$work/during" &
sleep 2
visit_at_once "$web_port" "${names[@]}" > "$work/crowd"
wait
echo "answers: $(answers "$work/crowd") (000: none in time)"
grep -v failed "$work/quiet" | percentile 99 > "$work/a"
grep -v failed "$work/during" | percentile 99 > "$work/b"
echo "all at once: $(failures "$work/crowd") of $(wc -l < "$work/crowd") failed," \
    "worst $(awk '{ print $2 * 1000 }' "$work/crowd" | percentile 100) ms; a warm neighbour's p99 $(cat "$work/a") ms quiet," \
    "$(cat "$work/b") ms during it; $(kills) killed by the kernel"
