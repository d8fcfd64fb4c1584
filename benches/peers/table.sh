#!/bin/bash
# The results of benches/peers.sh as the tables of docs/peers.md: how many of the forbidden acts succeeded by tool and by
# object, then act by act. The first tool named is the control: what does not succeed there, where nothing stands in the
# way, cannot be told from what is not there, and is left out.
# Left out too are answers that mean nothing inside of a container: a signal to PID 1 is one to its own, /proc/kcore and
# the folders of debugfs and tracefs are there but masked or empty, and that a program is busy is said before that the
# mount which it lies on is read-only.
# usage: benches/peers/table.sh FOLDER CONTROL TOOL...
set -euo pipefail
folder=$1
shift
rows=$(dirname "$(realpath "$0")")/../../policy/isolation.toml

# Objects by id, as JSON.
objects=$(awk -F '"' '
    /^id = / { id = $2 }
    /^object = / { printf "%s\"%s\":\"%s\"", n++ ? "," : "{", id, $2 }
    END { print "}" }' "$rows")

cat "$folder"/*.jsonl | tr -d '\r' | jq -r -s --argjson objects "$objects" '
    group_by(.tool) | map({
        key: .[0].tool,
        value: map({key: .id, value: {done: (.result == "done"), result}}) | from_entries
    }) | from_entries as $tools
    | $ARGS.positional[0] as $control | $ARGS.positional[1:] as $peers
    | ($objects + {"memory-limit": "denial of service", "pids-limit": "denial of service"}) as $objects
    | ["process-service-signal", "kernel-core-memory", "kernel-debugfs", "kernel-tracefs", "own-exe-overwrite"] as $hollow
    | ([$objects | keys_unsorted[] | select(. as $id | $tools[$control][$id].done // false)] - $hollow) as $ids
    | ($ids | group_by($objects[.]) | sort_by(. as $g | $ids | index($g[0]))) as $groups
    | def count($tool; $of): [$of[] | select($tools[$tool][.].done // false)] | length;
    def line: "| " + join(" | ") + " |";
    ([["object", "acts"] + $peers, (["object", "acts"] + $peers | map("---"))]
        + [$groups[] | . as $of | [$objects[$of[0]], ($of | length | tostring)]
            + [$peers[] | count(.; $of) | tostring]]
        + [["**all**", "**\($ids | length)**"] + [$peers[] | "**\(count(.; $ids))**"]] | map(line) | .[]),
    "",
    ([["act"] + $peers, (["act"] + $peers | map("---"))]
        + [$groups[][] | . as $id | [$id] + [$peers[] | $tools[.][$id] | if .done then "**done**" else .result // "?" end]]
        | map(line) | .[])
' --args "$@"
