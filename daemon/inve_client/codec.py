"""Bytes in, messages out, with no socket in sight: the client's side of SPEC.md.

A message is a list of frames. The first frame is the preamble `INVE/<protocol>`, the second a msgpack map;
further frames are attachments (EXR bytes), in replies only. Nothing is ever unpickled or evaluated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Sequence

import msgpack

from .errors import BadField, BadMessage, InveError, TooLarge, VersionMismatch, from_wire
from .version import PROTOCOL, VERSION, mismatch_sentence

PREAMBLE = b"INVE/%d" % PROTOCOL
MAX_REQUEST_BYTES = 128 << 20
"""Largest request body; the daemon drops the connection of a peer that sends more."""
MAX_REPLY_BODY_BYTES = 128 << 20
MAX_ATTACHMENT_BYTES = 256 << 20
"""Largest single attachment."""
MAX_FRAMES = 66
"""Most frames of one message: preamble, body, and 64 attachments."""
MAX_EVENT_BYTES = 64 << 10

# Integers out of range, other types; text that is no Unicode and too deep nesting are ValueErrors.
_UNSENDABLE = (OverflowError, TypeError, ValueError)
_PREAMBLE = re.compile(rb"INVE/(\d{1,9})\Z")


@dataclass(frozen=True)
class Reply:
    """An answered request: `result` where it went well, `error` where it did not."""

    request_id: str
    session: str
    result: Mapping[str, Any] = field(default_factory=dict)
    error: Optional[InveError] = None
    attachments: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Event:
    """One event: `seq` counts every event of a session; a gap means that some were missed."""

    seq: int
    session: str
    kind: str
    body: Mapping[str, Any]


def protocol_of(preamble: bytes) -> int:
    """The protocol version that a first frame names.

    Raises:
        BadMessage: it is no preamble of this family of protocols.
    """
    match = _PREAMBLE.match(preamble)
    if match is None:
        raise BadMessage(f"A message must begin with the frame INVE/<protocol>, got {preamble[:16]!r}.")
    return int(match[1])


def encode_request(request_id: str, kind: str, fields: Mapping[str, Any]) -> list[bytes]:
    """The frames of a request. The same arguments always give the same bytes.

    Raises:
        BadField: what msgpack does not have, such as integers of more than 64 bits.
        TooLarge: the body is beyond what a daemon accepts.
    """
    whole = {"kind": kind, "id": request_id, **fields}
    try:
        body = msgpack.packb(whole, use_bin_type=True)
    except _UNSENDABLE as error:
        raise _unsendable(whole, error) from error
    if len(body) > MAX_REQUEST_BYTES:
        raise TooLarge(
            f"A request may have {MAX_REQUEST_BYTES >> 20} MiB, {kind} came to {len(body) / 2**20:.1f} MiB; "
            f"make it smaller."
        )
    return [PREAMBLE, body]


def _unsendable(whole: Mapping[str, Any], error: Exception) -> BadField:
    """The refusal of a request that cannot be packed, which names the field."""
    name = next((name for name, value in whole.items() if not _can_be_sent(value)), "id")
    return BadField(
        f"{whole['kind']}: `{name}` cannot be sent ({error}); use plain data, integers of at most 64 bits "
        "and Unicode text.",
        field=name,
    )


def _can_be_sent(value: Any) -> bool:
    try:
        msgpack.packb(value, use_bin_type=True)
    except _UNSENDABLE:
        return False
    return True


def decode_reply(frames: Sequence[bytes]) -> Reply:
    """Read a reply.

    Raises:
        BadMessage: these are not the frames of a reply.
        VersionMismatch: the daemon speaks another protocol.
    """
    if not 2 <= len(frames) <= MAX_FRAMES:
        raise BadMessage(f"A reply must have 2 to {MAX_FRAMES} frames, got {len(frames)}.")
    speaks = protocol_of(frames[0])
    body = _unpack_map(frames[1], MAX_REPLY_BODY_BYTES, "reply")
    error = body.get("error")
    if speaks != PROTOCOL:
        details = error.get("details") if isinstance(error, dict) else None
        version = details.get("daemon_version", "") if isinstance(details, dict) else ""
        raise VersionMismatch(
            mismatch_sentence(PROTOCOL, VERSION, speaks, str(version)),
            client_protocol=PROTOCOL,
            daemon_protocol=speaks,
        )
    request_id, session = body.get("id"), body.get("session")
    if not isinstance(request_id, str) or not isinstance(session, str):
        raise BadMessage("A reply must carry `id` and `session` as text.")
    attachments = tuple(frames[2:])
    if isinstance(error, dict):
        return Reply(request_id, session, error=from_wire(error), attachments=attachments)
    result = body.get("result")
    if not isinstance(result, dict):
        raise BadMessage("A reply must carry `result` or `error` as a map.")
    return Reply(request_id, session, result=result, attachments=attachments)


def decode_event(frames: Sequence[bytes]) -> Event:
    """Read an event.

    Raises:
        BadMessage: these are not the frames of an event.
        VersionMismatch: the daemon speaks another protocol.
    """
    if len(frames) != 2:
        raise BadMessage(f"An event must have 2 frames, got {len(frames)}.")
    speaks = protocol_of(frames[0])
    if speaks != PROTOCOL:
        raise VersionMismatch(mismatch_sentence(PROTOCOL, VERSION, speaks, ""))
    body = _unpack_map(frames[1], MAX_EVENT_BYTES, "event")
    seq, session, kind = body.get("seq"), body.get("session"), body.get("kind")
    if not isinstance(seq, int) or not isinstance(session, str) or not isinstance(kind, str):
        raise BadMessage("An event must carry `seq` as a number, `session` and `kind` as text.")
    return Event(seq, session, kind, body)


def _unpack_map(data: bytes, limit: int, what: str) -> dict[str, Any]:
    if len(data) > limit:
        raise BadMessage(f"The body of this {what} may have {limit} bytes, got {len(data)}.")
    try:
        body = msgpack.unpackb(data, raw=False, strict_map_key=True)
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise BadMessage(f"The body of this {what} is not msgpack: {error}.") from error
    if not isinstance(body, dict):
        raise BadMessage(f"The body of this {what} must be a map, got {type(body).__name__}.")
    return body
