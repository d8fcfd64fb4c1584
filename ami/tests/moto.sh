#!/bin/bash
# The outside judge: publish, ls, verify, share, copy and rm, and launch, hosts, console, reboot, replace and terminate against
# moto, which nobody of this project wrote. It shows that requests parse and the flow completes; of launch and replace as far as
# moto's hosts go, which tell no certificate on their console, so that nothing is ever sent to their addresses. What moto lets
# through (checksums, counts, tokens, states, boot mode) the strict fake judges, and four things that moto gets wrong
# moto_put_right.py mends. moto lives in a virtual environment in the cache folder, at the version below; `--setup` only makes
# that.
# usage: ami/tests/moto.sh [--setup] [IMAGE.raw]
set -euo pipefail
moto=5.2.5 cache=${XDG_CACHE_HOME:-$HOME/.cache}/kennel
venv=$cache/moto-$moto
if [ ! -x "$venv/bin/moto_server" ]; then
    rm -rf "$venv.new"
    python3 -m venv "$venv.new"
    "$venv.new/bin/pip" install --quiet --disable-pip-version-check "moto[server]==$moto"
    rm -rf "$venv"
    # Its scripts name the folder that they were made in, so they are called through python.
    mv "$venv.new" "$venv"
fi
[ "${1:-}" = --setup ] && exit

image=${1:+$(realpath "$1")}
cd "$(dirname "$0")/.."
cargo build --quiet --bin kennel-ami
target=$(cargo metadata --no-deps --format-version 1 | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')
program=$target/x86_64-unknown-linux-gnu/debug/kennel-ami

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || true; }; rm -rf "$work"' EXIT
if [ -z "$image" ]; then
    # Three blocks with something in them, two of them apart.
    image=$work/kennel-0.0.1-x86_64.raw
    truncate -s 64M "$image"
    dd if=/dev/urandom of="$image" bs=512K count=2 conv=notrunc status=none
    dd if=/dev/urandom of="$image" bs=512K count=1 seek=90 conv=notrunc status=none
fi

port=$(for p in $(seq 18590 18690); do (: >"/dev/tcp/127.0.0.1/$p") 2>/dev/null || { echo "$p"; break; }; done)
"$venv/bin/python" tests/moto_put_right.py "$port" >"$work/moto" 2>&1 &
server=$!
until (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    kill -0 "$server" 2>/dev/null || { cat "$work/moto" >&2; server=; exit 1; }
    sleep 0.1
done

export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_REGION=eu-west-1 AWS_EC2_METADATA_DISABLED=true
export AWS_ACCESS_KEY_ID=testing AWS_SECRET_ACCESS_KEY=testing HOME=$work XDG_STATE_HOME=$work/state
step() { echo "-- kennel-ami $*" >&2; "$program" "$@" || { tail -n 20 "$work/moto" >&2; exit 1; }; }
same() { [ "$1" = "$2" ] || { echo "error: '$1' instead of '$2'" >&2; exit 1; }; }

ami=$(step publish "$image")
case $ami in ami-*) ;; *) echo "error: '$ami' is no AMI" >&2; exit 1 ;; esac
same "$(step publish "$image")" "$ami"
step ls | grep -q "$ami"
step show "$ami" >/dev/null
step verify "$ami" --image "$image"
step share "$ami" --with 123456789012
step copy "$ami" --to us-east-1

# Runs what cannot end well, as moto's console tells no certificate, up to where it must have come.
until_certificate() {
    echo "-- kennel-ami $*" >&2
    if "$program" "$@" 2>"$work/told"; then echo "error: done without a certificate" >&2; exit 1; fi
    grep -q "told no certificate" "$work/told" || { cat "$work/told" >&2; tail -n 20 "$work/moto" >&2; exit 1; }
}

echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea operator@example' >"$work/operator.pub"
launch=(launch --name edge1 --type t3.small --ssh-key "$work/operator.pub" --api-from 127.0.0.1/32 --elastic-ip --ami "$ami")
until_certificate "${launch[@]}" --deadline 6s
until_certificate "${launch[@]}" --deadline 6s
same "$(step hosts | grep -c 'edge1.*running')" 1
step host console edge1 | grep -q Linux
step host reboot edge1
step host terminate edge1 --yes
if step hosts | grep -q edge1; then echo "error: the host is still there" >&2; exit 1; fi

# Once more, with the data and the address that stayed; and then another one gets both, and the first one is kept for a while.
until_certificate "${launch[@]}" --deadline 12s
mkdir "$work/next"
truncate -s 8M "$work/next/kennel-0.0.2-x86_64.raw"
dd if=/dev/urandom of="$work/next/kennel-0.0.2-x86_64.raw" bs=512K count=1 conv=notrunc status=none
next=$(step publish "$work/next/kennel-0.0.2-x86_64.raw")
until_certificate host replace edge1 --ami "$next" --deadline 15s
for word in "is attached to" "has the address" "--back"; do
    grep -q -e "$word" "$work/told" || { cat "$work/told" >&2; exit 1; }
done

step rm "$ami"
step rm "$next"
step gc
if step ls | grep -q "$ami"; then echo "error: $ami is still there" >&2; exit 1; fi
echo "moto has no objections"
