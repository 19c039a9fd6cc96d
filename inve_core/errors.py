"""What can go wrong in the method, as typed errors with a stable code.

CoreError
├── MediaError        a picture, sequence or matte that cannot be used
├── EditError         an edit stack that cannot be accepted
├── PointError        a track query that cannot be answered
├── DeviceError       the asked-for device is not there
├── CheckpointError   a checkpoint that cannot be read
├── StorageError      a result that could not be written
└── Cancelled         the caller asked for an end

`inve_client.errors` has a class for each of these codes; the daemon maps one to the other at its edge,
so that this package needs to know nothing of the wire.
"""


class CoreError(Exception):
    """Base of every error that inve_core raises on purpose; `code` is stable."""

    code = "core"


class MediaError(CoreError):
    """A picture, a sequence or a matte is missing, unreadable or does not fit the others."""

    code = "bad_media"


class EditError(CoreError):
    """An edit stack is malformed or does not fit the shot."""

    code = "bad_edit"


class PointError(CoreError):
    """A track query is malformed or does not fit the shot."""

    code = "bad_point"


class DeviceError(CoreError):
    """The asked-for device does not exist on this machine."""

    code = "no_device"


class CheckpointError(CoreError):
    """A checkpoint is damaged or was written by an incompatible version."""

    code = "bad_checkpoint"


class StorageError(CoreError):
    """A result could not be written: no space, no permission."""

    code = "storage"


class Cancelled(CoreError):
    """Work ended because the caller asked for it."""

    code = "cancelled"
