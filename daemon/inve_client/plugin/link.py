"""The main thread's side of the link: requests go to the one I/O thread, what comes back waits to be drained.

    link = Link("ipc:///run/user/1000/inve/daemon.sock", on_news=show)
    link.ask(DescribeShot("plate"), done=print, failed=print)
    link.drain()      # from a timer, or by hand in background mode: calls `on_news`, `done` and `failed`
    link.close(timeout_s=3)

Nothing here waits: `ask` queues, `drain` takes what is there. Everything that can take time, loading ZeroMQ
included, happens on the thread (`link_thread.py`). No host on either side. `messages.py` says how to add a
request.
"""

from __future__ import annotations

import contextlib
import importlib
import queue
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from .messages import Connection, ConnectionState, News, Problem, Request

Result = TypeVar("Result")
Done = Callable[[Any], None]
Failed = Callable[[Problem], None]

DRAIN_S = 0.005
"""How long one drain may go on with calling; the rest waits for the next."""
START_S = 0.01
_NEEDED_NEXT = tuple(
    f"{__package__}.{name}"
    for name in ("steps", "syncing", "document", "editing", "rendering", "polyline", "points")
)
"""What the first stroke needs: the thread loads it, where nobody waits for it."""


@dataclass(frozen=True)
class Asked:
    """A request on its way to the thread, under the id that it keeps however often it is sent."""

    id: str
    request: Request[Any]
    at: float


@dataclass(frozen=True)
class Answered:
    """What has become of a request: a result, or a problem."""

    id: str
    result: Any = None
    problem: Problem | None = None


class Channel:
    """What the two threads share: a queue each way, and a byte that wakes the thread."""

    def __init__(self) -> None:
        self.inbox: queue.SimpleQueue[Asked] = queue.SimpleQueue()
        self.outbox: queue.SimpleQueue[Answered | News] = queue.SimpleQueue()
        self.stopping = threading.Event()
        self.wake_reader, self._wake_writer = socket.socketpair()
        self.wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)

    def wake(self) -> None:
        """Make the thread look at its inbox; from any thread."""
        # Full means that it has been woken and has not looked yet; closed, that it has ended.
        with contextlib.suppress(BlockingIOError, OSError):
            self._wake_writer.send(b"\0")

    def close(self) -> None:
        """Let go of the sockets; the thread does, as its last act."""
        self.wake_reader.close()
        self._wake_writer.close()


class Link:
    """A connection to one daemon that is kept up until `close`.

    Args:
        endpoint: its address, "" for the default daemon's.
        on_news: called by `drain` with each news.
        name: who is asking, for the daemon's log.
        preload: modules of the plugin that the first stroke needs and that know no host, by their full names;
            loaded on the thread.
    """

    def __init__(
        self,
        endpoint: str,
        on_news: Callable[[News], None],
        name: str = "inve_client",
        preload: Sequence[str] = (),
    ) -> None:
        self._on_news = on_news
        self._channel = Channel()
        self._waiting: dict[str, tuple[Done | None, Failed | None]] = {}
        self._closed = False
        # A daemon thread: a host that is torn down without unregistering must not hang on it.
        self._thread = threading.Thread(
            target=_run, args=(self._channel, endpoint, name, tuple(preload)), name="inve link", daemon=True
        )
        self._thread.start()

    def ask(
        self,
        request: Request[Result],
        done: Callable[[Result], None] | None = None,
        failed: Failed | None = None,
        request_id: str | None = None,
    ) -> str:
        """Queue a request and return its id; one of the two is called by a later `drain`, once.

        Requests go out in the order in which they were asked. After `close` neither is called any more. Under
        a `request_id` of its own one may be asked again, and is done once; the last one asked is answered.
        """
        asked = Asked(request_id or uuid.uuid4().hex, request, time.monotonic())
        self._waiting[asked.id] = (done, failed)
        self._channel.inbox.put(asked)
        self._channel.wake()
        return asked.id

    @property
    def waiting(self) -> int:
        """How many requests have no answer yet."""
        return len(self._waiting)

    def drain(self, limit_s: float = DRAIN_S) -> bool:
        """Call what is due, for `limit_s` at most or a single callback's length; True where anything was."""
        end = time.monotonic() + limit_s
        any_came = False
        while not self._closed:
            try:
                message = self._channel.outbox.get_nowait()
            except queue.Empty:
                break
            any_came = True
            self._deliver(message)
            if time.monotonic() >= end:
                break
        return any_came

    def _deliver(self, message: Answered | News) -> None:
        if not isinstance(message, Answered):
            self._on_news(message)
            return
        done, failed = self._waiting.pop(message.id, (None, None))
        if message.problem is None:
            if done is not None:
                done(message.result)
        elif failed is not None:
            failed(message.problem)

    def close(self, timeout_s: float) -> bool:
        """Tell the thread to end and wait for it; False where it has not yet.

        It ends within milliseconds unless it is in a request's `read`, and then after that, by itself.
        """
        self._closed = True
        self._waiting.clear()
        self._channel.stopping.set()
        self._channel.wake()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()


def _run(channel: Channel, endpoint: str, name: str, preload: tuple[str, ...]) -> None:
    try:
        _work(channel, endpoint, name, preload)
    finally:
        channel.close()


def _work(channel: Channel, endpoint: str, name: str, preload: tuple[str, ...]) -> None:
    # Loading ZeroMQ takes tens of milliseconds, which a host's main thread does not have. The pause lets the
    # button that started this end first: Python's lock would be ours for the next 5 ms.
    time.sleep(START_S)
    try:
        from .link_thread import LinkThread

        for module in (*_NEEDED_NEXT, *preload):
            importlib.import_module(module)
    except ImportError as error:
        problem = Problem(
            "plugin",
            f"The plugin's packages must include inve_client, pyzmq and msgpack, got: {error}; install the "
            f"plugin's zip again.",
        )
        channel.outbox.put(Connection(ConnectionState.REFUSED, endpoint, problem=problem))
        while not channel.stopping.is_set():
            _refuse_all(channel, problem)
            channel.stopping.wait(0.1)
        return
    LinkThread(channel, endpoint, name).run()


def _refuse_all(channel: Channel, problem: Problem) -> None:
    with contextlib.suppress(queue.Empty):
        while True:
            channel.outbox.put(Answered(channel.inbox.get_nowait().id, problem=problem))
