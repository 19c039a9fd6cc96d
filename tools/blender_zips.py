"""The Blender add-on's zips: an extension with wheels in it, and for older Blenders the same unpacked."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from plugin_files import CLIENT, DIST, ROOT, sources, version, zipped
from plugin_wheels import Locked, unpacked

ADD_ON = ROOT / "plugins" / "blender" / "inve_blender"
LOCK = ROOT / "plugins" / "blender" / "wheels.lock"
# Blender 3.4 to 4.0 have 3.10, 4.1 and Debian's 3.4 have 3.11.
LEGACY_PYTHONS = ("3.10", "3.11")
EXTENSION_PYTHONS = ("3.11", "3.13")
PYTHONS = {*LEGACY_PYTHONS, *EXTENSION_PYTHONS}


def build(locked: list[Locked], wheels: dict[str, bytes]) -> list[Path]:
    """Both zips, of locked wheels and their content."""
    return [_extension(locked, wheels), _legacy(locked, wheels)]


def _extension(locked: list[Locked], wheels: dict[str, bytes]) -> Path:
    """The extension: the add-on, its manifest with the wheels named, the wheels."""
    names = {one.wheel for one in locked if one.python in EXTENSION_PYTHONS}
    bundled = {f"inve_client-{version()}-py3-none-any.whl": client_wheel()}
    bundled |= {name: wheels[name] for name in sorted(names)}
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


def _legacy(locked: list[Locked], wheels: dict[str, bytes]) -> Path:
    """The add-on for older Blenders: in a folder of its own, with each platform's packages in vendor/."""
    top = "inve_blender"
    members = {f"{top}/{name}": content for name, content in sources(ADD_ON)}
    members[f"{top}/LICENSE"] = (ROOT / "LICENSE").read_bytes()
    members |= {f"{top}/vendor/any/inve_client/{name}": content for name, content in sources(CLIENT)}
    for one in locked:
        if one.python in LEGACY_PYTHONS:
            folder = f"{top}/vendor/{one.python}-{one.platform}"
            members |= {f"{folder}/{name}": content for name, content in unpacked(wheels[one.wheel])}
    path = DIST / f"inve_blender-{version()}-legacy.zip"
    path.write_bytes(zipped(members))
    return path


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
