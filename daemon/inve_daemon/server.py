"""The daemon's sockets and its loop. Nothing in it waits for work, so control requests never queue."""

import contextlib
import hashlib
import logging
import os
import socket
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import zmq

from inve_client.codec import MAX_REPLY_BODY_BYTES, MAX_REQUEST_BYTES, PREAMBLE, protocol_of
from inve_client.endpoints import Endpoint, check_bindable
from inve_client.errors import (
    BadEndpoint,
    BadMessage,
    InternalError,
    RequestIdReused,
    TooLarge,
    VersionMismatch,
)
from inve_client.transport import set_common_options, someone_listens
from inve_client.version import PROTOCOL, VERSION, mismatch_sentence
from inve_daemon.answers import Answer, Answers, Daemon
from inve_daemon.events import Publisher
from inve_daemon.mapping import to_client_error
from inve_daemon.roots import Roots
from inve_daemon.runner import JobRunner
from inve_daemon.schema import Refused, Request, decode_request
from inve_daemon.shared import SharedPictures
from inve_daemon.store import Store
from inve_daemon.supervisor import WorkerSupervisor

log = logging.getLogger("inve.server")

STOP_S = 20.0
"""How long the worker may take to save what it is learning when the daemon ends."""
LAST_REPLIES_MS = 500
_TICK_MS = 250


@dataclass(frozen=True)
class ServerSettings:
    """How a daemon is started.

    Attributes:
        bind: where requests come in.
        events: where events go out.
        store: the store's folder.
        roots: folders whose files clients may name.
        device: auto, cpu, cuda or cuda:N.
        private: ends with the command that started it, so its worker starts when needed and unfinished jobs
            of an earlier daemon are not gone on with.
        worker_command: what to start as the worker; tests give their own.
        worker_log: where the worker's standard error goes; the daemon's own by default.
    """

    bind: Endpoint
    events: Endpoint
    store: Path
    roots: tuple[str, ...] = ()
    device: str = "auto"
    private: bool = False
    worker_command: Sequence[str] | None = None
    worker_log: Path | None = None


@dataclass
class _Underway:
    """A request that has no answer yet, and everyone who sent it."""

    digest: bytes
    peers: set[bytes] = field(default_factory=set)


