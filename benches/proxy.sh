#!/bin/bash
# kennel-proxy beside nginx, each as a reverse proxy with one worker in front of the same program (another nginx that
# answers from memory), on this machine; with an older kennel-proxy taking turns with this one, if it is named. Needs:
# cargo, nginx, wrk. Prints rows for docs/benchmarks.md.
# usage: benches/proxy.sh [seconds per run [rounds [older kennel-proxy]]]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-10} rounds=${2:-1} older=${3:-}
slot=900 host=bench.example
upstream=$((20000 + 8 * slot)) nginx_port=8091 kennel_port=8092 older_port=8093
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait; rm -rf "$work"' EXIT

cargo build -q --release -p kennel-proxy
cargo build -q --release -p kennel-proxy --example stand
target=$(cargo metadata --no-deps --format-version 1 | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')
release=$target/x86_64-unknown-linux-gnu/release

# The program and nginx's proxy are two nginx, so that neither proxy shares a process with the program.
configure() { # name, then what stands in http { }
  cat > "$work/$1.conf" <<EOF
worker_processes 1; daemon off; pid $work/$1.pid; error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000;
  client_body_temp_path $work; proxy_temp_path $work; fastcgi_temp_path $work; uwsgi_temp_path $work; scgi_temp_path $work;
  $2
}
EOF
}
configure program "server { listen 127.0.0.1:$upstream; location / { return 200 'hello'; } }"
configure proxy "
  upstream program { server 127.0.0.1:$upstream; keepalive 64; keepalive_requests 1000000; }
  server {
    listen 127.0.0.1:$nginx_port; server_name $host;
    location / {
      proxy_pass http://program; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host \$host;
      proxy_set_header X-Forwarded-For \$remote_addr; proxy_set_header X-Forwarded-Proto \$scheme;
    }
  }"
nginx -c "$work/program.conf" & pids+=($!)
nginx -c "$work/proxy.conf" & pids+=($!)
nginx_master=${pids[1]}
stand() { # name, program, port: its PID ends up in $work/NAME.pid
  mkfifo "$work/$1.stdin"
  "$release/examples/stand" "$2" "127.0.0.1:$3" "$host" "$slot" < "$work/$1.stdin" > "$work/$1.pid" &
  pids+=($!)
  exec {stand}> "$work/$1.stdin"
  for _ in $(seq 100); do
    curl -fsS -o "$work/out" -H "Host: $host" "http://127.0.0.1:$3/" 2> "$work/err" && return
    sleep 0.1
  done
  cat "$work/err" >&2
  return 1
}
stand kennel-proxy "$release/kennel-proxy" "$kennel_port"
[ -z "$older" ] || stand older "$older" "$older_port"

# In ticks of 10 ms, for all its threads.
cpu() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }
nginx_worker=$(pgrep -P "$nginx_master")
echo "| proxy | connections | requests/s | CPU, µs/request | latency p50 | p99 | RSS idle, KiB | RSS after, KiB |"
echo "|---|---|---|---|---|---|---|---|"
measure() { # name port pid connections
  local before report ticks
  before=$(rss "$3") ticks=$(cpu "$3")
  report=$(wrk -t1 -c"$4" -d"${seconds}s" --latency -H "Host: $host" "http://127.0.0.1:$2/")
  echo "$report" | grep -q "Non-2xx" && echo "$1: $(echo "$report" | grep "Non-2xx")" >&2
  awk -v name="$1" -v c="$4" -v before="$before" -v after="$(rss "$3")" -v ticks="$(($(cpu "$3") - ticks))" '
    $1 == "50%" { p50 = $2 } $1 == "99%" { p99 = $2 } $1 == "Requests/sec:" { rate = int($2) }
    $2 == "requests" { requests = $1 }
    END {
      printf "| %s | %s | %s | %.1f | %s | %s | %s | %s |\n", name, c, rate, ticks * 10000 / requests, p50, p99, before, after
    }' <<< "$report"
}
for connections in 1 64 256; do
  for _ in $(seq "$rounds"); do
    measure nginx "$nginx_port" "$nginx_worker" "$connections"
    [ -z "$older" ] || measure older "$older_port" "$(cat "$work/older.pid")" "$connections"
    measure kennel-proxy "$kennel_port" "$(cat "$work/kennel-proxy.pid")" "$connections"
  done
done
