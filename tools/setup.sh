#!/usr/bin/env bash
# Makes or brings up to date the virtual environment that `make setup` promises, and says what it installs.
#
#   tools/setup.sh VENV          PYTHON: the interpreter to use    PIP_ARGS: more arguments for pip
set -euo pipefail

venv=${1:?usage: tools/setup.sh VENV}
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }

python=${PYTHON:-}
if [ -n "$python" ]; then
    is_new_enough "$python" || fail "PYTHON=$python must be CPython 3.10 or newer; it is not, or does not run."
else
    for candidate in python3.11 python3.12 python3.13 python3.10 python3; do
        if command -v "$candidate" >/dev/null && is_new_enough "$candidate"; then python=$candidate; break; fi
    done
    [ -n "$python" ] || fail "no CPython 3.10 or newer was found; install one (Debian: apt-get install python3) or name it with PYTHON=."
fi

# Debian and Ubuntu split venv and its pip off from Python. It is the only Debian package that is needed: the wheels
# of OpenCV (headless), OpenImageIO and PyAV bring their own libraries, and none of them asks for libGL.
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    package="python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing the Debian package $package, which $python lacks"
        apt-get install --yes --no-install-recommends "$package" \
            || { apt-get update && apt-get install --yes --no-install-recommends "$package"; } \
            || fail "apt-get could not install $package; install it by hand and run make setup again."
    else
        fail "$python has no venv module; install it (Debian, Ubuntu: sudo apt-get install $package) and run make setup again."
    fi
fi

if [ ! -x "$venv/bin/python" ] || ! is_new_enough "$venv/bin/python"; then
    say "making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
fi

say "installing inve in $venv, editable, with the extras demo and dev, pinned by constraints.txt (torch is the large one)"
# shellcheck disable=SC2086  # PIP_ARGS is a list of arguments
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check ${PIP_ARGS:-} \
    --constraint constraints.txt --editable '.[demo,dev]'

# A wheel that misses a system library installs without a word and fails at its first import: try them now.
for module in numpy cv2 OpenImageIO av zmq torch; do
    "$venv/bin/python" -c "import $module" \
        || fail "$module was installed but cannot be imported (see above); a system library is missing: install it and run make setup again."
done

# The tests draw the Nuke plugin's panel with Qt, which wants a few libraries of the system, and a font.
if ! "$venv/bin/python" -c 'from PySide6 import QtWidgets' 2>/dev/null; then
    packages="libegl1 libgl1 libxkbcommon0 libfontconfig1 libdbus-1-3 fonts-dejavu-core"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing the Debian packages $packages, with which the tests draw the Nuke plugin's panel"
        # shellcheck disable=SC2086  # a list of packages
        apt-get install --yes --no-install-recommends $packages \
            || { apt-get update && apt-get install --yes --no-install-recommends $packages; } \
            || say "apt-get could not install them; the tests of the Nuke plugin's panel are skipped."
    else
        say "PySide6 lacks a system library, so the tests of the Nuke plugin's panel are skipped (Debian, Ubuntu: sudo apt-get install $packages)"
    fi
fi

say "ready: $venv/bin/inve-daemon (try: make demo)"
