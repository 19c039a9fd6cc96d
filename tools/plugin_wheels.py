"""Wheels for the plugins: locked with their hashes, brought by pip, kept in build/wheels."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from plugin_files import ROOT

CACHE = ROOT / "build" / "wheels"
PACKAGES = ("msgpack", "pyzmq")
# A platform's name, which is Blender's, and pip's, oldest first: the first that has a wheel runs on the most
# machines.
PLATFORMS = {
    "linux-x64": ("manylinux2014_x86_64", "manylinux_2_26_x86_64", "manylinux_2_28_x86_64"),
    "windows-x64": ("win_amd64",),
    "macos-x64": ("macosx_10_9_x86_64", "macosx_10_15_universal2", "macosx_11_0_x86_64"),
    "macos-arm64": ("macosx_11_0_arm64", "macosx_10_15_universal2"),
}
_LOCK_LINE = re.compile(
    r"(?P<python>[\d.]+) (?P<platform>\S+) (?P<wheel>\S+\.whl) sha256:(?P<digest>[0-9a-f]{64})$"
)


@dataclasses.dataclass(frozen=True)
class Locked:
    """One line of the lock: a wheel for a Python on a platform."""

    python: str
    platform: str
    wheel: str
    digest: str

    @property
    def requirement(self) -> str:
        """As pip wants it: name==version."""
        name, version = self.wheel.split("-")[:2]
        return f"{name}=={version}"


def read_lock(lock: Path) -> list[Locked]:
    """Every wheel of a lock.

    Raises:
        SystemExit: a line is not as `write_lock` writes it.
    """
    found = []
    for number, line in enumerate(lock.read_text().splitlines(), 1):
        if line.startswith("#") or not line:
            continue
        match = _LOCK_LINE.match(line)
        if match is None:
            raise SystemExit(f"plugins: line {number} of {lock} is not a locked wheel; run with --lock.")
        found.append(Locked(**match.groupdict()))
    return found


def write_lock(lock: Path, host: str, pythons: Iterable[str]) -> None:
    """Ask pip for the newest wheels of each Python and platform, and write down which they are."""
    lines = [
        f"# The wheels in the zips for {host}, by Python and platform; made by "
        f"tools/build_plugins.py --lock {host}."
    ]
    for python in sorted(pythons, key=lambda name: tuple(map(int, name.split(".")))):
        for platform in PLATFORMS:
            for package in PACKAGES:
                path = download(package, python, platform, CACHE / "new")
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                lines.append(f"{python} {platform} {path.name} sha256:{digest}")
                path.replace(CACHE / path.name)
    lock.write_text("\n".join(lines) + "\n")


def download(requirement: str, python: str, platform: str, folder: Path) -> Path:
    """One wheel through pip, alone in a folder.

    Raises:
        SystemExit: pip finds none.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--implementation", "cp", "--python-version", python]
    command += [word for name in PLATFORMS[platform] for word in ("--platform", name)]
    if subprocess.run([*command, "--dest", str(folder), requirement], check=False).returncode != 0:
        raise SystemExit(
            f"plugins: pip found no wheel of {requirement} for Python {python} on {platform} "
            f"(see above); check the "
            f"network, or its name in the lock."
        )
    (path,) = folder.glob("*.whl")
    return path


def fetch(locked: Locked) -> bytes:
    """A locked wheel's content, from build/wheels or, the first time, through pip.

    Raises:
        SystemExit: what pip brings is not what was locked.
    """
    path = CACHE / locked.wheel
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != locked.digest:
        found = download(locked.requirement, locked.python, locked.platform, CACHE / "new")
        digest = hashlib.sha256(found.read_bytes()).hexdigest()
        if (found.name, digest) != (locked.wheel, locked.digest):
            raise SystemExit(
                f"plugins: {locked.wheel} must have the hash sha256:{locked.digest}, got {found.name} with "
                f"sha256:{digest}; do not use it, or run with --lock where the change is meant."
            )
        found.replace(path)
    return path.read_bytes()


def unpacked(wheel: bytes) -> Iterator[tuple[str, bytes]]:
    """What a wheel puts into site-packages, without its tests."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        for name in archive.namelist():
            if not name.endswith("/") and "/tests/" not in name:
                yield name, archive.read(name)
