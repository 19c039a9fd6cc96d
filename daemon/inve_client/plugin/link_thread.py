"""The I/O thread: owns the sockets, keeps the connection up, has several requests out at once. No host here.

`inve_client.Client` sends one request and waits for its answer; an artist's *Cancel* cannot wait
behind a rendering. So this uses what that client is made of (codec, sockets) and matches answers by their
ids.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import queue
import time
import traceback
import uuid
from typing import Any

from inve_client import codec, endpoints, transport
from inve_client.errors import BadMessage, InveError, TimedOut, Unreachable, VersionMismatch
from inve_client.version import PROTOCOL, VERSION
from inve_client.watching import EventStream

from .link import Answered, Asked, Channel
from .messages import (
    LOCAL,
    AskInstead,
    Connection,
    ConnectionState,
    Missed,
    Problem,
    RefusedError,
    read_event,
)

_log = logging.getLogger("inve")

RESEND_S = 5.0
HEARTBEAT_S = 1.0
"""How long a quiet daemon is believed to be there before it is asked."""
SILENT_S = 10.0
"""How long it may leave that unanswered: hello is answered beside all work, but a network may be slow."""
RETRY_S = 0.25
REFUSED_RETRY_S = 1.0
GONE_S = 0.5
"""How long a socket may take no message before its daemon is taken for gone."""
FIRST_PATIENCE_S = 3.0
"""How long a request waits for a daemon that was never there,"""
LOST_PATIENCE_S = 30.0
"""and for one that was, as it may be restarting."""
MOST_OUT = 8
"""Requests, other than control, that are out at once."""
LONGEST_WAIT_S = 0.5


@dataclasses.dataclass
class _Pending:
    asked: Asked
    answer_to: str
    frames: list[bytes]
    deadline: float
    send_at: float = 0.0
    sent_once: bool = False
    is_out: bool = False


class LinkThread:
    """All that the thread does; made on it, and used nowhere else."""

    def __init__(self, channel: Channel, endpoint: str, name: str) -> None:
        self._channel = channel
        self._typed_endpoint, self._name = endpoint, name
        self._endpoint: endpoints.Endpoint | None = None
        self._requests: transport.RequestSocket | None = None
        self._events: EventStream | None = None
        self._events_socket: transport.EventSocket | None = None
        self._pending: dict[str, _Pending] = {}
        self._told = Connection(ConnectionState.OFF, endpoint)
        self._was_connected = False
        self._left_at = time.monotonic()
        self._hello_id = ""
        self._hello_at = 0.0
        self._heard_at = 0.0
        self._refused_since: float | None = None

    def run(self) -> None:
        """Work until the channel is stopping."""
        self._tell(ConnectionState.CONNECTING)
        try:
            while not self._channel.stopping.is_set():
                try:
                    self._turn()
                except InveError as error:
                    # A bad address, a socket of someone else's, a daemon that cannot be understood.
                    self._close_sockets()
                    self._leave(ConnectionState.REFUSED, _problem(error))
                    self._fail_impatient(time.monotonic())
                    self._channel.stopping.wait(REFUSED_RETRY_S)
        except Exception:  # noqa: BLE001 - the thread's last frame: what ends it must reach the panel
            self._break(traceback.format_exc())
        finally:
            self._close_sockets()

    def _turn(self) -> None:
        self._take_new()
        if self._requests is None:
            self._open()
        now = time.monotonic()
        self._keep_up(now)
        if self._told.state is ConnectionState.CONNECTED:
            self._send_due(now)
        self._fail_impatient(now)
        ends: list[Any] = [self._requests]
        if self._events_socket is not None:
            ends.append(self._events_socket)
        transport.wait_for_any(ends, self._channel.wake_reader, self._idle_s(now))
        self._receive_replies()
        self._receive_events()

    # Coming in from the main thread

    def _take_new(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._channel.wake_reader.recv(4096):
                pass
        with contextlib.suppress(queue.Empty):
            while True:
                asked = self._channel.inbox.get_nowait()
                self._accept(asked, asked.id)

    def _accept(self, asked: Asked, answer_to: str) -> None:
        request = asked.request
        if request.kind == LOCAL:
            self._pending[asked.id] = _Pending(asked, answer_to, [], asked.at + request.timeout_s)
            self._read(asked.id, codec.Reply(asked.id, "", {}))
            return
        try:
            frames = codec.encode_request(asked.id, request.kind, request.fields())
        except InveError as error:
            self._give(answer_to, _problem(error))
        except (TypeError, ValueError, OverflowError) as error:
            self._give(
                answer_to, Problem("plugin", f"The request {request.kind} cannot be encoded: {error}.")
            )
        else:
            self._pending[asked.id] = _Pending(asked, answer_to, frames, asked.at + request.timeout_s)

    # The connection

    def _open(self) -> None:
        text = self._typed_endpoint.strip()
        self._endpoint = endpoints.parse(text) if text else endpoints.default_endpoint()
        self._requests = transport.RequestSocket(self._endpoint)
        self._hello_id, self._hello_at = "", 0.0
        self._refused_since = None

    def _keep_up(self, now: float) -> None:
        """Say hello where the daemon has been quiet, and notice when it stays so."""
        connected = self._told.state is ConnectionState.CONNECTED
        if connected and self._hello_id and now - self._heard_at > SILENT_S:
            self._leave(ConnectionState.LOST, self._unreachable("has not answered for a while"))
        elif connected and self._refused_since is not None and now - self._refused_since > GONE_S:
            self._leave(ConnectionState.LOST, self._unreachable("has gone"))
        quiet = not connected or now - self._heard_at >= HEARTBEAT_S
        if quiet and now >= self._hello_at:
            self._hello_id = self._hello_id or uuid.uuid4().hex
            fields = {"client": self._name, "version": VERSION, "protocol": PROTOCOL}
            sent = self._send(codec.encode_request(self._hello_id, "hello", fields), now)
            self._hello_at = now + (RESEND_S if sent else RETRY_S)
        if self._told.state is ConnectionState.CONNECTING and now - self._left_at > FIRST_PATIENCE_S:
            self._leave(ConnectionState.LOST, self._unreachable("does not answer"))

    def _unreachable(self, how: str) -> Problem:
        return Problem(
            Unreachable.code, f"The daemon at {self._endpoint} {how}; start it with `inve-daemon serve`."
        )

    def _welcome(self, reply: codec.Reply) -> None:
        self._hello_id, self._hello_at = "", 0.0
        said = reply.result
        restarted = reply.session != self._told.daemon_session
        back = self._told.state is not ConnectionState.CONNECTED
        if not (back or restarted):
            return
        address = said.get("events")
        if not isinstance(address, str):
            raise BadMessage("The daemon's hello must tell its `events` address; install the same release.")
        self._close_events()
        self._events_socket = transport.EventSocket(endpoints.parse(address))
        self._events = EventStream(self._events_socket)
        for pending in self._pending.values():
            pending.send_at, pending.is_out = 0.0, False
        self._was_connected = True
        self._tell(
            ConnectionState.CONNECTED,
            version=str(said.get("version", "")),
            device=str(said.get("device", "")),
            daemon_session=reply.session,
        )

    def _leave(self, state: ConnectionState, problem: Problem) -> None:
        if self._told.state is ConnectionState.CONNECTED:
            self._left_at = time.monotonic()
        self._hello_id, self._hello_at, self._refused_since = "", 0.0, None
        self._tell(state, problem)

    def _tell(self, state: ConnectionState, problem: Problem | None = None, **facts: str) -> None:
        endpoint = str(self._endpoint or self._typed_endpoint)
        told = dataclasses.replace(self._told, state=state, endpoint=endpoint, problem=problem, **facts)
        if told != self._told:
            self._told = told
            self._channel.outbox.put(told)

    # Going out

    def _send(self, frames: list[bytes], now: float) -> bool:
        assert self._requests is not None
        if self._requests.send(frames):
            self._refused_since = None
            return True
        if self._refused_since is None:
            self._refused_since = now
        return False

    def _send_due(self, now: float) -> None:
        out = sum(pending.is_out for pending in self._pending.values())
        for pending in self._pending.values():
            control = pending.asked.request.control
            if now < pending.send_at or (not pending.is_out and not control and out >= MOST_OUT):
                continue
            if not self._send(pending.frames, now):
                # The others would overtake it.
                pending.send_at = now + RETRY_S / 5
                return
            out += not (pending.is_out or control)
            pending.is_out = pending.sent_once = True
            pending.send_at = now + RESEND_S

    def _fail_impatient(self, now: float) -> None:
        connected = self._told.state is ConnectionState.CONNECTED
        refused = self._told.state is ConnectionState.REFUSED
        patience_s = LOST_PATIENCE_S if self._was_connected else FIRST_PATIENCE_S
        for key, pending in list(self._pending.items()):
            kind = pending.asked.request.kind
            if now >= pending.deadline:
                late = f"The daemon at {self._endpoint} did not answer {kind} in time; try again."
                code = TimedOut.code if pending.sent_once else Unreachable.code
                self._answer(key, Problem(code, late))
            elif refused or (not connected and now - max(pending.asked.at, self._left_at) > patience_s):
                self._answer(key, self._told.problem or self._unreachable("does not answer"))

    def _idle_s(self, now: float) -> float:
        due = [self._hello_at - now] if self._told.state is not ConnectionState.CONNECTED else []
        due += [pending.send_at - now for pending in self._pending.values() if pending.send_at > now]
        return max(0.0, min([LONGEST_WAIT_S, *due]))

    # Coming in from the daemon

    def _receive_replies(self) -> None:
        assert self._requests is not None
        while (frames := self._requests.receive(0)) is not None:
            self._heard_at = time.monotonic()
            try:
                reply = codec.decode_reply(frames)
            except VersionMismatch:
                raise
            except BadMessage as error:
                self._answer_all_out(_problem(error))
                continue
            if reply.request_id == self._hello_id and self._hello_id:
                if reply.error is not None:
                    raise reply.error
                self._welcome(reply)
            elif reply.request_id in self._pending:
                self._finish(reply)
            elif not reply.request_id and reply.error is not None:
                # The daemon could not read one of them, and cannot say which.
                self._answer_all_out(_problem(reply.error))

    def _finish(self, reply: codec.Reply) -> None:
        if reply.error is not None:
            self._answer(reply.request_id, _problem(reply.error))
            return
        self._read(reply.request_id, reply)

    def _read(self, key: str, reply: codec.Reply) -> None:
        """Make a request's result of its answer, whatever may go wrong in that."""
        request = self._pending[key].asked.request
        try:
            result = request.read(reply)
        except AskInstead as turn:
            # Another id on the wire, as it is another request; its answer goes to who asked the first one.
            first = self._pending.pop(key)
            asked = Asked(uuid.uuid4().hex, turn.request, time.monotonic())
            self._accept(asked, first.answer_to)
        except RefusedError as error:
            self._answer(key, error.problem)
        except InveError as error:
            self._answer(key, _problem(error))
        except OSError as error:
            message = f"The answer to {request.kind} could not be written: {error}; see to the cache folder."
            self._answer(key, Problem("storage", message))
        except Exception:  # noqa: BLE001 - a mistake in one request must not end the thread
            self._answer(key, _mistake(request.kind, traceback.format_exc()))
        else:
            self._answer(key, None, result)

    def _receive_events(self) -> None:
        if self._events is None:
            return
        while True:
            try:
                event = self._events.next(0)
            except BadMessage:
                # What it said is not known; the state of things can be asked for.
                self._channel.outbox.put(Missed())
                continue
            if event is None:
                return
            self._heard_at = time.monotonic()
            if self._events.missed:
                self._events.missed = False
                self._channel.outbox.put(Missed())
            try:
                news = read_event(event.kind, event.body)
            except RefusedError:
                news = Missed()
            if news is not None:
                self._channel.outbox.put(news)

    # Ends

    def _answer(self, key: str, problem: Problem | None, result: Any = None) -> None:
        self._give(self._pending.pop(key).answer_to, problem, result)

    def _give(self, answer_to: str, problem: Problem | None, result: Any = None) -> None:
        self._channel.outbox.put(Answered(answer_to, result, problem))

    def _answer_all_out(self, problem: Problem) -> None:
        for key, pending in list(self._pending.items()):
            if pending.is_out:
                self._answer(key, problem)

    def _break(self, trace: str) -> None:
        problem = _mistake("the link", trace)
        self._tell(ConnectionState.REFUSED, problem)
        for key in list(self._pending):
            self._answer(key, problem)

    def _close_events(self) -> None:
        if self._events_socket is not None:
            self._events_socket.close()
        self._events = self._events_socket = None

    def _close_sockets(self) -> None:
        self._close_events()
        if self._requests is not None:
            self._requests.close()
            self._requests = None


def _problem(error: InveError) -> Problem:
    return Problem(error.code, error.message, dict(error.details))


def _mistake(where: str, trace: str) -> Problem:
    last = trace.strip().splitlines()[-1]
    _log.error("a mistake in %s:\n%s", where, trace)
    return Problem(
        "plugin", f"The plugin made a mistake in {where}: {last}; the console has more, please report it."
    )
