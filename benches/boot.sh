#!/bin/bash
# From power-on to the first HTTP answer on port 80, whatever its status: our image beside Debian 13 with the same cloud
# kernel, systemd and nginx (benches/debian-image.sh), in the same QEMU with the flags of `kennel run`, taking turns.
# One boot of each is not counted: it warms the page cache, and ours formats its data disk. Prints rows for
# docs/benchmarks.md, then the stages of our last boot as its console tells them.
# usage: benches/boot.sh KENNEL.raw DEBIAN.raw [rounds]     (KENNEL_ACCEL=kvm where that works)
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,/^# usage/s/^# //p' "$0" >&2; exit 64; }
kennel=$(realpath "$1") debian=$(realpath "$2") rounds=${3:-5}
accel=${KENNEL_ACCEL:-tcg} deadline_s=300
case $accel in
    tcg) processor=(-accel "tcg,thread=multi" -cpu "max,-cx16") ;;
    kvm) processor=(-accel kvm -cpu max) ;;
    *) echo "error: KENNEL_ACCEL is tcg or kvm" >&2; exit 64 ;;
esac
firmware=/usr/share/OVMF
[ -e "$firmware/OVMF_CODE_4M.fd" ] && size=_4M || size=

# Nobody listens there yet.
port=$(for p in $(seq 18490 18590); do (: > "/dev/tcp/127.0.0.1/$p") 2>/dev/null || { echo "$p"; break; }; done)

work=$(mktemp -d)
qemu=
stop() { [ -z "$qemu" ] || { kill "$qemu" 2>/dev/null || true; wait "$qemu" 2>/dev/null || true; qemu=; }; }
trap 'stop; rm -rf "$work"' EXIT

now_ms() { date +%s%3N; }

boot() { # name, image: boots it, answers the milliseconds
    local name=$1 image=$2 began
    [ -e "$work/$name.data" ] || truncate -s 1G "$work/$name.data"
    cp "$firmware/OVMF_VARS$size.fd" "$work/$name.vars"
    began=$(now_ms)
    qemu-system-x86_64 -nodefaults -no-user-config -display none -machine q35 "${processor[@]}" -m 1G -smp 2 \
        -drive "if=pflash,unit=0,format=raw,file=$firmware/OVMF_CODE$size.fd,readonly=on" \
        -drive "if=pflash,unit=1,format=raw,file=$work/$name.vars" \
        -drive "if=none,id=image,format=raw,file=$image,snapshot=on" -device virtio-blk-pci,drive=image,bootindex=0 \
        -drive "if=none,id=data,format=raw,file=$work/$name.data" -device virtio-blk-pci,drive=data \
        -netdev "user,id=net,hostfwd=tcp:127.0.0.1:$port-:80" -device virtio-net-pci,netdev=net,romfile= \
        -device virtio-rng-pci -serial "file:$work/$name.console" 2> "$work/$name.qemu" &
    qemu=$!
    until curl -s -o "$work/page" --max-time 2 "http://127.0.0.1:$port/"; do
        kill -0 "$qemu" 2>/dev/null || { echo "error: QEMU ended while booting $name: $(cat "$work/$name.qemu")" >&2; exit 1; }
        if [ $(($(now_ms) - began)) -gt $((deadline_s * 1000)) ]; then
            echo "error: no answer from $name within $deadline_s s; its console ends with:" >&2
            tail -n 20 "$work/$name.console" >&2
            exit 1
        fi
        sleep 0.05
    done
    took=$(($(now_ms) - began))
    stop
}

for name in kennel debian; do
    boot "$name" "${!name}"
    echo "not counted: $name $took ms" >&2
done
for _ in $(seq "$rounds"); do
    for name in kennel debian; do
        boot "$name" "${!name}"
        echo "$took" >> "$work/$name.times"
        echo "$name $took ms" >&2
    done
done

median() { sort -n "$work/$1.times" | awk '{ t[NR] = $1 } END { print t[int((NR + 1) / 2)] }'; }
echo "| image ($accel, 2 processors, 1 GiB) | fastest, s | median, s | slowest, s | of Debian's median |"
echo "|---|---|---|---|---|"
for name in kennel debian; do
    sort -n "$work/$name.times" | awk -v name="$name" -v median="$(median "$name")" -v debian="$(median debian)" '
        { t[NR] = $1 }
        END { printf "| %s | %.1f | %.1f | %.1f | %.2f |\n", name, t[1] / 1e3, median / 1e3, t[NR] / 1e3, median / debian }'
done
echo
grep -a -o 'init: \[.*' "$work/kennel.console" || true
