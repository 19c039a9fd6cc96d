"""Foreign errors at the daemon's edge: inve_core's, the system's and Python's as `inve_client.errors`."""

import errno

from inve_client.errors import BY_CODE, InternalError, InveError, OutOfMemory, StorageError
from inve_core.errors import CoreError

_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})


def to_client_error(error: BaseException) -> InveError:
    """The client's class for whatever went wrong; InternalError for what nobody foresaw."""
    if isinstance(error, InveError):
        return error
    if isinstance(error, CoreError):
        return BY_CODE.get(error.code, InternalError)(_sentence(str(error)))
    # torch's own class, which only the worker could import.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return OutOfMemory(
            "The worker ran out of memory; use a smaller working size or preset, fewer or smaller frames, "
            "or close other shots."
        )
    if isinstance(error, OSError) and error.errno in _DISK:
        where = error.filename or "A file"
        return StorageError(
            f"{where} could not be written: {error.strerror}; free some space or check permissions."
        )
    return InternalError(
        f"The daemon failed unexpectedly ({type(error).__name__}: {error}); its log has more."
    )


def _sentence(text: str) -> str:
    """With a capital letter, unless it begins with a name in quotes."""
    return text[:1].upper() + text[1:]
