#!/bin/sh
# Builds the image from kennel.toml and kennel.lock with the binaries beside `kennel`: scripts/image.sh FOLDER-OF-KENNEL.
# Debian removes superseded packages from its mirrors. When a locked one is gone, the image is built from a lock file
# made now, in a scratch folder; the one in the repository stays as it is until somebody runs `kennel lock`.
set -eu
cd "$(dirname "$0")/.."
kennel=$1/kennel

if [ ! -e kennel.lock ]; then
    echo "there is no kennel.lock: making it"
    "$kennel" lock
fi

status=0
"$kennel" build || status=$?
[ "$status" = 0 ] && exit 0
# Asked once more, for the error's word instead of its text.
code=$("$kennel" build --json 2>&1 >/dev/null | sed -n 's/.*"code":"\([^"]*\)".*/\1/p')
[ "$code" = locked-file-gone ] || exit "$status"

scratch=${CARGO_TARGET_DIR:-target}/relock
mkdir -p "$scratch"
cp kennel.toml "$scratch/kennel.toml"
cat >&2 <<'LOUD'

################################################################################
#  A package in kennel.lock is no longer on the mirrors.                       #
#  Going on with a lock file made now, in a scratch folder. The repository's   #
#  kennel.lock is stale: run `kennel lock` and commit what it changes.         #
################################################################################

LOUD
"$kennel" lock --spec "$scratch/kennel.toml"
"$kennel" build --spec "$scratch/kennel.toml"
