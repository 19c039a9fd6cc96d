"""`inve-daemon serve`: a daemon in the foreground, until a signal ends it."""

import logging
import os
import signal
import sys
from pathlib import Path

from inve_client.endpoints import default_endpoint, parse
from inve_client.errors import CallError
from inve_daemon.connecting import default_store
from inve_daemon.server import Server, ServerSettings

INTERRUPTED_EXIT = 130

log = logging.getLogger("inve.server")


def serve(
    bind: str | None, events: str | None, store: Path | None, roots: tuple[Path, ...], device: str
) -> int:
    """Serve until SIGTERM (exit code 0) or Ctrl-C (130).

    Raises:
        InveError: an address or the store cannot be had, or the device is not there.
    """
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stderr
    )
    endpoint = default_endpoint(create=True) if bind is None else parse(bind)
    for root in roots:
        if not root.is_dir():
            raise CallError(f"--root {root} must be an existing folder.")
    server = Server(
        ServerSettings(
            bind=endpoint,
            events=endpoint.events() if events is None else parse(events),
            store=default_store() if store is None else store.absolute(),
            roots=tuple(os.fspath(root) for root in roots),
            device=device,
        )
    )
    received: list[int] = []

    def end(number: int, _: object) -> None:
        received.append(number)
        server.request_stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    server.open()
    log.info("listening at %s, store %s", server.endpoint, server.settings.store)
    if not roots:
        log.warning(
            "no --root was given, so that no client can open pictures; give the folders of your plates"
        )
    server.run()
    return INTERRUPTED_EXIT if signal.SIGINT in received else 0
