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

said=$(mktemp)
trap 'rm -f "$said"' EXIT
status=0
"$kennel" build 2>"$said" || status=$?
cat "$said" >&2
[ "$status" = 0 ] && exit 0
grep -q 'gone from the mirrors' "$said" || exit "$status"

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
