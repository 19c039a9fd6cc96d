"""Edited frames that have arrived, as a sequence that a Read shows. No nuke.

Each frame arrives as a file of its own name (`inve_client.plugin.result_names`); a Read wants one pattern. So
each state of the edits gets a version, `<shot>.v0003.%04d.exr`, made of hard links, or of copies where the
disk has none (`result_versions.py`). A frame that is not rendered yet is that of the version before, where
there is one. What the same edits look like through a sharper model takes the place of what was there, and the
Read loads it again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from inve_client.plugin.messages import Problem, RefusedError
from inve_nuke.result_versions import Placed, PlaceFrames, RemoveVersion, Result

if TYPE_CHECKING:
    from inve_client.plugin.rendering import Run
    from inve_client.plugin.session import Session

TELL_S = 0.5
"""Between two times that a Read is told to load again, which forgets all that Nuke has of it."""
MOST_TRIES = 3
"""In a row, before a frame that cannot be placed is a problem that the artist must look at."""


@dataclass
class _Shown:
    """How a node's result stands.

    Attributes:
        result: what is shown.
        frames: that it has; None where that is not known, because a script was opened with it.
        busy: whether files are being placed.
        must_renew: whether a file could not be replaced.
        told_at: when something new was last told.
        refused: how often in a row placing failed,
        vanished: and for which frames a file had gone by then.
    """

    result: Result | None = None
    frames: frozenset[int] | None = None
    busy: bool = False
    must_renew: bool = False
    told_at: float = 0.0
    refused: int = 0
    vanished: dict[int, int] = field(default_factory=dict)


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
            before if is_new and before is not None and before.shot == result.shot else None,
            run.frames,
        )

        def done(placed: Placed) -> None:
            state.busy, state.must_renew = False, not placed.is_whole
            if not placed.is_whole:
                again(_in_use(placed.result))
                return
            state.refused = 0
            self._ask_again(state, run, request.files, placed)
            if placed.is_empty:
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
            again(problem)

        def again(problem: Problem) -> None:
            state.refused += 1
            run.unshown, run.news = state.refused < MOST_TRIES, None
            if not run.unshown:
                # Render, or the next frame that comes, tries it once more.
                state.refused = 0
                self._session.fail(problem)

        try:
            self._session.ask(request, done, failed)
        except RefusedError:
            # The connection was closed meanwhile; it is shown with the next one.
            return False
        state.busy = True
        run.news = set()
        return True

    def _ask_again(self, state: _Shown, run: Run, files: Mapping[int, str], placed: Placed) -> None:
        """Have files that have gone rendered once more, a few times at most."""
        given_up = []
        for frame in files.keys() - placed.missing:
            state.vanished.pop(frame, None)
        for frame in sorted(placed.missing):
            file = run.files.get(frame)
            if file is None or os.path.join(file.folder, file.name) != files[frame]:
                # A newer one has come meanwhile.
                continue
            del run.files[frame]
            run.fresh.discard(frame)
            tries = state.vanished[frame] = state.vanished.get(frame, 0) + 1
            if tries >= MOST_TRIES:
                del state.vanished[frame]
                given_up.append(str(frame))
            elif frame in run.frames and frame not in run.queue and frame not in run.out:
                run.queue.append(frame)
        run.total = max(run.total, run.left)
        if given_up:
            self._session.fail(
                Problem(
                    "storage",
                    f"The rendered frames of {run.shot!r} must stay in {run.folder} until shown, and frames "
                    f"{', '.join(given_up)} went {MOST_TRIES} times; see what removes them, press Render.",
                )
            )

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


def _in_use(result: Result) -> Problem:
    return Problem(
        "storage",
        f"The frames of {result.shot!r} must be put into {result.folder}, and that was not permitted "
        f"{MOST_TRIES} times; let Nuke write there, or close what has the files open, then press Render.",
    )
