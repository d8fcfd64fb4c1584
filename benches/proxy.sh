#!/bin/bash
# kennel-proxy beside nginx and HAProxy, each as a reverse proxy with one worker and a log, in front of the same program (another nginx that
# answers 1 KiB from memory), on this machine, taking turns in one run; medians of all rounds. The steady figures are those of the proxy's process alone: CPU
# time, instructions in user mode (perf where the processor counts them, else callgrind) and system calls per request. Then the memory of idle keep-alive connections, and
# kennel-proxy with 10 and with 10,000 routes. An older kennel-proxy takes its turns too, if it is named. Needs: cargo, nginx, haproxy, wrk, h2load (nghttp2-client), strace, python3, perf or valgrind.
# usage: benches/proxy.sh [seconds per run [rounds [older kennel-proxy]]]
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/peers-http.sh
seconds=${1:-4} rounds=${2:-7} older=${3:-}
slot=900 host=bench.example connections=64 idle=1000
upstream=$((20000 + 8 * slot))

build
page=$(printf 'x%.0s' $(seq 1024))
nginx_conf program off "server { listen 127.0.0.1:$upstream backlog=4096; location / { return 200 '$page'; } }"
start_nginx program
wait_for "$upstream"
# What takes HAProxy's log: it writes to no file itself.
python3 - "$work" <<'PY' & pids+=($!)
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1] + "/haproxy.sock")
with open(sys.argv[1] + "/haproxy.log", "wb", 1 << 20) as log:
    while True:
        log.write(s.recv(1 << 16))
PY
until [ -S "$work/haproxy.sock" ]; do sleep 0.05; done

declare -A port
names=()
add() { names+=("$1"); port[$1]=$2; }
nginx_proxy bench 8091 "$upstream" "$work/nginx.log"; ln -s nginx-bench.worker "$work/nginx.pid1"; add nginx 8091
haproxy_proxy bench 8094 "$upstream" "log $work/haproxy.sock local0"; ln -s haproxy-bench.worker "$work/haproxy.pid1"; add haproxy 8094
kennel_proxy bench 8092 "$host" "$slot" "" 9; ln -s kennel-bench.worker "$work/kennel.pid1"; add kennel 8092
kennel_proxy routes 8095 "$host" "$slot" "" 9999; ln -s kennel-routes.worker "$work/kennel-10000.pid1"; add kennel-10000 8095
if [ -n "$older" ]; then
  kennel_proxy older 8093 "$host" "$slot" "$older" 9; ln -s kennel-older.worker "$work/older.pid1"; add older 8093
fi

pid() { cat "$work/$1.pid1"; }
# In ticks of 10 ms, for all its threads.
cpu() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }
ask() { # name seconds: wrk's report
  wrk -t1 -c"$connections" -d"$2s" --latency -H "Host: $host" "http://127.0.0.1:${port[$1]}/" > "$work/report"
  if grep -q "Non-2xx" "$work/report"; then
    echo "$1: $(grep "Non-2xx" "$work/report")" >&2
    return 1
  fi
  requests=$(awk '$2 == "requests" { print $1 }' "$work/report")
}
note() { echo "$1 $2 $3" >> "$work/figures"; }
per() { awk -v n="$1" -v of="$2" -v scale="${3:-1}" 'BEGIN { printf "%.2f", n * scale / of }'; }

