"""Everything that can go wrong, as one tree of exceptions with stable codes.

InveError
├── CallError                  the call was wrong; nothing was changed        (exit code 2)
│   ├── BadMessage               bad_message       not msgpack, or not a message of this protocol
│   ├── UnknownRequest           unknown_request   a kind of request that the daemon does not have
│   ├── BadField                 bad_field         an unknown field, a wrong type, a value out of range
│   ├── TooLarge                 too_large         a message, list or answer beyond the limits
│   ├── VersionMismatch          version_mismatch  the two sides speak different protocols
│   ├── RequestIdReused          request_id_reused a request id came again with another body
│   ├── BadEndpoint              bad_endpoint      an address that cannot be used
│   ├── PathRefused              path_refused      a path outside the daemon's roots
│   ├── UnknownShot              unknown_shot      no shot of that name
│   ├── ShotExists               shot_exists       the name belongs to other frames
│   ├── NotTrained               not_trained       the shot has no model yet
│   ├── UnknownJob               unknown_job       no job of that id
│   ├── Busy                     busy              it would clash with work that is under way
│   ├── StaleRevision            stale_revision    edits were changed meanwhile
│   ├── NothingToUndo            nothing_to_undo   no older or newer state of the edits
│   ├── MediaError               bad_media         frames, mattes or pictures that cannot be used
│   ├── EditError                bad_edit          an edit stack that cannot be accepted
│   ├── PointError               bad_point         a track query that cannot be answered
│   ├── DeviceError              no_device         the asked-for device is not there
│   └── StoreError               bad_store         a store that is held, remote or too new
└── WorkError                  the work failed                                (exit code 1)
    ├── StorageError             storage           disk full, no permission
    ├── CheckpointError          bad_checkpoint    a stored model that cannot be read
    ├── OutOfMemory              out_of_memory     the worker had not enough memory
    ├── WorkerDied               worker_died       the worker process ended in the middle
    ├── Interrupted              interrupted       the daemon ended before the job did
    ├── Cancelled                cancelled         someone asked for an end
    ├── Unreachable              unreachable       no daemon answers there
    ├── TimedOut                 timed_out         the daemon is there, the answer is not
    └── InternalError            internal          a mistake in the daemon; its log has more

On the wire an error is a map with `code` and `message` and, for some, `details`; `from_wire` turns that
back into the class of the code, so that both sides of the socket raise the same thing.
"""

from __future__ import annotations

from typing import Any, ClassVar, Mapping


class InveError(Exception):
    """Base of all; `code` is stable, the message is for people."""

    code: ClassVar[str] = "internal"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = details

    def to_wire(self) -> dict[str, Any]:
        """Plain data for the wire and for the store."""
        body: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.details:
            body["details"] = self.details
        return body


class CallError(InveError):
    """The call was wrong and changed nothing."""

    code = "bad_call"
    exit_code = 2


class WorkError(InveError):
    """The call was right and the work failed."""

    code = "failed"


class BadMessage(CallError):
    """Not msgpack, or not a message of this protocol."""

    code = "bad_message"


class UnknownRequest(CallError):
    """A kind of request that the daemon does not have."""

    code = "unknown_request"


class BadField(CallError):
    """An unknown field, a wrong type or a value out of range; the message names the field."""

    code = "bad_field"


class TooLarge(CallError):
    """A message, a list or an answer beyond the limits."""

    code = "too_large"


class VersionMismatch(CallError):
    """Client and daemon speak different protocols; `details` has both."""

    code = "version_mismatch"


class RequestIdReused(CallError):
    """A request id came again with another body."""

    code = "request_id_reused"


class BadEndpoint(CallError):
    """An address that is malformed or that must not be used."""

    code = "bad_endpoint"


class PathRefused(CallError):
    """A path outside the daemon's roots, or one that is no ordinary file."""

    code = "path_refused"


class UnknownShot(CallError):
    """No shot of that name."""

    code = "unknown_shot"


class ShotExists(CallError):
    """The name already belongs to a shot of other frames."""

    code = "shot_exists"


class NotTrained(CallError):
    """The shot has no model yet."""

    code = "not_trained"


class UnknownJob(CallError):
    """No job of that id."""

    code = "unknown_job"


class Busy(CallError):
    """The request would clash with work that is under way."""

    code = "busy"


class StaleRevision(CallError):
    """The edits were changed meanwhile; `details["revision"]` is the current revision."""

    code = "stale_revision"


class NothingToUndo(CallError):
    """There is no older (undo) or newer (redo) state of the edits."""

    code = "nothing_to_undo"


class MediaError(CallError):
    """Frames, mattes or pictures that are missing, unreadable or do not fit each other."""

    code = "bad_media"


class EditError(CallError):
    """An edit stack that is malformed or does not fit the shot."""

    code = "bad_edit"


class PointError(CallError):
    """A track query that is malformed or does not fit the shot."""

    code = "bad_point"


class DeviceError(CallError):
    """The asked-for device does not exist on the daemon's machine."""

    code = "no_device"


class StoreError(CallError):
    """A store that another daemon holds, that lies on a network file system, or that is too new."""

    code = "bad_store"


class StorageError(WorkError):
    """Something could not be written: no space, no permission."""

    code = "storage"


class CheckpointError(WorkError):
    """A stored model that is damaged or of an incompatible version."""

    code = "bad_checkpoint"


class OutOfMemory(WorkError):
    """The worker's machine or device had not enough memory."""

    code = "out_of_memory"


class WorkerDied(WorkError):
    """The worker process ended in the middle of the work."""

    code = "worker_died"


class Interrupted(WorkError):
    """The daemon ended before the job did."""

    code = "interrupted"


class Cancelled(WorkError):
    """Someone asked for an end."""

    code = "cancelled"


class Unreachable(WorkError):
    """No daemon answers at the address."""

    code = "unreachable"


class TimedOut(WorkError):
    """The daemon is there, but its answer did not come in time."""

    code = "timed_out"


class InternalError(WorkError):
    """A mistake in the daemon; its log has more."""

    code = "internal"


def _tree(root: type[InveError]) -> dict[str, type[InveError]]:
    found = {} if root is InveError else {root.code: root}
    for child in root.__subclasses__():
        found.update(_tree(child))
    return found


BY_CODE: dict[str, type[InveError]] = _tree(InveError)
"""Every code of the tree and its class."""


def from_wire(body: Mapping[str, Any]) -> InveError:
    """The exception of an error map; an unknown code, of a newer daemon, becomes a WorkError."""
    code, message, details = body.get("code"), body.get("message"), body.get("details", {})
    if not isinstance(details, dict):
        details = {}
    kind = BY_CODE.get(code) if isinstance(code, str) else None
    if kind is None:
        return WorkError(f"{message} (error {code!r}, which this client does not know)")
    error = kind(str(message))
    error.details = {str(key): value for key, value in details.items()}
    return error
