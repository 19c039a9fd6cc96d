"""A private daemon: the whole server in a thread of the command that needs it, ending with the command."""

import contextlib
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from inve_client import Client
from inve_client.endpoints import Endpoint
from inve_client.errors import StorageError, TimedOut
from inve_daemon.server import Server, ServerSettings

START_S = 30.0
LOG_NAME = "daemon.log"


@contextlib.contextmanager
def private_daemon(
    store: Path,
    *,
    roots: tuple[str, ...],
    device: str,
) -> Iterator[Client]:
    """A client of a daemon of its own.

    Args:
        store: the store's folder.
        roots: what it may read and write, from the command's own arguments.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        StoreError: the store cannot be had.
    """
    with contextlib.ExitStack() as ends:
        bind, events = _addresses(ends)
        try:
            store.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"The store {store} cannot be made: {error.strerror}; choose another --store."
            ) from error
        server = Server(
            ServerSettings(
                bind=bind,
                events=events,
                store=store,
                roots=roots,
                device=device,
                private=True,
                worker_log=store / LOG_NAME,
            )
        )
        ends.enter_context(_logging_to(store / LOG_NAME))
        thread = _Thread(server)
        thread.start()
        thread.opened.wait(START_S)
        if thread.failure is not None:
            raise thread.failure
        if not thread.opened.is_set():
            raise TimedOut(f"The private daemon did not start within {START_S:.0f} s; try again.")
        try:
            with Client(server.endpoint, name="inve-daemon") as client:
                yield client
        finally:
            server.request_stop()
            thread.join()
        if thread.failure is not None:
            raise thread.failure


class _Thread(threading.Thread):
    """Opens and runs a server; the store's connection belongs to this thread."""

    def __init__(self, server: Server) -> None:
        super().__init__(name="private-daemon", daemon=True)
        self._server = server
        self.opened = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            self._server.open()
            self.opened.set()
            self._server.run()
        # It is raised again in the thread that waits for the server.
        except BaseException as error:  # noqa: BLE001
            self.failure = error
        finally:
            self.opened.set()


@contextlib.contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """The daemon's log goes to a file: the terminal belongs to the command."""
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logger = logging.getLogger("inve")
    level, spreads = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = spreads
        handler.close()


def _addresses(ends: contextlib.ExitStack) -> tuple[Endpoint, Endpoint]:
    if sys.platform == "win32":
        return Endpoint("tcp", host="127.0.0.1"), Endpoint("tcp", host="127.0.0.1")
    folder = ends.enter_context(tempfile.TemporaryDirectory(prefix="inve-", ignore_cleanup_errors=True))
    os.chmod(folder, 0o700)
    return Endpoint("ipc", path=f"{folder}/r.sock"), Endpoint("ipc", path=f"{folder}/e.sock")