class Server:
    """One daemon. `open` and `run` belong to one thread; `request_stop` may be called from any.

    Args:
        settings: how.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.session = uuid.uuid4().hex
        self._stopping = threading.Event()
        self._underway: dict[str, _Underway] = {}
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._ends = contextlib.ExitStack()
        self._ends.callback(self._context.term)

    @property
    def endpoint(self) -> Endpoint:
        """Where requests come in, with the port that was found where any would do."""
        return self._bound

    def open(self) -> None:
        """Take the store and the addresses, and find what an earlier daemon left.

        Raises:
            InveError: one of them cannot be had; nothing was changed.
        """
        try:
            self._open()
        except BaseException:
            self._ends.close()
            raise

    def _open(self) -> None:
        settings = self.settings
        store = Store(settings.store, f"process {os.getpid()} at {settings.bind}")
        self._ends.callback(store.close)
        # The store comes first: where another daemon holds it, that one's sockets must not be touched.
        self._router, self._bound = self._bind(zmq.ROUTER, settings.bind)
        self._pub, events = self._bind(zmq.PUB, settings.events)
        self._wake_in, self._wake_out = socket.socketpair()
        for end in (self._wake_in, self._wake_out):
            end.setblocking(False)
            self._ends.callback(end.close)
        worker = WorkerSupervisor(
            settings.store, settings.device, self._wake, settings.worker_command, settings.worker_log
        )
        publisher = Publisher(self.session, self._send_event)
        roots = Roots.resolve(settings.roots)
        jobs = JobRunner(store, worker, publisher, roots)
        shared = SharedPictures(settings.store)
        self._ends.callback(shared.close)
        self._daemon = Daemon(
            store=store,
            worker=worker,
            jobs=jobs,
            publisher=publisher,
            roots=roots,
            shared=shared,
            session=self.session,
            events=str(events),
            device=settings.device,
            stop=self.request_stop,
        )
        self._answers = Answers(self._daemon)
        if not settings.private:
            worker.start()
        jobs.recover(requeue=not settings.private)

    def _bind(self, kind: int, endpoint: Endpoint) -> tuple[zmq.Socket[bytes], Endpoint]:
        if endpoint.transport == "ipc":
            prepare_ipc(endpoint)
        sock = self._context.socket(kind)
        # The last replies, such as that to `shutdown`, are still sent.
        self._ends.callback(sock.close, LAST_REPLIES_MS)
        set_common_options(sock, endpoint)
        sock.set(zmq.SNDHWM, 1_000)
        if kind == zmq.ROUTER:
            sock.set(zmq.ROUTER_MANDATORY, 1)
            # A little above the limit, so that a body just beyond it is answered and not dropped.
            sock.set(zmq.MAXMSGSIZE, MAX_REQUEST_BYTES + (1 << 16))
            sock.set(zmq.RCVHWM, 64)
        # An ipc socket is its owner's alone from its first moment on.
        mask = os.umask(0o177) if endpoint.transport == "ipc" else None
        try:
            sock.bind(str(endpoint))
        except zmq.ZMQError as error:
            raise BadEndpoint(
                f"The daemon cannot listen at {endpoint}: {error.strerror}; choose another --bind."
            ) from error
        finally:
            if mask is not None:
                os.umask(mask)
        if endpoint.transport == "ipc":
            return sock, endpoint
        bound = sock.get(zmq.LAST_ENDPOINT)
        assert isinstance(bound, bytes)
        port = int(bound.rstrip(b"\0").rpartition(b":")[2])
        return sock, Endpoint("tcp", host=endpoint.host, port=port)

    def request_stop(self) -> None:
        """Let `run` end soon; from any thread, also from a signal handler."""
        self._stopping.set()
        self._wake()

    def _wake(self) -> None:
        # A full buffer wakes as well as one byte more would; a closed one has nobody to wake.
        with contextlib.suppress(OSError):
            self._wake_out.send(b"\0")

    def run(self) -> None:
        """Serve until asked to stop, then save and close everything.

        Raises:
            InveError: the worker refused to start on the asked-for device (not in a private daemon, where
                whoever asks for work is told).
        """
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        poller.register(self._wake_in, zmq.POLLIN)
        try:
            while not self._stopping.is_set():
                ready = dict(poller.poll(_TICK_MS))
                if self._wake_in.fileno() in ready or self._wake_in in ready:
                    self._drain_wakes()
                self._daemon.worker.deliver()
                self._daemon.jobs.tick()
                self._daemon.shared.tick()
                if self._router in ready:
                    self._take_requests()
                if not ready:
                    self._daemon.store.tidy()
                refusal = self._daemon.worker.refusal
                if refusal is not None and not self.settings.private:
                    raise refusal
        finally:
            self._end()

    def _end(self) -> None:
        log.info("ending")
        self._daemon.jobs.stopping = True
        self._daemon.worker.stop(STOP_S)
        self._daemon.worker.deliver()
        # ZeroMQ leaves them behind. As long as they are bound they are surely ours.
        for endpoint in (self.settings.bind, self.settings.events):
            if endpoint.transport == "ipc":
                Path(endpoint.path).unlink(missing_ok=True)
        self._ends.close()

    def _drain_wakes(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_in.recv(4096):
                continue

    # Requests

    def _take_requests(self) -> None:
        # A bounded number, so that one busy peer cannot keep the worker's answers waiting.
        for _ in range(64):
            try:
                frames = self._router.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._take(frames)

    def _take(self, frames: list[bytes]) -> None:
        peer, *message = frames
        try:
            request, body = self._decode(message)
        except Refused as refused:
            self._reply(peer, refused.request_id, None, [], refused.error)
            return
        digest = hashlib.sha256(body).digest()
        known = self._underway.get(request.id)
        if known is not None:
            if known.digest == digest:
                known.peers.add(peer)
            else:
                error = RequestIdReused(
                    f"The request id {request.id!r} is under way with another body; make a new id."
                )
                self._reply(peer, request.id, None, [], error)
            return
        self._underway[request.id] = _Underway(digest, {peer})

        def send(
            result: dict[str, Any] | None, attachments: list[bytes], error: BaseException | None
        ) -> None:
            done = self._underway.pop(request.id, None)
            for one in done.peers if done is not None else ():
                self._reply(one, request.id, result, attachments, error)

        self._answers.answer(request, Answer(request.id, digest, send))

    def _decode(self, message: list[bytes]) -> tuple[Request, bytes]:
        try:
            speaks = protocol_of(message[0] if message else b"")
        except BadMessage as error:
            raise Refused(error) from error
        if speaks != PROTOCOL:
            sentence = mismatch_sentence(speaks, "", PROTOCOL, VERSION)
            raise Refused(
                VersionMismatch(
                    sentence, client_protocol=speaks, daemon_protocol=PROTOCOL, daemon_version=VERSION
                )
            )
        if len(message) != 2:
            raise Refused(BadMessage(f"A request must have 2 frames, got {len(message)}."))
        return decode_request(message[1], MAX_REQUEST_BYTES), message[1]

    def _reply(
        self,
        peer: bytes,
        request_id: str,
        result: dict[str, Any] | None,
        attachments: list[bytes],
        error: BaseException | None,
    ) -> None:
        body: dict[str, Any] = {"id": request_id, "session": self.session}
        if error is None:
            body["result"] = result
        else:
            told = to_client_error(error)
            if isinstance(told, InternalError):
                log.error("request %s failed", request_id, exc_info=error)
            body["error"] = told.to_wire()
        encoded = msgspec.msgpack.encode(body)
        if len(encoded) > MAX_REPLY_BODY_BYTES:
            limit = f"{MAX_REPLY_BODY_BYTES >> 20} MiB are the most; ask for less."
            self._reply(
                peer, request_id, None, [], TooLarge(f"The answer came to {len(encoded)} bytes, {limit}")
            )
            return
        try:
            frames = [peer, PREAMBLE, encoded, *attachments]
            self._router.send_multipart(frames, zmq.NOBLOCK, copy=not attachments)
        except zmq.ZMQError as gone:
            # It has hung up or takes nothing in; its request stands, and the same id gets the same answer.
            log.info("the reply to request %s could not be sent: %s", request_id, gone.strerror)

    def _send_event(self, frames: list[bytes]) -> None:
        with contextlib.suppress(zmq.Again):
            self._pub.send_multipart(frames, zmq.NOBLOCK)


def prepare_ipc(endpoint: Endpoint) -> None:
    """Make the socket's folder, and clear away what a dead daemon left behind.

    Raises:
        BadEndpoint: others could replace what is in the folder, a daemon listens there, or it is no socket.
    """
    path = Path(endpoint.path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadEndpoint(f"The socket folder {path.parent} cannot be made: {error.strerror}.") from error
    check_bindable(path.parent)
    if not os.path.lexists(path):
        return
    if not path.is_socket():
        raise BadEndpoint(f"{path} is in the way of the daemon's socket and is no socket; remove it.")
    if someone_listens(endpoint):
        raise BadEndpoint(
            f"A daemon listens at {endpoint} already; use it, end it, or choose another --bind."
        )
    path.unlink()
