#!/bin/bash
# The results of benches/peers.sh as tables: policy/peers.md (how many of the forbidden acts succeeded, by tool and by
# object; docs/isolation.md includes it) and docs/peers-acts.md (act by act). The first tool named is the control: what
# does not succeed there, where nothing stands in the way, cannot be told from what is not there, and is left out.
#
# Left out too is what means nothing under some of the tools ($hollow): /proc/kcore and the folders of debugfs and
# tracefs are there in a container but masked or empty, and what standard error is, this comparison decides.
# Not counted is what succeeds in a network that a tool made for the program alone ($alone): taking a port there takes it
# from nobody, and a list of its connections is one of its own.
# usage: benches/peers/table.sh FOLDER CONTROL TOOL...
set -euo pipefail
folder=$1
shift
here=$(dirname "$(realpath "$0")")/../..

# Objects by id, as JSON.
objects=$(awk -F '"' '
    /^id = / { id = $2 }
    /^object = / { printf "%s\"%s\":\"%s\"", n++ ? "," : "{", id, $2 }
    END { print "}" }' "$here/policy/isolation.toml")

common='
    $ARGS.positional[0] as $control | $ARGS.positional[1:] as $peers
    | ["kernel-core-memory", "kernel-debugfs", "kernel-tracefs", "own-log-cut"] as $hollow
    | ["net-other-port-bind", "net-low-port-bind", "net-public-listen", "net-udp-bind", "net-loopback-datagram",
       "net-free-bind", "net-socket-list", "net-table-read"] as $alone
    | map(
        if .result == "done" and ([.tool] | inside(["runc", "crun"])) and ([.id] | inside($alone))
        then .result = "alone" else . end)
    | group_by(.tool)
    | map({key: .[0].tool, value: map({key: .id, value: .result}) | from_entries}) | from_entries as $tools
    | ($objects + {"memory-limit": "denial of service", "pids-limit": "denial of service"}) as $objects
    | [$objects | keys_unsorted[] | select(startswith("exhaust-") | not)] as $all
    | [$all[] | select($tools[$control][.] != "done")] as $absent
    | ($all - $absent - $hollow) as $ids
    | ($ids | group_by($objects[.]) | sort_by(. as $g | $ids | index($g[0]))) as $groups
    | def result($tool; $id): $tools[$tool][$id] // error("\($tool) has no answer to \($id)");
    def count($tool; $of): [$of[] | select(result($tool; .) == "done")] | length;
    def line: "| " + join(" | ") + " |";
    def names: map("`\(.)`") | join(", ");
    def head($words): [$words + $peers, ($words + $peers | map("---"))] | map(line) | .[];'

totals='
    head(["object", "acts"]),
    ([$groups[] | . as $of | [$objects[$of[0]], ($of | length | tostring)] + [$peers[] | count(.; $of) | tostring]]
        + [["**all**", "**\($ids | length)**"] + [$peers[] | "**\(count(.; $ids))**"]] | map(line) | .[]),
    "",
    "Left out: \($absent | names), which do not succeed even where nothing stands in the way (most need what only a Kennel host has);",
    "\($hollow | names), whose answer means nothing under some of the tools; and the rows that exhaust something, which take",
    "minutes each: in their place stand two limits, on memory and on processes."'

acts='
    head(["act"]),
    ($groups[][] | . as $id | [$id] + [$peers[] | result(.; $id) | if . == "done" then "**done**" else . end] | line)'

table() { # filter, tools...
    local filter=$1
    shift
    cat "$folder"/*.jsonl | jq -r -s --argjson objects "$objects" "$common $filter" --args "$@"
}

table "$totals" "$@" > "$folder/totals.md"
{
    printf '%s\n' '# The same villain elsewhere, act by act' '' \
        'Made by `benches/peers.sh`; [peers](peers.md) says what is compared and how to read it. **done**: the forbidden act succeeded; otherwise' \
        'how it was refused; *alone*: it succeeded in a network where nobody else is, and is not counted.' ''
    table "$acts" "$@" | sed 's/| alone /| *alone* /g'
} > "$folder/acts.md"
mv "$folder/totals.md" "$here/policy/peers.md"
mv "$folder/acts.md" "$here/docs/peers-acts.md"
