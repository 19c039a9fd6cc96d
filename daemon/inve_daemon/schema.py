"""Every request of the protocol as a typed value, and the strict decoding of bytes into them.

This is the one schema: SPEC.md says in words what stands here. A body is decoded straight into its type, so
that unknown fields, wrong types, over-long lists and numbers that are not finite cost no memory and are
refused with the field's name. (A bound on a float also refuses NaN, which no comparison lets through.)
"""

import contextlib
import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from inve_client.errors import (
    BadField,
    BadMessage,
    EditError,
    InveError,
    PointError,
    TooLarge,
    UnknownRequest,
)
from inve_core import strict
from inve_core.edits import EXPECTATIONS, Edit, EditStack
from inve_core.points import QueryPoint

MAX_FRAME_NUMBER = 10_000_000
MAX_INLINE_FRAMES = 64
MAX_SIDE_PX = 65_536

RequestId = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,64}\Z")]
ShotName = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._-]{1,64}\Z")]
JobId = Annotated[str, Meta(pattern=r"\A[0-9a-f]{1,64}\Z")]
EditId = Annotated[str, Meta(min_length=1, max_length=64)]
LayerName = Annotated[str, Meta(min_length=1, max_length=200)]
ClientName = Annotated[str, Meta(max_length=100)]
PathText = Annotated[str, Meta(min_length=1, max_length=4096, pattern=r"\A[^\x00]*\Z")]
FrameNumber = Annotated[int, Meta(ge=-MAX_FRAME_NUMBER, le=MAX_FRAME_NUMBER)]
FrameNumbers = Annotated[tuple[FrameNumber, ...], Meta(min_length=1, max_length=100_000)]
Pixel = Annotated[int, Meta(ge=-MAX_SIDE_PX, le=MAX_SIDE_PX)]
Coordinate = Annotated[float, Meta(ge=-1e6, le=1e6)]
Scale = Annotated[float, Meta(ge=1 / 256, le=8.0)]
Revision = Annotated[int, Meta(ge=0)]
Position = Annotated[int, Meta(ge=0, le=100_000)]
Address = Annotated[str, Meta(pattern=r"\Asha256:[0-9a-f]{64}\Z")]
Size = Annotated[int, Meta(ge=1, le=MAX_SIDE_PX)]


