#!/usr/bin/env bash
# Makes the environments in which the add-on's tests run Blender as a Python module, once each.
#
#   tools/blender_env.sh 4.5 [VERSION...]    BLENDER_ENVS: where (.blender)    PYTHON311: the interpreter to use
#                                            PIP_ARGS: more arguments for pip
#
# Each is a folder of its own, apart from .venv: bpy wants a numpy of its own age, and no two bpy fit in one place.
# pyzmq and msgpack are left out on purpose: the add-on must bring them. Ends with 3 where one cannot be had, after
# writing the reason to VERSION.unavailable beside it, which the tests give when they skip.
set -euo pipefail

cd "$(dirname "$0")/.."
envs=${BLENDER_ENVS:-.blender}
say() { printf 'blender: %s\n' "$*"; }

release_of() {
    case $1 in
        4.2) echo 4.2.23 ;;
        4.5) echo 4.5.15 ;;
        5.0) echo 5.0.1 ;;
        *) echo "blender: the versions are 4.2, 4.5 and 5.0, got $1." >&2; exit 2 ;;
    esac
}

find_python() {
    local candidate
    for candidate in ${PYTHON311:-python3.11 "$HOME"/.pyenv/versions/3.11.*/bin/python}; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

unavailable() {  # version, reason
    mkdir -p "$envs"
    printf '%s\n' "$2" > "$envs/$1.unavailable"
    say "$2"
    missing=3
}

make_one() {  # version
    local release venv python
    release=$(release_of "$1")
    venv=$envs/$1
    if [ "$(cat "$venv/.release" 2>/dev/null)" = "$release" ]; then return; fi
    rm -rf "$venv" "$envs/$1.unavailable"
    python=$(find_python)
    if [ -z "$python" ]; then
        unavailable "$1" "Blender $1 as a module needs CPython 3.11 with venv; install it or name it with PYTHON311=."
        return
    fi
    say "making $venv with bpy $release (about 350 MB to fetch, once)"
    mkdir -p "$envs"
    "$python" -m venv "$venv"
    # shellcheck disable=SC2086  # PIP_ARGS is a list of arguments
    if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
            ${PIP_ARGS:-} "bpy==$release"; then
        rm -rf "$venv"
        unavailable "$1" "pip found no wheel of bpy $release for this machine (see above); Blender $1 is not tested."
        return
    fi
    if ! "$venv/bin/python" -c 'import bpy, os; print(bpy.app.version_string, flush=True); os._exit(0)' >/dev/null; then
        rm -rf "$venv"
        unavailable "$1" "bpy $release was installed but cannot be imported; a system library is missing (libGL, libXrender, libXi, libxkbcommon, libSM)."
        return
    fi
    echo "$release" > "$venv/.release"
    say "ready: $venv/bin/python"
}

missing=0
[ $# -gt 0 ] || { echo "usage: tools/blender_env.sh VERSION..." >&2; exit 2; }
for version in "$@"; do make_one "$version"; done
exit "$missing"
