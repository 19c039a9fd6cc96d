"""Events: numbered, small, and sent to whoever listens."""

from collections.abc import Callable
from typing import Any

import msgspec

from inve_client.codec import MAX_EVENT_BYTES, PREAMBLE
from inve_daemon.jobs import Job, Progress

MAX_WARNINGS = 10
MAX_TEXT = 500


class Publisher:
    """Numbers events and hands them to a socket.

    Args:
        session: the daemon's session.
        send: sends the frames of an event; never blocks.
    """

    def __init__(self, session: str, send: Callable[[list[bytes]], None]) -> None:
        self._session = session
        self._send = send
        self.seq = 0

    def publish(self, kind: str, **body: Any) -> None:
        """Send an event."""
        self.seq += 1
        data = msgspec.msgpack.encode({"kind": kind, "seq": self.seq, "session": self._session, **body})
        assert len(data) <= MAX_EVENT_BYTES, f"a {kind} event came to {len(data)} bytes"
        self._send([PREAMBLE, data])

    def job(self, job: Job, progress: Progress) -> None:
        """A job's state or progress; small, the result itself is asked for."""
        told = progress.to_wire()
        told["warnings"] = [text[:MAX_TEXT] for text in told["warnings"][:MAX_WARNINGS]]
        told["losses"] = dict(list(told["losses"].items())[:32])
        error = (
            None if job.error is None else {"code": job.error["code"], "message": job.error["message"][:2000]}
        )
        body = {"id": job.id, "kind": job.kind, "shot": job.shot, "state": job.state.value, "error": error}
        self.publish("job", job={**body, "progress": told})

    def shot(self, shot: str, change: str, revision: int | None = None) -> None:
        """A shot was opened, deleted, or has a new model or new edits."""
        self.publish("shot", shot=shot, change=change, revision=revision)

    def frames(self, shot: str, job: str, frames: list[int]) -> None:
        """Frames were written."""
        self.publish("frames", shot=shot, job=job, frames=frames)
