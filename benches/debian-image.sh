#!/bin/bash
# The peer of the boot benchmark: a Debian 13 disk image with the cloud kernel, systemd and nginx, made by mmdebstrap
# and booted like ours, from a unified kernel image by OVMF. Other benchmarks have more packages put in, and a program
# that is run with the folder of its root at the end.
# usage: benches/debian-image.sh OUT.raw [PACKAGE,… [PROGRAM]]     (as root)
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,/^# usage/s/^# //p' "$0" >&2; exit 64; }
out=$1 packages=${2:+,$2} program=${3:-true}
mirror=${KENNEL_MIRROR:-http://deb.debian.org/debian}
work=$(mktemp -d)
# Nothing that a killed mmdebstrap left mounted in it is ours to remove.
trap 'rm -rf --one-file-system "$work"' EXIT

mmdebstrap --quiet --variant=minbase \
    --include=systemd-sysv,udev,linux-image-cloud-amd64,initramfs-tools,nginx-light,systemd-boot-efi,iproute2$packages \
    --customize-hook='printf "[Match]\nName=en*\n[Network]\nDHCP=yes\n" > "$1/etc/systemd/network/10-en.network"' \
    --customize-hook='chroot "$1" systemctl enable systemd-networkd nginx' \
    --customize-hook='echo "/dev/vda2 / ext4 rw 0 1" > "$1/etc/fstab"; echo debian > "$1/etc/hostname"' \
    --customize-hook="$program \"\$1\"" \
    --customize-hook='rm -f "$1"/var/cache/apt/archives/*.deb' \
    trixie "$work/root" "$mirror"

stub=$work/root/usr/lib/systemd/boot/efi/linuxx64.efi.stub
kernel=$(echo "$work"/root/boot/vmlinuz-*)
initrd=$(echo "$work"/root/boot/initrd.img-*)
printf 'root=/dev/vda2 rw console=ttyS0 loglevel=4' >"$work/cmdline"

# objcopy wants an address for each section: one after the other behind the stub's last, page by page.
next=$(objdump -h "$stub" | awk '$1 ~ /^[0-9]+$/ { print $3, $4 }' |
    while read -r size address; do echo $((16#$size + 16#$address)); done | sort -n | tail -n 1)
sections=()
for part in cmdline "initrd:$initrd" "linux:$kernel"; do
    name=${part%%:*}
    file=${part#*:}
    [ "$file" = "$name" ] && file=$work/$name
    next=$(((next + 4095) / 4096 * 4096))
    sections+=(--add-section ".$name=$file" --change-section-vma ".$name=$(printf '0x%x' "$next")")
    next=$((next + $(stat -Lc %s "$file")))
done
objcopy "${sections[@]}" "$stub" "$work/uki.efi"

rm -f "$out"
truncate -s 1600M "$out"
printf 'label: gpt\nsize=100M,type=U\ntype=L\n' | sfdisk -q "$out"
mformat -i "$out@@1M" -F -T 204800 ::
mmd -i "$out@@1M" ::EFI ::EFI/BOOT
mcopy -i "$out@@1M" "$work/uki.efi" ::EFI/BOOT/BOOTX64.EFI
# The second partition begins behind the first MiB of table and the 100 MiB of the first.
mke2fs -q -t ext4 -d "$work/root" -E offset=$((101 << 20)) "$out" 1450M
