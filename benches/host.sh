# Sourced by the benchmarks that need a host of ours in QEMU: a host with folders of its own below $work, run and asked
# through the `kennel` command. Expects $work (a temporary folder) and sets $kennel (the command).

kennel=${KENNEL:-$(cargo metadata --no-deps --format-version 1 |
    sed -E 's/.*"target_directory":"([^"]*)".*/\1/')/x86_64-unknown-linux-gnu/release/kennel}
[ -x "$kennel" ] || { echo "error: no $kennel; hint: make build, or set KENNEL" >&2; exit 69; }
export XDG_STATE_HOME=$work/state XDG_CONFIG_HOME=$work/config HOME=$work
unset SSH_AUTH_SOCK KENNEL_HOST KENNEL_IDENTITY
host_state=$XDG_STATE_HOME/kennel/hosts/local

# Boots an image and sets $web_port; more arguments go to `kennel run`.
host_start() {
    local said image=$1
    shift
    said=$("$kennel" --json run --detach --image "$image" --port 0 --api-port 0 --timeout 400 "$@")
    web_port=$(sed -nE 's/.*"web_port": *([0-9]+).*/\1/p' <<<"$said")
}

# A tenant called $1 of runtime $2 with a release of folder $3; more arguments go to `kennel tenant add`.
host_tenant() {
    local name=$1 runtime=$2 folder=$3
    shift 3
    "$kennel" -q tenant add "$name" --runtime "$runtime" --domain "$name.localhost" "$@" >&2
    "$kennel" -q deploy "$name" "$folder" >&2
}

host_stop() { "$kennel" -q stop --timeout 120 >&2 || true; }
