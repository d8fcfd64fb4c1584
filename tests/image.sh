#!/bin/sh
# Builds the image with the probe in it into out/probe, with the binaries beside `kennel`: tests/image.sh
# FOLDER-OF-KENNEL. Its spec is kennel.toml with tests/image.toml behind it; the same lock serves, since the probe asks
# for no package.
set -eu
cd "$(dirname "$0")/.."
folder=${CARGO_TARGET_DIR:-target}/probe-image
mkdir -p "$folder"
cat kennel.toml tests/image.toml > "$folder/kennel.toml"
cp kennel.lock tests/policy/probe.cil tests/policy/probe.file_contexts "$1/kennel-probe" "$folder"
exec scripts/image.sh "$1" "$folder/kennel.toml" out/probe
