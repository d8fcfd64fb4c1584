#!/bin/bash
# Runs in the Debian VM of benches/peers.sh, as root: lays out two tenants by the paths that the villain knows, starts
# the neighbour and then the villain by the tool in question, once for each that is named, and prints the villain's
# lines, each with the tool's name. What each tool is given is its documented default; where that cannot run a web
# program at all, the least that makes it one is added and named.
# usage: peers-guest TOOL...
set -uo pipefail
slots=/data/slots run=/run/peers
say() { echo "peers: $*" >&2; }

# Two tenants, 100000 and 100001, and things of the host's that no tenant may touch, where the villain looks for them.
lay_out() { # tool
    rm -rf /data "$run"
    mkdir -p /data/control /usr/lib/kennel "$run"
    echo registry > /data/control/registry.sqlite
    chmod 0700 /data/control
    echo '{}' | tee /usr/lib/kennel/services.json > /usr/lib/kennel/image.json
    install -m 0755 /usr/local/bin/villain /usr/sbin/kennel-control
    install -m 0755 /usr/local/bin/villain /usr/sbin/kennel-unpack
    for slot in 0000 0001; do
        local folder=$slots/$slot uid=$((100000 + 10#$slot))
        mkdir -p "$folder"/{releases/1,data,log}
        cp /usr/local/bin/villain "$folder/releases/1/server"
        echo note | tee "$folder/releases/1/note.txt" > "$folder/releases/1/spare.txt"
        echo log > "$folder/log/current"
        # A careful deployment: code is root's, data the tenant's alone, and logs are nobody's but the host's.
        chown -R "$uid:$uid" "$folder/data"
        # In the default spec of the OCI runtimes both are root.
        case $1 in runc* | crun*) chown -R 0:0 "$folder/data" ;; esac
        chmod 0700 "$folder/data" "$folder/log"
    done
    # As an engine would, before anything is enforced: it may label what it keeps, not what lies elsewhere.
    [ "$1" != crun-selinux ] || for slot in 0000 0001; do
        mkdir -p "$run/$slot/rootfs"
        chcon -R -t container_file_t -l "s0:$(categories "$slot")" "$slots/$slot/releases" "$slots/$slot/data" \
            "$run/$slot/rootfs"
    done
    ipcrm --all
    rm -f /dev/mqueue/*
}

# The tenants' users; addresses on lo and listeners, so that there is somebody to reach: the metadata service's two, a
# link-local and a private one, a mail server's. The VM itself has no way out.
world() {
    # From here on the host's PIDs are larger than any in a PID namespace: one that is told to a villain means the
    # host's process or nobody.
    echo 20000 > /proc/sys/kernel/ns_last_pid
    systemd-run --quiet --unit bystander /bin/sleep infinity
    for number in 0 1; do
        echo "tenant$number:x:$((100000 + number)):$((100000 + number))::/:/usr/sbin/nologin" >> /etc/passwd
        echo "tenant$number:x:$((100000 + number)):" >> /etc/group
    done
    ip link set lo up
    for address in 169.254.169.254/32 169.254.1.1/32 10.99.0.1/32 192.52.193.25/32 10.0.2.15/32; do
        ip address add "$address" dev lo 2> /dev/null
    done
    ip -6 address add fd00:ec2::254/128 dev lo nodad 2> /dev/null
    for port in 25 80 8443; do
        # Nobody takes the connections up; that they are made is all that is asked.
        systemd-run --quiet --unit "port-$port" --socket-property "ListenStream=[::]:$port" /bin/sleep infinity
    done
}

# The bundle of an OCI runtime: its own `spec`, with a program, two mounts and no terminal.
bundle() { # tool, slot, uid, port, filter of jq, arguments...
    local tool=$1 slot=$2 uid=$3 port=$4 filter=$5 folder=$run/$2
    shift 5
    mkdir -p "$folder/rootfs"/{app,data,tmp,proc,dev,sys}
    chmod 1777 "$folder/rootfs/tmp"
    (cd "$folder" && rm -f config.json && "$tool" spec)
    jq --arg slots "$slots/$slot" --arg port "PORT=$port" --argjson uid "$uid" '
        .process.terminal = false | .process.args = ["/app/server"] + $ARGS.positional | .process.cwd = "/app" |
        .process.env += [$port] |
        .mounts += [{destination: "/app", type: "bind", source: ($slots + "/releases/1"), options: ["bind", "ro"]},
                    {destination: "/data", type: "bind", source: ($slots + "/data"), options: ["bind", "rw"]},
                    {destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", "mode=1777"]}] |
        '"$filter" "$folder/config.json" --args "$@" > "$folder/new" && mv "$folder/new" "$folder/config.json"
}

oci() { # tool, filter, slot, port, arguments...
    local tool=$1 filter=$2 slot=$3 port=$4
    shift 4
    bundle "$tool" "$slot" 0 "$port" "$filter" "$@"
    (cd "$run/$slot" && exec "$tool" run "peer-$slot-$$-$RANDOM")
}

host_network='.linux.namespaces |= map(select(.type != "network"))'
# What container-selinux gives each container: a type for all of them, two categories of its own.
categories() { echo "c$((100 + 10#$1)),c$((200 + 10#$1))"; } # slot
label() { # slot
    echo "$host_network | .process.selinuxLabel = \"system_u:system_r:container_t:s0:$(categories "$1")\" |
        .linux.mountLabel = \"system_u:object_r:container_file_t:s0:$(categories "$1")\""
}

hardened=(NoNewPrivileges=yes PrivateTmp=yes PrivateDevices=yes PrivateIPC=yes ProtectSystem=strict ProtectHome=yes
    ProtectProc=invisible ProcSubset=pid ProtectKernelTunables=yes ProtectKernelModules=yes ProtectKernelLogs=yes
    ProtectControlGroups=yes ProtectClock=yes ProtectHostname=yes RestrictNamespaces=yes RestrictRealtime=yes
    RestrictSUIDSGID=yes LockPersonality=yes MemoryDenyWriteExecute=yes RemoveIPC=yes KeyringMode=private
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6" SystemCallFilter=@system-service SystemCallArchitectures=native
    CapabilityBoundingSet= UMask=0077 MemoryMax=256M MemorySwapMax=0 TasksMax=100 LimitNOFILE=4096
    "IPAddressDeny=169.254.0.0/16 fe80::/64 224.0.0.0/4 ff00::/8 10.0.0.0/8 fc00::/7" SocketBindDeny=any)

unit() { # slot, uid, port, more settings..., --, arguments...
    local slot=$1 uid=$2 port=$3 more=()
    shift 3
    while [ "$1" != -- ]; do more+=(--property "$1"); shift; done
    shift
    systemd-run --quiet --wait --pipe --collect --unit "peer-$slot" --uid "$uid" --gid "$uid" --setenv "PORT=$port" \
        --working-directory "$slots/$slot/releases/1" "${more[@]}" "$slots/$slot/releases/1/server" "$@"
}

bubble() { # slot, uid, port, arguments...
    local slot=$1 uid=$2 port=$3
    shift 3
    setpriv --reuid "$uid" --regid "$uid" --clear-groups env -i "PORT=$port" \
        bwrap --unshare-all --share-net --die-with-parent --new-session --ro-bind /usr /usr --symlink usr/lib /lib \
        --symlink usr/lib64 /lib64 --symlink usr/bin /bin --proc /proc --dev /dev --tmpfs /tmp \
        --ro-bind "$slots/$slot/releases/1" /app --bind "$slots/$slot/data" /data --chdir /app /app/server "$@"
}

# Starts a program of a slot by a tool.
by() { # tool, slot, arguments...
    local tool=$1 slot=$2
    local uid=$((100000 + 10#$slot)) port=$((20000 + 8 * 10#$slot))
    shift 2
    case $tool in
        nothing) cd "$slots/$slot/releases/1" && PORT=$port exec ./server "$@" ;;
        systemd) unit "$slot" "$uid" "$port" -- "$@" ;;
        systemd-hardened)
            unit "$slot" "$uid" "$port" "${hardened[@]}" "SocketBindAllow=tcp:$port-$((port + 7))" \
                "ReadWritePaths=$slots/$slot/data" -- "$@" ;;
        bubblewrap) bubble "$slot" "$uid" "$port" "$@" ;;
        runc) oci runc . "$slot" "$port" "$@" ;;
        runc-host-network) oci runc "$host_network" "$slot" "$port" "$@" ;;
        crun) oci crun . "$slot" "$port" "$@" ;;
        crun-selinux) oci crun "$(label "$slot")" "$slot" "$port" "$@" ;;
        *) say "there is no tool $tool"; return 64 ;;
    esac
}

# What the kernel would hold the neighbour to.
limits() { # tool, pid
    local cgroup=/sys/fs/cgroup$(cut -d : -f 3 "/proc/$2/cgroup") file result
    for file in memory.max pids.max; do
        result=$(cat "$cgroup/$file")
        [ "$result" != max ] && result=held || result=done
        jq -M -n -c --arg tool "$1" --arg id "${file/.max/-limit}" --arg result "$result" '{$tool, $id, $result}'
    done
}

# Starts the neighbour, and waits until it serves; its PID.
neighbour() { # tool
    local log=$run/neighbour.log
    : > "$log"
    # Through a pipe, as from any supervisor: under SELinux a container may write to its engine's pipes and to no file.
    by "$1" 0001 neighbour 2>&1 < /dev/null | cat >> "$log" &
    if ! timeout 90 bash -c 'grep -q -m 1 listening <(exec tail -n +1 -f --pid "$1" "$0")' "$log" $!; then
        say "$1: the neighbour did not start: $(cat "$log")"
        return 1
    fi
    # Attempts of its own have ended, or are named otherwise.
    pid=$(pgrep -o -x server)
}

one() { # tool
    local tool=$1 pid='' service objects
    lay_out "$tool"
    neighbour "$tool" || return
    # Asked in its own network namespace: it may have one.
    objects=$(nsenter --target "$pid" --net bash -c 'exec 3<> /dev/tcp/127.0.0.1/20008
        printf "GET /objects HTTP/1.0\r\n\r\n" >&3; tail -n 1 <&3')
    say "$tool: neighbour $pid has $objects"
    number() { jq -r ".$1" <<< "$objects"; }
    limits "$tool" "$pid"
    service=$(systemctl show --value -p MainPID bystander)
    # Both have the labels already; what an engine needs not, such as to ask a container, is done.
    [ "$tool" != crun-selinux ] || setenforce 1
    by "$tool" 0000 run neighbour=1 "pid=$pid" "service=$service" "descriptor=$(number descriptor)" \
        "key=$(number key)" address=10.0.2.15 2> >(cat > "$run/villain.log") < /dev/null |
        while read -r line; do
            jq -M -c --arg tool "$tool" '{$tool} + .' <<< "$line"
            # What comes after this exhausts something and takes minutes each under emulation; whether there is a limit
            # was read instead.
            [[ $line != *escape-deep-tree* ]] || kill -KILL $(pgrep -x server | grep -v -x "$pid")
        done
    [ ! -s "$run/villain.log" ] || say "$tool: $(head -n 5 "$run/villain.log")"
    kill -KILL "$pid"
    wait
}

# Under SELinux all is started as a container engine would: in its domain, which may write to no serial line; the unit
# prints what is left in a file. Nothing is enforced yet.
if [ "$1" = crun-selinux ]; then
    [ -n "${PEERS_ENGINE:-}" ] ||
        PEERS_ENGINE=1 exec runcon system_u:system_r:container_engine_t:s0 "$0" "$@"
    exec > /run/peers-results
fi
ulimit -n 4096
world
for tool in "$@"; do
    one "$tool"
    say "$tool: over"
done
