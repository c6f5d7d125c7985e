#!/usr/bin/env bash
# The newest Java that is here, by the path of its program: scripts/java.sh LEAST-VERSION
# Looks at JAVA_HOME, where Linux distributions install, and in PATH. Where none is new enough, one line says so.
set -euo pipefail

least=$1
newest=$((least - 1))
found=
for java in ${JAVA_HOME:+"$JAVA_HOME/bin/java"} /usr/lib/jvm/*/bin/java "$(command -v java || true)"; do
    [ -x "$java" ] || continue
    # Only the first number counts; 8 and older say 1.
    version=$("$java" -version 2>&1 | sed -n 's/^.* version "\([0-9]*\).*/\1/p' | head -n 1)
    [ "${version:-0}" -gt "$newest" ] || continue
    newest=$version
    found=$java
done
if [ -z "$found" ]; then
    echo "missing: Java $least or newer" >&2
    exit 1
fi
echo "$found"
