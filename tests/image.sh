#!/bin/sh
# Builds the image with the probe in it into out/probe, with the binaries beside `kennel`: tests/image.sh
# FOLDER-OF-KENNEL. Its spec is kennel.toml with tests/image.toml behind it; the same lock serves, since the probe asks
# for no package (the one that scripts/image.sh made, where kennel.lock's packages were not to be had).
set -eu
cd "$(dirname "$0")/.."
folder=${CARGO_TARGET_DIR:-target}/probe-image
mkdir -p "$folder"
lock=kennel.lock
[ -e kennel.relock.lock ] && lock=kennel.relock.lock
cat kennel.toml tests/image.toml > "$folder/kennel.toml"
cp "$lock" "$folder/kennel.lock"
cp tests/policy/probe.cil tests/policy/probe.file_contexts "$1/kennel-probe" "$folder"
exec scripts/image.sh "$1" "$folder/kennel.toml" out/probe
