"""Track queries: the points of a POINTS.json as immutable values."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from inve_core import strict
from inve_core.errors import PointError
from inve_core.strict import Coordinate, Frame, Identifier, VideoLayerName

MAX_QUERIES = 100_000


class QueryPoint(Struct, frozen=True, forbid_unknown_fields=True):
    """A point to follow through the shot.

    Attributes:
        id: unique among the queries.
        frame: the frame it was picked on.
        x, y: where, in pixels of the source frame (y down, the first pixel's centre at (0.5, 0.5)).
        video_layer: the video layer it belongs to, or "auto" for the one most visible there.
    """

    id: Identifier
    frame: Frame
    x: Coordinate
    y: Coordinate
    video_layer: VideoLayerName = "auto"


class _Document(Struct, frozen=True, forbid_unknown_fields=True):
    points: Annotated[tuple[QueryPoint, ...], Meta(max_length=MAX_QUERIES)]


def parse_points(data: bytes | Mapping[str, Any]) -> tuple[QueryPoint, ...]:
    """Decode and check track queries.

    Args:
        data: the content of a POINTS.json, or the same as plain data.

    Raises:
        PointError: naming the field's path, such as `points[3].x`, for unknown fields, other types, numbers
            that are not finite or out of range, duplicate ids or more than MAX_QUERIES points.
    """
    document = strict.decode(
        data, _Document, PointError, what="the list of points", expectations=strict.EXPECTATIONS
    )
    first_with: dict[str, int] = {}
    for index, point in enumerate(document.points):
        if point.id in first_with:
            raise PointError(
                f"`points[{index}].id` is {point.id!r}, which `points[{first_with[point.id]}]` has already; "
                "choose another."
            )
        first_with[point.id] = index
    return document.points


def check_points(
    points: Sequence[QueryPoint],
    *,
    width: int,
    height: int,
    frames: Collection[int],
    video_layers: Sequence[str],
) -> None:
    """Hold track queries against the shot that they are meant for.

    Args:
        points: the queries.
        width, height: the shot's display window in pixels.
        frames: the shot's frame numbers.
        video_layers: the names of its video layers.

    Raises:
        PointError: if a point names a frame or a video layer that the shot has not, or lies outside the
        picture.
    """
    known_frames = frames if isinstance(frames, range | set | frozenset) else frozenset(frames)
    for index, point in enumerate(points):
        if point.frame not in known_frames:
            raise PointError(
                f"`points[{index}].frame` is {point.frame}, the shot has the frames "
                f"{min(frames)}-{max(frames)}; "
                "choose one of them."
            )
        if point.video_layer != "auto" and point.video_layer not in video_layers:
            raise PointError(
                f"`points[{index}].video_layer` is {point.video_layer!r}, the shot has 'auto', "
                f"{', '.join(repr(name) for name in video_layers)}; choose one of them."
            )
        if not (0 <= point.x <= width and 0 <= point.y <= height):
            raise PointError(
                f"`points[{index}]` is at ({point.x:g}, {point.y:g}), outside the {width}x{height} picture; "
                "move it inside."
            )
