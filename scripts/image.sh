#!/bin/sh
# Builds an image with the binaries beside `kennel`: scripts/image.sh FOLDER-OF-KENNEL [SPEC [OUT [OPTION]]], else from
# kennel.toml into out/. OPTION goes to `kennel build`.
# Debian removes superseded packages from its mirrors. When a locked one is gone, the image is built from a lock file
# made now, for a scratch copy of the spec: NAME.relock.toml and .lock, beside it because it may name files relative to
# its folder. They stay until the next run, for the tests that build the image once more. The lock in the repository
# stays as it is until somebody runs `kennel lock`.
set -eu
cd "$(dirname "$0")/.."
kennel=$1/kennel
spec=${2:-kennel.toml}
out=${3:-out}
option=${4:-}
lock=${spec%.toml}.lock
scratch=${spec%.toml}.relock.toml
rm -f "$scratch" "${scratch%.toml}.lock"

if [ ! -e "$lock" ]; then
    echo "there is no $lock: making it"
    "$kennel" lock --spec "$spec"
fi

status=0
"$kennel" build --spec "$spec" --out "$out" ${option:+"$option"} || status=$?
[ "$status" = 0 ] && exit 0
# Asked once more, for the error's word instead of its text.
code=$("$kennel" build --spec "$spec" --out "$out" ${option:+"$option"} --json 2>&1 >/dev/null | sed -n 's/.*"code":"\([^"]*\)".*/\1/p')
[ "$code" = locked-file-gone ] || exit "$status"

cp "$spec" "$scratch"
cat >&2 <<LOUD

################################################################################
  A package in $lock is no longer on the mirrors.
  Going on with a lock file made now, in a scratch copy. The repository's $lock
  is stale: run \`kennel lock --spec $spec\` and commit what it changes.
################################################################################

LOUD
"$kennel" lock --spec "$scratch"
"$kennel" build --spec "$scratch" --out "$out" ${option:+"$option"}
