#!/bin/sh
# The last step of the Debian image of benches/sleepers.sh: the peers' services start when they are told to, and nothing
# runs by the clock. For benches/debian-image.sh, which calls it with the folder of the image's root.
set -eu
install -m 0644 "$(dirname "$0")/sleepers.service" "$1/etc/systemd/system/sleepers.service"
chroot "$1" a2enmod -q passenger macro
chroot "$1" systemctl disable apache2 uwsgi-emperor
chroot "$1" systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer
chroot "$1" systemctl enable sleepers
