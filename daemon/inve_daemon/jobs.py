"""A job's states, and the one table of how it gets from one to another."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class JobState(str, Enum):
    """Where a job is; the last four are ends."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


class JobEvent(str, Enum):
    """What happens to a job."""

    START = "start"
    CANCEL = "cancel"
    FINISH = "finish"
    FAIL = "fail"
    STOP = "stop"
    """The worker has ended it, as asked."""
    INTERRUPT = "interrupt"
    """The daemon ended and nobody will go on with it."""
    REQUEUE = "requeue"
    """A daemon found it unfinished and goes on with it."""


TRANSITIONS: dict[tuple[JobState, JobEvent], JobState] = {
    (JobState.QUEUED, JobEvent.START): JobState.RUNNING,
    (JobState.QUEUED, JobEvent.CANCEL): JobState.CANCELLED,
    (JobState.QUEUED, JobEvent.FAIL): JobState.FAILED,
    (JobState.QUEUED, JobEvent.INTERRUPT): JobState.INTERRUPTED,
    (JobState.QUEUED, JobEvent.REQUEUE): JobState.QUEUED,
    (JobState.RUNNING, JobEvent.CANCEL): JobState.CANCELLING,
    (JobState.RUNNING, JobEvent.FINISH): JobState.DONE,
    (JobState.RUNNING, JobEvent.FAIL): JobState.FAILED,
    (JobState.RUNNING, JobEvent.INTERRUPT): JobState.INTERRUPTED,
    (JobState.RUNNING, JobEvent.REQUEUE): JobState.QUEUED,
    # A second cancel changes nothing, and what was finished before the first one arrived stays finished.
    (JobState.CANCELLING, JobEvent.CANCEL): JobState.CANCELLING,
    (JobState.CANCELLING, JobEvent.FINISH): JobState.DONE,
    (JobState.CANCELLING, JobEvent.FAIL): JobState.FAILED,
    (JobState.CANCELLING, JobEvent.STOP): JobState.CANCELLED,
    (JobState.CANCELLING, JobEvent.INTERRUPT): JobState.CANCELLED,
}

ENDED = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.INTERRUPTED})


def next_state(state: JobState, event: JobEvent) -> JobState | None:
    """The state after an event, or None where it means nothing there: a job that has ended stays so."""
    return TRANSITIONS.get((state, event))


@dataclass(frozen=True)
class Job:
    """A job as stored; progress is kept beside it, in memory only.

    Attributes:
        id: made by the daemon.
        kind: "train" or "render".
        shot: which shot.
        settings: what was asked for.
        state: where it is.
        created: when it was asked for, in seconds since 1970.
        result: plain data once it is done.
        error: `code` and `message` once it has failed, was cancelled or interrupted.
        checkpoint: content address of the last training checkpoint.
    """

    id: str
    kind: str
    shot: str
    settings: dict[str, Any]
    state: JobState
    created: float
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    checkpoint: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED

    def to_wire(self) -> dict[str, Any]:
        """Plain data for replies."""
        return {
            "id": self.id,
            "kind": self.kind,
            "shot": self.shot,
            "settings": self.settings,
            "state": self.state.value,
            "created": self.created,
            "result": self.result,
            "error": self.error,
        }


@dataclass
class Progress:
    """How far a job is; each value replaces the one before."""

    stage: str = "waiting"
    iteration: int = 0
    iterations: int = 0
    iterations_per_s: float | None = None
    seconds_left: float | None = None
    losses: dict[str, float | None] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def to_wire(self) -> dict[str, Any]:
        """Plain data for events and replies."""
        return {
            "stage": self.stage,
            "iteration": self.iteration,
            "iterations": self.iterations,
            "iterations_per_s": self.iterations_per_s,
            "seconds_left": self.seconds_left,
            "losses": self.losses,
            "warnings": self.warnings,
        }