class Request(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", kw_only=True):
    """Base of all requests: `id` is made by the client and names the request for ever."""

    id: RequestId


class Hello(Request, frozen=True, tag="hello"):
    """Who are you? Its fields are the same in every protocol version."""

    client: ClientName
    version: ClientName
    protocol: Annotated[int, Meta(ge=0, le=10**9)]


class Status(Request, frozen=True, tag="status"):
    """How are you?"""


class Shutdown(Request, frozen=True, tag="shutdown"):
    """End, after saving what is being learned."""


class OpenShot(Request, frozen=True, tag="open_shot"):
    """Make a shot known under a name."""

    shot: ShotName
    frames: PathText
    mattes: Annotated[tuple[PathText, ...], Meta(max_length=16)] = ()
    frame_range: tuple[FrameNumber, FrameNumber] | None = None
    flow: PathText | None = None


class ListShots(Request, frozen=True, tag="list_shots"):
    """Every shot."""


class DescribeShot(Request, frozen=True, tag="describe_shot"):
    """One shot."""

    shot: ShotName
    with_edits: bool = False


class CloseShot(Request, frozen=True, tag="close_shot"):
    """Drop a shot from the worker's memory."""

    shot: ShotName


class DeleteShot(Request, frozen=True, tag="delete_shot"):
    """Forget a shot."""

    shot: ShotName


class Train(Request, frozen=True, tag="train"):
    """Start learning a shot."""

    shot: ShotName
    preset: Annotated[str, Meta(max_length=64)] = "fast"
    working_size: Annotated[int, Meta(ge=64, le=4096)] | None = None
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0


class ListJobs(Request, frozen=True, tag="list_jobs"):
    """The newest jobs."""


class DescribeJob(Request, frozen=True, tag="describe_job"):
    """One job."""

    job: JobId


class Cancel(Request, frozen=True, tag="cancel"):
    """End a job."""

    job: JobId


class PutEdits(Request, frozen=True, tag="put_edits"):
    """Replace the whole edit stack."""

    shot: ShotName
    stack: EditStack
    base_revision: Revision | None = None


class LayerPatch(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A new layer, or what to change of a known one. Ranges are checked with the finished stack."""

    name: LayerName
    kind: str | None = None
    blend: str | None = None
    opacity: Annotated[float, Meta(ge=0.0, le=1.0)] | None = None
    enabled: bool | None = None
    solo: bool | None = None
    video_layer: str | None = None
    rename: LayerName | None = None
    position: Position | None = None


class EditPatch(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An edit to add or to put in the place of the one with its id, or the id of one that only moves."""

    layer: LayerName
    edit: Edit | None = None
    id: EditId | None = None
    position: Position | None = None


class PatchEdits(Request, frozen=True, tag="patch_edits"):
    """Add, change or move single layers and edits."""

    shot: ShotName
    base_revision: Revision
    layers: Annotated[tuple[LayerPatch, ...], Meta(max_length=1_000)] = ()
    edits: Annotated[tuple[EditPatch, ...], Meta(max_length=10_000)] = ()


class RemoveEdits(Request, frozen=True, tag="remove_edits"):
    """Remove edits by id and layers by name."""

    shot: ShotName
    base_revision: Revision
    edits: Annotated[tuple[EditId, ...], Meta(max_length=100_000)] = ()
    layers: Annotated[tuple[LayerName, ...], Meta(max_length=1_000)] = ()


class CopyEdits(Request, frozen=True, tag="copy_edits"):
    """Replace another shot's whole edit stack by this one's."""

    shot: ShotName
    to: ShotName
    base_revision: Revision | None = None
    frame_offset: FrameNumber = 0


class GetTexture(Request, frozen=True, tag="get_texture"):
    """A part of a stored texture's file."""

    address: Address
    offset: Annotated[int, Meta(ge=0, le=2**53)] = 0


class Undo(Request, frozen=True, tag="undo"):
    """Take back the last change of the edits."""

    shot: ShotName
    base_revision: Revision | None = None


class Redo(Request, frozen=True, tag="redo"):
    """Bring back what undo took."""

    shot: ShotName
    base_revision: Revision | None = None


class Track(Request, frozen=True, tag="track"):
    """Where points are on other frames."""

    shot: ShotName
    points: Annotated[tuple[QueryPoint, ...], Meta(min_length=1, max_length=10_000)]
    frames: FrameNumbers | None = None


class Render(Request, frozen=True, tag="render"):
    """Edited frames: as attachments (`out` is None), or by a job that writes files."""

    shot: ShotName
    frames: FrameNumbers | None = None
    scale: Scale = 1.0
    region: tuple[Pixel, Pixel, Size, Size] | None = None
    layers: bool = False
    bits: Literal[16, 32] | None = None
    compression: Literal["zip", "none"] = "zip"
    shared: bool = False
    out: PathText | None = None


class ViewAtlas(Request, frozen=True, tag="view_atlas"):
    """The atlas of a video layer as a picture; with `frame` what it does not show is dimmed."""

    shot: ShotName
    video_layer: Annotated[str, Meta(max_length=64)]
    with_edits: bool = False
    long_edge: Annotated[int, Meta(ge=16, le=8192)] = 512
    frame: FrameNumber | None = None


# What is wrong inside these fields is about the document that they carry, and is said of the document.
_DOCUMENTS: dict[tuple[str, str], type[InveError]] = {
    ("put_edits", "stack"): EditError,
    ("patch_edits", "edits"): EditError,
    ("track", "points"): PointError,
}

REQUESTS: tuple[type[Request], ...] = (
    Hello,
    Status,
    Shutdown,
    OpenShot,
    ListShots,
    DescribeShot,
    CloseShot,
    DeleteShot,
    Train,
    ListJobs,
    DescribeJob,
    Cancel,
    PutEdits,
    PatchEdits,
    RemoveEdits,
    CopyEdits,
    Undo,
    Redo,
    GetTexture,
    Track,
    Render,
    ViewAtlas,
)


_SHOT_NAME = "1 to 64 letters, digits or . _ -; choose another name"
_PATH = "a path without NUL"
# `id` is that of a request, and of what the documents have by their own rule.
_EXPECTATIONS = {
    **EXPECTATIONS,
    **{f"{name}.id": strict.EXPECTATIONS["id"] for name in ("layers", "edits", "edit", "points")},
    "id": "1 to 64 letters, digits or _ -",
    "shot": _SHOT_NAME,
    "to": _SHOT_NAME,
    "job": "the id of a job, as `jobs` lists them",
    "address": "'sha256:' and 64 hexadecimal digits",
    **dict.fromkeys(("frames", "mattes", "flow", "out"), _PATH),
    "bits": "16 or 32",
    "compression": "'zip' or 'none'",
}
_MAX_SHOWN_BODY_BYTES = 1 << 20


class _Envelope(Struct, frozen=True):
    kind: str
    id: str = ""


_ENVELOPE = msgspec.msgpack.Decoder(_Envelope)
_DECODERS: dict[str, msgspec.msgpack.Decoder[Any]] = {
    str(kind.__struct_config__.tag): msgspec.msgpack.Decoder(kind) for kind in REQUESTS
}
KINDS = tuple(sorted(_DECODERS))


class Refused(Exception):
    """A body that is no request: `error` for the client, and the request's id where one could be read."""

    def __init__(self, error: InveError, request_id: str = "") -> None:
        super().__init__(error.message)
        self.error = error
        self.request_id = request_id


def decode_request(body: bytes, limit_bytes: int) -> Request:
    """Read a request's body.

    Args:
        body: msgpack.
        limit_bytes: the most that a body may have.

    Raises:
        Refused: it is not msgpack, of an unknown kind, has a wrong field, or is too large.
    """
    if len(body) > limit_bytes:
        raise Refused(TooLarge(f"A request may have {limit_bytes} bytes, got {len(body)}; make it smaller."))
    try:
        envelope = _ENVELOPE.decode(body)
    except msgspec.ValidationError as error:
        raise Refused(
            BadMessage(f"A request must be a map with `kind` and `id` as text: {_said(error)}.")
        ) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refused(BadMessage(f"A request must be msgpack: {_said(error)}.")) from error
    request_id = envelope.id if len(envelope.id) <= 64 else ""
    decoder = _DECODERS.get(envelope.kind)
    if decoder is None:
        sentence = f"Unknown request {envelope.kind[:64]!r}; this daemon has {', '.join(KINDS)}."
        raise Refused(UnknownRequest(sentence), request_id)
    try:
        request: Request = decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refused(_bad_field(envelope.kind, error, body), request_id) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refused(BadMessage(f"A request must be msgpack: {_said(error)}."), request_id) from error
    return request


def _bad_field(kind: str, error: msgspec.ValidationError, body: bytes) -> InveError:
    field = field_of(error)
    document = _DOCUMENTS.get((kind, re.split(r"[.\[]", field)[0]))
    # As with documents: a large body is not worth decoding again to show what stood there.
    plain: dict[str, Any] = {}
    if len(body) <= _MAX_SHOWN_BODY_BYTES:
        with contextlib.suppress(RecursionError, UnicodeDecodeError, ValueError):
            plain = msgspec.msgpack.decode(body, type=dict[str, Any])
    sentence = strict.sentence(str(error), plain, "the request", _EXPECTATIONS)
    return (document or BadField)(f"{kind}: {sentence}", field=field)


def field_of(error: msgspec.ValidationError) -> str:
    """The path of the field that a validation error is about, such as `points[3].x`; "" for the whole."""
    text = str(error)
    if " - at `$" in text:
        return text.rsplit(" - at `$", 1)[1].rstrip("`").lstrip(".")
    return text.split("`")[1] if "field `" in text else ""


def _said(error: Exception) -> str:
    return str(error).replace(" - at `$.", " at `").replace(" - at `$", " at `")
