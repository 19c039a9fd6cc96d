"""Which edited frame is asked for when: the one that is looked at first; the newest wish wins.

    rendering = Rendering(session, show=put_into_the_host)
    rendering.request("4f1c", "plate", folder, frames=range(1001, 1025), current=1013)
    session.pump()               # asks, and calls `show` with the run while it has something new

A run goes on by itself: with an edit's event all frames are asked for anew, current one first; while the
daemon is away it waits. At most `MOST_OUT` frames are asked for at once, so that a new wish is soon heard.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .messages import Connection, ConnectionState, Missed, News, Problem, ShotNews
from .result_files import RemoveFiles, RenderedFile, RenderFrame
from .session import Session

MOST_OUT = 2
SHARPEN_S = 2.0
"""Between two looks at a model that is still being learned."""
_LATER = frozenset(("unreachable",))


@dataclass
class Run:
    """The edited frames of one strip or node.

    Attributes:
        shot: which shot.
        folder: where its files go.
        frames: the source's numbers that are wanted, rising.
        current: the one that the artist looks at.
        revision: of the edits, as far as is known; -1 before anything came.
        files: the newest file of each frame.
        queue: what is still to be asked for, in order.
        out: what was asked for -> the revision that was known then.
        total: how many frames the present wish had.
        unshown: whether `show` has something to do,
        news: and for which frames; None is all.
        fresh: frames whose file is of the newest model; the newest edits are told by its revision.
        superseded: paths of files that others have taken the place of.
        sharpened_at: when the model was last looked at while it was being learned.
        was_final: whether it had been learned to its end by then.
        layers: whether the files have edit layers, mattes and uv as parts.
    """

    shot: str
    folder: str
    frames: tuple[int, ...] = ()
    current: int = 0
    revision: int = -1
    files: dict[int, RenderedFile] = field(default_factory=dict)
    queue: list[int] = field(default_factory=list)
    out: dict[int, int] = field(default_factory=dict)
    total: int = 0
    unshown: bool = False
    news: set[int] | None = None
    fresh: set[int] = field(default_factory=set)
    superseded: set[str] = field(default_factory=set)
    sharpened_at: float = 0.0
    was_final: bool = True
    layers: bool = False

    @property
    def left(self) -> int:
        """How many frames are still to come."""
        return len(self.queue) + len(self.out)

    @property
    def is_complete(self) -> bool:
        """Whether all frames show the newest edits."""
        return self.left == 0 and all(self.is_fresh(frame) for frame in self.frames)

    def is_fresh(self, frame: int) -> bool:
        """Whether a frame shows the newest edits through the newest model."""
        return frame in self.fresh and self.files[frame].revision == self.revision

    def in_order(self) -> list[int]:
        """All frames: the current one, those after it, those before it."""
        later = [frame for frame in self.frames if frame > self.current]
        earlier = [frame for frame in self.frames if frame < self.current]
        return [*([self.current] if self.current in self.frames else ()), *later, *earlier]


class Rendering:
    """All runs of a host, by the key of their strip or node.

    Args:
        session: over which it asks, and whose news it follows until `close`.
        show: called from `session.pump` with a run's key and the run; True once all of it is shown.
    """

    def __init__(self, session: Session, show: Callable[[str, Run], bool]) -> None:
        self.runs: dict[str, Run] = {}
        self._session, self._show = session, show
        self._can_share = True
        session.listeners.append(self._take_in)
        session.tickers.append(self.tick)

    def close(self) -> None:
        """Let go of the session; what is asked for is written and shown by nobody."""
        self._session.listeners.remove(self._take_in)
        self._session.tickers.remove(self.tick)
        self.runs.clear()

    def request(
        self,
        key: str,
        shot: str,
        folder: str,
        frames: Sequence[int],
        current: int,
        revision: int | None = None,
        *,
        layers: bool = False,
    ) -> Run:
        """Want a strip's or node's frames: the current one at once, then all that are not up to date.

        Asked again while they come, only the order changes, and what has changed meanwhile is added.

        Args:
            key: of the strip or node.
            shot: which shot.
            folder: absolute, where the files go.
            frames: the source's numbers, rising.
            current: the one to begin with.
            revision: of the edits that are to be seen; None where it is not known: then the current frame is
                asked for in any case, and its answer tells.
            layers: whether edit layers, mattes and uv are wanted as parts of the files.
        """
        run = self.runs.get(key)
        if run is None or (run.shot, run.folder, run.layers) != (shot, folder, layers):
            run = Run(shot, folder, layers=layers)
        # The newest wish is served first.
        self.runs.pop(key, None)
        self.runs[key] = run
        known = self._session.shots.get(shot)
        run.frames, run.current = tuple(frames), current
        run.was_final = known is None or known.final
        if revision is not None:
            run.revision = max(run.revision, revision)
        elif known is not None:
            # Where nothing is on its way, what is known may also be less than it was: the daemon lost edits.
            run.revision = max(run.revision, known.revision) if run.out else known.revision
        if revision is None:
            run.fresh.discard(current)
        self._want(run, run.in_order())
        run.total = run.left
        run.unshown = True
        return run

    def cancel(self, key: str) -> bool:
        """Ask for no more frames; those that are under way are still shown. False where there were none."""
        run = self.runs.get(key)
        if run is None or not run.left:
            return False
        run.queue.clear()
        run.total = len(run.out)
        return True

    def forget(self, key: str) -> None:
        """Drop a run, as its strip or node is gone."""
        self.runs.pop(key, None)

    def show_again(self) -> None:
        """Show all that there is once more: undo may have taken it away."""
        for run in self.runs.values():
            run.unshown, run.news = True, None

    def remove_files(
        self, paths: Sequence[str], folder: str = "", keep: frozenset[str] = frozenset()
    ) -> None:
        """Remove files that nothing shows any more, without waiting; nothing while there is no connection."""
        if self._session.is_connected and (paths or folder):
            self._session.ask(RemoveFiles(tuple(paths), folder, keep), failed=self._session.fail)

    @property
    def is_busy(self) -> bool:
        """Whether frames are awaited that the daemon can give."""
        return self._session.is_connected and any(run.left or run.unshown for run in self.runs.values())

    # Time and news

    def tick(self) -> bool:
        """Ask for what is next and show what is new; called by `session.pump`. True where anything was."""
        if self._session.waiting == 0:
            # The link that they went over was closed; nobody answers them any more.
            for run in self.runs.values():
                run.queue[:0] = [frame for frame in run.out if frame not in run.queue]
                run.out.clear()
        self._look_at_models()
        asked = self._fill()
        shown = False
        for key, run in list(self.runs.items()):
            if run.unshown:
                run.unshown = False
                shown = True
                if not self._show(key, run):
                    run.unshown = key in self.runs
        return asked or shown

    def _take_in(self, news: News) -> None:
        if isinstance(news, ShotNews):
            for run in self.runs.values():
                if run.shot == news.shot:
                    self._take_in_shot(run, news)
        elif isinstance(news, Connection) and news.state is ConnectionState.CONNECTED:
            self._can_share = True
        elif isinstance(news, Missed):
            # An edit may be among what never came: the current frame's answer tells its revision.
            for run in self.runs.values():
                run.fresh.discard(run.current)
                self._want(run, [run.current])

    def _take_in_shot(self, run: Run, news: ShotNews) -> None:
        if news.change == "edits" and news.revision is not None and news.revision > run.revision:
            run.revision = news.revision
            self._want(run, run.in_order())
            run.total = run.left
        elif news.change == "deleted":
            run.queue.clear()

    def _look_at_models(self) -> None:
        """While a shot is learned look at the current frame now and then, and in the end at all."""
        now = time.monotonic()
        for run in self.runs.values():
            known = self._session.shots.get(run.shot)
            if known is None or not run.files:
                continue
            if known.final and not run.was_final:
                run.was_final = True
                run.fresh.clear()
                self._want(run, run.in_order())
                run.total = run.left
            elif not known.final and not run.left and now - run.sharpened_at > SHARPEN_S:
                run.was_final = False
                run.sharpened_at = now
                run.fresh.discard(run.current)
                self._want(run, [run.current])
                run.total = run.left

    # Asking

    def _want(self, run: Run, frames: Sequence[int]) -> None:
        """Queue those of the frames that are not up to date and not on their way with the newest edits."""
        wanted = frozenset(run.frames)
        run.queue = [
            frame
            for frame in frames
            if frame in wanted and not run.is_fresh(frame) and run.out.get(frame) != run.revision
        ]

    def _fill(self) -> bool:
        asked = False
        while self._session.is_connected and sum(len(run.out) for run in self.runs.values()) < MOST_OUT:
            run = next((run for run in reversed(self.runs.values()) if run.queue), None)
            if run is None:
                break
            self._ask(run, run.queue.pop(0))
            asked = True
        return asked

    def _ask(self, run: Run, frame: int) -> None:
        local = self._session.connection.endpoint.startswith("ipc:")
        request = RenderFrame(
            run.shot,
            frame,
            run.folder,
            compression="none" if local and frame == run.current else "zip",
            shared=local and self._can_share,
            layers=run.layers,
        )
        known = run.out[frame] = run.revision

        def done(file: RenderedFile) -> None:
            run.out.pop(frame, None)
            if request.shared and not file.shared:
                self._can_share = False
            self._arrived(run, file, known)

        def failed(problem: Problem) -> None:
            run.out.pop(frame, None)
            self._failed(run, frame, problem)

        self._session.ask(request, done, failed)

    def _arrived(self, run: Run, file: RenderedFile, known: int) -> None:
        before = run.files.get(file.frame)
        run.files[file.frame] = file
        run.fresh.add(file.frame)
        if before is None or before.name != file.name:
            run.unshown = True
            if run.news is not None:
                run.news.add(file.frame)
            if before is not None:
                run.superseded.add(os.path.join(before.folder, before.name))
        if file.revision > run.revision or file.revision < known:
            # Edits that no event told of, or a daemon that has lost some: what it says now is so.
            run.revision = file.revision
            self._want(run, run.in_order())
            run.total = max(run.total, run.left)
        elif not run.is_fresh(file.frame) and file.frame not in run.queue:
            run.queue.append(file.frame)
        if run.is_complete:
            run.unshown = True

    def _failed(self, run: Run, frame: int, problem: Problem) -> None:
        if problem.code in _LATER:
            if frame not in run.queue:
                run.queue.insert(0, frame)
            return
        run.queue.clear()
        self._session.fail(problem)
