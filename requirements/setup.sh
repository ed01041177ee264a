#!/usr/bin/env bash
# Make the virtual environment VENV hold the pinned STACK and this package, editable.
# Usage: requirements/setup.sh STACK VENV        or: requirements/setup.sh pythons, which lists those that are there
#
# PYTHON names the interpreter, by its path or as in PYTHON=3.12; by default it is the newest of 3.13 to 3.10. OPS=compiled compiles mmcv's
# own operators, OPS=torchvision (the default) installs ours (hrnet_plugins/mmcv_ops), which need no compiler.
# uv does the work, the one on PATH, or else one of our own in .uv beside VENV.
#
# VENV/.ready holds the hash of the lock file and of this script, and is written last: an environment without it, or
# with another hash, is built anew, in seconds, since uv keeps what it downloaded and compiled. VENV/.setup marks an
# environment as this script's, with its Python and its operators: no other is ever removed. VENV.lock makes a second
# set-up wait.
set -euo pipefail
cd "$(dirname "$0")/.."

stack=${1:-} venv=${2:-.venv}
venv=${venv%/}
lock=requirements/$stack.txt
versions='3.13 3.12 3.11 3.10'
needed_gb=10
uv_version=0.13.9
beside=$(dirname "$venv")
# What is in the environment must not build it, though a Makefile or an activated shell has it on PATH.
PATH=:$PATH:
PATH=${PATH//":$(cd "$beside" 2>/dev/null && pwd)/$(basename "$venv")/bin:"/:}

fail() { echo "set-up: $1" >&2; exit 1; }
say() { echo "set-up: $1"; }

version_of() {
    "$1" -c 'import sys, sysconfig
print("%d.%d" % sys.version_info[:2] + ("t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""))' 2>/dev/null
}

known() { case " $versions " in *" $1 "*) ;; *) return 1 ;; esac; }

# The first of some versions that runs here: on PATH, of pyenv, of uv. A name on PATH need not run: pyenv has stand-ins.
find_python() {
    local version found
    for version; do
        for found in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python \
            "${UV_PYTHON_INSTALL_DIR:-$HOME/.local/share/uv/python}/cpython-$version".*/bin/python3; do
            [ "$(version_of "$found")" != "$version" ] || { echo "$found"; return; }
        done
    done
    return 1
}

choose_python() {
    if [ -z "${PYTHON:-}" ]; then
        python=$(find_python $versions) \
            || fail "none of Python ${versions// /, } is there: install one, or set PYTHON to its path."
    elif known "$PYTHON"; then
        python=$(find_python "$PYTHON") || fail "Python $PYTHON is not there: install it, or set PYTHON to its path."
    else
        python=$PYTHON
        command -v "$python" >/dev/null \
            || fail "$python is not there: set PYTHON to one of Python ${versions// /, }, or leave it out."
    fi
    version=$(version_of "$python") || fail "$python does not run: set PYTHON to another one."
    known "$version" \
        || fail "$python is Python $version, the locked stack is for ${versions// /, }: set PYTHON to one."
}

compiles() {
    [ "$stack $version" != "openmmlab 3.13" ] \
        || fail "mmcv 2.1.0 does not compile on Python 3.13: set PYTHON to an older one, or leave out OPS=compiled."
    "$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' \
        || fail "the headers of $python, which mmcv's compilation needs, are not there: install python$version-dev."
    command -v "${CXX:-g++}" >/dev/null || fail "no C++ compiler (${CXX:-g++}) to compile mmcv with: install g++."
}

# GB that are free where a folder is or will be.
free_gb() {
    local folder=$1
    until [ -d "$folder" ]; do folder=$(dirname "$folder"); done
    echo $(($(df -Pk "$folder" | awk 'NR == 2 { print $4 }') / 1000000))
}

preflight() {
    choose_python
    [ "$ops" != compiled ] || compiles
    local free
    free=$(free_gb "$beside")
    [ "$free" -ge "$needed_gb" ] || fail "$free GB are free beside $venv, $needed_gb GB are needed."
    [ ! -e "$venv" ] || [ -e "$venv/.setup" ] || [ -e "$venv/.ready" ] \
        || fail "$venv exists and was not made by this script: move it away, or name another with VENV=."
}

get_uv() {
    if uv pip sync --help 2>/dev/null | grep -q -e --config-settings-package; then
        uv=uv
    else
        local own=$beside/.uv
        uv=$own/bin/uv
        if [ "$("$uv" --version 2>/dev/null | cut -d' ' -f2)" != "$uv_version" ]; then
            say "fetching uv $uv_version, which installs the rest, into $own"
            rm -rf "$own.part"
            "$python" -m venv "$own.part" >/dev/null 2>&1 \
                || { rm -rf "$own.part"; fail "$python cannot make environments: install python$version-venv, or uv."; }
            PIP_USER=0 "$own.part/bin/python" -m pip install --disable-pip-version-check "uv==$uv_version" \
                || { rm -rf "$own.part"; fail "pip could not fetch uv, and says why above: run the same command again."; }
            rm -rf "$own"
            mv "$own.part" "$own"
        fi
    fi
    # uv does not read pip's settings, which may be the only ones that know of a mirror or a certificate.
    local mirror cache
    mirror=${PIP_INDEX_URL:-$("$python" -m pip config get global.index-url 2>/dev/null || true)}
    [ -z "$mirror" ] || export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-${UV_INDEX_URL:-$mirror}}
    [ -z "${PIP_CERT:-}" ] || export SSL_CERT_FILE=${SSL_CERT_FILE:-$PIP_CERT}
    unset UV_SYSTEM_PYTHON UV_NO_BUILD_ISOLATION  # the script says itself where to install and how to build
    cache=$("$uv" cache dir 2>/dev/null) || cache=
    if [ -z "$cache" ] || ! mkdir -p "$cache" 2>/dev/null || [ ! -w "$cache" ]; then
        export UV_CACHE_DIR=$(cd "$beside" && pwd)/.uv-cache
        say "uv's cache (${cache:-in the home folder}) cannot be written, keeping what is downloaded in $UV_CACHE_DIR."
    elif [ "$(free_gb "$cache")" -lt "$needed_gb" ]; then
        fail "$(free_gb "$cache") GB are free beside $cache, $needed_gb GB are needed: set UV_CACHE_DIR to another folder."
    fi
}