counts() { perf stat -x, -e instructions:u -- true 2>&1 | grep -q '^[0-9]'; }
for round in $(seq "$rounds"); do
  for name in "${names[@]}"; do
    ticks=$(cpu "$(pid "$name")")
    ask "$name" "$seconds"
    note "$name" cpu "$(per $(($(cpu "$(pid "$name")") - ticks)) "$requests" 10000)"
    note "$name" rate "$(awk '$1 == "Requests/sec:" { print int($2) }' "$work/report")"
    note "$name" p99 "$(awk '$1 == "99%" { n = $2 + 0; if ($2 ~ /us/) n /= 1000; else if ($2 !~ /ms/) n *= 1000; print n }' "$work/report")"
    if counts; then
      perf stat -x, -e instructions:u -p "$(pid "$name")" -o "$work/perf" -- sleep $((seconds + 1)) &
      perf=$!
      sleep 0.3
      ask "$name" "$((seconds > 1 ? seconds - 1 : 1))"
      wait "$perf"
      note "$name" instructions "$(per "$(awk -F, '/instructions/ { print $1 }' "$work/perf")" "$requests")"
    fi
    if [ "$round" = 1 ]; then
      strace -c -f -o "$work/strace" -p "$(pid "$name")" 2> "$work/err" & strace=$!
      sleep 0.5
      ask "$name" 2
      kill -INT "$strace"; wait "$strace" || true
      note "$name" calls "$(per "$(awk '$NF == "total" { print $4 }' "$work/strace")" "$requests")"
    fi
  done
done

median() { # name metric
  awk -v name="$1" -v metric="$2" '$1 == name && $2 == metric { print $3 }' "$work/figures" | sort -n |
    awk '{ all[NR] = $1 } END { if (NR) print NR % 2 ? all[(NR + 1) / 2] : (all[NR / 2] + all[NR / 2 + 1]) / 2; else print "-" }'
}
# The same rate for all: half of what the slowest of them can.
half=$(for name in "${names[@]}"; do median "$name" rate; done | sort -n | awk -v of="$connections" 'NR == 1 { print int($1 / 2 / of) }')
for round in $(seq "$rounds"); do
  for name in "${names[@]}"; do
    rm -f "$work/h2load"
    h2load --h1 -t1 -c"$connections" -D"$seconds" --rps="$half" --log-file="$work/h2load" \
      --connect-to="127.0.0.1:${port[$name]}" "http://$host/" > "$work/out"
    note "$name" half "$(awk '{ print $3 / 1000 }' "$work/h2load" | sort -n | awk '{ all[NR] = $1 } END { print all[int(NR * 0.99)] }')"
  done
done

# 1000 connections that have each had an answer, from several addresses, as one may not have as many.
for name in "${names[@]}"; do
  echo "idle connections: $name" >&2
  before=$(rss "$(pid "$name")")
  python3 - "${port[$name]}" "$idle" "$host" "$work/go" <<'PY' & opener=$!
import socket, sys, time
port, count, host, go = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
held = []
for n in range(count):
    s = socket.create_connection(("127.0.0.1", port), source_address=("127.0.1.%d" % (1 + n // 100), 0))
    s.sendall(b"GET / HTTP/1.1\r\nHost: " + host.encode() + b"\r\n\r\n")
    got = b""
    while not got.endswith(b"xxxx"):
        got += s.recv(65536)
    held.append(s)
time.sleep(4)
open(go, "w").close()
time.sleep(2)
PY
  until [ -e "$work/go" ]; do sleep 0.1; done
  note "$name" idle "$(per $(($(rss "$(pid "$name")") - before)) "$idle" 1)"
  rm "$work/go"
  wait "$opener"
  note "$name" rss "$(rss "$(pid "$name")")"
done

# Without a counter in the processor: the same requests under callgrind, which counts every instruction; the start's are taken off.
if ! counts; then
  benches/instructions.sh "$work" "$release" "$upstream" "$host" "$slot" "$older" >> "$work/figures"
fi

echo "$connections connections, $rounds rounds of $seconds s, medians; $(nginx -v 2>&1 | sed 's/.*: //'), $(haproxy -v | sed -n 's/^HAProxy version \([^ ]*\).*/HAProxy \1/p'); load $(cut -d' ' -f1 /proc/loadavg)"
echo
echo "| proxy | CPU, µs a request | instructions a request, user | system calls a request | requests/s | p99, ms | p99 at $((half * connections))/s, ms | KiB an idle connection | RSS then, KiB |"
echo "|---|---|---|---|---|---|---|---|---|"
for name in "${names[@]}"; do
  printf '| %s' "$name"
  for metric in cpu instructions calls rate p99 half idle rss; do printf ' | %s' "$(median "$name" "$metric")"; done
  echo " |"
done
