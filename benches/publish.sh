#!/bin/bash
# Publishing an image beside coldsnap and beside the plain SDK in a loop (ami/examples/sequential.rs), in turns, against the
# tests' strict fake of AWS on loopback, each of whose answers takes 20 ms longer than it must; the fake checks all blocks and
# checksums. We and the loop send the same blocks; coldsnap knows no holes, and is run as it is and with --omit-zero-blocks. It
# makes a snapshot only, no AMI, and looks seldom whether that is completed, so that it is run without waiting for that too.
# Then what an unchanged image and one with a changed block cost. Prints rows for docs/benchmarks.md. What is measured is how
# well waiting is overlapped: over a real line, the line's rate may end it sooner.
# coldsnap is installed into the cache folder the first time, which takes ten minutes.
# usage: benches/publish.sh IMAGE.raw [rounds] [milliseconds]
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,/^# usage/s/^# //p' "$0" >&2; exit 64; }
image=$(realpath "$1") rounds=${2:-3} latency=${3:-20}
cd "$(dirname "$0")/../ami"
version=0.12.0
peer=${XDG_CACHE_HOME:-$HOME/.cache}/kennel/coldsnap-$version
if [ ! -x "$peer/bin/coldsnap" ]; then
    # Elsewhere, as the settings of this folder are not meant for it; but as with ours, the SDK for EC2 is not optimised.
    (cd / && CARGO_TARGET_DIR=$peer/target cargo install --quiet coldsnap --version "=$version" --locked --root "$peer" \
        --config 'profile.release.package.aws-sdk-ec2.opt-level=0')
    rm -rf "$peer/target"
fi
profile=${KENNEL_PROFILE:-release}
cargo build --quiet --profile "$profile" --bin kennel-ami --example fake-aws --example sequential
target=$(cargo metadata --no-deps --format-version 1 | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')
[ "$profile" = dev ] && folder=debug || folder=$profile
programs=$target/x86_64-unknown-linux-gnu/$folder

work=$(mktemp -d)
server=
stop() { [ -z "$server" ] || { exec 9>&-; wait "$server" 2>/dev/null || true; server=; }; }
trap 'stop; rm -rf "$work"' EXIT
mkfifo "$work/hold"

export AWS_ACCESS_KEY_ID=AKIDEXAMPLE AWS_SECRET_ACCESS_KEY=secret AWS_EC2_METADATA_DISABLED=true AWS_REGION=eu-west-1
export HOME=$work XDG_STATE_HOME=$work/state

# A new account each time.
start() {
    # Of the server before.
    rm -f "$work/said"
    "$programs/examples/fake-aws" "$latency" <"$work/hold" >"$work/said" &
    server=$!
    exec 9>"$work/hold"
    until [ -s "$work/said" ]; do sleep 0.02; done
    AWS_ENDPOINT_URL=$(head -n 1 "$work/said")
    export AWS_ENDPOINT_URL
    rm -rf "$work/state"
}

now_ms() { date +%s%3N; }
timed() { local began; began=$(now_ms); "$@" >/dev/null 2>"$work/err" || { cat "$work/err" >&2; exit 1; }; took=$(($(now_ms) - began)); }
coldsnap() { timed "$peer/bin/coldsnap" --region eu-west-1 --endpoint "$AWS_ENDPOINT_URL" upload --no-progress "$@"; }
publish() { timed "$programs/kennel-ami" publish "$1" --region eu-west-1 --quiet; }
median() { sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }

for _ in $(seq "$rounds"); do
    start; timed "$programs/examples/sequential" "$image" eu-west-1; echo "$took" >>"$work/sequential"; stop
    blocks=$(tail -n 1 "$work/said")
    start; coldsnap --wait "$image"; echo "$took" >>"$work/coldsnap"; stop
    cold_blocks=$(tail -n 1 "$work/said")
    start; coldsnap --wait --omit-zero-blocks "$image"; echo "$took" >>"$work/omitting"; stop
    omit_blocks=$(tail -n 1 "$work/said")
    start; coldsnap --omit-zero-blocks "$image"; echo "$took" >>"$work/leaving"; stop
    start; publish "$image"; echo "$took" >>"$work/kennel"
    publish "$image"; echo "$took" >>"$work/again"; stop
    [ "$(tail -n 1 "$work/said")" = "$blocks" ] || { echo "error: not the same blocks: $(tail -n 1 "$work/said"), $blocks" >&2; exit 1; }
done

# The next version: a byte in the first block that was written is another.
cp --sparse=auto "$image" "$work/next-2-x86_64.raw"
cp --sparse=auto "$image" "$work/next-1-x86_64.raw"
printf '\377' | dd of="$work/next-2-x86_64.raw" bs=1 seek=512 conv=notrunc status=none
start; publish "$work/next-1-x86_64.raw"; publish "$work/next-2-x86_64.raw"; next=$took; stop
all=$(($(tail -n 1 "$work/said" | cut -d' ' -f1)))

plain=$(median <"$work/sequential") cold=$(median <"$work/coldsnap") omitting=$(median <"$work/omitting") leaving=$(median <"$work/leaving")
ours=$(median <"$work/kennel") again=$(median <"$work/again")
times() { awk "BEGIN { printf \"%.1f times as fast\", $plain / $1 }"; }
echo "| $latency ms an answer, median of $rounds | ms | |"
echo "|---|---|---|"
echo "| the plain SDK, a block after the other: $blocks | $plain | 1 |"
echo "| coldsnap $version, --wait: $cold_blocks | $cold | $(times "$cold") |"
echo "| coldsnap, --wait --omit-zero-blocks: $omit_blocks | $omitting | $(times "$omitting") |"
echo "| coldsnap, --omit-zero-blocks, whose snapshot is still pending: $omit_blocks | $leaving | $(times "$leaving") |"
echo "| \`kennel ami publish\`: $blocks | $ours | $(times "$ours") |"
echo "| the same image again | $again | nothing is sent |"
echo "| the next version, one block of it changed | $next | blocks sent: $((all - ${blocks% *})) |"
