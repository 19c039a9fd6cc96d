"""Pictures that a daemon of the same machine has left in shared memory (SPEC.md, section 6)."""

from __future__ import annotations

import mmap
import os

from .errors import BadMessage

MEMORY = "/dev/shm"  # noqa: S108 - no temporary file of a guessable name: a folder that must be the user's own
"""The file system in memory that daemon and client share."""
PREFIX = "inve-"
"""Of the daemon's folder there."""


def fetch(path: str) -> memoryview:
    """Take over the file: its content, mapped and not copied; its name is removed, so it ends with the view.

    Raises:
        OSError: there is none, as on another machine; or it is empty or a link.
        BadMessage: it is no place for such pictures; nothing was opened or removed.
    """
    folder, name = os.path.split(path)
    memory, own = os.path.split(folder)
    if memory != MEMORY or not own.startswith(PREFIX) or not name.endswith(".exr"):
        raise BadMessage(f"A picture in shared memory must be {MEMORY}/{PREFIX}*/*.exr, got {path!r}.")
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        # Without a length: all of it. The mapping outlives both descriptor and name.
        try:
            content = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        except ValueError as error:
            raise OSError(f"{path} is empty") from error
    finally:
        os.close(descriptor)
    os.unlink(path)
    return memoryview(content)