install() {
    "$uv" "$@" --python "$venv/bin/python" || {
        [ "$(free_gb "$venv")" -ge 1 ] || fail "the disk is full: make $needed_gb GB free beside $venv."
        fail "uv could not install, and says why above. What it has is kept: run the same command again to go on."
    }
}

stack_of() {
    local mmcv mmcv_pin
    mmcv=$(grep -E '^(onedl-)?mmcv(-lite)?==' "$lock")
    if [ "$ops" = compiled ]; then
        # mmcv compiles only where torch is, so it comes after the others, and without isolation.
        mmcv_pin=${mmcv/-lite/}
        grep -vxF "$mmcv" "$lock" | install pip sync -
        say "compiling mmcv, unless uv has it from before (7 to 12 minutes on two cores, without a sign of life in a pipe)"
        install pip install --no-deps --no-build-isolation --config-settings-package "${mmcv_pin%%==*}:operators=compiled" \
            "$mmcv_pin"
    else
        # uv keeps what it builds by its settings: these keep an mmcv that was compiled for another torch apart.
        install pip sync --config-settings-package "${mmcv%%==*}:operators=none" "$lock"
    fi
}

environment() {
    if [ -e "$venv" ]; then
        say "$venv is unfinished or out of date, building it anew."
        rm -rf "$venv"
    fi
    mkdir "$venv"
    echo "$version $ops" >"$venv/.setup"
    say "installing the $stack stack for Python $version (2 GB to download the first time, 1 to 5 minutes)"
    "$uv" venv --quiet --no-project --allow-existing --python "$python" "$venv" \
        || fail "uv could not make $venv, and says why above."
    stack_of
}

# The package itself, and the operators of mmcv that come with it.
package() {
    install pip install --quiet --no-deps --no-build-isolation --editable .
    [ "$ops" = compiled ] || "$venv/bin/python" -m hrnet_plugins.cli mmcv-ops install >/dev/null \
        || fail "mmcv's operators could not be installed, as is said above."
}

check() {
    say "checking that the stack imports (up to a minute)"
    "$venv/bin/python" -W ignore -c 'import mim, mmcv.ops, mmdet.models, mmengine, mmpretrain.models, mmseg.models' \
        || fail "the $stack stack does not import: the last line above says why."
}

if [ "$stack" = pythons ]; then
    for version in $versions; do find_python "$version" >/dev/null && echo "$version"; done
    exit 0
fi
[ -e "$lock" ] || fail "STACK ($stack) is unknown; known: onedl, openmmlab."
case "${OPS:=}" in '' | torchvision | compiled) ;; *) fail "OPS ($OPS) is unknown; known: torchvision, compiled." ;; esac
[ "$(uname -sm)" = "Linux x86_64" ] || fail "the locked stack is for Linux on x86_64, this is $(uname -sm)."
mkdir -p "$beside" 2>/dev/null && { exec 9>"$venv.lock"; } 2>/dev/null \
    || fail "$beside cannot be written: name another place with VENV=."
flock -n 9 || { say "waiting for another set-up of $venv."; flock 9; }

# What an environment is made of stays, unless something else is asked for.
read -r has_version has_ops <<<"$(cat "$venv/.setup" 2>/dev/null) " || true
ops=${OPS:-${has_ops:-torchvision}}
wanted=${PYTHON:-}
known "$wanted" || wanted=${PYTHON:+$(version_of "$PYTHON" || true)}
key=$(cat "$lock" requirements/setup.sh | sha256sum | cut -c1-16)
ready=$(cat "$venv/.ready" 2>/dev/null || true)
project=$(pwd)-$(cat pyproject.toml hrnet_plugins/__init__.py hrnet_plugins/mmcv_ops/ext_module.py | sha256sum | cut -c1-16)
if [ "$ready" != "$key" ] || [ "$ops" != "$has_ops" ] || [ "${PYTHON:+$wanted}" != "${PYTHON:+$has_version}" ]; then
    preflight
    get_uv
    environment
    package
    check
    echo "$project" >"$venv/.project"
    echo "$key" >"$venv/.ready"
elif [ "$(cat "$venv/.project" 2>/dev/null)" != "$project" ]; then  # its metadata or its place has changed
    python=$venv/bin/python version=$has_version
    get_uv
    package
    echo "$project" >"$venv/.project"
fi
