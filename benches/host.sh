# Sourced by the benchmarks that need a host of ours in QEMU: a host with folders of its own below $work, run and asked
# through the `kennel` command; beside it, if they want, a machine with another system, and visitors of both. Expects $work
# (a temporary folder) and sets $kennel (the command).

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
    "$kennel" -q tenant add "$name" --runtime "$runtime" --domain "$name.localhost" --trial off "$@" >&2
    "$kennel" -q deploy "$name" "$folder" >&2
}

host_stop() { "$kennel" -q stop --timeout 120 >&2 || true; }

# A port of this computer's where nobody listens yet, from $1 on.
free() { for p in $(seq "$1" "$(($1 + 100))"); do (: > "/dev/tcp/127.0.0.1/$p") 2> /dev/null || { echo "$p"; break; }; done; }

firmware=/usr/share/OVMF
[ -e "$firmware/OVMF_CODE_4M.fd" ] && firmware_size=_4M || firmware_size=

# A machine as `kennel run` has it, of the processor $KENNEL_ACCEL names (tcg or kvm), in the background: $qemu is its PID.
# Its console is $work/NAME.console. The network is options of QEMU's user network; more of QEMU's arguments may follow.
machine() { # name, image, memory, processors, network
    local name=$1 image=$2 memory=$3 processors=$4 network=$5 processor
    shift 5
    case ${KENNEL_ACCEL:-tcg} in
        tcg) processor=(-accel tcg,thread=single -cpu "max,-cx16") ;;
        kvm) processor=(-accel kvm -cpu max) ;;
        *) echo "error: KENNEL_ACCEL is tcg or kvm" >&2; exit 64 ;;
    esac
    cp "$firmware/OVMF_VARS$firmware_size.fd" "$work/$name.vars"
    qemu-system-x86_64 -nodefaults -no-user-config -display none -machine q35 "${processor[@]}" -m "$memory" -smp "$processors" \
        -drive "if=pflash,unit=0,format=raw,file=$firmware/OVMF_CODE$firmware_size.fd,readonly=on" \
        -drive "if=pflash,unit=1,format=raw,file=$work/$name.vars" \
        -drive "if=none,id=image,format=raw,file=$image,snapshot=on" -device virtio-blk-pci,drive=image,bootindex=0 \
        -netdev "user,id=net,$network" -device virtio-net-pci,netdev=net,romfile= \
        -device virtio-rng-pci -serial "file:$work/$name.console" "$@" 2> "$work/$name.qemu" &
    qemu=$!
}
machine_stop() { [ -z "${qemu:-}" ] || { kill "$qemu" 2> /dev/null || true; wait "$qemu" 2> /dev/null || true; qemu=; }; }

# Milliseconds to the first byte of a page, whose body is left in $work/answer.
first_byte_ms() { # name below .localhost, path, port (our host's if none)
    curl -s -o "$work/answer" -w '%{http_code} %{time_starttransfer}\n' --max-time 120 \
        -H "Host: $1.localhost" "http://127.0.0.1:${3:-$web_port}$2" |
        awk '{ if ($1 != 200) { print "the page answered " $1 > "/dev/stderr"; exit 1 }; printf "%.1f\n", $2 * 1000 }'
}

# A line each, status (000: none in time) and seconds to the first byte.
visit() { # port, names below .localhost
    local port=$1 name
    shift
    for name; do
        curl -s -o /dev/null -w '%{http_code} %{time_starttransfer}\n' --max-time 130 \
            -H "Host: $name.localhost" "http://127.0.0.1:$port/" || true
    done
}

# Visits all at once: within a second, but no two in the same instant, of which QEMU's network loses some.
visit_at_once() { # port, names below .localhost
    local port=$1 name visitors=()
    shift
    for name; do
        visit "$port" "$name" &
        visitors+=($!)
        sleep 0.004
    done
    wait "${visitors[@]}" || true
}

failures() { awk '$1 != 200 { n++ } END { print n + 0 }' "$1"; }
answers() { awk '{ print $1 }' "$1" | sort | uniq -c | awk '{ printf "%s%s times %s", n++ ? ", " : "", $1, $2 }'; }

# A percentile of the numbers on standard input.
percentile() { sort -n | awk -v p="$1" '{ t[NR] = $1 } END { n = int(NR * p / 100 + 0.999999); if (n > NR) n = NR; print t[n] }'; }

becomes() { # tenant, state
    local deadline=$((SECONDS + 120))
    until [ "$("$kennel" --json tenant show "$1" | jq -r .state)" = "$2" ]; do
        [ $SECONDS -lt $deadline ] || { echo "$1 does not become $2" >&2; exit 1; }
        sleep 0.2
    done
}
sleeps() { # tenant, depth
    # Refused for as long as the lease of the last visitor is held, a second.
    until "$kennel" -q tenant sleep "$1" --to "$2" > /dev/null 2> "$work/refused"; do
        grep -q "in flight" "$work/refused" || { cat "$work/refused" >&2; exit 1; }
        sleep 0.3
    done
    becomes "$1" "$2"
}
available() { "$kennel" --json host status | jq .memory_available_bytes; }

# A tenant that times bare starts of the program in folder $1; more arguments go to `kennel tenant add`.
host_bare() {
    local program=$1
    shift
    cp -r "$program" "$work/bare"
    mv "$work/bare/server.js" "$work/bare/program.js"
    cp benches/idle/server.js "$work/bare/"
    host_tenant bare node-24 "$work/bare" "$@"
    first_byte_ms bare / > /dev/null
}
host_bare_start_ms() {
    first_byte_ms bare /bare > /dev/null
    cat "$work/answer"
    echo
}

# Bytes of memory that are available. Free pages that a processor keeps at hand are in no figure of /proc/meminfo, and can be an
# eighth of the memory: the tenant of `host_bare` has them taken for its file first, whose pages count as available.
host_available() {
    first_byte_ms bare /fill > /dev/null
    available
}
