"""Following jobs and shots: events as they come, and asking where none come.

Events tell the news sooner; they are never the only way to it. Whoever missed some (a gap in the numbers, a
new session) asks the daemon for the state of things instead.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Iterator, Mapping, Optional, Protocol

from . import codec
from .errors import BadMessage, InternalError, InveError, TimedOut, Unreachable, from_wire

ENDED_STATES = frozenset({"done", "failed", "cancelled", "interrupted"})
POLL_S = 2.0
LOST_S = 30.0
"""How long a job is followed while its daemon does not answer, as it does while it restarts."""

OnProgress = Callable[[Mapping[str, Any]], None]


class EventSource(Protocol):
    """What brings events; `transport.EventSocket`, or a fake in tests."""

    def receive(self, timeout_s: float) -> Optional[list[bytes]]:
        """The next event's frames, or None when none came in time."""

    def close(self) -> None:
        """Let go of the socket."""


class EventStream:
    """Events in order, with a note of whether any were missed."""

    def __init__(self, source: EventSource) -> None:
        self._source = source
        self._last: Optional[tuple[str, int]] = None
        self.missed = False
        """True after a gap; whoever reads it sets it back to False once the state was asked for."""

    def next(self, timeout_s: float) -> Optional[codec.Event]:
        """The next event, or None when none came in time."""
        frames = self._source.receive(timeout_s)
        if frames is None:
            return None
        event = codec.decode_event(frames)
        if self._last is not None and self._last != (event.session, event.seq - 1):
            self.missed = True
        self._last = (event.session, event.seq)
        return event

    def __iter__(self) -> Iterator[codec.Event]:
        while True:
            event = self.next(1.0)
            if event is not None:
                yield event

    def close(self) -> None:
        """Let go of the socket."""
        self._source.close()

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def follow_job(
    job_id: str,
    describe: Callable[[str], Mapping[str, Any]],
    events: EventStream,
    on_progress: Optional[OnProgress],
    timeout_s: Optional[float],
) -> Mapping[str, Any]:
    """Follow a job to its end.

    Args:
        job_id: which job.
        describe: asks the daemon for the job.
        events: the daemon's events.
        on_progress: called with the job's description whenever it changes.
        timeout_s: how long to wait at most; None waits for as long as it takes.

    Returns:
        The job's description in state `done`, with its `result`.

    Raises:
        InveError: the job failed, was cancelled or interrupted.
        TimedOut: it did not end in time.
        Unreachable: the daemon went away and stayed away.
    """
    end = None if timeout_s is None else time.monotonic() + timeout_s
    answered = time.monotonic()
    ask_at = 0.0
    while True:
        now = time.monotonic()
        if end is not None and now > end:
            raise TimedOut(
                f"Job {job_id} did not end within {timeout_s:g} s; it goes on, `inve-daemon jobs` shows it."
            )
        job: Optional[Mapping[str, Any]] = None
        if now >= ask_at or events.missed:
            events.missed = False
            ask_at = now + POLL_S
            try:
                job = describe(job_id)
                answered = time.monotonic()
            except (Unreachable, TimedOut):
                if time.monotonic() - answered > LOST_S:
                    raise
        else:
            job = _news_of(job_id, events, min(ask_at - now, 0.5))
            if job is not None:
                answered, ask_at = now, now + POLL_S
        if job is None:
            continue
        if on_progress is not None:
            on_progress(job)
        if job.get("state") in ENDED_STATES:
            # An event is kept small; the whole answer is asked for.
            return _ended(describe(job_id))


def _news_of(job_id: str, events: EventStream, timeout_s: float) -> Optional[Mapping[str, Any]]:
    event = events.next(timeout_s)
    if event is None or event.kind != "job":
        return None
    job = event.body.get("job")
    if not isinstance(job, dict):
        raise BadMessage("A job event must carry `job` as a map.")
    return job if job.get("id") == job_id else None


def _ended(job: Mapping[str, Any]) -> Mapping[str, Any]:
    if job.get("state") == "done":
        return job
    error = job.get("error")
    if isinstance(error, dict):
        raised: InveError = from_wire(error)
        raise raised
    raise InternalError(
        f"Job {job.get('id')} ended as {job.get('state')} without an error; see the daemon's log."
    )
