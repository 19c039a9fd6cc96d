"""Edited frames that have arrived, as a sequence that a Read shows. No nuke.

Each frame arrives as a file of its own name (`inve_client.plugin.result_names`); a Read wants one pattern. So
each state of the edits gets a version, `<shot>.v0003.%04d.exr`, made of hard links, or of copies where the
disk has none. A frame that is not rendered yet is that of the version before, where there is one. What the
same edits look like through a sharper model takes the place of what was there, and the Read loads it again.

All of the work on files is done on the I/O thread.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from inve_client.plugin.messages import LOCAL, Problem, RefusedError, Reply, Request
from inve_client.plugin.result_files import remove_file

if TYPE_CHECKING:
    from inve_client.plugin.rendering import Run
    from inve_client.plugin.session import Session

VERSION = 1
"""Of the map in the node."""
TELL_S = 0.5
"""Between two times that a Read is told to load again, which forgets all that Nuke has of it."""


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
    """What has come under a version's names, for which frames; not `is_whole` where one was in use."""

    result: Result
    frames: frozenset[int]
    is_whole: bool


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
        placed = {frame for frame, path in self.files.items() if _place(path, result.pattern % frame)}
        if self.before is not None:
            for frame in self.frames:
                if frame not in self.files:
                    _place(self.before.pattern % frame, result.pattern % frame)
        there = _frames_there(result) if self.tell_all else placed
        return Placed(result, frozenset(there), placed == self.files.keys())


@dataclass(frozen=True)
class RemoveVersion(Request[int]):
    """Remove the frames of a version; the result is how many there were."""

    kind: ClassVar[str] = LOCAL
    result: Result

    def read(self, reply: Reply) -> int:
        """Remove them; what cannot be removed stays."""
        frames = range(self.result.first, self.result.last + 1)
        return sum(remove_file(self.result.pattern % frame) for frame in frames)


@dataclass
class _Shown:
    """How a node's result stands.

    Attributes:
        result: what is shown.
        frames: that it has; None where that is not known, because a script was opened with it.
        busy: whether files are being placed.
        must_renew: whether a file could not be replaced.
        told_at: when something new was last told.
    """

    result: Result | None = None
    frames: frozenset[int] | None = None
    busy: bool = False
    must_renew: bool = False
    told_at: float = 0.0


class Results:
    """The results of all nodes, by the nodes' keys.

    Args:
        session: whose I/O thread does the work.
        shown: called with a node's key, its result and the frames that this has, once there is something new
            under its pattern.
    """

    def __init__(self, session: Session, shown: Callable[[str, Result, frozenset[int]], None]) -> None:
        self._session, self._tell = session, shown
        self._nodes: dict[str, _Shown] = {}
        self._kept: set[str] = set()

    def of(self, key: str) -> Result | None:
        """What a node shows."""
        state = self._nodes.get(key)
        return None if state is None else state.result

    def is_busy(self, key: str) -> bool:
        """Whether files are being placed for a node."""
        return key in self._nodes and self._nodes[key].busy

    def adopt(self, key: str, result: Result) -> None:
        """Know a result that a script has, which is never removed."""
        self._nodes[key] = _Shown(result)
        self._kept.add(result.pattern)

    def saved(self) -> None:
        """The script on disk shows what there is now: that is never removed."""
        self._kept |= {state.result.pattern for state in self._nodes.values() if state.result is not None}

    def forget(self, key: str) -> None:
        """Let go of a node; its files stay, for it may come back."""
        self._nodes.pop(key, None)

    def clear(self) -> None:
        """Let go of all."""
        self._nodes.clear()
        self._kept.clear()

    def show(self, key: str, run: Run) -> bool:
        """Bring what is new in a run under the node's pattern, as `Rendering` wants it.

        Returns:
            Whether that was begun; False where the last time is still under way, or a moment ago and more
            frames are coming.
        """
        state = self._nodes.setdefault(key, _Shown())
        if state.busy or (run.left and time.monotonic() - state.told_at < TELL_S):
            return False
        news = set(run.files) if run.news is None else run.news & run.files.keys()
        if not news:
            return True
        before = state.result
        is_new, result = _next(before, run, news, state.must_renew)
        placed = run.files if is_new else {frame: run.files[frame] for frame in news}
        request = PlaceFrames(
            result,
            is_new,
            is_new or state.frames is None,
            {frame: os.path.join(file.folder, file.name) for frame, file in placed.items()},
            before if is_new else None,
            run.frames,
        )

        def done(placed: Placed) -> None:
            state.busy, state.must_renew = False, not placed.is_whole
            if not placed.is_whole:
                run.unshown, run.news = True, None
                return
            state.result = placed.result
            state.frames = (
                placed.frames if request.tell_all else (state.frames or frozenset()) | placed.frames
            )
            if self._nodes.get(key) is state:
                state.told_at = time.monotonic()
                self._tell(key, placed.result, state.frames)
                if is_new and before is not None:
                    self._remove(before)

        def failed(problem: Problem) -> None:
            state.busy = False
            run.unshown, run.news = True, None
            self._session.fail(problem)

        try:
            self._session.ask(request, done, failed)
        except RefusedError:
            # The connection was closed meanwhile; it is shown with the next one.
            return False
        state.busy = True
        run.news = set()
        return True

    def _remove(self, result: Result) -> None:
        others = {state.result.pattern for state in self._nodes.values() if state.result is not None}
        if result.pattern not in self._kept | others:
            self._session.ask(RemoveVersion(result), failed=self._session.fail)


def _next(before: Result | None, run: Run, news: set[int], must_renew: bool) -> tuple[bool, Result]:
    """Whether new files of a run need a new version, and the version that they belong to."""
    revision = max(run.files[frame].revision for frame in news)
    wanted = Result(run.folder, run.shot, 0, run.frames[0], run.frames[-1], revision)
    if before is None or must_renew or (before.folder, before.shot) != (wanted.folder, wanted.shot):
        return True, wanted
    # What was asked for before the last edit may come after it.
    is_late = revision < before.revision and revision != run.revision
    if revision == before.revision or is_late:
        return False, replace(wanted, version=before.version, revision=before.revision)
    return True, wanted


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
    """A file under another name, in the place of what is there; False where there is none or it is in use."""
    partial = f"{target}.{os.getpid()}.part"
    try:
        remove_file(partial)
        try:
            os.link(path, partial)
        except FileNotFoundError:
            return False
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
