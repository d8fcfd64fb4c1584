#!/bin/bash
# What the same villain manages under other tools: two tenants side by side as two instances of each, in a Debian 13 VM.
# Prints the tables of docs/peers.md. Needs root (mmdebstrap), QEMU, jq and a built villain:
#   cargo build --release -p kennel-villain
# usage: benches/peers.sh VILLAIN [FOLDER]     (FOLDER keeps image and results; what is there is not made again)
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,/^# usage/s/^# //p' "$0" >&2; exit 64; }
villain=$1 folder=${2:-$(mktemp -d)}
here=$(dirname "$(realpath "$0")")
accel=${KENNEL_ACCEL:-tcg}
[ "$accel" = kvm ] && processor=(-accel kvm -cpu max) || processor=(-accel tcg,thread=single -cpu "max,-cx16")
mkdir -p "$folder"
[ -e "$folder/disk.raw" ] || "$here/peers/image.sh" "$villain" "$folder"

# Tools that share a boot come after one another, with folders made anew. The control, which may do anything, is alone;
# restrict=on: nothing leaves the VM.
boot() { # tools with commas between them, more of the kernel's command line
    local name=$1 lsm=$2
    timeout "${PEERS_DEADLINE:-900}" qemu-system-x86_64 -nodefaults -no-user-config -display none -machine q35 \
        "${processor[@]}" -m 2G -smp 1 -kernel "$folder/vmlinuz" -initrd "$folder/initrd" \
        -append "root=/dev/vda rw console=ttyS0 loglevel=3 systemd.mask=serial-getty@ttyS0.service panic=5 printk.devkmsg=on $lsm peers=$name" \
        -drive "if=none,id=disk,format=raw,file=$folder/disk.raw,snapshot=on" -device virtio-blk-pci,drive=disk \
        -netdev user,id=net,restrict=on -device virtio-net-pci,netdev=net,romfile= -device virtio-rng-pci \
        -serial "file:$folder/$name.console" -serial "file:$folder/$name.jsonl" -no-reboot
    echo "$name: $(wc -l < "$folder/$name.jsonl") probes" >&2
}

groups=(nothing systemd,systemd-hardened,bubblewrap runc,runc-host-network,crun crun-selinux)
for tools in "${groups[@]}"; do
    [ -s "$folder/$tools.jsonl" ] && continue
    # Debian's own choice of security modules, but for the last.
    lsm=
    [ "$tools" = crun-selinux ] && lsm="security=selinux enforcing=0"
    boot "$tools" "$lsm"
done
"$here/peers/table.sh" "$folder" $(tr , " " <<< "${groups[@]}")
