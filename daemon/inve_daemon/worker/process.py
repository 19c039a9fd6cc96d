"""The worker process: its pipes, its loop, and how what goes wrong in a task reaches the daemon."""

import contextlib
import gc
import logging
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from inve_client.errors import InternalError, OutOfMemory
from inve_core.errors import CoreError
from inve_daemon.mapping import to_client_error
from inve_daemon.pipe import Message, Sender, read_message
from inve_daemon.store.files import ContentFiles
from inve_daemon.worker.core import InveCore
from inve_daemon.worker.scheduler import Scheduler, Task
from inve_daemon.worker.tasks import Tasks, TrainingPace

log = logging.getLogger("inve.worker")

BROKEN_DEVICE_EXIT = 70
"""Exit code after an error that leaves the device unusable for this process."""


def run_worker(make_core: Callable[[], InveCore], pace: TrainingPace | None = None) -> None:
    """Serve the daemon on standard input and output until it says stop or goes away.

    Args:
        make_core: makes the learning side.
        pace: how often training is saved.
    """
    incoming, outgoing = take_over_streams()
    # Ctrl-C on a terminal reaches this process too, but ending is the daemon's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s worker %(levelname)s %(message)s", stream=sys.stderr
    )
    Worker(make_core(), incoming, Sender(outgoing), pace or TrainingPace()).run()
    outgoing.close()
    logging.shutdown()
    # Everything is saved; taking torch and the picture libraries apart in order would only take time.
    os._exit(0)


def take_over_streams() -> tuple[BinaryIO, BinaryIO]:
    """Move the pipes away from descriptors 0 and 1, where a library's print would end up between messages."""
    incoming = os.fdopen(os.dup(0), "rb")
    outgoing = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return incoming, outgoing


class Worker:
    """One worker: reads orders, runs tasks, answers.

    Args:
        core: the learning side.
        incoming: orders.
        sender: answers.
        pace: how often training is saved.
    """

    def __init__(self, core: InveCore, incoming: BinaryIO, sender: Sender, pace: TrainingPace) -> None:
        self._core = core
        self._incoming = incoming
        self._sender = sender
        self._pace = pace
        self._orders: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._scheduler = Scheduler(self._receive, self._fail)
        self._tasks: Tasks | None = None

    def run(self) -> None:
        """Until the daemon says stop."""
        first = read_message(self._incoming)
        if first is None:
            return
        try:
            device, device_name = self._core.device(str(first["device"]))
        except CoreError as error:
            self._sender.send({"event": "refused", "error": to_client_error(error).to_wire()})
            return
        files = ContentFiles(Path(str(first["store"])))
        self._tasks = Tasks(self._core, files, device, self._scheduler, self._pace)
        self._sender.send({"event": "ready", "device": device, "device_name": device_name})
        threading.Thread(target=self._read_orders, name="orders", daemon=True).start()
        # Beside the first clip's decoding, which does not need it.
        threading.Thread(target=self._warm_up, args=(device,), name="warm-up", daemon=True).start()
        self._core.import_all()
        # torch and its like are 190,000 objects, which the garbage collector went through in 55 ms now and
        # then, in the middle of someone's stroke. They stay for ever and need no looking at.
        gc.collect()
        gc.freeze()
        self._scheduler.run()

    def _warm_up(self, device: str) -> None:
        """Have the backend ready before work needs it, and tell the daemon which it is."""
        name: str | None = None
        try:
            name, passed_over = self._core.backend(device)
        # Whatever it is, the first task that needs the device meets it again and answers with it.
        except Exception as error:  # noqa: BLE001
            log.error("the backend could not be chosen: %s", "".join(traceback.format_exception(error)))
            passed_over = [to_client_error(error).message]
        # As in `run`, for what came since, less what was of use to the warming up alone.
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        # A daemon that is gone is noticed where its orders are read.
        with contextlib.suppress(OSError):
            self._sender.send({"event": "backend", "backend": name, "passed_over": passed_over})

    def _read_orders(self) -> None:
        while True:
            order = read_message(self._incoming)
            if order is None:
                # The daemon is gone without a word: nobody will read an answer, and a new daemon may come.
                os._exit(0)
            self._orders.put(order)

    def _receive(self, wait: bool) -> None:
        """Take in what the daemon has ordered; with `wait`, at least one order."""
        while True:
            try:
                order = self._orders.get(block=wait)
            except queue.Empty:
                return
            wait = False
            self._take(order)

    def _take(self, order: Message) -> None:
        if order["op"] == "stop":
            self._scheduler.stopping = True
        elif order["op"] == "cancel":
            self._scheduler.cancel(int(order["task"]))
        else:
            assert self._tasks is not None
            task = Task(int(order["task"]), self._sender.send, long=order["op"] in self._tasks.LONG)
            self._scheduler.add(task, self._tasks.start(order["op"], task, order["args"]))

    def _fail(self, task: Task, error: BaseException) -> None:
        answer = to_client_error(error)
        if isinstance(answer, InternalError):
            log.error("task %d: %s", task.number, "".join(traceback.format_exception(error)))
        task.tell("error", error=answer.to_wire())
        if isinstance(answer, OutOfMemory):
            # The traceback holds the tensors of every frame that it went through.
            error.__traceback__ = None
            assert self._tasks is not None
            self._tasks.forget_models()
            gc.collect()
        elif _device_is_broken(error):
            log.error("the device is unusable for this process, which ends; the daemon starts another")
            os._exit(BROKEN_DEVICE_EXIT)


def _device_is_broken(error: BaseException) -> bool:
    """CUDA errors other than running out of memory stay until the process ends."""
    name: Any = type(error).__name__
    return name == "AcceleratorError" or (isinstance(error, RuntimeError) and "CUDA error" in str(error))
