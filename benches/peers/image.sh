#!/bin/bash
# The VM in which peers are compared: Debian 13 with its cloud kernel, systemd, bubblewrap, runc, crun and Debian's
# SELinux policy, made by mmdebstrap. Leaves disk.raw, vmlinuz and initrd in a folder.
# usage: benches/peers/image.sh FOLDER     (as root)
set -euo pipefail
[ $# = 1 ] || { sed -n '2,/^# usage/s/^# //p' "$0" >&2; exit 64; }
mkdir -p "$1"
out=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
mirror=${KENNEL_MIRROR:-http://deb.debian.org/debian}
# mmdebstrap mounts /proc, /sys and parts of /dev in the folder. In a mount namespace of our own they end with us, and
# what is removed afterwards is never behind a mount, however this ends.
[ "${PEERS_UNSHARED:-}" = 1 ] || PEERS_UNSHARED=1 exec unshare --mount --propagation private "$0" "$out"
root=$(mktemp -d)
trap 'rm -rf --one-file-system "$root"' EXIT

mmdebstrap --quiet --variant=minbase \
    --include=systemd-sysv,udev,dbus,linux-image-cloud-amd64,initramfs-tools,iproute2,procps,kmod,jq \
    --include=bubblewrap,runc,crun,uidmap,selinux-policy-default,policycoreutils \
    --customize-hook="install -m 0644 '$here/peers.service' \"\$1/etc/systemd/system/peers.service\"" \
    --customize-hook='chroot "$1" systemctl enable peers' \
    --customize-hook='echo "/dev/vda / ext4 rw 0 1" > "$1/etc/fstab"; echo peers > "$1/etc/hostname"' \
    --customize-hook='printf "SELINUX=permissive\nSELINUXTYPE=default\n" > "$1/etc/selinux/config"' \
    --customize-hook='rm -f "$1"/var/cache/apt/archives/*.deb' \
    trixie "$root/root" "$mirror"
# The labels that a boot with SELinux finds; without SELinux they mean nothing.
chroot "$root/root" setfiles -m -F -e /proc -e /sys -e /dev /etc/selinux/default/contexts/files/file_contexts /
cp "$root"/root/boot/vmlinuz-* "$out/vmlinuz"
cp "$root"/root/boot/initrd.img-* "$out/initrd"
rm -f "$out/disk.raw"
mke2fs -q -t ext4 -d "$root/root" "$out/disk.raw" 1800M
