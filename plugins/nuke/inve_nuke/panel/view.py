"""What the panel shows, as plain values: made of the session and the script's shots. No nuke, no Qt.

Whoever draws compares the parts of two views and draws those again that differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from inve_client.plugin import wording
from inve_client.plugin.messages import ConnectionState
from inve_client.plugin.session import advice

if TYPE_CHECKING:
    from inve_client.plugin.document import EditDocument, LayerRow
    from inve_client.plugin.messages import Job
    from inve_client.plugin.rendering import Run
    from inve_client.plugin.session import Session

RUN = "run:"
"""Before the key of a node, in the key of the row that tells of its frames."""


@dataclass(frozen=True)
class Entry:
    """An INVE node of the script.

    Attributes:
        key: by which it is known, whatever its name.
        name: the node's.
        shot: the daemon's; "" before it was prepared.
        has_result: whether it has edited frames to show.
        is_elsewhere: whether its daemon is another one than the session's.
    """

    key: str
    name: str
    shot: str
    has_result: bool
    is_elsewhere: bool = False


class Shots(Protocol):
    """The script's shots, as `shots.Shots` has them."""

    @property
    def current(self) -> str:
        """The key of the node whose layers are shown; "" for none."""

    @property
    def runs(self) -> Mapping[str, Run]:
        """The frames that are awaited, by node."""

    def entries(self) -> Sequence[Entry]:
        """All INVE nodes."""

    def document(self, key: str) -> EditDocument | None:
        """A node's edits, where they are in memory."""


@dataclass(frozen=True)
class ConnectionView:
    """How the daemon stands; `tone` is "off", "waiting", "good" or "bad"."""

    text: str
    detail: str
    tone: str
    is_off: bool


@dataclass(frozen=True)
class ProblemView:
    """What went wrong last, and what to do."""

    message: str
    advice: str


@dataclass(frozen=True)
class ShotView:
    """A line of the list of shots."""

    key: str
    name: str
    shot: str
    standing: str


@dataclass(frozen=True)
class JobView:
    """A line of the list of jobs; `share` is 0 to 1, None where that is not known."""

    key: str
    title: str
    text: str
    share: float | None


@dataclass(frozen=True)
class LayersView:
    """The layers of the current shot, the top one first.

    Attributes:
        shot: whose they are; "" where no shot is chosen that has any.
        rows: one a layer.
        waiting: how many steps the daemon has not confirmed.
        held: why nothing is sent; "" where nothing stands in the way.
        is_lost: whether the daemon has lost edits that this script still has.
    """

    shot: str = ""
    rows: tuple[LayerRow, ...] = ()
    waiting: int = 0
    held: str = ""
    is_lost: bool = False


@dataclass(frozen=True)
class PanelView:
    """All of it."""

    connection: ConnectionView
    problem: ProblemView | None
    shots: tuple[ShotView, ...]
    current: str
    jobs: tuple[JobView, ...]
    layers: LayersView
    log: str


_TONES = {
    ConnectionState.OFF: "off",
    ConnectionState.CONNECTING: "waiting",
    ConnectionState.CONNECTED: "good",
    ConnectionState.LOST: "bad",
    ConnectionState.REFUSED: "bad",
}


def view_of(session: Session, shots: Shots, log: str) -> PanelView:
    """The panel as it is to be by now.

    Args:
        session: what is known of the daemon.
        shots: those of the script.
        log: the line that matters.
    """
    entries = shots.entries()
    problem = session.problem
    return PanelView(
        connection=_connection(session),
        problem=None if problem is None else ProblemView(problem.message, advice(problem)),
        shots=tuple(ShotView(one.key, one.name, one.shot, standing(session, one)) for one in entries),
        current=shots.current,
        jobs=(*_openings(session), *_jobs(session), *_runs(shots, entries)),
        layers=_layers(shots),
        log=log,
    )


def standing(session: Session, entry: Entry) -> str:
    """How a node stands, in a sentence."""
    if entry.is_elsewhere and session.is_connected:
        return "Offline: connected to another daemon."
    return wording.standing(session, entry.shot, entry.has_result)


def _connection(session: Session) -> ConnectionView:
    one = session.connection
    detail = one.endpoint
    if one.state is ConnectionState.CONNECTED:
        detail = f"inve {one.version} on {one.device} at {one.endpoint}"
    return ConnectionView(one.state.value, detail, _TONES[one.state], one.state is ConnectionState.OFF)


def _openings(session: Session) -> list[JobView]:
    return [JobView(shot, shot, wording.progress(None), None) for shot in sorted(session.opening)]


def _jobs(session: Session) -> list[JobView]:
    return [_job(job) for job in session.jobs.values() if not job.ended]


def _job(job: Job) -> JobView:
    return JobView(job.id, job.shot, wording.progress(job), job.share if job.iterations > 0 else None)


def _runs(shots: Shots, entries: Sequence[Entry]) -> list[JobView]:
    names = {one.key: one.name for one in entries}
    return [
        JobView(RUN + key, names[key], wording.frames_left(run), 1 - run.left / run.total)
        for key, run in shots.runs.items()
        if run.left and run.total and key in names
    ]


def _layers(shots: Shots) -> LayersView:
    document = shots.document(shots.current) if shots.current else None
    if document is None:
        return LayersView()
    return LayersView(
        document.shot, tuple(document.rows()), document.waiting, document.held, bool(document.lost)
    )
