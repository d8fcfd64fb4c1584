#!/bin/bash
# What many routes cost the proxy, 10 against 10,000: instructions in user mode per request (callgrind) by an exact name, by a wildcard and by a path; memory of the
# process; and the time to read, check and put in force a table. Needs no VM and no other proxy; counts do not mind a busy machine, the last one does.
# Lines of: what, routes, figure.
# usage: benches/routes.sh PROGRAMS   (cargo build --release -p kennel-proxy --bins --examples)
set -euo pipefail
release=$1
slot=901
work=$(mktemp -d)
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2> /dev/null || true; done
  rm -rf "$work"
}
trap finish EXIT
few=500 many=1500

# A program in the slot: keep-alive, 1 KiB.
python3 - $((20000 + 8 * slot)) <<'PY' & pids+=($!)
import socketserver, sys
body = b"x" * 1024
answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n" + body
class Program(socketserver.StreamRequestHandler):
    def handle(self):
        while True:
            got = b""
            while not got.endswith(b"\r\n\r\n"):
                line = self.rfile.readline()
                if not line:
                    return
                got += line
            self.wfile.write(answer)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
Server(("127.0.0.1", int(sys.argv[1])), Program).serve_forever()
PY

ask() { # port host path requests
  python3 - "$@" <<'PY'
import socket, sys, time
port, host, path, count = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
for _ in range(600):
    try:
        s = socket.create_connection(("127.0.0.1", port))
        break
    except OSError:
        time.sleep(0.1)
request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
def once():
    s.sendall(request)
    got = b""
    while b"\r\n\r\n" not in got:
        got += s.recv(65536)
    head, rest = got.split(b"\r\n\r\n", 1)
    length = int([l for l in head.split(b"\r\n") if l.lower().startswith(b"content-length:")][0].split(b":")[1])
    while len(rest) < length:
        rest += s.recv(65536)
    return head
# Until the table is in force.
for _ in range(600):
    if once().startswith(b"HTTP/1.1 200"):
        break
    time.sleep(0.1)
for _ in range(count):
    head = once()
    assert head.startswith(b"HTTP/1.1 200"), head
PY
}

mkfifo "$work/none"
port=8490
begin() { # domain further-routes command…
  local domain=$1 further=$2
  shift 2
  port=$((port + 1))
  exec {none}<> "$work/none"
  "$@" "$release/examples/stand" "$release/kennel-proxy" "127.0.0.1:$port" "$domain" $slot "$further" < "$work/none" > "$work/out" 2> "$work/err" & stand=$!
  pids+=("$stand")
}
end() {
  exec {none}>&-
  kill "$stand" 2> /dev/null || true
  wait "$stand" 2> /dev/null || true
  while [ -s "$work/out" ] && kill -0 "$(head -n1 "$work/out")" 2> /dev/null; do sleep 0.1; done
}

for what in "exact bench.example bench.example /" "wildcard *.bench.example a.bench.example /" "path bench.example/shop bench.example /shop/x"; do
  read -r name domain host path <<< "$what"
  for further in 9 9999; do
    sums=()
    for n in $few $many; do
      rm -f "$work"/callgrind.*
      begin "$domain" $further valgrind -q --tool=callgrind --trace-children=yes --callgrind-out-file="$work/callgrind.%p"
      ask $port "$host" "$path" $n
      end
      sums+=("$(cat "$work"/callgrind.* | awk '/^(summary|totals):/ { if ($2 > most) most = $2 } END { printf "%d", most }')")
    done
    echo "instructions-$name $((further + 1)) $(((sums[1] - sums[0]) / (many - few)))"
  done
done
for further in 9 9999; do
  begin bench.example $further env
  ask $port bench.example / 200
  echo "resident-kib $((further + 1)) $(awk '/^VmRSS/ { print $2 }' "/proc/$(head -n1 "$work/out")/status")"
  end
done
for count in 10 10000; do echo "swap $("$release/examples/swap" $count)"; done
