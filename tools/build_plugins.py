"""Build the installable zips of the Blender add-on, into dist/ and, for wheels of inve, beside the daemon.

    python tools/build_plugins.py                 what `make plugins` does
    python tools/build_plugins.py --lock          ask the package index anew and rewrite wheels.lock

Two zips: `inve_blender-<version>.zip`, an extension for Blender 4.2 and newer with the wheels of every
platform in it, and `inve_blender-<version>-legacy.zip`, an add-on for Blender 3.4 (Python 3.10) with the same
unpacked. Wheels come through pip, pinned with their hashes in plugins/blender/wheels.lock, and are kept in
build/wheels. The same sources give the same bytes.
"""

from __future__ import annotations

import argparse
import base64
import dataclasses
import hashlib
import io
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ADD_ON = ROOT / "plugins" / "blender" / "inve_blender"
CLIENT = ROOT / "daemon" / "inve_client"
LOCK = ROOT / "plugins" / "blender" / "wheels.lock"
CACHE = ROOT / "build" / "wheels"
DIST = ROOT / "dist"
PACKAGED = ROOT / "daemon" / "inve_daemon" / "plugin_files"
PACKAGES = ("msgpack", "pyzmq")
# Blender 3.4 to 4.0 have 3.10, 4.1 and Debian's 3.4 have 3.11.
LEGACY_PYTHONS = ("3.10", "3.11")
EXTENSION_PYTHONS = ("3.11", "3.13")
# Blender's name of a platform, and pip's, oldest first: the first that has a wheel runs on the most machines.
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


def main() -> int:
    """Build, and say what was built."""
    parser = argparse.ArgumentParser(description="Build the installable zips of the Blender add-on.")
    parser.add_argument("--lock", action="store_true", help="resolve the wheels anew and rewrite wheels.lock")
    if parser.parse_args().lock:
        write_lock()
    locked = read_lock()
    wheels = {one.wheel: fetch(one) for one in locked}
    client = (f"inve_client-{version()}-py3-none-any.whl", client_wheel())
    DIST.mkdir(exist_ok=True)
    built = [build_extension(locked, wheels, client), build_legacy(locked, wheels)]
    PACKAGED.mkdir(exist_ok=True)
    for old in PACKAGED.glob("inve_blender-*.zip"):
        old.unlink()
    for path in built:
        shutil.copy(path, PACKAGED)
        print(f"plugins: {path.relative_to(ROOT)} ({path.stat().st_size / 2**20:.1f} MiB)")
    return 0


def version() -> str:
    """The release, from the add-on's manifest."""
    # tomllib came with Python 3.11.
    match = re.search(r'^version = "(.+)"$', (ADD_ON / "blender_manifest.toml").read_text(), re.MULTILINE)
    assert match is not None
    return match[1]


# Wheels


def read_lock() -> list[Locked]:
    """Every locked wheel.

    Raises:
        SystemExit: a line is not as `write_lock` writes it.
    """
    found = []
    for number, line in enumerate(LOCK.read_text().splitlines(), 1):
        if line.startswith("#") or not line:
            continue
        match = _LOCK_LINE.match(line)
        if match is None:
            raise SystemExit(f"plugins: line {number} of {LOCK.name} is not a locked wheel; run with --lock.")
        found.append(Locked(**match.groupdict()))
    return found


def write_lock() -> None:
    """Ask pip for the newest wheels of each Python and platform, and write down which they are."""
    lines = [
        "# The wheels in the Blender add-on's zips, by Python and platform; made by "
        "tools/build_plugins.py --lock.",
    ]
    for python in sorted({*LEGACY_PYTHONS, *EXTENSION_PYTHONS}):
        for platform in PLATFORMS:
            for package in PACKAGES:
                path = download(package, python, platform, CACHE / "new")
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                lines.append(f"{python} {platform} {path.name} sha256:{digest}")
                path.replace(CACHE / path.name)
    LOCK.write_text("\n".join(lines) + "\n")


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
            f"network, or its name in {LOCK.name}."
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


def client_wheel() -> bytes:
    """inve_client as a wheel of its own: pure Python, so it is only its files and their list."""
    info = f"inve_client-{version()}.dist-info"
    metadata = (
        f"Metadata-Version: 2.1\nName: inve-client\nVersion: {version()}\n"
        f"Summary: The wire protocol and the client of the INVE bridge\nLicense: Apache-2.0\n"
        f"Requires-Python: >=3.9\nRequires-Dist: msgpack>=1.1\nRequires-Dist: pyzmq>=26\n"
    )
    wheel = "Wheel-Version: 1.0\nGenerator: inve\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    members = {f"inve_client/{name}": content for name, content in sources(CLIENT)}
    members |= {f"{info}/METADATA": metadata.encode(), f"{info}/WHEEL": wheel.encode()}
    members[f"{info}/LICENSE"] = (ROOT / "LICENSE").read_bytes()
    rows = [f"{name},sha256={_record_digest(content)},{len(content)}" for name, content in members.items()]
    members[f"{info}/RECORD"] = ("\n".join([*rows, f"{info}/RECORD,,"]) + "\n").encode()
    return zipped(members)


def _record_digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


# Zips


def build_extension(locked: list[Locked], wheels: dict[str, bytes], client: tuple[str, bytes]) -> Path:
    """The extension: the add-on, its manifest with the wheels named, the wheels."""
    names = {one.wheel for one in locked if one.python in EXTENSION_PYTHONS}
    bundled = {client[0]: client[1], **{name: wheels[name] for name in sorted(names)}}
    manifest = (ADD_ON / "blender_manifest.toml").read_text()
    listed = "".join(f'    "./wheels/{name}",\n' for name in bundled)
    # Before the first table: a key after it would belong to that.
    head, table, rest = manifest.partition("\n[permissions]")
    manifest = f"{head}\nwheels = [\n{listed}]\n{table}{rest}"
    members = dict(sources(ADD_ON)) | {"blender_manifest.toml": manifest.encode()}
    members["LICENSE"] = (ROOT / "LICENSE").read_bytes()
    members |= {f"wheels/{name}": content for name, content in bundled.items()}
    path = DIST / f"inve_blender-{version()}.zip"
    path.write_bytes(zipped(members))
    return path


def build_legacy(locked: list[Locked], wheels: dict[str, bytes]) -> Path:
    """The add-on for older Blenders: in a folder of its own, with each platform's packages in vendor/."""
    top = "inve_blender"
    members = {f"{top}/{name}": content for name, content in sources(ADD_ON)}
    members[f"{top}/LICENSE"] = (ROOT / "LICENSE").read_bytes()
    members |= {f"{top}/vendor/any/inve_client/{name}": content for name, content in sources(CLIENT)}
    for one in locked:
        if one.python in LEGACY_PYTHONS:
            with zipfile.ZipFile(io.BytesIO(wheels[one.wheel])) as wheel:
                for name in wheel.namelist():
                    if not name.endswith("/") and "/tests/" not in name:
                        members[f"{top}/vendor/{one.python}-{one.platform}/{name}"] = wheel.read(name)
    path = DIST / f"inve_blender-{version()}-legacy.zip"
    path.write_bytes(zipped(members))
    return path


def sources(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The files of a package, by their names in it."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def zipped(members: dict[str, bytes]) -> bytes:
    """A zip whose bytes depend on its members only."""
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return into.getvalue()


if __name__ == "__main__":
    sys.exit(main())
