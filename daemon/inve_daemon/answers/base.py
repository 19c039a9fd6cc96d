"""What all groups of answers share."""

import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from inve_client.errors import Busy, InveError
from inve_daemon import schema
from inve_daemon.events import Publisher
from inve_daemon.jobs import Job, JobState
from inve_daemon.pipe import Message
from inve_daemon.roots import Roots
from inve_daemon.runner import JobRunner
from inve_daemon.shared import SharedPictures
from inve_daemon.store import ShotRecord, Store
from inve_daemon.supervisor import Callbacks, WorkerSupervisor

MAX_UNDERWAY = 256
"""Most requests that wait for the worker at one time."""


class Answer:
    """The one answer that a request gets, given now or later.

    Args:
        request_id: made by the client.
        digest: SHA-256 of the request's body.
        send: sends a result with attachments, or an error.
    """

    def __init__(
        self,
        request_id: str,
        digest: bytes,
        send: Callable[[dict[str, Any] | None, list[bytes], BaseException | None], None],
    ) -> None:
        self.request_id = request_id
        self.digest = digest
        self._send = send

    def give(self, result: dict[str, Any], attachments: list[bytes] | None = None) -> None:
        """It went well."""
        self._send(result, attachments or [], None)

    def refuse(self, error: BaseException) -> None:
        """It did not."""
        self._send(None, [], error)


@dataclass
class Daemon:
    """All that answers are made from."""

    store: Store
    worker: WorkerSupervisor
    jobs: JobRunner
    publisher: Publisher
    roots: Roots
    shared: SharedPictures
    session: str
    events: str
    device: str
    stop: Callable[[], None]
    started: float = field(default_factory=time.monotonic)


Handlers = Mapping[type[schema.Request], Callable[[Any, Answer], None]]


class Group(ABC):
    """Answers of one kind; belongs to the server's thread."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.store = daemon.store

    @abstractmethod
    def handlers(self) -> Handlers:
        """What answers which request."""

    def ask_worker(
        self,
        op: str,
        args: Message,
        answer: Answer,
        done: Callable[[Message], None],
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """Let the worker do something, and go on with what it brings.

        Args:
            op, args: what.
            answer: to refuse where it goes wrong.
            done: goes on with the result.
            ended: is called after all of that, or where there is none; never before this returns.

        Raises:
            Busy: too many wait already.
        """
        if self.daemon.worker.busy >= MAX_UNDERWAY:
            raise Busy(f"{MAX_UNDERWAY} requests wait for the worker already; try again in a while.")

        def go_on(result: Message) -> None:
            try:
                done(result)
            # As with answers given at once: a request can only spoil its own.
            except Exception as error:  # noqa: BLE001
                answer.refuse(error)
            finally:
                ended()

        def failed(error: InveError) -> None:
            answer.refuse(error)
            ended()

        self.daemon.worker.submit(op, args, Callbacks(done=go_on, failed=failed))


def new_job(kind: str, shot: ShotRecord, settings: dict[str, Any], checkpoint: str | None = None) -> Job:
    """A job that has yet to be stored and queued."""
    return Job(
        id=uuid.uuid4().hex[:12],
        kind=kind,
        shot=shot.name,
        settings=settings,
        state=JobState.QUEUED,
        created=time.time(),
        checkpoint=checkpoint,
    )


def picture_of(shot: ShotRecord) -> dict[str, Any]:
    """What edits and points are held against, as keywords of inve_core's checks."""
    return {
        "width": shot.source["width"],
        "height": shot.source["height"],
        "frames": frozenset(shot.source["frames"]),
        "video_layers": shot.video_layers,
    }
