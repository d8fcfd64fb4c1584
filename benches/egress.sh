#!/bin/sh
# Egress rules: how long a thousand slots' lists take to load, and what a packet pays, against the plain way: one rule
# for each slot in OUTPUT. In a network namespace of its own; nothing leaves it. Needs root and an iptables with nftables.
#   benches/egress.sh [SLOTS] [RULES]
set -eu
cd "$(dirname "$0")/.."
slots=${1:-1000} rules=${2:-20}
cargo build --quiet --release -p kennel-iptables --example egress
target=$(cargo metadata --no-deps --format-version 1 | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')
program=$target/x86_64-unknown-linux-gnu/release/examples/egress
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$program" rules "$folder" "$slots" "$rules"

cat > "$folder/inside.sh" <<'INSIDE'
set -eu
cd "$1"; program=$2; uid=$3
now() { date +%s%N; }
# Both families, in milliseconds.
load() { began=$(now); iptables-nft-restore $2 "$1"4; ip6tables-nft-restore $2 "$1"6; echo $((($(now) - began) / 1000000)); }
# Nanoseconds a packet of a connection that nobody answers: each of them goes all the way. The best of five, and no more
# in all than a slot may send at once.
packet() { for _ in 1 2 3 4 5; do setpriv --reuid "$uid" --clear-groups "$program" send 10.9.0.2:9 190; done | sort -n | head -n1; }
# A cable whose other end nobody reads.
ip link add out type veth peer name end
ip address add 10.9.0.1/24 dev out
for device in lo out end; do ip link set "$device" up; done
ip neighbour add 10.9.0.2 lladdr 02:00:00:00:00:02 dev out
none=$(packet)
echo "load the sealed rules: $(load sealed '') ms"
for _ in 1 2 3; do echo "load every list: $(load update --noflush) ms"; done
tree=$(packet)
echo "load the plain rules: $(load plain '') ms"
plain=$(packet)
echo "a packet without rules: $none ns; by the tree: +$((tree - none)) ns; by the plain way: +$((plain - none)) ns"
awk "BEGIN { printf \"the plain way costs %.1f times the tree\\n\", ($plain - $none) / ($tree - $none) }"
INSIDE
chmod 755 "$folder"
cp "$program" "$folder/egress"
unshare --net sh "$folder/inside.sh" "$folder" "$folder/egress" $((100000 + slots - 1))
