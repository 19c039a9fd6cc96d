"""Cubic Beziers in straight pieces, and splines as Beziers. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

Place = tuple[float, float]
Segment = tuple[Place, Place, Place, Place]
"""A Bezier: an end, two handles, the other end."""

TOLERANCE_PX = 0.05
"""How far straight pieces lie from their Bezier at most."""

_MOST_PIECES = 2_000


def pieces_of(segment: Segment) -> int:
    """How many straight pieces stay within the tolerance of a Bezier: a chord of one n-th of it is off by at
    most an eighth of the second derivative over n squared.
    """
    if _is_straight(segment):
        return 1
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = segment
    bend = max(math.hypot(ax - 2 * bx + cx, ay - 2 * by + cy), math.hypot(bx - 2 * cx + dx, by - 2 * cy + dy))
    pieces = math.ceil(math.sqrt(6 * bend / (8 * TOLERANCE_PX)))
    return min(max(1, pieces), _MOST_PIECES)


def _is_straight(segment: Segment) -> bool:
    """Whether both handles lie on the way from one end to the other, however far along."""
    (ax, ay), *handles, (dx, dy) = segment
    length = math.hypot(dx - ax, dy - ay)
    if not length:
        return all(math.hypot(x - ax, y - ay) <= TOLERANCE_PX for x, y in handles)
    wx, wy = (dx - ax) / length, (dy - ay) / length
    return all(
        abs((x - ax) * wy - (y - ay) * wx) <= TOLERANCE_PX and 0 <= (x - ax) * wx + (y - ay) * wy <= length
        for x, y in handles
    )


def place_on(segment: Segment, share: float) -> Place:
    """The place on a Bezier at a share of it, 0 to 1."""
    rest = 1 - share
    weights = (rest**3, 3 * rest**2 * share, 3 * rest * share**2, share**3)
    return (
        sum(weight * place[0] for weight, place in zip(weights, segment)),
        sum(weight * place[1] for weight, place in zip(weights, segment)),
    )


def spline_segments(points: Sequence[Place]) -> list[Segment]:
    """The spans of a centripetal Catmull-Rom spline, as the daemon joins a stroke's points: the knots are the
    square root of the way apart, and an open end goes on as the mirror image of its span.

    Args:
        points: neighbours must differ.
    """
    segments = []
    for index in range(len(points) - 1):
        start, end = points[index], points[index + 1]
        before = points[index - 1] if index else (2 * start[0] - end[0], 2 * start[1] - end[1])
        last = index + 2 == len(points)
        after = (2 * end[0] - start[0], 2 * end[1] - start[1]) if last else points[index + 2]
        knots = [math.sqrt(math.dist(*pair)) for pair in ((before, start), (start, end), (end, after))]
        leaving = _handle(before, start, end, knots[0], knots[1])
        arriving = _handle(after, end, start, knots[2], knots[1])
        handles = [(near[0] + way[0], near[1] + way[1]) for near, way in ((start, leaving), (end, arriving))]
        segments.append((start, handles[0], handles[1], end))
    return segments


def _handle(behind: Place, own: Place, ahead: Place, back: float, forth: float) -> Place:
    """How far a span's handle lies from its end: a third of the spline's derivative there."""
    x, y = (
        (own[k] - behind[k]) / back - (ahead[k] - behind[k]) / (back + forth) + (ahead[k] - own[k]) / forth
        for k in (0, 1)
    )
    return x * forth / 3, y * forth / 3
