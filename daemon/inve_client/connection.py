"""A client's conversation with a daemon: a request goes out, its reply comes back, whatever happens between.

A request is sent again under the same id until its reply comes or the time is up; the daemon answers a
request id once, so that sending twice does no harm and a restarted daemon goes unnoticed.
"""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any, Callable, Mapping, Optional, Protocol

from . import codec
from .endpoints import Endpoint
from .errors import BadMessage, TimedOut, Unreachable

RESEND_S = 5.0


class Requester(Protocol):
    """What carries frames to a daemon and back; `transport.RequestSocket`, or a fake in tests."""

    def send(self, frames: list[bytes]) -> bool:
        """Send without waiting; False where no daemon is connected."""

    def receive(self, timeout_s: float) -> Optional[list[bytes]]:
        """The next message's frames, or None when none came in time."""

    def close(self) -> None:
        """Let go of the socket."""


class Connection:
    """Requests and replies over one socket; a lock keeps threads apart, one request at a time."""

    def __init__(self, endpoint: Endpoint, open_socket: Callable[[Endpoint], Requester]) -> None:
        self.endpoint = endpoint
        self.session = ""
        self._open_socket = open_socket
        self._socket: Optional[Requester] = None
        self._lock = threading.Lock()

    def request(
        self,
        kind: str,
        fields: Mapping[str, Any],
        *,
        timeout_s: float,
        request_id: Optional[str] = None,
    ) -> codec.Reply:
        """Send a request and wait for its reply.

        Args:
            kind: name of the request (see SPEC.md).
            fields: its fields.
            timeout_s: how long to wait in all.
            request_id: for asking again what was asked before; made here by default.

        Raises:
            InveError: the daemon's answer was an error.
            Unreachable: no daemon was there.
            TimedOut: a daemon was there, its answer was not.
        """
        request_id = request_id or uuid.uuid4().hex
        frames = codec.encode_request(request_id, kind, fields)
        with self._lock:
            reply = self._exchange(frames, request_id, kind, time.monotonic() + timeout_s, timeout_s)
        if reply.error is not None:
            raise reply.error
        self.session = reply.session
        return reply

    def _exchange(
        self, frames: list[bytes], request_id: str, kind: str, deadline: float, timeout_s: float
    ) -> codec.Reply:
        if self._socket is None:
            self._socket = self._open_socket(self.endpoint)
        sent_once = False
        send_again = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= deadline:
                raise self._late(kind, sent_once, timeout_s)
            if now >= send_again:
                sent = self._socket.send(frames)
                sent_once = sent_once or sent
                send_again = now + (RESEND_S if sent else 0.05)
            answer = self._socket.receive(min(send_again, deadline) - now)
            if answer is None:
                continue
            reply = codec.decode_reply(answer)
            # An empty id answers a message that the daemon could not read; only one request is out at a time.
            if reply.request_id == request_id or (reply.request_id == "" and reply.error is not None):
                return reply

    def _late(self, kind: str, sent_once: bool, timeout_s: float) -> Exception:
        if not sent_once:
            return Unreachable(
                f"No daemon answers at {self.endpoint}; start one with `inve-daemon serve` or name another "
                f"with --connect."
            )
        return TimedOut(
            f"The daemon at {self.endpoint} did not answer {kind} within {timeout_s:g} s; it may be busy, "
            f"try again or look at `inve-daemon status`."
        )

    def close(self) -> None:
        """Let go of the socket; a later request opens a new one."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None


def expect(result: Mapping[str, Any], key: str, kind: type) -> Any:
    """A field of a result, which must be of a type.

    Raises:
        BadMessage: it is missing or of another type.
    """
    value = result.get(key)
    if not isinstance(value, kind):
        raise BadMessage(
            f"The daemon's answer must have `{key}` as {kind.__name__}, got {type(value).__name__}."
        )
    return value
