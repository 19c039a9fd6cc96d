"""What goes through the link: requests in, results and news out. All of it immutable; no host, no socket.

To add a request, write a frozen dataclass here or beside what uses it. Its fields are those of SPEC.md,
`read` makes a result of the daemon's answer:

    @dataclass(frozen=True)
    class Undo(Request[int]):
        kind: ClassVar[str] = "undo"
        shot: str
        base_revision: int | None = None

        def read(self, reply: Reply) -> int:
            return take(reply.result, "revision", int)

and ask it with `session.ask(Undo("plate"), done=show_revision)`; `done` is called on the host's main thread
with what `read` gave. `read` itself runs on the I/O thread: that is the place to write files, decode pictures
and do whatever else takes longer than a blink. Where a request has fields that are not the daemon's (a folder
to write to), override `fields`. Where the answer says that something else must be asked, raise `AskInstead`
in `read`.

Nothing here imports the client, whose ZeroMQ takes longer to load than a button may take.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar, Union

from .refusals import Problem as Problem
from .refusals import RefusedError as RefusedError

Result = TypeVar("Result")
ENDED_STATES = frozenset({"done", "failed", "cancelled", "interrupted"})
LOCAL = ""
"""The kind of a request that goes to nobody: its `read` just runs on the I/O thread, to work on files."""
QUICK_S = 10.0
"""Time for what the daemon answers at once."""
WORK_S = 300.0
"""Time for what the worker has to read, load or render first."""


class Reply(Protocol):
    """An answer of the daemon, as `inve_client.codec.Reply` has it."""

    @property
    def result(self) -> Mapping[str, Any]:
        """The fields that SPEC.md lists for the request."""

    @property
    def attachments(self) -> Sequence[bytes]:
        """Whole EXR files."""


class Request(Generic[Result]):
    """Base of all requests: subclasses are frozen dataclasses.

    Attributes:
        kind: the request's name in SPEC.md.
        timeout_s: how long its answer may take.
        control: whether the daemon answers it at once, so that it never waits behind others here either.
    """

    kind: ClassVar[str]
    timeout_s: ClassVar[float] = QUICK_S
    control: ClassVar[bool] = False

    def fields(self) -> dict[str, Any]:
        """The request's fields on the wire."""
        assert dataclasses.is_dataclass(self)
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def read(self, reply: Reply) -> Result:
        """Make the result of the answer; on the I/O thread.

        Raises:
            RefusedError: the answer cannot be used.
            AskInstead: another request has to be asked in the place of this one.
        """
        raise NotImplementedError


class AskInstead(Exception):
    """Raised by `Request.read`: ask this request, and give its result to who asked the first one."""

    def __init__(self, request: Request[Any]) -> None:
        super().__init__(request.kind)
        self.request = request


def take(fields: Mapping[str, Any], name: str, kind: type | tuple[type, ...]) -> Any:
    """A field of an answer, which must be of a type.

    Raises:
        RefusedError: it is missing or of another type.
    """
    value = fields.get(name)
    if not isinstance(value, kind):
        raise RefusedError(
            f"The daemon's answer must have `{name}`, got {type(value).__name__}; install the plugin and the "
            f"daemon from the same release.",
            "bad_message",
        )
    return value


# Results


@dataclass(frozen=True)
class Shot:
    """A shot as the daemon describes it; `frames` are the source's numbers.

    Attributes:
        trained: whether it can be edited by now, which is long before learning has ended.
        final: whether its learning has ended.
        outcome: "good", "poor" or "" where nothing is known yet.
    """

    name: str
    first_frame: int
    last_frame: int
    width: int
    height: int
    pixel_aspect: float
    video_layers: tuple[str, ...]
    frames_pattern: str
    matte_patterns: tuple[str, ...]
    trained: bool
    final: bool
    revision: int
    outcome: str
    warnings: tuple[str, ...]
    psnr_db: float | None
    flow_pattern: str | None = None

    @classmethod
    def from_wire(cls, fields: Mapping[str, Any]) -> Shot:
        """From what describe_shot, open_shot or an item of list_shots says."""
        frames = fields.get("frames") or [fields.get("first_frame", 0), fields.get("last_frame", 0)]
        report = fields.get("report") or {}
        psnr = report.get("psnr_db")
        return cls(
            name=take(fields, "shot", str),
            first_frame=int(frames[0]),
            last_frame=int(frames[-1]),
            width=take(fields, "width", int),
            height=take(fields, "height", int),
            pixel_aspect=float(take(fields, "pixel_aspect", (int, float))),
            video_layers=tuple(take(fields, "video_layers", list)),
            frames_pattern=take(fields, "frames_pattern", str),
            matte_patterns=tuple(take(fields, "matte_patterns", list)),
            trained=take(fields, "trained", bool),
            final=take(fields, "final", bool),
            revision=take(fields, "revision", int),
            outcome=str(report.get("outcome") or ""),
            warnings=tuple(map(str, report.get("warnings") or ())),
            psnr_db=float(psnr) if isinstance(psnr, (int, float)) else None,
            flow_pattern=fields.get("flow_pattern"),
        )


