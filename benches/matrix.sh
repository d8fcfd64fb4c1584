#!/bin/bash
# The smuggling matrix (proxy/tests/matrix) sent to kennel-proxy, nginx and HAProxy as reverse proxies with their usual
# configuration before one program, which takes requests by the letter. Prints docs/proxy-matrix.md. Needs: cargo, nginx, haproxy.
# usage: benches/matrix.sh > docs/proxy-matrix.md
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/peers-http.sh
slot=901
upstream=$((20000 + 8 * slot))
nginx_port=8191 haproxy_port=8192 kennel_port=8193

build --example matrix
nginx_proxy matrix "$nginx_port" "$upstream"
haproxy_proxy matrix "$haproxy_port" "$upstream"
kennel_proxy matrix "$kennel_port" a.example "$slot"

cat <<TEXT
# The smuggling matrix

What a proxy lets through of requests that two programs could read differently. Made by \`benches/matrix.sh\` with $(nginx -v 2>&1 | sed 's/.*: //'),
$(haproxy -v | sed -n 's/^HAProxy version \([^ ]*\).*/HAProxy \1/p') (both Debian's packages, configured as in \`benches/peers-http.sh\`) and kennel-proxy; \`cargo test -p kennel-proxy\` holds Kennel to its column. The rows, their bytes and the
section of the RFC (9110, 9112, 9113, 3986) are data in \`proxy/tests/matrix\`; what "may" be is what the section permits, with every freedom that it
gives; where it says SHOULD refuse of what its grammar does not have, passing that on is counted as not permitted. Behind each request another one is sent on the same connection. \`XN\`: both reach the program; \`X\`: the first only, and the connection is closed; \`N\`: the other only;
\`-\`: neither; \`?\`: something else reaches the program; \`!\`: bytes that are no request do. Then come the statuses of the answers; *open*: the connection is not closed within 1.5 s. What is not permitted is **bold**.
Not everything bold is dangerous: where a field is dropped that has to be passed on, or a host is taken as it is that nobody has, nothing is smuggled.

TEXT
"$release/examples/matrix" "127.0.0.1:$upstream" "kennel=127.0.0.1:$kennel_port" "nginx=127.0.0.1:$nginx_port" "HAProxy=127.0.0.1:$haproxy_port"
