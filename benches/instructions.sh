#!/bin/sh
# Counts instructions with valgrind's callgrind, row by row: exactly repeatable, whatever else the machine does.
#
#   benches/instructions.sh                   a table, cancel-tree beside tokio-util
#   benches/instructions.sh --check FILE      fails if a row of cancel-tree exceeds its bound in FILE
#   benches/instructions.sh --where ROW       where the instructions of one row are spent
#   benches/instructions.sh --misses          a table of cache misses, of a cache that valgrind simulates: 32 KiB, 64 bytes a line
#
# Counts belong to a toolchain and an allocator. After an upgrade of either: look at the table, then move the bounds.
set -eu
export LC_ALL=C

usage() {
    echo "usage: $0 [--check FILE | --where ROW | --misses]" >&2
    exit 2
}

mode=table file=
case $# in
0) ;;
1)
    [ "$1" = --misses ] || usage
    mode=misses
    ;;
2)
    mode=${1#--} file=$2
    case $1 in
    --check) [ -r "$file" ] || { echo "$0: cannot read $file" >&2; exit 2; } ;;
    --where) ;;
    *) usage ;;
    esac
    ;;
*) usage ;;
esac

command -v valgrind >/dev/null || { echo "$0: valgrind is not installed" >&2; exit 2; }
# The bounds may be named relative to where the caller stands.
case $file in /* | '') ;; *) [ "$mode" = where ] || file=$(pwd)/$file ;; esac
cd "$(dirname "$0")/.."

if ! built=$(cargo bench --bench instructions --no-run 2>&1); then
    printf '%s\n' "$built" >&2
    exit 1
fi
program=$(printf '%s\n' "$built" | sed -n 's/^ *Executable .*(\(.*\))$/\1/p')
[ -x "$program" ] || { echo "$0: cargo named no program: $built" >&2; exit 1; }

many=1000
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# count LIBRARY ROW: instructions per call or node, to one digit.
count() {
    valgrind --tool=callgrind --callgrind-out-file="$work/out" --collect-atstart=no --toggle-collect='measured_*' \
        "$program" "$1" "$2" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
    awk -v many=$many '/Collected/ { printf "%.1f\n", $4 / many }' "$work/log"
}

# misses LIBRARY ROW: accesses to data that miss a cache of 32 KiB, per call or node.
misses() {
    valgrind --tool=callgrind --callgrind-out-file="$work/out" --collect-atstart=no --toggle-collect='measured_*' \
        --cache-sim=yes --D1=32768,8,64 "$program" "$1" "$2" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
    awk -v many=$many '/D1  *misses/ { gsub(",", ""); printf "%.2f\n", $4 / many }' "$work/log"
}

case $mode in
table)
    echo "| instructions | cancel-tree | tokio-util | ratio |"
    echo "|---|---:|---:|---:|"
    for row in $("$program" --names); do
        ours=$(count cancel-tree "$row")
        theirs=$(count tokio-util "$row")
        awk -v row="$row" -v ours="$ours" -v theirs="$theirs" \
            'BEGIN { printf "| %s | %s | %s | %.2f |\n", row, ours, theirs, ours / theirs }'
    done
    ;;
misses)
    echo "| cache misses | cancel-tree | tokio-util |"
    echo "|---|---:|---:|"
    for row in $("$program" --names); do
        echo "| $row | $(misses cancel-tree "$row") | $(misses tokio-util "$row") |"
    done
    ;;
check)
    failed=0
    while read -r row bound what; do
        case $row in '' | '#'*) continue ;; esac
        ours=$(count cancel-tree "$row")
        [ -n "$ours" ] || { echo "$row: nothing was counted" >&2; failed=1; continue; }
        if awk -v ours="$ours" -v bound="$bound" 'BEGIN { exit !(ours > bound) }'; then
            echo "FAIL $row: $ours instructions, bound $bound. It protects: $what"
            failed=1
        else
            echo "ok   $row: $ours (bound $bound)"
        fi
    done <"$file"
    exit $failed
    ;;
where)
    count cancel-tree "$file"
    callgrind_annotate --threshold=99.5 "$work/out" | sed -n '/^Ir/,$p'
    ;;
esac
