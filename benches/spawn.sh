#!/bin/bash
# How long from the call until a program runs: in a slot, started by init's own code, and in bubblewrap, crun and runc
# doing the nearest equal work: new mount, PID, IPC and UTS namespaces, a pivoted root with the same seven mounts, no
# capabilities, no new privileges. All start the same static program; the time runs until its first byte is read.
# Differences: SELinux domain for none; bubblewrap has no cgroup, no seccomp filter and stays root; crun and runc have
# cgroup, user, rlimits and a filter of the same system calls. Needs root. Prints rows for docs/benchmarks.md.
# usage: benches/spawn.sh [rounds]
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-200}
if [ -z "${KENNEL_BENCH_INSIDE:-}" ]; then
    cargo build -q --release -p kennel-init --example spawn
    target=$(cargo metadata --no-deps --format-version 1 | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')
    # In a mount namespace, so that cgroup2 can lie where all of them look for it.
    KENNEL_BENCH_INSIDE=$target/x86_64-unknown-linux-gnu/release/examples/spawn exec unshare -m "$0" "$rounds"
fi
spawn=$KENNEL_BENCH_INSIDE
[ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ] || mount -t cgroup2 none /sys/fs/cgroup

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work"/{release,data,dev,runtime/{app,data,dev,etc,proc,tmp,usr/bin}}
touch "$work/resolv.conf" "$work/runtime/etc/resolv.conf"
cp "$spawn" "$work/release/payload"
chown 100900:100900 "$work/data"
for node in "null 3" "zero 5" "full 7" "random 8" "urandom 9"; do
    mknod -m 666 "$work/dev/${node% *}" c 1 "${node#* }"
done

bundle() { # folder, seccomp as JSON
    mkdir -p "$1"
    cat > "$1/config.json" <<EOF
{ "ociVersion": "1.0.2", "hostname": "bench", "root": { "path": "$work/runtime", "readonly": true },
  "process": { "terminal": false, "user": { "uid": 100900, "gid": 100900 }, "args": ["/app/payload", "payload"],
    "env": ["PATH=/usr/bin", "PORT=27200"], "cwd": "/app", "noNewPrivileges": true, "capabilities": {},
    "rlimits": [{ "type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1024 }, { "type": "RLIMIT_CORE", "soft": 0, "hard": 0 }] },
  "mounts": [
    { "destination": "/app", "source": "$work/release", "type": "bind", "options": ["bind", "ro", "nosuid", "nodev"] },
    { "destination": "/data", "source": "$work/data", "type": "bind", "options": ["bind", "nosuid", "nodev"] },
    { "destination": "/dev", "source": "$work/dev", "type": "bind", "options": ["bind", "ro", "nosuid", "noexec"] },
    { "destination": "/etc/resolv.conf", "source": "$work/resolv.conf", "type": "bind", "options": ["bind", "ro"] },
    { "destination": "/tmp", "source": "tmpfs", "type": "tmpfs", "options": ["nosuid", "nodev", "size=16m"] },
    { "destination": "/proc", "source": "proc", "type": "proc", "options": ["nosuid", "nodev", "noexec"] } ],
  "linux": { "cgroupsPath": "/kennel-bench-oci"$2,
    "namespaces": [{ "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }] } }
EOF
}
# The system calls that slots may make; arguments are not looked at.
allowed=$(grep -oh 'SYS_[a-z0-9_]*' init/src/child/seccomp/table/*.rs | sort -u | sed -E 's/SYS_(.*)/"\1"/' | paste -sd,)
bundle "$work/plain" ""
bundle "$work/filtered" ", \"seccomp\": { \"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrnoRet\": 1,
    \"architectures\": [\"SCMP_ARCH_X86_64\"], \"syscalls\": [{ \"names\": [$allowed], \"action\": \"SCMP_ACT_ALLOW\" }] }"

bubblewrap=(bwrap --unshare-pid --unshare-ipc --unshare-uts --hostname bench --cap-drop ALL --new-session --die-with-parent
    --ro-bind "$work/runtime" / --ro-bind "$work/release" /app --bind "$work/data" /data --ro-bind "$work/dev" /dev
    --ro-bind "$work/resolv.conf" /etc/resolv.conf --tmpfs /tmp --proc /proc --chdir /app
    --clearenv --setenv PATH /usr/bin --setenv PORT 27200 /app/payload payload)

echo "| started by | fastest, µs | median, µs | 90th percentile, µs |"
echo "|---|---|---|---|"
row() { # name, then the measurement
    local name=$1; shift
    "$@" | awk -v name="$name" '{ printf "| %s | %s | %s | %s |\n", name, $1, $2, $3 }'
}
row "nothing: fork and exec on the host" "$spawn" command "$rounds" "$work/release/payload" payload
row "kennel-init, a slot" "$spawn" slot "$work" "$rounds"
row "bubblewrap $(bwrap --version | awk '{ print $2 }')" "$spawn" command "$rounds" "${bubblewrap[@]}"
for runtime in crun runc; do
    version=$($runtime --version | awk 'NR == 1 { print $3 }')
    row "$runtime $version, no filter" "$spawn" command "$rounds" $runtime --root "$work/$runtime" run --bundle "$work/plain" "bench-{n}"
    row "$runtime $version" "$spawn" command "$rounds" $runtime --root "$work/$runtime" run --bundle "$work/filtered" "bench-{n}"
done
