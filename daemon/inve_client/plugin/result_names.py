"""What the files of edited frames are called. No host.

A name is `<shot>.r<revision>-<digest>.<frame>.exr`. The digest is of the content, because the same edits look
otherwise once the model is sharper, and because another daemon counts its revisions anew: what a host has
cached under a name is always what the file of that name holds.
"""

from __future__ import annotations

import hashlib
import re

_NAME = re.compile(r"\.r(?P<revision>\d+)-[0-9a-f]{10}\.(?P<frame>-?\d+)\.exr$")
_PENDING = re.compile(r"\.pending\.(?P<frame>-?\d+)\.exr$")


def file_name(shot: str, revision: int, content: bytes | memoryview, frame: int) -> str:
    """The name of a frame's file, another one for each content."""
    digest = hashlib.blake2b(content, digest_size=5).hexdigest()
    return f"{shot}.r{revision}-{digest}.{frame:04d}.exr"


def pending_name(shot: str, frame: int) -> str:
    """The name in the place of a frame's that is not there yet; there is no such file."""
    return f"{shot}.pending.{frame:04d}.exr"


def frame_of(name: str) -> int | None:
    """The source's number in a name of either kind, None for others' names."""
    found = _NAME.search(name) or _PENDING.search(name)
    return None if found is None else int(found["frame"])


def revision_of(name: str) -> int | None:
    """The revision in a name, None where there is no file of it."""
    found = _NAME.search(name)
    return None if found is None else int(found["revision"])
