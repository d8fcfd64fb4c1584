#!/bin/sh
# Installs what Debian must provide (12 and 13), and says what is missing elsewhere. Quick when all is there.
# `scripts/deps.sh bench` adds what the benchmarks compare with.
set -eu
cd "$(dirname "$0")/.."

# Compiling: a linker, the C libraries that the builder links (static), libclang for their bindings, C++ for the fuzzer.
build="gcc g++ libc6-dev make libselinux1-dev libsepol-dev libpcre2-dev"
# Running: the emulator and its firmware, and what the demo fetches a page with.
run="qemu-system-x86 ovmf ca-certificates curl"
# Tests: independent judges of what the builder writes and of the proxy, the policy compiler, and git, which pushes.
judges="curl git nghttp2-client slowhttptest pebble secilc setools iptables cryptsetup-bin erofs-utils e2fsprogs dosfstools gdisk mtools sbsigntool swtpm openssl cpio bubblewrap openssh-client util-linux iproute2 python3-venv python3-pip"
bench="crun runc mmdebstrap binutils fdisk uidmap nginx-light haproxy openssl wrk strace valgrind jq python3"

codename=$(. /etc/os-release 2>/dev/null && echo "${VERSION_CODENAME:-}")
case "$codename" in
    bookworm) libclang="libclang1-14 libclang-common-14-dev" ;;
    trixie) libclang="libclang1-19 libclang-common-19-dev" ;;
    *) libclang=libclang-dev ;;
esac

want="$build $libclang $run $judges"
[ "${1:-}" = bench ] && want="$want $bench"

fail() {
    echo "error: $1" >&2
    echo "hint: $2" >&2
    exit 1
}

rust() {
    need=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    command -v cargo >/dev/null ||
        fail "cargo is not there" "install Rust $need or newer: https://rustup.rs"
    have=$(rustc --version | cut -d' ' -f2)
    oldest=$(printf '%s\n%s\n' "$need" "$have" | sort -V | head -n1)
    [ "$oldest" = "$need" ] || fail "Rust $have is too old, $need or newer is needed" "rustup update stable"
}

missing() {
    # shellcheck disable=SC2086 # the list is words
    have=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $want 2>/dev/null | sed -n 's/ installed$//p')
    for package in $want; do
        echo "$have" | grep -qx "$package" || printf '%s ' "$package"
    done
}

rust
if ! command -v apt-get >/dev/null; then
    for tool in gcc make qemu-system-x86_64 curl; do
        command -v "$tool" >/dev/null ||
            fail "$tool is not there, and this is not Debian" "install what these Debian packages hold: $want"
    done
    echo "this is not Debian: taking it that everything else is there"
    exit 0
fi

packages=$(missing)
[ -n "$packages" ] || exit 0
echo "installing: $packages"
as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || fail "these packages are missing: $packages" "as root: apt-get install $packages"
    as_root=sudo
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086 # the lists are words
if ! { $as_root apt-get update &&
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages; } \
    >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    fail "apt-get could not install: $packages" "the lines above are its last words"
fi
