"""Which daemon a command talks to: the one it names, the user's running one, or a private one of its own."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inve_client import Client
from inve_client.endpoints import default_endpoint, parse
from inve_client.errors import CallError
from inve_client.transport import someone_listens

HELLO_S = 5.0


@dataclass(frozen=True)
class Target:
    """What a command line says about the daemon; None where it says nothing."""

    connect: str | None = None
    store: Path | None = None
    device: str | None = None


def default_store() -> Path:
    """Where shots are kept unless --store says otherwise."""
    import platformdirs

    return platformdirs.user_data_path("inve", appauthor=False) / "store"


def running_daemon() -> Client | None:
    """A client of the user's default daemon, or None where none runs."""
    endpoint = default_endpoint()
    return Client(endpoint, name="inve-daemon") if someone_listens(endpoint) else None


@contextlib.contextmanager
def daemon_for(target: Target, roots: tuple[str, ...] = ()) -> Iterator[Client]:
    """A client of the daemon that a command line means.

    Args:
        target: the command line's words.
        roots: what a private daemon may read and write: the command line's own paths.

    Raises:
        CallError: the words do not go together.
        Unreachable: no daemon is there that was named.
    """
    if target.connect is not None and (target.store is not None or target.device is not None):
        raise CallError(
            "--connect names a daemon that has its own store and device; leave out --store and --device."
        )
    client = Client(parse(target.connect), name="inve-daemon") if target.connect is not None else None
    if client is None and target.store is None:
        client = running_daemon()
        if client is not None and target.device is not None:
            client.close()
            raise CallError(
                f"The daemon at {client.endpoint} chose its device when it was started; leave out --device, "
                f"or give --store for a private daemon."
            )
    if client is not None:
        with client:
            client.hello(timeout_s=HELLO_S)
            yield client
        return
    from inve_daemon.private import private_daemon

    store = default_store() if target.store is None else target.store.absolute()
    with private_daemon(store, roots=roots, device=target.device or "auto") as private:
        yield private
