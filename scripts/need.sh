#!/usr/bin/env bash
# Makes sure that tools are there: scripts/need.sh TOOL=DEBIAN-PACKAGE…
# What is missing is installed with apt when root calls; otherwise one line says how. cargo-deny comes from cargo.
set -euo pipefail
PATH="$PATH:/usr/sbin:/sbin"

CARGO_DENY=0.20.2

packages=()
for pair in "$@"; do
    tool=${pair%%=*}
    command -v "$tool" >/dev/null && continue
    if [ "$tool" = cargo-deny ]; then
        # A development tool: quick to build counts, quick to run does not.
        CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
            cargo install cargo-deny --locked --version "$CARGO_DENY"
    else
        packages+=("${pair#*=}")
    fi
done
[ ${#packages[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing: ${packages[*]} - install with: sudo apt-get install --no-install-recommends ${packages[*]}" >&2
    exit 1
fi

# A package that brings a service (nginx) must not start it here: the tests start their own, on ports of their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends "${packages[@]}"
case " ${packages[*]} " in
*" nginx"*) ! command -v systemctl >/dev/null || systemctl disable --quiet nginx 2>/dev/null || true ;;
esac
