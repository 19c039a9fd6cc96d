"""The worker seen from the daemon: started when first needed, fed, listened to, mourned and replaced."""

import contextlib
import itertools
import logging
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inve_client.errors import InveError, WorkerDied, from_wire
from inve_daemon.pipe import Message, read_message, write_message

log = logging.getLogger("inve.worker")

WORKER_COMMAND = (sys.executable, "-m", "inve_daemon.worker")


@dataclass(frozen=True)
class Callbacks:
    """What to do with a task's answer: exactly one of `done` and `failed` is called, `news` before it."""

    done: Callable[[Message], None]
    failed: Callable[[InveError], None]
    news: Callable[[Message], None] = lambda message: None


class WorkerSupervisor:
    """One worker process at a time. All methods and callbacks belong to the server's thread.

    Args:
        store: the store's folder.
        device: as asked for on the command line.
        wake: called from other threads when `deliver` has something to do.
        command: what to start instead of WORKER_COMMAND.
        log_path: where the worker's standard error goes; the daemon's own by default.
    """

    def __init__(
        self,
        store: Path,
        device: str,
        wake: Callable[[], None],
        command: Sequence[str] | None = None,
        log_path: Path | None = None,
    ) -> None:
        self._store = store
        self._device = device
        self._wake = wake
        self._command = tuple(WORKER_COMMAND if command is None else command)
        self._log_path = log_path
        self._inbox: queue.SimpleQueue[tuple[subprocess.Popen[bytes], Message]] = queue.SimpleQueue()
        self._outbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._tasks: dict[int, Callbacks] = {}
        self._numbers = itertools.count(1)
        self.state = "not started"
        self.device_name = ""
        # Not known before the worker has said so, some seconds after it is ready.
        self.backend: str | None = None
        self.passed_over: list[str] = []
        self.refusal: InveError | None = None
        self.deaths = 0
        self._stopped = False

    @property
    def pid(self) -> int | None:
        """The worker's process id while it runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start a worker where none runs; it answers `ready` or `refused` later."""
        if self._process is not None:
            return
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        platform: dict[str, Any] = (
            {"creationflags": 0x00000200}  # CREATE_NEW_PROCESS_GROUP
            if sys.platform == "win32"
            else {"start_new_session": True}
        )
        with contextlib.ExitStack() as stack:
            errors = stack.enter_context(open(self._log_path, "ab")) if self._log_path is not None else None
            # A session of its own keeps a terminal's Ctrl-C away: ending the worker is the daemon's decision.
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                **platform,
            )
        self._process = process
        self._outbox = queue.SimpleQueue()
        self.state, self.refusal = "starting", None
        self._outbox.put({"op": "init", "device": self._device, "store": str(self._store)})
        streams = (process, self._outbox)
        self._reader = threading.Thread(target=self._read, args=streams, name="worker-reader", daemon=True)
        self._reader.start()
        threading.Thread(target=self._write, args=streams, name="worker-writer", daemon=True).start()

    def submit(self, op: str, args: Message, callbacks: Callbacks) -> int:
        """Order a task; returns its number."""
        self.start()
        number = next(self._numbers)
        self._tasks[number] = callbacks
        self._outbox.put({"op": op, "task": number, "args": args})
        return number

    def cancel(self, number: int) -> None:
        """Ask for a task's end; its `failed` is called with Cancelled, unless it was done already."""
        self._outbox.put({"op": "cancel", "task": number})

    @property
    def busy(self) -> int:
        """How many tasks are under way."""
        return len(self._tasks)

    def deliver(self) -> None:
        """Call the callbacks of what has arrived."""
        while True:
            try:
                process, message = self._inbox.get_nowait()
            except queue.Empty:
                return
            if process is self._process:
                self._take(message)

    def _take(self, message: Message) -> None:
        event = message.get("event")
        if event == "ready":
            self.state, self.device_name = "ready", str(message["device_name"])
            log.info("the worker is ready on %s", self.device_name)
        elif event == "backend":
            self.backend, self.passed_over = message["backend"], list(message["passed_over"])
            log.info("the backend is %s%s", self.backend, "".join(f"; {one}" for one in self.passed_over))
        elif event == "refused":
            self.refusal = from_wire(message["error"])
            self._lose(self.refusal)
        elif event == "died":
            if self._stopped:
                log.info("the worker has ended")
            else:
                self.deaths += 1
                log.error("the worker ended with %s", message["how"])
            self._lose(
                WorkerDied(
                    f"The worker process ended in the middle of the work ({message['how']}); ask again."
                )
            )
        else:
            self._take_task_event(event, message)

    def _take_task_event(self, event: Any, message: Message) -> None:
        callbacks = self._tasks.get(message["task"])
        if callbacks is None:
            return
        if event == "done":
            del self._tasks[message["task"]]
            callbacks.done(message["result"])
        elif event == "error":
            del self._tasks[message["task"]]
            callbacks.failed(from_wire(message["error"]))
        else:
            callbacks.news(message)

    def _lose(self, error: InveError) -> None:
        self._process = None
        self.state = "not started"
        self.backend, self.passed_over = None, []
        tasks, self._tasks = self._tasks, {}
        for callbacks in tasks.values():
            callbacks.failed(error)

    def stop(self, timeout_s: float) -> None:
        """Ask the worker to save and end; end it the hard way when it takes longer. Deliver afterwards.

        Args:
            timeout_s: how long saving may take.
        """
        process = self._process
        if process is None:
            return
        self._stopped = True
        self._outbox.put({"op": "stop"})
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            log.warning("the worker did not end within %.0f s and is ended", timeout_s)
            process.kill()
            process.wait()
        assert self._reader is not None
        self._reader.join(timeout_s)

    def _read(self, process: subprocess.Popen[bytes], outbox: "queue.SimpleQueue[Message | None]") -> None:
        assert process.stdout is not None
        try:
            while (message := read_message(process.stdout)) is not None:  # type: ignore[arg-type]
                self._inbox.put((process, message))
                self._wake()
        except ValueError as error:
            log.error("the worker sent what is no message: %s", error)
            process.kill()
        code = process.wait()
        process.stdout.close()
        outbox.put(None)
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        self._inbox.put((process, {"event": "died", "how": how}))
        self._wake()

    def _write(self, process: subprocess.Popen[bytes], outbox: "queue.SimpleQueue[Message | None]") -> None:
        assert process.stdin is not None
        # A worker that is gone takes nothing more; the reader has noticed and says so.
        with contextlib.suppress(OSError):
            while (message := outbox.get()) is not None:
                write_message(process.stdin, message)  # type: ignore[arg-type]
            process.stdin.close()
