"""Where inve_client, pyzmq and msgpack come from: the folder `vendor` beside this package.

`vendor/any` has the client, and `vendor/py311-linux-x64` and its like the compiled packages, of which one
fits this Nuke. In a Nuke that has no such folder the three have to be importable already.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import platform
import sys

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "vendor")
_COMPILED = {"zmq", "msgpack"}

log = logging.getLogger("inve_nuke")


def make_importable(folder: str = FOLDER) -> list[str]:
    """Put the folders that fit this Python and this machine on the path; twice does no harm.

    They go to its end: what Nuke or the studio has of its own is not hidden, and is named in the log. Nothing
    is imported here.

    Returns:
        What was added to the path.

    Raises:
        ImportError: there is nothing for this Python or this machine.
    """
    if not os.path.isdir(folder):
        if importlib.util.find_spec("inve_client") is None:
            raise ImportError(
                f"INVE has no packages in {folder}; run `inve-daemon install-plugin nuke`, which puts them "
                "there."
            )
        return []
    name = folder_name()
    own = os.path.join(folder, name)
    elsewhere = _found_elsewhere(folder)
    if not os.path.isdir(own):
        if not elsewhere.keys() >= _COMPILED:
            known = ", ".join(sorted(set(os.listdir(folder)) - {"any"})) or "none"
            raise ImportError(
                f"INVE has packages for {known}, this Nuke needs {name}; run `inve-daemon install-plugin "
                f"nuke --python {sys.version_info[0]}.{sys.version_info[1]}`."
            )
        own = ""
    for package, origin in elsewhere.items():
        log.info("%s comes from %s, not from the plugin", package, origin)
    added = [path for path in (own, os.path.join(folder, "any")) if path and path not in sys.path]
    sys.path += added
    return added


def folder_name() -> str:
    """The folder of this Python on this machine: py39-linux-x64, py311-macos-arm64."""
    system = {"linux": "linux", "darwin": "macos", "win32": "windows"}.get(sys.platform, sys.platform)
    machine = platform.machine().lower()
    arm = machine in ("arm64", "aarch64")
    return f"py{sys.version_info[0]}{sys.version_info[1]}-{system}-{'arm64' if arm else 'x64'}"


def _found_elsewhere(folder: str) -> dict[str, str]:
    """The packages that are importable without the folder, and where they are."""
    found = {}
    for package in sorted({"inve_client", *_COMPILED}):
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin and not spec.origin.startswith(folder + os.sep):
            found[package] = spec.origin
    return found
