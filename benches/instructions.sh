#!/bin/bash
# Instructions in user mode per proxied request, counted by callgrind: each proxy answers a number of requests over one keep-alive connection after as many to
# warm up, once with more and once with fewer; the difference is the requests'. For benches/proxy.sh, where the processor does not count.
# Lines of: name, "instructions", figure.
# usage: benches/instructions.sh FOLDER PROGRAMS PORT-OF-THE-PROGRAM HOST SLOT [OLDER]
set -euo pipefail
work=$1 release=$2 upstream=$3 host=$4 slot=$5 older=${6:-}
PATH=$PATH:/usr/sbin
few=1000 many=3000

ask() { # port requests
  python3 - "$1" "$2" "$host" <<'PY'
import socket, sys, time
port, count, host = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].encode()
# As wrk asks.
request = b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
def ask(s):
    s.sendall(request)
    got = b""
    while not got.endswith(b"xxxx"):
        piece = s.recv(65536)
        if not piece:
            raise OSError("closed: %r" % got)
        got += piece
# Under callgrind it takes a while until it listens, and until it has its routes.
for left in reversed(range(300)):
    try:
        s = socket.create_connection(("127.0.0.1", port))
        ask(s)
        break
    except OSError:
        if not left:
            raise
        time.sleep(0.1)
for _ in range(count):
    ask(s)
PY
}

# Also when something fails: the stand, and whom it has said that it started.
pid=
cleanup() { [ -z "$pid" ] || kill $pid $(head -n1 "$work/out" 2> "$work/err") 2> "$work/err" || true; }
trap cleanup EXIT

count() { # file: what the busiest of its processes did, or the worker that the stand has named
  cat "$1".${2:-*} | awk '/^(summary|totals):/ { if ($2 > most) most = $2 } END { printf "%d", most }'
}

run() { # name port command…
  local name=$1 port=$2 n sums=()
  shift 2
  for n in $few $many; do
    rm -f "$work/callgrind.$name".*
    valgrind -q --tool=callgrind --trace-children=yes --callgrind-out-file="$work/callgrind.$name.%p" "$@" < "$work/none" > "$work/out" 2> "$work/err" & pid=$!
    ask "$port" "$n"
    exec {none}>&-
    kill "$pid" 2> "$work/err" || true
    wait "$pid" || true
    # The stand has said whom it started, who goes after it.
    while [ -s "$work/out" ] && kill -0 "$(head -n1 "$work/out")" 2> "$work/err"; do sleep 0.1; done
    pid=
    sums+=("$(count "$work/callgrind.$name" "$(head -n1 "$work/out")")")
    exec {none}<> "$work/none"
  done
  echo "$name instructions $(((sums[1] - sums[0]) / (many - few)))"
}
mkfifo "$work/none"
exec {none}<> "$work/none"

sed "s/listen 127.0.0.1:8091/listen 127.0.0.1:8291/; s/nginx-bench/nginx-count/g" "$work/nginx-bench.conf" > "$work/nginx-count.conf"
run nginx 8291 nginx -c "$work/nginx-count.conf"
sed "s/bind 127.0.0.1:8094/bind 127.0.0.1:8294/" "$work/haproxy-bench.cfg" > "$work/haproxy-count.cfg"
run haproxy 8294 haproxy -db -q -f "$work/haproxy-count.cfg"
run kennel 8292 "$release/examples/stand" "$release/kennel-proxy" 127.0.0.1:8292 "$host" "$slot" 9
run kennel-10000 8295 "$release/examples/stand" "$release/kennel-proxy" 127.0.0.1:8295 "$host" "$slot" 9999
[ -z "$older" ] || run older 8293 "$release/examples/stand" "$older" 127.0.0.1:8293 "$host" "$slot" 9
