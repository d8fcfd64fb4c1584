#!/bin/bash
# From power-on to the first HTTP answer: our image beside Debian 13 with the same cloud kernel, systemd and nginx
# (benches/debian-image.sh), in the same QEMU with the flags of `kennel run`, taking turns. Debian's answer is nginx's
# page. Ours are two: the proxy's own page for a name that it does not know, and then the page of a tenant whose
# program, Node.js, starts for this request. Before that, one boot of each is not counted: it warms the page cache, and
# ours formats its data disk and gets its tenant. Prints rows for docs/benchmarks.md, then the stages of our last boot
# as its console tells them. Beside the time stands how long QEMU computed in it, which does not depend on what else the
# machine does; without the waiting, though; and how much was read from the image's disk until then, as QEMU counts it: on
# EC2 a block's first read is slow. Needs curl, jq, OVMF, qemu-system-x86_64 and a built `kennel`.
# usage: benches/boot.sh KENNEL.raw DEBIAN.raw [rounds]     (KENNEL_ACCEL=kvm where that works)
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,/^# usage/s/^# //p' "$0" >&2; exit 64; }
image_kennel=$(realpath "$1") image_debian=$(realpath "$2") rounds=${3:-5}
cd "$(dirname "$0")/.."
accel=${KENNEL_ACCEL:-tcg} deadline_s=300
work=$(mktemp -d)
. benches/host.sh
# For the page, and for QEMU's QMP.
port=$(free 18490) qmp_port=$(free 18600)
trap 'machine_stop; host_stop 2>/dev/null; rm -rf "$work"' EXIT

now_ms() { date +%s%3N; }

# Asks for a page of $2 with the options behind, until curl is content; $began + the deadline is the end.
answered() { # name of the image, Host
    local name=$1 host=$2
    shift 2
    until curl -s -o "$work/page" --max-time 100 -H "Host: $host" "$@" "http://127.0.0.1:$port/"; do
        kill -0 "$qemu" 2>/dev/null || { echo "error: QEMU ended while booting $name: $(cat "$work/$name.qemu")" >&2; exit 1; }
        if [ $(($(now_ms) - began)) -gt $((deadline_s * 1000)) ]; then
            echo "error: no answer from $name within $deadline_s s; its console ends with:" >&2
            tail -n 20 "$work/$name.console" >&2
            exit 1
        fi
        sleep 0.05
    done
    took=$(($(now_ms) - began))
    # Fields 14 and 15: what QEMU computed so far, in hundredths of a second, in user and in kernel mode.
    computed=$(awk '{ sub(/.*\) /, ""); print 10 * ($12 + $13) }' "/proc/$qemu/stat")
    read_bytes=$(image_reads)
}

# Bytes that the machine has read from the image's disk.
image_reads() {
    local greeting ready answer
    exec {qmp}<> "/dev/tcp/127.0.0.1/$qmp_port"
    printf '{"execute":"qmp_capabilities"}\n{"execute":"query-blockstats"}\n' >&$qmp
    read -r -t 10 -u "$qmp" greeting && read -r -t 10 -u "$qmp" ready && read -r -t 10 -u "$qmp" answer
    exec {qmp}>&-
    jq '.return[] | select(.device == "image") | .stats.rd_bytes' <<< "$answer"
}

boot() { # name, image: boots it and notes the milliseconds
    local name=$1 image=$2 more=()
    # Debian needs no second disk, and names its root by the order in which disks are found.
    [ "$name" = debian ] || more=(-fw_cfg "name=opt/org.kennel/user-data,file=$host_state/user-data"
        -drive "if=none,id=data,format=raw,file=$work/data,snapshot=on" -device virtio-blk-pci,drive=data)
    began=$(now_ms)
    machine "$name" "$image" 1G 2 "hostfwd=tcp:127.0.0.1:$port-:80" -qmp "tcp:127.0.0.1:$qmp_port,server=on,wait=off" "${more[@]}"
    answered "$name" nobody.localhost
    note "$name" "first answer" "$took" "$computed" "$read_bytes"
    if [ "$name" = kennel ]; then
        answered "$name" hello.localhost --fail
        note "$name" "tenant's page" "$took" "$computed" "$read_bytes"
    fi
    machine_stop
}

note() { # image, what, milliseconds, milliseconds computed, bytes read
    [ -z "$counted" ] || { echo "$3" >> "$work/$1, $2"; echo "$4" >> "$work/$1, $2, computed"; echo "$5" >> "$work/$1, $2, read"; }
    echo "${counted:-not counted: }$1, $2: $3 ms, of which QEMU computed for $4 ms; $5 bytes read" >&2
}

# Our host gets its tenant, and is shut down in order.
host_start "$image_kennel" --accel "$accel" --data-size 1G
host_tenant hello node-24 examples/node-hello
"$kennel" host status >&2
host_stop
mv "$host_state/data.raw" "$work/data"
counted=
boot debian "$image_debian"
counted=" "
for _ in $(seq "$rounds"); do
    boot kennel "$image_kennel"
    boot debian "$image_debian"
done

median() { sort -n "$work/$1" | awk '{ t[NR] = $1 } END { print t[int((NR + 1) / 2)] }'; }
echo "| $rounds boots, $accel, 2 processors, 1 GiB | fastest, s | median, s | slowest, s | computed, median, s | of Debian's | computed | read, median, MiB |"
echo "|---|---|---|---|---|---|---|---|"
for name in "kennel, first answer" "kennel, tenant's page" "debian, first answer"; do
    sort -n "$work/$name" | awk -v name="$name" -v median="$(median "$name")" -v computed="$(median "$name, computed")" -v read="$(median "$name, read")" \
        -v d="$(median "debian, first answer")" -v dc="$(median "debian, first answer, computed")" '
        { t[NR] = $1 }
        END { printf "| %s | %.1f | %.1f | %.1f | %.1f | %.2f | %.2f | %.1f |\n", name, t[1] / 1e3, median / 1e3, t[NR] / 1e3,
              computed / 1e3, median / d, computed / dc, read / 1048576 }'
done
echo
grep -a -o 'init: \[.*' "$work/kennel.console" || true
