"""Tracks -> values of the knobs of a CornerPin2D and a Transform. Pure.

A track is known on every frame, also where something is in front of the point, and these nodes have no switch
for that: they get a key on every frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from inve_client.plugin.messages import RefusedError
from inve_client.plugin.points import Track

from .curve_values import knob_curve_text
from .geometry import Picture

_CORNERS = ("to1", "to2", "to3", "to4")
"""Of a CornerPin2D: bottom left, bottom right, top right, top left."""


@dataclass(frozen=True)
class Keys:
    """Keys of one channel of a knob: a value for each frame."""

    frames: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def text(self) -> str:
        """As a knob's script has it."""
        return knob_curve_text(self.frames, self.values)


def corner_pin(tracks: Sequence[Track], picture: Picture) -> dict[str, tuple[Keys, Keys]]:
    """What `to1`-`to4` of a CornerPin2D become: x and y of each.

    Which of four tracks is which corner is told by where they are on the first frame that they share: around
    their middle, from the lower left one against the clock.

    Raises:
        RefusedError: they are not four, share no frame, or are the corners of no quadrilateral.
    """
    frames, places = _shared(tracks, picture, 4, "A CornerPin2D")
    first = [place[0] for place in places]
    middle = sum(x for x, _ in first) / 4, sum(y for _, y in first) / 4
    around = sorted(range(4), key=lambda k: math.atan2(first[k][1] - middle[1], first[k][0] - middle[0]))
    if not _is_convex([first[k] for k in around]):
        raise RefusedError(
            "A CornerPin2D must get the four corners of something flat, got points of which one lies between "
            "the others; pick its corners."
        )
    # The lower left one is the farthest in that direction.
    start = min(range(4), key=lambda k: sum(first[around[k]]))
    ordered = [around[(start + k) % 4] for k in range(4)]
    return {
        name: (_keys(frames, [x for x, _ in places[k]]), _keys(frames, [y for _, y in places[k]]))
        for name, k in zip(_CORNERS, ordered)
    }


@dataclass(frozen=True)
class TransformKeys:
    """What the knobs of a Transform become. It does nothing on the reference frame.

    Attributes:
        translate: x and y.
        rotate: degrees, against the clock; None from one track.
        scale: None from one track.
        center: x and y, which do not change.
    """

    translate: tuple[Keys, Keys]
    center: tuple[float, float]
    rotate: Keys | None = None
    scale: Keys | None = None


def transform(tracks: Sequence[Track], picture: Picture, reference_frame: int) -> TransformKeys:
    """A Transform that moves as one track does, or also turns and scales as two do, about the middle of them.

    Raises:
        RefusedError: they are neither one nor two, have not the reference frame, or lie on each other there.
    """
    frames, places = _shared(tracks, picture, 2 if len(tracks) > 1 else 1, "A Transform")
    if reference_frame not in frames:
        raise RefusedError(
            f"The tracks must have the reference frame {reference_frame}, got {frames[0]}-{frames[-1]}; "
            "choose one of these as the reference frame."
        )
    at_rest = frames.index(reference_frame)
    count = len(places)
    middles = [
        (sum(place[k][0] for place in places) / count, sum(place[k][1] for place in places) / count)
        for k in range(len(frames))
    ]
    center = middles[at_rest]
    translate = (
        _keys(frames, [x - center[0] for x, _ in middles]),
        _keys(frames, [y - center[1] for _, y in middles]),
    )
    if count == 1:
        return TransformKeys(translate, center)
    arms = [complex(b[0] - a[0], b[1] - a[1]) for a, b in zip(*places)]
    if abs(arms[at_rest]) < 1e-6:
        raise RefusedError(
            f"The two tracks must be apart on the reference frame {reference_frame}, and lie on each other; "
            "choose another frame, or other tracks."
        )
    turns = [arm / arms[at_rest] for arm in arms]
    angles: list[float] = []
    for turn in turns:
        angle = math.degrees(math.atan2(turn.imag, turn.real))
        # A turn goes on from the frame before, so that no key jumps by a whole one.
        angles.append(angle + 360 * round((angles[-1] - angle) / 360) if angles else angle)
    whole = 360 * round(angles[at_rest] / 360)
    return TransformKeys(
        translate,
        center,
        rotate=_keys(frames, [angle - whole for angle in angles]),
        scale=_keys(frames, [abs(turn) for turn in turns]),
    )


def _keys(frames: Sequence[int], values: Sequence[float]) -> Keys:
    return Keys(tuple(frames), tuple(values))


def _shared(
    tracks: Sequence[Track], picture: Picture, count: int, what: str
) -> tuple[list[int], list[list[tuple[float, float]]]]:
    """The frames that all tracks have, and of each track its places in Nuke there."""
    if len(tracks) != count:
        wanted = {1: "one track or two", 2: "one track or two"}.get(count, f"{count} tracks")
        raise RefusedError(f"{what} must get {wanted}, got {len(tracks)}; pick as many points.")
    frames = sorted(set(tracks[0].frames).intersection(*(track.frames for track in tracks[1:])))
    if not frames:
        raise RefusedError(
            f"{what} must get tracks of the same frames, got none in common; track them together."
        )
    known = [
        dict(zip(track.frames, (picture.to_nuke(x, y) for x, y in zip(track.x, track.y)))) for track in tracks
    ]
    return frames, [[places[frame] for frame in frames] for places in known]


def _is_convex(corners: Sequence[tuple[float, float]]) -> bool:
    turns = []
    for k in range(4):
        (ax, ay), (bx, by), (cx, cy) = (corners[(k + step) % 4] for step in range(3))
        turns.append((bx - ax) * (cy - by) - (by - ay) * (cx - bx))
    return min(turns) > 0
