#!/bin/bash
# kennel-proxy beside nginx with OpenSSL, each as a TLS reverse proxy with one worker and a log, in front of the same program (another nginx: 1 KiB from memory, 1 MiB
# from a file), on this machine, taking turns in one run; medians of all rounds. Figures are the CPU time of the proxy's process alone: per keep-alive request, per request of
# HTTP/2 with 100 streams, per new connection with a full and with a resumed handshake (TLS 1.3, ECDSA P-256, one request each), per response of 1 MiB. Then the memory of idle keep-alive connections.
# Needs: cargo, nginx, openssl, h2load (nghttp2-client), python3.
# usage: benches/https.sh [seconds per run [rounds]]     (3 and 7)
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/peers-http.sh
seconds=${1:-3} rounds=${2:-7}
slot=901 host=bench.example
upstream=$((20000 + 8 * slot))

build
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj "/CN=$host" -addext "subjectAltName=DNS:$host" \
  -keyout "$work/key.pem" -out "$work/chain.pem" 2> "$work/err"
head -c 1048576 /dev/urandom > "$work/mib"
page=$(printf 'x%.0s' $(seq 1024))
nginx_conf program off "server { listen 127.0.0.1:$upstream backlog=4096; location / { return 200 '$page'; } location /mib { root $work; } }"
start_nginx program
wait_for "$upstream"
nginx_conf nginx-bench "$work/nginx.log" "
  upstream program { server 127.0.0.1:$upstream; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:8191 ssl backlog=4096; server_name $host; http2 on; http2_max_concurrent_streams 128;
    ssl_certificate $work/chain.pem; ssl_certificate_key $work/key.pem; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:SSL:10m;
    location / {
      proxy_pass http://program; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host \$host;
      proxy_set_header X-Forwarded-For \$remote_addr; proxy_set_header X-Forwarded-Proto \$scheme;
      proxy_set_header X-Forwarded-Host \$host;
    }
  }"
nginx -v 2>&1 | grep -q 'nginx/1\.\(2[5-9]\|[3-9]\)' || sed -i 's/ ssl backlog/ ssl http2 backlog/; s/ http2 on;//' "$work/nginx-bench.conf"
start_nginx nginx-bench
wait_for 8191
mkfifo "$work/kennel.stdin"
"$release/examples/stand" "$release/kennel-proxy" 127.0.0.1:8190 "$host" "$slot" 0 127.0.0.1:8192 "$work/chain.pem" "$work/key.pem" \
  < "$work/kennel.stdin" > "$work/kennel.worker" & pids+=($!)
exec {stand}> "$work/kennel.stdin"
wait_for 8192
declare -A port=([nginx]=8191 [kennel]=8192)
pid() { case $1 in nginx) cat "$work/nginx-bench.worker" ;; kennel) cat "$work/kennel.worker" ;; esac; }

# In ticks of 10 ms, for all its threads.
cpu() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
# h2load's report on one who is asked all the time; every answer must be a 2xx. Leaves the number of requests.
load() { # name path arguments
  h2load -t1 -D "$seconds" --connect-to "127.0.0.1:${port[$1]}" "${@:3}" "https://$host$2" > "$work/report"
  requests=$(sed -nE 's/^status codes: ([0-9]+) 2xx, 0 3xx, 0 4xx, 0 5xx$/\1/p' "$work/report")
  [ "${requests:-0}" -gt 0 ] || { cat "$work/report" >&2; return 1; }
}
# New connections, one request each; resumed ones after one that gave the ticket. Prints how many.
cat > "$work/handshakes.py" <<'PY'
import socket, ssl, sys, time
port, host, seconds, resumed = int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4] == "resumed"
context = ssl.create_default_context(cafile=sys.argv[5])
session, count, end = None, 0, time.monotonic() + seconds
while time.monotonic() < end:
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname=host, session=session) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: " + host.encode() + b"\r\nConnection: close\r\n\r\n")
        got = b""
        while piece := s.recv(65536):
            got += piece
        assert got.startswith(b"HTTP/1.1 200 ") and got.endswith(b"xxxx"), got[:200]
        assert s.session_reused == (session is not None), "not as meant"
        if resumed and session is None:
            session = s.session
        count += 1
print(count)
PY
handshakes() { # name full|resumed
  requests=$(python3 "$work/handshakes.py" "${port[$1]}" "$host" "$seconds" "$2" "$work/chain.pem")
}
measure() { # name metric command…
  local ticks
  ticks=$(cpu "$(pid "$1")")
  "${@:3}"
  awk -v name="$1" -v metric="$2" -v ticks="$(($(cpu "$(pid "$1")") - ticks))" -v requests="$requests" \
    'BEGIN { printf "%s %s %.2f\n", name, metric, ticks * 10000 / requests }' >> "$work/figures"
}
for _ in $(seq "$rounds"); do
  for name in nginx kennel; do
    measure "$name" keep-alive load "$name" / --h1 -c 64
    measure "$name" http2 load "$name" / -c 4 -m 100
    measure "$name" mib load "$name" /mib --h1 -c 16
    measure "$name" full handshakes "$name" full
    measure "$name" resumed handshakes "$name" resumed
  done
done
# 1000 connections that have each had an answer, from several addresses, as one may not have as many; what the proxy has grown by for each.
cat > "$work/idle.py" <<'PY'
import re, socket, ssl, sys, time
port, host, pid = int(sys.argv[1]), sys.argv[2], sys.argv[3]
context = ssl.create_default_context(cafile=sys.argv[4])
def resident():
    return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read())[1])
before, held, count = resident(), [], 1000
for n in range(count):
    s = socket.create_connection(("127.0.0.1", port), source_address=("127.0.1.%d" % (1 + n // 100), 0))
    s = context.wrap_socket(s, server_hostname=host)
    s.sendall(b"GET / HTTP/1.1\r\nHost: " + host.encode() + b"\r\n\r\n")
    got = b""
    while not got.endswith(b"xxxx"):
        got += s.recv(65536)
    held.append(s)
time.sleep(4)
print("%.2f" % ((resident() - before) / count))
PY
for name in nginx kennel; do
  echo "$name idle $(python3 "$work/idle.py" "${port[$name]}" "$host" "$(pid "$name")" "$work/chain.pem")" >> "$work/figures"
done
median() { # name metric
  awk -v name="$1" -v metric="$2" '$1 == name && $2 == metric { print $3 }' "$work/figures" | sort -n |
    awk '{ all[NR] = $1 } END { print NR % 2 ? all[(NR + 1) / 2] : (all[NR / 2] + all[NR / 2 + 1]) / 2 }'
}
echo "$rounds rounds of $seconds s, medians; $(nginx -v 2>&1 | sed 's/.*: //'), $(openssl version | cut -d' ' -f1,2); load $(cut -d' ' -f1 /proc/loadavg)"
echo
echo "| CPU of the proxy in µs, or KiB | nginx | kennel-proxy | of nginx's |"
echo "|---|---|---|---|"
row() { # metric words
  local a b
  a=$(median nginx "$1") b=$(median kennel "$1")
  awk -v words="$2" -v a="$a" -v b="$b" 'BEGIN { printf "| %s | %s | %s | %.2f |\n", words, a, b, b / a }'
}
row keep-alive "keep-alive request, 64 connections of HTTP/1.1"
row http2 "request of HTTP/2, 4 connections, 100 streams each"
row full "new connection, full handshake"
row resumed "new connection, resumed"
row mib "1 MiB"
row idle "KiB an idle connection, of 1000"
