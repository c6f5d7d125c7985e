#!/usr/bin/env bash
# Brings what tests drive and Debian does not package into a folder of the build: scripts/test-tools.sh FOLDER PART…
#   cas      django-cas-server in a venv
#   browser  playwright-core, which drives Debian's chromium, and axe-core, which judges pages
#   oidc     oidc-provider, an OpenID provider on Node
#   keycloak Keycloak 26, built for the tests' database; 160 MB
#   cas7     Apereo CAS 7.2, as its modules; 155 MB
# A part that is there in the wanted versions is left alone; several callers at once wait for each other.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
support=$here/../tests/support

mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift

# What the pom.xml of a part names, into a folder: maven PART GOAL FOLDER
maven() {
    # Maven keeps marks beside the file of what it has done.
    mkdir "$folder/$1"
    cp "$support/peers/$1/pom.xml" "$folder/$1"
    JAVA_HOME=$(dirname "$(dirname "$java")") mvn --batch-mode --quiet --file "$folder/$1" \
        "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:$2" -DincludeScope=runtime -DoutputDirectory="$3" >&2
}

exec 9>"$folder/.lock"
flock 9

for part in "$@"; do
    case $part in
    cas) wanted=$support/cas/requirements.txt ;;
    browser | oidc) wanted=$support/$part/package-lock.json ;;
    keycloak | cas7) wanted=$support/peers/$part/pom.xml ;;
    *) echo "no such part: $part" >&2 && exit 2 ;;
    esac
    cmp --quiet "$wanted" "$folder/$part/.made-from" && continue
    rm -rf "${folder:?}/$part"
    case $part in
    cas)
        # Debian's python3 has the module venv and not what it needs.
        "$here/need.sh" python3=python3-venv
        python3 -c 'import ensurepip' 2>/dev/null || "$here/need.sh" "ensurepip of python3=python3-venv"
        python3 -m venv "$folder/cas"
        "$folder/cas/bin/pip" --quiet --disable-pip-version-check install --no-deps --requirement "$wanted"
        ;;
    browser | oidc)
        "$here/need.sh" node=nodejs npm=npm
        [ "$part" = oidc ] || "$here/need.sh" chromium=chromium
        mkdir "$folder/$part"
        cp "$support/$part"/package.json "$support/$part"/package-lock.json "$folder/$part"
        npm --silent --prefix "$folder/$part" ci --no-audit --no-fund --ignore-scripts
        ;;
    keycloak)
        java=$("$here/java.sh" 17)
        "$here/need.sh" mvn=maven
        maven "$part" unpack-dependencies "$folder/$part"
        mv "$folder/$part"/keycloak-*/* "$folder/$part"
        # What is decided once need not be decided at each start, which then takes a third of the time.
        JAVA=$java sh "$folder/$part/bin/kc.sh" build --db=dev-mem >&2
        ;;
    cas7)
        java=$("$here/java.sh" 21)
        "$here/need.sh" mvn=maven
        maven "$part" copy-dependencies "$folder/$part/lib"
        ;;
    esac
    cp "$wanted" "$folder/$part/.made-from"
done
