"""Pictures handed to a client of the same machine in shared memory, instead of through a pipe and a socket.

A 4K frame without compression has 63 MiB, and each of the copies on its way from the worker through the
daemon to the client would take longer than making it. So the worker writes it as a file in memory, the client
gets its name, maps it and removes it. What nobody fetches is removed here.
"""

import contextlib
import hashlib
import logging
import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from inve_client.sharing import MEMORY, PREFIX

if sys.platform != "win32":
    import fcntl

log = logging.getLogger("inve.server")

KEEP_S = 30.0
"""How long a picture waits for whoever asked for it."""
MAX_WAITING_BYTES = 1 << 30
"""With more than this waiting, further pictures go through the socket."""


class SharedPictures:
    """The folder in memory of one daemon; belongs to the server's thread.

    Args:
        store: the store's folder, which one daemon holds at a time; what a killed one left is cleared away.
        memory: a file system in memory.
    """

    def __init__(self, store: Path, memory: Path = Path(MEMORY)) -> None:
        self._waiting: deque[tuple[float, Path, int]] = deque()
        found = _own_folder(store, memory) if sys.platform == "linux" and memory.is_dir() else None
        self._next_sweep = 0.0
        self._folder: Path | None = None
        self._lock: int | None = None
        if found is not None:
            self._folder, self._lock = found

    def folder(self) -> str | None:
        """Where the worker may put pictures now; None where there is no such place, or it holds enough."""
        waiting_bytes = sum(size for _, _, size in self._waiting)
        if self._folder is None or waiting_bytes > MAX_WAITING_BYTES:
            return None
        return str(self._folder)

    def gave(self, paths: Sequence[str], sizes: Sequence[int]) -> None:
        """These were answered with."""
        until = time.monotonic() + KEEP_S
        self._waiting.extend((until, Path(path), size) for path, size in zip(paths, sizes, strict=True))

    def tick(self) -> None:
        """Remove what nobody has fetched in time, and forget what was fetched."""
        now = time.monotonic()
        kept: deque[tuple[float, Path, int]] = deque()
        for until, path, size in self._waiting:
            if until < now:
                path.unlink(missing_ok=True)
            elif path.exists():
                kept.append((until, path, size))
        self._waiting = kept
        if self._folder is not None and now >= self._next_sweep:
            self._next_sweep = now + KEEP_S
            self._sweep(self._folder)

    def _sweep(self, folder: Path) -> None:
        """Remove what a worker that died in the middle of an answer left behind."""
        waiting = {path for _, path, _ in self._waiting}
        for path in folder.iterdir():
            # A file goes when whoever asked for it has mapped it, and may do so while this looks.
            with contextlib.suppress(FileNotFoundError):
                if path not in waiting and time.time() - path.stat().st_mtime > 2 * KEEP_S:
                    path.unlink()

    def close(self) -> None:
        """Remove everything."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _own_folder(store: Path, memory: Path) -> tuple[Path, int] | None:
    """The daemon's folder, empty, and a descriptor whose lock says that it is in use; None without one."""
    name = hashlib.sha256(os.fsencode(os.path.realpath(store))).hexdigest()[:16]
    folder = memory / f"{PREFIX}{os.getuid()}-{name}"
    try:
        _clear_dead(memory)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        descriptor = _locked(folder)
        if descriptor is None:
            log.warning("pictures go through the socket: %s is not a free folder of this user's own", folder)
            return None
        for left in folder.iterdir():
            left.unlink()
    except OSError as error:
        log.warning("pictures go through the socket: %s cannot be used: %s", folder, error.strerror)
        return None
    return folder, descriptor


def _clear_dead(memory: Path) -> None:
    """Remove the folders of daemons that were killed and whose stores may never be opened again."""
    for folder in memory.glob(f"{PREFIX}{os.getuid()}-*"):
        with contextlib.suppress(OSError):
            descriptor = _locked(folder)
            if descriptor is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(descriptor)


def _locked(folder: Path) -> int | None:
    """A descriptor that holds the folder until it is closed or its process ends; None if it cannot be ours.

    Anyone may make names in shared memory: only a folder of our own, that nobody else can look into, will do.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        facts = os.fstat(descriptor)
        if facts.st_uid == os.getuid() and not facts.st_mode & 0o077:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # It may have been cleared away as a dead one's between its making and its locking.
            if os.path.samestat(facts, folder.lstat()):
                return descriptor
    except (BlockingIOError, FileNotFoundError):
        log.info("%s is in use", folder)
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