@dataclass(frozen=True)
class Job:
    """A job's state and progress (SPEC.md, section 7); `problem` where it ended in one."""

    id: str
    kind: str
    shot: str
    state: str
    stage: str = ""
    iteration: int = 0
    iterations: int = 0
    seconds_left: float | None = None
    warnings: tuple[str, ...] = ()
    problem: Problem | None = None
    result: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in ENDED_STATES

    @property
    def share(self) -> float:
        """How much of its present stage is done, 0 to 1."""
        return min(1.0, self.iteration / self.iterations) if self.iterations > 0 else 0.0

    @classmethod
    def from_wire(cls, fields: Mapping[str, Any]) -> Job:
        """From what describe_job says, or an event."""
        progress = fields.get("progress") or {}
        error = fields.get("error")
        left = progress.get("seconds_left")
        return cls(
            id=take(fields, "id", str),
            kind=take(fields, "kind", str),
            shot=take(fields, "shot", str),
            state=take(fields, "state", str),
            stage=str(progress.get("stage") or ""),
            iteration=int(progress.get("iteration") or 0),
            iterations=int(progress.get("iterations") or 0),
            seconds_left=float(left) if isinstance(left, (int, float)) else None,
            warnings=tuple(map(str, progress.get("warnings") or ())),
            problem=Problem(str(error.get("code")), str(error.get("message"))) if error else None,
            result=fields.get("result") or {},
        )


# Requests


@dataclass(frozen=True)
class OpenShot(Request[Shot]):
    """Make a shot known under a name; with the same pictures it may be asked again and again."""

    kind: ClassVar[str] = "open_shot"
    timeout_s: ClassVar[float] = WORK_S
    shot: str
    frames: str
    mattes: tuple[str, ...] = ()
    frame_range: tuple[int, int] | None = None
    flow: str | None = None

    def fields(self) -> dict[str, Any]:
        """The request's fields on the wire; older daemons know no flow, and refuse what they do not know."""
        fields = super().fields()
        if self.flow is None:
            del fields["flow"]
        return fields

    def read(self, reply: Reply) -> Shot:
        """The shot."""
        return Shot.from_wire(reply.result)


@dataclass(frozen=True)
class DescribeShot(Request[Shot]):
    """One shot as it is now."""

    kind: ClassVar[str] = "describe_shot"
    control: ClassVar[bool] = True
    shot: str

    def read(self, reply: Reply) -> Shot:
        """The shot."""
        return Shot.from_wire(reply.result)


@dataclass(frozen=True)
class ListShots(Request["tuple[Shot, ...]"]):
    """All shots of the daemon's store."""

    kind: ClassVar[str] = "list_shots"
    control: ClassVar[bool] = True

    def read(self, reply: Reply) -> tuple[Shot, ...]:
        """The shots."""
        return tuple(Shot.from_wire(fields) for fields in take(reply.result, "shots", list))


@dataclass(frozen=True)
class Train(Request[str]):
    """Learn a shot; the result is the job's id. Asked again while that goes on it is the same job."""

    kind: ClassVar[str] = "train"
    shot: str
    preset: str = "fast"
    working_size: int | None = None

    def read(self, reply: Reply) -> str:
        """The job's id."""
        return str(take(reply.result, "job", str))


@dataclass(frozen=True)
class Cancel(Request[Job]):
    """Ask a job to end."""

    kind: ClassVar[str] = "cancel"
    control: ClassVar[bool] = True
    job: str

    def read(self, reply: Reply) -> Job:
        """The job, which may take a moment more to end."""
        return Job.from_wire(reply.result)


@dataclass(frozen=True)
class DescribeJob(Request[Job]):
    """One job as it is now, with its result."""

    kind: ClassVar[str] = "describe_job"
    control: ClassVar[bool] = True
    job: str

    def read(self, reply: Reply) -> Job:
        """The job."""
        return Job.from_wire(reply.result)


@dataclass(frozen=True)
class ListJobs(Request["tuple[Job, ...]"]):
    """The newest jobs, newest first."""

    kind: ClassVar[str] = "list_jobs"
    control: ClassVar[bool] = True

    def read(self, reply: Reply) -> tuple[Job, ...]:
        """The jobs."""
        return tuple(Job.from_wire(fields) for fields in take(reply.result, "jobs", list))


# News


class ConnectionState(enum.Enum):
    """How the plugin and the daemon stand; the value is what the panel says."""

    OFF = "Not connected"
    CONNECTING = "Connecting"
    CONNECTED = "Connected"
    LOST = "No answer, trying again"
    REFUSED = "Refused"


@dataclass(frozen=True)
class Connection:
    """The state of the connection, and who is at its other end once that was heard.

    Attributes:
        endpoint: the address, once it was read; the one that was typed until then.
        daemon_session: changes when the daemon was restarted.
        problem: why it is lost or refused.
    """

    state: ConnectionState = ConnectionState.OFF
    endpoint: str = ""
    version: str = ""
    device: str = ""
    daemon_session: str = ""
    problem: Problem | None = None


@dataclass(frozen=True)
class JobNews:
    """A job has changed; its result is not in here, `DescribeJob` has it."""

    job: Job


@dataclass(frozen=True)
class ShotNews:
    """A shot has changed: `change` is "opened", "edits", "model" or "deleted"."""

    shot: str
    change: str
    revision: int | None


@dataclass(frozen=True)
class FramesNews:
    """Frames of a rendering to files that were just written."""

    shot: str
    job: str
    frames: tuple[int, ...]


@dataclass(frozen=True)
class Missed:
    """Some news never came; ask for the state of things."""


News = Union[Connection, JobNews, ShotNews, FramesNews, Missed]


def read_event(kind: str, body: Mapping[str, Any]) -> News | None:
    """The news in an event; None for kinds of a newer daemon, which may be ignored.

    Raises:
        RefusedError: it lacks a field.
    """
    if kind == "job":
        return JobNews(Job.from_wire(take(body, "job", dict)))
    if kind == "shot":
        revision = body.get("revision")
        return ShotNews(
            take(body, "shot", str),
            take(body, "change", str),
            revision if isinstance(revision, int) else None,
        )
    if kind == "frames":
        frames = tuple(take(body, "frames", list))
        return FramesNews(take(body, "shot", str), take(body, "job", str), frames)
    return None
