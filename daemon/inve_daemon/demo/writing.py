"""Files that the demo leaves behind: whole or not at all, and with a clear sentence when the disk is full."""

from pathlib import Path

from inve_core.media.files import atomic_output, storage_error


def write_file(path: Path, content: bytes) -> None:
    """Write a file.

    Raises:
        StorageError: if it cannot be written.
    """
    with atomic_output(path) as temporary:
        try:
            temporary.write_bytes(content)
        except OSError as error:
            raise storage_error(path, error.strerror or str(error)) from error
