#!/bin/bash
# Lets kennel-proxy work for minutes at 70 % of what was possible at the begin, while tenants appear, go, are deployed anew and die, each a few times a minute, in an
# order that the seed decides (proxy/examples/soak). Needs no VM and no other program; the clients and the tenants' programs run beside the proxy and take most of the
# processors. Fails unless each answer was right or its tenant away just then, and unless memory stays flat: from a fifth of the time to the end it may grow by a tenth
# and 2 MiB.
# usage: benches/soak.sh PROGRAMS [minutes [seed]]   (cargo build --release -p kennel-proxy --bins --example soak)
set -euo pipefail
programs=$1 minutes=${2:-10} seed=${3:-1}
echo "load $(cut -d' ' -f1 /proc/loadavg) before"
"$programs/examples/soak" "$programs/kennel-proxy" "$minutes" "$seed"
echo "load $(cut -d' ' -f1 /proc/loadavg) after"
