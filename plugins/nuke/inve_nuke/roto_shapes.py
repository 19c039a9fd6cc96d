"""A roto shape's Beziers as the outline of a filled region with a soft edge. Pure; y up, as in Nuke.

A region of ours has an edge that is as soft all around: over `width` pixels, half of them on either side of
its outline. Nuke's feather goes from the shape to a second outline, so the region's outline is the one
halfway between them, and its width is the distance. Where that differs along the shape it cannot be carried.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from inve_client.plugin.messages import RefusedError

from .beziers import Place, Segment, pieces_of, place_on

HARD_PX = 0.25
"""A feather below this is none: no pixel shows it."""

_UNEVEN_PX, _UNEVEN_SHARE = 1.0, 0.25
"""A feather may differ along the shape by the larger of these two: a distance, a share of the largest."""

Knot = tuple[Place, Place, Place]
"""Left tangent, point, right tangent; tangents relative to the point."""


class ShapeRefused(RefusedError):
    """A shape that is no region of ours; the message is the end of a sentence."""


def region(
    knots: Sequence[Knot], feather: Sequence[Knot] | None, feather_px: float
) -> tuple[list[Place], float]:
    """The outline of a closed shape, and how wide its soft edge is.

    Args:
        knots: three or more.
        feather: for each of them its feather point's offset from it, with that point's own tangents; None
            where the shape has no feather of that kind.
        feather_px: how far the whole outline is feathered outwards; inwards below 0.

    Returns:
        The outline's points, without the first one again; pixels, 0 for a hard edge.

    Raises:
        ShapeRefused: it has too few points, or a feather that is not even.
    """
    if len(knots) < 3:
        raise ShapeRefused(f"has {len(knots)} points, and a region needs three; add some")
    if feather is not None and len(feather) != len(knots):
        raise ShapeRefused(
            f"has {len(feather)} feather points for {len(knots)} of its own; draw its feather again"
        )
    outline: list[Place] = []
    offsets: list[Place] = []
    for index, knot in enumerate(knots):
        after = (index + 1) % len(knots)
        segment = _segment(knot, knots[after])
        soft = _offsets(knot, knots[after], feather[index], feather[after]) if feather is not None else None
        pieces = max(pieces_of(segment), pieces_of(soft) if soft else 1)
        for k in range(pieces):
            outline.append(place_on(segment, k / pieces))
            offsets.append(place_on(soft, k / pieces) if soft else (0.0, 0.0))
    normals = _side_normals(outline)
    narrowest, widest = _reaches(offsets, normals)
    if max(abs(narrowest), abs(widest)) < HARD_PX:
        if abs(feather_px) < HARD_PX:
            return outline, 0.0
        offsets = [(feather_px * x, feather_px * y) for x, y in _corner_normals(normals)]
        narrowest = widest = feather_px
    elif feather_px:
        raise ShapeRefused("has feathered points and a feather all around too; keep one of them")
    largest = max(abs(narrowest), abs(widest))
    if widest - narrowest > max(_UNEVEN_PX, _UNEVEN_SHARE * largest):
        raise ShapeRefused(
            f"has a feather of {_tenths(narrowest)} to {_tenths(widest)} pixels, and only an even one can be "
            "carried; make it even, or remove it"
        )
    middle = [(x + dx / 2, y + dy / 2) for (x, y), (dx, dy) in zip(outline, offsets)]
    return middle, abs(narrowest + widest) / 2


def _segment(start: Knot, end: Knot) -> Segment:
    (_, p, right), (left, q, _) = start, end
    return p, _sum(p, right), _sum(q, left), q


def _offsets(start: Knot, end: Knot, soft_start: Knot, soft_end: Knot) -> Segment:
    """How far the feather's Bezier lies from the shape's: a Bezier too."""
    shape = _segment(start, end)
    placed = [
        (left, _sum(place, offset), right)
        for (_, place, _), (left, offset, right) in ((start, soft_start), (end, soft_end))
    ]
    soft = _segment(placed[0], placed[1])
    a, b, c, d = ((s[0] - p[0], s[1] - p[1]) for p, s in zip(shape, soft))
    return a, b, c, d


def _sum(one: Place, other: Place) -> Place:
    return one[0] + other[0], one[1] + other[1]


def _side_normals(outline: Sequence[Place]) -> list[Place | None]:
    """Of the side behind each point of an outline, the way out, 1 long; None where the side has no length."""
    ends = [*outline[1:], outline[0]]
    doubled_area = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(outline, ends))
    sign = 1.0 if doubled_area >= 0 else -1.0
    normals: list[Place | None] = []
    for start, end in zip(outline, ends):
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = math.hypot(dx, dy)
        normals.append((sign * dy / length, -sign * dx / length) if length else None)
    return normals


def _reaches(offsets: Sequence[Place], normals: Sequence[Place | None]) -> tuple[float, float]:
    """The least and the most that offsets lead out of an outline, in the middle of its sides: at a corner the
    way is longer, however even the feather is.
    """
    reaches = []
    for index, normal in enumerate(normals):
        if normal is not None:
            after = offsets[(index + 1) % len(offsets)]
            middle = (offsets[index][0] + after[0]) / 2, (offsets[index][1] + after[1]) / 2
            reaches.append(middle[0] * normal[0] + middle[1] * normal[1])
    return (min(reaches), max(reaches)) if reaches else (0.0, 0.0)


def _corner_normals(normals: Sequence[Place | None]) -> list[Place]:
    """Of each point of an outline, how it moves where the two sides at it move out by 1; at a sharp corner by
    2 at most, where that would be far.
    """
    corners = []
    for index, behind in enumerate(normals):
        known = [side for side in (normals[index - 1], behind) if side is not None]
        x, y = sum(side[0] for side in known), sum(side[1] for side in known)
        length = math.hypot(x, y)
        # The sum of two unit vectors is 2 cos long, and the point moves by 1 / cos.
        reach = min(len(known) / length, 2.0) / length if length else 0.0
        corners.append((x * reach, y * reach))
    return corners


def _tenths(length: float) -> str:
    # Adding 0 turns -0 into 0.
    return f"{round(length, 1) + 0:g}"
