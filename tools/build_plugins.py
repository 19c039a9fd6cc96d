"""Build the installable zips of the plugins, into dist/ and, for wheels of inve, beside the daemon.

    python tools/build_plugins.py                 what `make plugins` does
    python tools/build_plugins.py --lock nuke     ask the package index anew and rewrite its wheels.lock

For Blender `inve_blender-<version>.zip`, an extension for 4.2 and newer with the wheels of every platform in
it, and `inve_blender-<version>-legacy.zip`, an add-on for 3.4 (Python 3.10) with the same unpacked; for Nuke
`inve_nuke-<version>.zip`. Wheels come through pip, pinned with their hashes in plugins/*/wheels.lock. The
same sources give the same bytes.
"""

from __future__ import annotations

import argparse
import shutil
import sys

import blender_zips
import nuke_zip
from plugin_files import DIST, ROOT
from plugin_wheels import fetch, read_lock, write_lock

PACKAGED = ROOT / "daemon" / "inve_daemon" / "plugin_files"
LOCKS = {
    "blender": (blender_zips.LOCK, blender_zips.PYTHONS),
    "nuke": (nuke_zip.LOCK, nuke_zip.PYTHONS),
}


def main() -> int:
    """Build, and say what was built."""
    parser = argparse.ArgumentParser(description="Build the installable zips of the plugins.")
    parser.add_argument(
        "--lock",
        choices=sorted(LOCKS),
        action="append",
        default=[],
        metavar="HOST",
        help="resolve a host's wheels anew and rewrite its wheels.lock; repeatable",
    )
    for host in parser.parse_args().lock:
        lock, pythons = LOCKS[host]
        write_lock(lock, host, pythons)
    locked = {host: read_lock(lock) for host, (lock, _) in LOCKS.items()}
    wheels = {one.wheel: fetch(one) for ones in locked.values() for one in ones}
    DIST.mkdir(exist_ok=True)
    built = [*blender_zips.build(locked["blender"], wheels), nuke_zip.build(locked["nuke"], wheels)]
    PACKAGED.mkdir(exist_ok=True)
    for old in PACKAGED.glob("inve_*.zip"):
        old.unlink()
    for path in built:
        shutil.copy(path, PACKAGED)
        print(f"plugins: {path.relative_to(ROOT)} ({path.stat().st_size / 2**20:.1f} MiB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
