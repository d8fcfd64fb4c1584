#!/bin/bash
# What a new version of the image costs to publish when one line of Kennel's own code has changed: the 512 KiB blocks that
# differ from the version before, since only these are sent. The sources of HEAD are copied, one line is changed in the copy,
# the host's programs are compiled and an image is built; each change on its own, beside the image without one. `make image`
# first, for the builder and the packages. Prints rows for docs/benchmarks.md.
# usage: benches/delta.sh
set -euo pipefail
cd "$(dirname "$0")/.."
here=$PWD
target=$(cargo metadata --no-deps --format-version 1 | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')
kennel=$target/x86_64-unknown-linux-gnu/release/kennel
[ -x "$kennel" ] || { echo "error: $kennel is not there" >&2; echo "hint: make image" >&2; exit 1; }
programs="init proxy control unpack dhcp audit imds tpm villain"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
# As new as now, else cargo takes what it has compiled elsewhere for fresh.
git archive HEAD | tar -x --touch -C "$work/src"
# A copy of what was compiled, so that only Kennel's own crates are compiled anew and the user's programs stay.
export CARGO_TARGET_DIR=$work/target CARGO_INCREMENTAL=0
for part in release x86_64-unknown-linux-gnu/release; do
    mkdir -p "$work/target/$part"
    cp -a "$target/$part"/{.fingerprint,build,deps} "$work/target/$part"
done

image() { # name: compiles the copy and builds the image $work/NAME
    # shellcheck disable=SC2086 # the list is words
    (cd "$work/src" && cargo build -q --release --locked $(printf -- '-p kennel-%s ' $programs))
    mkdir "$work/$1-programs"
    for program in $programs; do
        cp "$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu/release/kennel-$program" "$work/$1-programs"
    done
    "$kennel" build -q --offline --spec "$here/kennel.toml" --guest-dir "$work/$1-programs" --out "$work/$1" >/dev/null
}

digests() { split -b 512K --filter=sha256sum "$work/$1"/*.raw; }

row() { # what was changed, name
    local blocks written changed=""
    blocks=$(diff <(digests before) <(digests "$2") | grep -c '^>' || true)
    written=$(sed -n 's/.*"written_bytes": \([0-9]*\).*/\1/p' "$work/$2/manifest.json")
    for program in $programs; do
        cmp -s "$work"/{before,"$2"}-programs/kennel-"$program" || changed="$changed $program"
    done
    awk -v what="$1" -v blocks="$blocks" -v written="$written" -v changed="${changed# }" 'BEGIN {
        sent = blocks * 524288
        printf "| %s | %s | %d | %.1f | %.1f |\n", what, changed, blocks, sent / 1048576, 100 * sent / written }'
}

change() { # what, name, file, sed expression
    cp "$work/src/$3" "$work/kept"
    sed -i "$4" "$work/src/$3"
    ! cmp -s "$work/kept" "$work/src/$3" || { echo "error: nothing to change in $3" >&2; exit 1; }
    image "$2"
    cp "$work/kept" "$work/src/$3"
    row "$1" "$2"
}

image before
echo "| one line changed | programs that differ | blocks of 512 KiB | MiB sent | % of the bytes written |"
echo "|---|---|---|---|---|"
row "none" before
change "a message of the API" control control/src/error.rs 's/there is no tenant/there is no such tenant as/'
change "a message of PID 1" init init/src/initramfs.rs 's/root verified:/the root is verified:/'
change "a limit in the model that all share" model model/src/msg.rs 's/MAX_MESSAGE_BYTES: usize = 64/MAX_MESSAGE_BYTES: usize = 65/'
