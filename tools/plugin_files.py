"""What every plugin's zip is made of: the files of a package, and zips whose bytes depend on them alone."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLIENT = ROOT / "daemon" / "inve_client"
DIST = ROOT / "dist"


def version() -> str:
    """The release."""
    match = re.search(r'^VERSION = "(.+)"$', (CLIENT / "version.py").read_text(), re.MULTILINE)
    assert match is not None
    return match[1]


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
