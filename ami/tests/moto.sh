#!/bin/bash
# The outside judge: publish, ls, verify, share, copy and rm, and launch, hosts, console, reboot and terminate against moto,
# which nobody of this project wrote. It shows that requests parse and the flow completes, of launch as far as moto's hosts
# go, which tell no certificate on their console (so that nothing is ever sent to their addresses); what moto lets through (checksums, counts, tokens, boot mode) the strict fake
# judges, and three things that moto gets wrong moto_put_right.py mends. moto lives in a virtual environment in the cache folder, at the versions below; `--setup` only makes that.
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

# A host: everything but its certificate, which moto's console never tells.
ssh-keygen -q -t ed25519 -N '' -C moto -f "$work/operator"
launch=(launch --name edge1 --type t3.small --ssh-key "$work/operator.pub" --api-from 127.0.0.1/32 --elastic-ip --ami "$ami")
for time in first second; do
    echo "-- kennel-ami ${launch[*]} --deadline 6s ($time)" >&2
    if "$program" "${launch[@]}" --deadline 6s 2>"$work/launch"; then echo "error: launched without a certificate" >&2; exit 1; fi
    grep -q console "$work/launch" || { cat "$work/launch" >&2; tail -n 20 "$work/moto" >&2; exit 1; }
done
same "$(step hosts | grep -c 'edge1.*running')" 1
step host console edge1 | grep -q Linux
step host reboot edge1
step host terminate edge1 --yes --with-data --with-address
if step hosts | grep -q edge1; then echo "error: the host is still there" >&2; exit 1; fi

step rm "$ami"
step gc
if step ls | grep -q "$ami"; then echo "error: $ami is still there" >&2; exit 1; fi
echo "moto has no objections"
