"""A version of a node's edited frames as files: placed under one pattern, found, removed. No nuke.

All of it runs on the I/O thread. What makes a new version, and who shows it, is in `results.py`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

from inve_client.plugin.messages import LOCAL, RefusedError, Reply, Request
from inve_client.plugin.result_files import remove_file

VERSION = 1
"""Of the map in the node."""


@dataclass(frozen=True)
class Result:
    """A version of a node's edited frames.

    Attributes:
        folder: absolute.
        shot: the daemon's name of it.
        version: counts from 1 in that folder.
        first, last: the frames that it is to have.
        revision: of the edits that it shows.
    """

    folder: str
    shot: str
    version: int
    first: int
    last: int
    revision: int

    @property
    def pattern(self) -> str:
        """As a Read wants it, with / on each platform."""
        return f"{self.folder}/{self.shot}.v{self.version:04d}.%04d.exr".replace("\\", "/")

    def to_map(self) -> dict[str, Any]:
        """For the node, as JSON has it."""
        return {"state": VERSION, **asdict(self)}

    @classmethod
    def from_map(cls, saved: Mapping[str, Any]) -> Result:
        """From what a node has.

        Raises:
            RefusedError: it is damaged, or of a newer version.
        """
        fields = dict(saved)
        version = fields.pop("state", None)
        if isinstance(version, int) and version > VERSION:
            raise RefusedError(
                f"The result saved in this script must have version {VERSION} or older, got {version}; "
                f"install the newer plugin."
            )
        try:
            numbers = {name: int(fields.pop(name)) for name in ("version", "first", "last", "revision")}
            return cls(folder=str(fields.pop("folder")), shot=str(fields.pop("shot")), **numbers)
        except (KeyError, TypeError, ValueError) as damage:
            raise RefusedError(
                f"The result saved in this script cannot be read ({type(damage).__name__}: {damage}); press "
                f"Render."
            ) from damage


@dataclass(frozen=True)
class Placed:
    """What has come under a version's names.

    Attributes:
        result: the version.
        frames: that it has, or that were put there.
        is_whole: whether none was in use.
        missing: frames whose own file has gone, which another Nuke with the same script may have removed.
        is_empty: whether none of the files was put there.
    """

    result: Result
    frames: frozenset[int]
    is_whole: bool
    missing: frozenset[int]
    is_empty: bool


@dataclass(frozen=True)
class PlaceFrames(Request[Placed]):
    """Put files under the names of a version; its frames are told, all of them or those that were put.

    Attributes:
        result: the version.
        is_new: whether it gets the first number that no file in the folder has.
        tell_all: whether all frames are told that it has by then.
        files: frame -> path of its file.
        before: the version whose frames stand in for those that are not there; None takes none.
        frames: that the version is to have.
    """

    kind: ClassVar[str] = LOCAL
    result: Result
    is_new: bool
    tell_all: bool
    files: Mapping[int, str]
    before: Result | None = None
    frames: tuple[int, ...] = ()

    def read(self, reply: Reply) -> Placed:
        """Place them, each whole or not at all."""
        os.makedirs(self.result.folder, exist_ok=True)
        result = replace(self.result, version=_free_version(self.result)) if self.is_new else self.result
        placed, missing = set(), set()
        for frame, path in self.files.items():
            try:
                if _place(path, result.pattern % frame):
                    placed.add(frame)
            except FileNotFoundError:
                missing.add(frame)
        if self.before is not None and placed:
            for frame in set(self.frames) - placed:
                with contextlib.suppress(FileNotFoundError):
                    _place(self.before.pattern % frame, result.pattern % frame)
        there = _frames_there(result) if self.tell_all else placed
        is_whole = placed | missing == self.files.keys()
        return Placed(result, frozenset(there), is_whole, frozenset(missing), not placed)


@dataclass(frozen=True)
class RemoveVersion(Request[int]):
    """Remove the frames of a version; the result is how many there were."""

    kind: ClassVar[str] = LOCAL
    result: Result

    def read(self, reply: Reply) -> int:
        """Remove them; what cannot be removed stays."""
        frames = range(self.result.first, self.result.last + 1)
        return sum(remove_file(self.result.pattern % frame) for frame in frames)


def _free_version(result: Result) -> int:
    return max((version for version, _ in _files(result)), default=0) + 1


def _frames_there(result: Result) -> set[int]:
    return {frame for version, frame in _files(result) if version == result.version}


def _files(result: Result) -> Iterator[tuple[int, int]]:
    """Version and frame of each file of a result's shot."""
    name = re.compile(re.escape(result.shot) + r"\.v(\d+)\.(-?\d+)\.exr")
    for file in os.listdir(result.folder):
        found = name.fullmatch(file)
        if found is not None:
            yield int(found[1]), int(found[2])


def _place(path: str, target: str) -> bool:
    """A file under another name, in the place of what is there; False where that is in use.

    Raises:
        FileNotFoundError: there is no such file.
    """
    partial = f"{target}.{os.getpid()}.part"
    try:
        remove_file(partial)
        try:
            os.link(path, partial)
        except FileNotFoundError:
            raise
        except OSError:
            # The disk has no hard links.
            shutil.copyfile(path, partial)
        os.replace(partial, target)
    except PermissionError:
        remove_file(partial)
        return False
    except OSError:
        remove_file(partial)
        raise
    return True
