#!/bin/sh
# The whole path once: image, boot, tenant, deploy, page. scripts/demo.sh FOLDER-OF-KENNEL
set -eu
cd "$(dirname "$0")/.."
bin=$1
port=${KENNEL_DEMO_PORT:-8080}
https_port=${KENNEL_DEMO_HTTPS_PORT:-4443}
api_port=${KENNEL_DEMO_API_PORT:-8443}
kennel() { "$bin/kennel" "$@"; }

step() { printf '\n== %s\n' "$1"; }

step "the image: packages resolved and verified, everything sealed"
scripts/image.sh "$bin"

step "boot it in QEMU, SELinux enforcing"
if kennel host status --host local >/dev/null 2>&1; then
    echo "host local runs already; \`kennel stop\` first to boot the image just built"
else
    kennel run --detach --port "$port" --https-port "$https_port" --api-port "$api_port"
fi

step "a home for a Node.js program"
if kennel tenant show blog --host local >/dev/null 2>&1; then
    echo "tenant blog is there already"
else
    kennel tenant add blog --host local --runtime node-24 --domain blog.localhost
fi

step "its first release"
url=$(kennel deploy blog examples/node-hello --host local --json | sed -n 's/.*"\(http:[^"]*\)".*/\1/p' | head -n1)
echo "deployed: $url"

step "its page, through the proxy"
host=${url#http://}
# Not every resolver knows that *.localhost is this computer; browsers do.
name=${host%%[:/]*}
rest=${host#"$name"}
web_port=${rest#:}
web_port=${web_port%%/*}
page=$(curl --fail --silent --show-error --max-time 120 --resolve "$name:${web_port:-80}:127.0.0.1" "$url")
# Its words only; the page is for a browser.
echo "$page" | sed -e '/<style>/,/<\/style>/d' -e 's/<\/dt>/: /g' -e 's/<[^>]*>//g' | grep -v '^ *$'

cat <<NEXT


It works. What to try next (PATH=$bin:\$PATH):
  open $url in a browser
  kennel logs blog -f              what the program prints
  kennel tenant show blog          its slot, UID, SELinux domain and limits
  kennel host status               slots, services, memory, disk
  edit examples/node-hello and     kennel deploy blog examples/node-hello
  kennel stop                      shuts the host down; its data disk is kept
NEXT
