#!/usr/bin/env bash
# Make the virtual environment VENV hold the pinned STACK and this package, editable.
# Usage: requirements/setup.sh STACK VENV     (PYTHON names the interpreter, python3.11 by default)
#
# VENV/.ready holds the hash of the lock file and of this script, and is written last: an environment without it,
# or with another hash, is built anew. pip keeps the compiled mmcv, so doing so again takes about two minutes.
# VENV/.setup marks an environment as this script's: no other is ever removed. VENV.lock makes a second set-up wait.
set -euo pipefail
cd "$(dirname "$0")/.."

stack=$1 venv=${2%/} python=${PYTHON:-python3.11}
lock=requirements/$stack.txt
needed_gb=10
log=$venv/setup.log

fail() { echo "set-up: $1" >&2; exit 1; }
say() { echo "set-up: $1"; }

preflight() {
    command -v "$python" >/dev/null || fail "$python is not there: install Python 3.11 or set PYTHON to its path."
    local version
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') || fail "$python does not run."
    [ "$version" = 3.11 ] || fail "$python is Python $version, the locked stack is for 3.11: set PYTHON to one."
    "$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python has no venv module: install python3.11-venv."
    "$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' \
        || fail "the headers of $python, which mmcv's compilation needs, are not there: install python3.11-dev."
    command -v "${CXX:-g++}" >/dev/null || fail "no C++ compiler (${CXX:-g++}) to compile mmcv with: install g++."
    local free_gb
    free_gb=$(($(df -Pk "$(dirname "$venv")" | awk 'NR == 2 { print $4 }') / 1000000))
    [ "$free_gb" -ge "$needed_gb" ] || fail "$free_gb GB are free beside $venv, $needed_gb GB are needed."
}

install() {
    "$venv/bin/python" -m pip install --no-deps --no-build-isolation --disable-pip-version-check "$@" >>"$log" 2>&1 \
        || { tail -n 20 "$log" >&2; fail "pip failed; the whole log is $log. Run the same command again to retry."; }
}

dependencies() {
    preflight
    if [ -e "$venv" ]; then
        [ -e "$venv/.setup" ] || [ -e "$venv/.ready" ] \
            || fail "$venv exists and was not made by this script: move it away, or name another with VENV=."
        say "$venv is unfinished or out of date, building it anew."
        rm -rf "$venv"
    fi
    mkdir "$venv"
    touch "$venv/.setup"
    "$python" -m venv "$venv"
    local tools='^(pip|setuptools|wheel|ninja|psutil)=='
    local compiled='^(onedl-)?mmcv=='
    install $(grep -E "$tools" "$lock")
    say "installing the $stack stack (2 GB to download, 1 to 5 minutes; log: $log)"
    install $(grep -vE "^#|$tools|$compiled" "$lock")
    say "compiling mmcv, unless pip has it from before (7 to 12 minutes on two cores)"
    install $(grep -E "$compiled" "$lock")
    "$venv/bin/python" -W ignore -c 'import mim, mmcv.ops, mmdet.models, mmengine, mmpretrain.models, mmseg.models' \
        >>"$log" 2>&1 || { tail -n 20 "$log" >&2; fail "the $stack stack does not import; the whole log is $log."; }
    echo "$key" >"$venv/.ready"
}

[ -e "$lock" ] || fail "STACK ($stack) is unknown; known: onedl, openmmlab."
[ "$(uname -sm)" = "Linux x86_64" ] || fail "the locked stack is for Linux on x86_64, this is $(uname -sm)."
mkdir -p "$(dirname "$venv")"
exec 9>"$venv.lock"
flock -n 9 || { say "waiting for another set-up of $venv."; flock 9; }
key=$(cat "$lock" requirements/setup.sh | sha256sum | cut -c1-16)
[ "$(cat "$venv/.ready" 2>/dev/null)" = "$key" ] || dependencies

# The package itself: again only when its metadata or its place has changed.
project=$(pwd)-$(cat pyproject.toml hrnet_plugins/__init__.py | sha256sum | cut -c1-16)
if [ "$(cat "$venv/.project" 2>/dev/null)" != "$project" ]; then
    install --editable .
    echo "$project" >"$venv/.project"
fi
