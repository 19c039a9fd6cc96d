"""Edited frames as files in the cache folder: asked of the daemon, written, removed.

All of it runs on the I/O thread. What the files are called is in `result_names.py`.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from .messages import LOCAL, WORK_S, AskInstead, RefusedError, Reply, Request, take
from .result_names import file_name, revision_of

OLD_S = 7 * 24 * 3600.0
"""How old a file must be that nothing shows, to be removed without having been seen replaced."""


@dataclass(frozen=True)
class RenderedFile:
    """One edited frame on disk.

    Attributes:
        frame: the source's number.
        revision: of the edits that it shows.
        folder, name: where it is.
        touched: how many of its pixels edits have changed.
        bytes: of the file.
        shared: whether daemon and plugin have a memory in common.
    """

    frame: int
    revision: int
    folder: str
    name: str
    touched: int
    bytes: int
    shared: bool


@dataclass(frozen=True)
class RenderFrame(Request[RenderedFile]):
    """One frame with its edits, into a folder.

    Attributes:
        shot: which shot.
        frame: the source's number.
        folder: absolute; made where it is missing.
        compression: "none" is sooner there, "zip" takes less room.
        shared: whether the daemon may be on this machine.
        layers: whether edit layers, mattes and uv come as parts of the file.
    """

    kind: ClassVar[str] = "render"
    timeout_s: ClassVar[float] = WORK_S
    shot: str
    frame: int
    folder: str
    compression: str = "zip"
    shared: bool = False
    layers: bool = False

    def fields(self) -> dict[str, Any]:
        """As SPEC.md has it."""
        return {
            "shot": self.shot,
            "frames": [self.frame],
            "compression": self.compression,
            "shared": self.shared,
            "layers": self.layers,
            "out": None,
        }

    def read(self, reply: Reply) -> RenderedFile:
        """Write the picture under its name, whole or not at all."""
        from inve_client import sharing

        revision = take(reply.result, "revision", int)
        described = take(reply.result, "frames", list)
        if len(described) != 1 or take(described[0], "frame", int) != self.frame:
            raise RefusedError(
                f"A render of frame {self.frame} must bring that frame, got {len(described)} others; install "
                f"the plugin and the daemon from the same release.",
                "bad_message",
            )
        content: bytes | memoryview
        if "path" in described[0]:
            try:
                content = sharing.fetch(take(described[0], "path", str))
            except OSError:
                # It is another machine's memory, or whoever sent the same request was first.
                raise AskInstead(replace(self, shared=False)) from None
        elif reply.attachments:
            content = reply.attachments[0]
        else:
            raise RefusedError(f"A render of frame {self.frame} must bring a picture, got none; try again.")
        name = file_name(self.shot, revision, content, self.frame)
        _write(self.folder, name, content)
        touched = take(described[0], "touched", int)
        return RenderedFile(self.frame, revision, self.folder, name, touched, len(content), self.shared)


@dataclass(frozen=True)
class RemoveFiles(Request[int]):
    """Remove edited frames that nothing shows any more; the result is how many there were.

    Attributes:
        paths: absolute, to be removed at once.
        folder, keep: where there is a folder, its edited frames that are older than `OLD_S` and not named in
            `keep` go too: a host that ended without saving has left them.
    """

    kind: ClassVar[str] = LOCAL
    paths: tuple[str, ...]
    folder: str = ""
    keep: frozenset[str] = frozenset()

    def read(self, reply: Reply) -> int:
        """Remove them; what cannot be removed stays."""
        removed = sum(map(remove_file, self.paths))
        if self.folder:
            oldest = time.time() - OLD_S
            with contextlib.suppress(FileNotFoundError), os.scandir(self.folder) as entries:
                for entry in list(entries):
                    ours = revision_of(entry.name) is not None and entry.name not in self.keep
                    if ours and entry.stat().st_mtime < oldest:
                        removed += remove_file(entry.path)
        return removed


def _write(folder: str, name: str, content: bytes | memoryview) -> None:
    path = os.path.join(folder, name)
    # Its name says what is in it.
    if os.path.exists(path) and os.path.getsize(path) == len(content):
        return
    os.makedirs(folder, exist_ok=True)
    partial = f"{path}.{os.getpid()}.part"
    try:
        with open(partial, "wb") as file:
            file.write(content)
        os.replace(partial, path)
    except OSError:
        remove_file(partial)
        raise


def remove_file(path: str) -> bool:
    """Remove a file; False where it cannot be, or was."""
    try:
        os.unlink(path)
    except OSError:
        # Another host was first, or it is in use: then it goes another time.
        return False
    return True
