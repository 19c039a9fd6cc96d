"""Tasks as generators, taken in turns: short ones first, long ones one step each.

A task yields where others may go on. A long task that is inside a call of the learning side for a while gives
the short ones their turn through `breathe`, which that call runs as its progress callback.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from inve_client.errors import Cancelled, Interrupted
from inve_daemon.pipe import Message

Steps = Generator[None, None, Message]
"""A task's body; what it returns is the answer."""

PROGRESS_EVERY_S = 0.1


@dataclass
class Task:
    """One task: `number` names it between daemon and worker."""

    number: int
    send: Callable[[Message], None]
    long: bool
    cancelled: bool = False
    _reported: float = field(default=0.0, repr=False)
    _stage: str = field(default="", repr=False)

    def tell(self, event: str, **facts: Any) -> None:
        """Send news of the task to the daemon."""
        self.send({"task": self.number, "event": event, **facts})

    def report(self, stage: str, **facts: Any) -> None:
        """Send progress, but not more often than anyone can look at; a new stage goes out at once."""
        now = time.monotonic()
        if stage != self._stage or now - self._reported >= PROGRESS_EVERY_S:
            self._reported, self._stage = now, stage
            self.tell("progress", stage=stage, **facts)


@dataclass
class Running:
    """A task and its generator."""

    task: Task
    steps: Steps


class Scheduler:
    """Runs tasks in one thread.

    Args:
        receive: takes the daemon's messages in; blocks for the next one if told to.
        fail: tells the daemon of a task's error; may end the process.
    """

    def __init__(self, receive: Callable[[bool], None], fail: Callable[[Task, BaseException], None]) -> None:
        self._receive = receive
        self._fail = fail
        self._short: deque[Running] = deque()
        self._long: list[Running] = []
        self._thread = threading.get_ident()
        self._breathing = False
        self.stopping = False

    @property
    def crowded(self) -> bool:
        """Whether another long task could use the time that one spends waiting."""
        return len(self._long) > 1

    def add(self, task: Task, steps: Steps) -> None:
        """Take a task on."""
        if task.long:
            self._long.append(Running(task, steps))
        else:
            self._short.append(Running(task, steps))

    def cancel(self, number: int) -> None:
        """End a task at its next yield."""
        for running in (*self._short, *self._long):
            if running.task.number == number:
                running.task.cancelled = True

    def run(self) -> None:
        """Until told to stop, and every task that saves its state then has done so."""
        while not (self.stopping and not self._long):
            self._receive(not self._short and not self._long)
            self._run_short()
            for running in list(self._long):
                self._run_short()
                if not self._step(running):
                    self._long.remove(running)

    def breathe(self, task: Task) -> None:
        """Give short tasks their turn from inside a long one.

        Raises:
            Cancelled: the long one is to end.
            Interrupted: the worker is to end.
        """
        if threading.get_ident() == self._thread and not self._breathing:
            self._breathing = True
            try:
                self._receive(False)
                self._run_short()
            finally:
                self._breathing = False
        self.check(task)

    def check(self, task: Task) -> None:
        """Raise if a task is to end: Cancelled, or Interrupted where the worker is to end."""
        if task.cancelled:
            raise Cancelled("The job was cancelled.")
        if self.stopping:
            raise Interrupted("The daemon ended before the job did.")

    def _run_short(self) -> None:
        while self._short:
            running = self._short.popleft()
            # Between two steps of a short task the daemon's news (a cancel) is taken in.
            if self._step(running):
                self._short.append(running)
            self._receive(False)

    def _step(self, running: Running) -> bool:
        """One step of a task; False once it has ended."""
        task = running.task
        try:
            if task.cancelled:
                running.steps.close()
                raise Cancelled("The job was cancelled.")
            next(running.steps)
        except StopIteration as ended:
            task.tell("done", result=ended.value)
        # Whatever goes wrong in one task is answered to whoever asked, and the others go on.
        except Exception as error:  # noqa: BLE001
            self._fail(task, error)
        else:
            return True
        return False
