"""Messages between the daemon and its worker: msgpack maps with their length in front, over two pipes."""

import struct
import threading
from typing import Any, BinaryIO

import msgpack

_LENGTH = struct.Struct(">I")
MAX_BYTES = 1 << 30

Message = dict[str, Any]


def write_message(stream: BinaryIO, message: Message) -> None:
    """Write one message and flush it.

    Raises:
        OSError: the other side is gone.
        ValueError: it is larger than a pipe message may be.
    """
    body = msgpack.packb(message, use_bin_type=True)
    if len(body) > MAX_BYTES:
        raise ValueError(f"a message between daemon and worker may have {MAX_BYTES} bytes, got {len(body)}")
    stream.write(_LENGTH.pack(len(body)))
    stream.write(body)
    stream.flush()


def read_message(stream: BinaryIO) -> Message | None:
    """The next message, or None where the other side has ended (also in the middle of a message).

    Raises:
        ValueError: what came is no message.
    """
    head = _read_exactly(stream, _LENGTH.size)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > MAX_BYTES:
        raise ValueError(f"a message between daemon and worker may have {MAX_BYTES} bytes, got {length}")
    body = _read_exactly(stream, length)
    if body is None:
        return None
    message = msgpack.unpackb(body, raw=False, strict_map_key=False)
    if not isinstance(message, dict):
        raise ValueError(f"a message between daemon and worker must be a map, got {type(message).__name__}")
    return message


def _read_exactly(stream: BinaryIO, count: int) -> bytes | None:
    data = stream.read(count)
    return data if data is not None and len(data) == count else None


class Sender:
    """Writes messages from any thread, one at a time."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Write one message; see `write_message`."""
        with self._lock:
            write_message(self._stream, message)
