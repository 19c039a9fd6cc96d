"""Points followed through a shot: what is asked of the daemon, what comes back, and its text.

Plain data. Positions are in pixels of the full-size source, origin top left, y down; frames are the
source's numbers. The plugins make animation of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from .messages import WORK_S, RefusedError, Reply, Request, take

VERSION = 1
"""Of the text."""

_DECIMALS = 3


@dataclass(frozen=True)
class Point:
    """Where somebody picked a point: on the picture `frame`, at (x, y)."""

    id: str
    frame: int
    x: float
    y: float
    video_layer: str = "auto"


@dataclass(frozen=True)
class Track:
    """A point on all frames that were asked for.

    Attributes:
        point: where it was picked.
        frames: [n] numbers of the source's frames, rising.
        x, y: [n] pixels of the source.
        visible: [n] whether nothing is in front of it.
        confidence: [n] 0 to 1.
    """

    point: Point
    frames: tuple[int, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    visible: tuple[bool, ...]
    confidence: tuple[float, ...]

    def __post_init__(self) -> None:
        lengths = {len(one) for one in (self.x, self.y, self.visible, self.confidence)}
        if not self.frames or lengths != {len(self.frames)}:
            raise ValueError(
                f"The track {self.point.id!r} must have a place for each of its {len(self.frames)} frames, "
                f"got {sorted(lengths)}; track the point again."
            )

    def places(self) -> Iterator[tuple[int, float, float, bool]]:
        """frame, x, y, visible of each frame."""
        return zip(self.frames, self.x, self.y, self.visible)


@dataclass(frozen=True)
class TrackPoints(Request["tuple[Track, ...]"]):
    """Follow points through a shot; `frames` None is all of them."""

    kind: ClassVar[str] = "track"
    timeout_s: ClassVar[float] = WORK_S
    shot: str
    points: tuple[Point, ...]
    frames: tuple[int, ...] | None = None

    def fields(self) -> dict[str, Any]:
        """As SPEC.md has it."""
        return {
            "shot": self.shot,
            "points": [asdict(point) for point in self.points],
            "frames": None if self.frames is None else list(self.frames),
        }

    def read(self, reply: Reply) -> tuple[Track, ...]:
        """A track for each point, in the order of the points."""
        frames = take(reply.result, "frames", list)
        told = {take(fields, "id", str): fields for fields in take(reply.result, "tracks", list)}
        missing = [point.id for point in self.points if point.id not in told]
        if missing:
            raise RefusedError(
                f"The daemon must answer with a track for each point, got none for {missing[0]!r}; "
                f"track it again.",
                "bad_message",
            )
        try:
            return tuple(_track(point, frames, told[point.id]) for point in self.points)
        except ValueError as error:
            raise RefusedError(str(error), "bad_message") from error


def to_json(tracks: Sequence[Track]) -> str:
    """Tracks as text, to a thousandth of a pixel."""
    saved = [
        {
            "point": asdict(track.point),
            "frames": track.frames,
            "x": [round(x, _DECIMALS) for x in track.x],
            "y": [round(y, _DECIMALS) for y in track.y],
            "visible": [int(visible) for visible in track.visible],
            "confidence": [round(confidence, _DECIMALS) for confidence in track.confidence],
        }
        for track in tracks
    ]
    return json.dumps({"version": VERSION, "tracks": saved}, allow_nan=False, separators=(",", ":"))


def from_json(text: str) -> tuple[Track, ...]:
    """Tracks from their text; "" is none.

    Raises:
        RefusedError: the text is damaged, or of a newer version.
    """
    if not text:
        return ()
    try:
        saved = json.loads(text)
        version = saved["version"]
        if isinstance(version, int) and version > VERSION:
            raise RefusedError(
                f"The tracks saved in this file must have version {VERSION} or older, got {version}; install "
                f"the newer plugin."
            )
        return tuple(_track(Point(**one["point"]), one["frames"], one) for one in saved["tracks"])
    except (ValueError, KeyError, TypeError) as damage:
        raise RefusedError(
            f"The tracks saved in this file cannot be read ({type(damage).__name__}: {damage}); track the "
            f"points again."
        ) from damage


def _track(point: Point, frames: Sequence[int], fields: Mapping[str, Any]) -> Track:
    return Track(
        point=point,
        frames=tuple(map(int, frames)),
        x=tuple(map(float, fields["x"])),
        y=tuple(map(float, fields["y"])),
        visible=tuple(map(bool, fields["visible"])),
        confidence=tuple(map(float, fields["confidence"])),
    )
