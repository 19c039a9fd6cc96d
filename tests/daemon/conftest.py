"""A clip of small pictures, and daemons over it: in a thread, or as a process that can be killed."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Tests are imported by path, so what they share is made importable here.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from daemon_fakes import WORKER_COMMAND
from daemon_support import Clip, Daemon, write_clip

from inve_client import Client
from inve_client.endpoints import Endpoint
from inve_daemon.server import Server, ServerSettings


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    return write_clip(tmp_path / "clip")


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A short folder for sockets: their paths have 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="it-") as folder:
        yield Path(folder)


@pytest.fixture
def served(tmp_path: Path, sockets: Path) -> Iterator[Callable[..., Client]]:
    """Starts a server in a thread, with the fake worker, and gives a client of it."""
    with contextlib.ExitStack() as ends:

        def start(
            *, private: bool = False, roots: tuple[str, ...] | None = None, store: str = "store"
        ) -> Client:
            bind = Endpoint("ipc", path=str(sockets / f"{store}.sock"))
            settings = ServerSettings(
                bind=bind,
                events=bind.events(),
                store=tmp_path / store,
                roots=(str(tmp_path),) if roots is None else roots,
                device="cpu",
                private=private,
                worker_command=WORKER_COMMAND,
            )
            server = Server(settings)
            opened = threading.Event()

            def run() -> None:
                server.open()
                opened.set()
                server.run()

            thread = threading.Thread(target=run, daemon=True)
            thread.start()
            assert opened.wait(20)
            client = Client(bind)

            def end() -> None:
                client.close()
                server.request_stop()
                thread.join(30)
                assert not thread.is_alive()

            ends.callback(end)
            return client

        yield start


@pytest.fixture
def client(served: Callable[..., Client]) -> Client:
    """A client of a serving daemon with the fake worker."""
    return served()


@pytest.fixture
def daemon(tmp_path: Path, sockets: Path) -> Iterator[Daemon]:
    one = Daemon(sockets, tmp_path / "store", tmp_path)
    yield one
    if one.process is not None and one.process.poll() is None:
        one.end()
