"""Where inve_client, pyzmq and msgpack come from: an extension's wheels, or the legacy vendor folder."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys

_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vendor")


def make_importable() -> None:
    """Put the vendor folder's packages of this platform on the path, where there is one; twice does no harm.

    The path is added at its end: what Blender has of its own is not hidden.

    Raises:
        ImportError: the folder has nothing for this platform or this Python.
    """
    if not os.path.isdir(_FOLDER) or importlib.util.find_spec("inve_client") is not None:
        return
    name = f"{sys.version_info[0]}.{sys.version_info[1]}-{platform_name()}"
    own = os.path.join(_FOLDER, name)
    if not os.path.isdir(own):
        known = ", ".join(sorted(set(os.listdir(_FOLDER)) - {"any"}))
        raise ImportError(f"the legacy zip has packages for {known}, this is {name}")
    sys.path += [path for path in (own, os.path.join(_FOLDER, "any")) if path not in sys.path]


def platform_name() -> str:
    """The platform, as Blender's extensions call it: linux-x64, macos-arm64."""
    system = {"linux": "linux", "darwin": "macos", "win32": "windows"}.get(sys.platform, sys.platform)
    machine = platform.machine().lower()
    return f"{system}-{'arm64' if machine in ('arm64', 'aarch64') else 'x64'}"
