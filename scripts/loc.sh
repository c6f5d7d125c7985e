#!/usr/bin/env bash
# Production lines of src/, by module and in all, and of each crate beside it: without comments, blank lines and tests.
set -euo pipefail
cd "$(dirname "$0")/.."

# FOLDER: the lines of each module in it, and in all.
count() (
    cd "$1"
    find . -name '*.rs' ! -name tests.rs ! -path '*/tests/*' ! -name testing.rs -print0 | sort -z | xargs -0 awk '
        FNR == 1 { tests = 0; module = FILENAME; sub(/^\.\//, "", module); sub(/[\/.].*/, "", module) }
        /^#\[cfg\(test\)\]$/ { maybe = 1; next }
        maybe { maybe = 0; if ($0 ~ /^mod [a-z_]+ \{$/) tests = 1; else if ($0 ~ /^(pub(\([a-z]+\))? )?mod [a-z_]+;$/) next }
        # A block of tests is the last thing in its file, or ends with a brace at the margin.
        tests { if ($0 == "}") tests = 0; next }
        /^[ \t]*(\/\/.*)?$/ { next }
        { lines[module]++; all++ }
        END {
            for (module in lines) printf "%6d  %s\n", lines[module], module | "sort -rn"
            close("sort -rn")
            printf "%6d  in all\n", all
        }'
)

count src
for crate in crates/*; do
    printf '\n%s\n' "$crate"
    count "$crate/src"
done
