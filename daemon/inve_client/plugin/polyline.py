"""Lines of (x, y, pressure) in pixels of the source picture: thinned as they grow, clipped once done."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

Vertex = tuple[float, float, float]
Box = tuple[float, float, float, float]
"""left, top, right, bottom."""

TOLERANCE_PX = 0.1
"""How far a dropped point may lie from the line that is kept."""

# A dropped point may lie beside the line and beyond its end; the root of two of these is below the tolerance.
_SLACK_PX = TOLERANCE_PX * 0.7


class Thinner:
    """Drops points of a growing line that the line passes by close enough, at a fixed cost for each.

    From the last kept point, the anchor, every dropped point leaves a sector of directions in which a line
    passes within tolerance of it. The sectors' intersection is an interval of angles; a point outside of it,
    or one that turns back, makes the point before it the next anchor (a cone intersection, after Sklansky and
    Gonzalez, 1980). An interval of slopes does the same for the pressure along the way.

    Args:
        pressure_tolerance: how far the pressure of a dropped point may be from that of the line there.
    """

    def __init__(self, pressure_tolerance: float) -> None:
        self._pressure_tolerance = pressure_tolerance
        self.last: Vertex | None = None
        self._start(None)

    def _start(self, anchor: Vertex | None) -> None:
        self._anchor = anchor
        self._farthest = 0.0
        self._heading: float | None = None
        self._left, self._right = -math.inf, math.inf
        self._steepest, self._flattest = math.inf, -math.inf

    def push(self, point: Vertex) -> Vertex | None:
        """Take the next point; returns one to keep, if that has become certain. The first is always kept."""
        before, self.last = self.last, point
        if self._anchor is None or before is None:
            self._start(point)
            return point
        if self._fits(point):
            return None
        self._start(before)
        self._fits(point)
        return before

    def finish(self) -> Vertex | None:
        """The end of the line, if it is not kept yet. The next point starts a new one."""
        end = self.last if self.last is not self._anchor else None
        self._start(None)
        self.last = None
        return end

    def _fits(self, point: Vertex) -> bool:
        """Whether a line from the anchor to a point passes all in between; if so it is one of them now."""
        assert self._anchor is not None
        dx, dy = point[0] - self._anchor[0], point[1] - self._anchor[1]
        distance = math.hypot(dx, dy)
        if distance < self._farthest - _SLACK_PX:
            return False
        if distance <= _SLACK_PX:
            return True
        slope = (point[2] - self._anchor[2]) / distance
        if not self._flattest <= slope <= self._steepest:
            return False
        angle = math.atan2(dy, dx)
        if self._heading is None:
            self._heading = angle
        turn = math.remainder(angle - self._heading, math.tau)
        if not self._left <= turn <= self._right:
            return False
        half = math.asin(_SLACK_PX / distance)
        self._left, self._right = max(self._left, turn - half), min(self._right, turn + half)
        give = self._pressure_tolerance / distance
        self._flattest, self._steepest = max(self._flattest, slope - give), min(self._steepest, slope + give)
        self._farthest = max(self._farthest, distance)
        return True


def clip_line(line: Sequence[Vertex], box: Box) -> list[list[Vertex]]:
    """The parts of a line inside a box, in order; pressure is linear between its points."""
    inside = all(box[0] <= x <= box[2] and box[1] <= y <= box[3] for x, y, _ in line)
    if inside or len(line) == 1:
        return [list(line)] if inside and line else []
    runs: list[list[Vertex]] = []
    for start, end in zip(line, line[1:]):
        shares = _shares_inside(start, end, box)
        if shares is None:
            continue
        enter, leave = shares
        if enter > 0 or not runs or runs[-1][-1] is not start:
            runs.append([_between(start, end, enter)])
        runs[-1].append(_between(start, end, leave))
    # What only touches the box from outside paints nothing.
    return [run for run in runs if any(point[:2] != run[0][:2] for point in run)]


def _shares_inside(start: Vertex, end: Vertex, box: Box) -> tuple[float, float] | None:
    """From where to where on a straight piece it is inside the box, as shares (Liang and Barsky, 1984)."""
    enter, leave = 0.0, 1.0
    for axis in (0, 1):
        step = end[axis] - start[axis]
        low, high = box[axis] - start[axis], box[axis + 2] - start[axis]
        if step == 0:
            if low > 0 or high < 0:
                return None
            continue
        first, last = (low / step, high / step) if step > 0 else (high / step, low / step)
        enter, leave = max(enter, first), min(leave, last)
    return (enter, leave) if enter <= leave else None


def _between(start: Vertex, end: Vertex, share: float) -> Vertex:
    if share <= 0:
        return start
    if share >= 1:
        return end
    x, y, pressure = (one + (other - one) * share for one, other in zip(start, end))
    return x, y, pressure


def clip_outline(outline: Iterable[Vertex], box: Box) -> list[Vertex]:
    """An outline's part inside a box, side after side of the box (Sutherland and Hodgman, 1974).

    Where it leaves and comes back it runs along the box; fewer than three points, or all of them on one
    horizontal or vertical line, enclose nothing and give [].
    """
    points = list(outline)
    for axis, sign, limit in ((0, -1, box[0]), (1, -1, box[1]), (0, 1, box[2]), (1, 1, box[3])):
        kept: list[Vertex] = []
        for index, point in enumerate(points):
            before = points[index - 1]
            over, over_before = sign * (point[axis] - limit), sign * (before[axis] - limit)
            if (over > 0) != (over_before > 0):
                kept.append(_between(before, point, over_before / (over_before - over)))
            if over <= 0:
                kept.append(point)
        points = kept
    flat = any(len({point[axis] for point in points}) < 2 for axis in (0, 1))
    return [] if len(points) < 3 or flat else points
