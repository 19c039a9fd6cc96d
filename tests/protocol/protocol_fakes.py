"""A daemon of prepared answers in the place of a socket: the client under test is the real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgpack

from inve_client import Client
from inve_client.codec import PREAMBLE
from inve_client.connection import Connection
from inve_client.endpoints import Endpoint

ENDPOINT = Endpoint("ipc", path="/nowhere/daemon.sock")


def reply(request_id: str, result: dict[str, Any] | None = None, **more: Any) -> list[bytes]:
    body: dict[str, Any] = {"id": request_id, "session": "s1", **more}
    if "error" not in more:
        body["result"] = {} if result is None else result
    return [PREAMBLE, msgpack.packb(body)]


class FakeSocket:
    """Hands each request to `answer`, which returns the replies to give, in order."""

    def __init__(self, answer: Callable[[dict[str, Any], list[bytes]], list[list[bytes]]]) -> None:
        self.answer = answer
        self.sent: list[list[bytes]] = []
        self.waiting: list[list[bytes]] = []
        self.connected = True

    def send(self, frames: list[bytes]) -> bool:
        if not self.connected:
            return False
        self.sent.append(frames)
        self.waiting += self.answer(msgpack.unpackb(frames[1]), frames)
        return True

    def receive(self, timeout_s: float) -> list[bytes] | None:
        return self.waiting.pop(0) if self.waiting else None

    def close(self) -> None:
        self.connected = False


def client_of(socket: FakeSocket) -> Client:
    client = Client(ENDPOINT)
    client._connection = Connection(ENDPOINT, lambda endpoint: socket)
    return client


def answering(result: dict[str, Any]) -> FakeSocket:
    return FakeSocket(lambda body, frames: [reply(body["id"], result)])


class FakeEvents:
    """Events from a list; then nothing."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self._events: Iterator[dict[str, Any]] = iter(events)
        self.closed = False

    def receive(self, timeout_s: float) -> list[bytes] | None:
        body = next(self._events, None)
        return None if body is None else [PREAMBLE, msgpack.packb(body)]

    def close(self) -> None:
        self.closed = True
