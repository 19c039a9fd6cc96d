"""The client's sockets, and the only file of the client that knows ZeroMQ."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from typing import Optional, Sequence

import zmq

from . import codec
from .endpoints import Endpoint
from .errors import BadEndpoint, Unreachable

HEARTBEAT_MS = 2_000
HEARTBEAT_TIMEOUT_MS = 10_000
HANDSHAKE_MS = 5_000


_contexts: dict[int, zmq.Context[zmq.Socket[bytes]]] = {}
_contexts_lock = threading.Lock()


def shared_context() -> zmq.Context[zmq.Socket[bytes]]:
    """The process's ZeroMQ context, never ended.

    Were it the client's own, a client that is forgotten without `close` could hang the process: Python may
    finalise a context before its sockets, and ending it then waits for them for ever.
    """
    with _contexts_lock:
        # A forked child must not use its parent's.
        if os.getpid() not in _contexts:
            _contexts[os.getpid()] = zmq.Context()
        return _contexts[os.getpid()]


def set_common_options(sock: zmq.Socket[bytes], endpoint: Endpoint) -> None:
    """What every socket of the bridge has in common, on either side: nothing waits or grows for ever."""
    sock.set(zmq.LINGER, 0)
    sock.set(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    sock.set(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
    sock.set(zmq.HEARTBEAT_TTL, HEARTBEAT_TIMEOUT_MS)
    sock.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    if endpoint.ipv6:
        sock.set(zmq.IPV6, 1)


def _connect(sock: zmq.Socket[bytes], endpoint: Endpoint) -> None:
    set_common_options(sock, endpoint)
    sock.set(zmq.RECONNECT_IVL, 100)
    sock.set(zmq.RECONNECT_IVL_MAX, 2_000)
    if endpoint.transport == "ipc" and os.path.exists(os.path.dirname(endpoint.path)):
        _check_socket_owner(endpoint)
    sock.connect(str(endpoint))


def _check_socket_owner(endpoint: Endpoint) -> None:
    # Edits and pictures must not be handed to a socket that another user has put there.
    if os.path.exists(endpoint.path) and os.lstat(endpoint.path).st_uid not in {os.getuid(), 0}:
        raise BadEndpoint(
            f"The socket {endpoint.path} belongs to another user; choose another with --connect."
        )


class _Socket:
    """One end that is connected to a daemon. Belongs to one thread."""

    def __init__(self, kind: int, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._socket = shared_context().socket(kind)

    def _connect(self) -> None:
        try:
            _connect(self._socket, self.endpoint)
        except BaseException:
            self.close()
            raise

    def receive(self, timeout_s: float) -> Optional[list[bytes]]:
        """The next message's frames, or None when none came in time."""
        if not self._socket.poll(max(0, int(timeout_s * 1000))):
            return None
        return self._socket.recv_multipart()

    def close(self) -> None:
        """Let go of the socket; what was not sent is dropped."""
        self._socket.close(0)


class RequestSocket(_Socket):
    """A DEALER to the daemon's ROUTER. Belongs to one thread."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(zmq.DEALER, endpoint)
        # With IMMEDIATE a message is refused while no daemon is there, instead of waiting in a queue for one.
        self._socket.set(zmq.IMMEDIATE, 1)
        self._socket.set(zmq.MAXMSGSIZE, codec.MAX_ATTACHMENT_BYTES)
        self._socket.set(zmq.SNDHWM, 16)
        self._socket.set(zmq.RCVHWM, 64)
        self._connect()

    def send(self, frames: list[bytes]) -> bool:
        """Send without waiting; False where no daemon is connected (yet)."""
        try:
            self._socket.send_multipart(frames, flags=zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True


class EventSocket(_Socket):
    """A SUB to the daemon's PUB. Belongs to one thread."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(zmq.SUB, endpoint)
        self._socket.set(zmq.MAXMSGSIZE, codec.MAX_EVENT_BYTES)
        self._socket.set(zmq.RCVHWM, 1_000)
        self._socket.set(zmq.SUBSCRIBE, b"INVE/")
        self._connect()


def wait_for_any(ends: Sequence[_Socket], wake: socket.socket, timeout_s: float) -> None:
    """Wait until one of our sockets has a message, `wake` has a byte, or the time is up.

    For a thread that has several requests out at once, and is given more by another thread: that one writes
    to the other end of `wake` (`socket.socketpair`), as ZeroMQ's sockets belong to one thread each.
    """
    poller = zmq.Poller()
    for end in ends:
        poller.register(end._socket, zmq.POLLIN)
    poller.register(wake.fileno(), zmq.POLLIN)
    poller.poll(max(0, int(timeout_s * 1000)))


def someone_listens(endpoint: Endpoint, timeout_s: float = 1.0) -> bool:
    """Whether a process accepts connections there; quick also where a dead daemon left its socket behind."""
    if endpoint.transport == "ipc":
        if sys.platform == "win32":
            return False
        with contextlib.suppress(BadEndpoint, FileNotFoundError):
            _check_socket_owner(endpoint)
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.settimeout(timeout_s)
                return probe.connect_ex(endpoint.path) == 0
        return False
    try:
        with socket.create_connection((endpoint.host, endpoint.port), timeout=timeout_s):
            return True
    except OSError:
        return False


def wait_until_listening(endpoint: Endpoint, timeout_s: float) -> None:
    """Wait for a daemon that was just started.

    Raises:
        Unreachable: nobody listens there in time.
    """
    end = time.monotonic() + timeout_s
    while not someone_listens(endpoint):
        if time.monotonic() > end:
            raise Unreachable(
                f"No daemon listens at {endpoint} after {timeout_s:.0f} s; start `inve-daemon serve`."
            )
        time.sleep(0.05)
