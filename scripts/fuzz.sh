#!/bin/sh
# Fuzzes what takes strangers' bytes apart, guided by coverage: one target after the other, each for so many seconds.
#
#   scripts/fuzz.sh [SECONDS [TARGET...]]   20 seconds and all targets when not said otherwise
#   scripts/fuzz.sh keep [TARGET...]        put the smallest set of inputs that reaches as much into fuzz/corpus
#
# A finding ends it with libFuzzer's report and the input in fuzz/artifacts; `scripts/fuzz.sh 0 TARGET` then only tries
# the corpus, and the binary named in the report tries one file. `cargo fuzz run --features libfuzzer -s none TARGET`
# works too. Without a sanitizer on purpose: outside of sys/ there is no unsafe code for one to watch.
set -eu
cd "$(dirname "$0")/.."

what=${1:-20}
[ $# -gt 0 ] && shift
targets=${*:-$(sed -n 's/^path = "targets\/\(.*\)\.rs"$/\1/p' fuzz/Cargo.toml | grep -vx seeds)}

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/kennel/target}"
work=$CARGO_TARGET_DIR/fuzz/corpus
same=
# A short run is a test: it begins with the same inputs and tries the same ones each time, however fast the machine is.
if [ "$what" != keep ] && [ "$what" -gt 0 ] && [ "$what" -lt 60 ]; then
    work=$CARGO_TARGET_DIR/fuzz/short
    rm -rf "$work"
    same="-seed=1 -runs=30000"
fi
cargo run --quiet --locked -p kennel-fuzz --bin seeds "$work"

export CARGO_TARGET_DIR="$CARGO_TARGET_DIR/fuzz"
# The flags of cargo-fuzz. They replace those of .cargo/config.toml: libFuzzer is linked as usual, not statically.
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing"
export CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true
export CARGO_PROFILE_RELEASE_STRIP=none
# shellcheck disable=SC2046 # a word for each target
cargo build --quiet --release --locked -p kennel-fuzz --features libfuzzer $(printf -- '--bin %s ' $targets)
bin=$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu/release
mkdir -p fuzz/artifacts

# -timeout: an input that takes longer than this many seconds is a finding too.
common="-timeout=10 -rss_limit_mb=1024 -max_len=8192 -print_final_stats=1 -verbosity=0"
for target in $targets; do
    kept=fuzz/corpus/$target
    if [ "$what" = keep ]; then
        rm -rf "$work/$target.kept"
        mkdir -p "$work/$target.kept" "$kept"
        # Which places are reached, not how often: a tenth of the files.
        "$bin/$target" -merge=1 -use_counters=0 -max_len=4096 -verbosity=0 "$work/$target.kept" "$kept" "$work/$target" 2>/dev/null
        rm -rf "$kept"
        mv "$work/$target.kept" "$kept"
        echo "$target: $(find "$kept" -type f | wc -l) inputs kept, $(du -sb "$kept" | cut -f1) bytes"
        continue
    fi
    # 0 seconds would be for ever.
    limit=-max_total_time=$what
    [ "$what" = 0 ] && limit=-runs=0
    log=$CARGO_TARGET_DIR/$target.log
    # shellcheck disable=SC2086 # the options are words
    if ! nice -n 10 "$bin/$target" $common $same "$limit" -artifact_prefix=fuzz/artifacts/ "$work/$target" "$kept" \
        >"$log" 2>&1; then
        tail -n 60 "$log" >&2
        echo "error: $target found something; the input is in fuzz/artifacts" >&2
        echo "hint: try it alone with $bin/$target FILE" >&2
        exit 1
    fi
    echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs tried, none wrong"
done
