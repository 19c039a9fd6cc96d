"""A node's frames as EXR files in a folder, written by Nuke, and only those that changed since the last time.

Beside the files of `plate.%04d.exr` lies `plate.json`, which says of which pictures they are. It is written
before frames are rendered, without them, and again after: what was cut off in the middle is rendered again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inve_client.plugin.messages import RefusedError
from inve_nuke.fingerprints import Fingerprints

if TYPE_CHECKING:
    from inve_nuke.host import NukeHost
    from inve_nuke.host_types import HostNode

VERSION = 1
"""Of the file that says of which pictures the frames are."""


@dataclass(frozen=True)
class Wanted:
    """What is to be written.

    Attributes:
        folder: absolute; it is made.
        stem: what the files are called before the frame's number.
        first, last: the frames.
        channels: as a Write's knob takes them, such as "rgba" or "all".
    """

    folder: str
    stem: str
    first: int
    last: int
    channels: str

    @property
    def pattern(self) -> str:
        """Of the files."""
        return f"{self.folder}/{self.stem}.%04d.exr"


def write(host: NukeHost, node: HostNode, wanted: Wanted) -> list[int]:
    """Have the frames of a node as 32-bit EXR files, with Nuke's progress and its Cancel.

    Values are Nuke's own, scene-linear in the working space. Display window, data window and pixel aspect are
    in the files. The script's undo list and selection stay as they are.

    Returns:
        The frames that had to be rendered.

    Raises:
        RefusedError: `cancelled`, or Nuke could not render them, or the folder cannot be written in. What was
            rendered by then is kept and not rendered again.
    """
    prints = Fingerprints(host, node, wanted.first, wanted.last)
    now = {frame: prints.at(frame) for frame in range(wanted.first, wanted.last + 1)}
    # Other channels are other pictures, whatever is above.
    now = {frame: f"{print_} {wanted.channels}" for frame, print_ in now.items()}
    kept = _Kept(wanted)
    missing = [frame for frame, print_ in now.items() if not kept.has(frame, print_)]
    if not missing:
        return []
    kept.forget(missing)
    with host.unrecorded():
        writer = _writer(host, node, wanted)
        try:
            for first, last in runs(missing):
                _render(host, writer, kept, {frame: now[frame] for frame in range(first, last + 1)})
        finally:
            host.delete(writer)
    return missing


def runs(frames: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Rising frames as stretches without a gap, first and last of each."""
    first = last = None
    for frame in frames:
        if first is None or last is None:
            first = frame
        elif frame != last + 1:
            yield first, last
            first = frame
        last = frame
    if first is not None and last is not None:
        yield first, last


def _render(host: NukeHost, writer: HostNode, kept: _Kept, wanted: Mapping[int, str]) -> None:
    started_ns = time.time_ns()
    frames = sorted(wanted)
    try:
        host.render(writer, frames[0], frames[-1])
    except RefusedError:
        # The newest file may be cut off; those before it were finished.
        done = [frame for frame in frames if kept.is_newer(frame, started_ns)][:-1]
        kept.add({frame: wanted[frame] for frame in done})
        raise
    kept.add(wanted)


def _writer(host: NukeHost, node: HostNode, wanted: Wanted) -> HostNode:
    writer = host.create("Write", beside=node, inputs=[node], file=wanted.pattern, file_type="exr")
    # What an EXR can be asked for is there only once it is one.
    host.set_values(writer, {"channels": wanted.channels, "raw": True})
    host.choose(writer, "datatype", "32 bit float")
    host.choose(writer, "compression", "Zip (1 scanline)")
    return writer


class _Kept:
    """Which frames a folder has, and of which pictures."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._path = f"{wanted.folder}/{wanted.stem}.json"
        self._frames = self._load()

    def has(self, frame: int, print_: str) -> bool:
        """Whether a frame's file is there, of this very picture."""
        return self._frames.get(str(frame)) == print_ and os.path.isfile(self._file(frame))

    def is_newer(self, frame: int, time_ns: int) -> bool:
        """Whether a frame's file was written after a time."""
        try:
            # Some disks keep whole seconds.
            return os.stat(self._file(frame)).st_mtime_ns >= time_ns // 10**9 * 10**9
        except OSError:
            return False

    def forget(self, frames: Iterable[int]) -> None:
        """Frames are about to be written, or cut off while they are; old files of theirs are removed."""
        for frame in frames:
            self._frames.pop(str(frame), None)
            try:
                os.unlink(self._file(frame))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as problem:
                raise RefusedError(
                    f"{self._file(frame)} cannot be replaced ({problem.strerror}); close what has it open, "
                    "or choose another cache folder."
                ) from problem
        self._save()

    def add(self, prints: Mapping[int, str]) -> None:
        """Frames are written."""
        self._frames.update({str(frame): print_ for frame, print_ in prints.items()})
        self._save()

    def _file(self, frame: int) -> str:
        return f"{self._wanted.folder}/{self._wanted.stem}.{frame:04d}.exr"

    def _load(self) -> dict[str, str]:
        try:
            with open(self._path, encoding="utf-8") as file:
                saved = json.load(file)
            if saved["version"] == VERSION:
                return {str(frame): str(print_) for frame, print_ in saved["frames"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # Not there, of another release or cut off: then all is rendered, which is never wrong.
            return {}
        return {}

    def _save(self) -> None:
        partial = f"{self._path}.{os.getpid()}.part"
        try:
            os.makedirs(self._wanted.folder, exist_ok=True)
            with open(partial, "w", encoding="utf-8") as file:
                json.dump({"version": VERSION, "frames": self._frames}, file)
            os.replace(partial, self._path)
        except OSError as problem:
            raise RefusedError(
                f"The cache folder {self._wanted.folder} cannot be written in ({problem.strerror}); choose "
                "another one in the node's tab Files."
            ) from problem
