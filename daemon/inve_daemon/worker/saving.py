"""Checkpoints written by a thread of their own, so that learning does not wait for the disk."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inve_daemon.store.files import ContentFiles

if TYPE_CHECKING:
    from inve_core.checkpoint import Snapshot


@dataclass(frozen=True)
class Saved:
    """A checkpoint in the store: its address, and the trainer's report at its time."""

    address: str
    report: dict[str, Any]


class Saving:
    """Writes one snapshot at a time.

    Args:
        files: the store's files.
    """

    def __init__(self, files: ContentFiles) -> None:
        self._files = files
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="saving")
        self._under_way: Future[Saved] | None = None

    @property
    def busy(self) -> bool:
        """Whether a snapshot is being written, or was and nobody has asked for it yet."""
        return self._under_way is not None

    def begin(self, snapshot: "Snapshot") -> None:
        """Write a snapshot. Not while `busy`."""
        self._under_way = self._thread.submit(write, self._files, snapshot)

    def finished(self, *, wait: bool = False) -> Saved | None:
        """What has been written since this was last asked, if anything.

        Args:
            wait: for what is being written.

        Raises:
            StorageError: it could not be written; of inve_client or of inve_core.
        """
        under_way = self._under_way
        if under_way is None or not (wait or under_way.done()):
            return None
        self._under_way = None
        return under_way.result()

    def close(self) -> None:
        """End the thread once it has written what it is writing; what nobody asked for, a sweep drops."""
        self._thread.shutdown()


def write(files: ContentFiles, snapshot: "Snapshot") -> Saved:
    """Write a snapshot into the store, at once."""
    folder = files.new_folder()
    snapshot.write(folder)
    return Saved(files.adopt_folder(folder), snapshot.report)
