#!/bin/bash
# When kennel-proxy gives up clients that are slow: slowhttptest in each of its modes, 250 connections from one address, for up to two minutes, while a neighbour at another
# address asks ten times a second. Prints, of each mode, after how many seconds the proxy's side had none of them any more, in whatever state (`-` if it had; one may be
# slowhttptest's own look at the site), how many of them slowhttptest still took for open at the end, and what the neighbour was answered. Who reads next to nothing is not
# told that he was given up: his end learns it when he has read what he has. Needs no VM.
# usage: benches/slow.sh PROGRAMS [seconds]   (cargo build --release -p kennel-proxy --bins --example stand; slowhttptest, curl, ss, python3)
set -euo pipefail
release=$1 seconds=${2:-120}
slot=902 port=18081 connections=250
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2> /dev/null || true; rm -rf "$work"' EXIT

# A program that reads all it is sent, and answers 1 MB.
python3 - $((20000 + 8 * slot)) <<'PY' 2> "$work/program" & pids+=($!)
import http.server, sys
class Program(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        self.wfile.write(b"x" * 1000000)
    do_GET = do_POST = answer
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Program).serve_forever()
PY
mkfifo "$work/stdin"
"$release/examples/stand" "$release/kennel-proxy" "127.0.0.1:$port" localhost "$slot" < "$work/stdin" > "$work/pid" & pids+=($!)
exec 3> "$work/stdin"
until curl -sf -o /dev/null "http://localhost:$port/"; do sleep 0.1; done

echo "load $(cut -d' ' -f1 /proc/loadavg)"
echo
echo "| mode | none left here after, s | still open there | the neighbour: answers, of them 200 | its worst, ms |"
echo "|---|---|---|---|---|"
for mode in "-H" "-B" "-R" "-X -w 10 -y 20 -n 5 -z 32 -k 3"; do
  read -ra options <<< "$mode"
  slowhttptest "${options[@]}" -c "$connections" -r 100 -i 5 -l "$seconds" -p 5 -g -o "$work/report" -u "http://localhost:$port/" > "$work/out" 2>&1 & attack=$!
  : > "$work/neighbour"
  began=$(date +%s) closed=-
  while kill -0 "$attack" 2> /dev/null; do
    curl -s -o /dev/null --interface 127.0.0.2 -w '%{http_code} %{time_total}\n' "http://localhost:$port/" >> "$work/neighbour" || true
    # Ends of the proxy's, but for those that wait for stray packets only.
    ends=$(ss -Htn "sport = :$port" | awk '$1 != "TIME-WAIT" && $5 !~ /^127.0.0.2:/' | wc -l)
    now=$(($(date +%s) - began))
    if [ "$ends" -gt 1 ]; then closed=-; elif [ "$closed" = - ] && [ "$now" -gt 2 ]; then closed=$now; fi
    sleep 0.1
  done
  wait "$attack" || true
  # It ends as soon as none of its connections is open, which may be before this looked again.
  if [ "$closed" = - ] && [ "$(ss -Htn "sport = :$port" | awk '$1 != "TIME-WAIT" && $5 !~ /^127.0.0.2:/' | wc -l)" -le 1 ]; then
    closed=$(($(date +%s) - began))
  fi
  left=0
  grep -q "No open connections left" "$work/out" || left=$(tail -n1 "$work/report.csv" | cut -d, -f4)
  printf '| `%s` | %s | %s | %s | %s |\n' "${options[0]}" "$closed" "$left" \
    "$(awk '{ n++ } $1 == 200 { good++ } END { print n ", " good + 0 }' "$work/neighbour")" \
    "$(awk '$2 > worst { worst = $2 } END { printf "%d", worst * 1000 }' "$work/neighbour")"
done
exec 3>&-
