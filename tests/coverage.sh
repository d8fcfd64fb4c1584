#!/bin/sh
# Finds the rules of the policy that no scenario needs: tests/coverage.sh FOLDER-OF-KENNEL [SCENARIO…]. Builds an image whose
# policy takes every right away again and refuses nothing, so that each right is written to the console when it is first
# asked for; runs the scenarios in it; compares with what the policy allows, and writes docs/unused-rules.md unless a right
# has neither a use nor a reason in tests/coverage.keep. Scenarios fail there where SELinux should have refused something:
# that is not looked at. The proof's scenarios stay out of it, as in `make test`: what villains ask for nobody needs.
set -eu
cd "$(dirname "$0")/.."
binaries=$1
shift
folder=${CARGO_TARGET_DIR:-target}/coverage
slots=16
rm -rf "$folder"
mkdir -p "$folder/consoles"

"$binaries/kennel-coverage" policy "$slots" > "$folder/coverage.cil"
# The kernel's log is to lose nothing.
room='"audit_backlog_limit=65536", "log_buf_len=16M", "sysctl.kernel.printk_ratelimit=0"'
sed -e "s/^slots = .*/slots = $slots/" -e "s/^arguments = \[\]/arguments = [$room]/" kennel.toml > "$folder/kennel.toml"
printf '\n[extra]\npolicy = ["coverage.cil"]\nunproved = true\n' >> "$folder/kennel.toml"
cp kennel.lock "$folder"
[ -e kennel.relock.lock ] && cp kennel.relock.lock "$folder/kennel.lock"
scripts/image.sh "$binaries" "$folder/kennel.toml" "$folder/out"

image=$(ls "$folder"/out/kennel-*.raw)
# What was used is what counts, so a scenario that fails does not end it.
KENNEL_TEST_IMAGE=$image KENNEL_TEST_CONSOLES=$folder/consoles "$binaries/kennel-tests" "$@" || true
"$binaries/kennel-coverage" page tests/coverage.keep "$folder"/consoles/* > "$folder/page"
cp "$folder/page" docs/unused-rules.md
echo 'written: docs/unused-rules.md'
