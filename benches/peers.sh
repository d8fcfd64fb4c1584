#!/bin/bash
# What the same villain manages under other tools: two tenants side by side as two instances of each, in a Debian 13 VM.
# Writes the tables: policy/peers.md, which docs/isolation.md includes, and docs/peers-acts.md. Needs root (mmdebstrap),
# QEMU, jq, a built villain (`cargo build --release -p kennel-villain`) and what it managed under Kennel, which
# `make proof` leaves in out/proof.json.
# usage: benches/peers.sh VILLAIN PROOF [FOLDER]     (FOLDER keeps image and results; what is there is not made again)
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,/^# usage/s/^# //p' "$0" >&2; exit 64; }
villain=$1 proof=$2 folder=${3:-$(mktemp -d)}
here=$(dirname "$(realpath "$0")")
accel=${KENNEL_ACCEL:-tcg}
[ "$accel" = kvm ] && processor=(-accel kvm -cpu max) || processor=(-accel tcg,thread=single -cpu "max,-cx16")
mkdir -p "$folder"
[ -e "$folder/disk.raw" ] || "$here/peers/image.sh" "$folder"

# What runs in the VM, as the second disk: a change of it needs no new image.
install -D -m 0755 "$villain" "$folder/programs/villain"
install -m 0755 "$here/peers/guest.sh" "$folder/programs/guest.sh"
tar -c -b 2048 -f "$folder/programs.tar" --owner 0 --group 0 -C "$folder/programs" villain guest.sh

# Tools that share a boot come after one another, with folders made anew. The control, which may do anything, is alone;
# restrict=on: nothing leaves the VM.
boot() { # tools with commas between them, more of the kernel's command line
    local name=$1 lsm=$2
    timeout "${PEERS_DEADLINE:-2400}" qemu-system-x86_64 -nodefaults -no-user-config -display none -machine q35 \
        "${processor[@]}" -m 2G -smp 1 -kernel "$folder/vmlinuz" -initrd "$folder/initrd" \
        -append "root=/dev/vda rw console=ttyS0 loglevel=3 systemd.mask=serial-getty@ttyS0.service panic=5 printk.devkmsg=on $lsm peers=$name" \
        -drive "if=none,id=disk,format=raw,file=$folder/disk.raw,snapshot=on" -device virtio-blk-pci,drive=disk \
        -drive "if=none,id=programs,format=raw,file=$folder/programs.tar,readonly=on" \
        -device virtio-blk-pci,drive=programs \
        -netdev user,id=net,restrict=on -device virtio-net-pci,netdev=net,romfile= -device virtio-rng-pci \
        -serial "file:$folder/$name.console" -serial "file:$folder/$name.new" -no-reboot
    tr -d '\r' < "$folder/$name.new" > "$folder/$name.jsonl"
    echo "$name: $(wc -l < "$folder/$name.jsonl") answers" >&2
}

groups=(nothing systemd,systemd-hardened,bubblewrap runc,runc-host-network crun crun-selinux)
for tools in "${groups[@]}"; do
    [ -s "$folder/$tools.jsonl" ] && continue
    # Debian's own choice of security modules, but for the last.
    lsm=
    [ "$tools" = crun-selinux ] && lsm="security=selinux enforcing=0"
    boot "$tools" "$lsm"
done

# Kennel with both layers, the same villain. Its limits were tried; elsewhere they are read.
jq -c '.rows[] | {tool: "kennel", id, result: .both.result} | (., (
    {"exhaust-memory": "memory-limit", "exhaust-processes": "pids-limit"}[.id] as $limit | select($limit) | .id = $limit
))' "$proof" > "$folder/kennel.jsonl"
"$here/peers/table.sh" "$folder" $(tr , " " <<< "${groups[@]}") kennel
