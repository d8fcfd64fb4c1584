#!/bin/bash
# Files that kennel-proxy answers by itself beside nginx with sendfile, one worker and a log each, on this machine, taking turns in one run; medians of all
# rounds. 1 KiB and 1 MiB from the page cache over 64 keep-alive connections: requests a second, and CPU time of the worker alone. Needs: cargo, nginx, wrk, strace.
# usage: benches/static.sh [seconds per run [rounds]]
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/peers-http.sh
seconds=${1:-4} rounds=${2:-7}
slot=901 host=files.example connections=64

build
mkdir "$work/files"
head -c 1024 /dev/zero | tr '\0' x > "$work/files/small.txt"
head -c 1048576 /dev/zero | tr '\0' x > "$work/files/large.txt"
# Others have to read them.
chmod -R a+rX "$work"
# As Debian has it: sendfile and tcp_nopush.
nginx_conf files "$work/nginx.log" "
  sendfile on; tcp_nopush on; types { text/plain txt; }
  server { listen 127.0.0.1:8096 backlog=4096; root $work/files; }"
sed -i "1i user root;" "$work/files.conf"
start_nginx files
wait_for 8096
KENNEL_STAND_FILES=$work/files kennel_proxy files 8097 "$host" "$slot"
declare -A port=([nginx]=8096 [kennel]=8097) worker=([nginx]=files [kennel]=kennel-files)

pid() { cat "$work/${worker[$1]}.worker"; }
# In ticks of 10 ms, for all its threads.
cpu() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
ask() { # name file seconds
  wrk -t1 -c"$connections" -d"$3s" --latency -H "Host: $host" "http://127.0.0.1:${port[$1]}/$2.txt" > "$work/report"
  if grep -q "Non-2xx" "$work/report"; then
    echo "$1: $(grep "Non-2xx" "$work/report")" >&2
    return 1
  fi
  requests=$(awk '$2 == "requests" { print $1 }' "$work/report")
}
note() { echo "$1 $2 $3" >> "$work/figures"; }
per() { awk -v n="$1" -v of="$2" -v scale="$3" 'BEGIN { printf "%.2f", n * scale / of }'; }

for name in nginx kennel; do
  for file in small large; do
    # Both answer the same, and have it in memory from here on.
    curl -sf -H "Host: $host" "http://127.0.0.1:${port[$name]}/$file.txt" | cmp - "$work/files/$file.txt"
  done
done
for round in $(seq "$rounds"); do
  for file in small large; do
    for name in nginx kennel; do
      ticks=$(cpu "$(pid "$name")")
      ask "$name" "$file" "$seconds"
      note "$name" "$file-cpu" "$(per $(($(cpu "$(pid "$name")") - ticks)) "$requests" 10000)"
      note "$name" "$file-rate" "$(awk '$1 == "Requests/sec:" { print int($2) }' "$work/report")"
      if [ "$round" = 1 ]; then
        strace -c -f -o "$work/strace" -p "$(pid "$name")" 2> "$work/err" & strace=$!
        sleep 0.5
        ask "$name" "$file" 2
        kill -INT "$strace"; wait "$strace" || true
        note "$name" "$file-calls" "$(per "$(awk '$NF == "total" { print $4 }' "$work/strace")" "$requests" 1)"
      fi
    done
  done
done

median() { # name metric
  awk -v name="$1" -v metric="$2" '$1 == name && $2 == metric { print $3 }' "$work/figures" | sort -n |
    awk '{ all[NR] = $1 } END { if (NR) print NR % 2 ? all[(NR + 1) / 2] : (all[NR / 2] + all[NR / 2 + 1]) / 2; else print "-" }'
}
echo "$connections connections, $rounds rounds of $seconds s, medians; $(nginx -v 2>&1 | sed 's/.*: //'); load $(cut -d' ' -f1 /proc/loadavg)"
echo
echo "| file | server | CPU, µs a request | system calls a request | requests/s |"
echo "|---|---|---|---|---|"
for file in small large; do
  for name in nginx kennel; do
    printf '| %s | %s' "$([ $file = small ] && echo "1 KiB" || echo "1 MiB")" "$name"
    for metric in cpu calls rate; do printf ' | %s' "$(median "$name" "$file-$metric")"; done
    echo " |"
  done
done
