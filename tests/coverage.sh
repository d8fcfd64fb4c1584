#!/bin/sh
# Finds the rules of the policy that no scenario needs: tests/coverage.sh FOLDER-OF-KENNEL [SCENARIO…]. Builds an image whose
# policy takes every right away again (`deny`) and refuses nothing (all domains permissive), so that each right is written
# to the console when it is first asked for; runs the scenarios in it; compares with the report of the ordinary image in
# out/, and writes docs/unused-rules.md. Scenarios fail there where SELinux should have refused something: that is not
# looked at.
set -eu
cd "$(dirname "$0")/.."
binaries=$1
shift
folder=${CARGO_TARGET_DIR:-target}/coverage
rm -rf "$folder"
mkdir -p "$folder/consoles"

slots=$(sed -n 's/^slots = \([0-9]*\).*/\1/p' kennel.toml)
domains=$(sed -n 's/^ *"domain": "\(.*\)",$/\1/p' out/policy-report.json)
{
    echo '(deny domain any_type everything)'
    for domain in $domains; do
        case $domain in
            tenantNNNN*) seq -f "(typepermissive tenant%04g${domain#tenantNNNN})" 0 $((slots - 1)) ;;
            *) echo "(typepermissive $domain)" ;;
        esac
    done
} > "$folder/coverage.cil"
room='"audit_backlog_limit=65536", "log_buf_len=16M"'
sed "s/^arguments = \[\]/arguments = [$room]/" kennel.toml > "$folder/kennel.toml"
printf '\n[extra]\npolicy = ["coverage.cil"]\nunproved = true\n' >> "$folder/kennel.toml"
cp kennel.lock "$folder"
# A proof image's init leaves the kernel's log unlimited.
"$binaries/kennel" build --proof --spec "$folder/kennel.toml" --out "$folder/out"

image=$(ls "$folder"/out/kennel-*.raw)
KENNEL_TEST_IMAGE=$image KENNEL_TEST_CONSOLES=$folder/consoles "$binaries/kennel-tests" "$@" || true
"$binaries/kennel-coverage" out/policy-report.json tests/coverage.keep "$folder"/consoles/* > "$folder/page" || status=$?
cp "$folder/page" docs/unused-rules.md
exit "${status:-0}"
