"""The zip of the Nuke plugin: a folder to be named to Nuke, with every platform's packages in vendor/."""

from __future__ import annotations

from pathlib import Path

from plugin_files import CLIENT, DIST, ROOT, sources, version, zipped
from plugin_wheels import Locked, unpacked

PLUGIN = ROOT / "plugins" / "nuke"
LOCK = PLUGIN / "wheels.lock"
# Nuke 16 has 3.11; 14 and 15 are said to have 3.9 and 3.10; 3.13 is what the next ones may have.
PYTHONS = ("3.9", "3.10", "3.11", "3.13")


def build(locked: list[Locked], wheels: dict[str, bytes]) -> Path:
    """The zip, of locked wheels and their content; all of it in the folder `inve`."""
    patterns = ("*.py", "README.md", "pictures/*.jpg", "examples/*.py")
    beside = [path for pattern in patterns for path in sorted(PLUGIN.glob(pattern))]
    members = {path.relative_to(PLUGIN).as_posix(): path.read_bytes() for path in beside}
    members |= {f"inve_nuke/{name}": content for name, content in sources(PLUGIN / "inve_nuke")}
    members["LICENSE"] = (ROOT / "LICENSE").read_bytes()
    members |= {f"vendor/any/inve_client/{name}": content for name, content in sources(CLIENT)}
    for one in locked:
        folder = f"vendor/py{one.python.replace('.', '')}-{one.platform}"
        members |= {f"{folder}/{name}": content for name, content in unpacked(wheels[one.wheel])}
    path = DIST / f"inve_nuke-{version()}.zip"
    path.write_bytes(zipped({f"inve/{name}": content for name, content in members.items()}))
    return path
