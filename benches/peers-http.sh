# Read by benches/proxy.sh and benches/matrix.sh: starts kennel-proxy, nginx and HAProxy as reverse proxies on loopback, one worker each, with the like of
# logging, and knows the PID of the process that does the work. Everything ends with the script.

work=$(mktemp -d)
pids=()
# Whoever ends may write its last line while the folder goes.
trap 'kill "${pids[@]}" 2>/dev/null; wait; rm -rf "$work" || { sleep 1; rm -rf "$work"; }' EXIT
target=$(cargo metadata --no-deps --format-version 1 | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')
release=$target/x86_64-unknown-linux-gnu/release
# HAProxy has no leave to write a file by itself: it logs to a socket, which is read into a file; so do the others where they log.
PATH=$PATH:/usr/sbin

build() { # what beside the proxy and its stand
  cargo build -q --release -p kennel-proxy
  cargo build -q --release -p kennel-proxy --example stand
  [ $# = 0 ] || cargo build -q --release -p kennel-proxy "$@"
}

wait_for() { # port host
  local _
  for _ in $(seq 100); do
    (: < "/dev/tcp/127.0.0.1/$1") 2> "$work/err" && return
    sleep 0.1
  done
  cat "$work/err" >&2
  return 1
}

nginx_conf() { # name, access_log's value, then what stands in http { }
  cat > "$work/$1.conf" <<CONF
worker_processes 1; daemon off; pid $work/$1.pid; error_log $work/$1.err crit;
events { worker_connections 8192; }
worker_rlimit_nofile 20000;
http {
  access_log $2; keepalive_requests 1000000000;
  client_body_temp_path $work; proxy_temp_path $work; fastcgi_temp_path $work; uwsgi_temp_path $work; scgi_temp_path $work;
  $3
}
CONF
}

start_nginx() { # name: its worker's PID ends up in $work/NAME.worker
  nginx -c "$work/$1.conf" & pids+=($!)
  until pgrep -P $! > "$work/$1.worker"; do sleep 0.05; done
}

nginx_proxy() { # name port upstream [access_log [more servers]]
  nginx_conf "nginx-$1" "${4:-off}" "
    upstream program { server 127.0.0.1:$3; keepalive 64; keepalive_requests 1000000000; }
    ${5:-}
    server {
      listen 127.0.0.1:$2 backlog=4096;
      location / {
        proxy_pass http://program; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host \$host;
        proxy_set_header X-Forwarded-For \$remote_addr; proxy_set_header X-Forwarded-Proto \$scheme;
        proxy_set_header X-Forwarded-Host \$host;
      }
    }"
  start_nginx "nginx-$1"
  wait_for "$2"
}

haproxy_proxy() { # name port upstream [log lines [more of the frontend, more backends]]
  cat > "$work/haproxy-$1.cfg" <<CONF
global
  nbthread 1
  maxconn 8192
  ${4:-}
defaults
  mode http
  timeout connect 5s
  timeout client 75s
  timeout server 60s
  ${4:+log global
  option httplog}
  option forwardfor
  http-reuse always
frontend public
  bind 127.0.0.1:$2 backlog 4096
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  ${5:-}
  default_backend program
backend program
  server program 127.0.0.1:$3
${6:-}
CONF
  haproxy -db -q -f "$work/haproxy-$1.cfg" & pids+=($!)
  echo $! > "$work/haproxy-$1.worker"
  wait_for "$2"
}

kennel_proxy() { # name port host slot [program [routes]]
  mkfifo "$work/kennel-$1.stdin"
  "$release/examples/stand" "${5:-$release/kennel-proxy}" "127.0.0.1:$2" "$3" "$4" ${6:+"$6"} < "$work/kennel-$1.stdin" > "$work/kennel-$1.worker" &
  pids+=($!)
  exec {stand}> "$work/kennel-$1.stdin"
  wait_for "$2"
}
