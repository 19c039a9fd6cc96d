"""A real daemon of the demo's own: `inve-daemon serve` in a process, on a socket that nobody else finds."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from inve_client import Client
from inve_client.errors import CallError, InveError, TimedOut, Unreachable, WorkError

START_S = 60.0
STOP_S = 30.0


@contextmanager
def serving(store: Path, roots: Sequence[str], device: str, log: Path) -> Iterator[Client]:
    """Run a daemon for the length of the block and give a client that is connected to it.

    Args:
        store: the daemon's store.
        roots: the folders that it may use.
        device: where it computes.
        log: where its output goes.

    Raises:
        InveError: it did not start; the message is the daemon's own.
    """
    with (
        tempfile.TemporaryDirectory(prefix="inve-demo-") as folder,
        log.open("w", encoding="utf-8") as output,
    ):
        endpoint = f"ipc://{folder}/daemon.sock"
        command = [sys.executable, "-m", "inve_daemon", "serve", "--bind", endpoint, "--store", str(store)]
        for root in roots:
            command += ["--root", root]
        process = subprocess.Popen([*command, "--device", device], stdout=output, stderr=subprocess.STDOUT)
        try:
            with Client(endpoint, name="inve-daemon demo") as client:
                _wait_until_ready(client, process, log)
                yield client
        finally:
            _stop(process)


def _wait_until_ready(client: Client, process: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            client.hello(timeout_s=1.0)
            return
        except (TimedOut, Unreachable):
            if process.poll() is not None:
                raise _startup_error(process.returncode, log) from None
            if time.monotonic() > end:
                raise WorkError(
                    f"The demo's daemon did not answer within {START_S:g} s; its log is {log}."
                ) from None
            # A socket that does not exist yet is refused at once; ask again in a moment.
            time.sleep(0.05)


def _startup_error(code: int, log: Path) -> InveError:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    said = next((line for line in reversed(lines) if line), f"it ended with code {code}")
    kind = CallError if code == 2 else WorkError
    return kind(f"The demo's daemon did not start: {said} (its log: {log})")


def _stop(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
