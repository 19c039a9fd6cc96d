"""A line with a changing width as strips of triangles, for drawing it while it grows.

Strips are in the line's own pixels, so that panning and zooming need no new ones. What is certain of the line
is cut into strips of a fixed length, each made once; only what follows the last of them is made anew for a
redraw, so that a redraw costs the same at the end of a long stroke as at its beginning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from inve_client.plugin.polyline import Vertex

Strip = list[tuple[float, float]]
"""Positions for 'TRI_STRIP': left and right of the line by turns."""

STRIP_VERTICES = 128
"""Vertices of the line in one strip."""

_TURN = math.radians(20)  # a bend is rounded in steps of at most this


class Ribbon:
    """The strips of a line that grows.

    Args:
        width: of a pressure -> the line's width in its own pixels.
    """

    def __init__(self, width: Callable[[float], float]) -> None:
        self._width = width
        self.sealed: list[Strip] = []
        """Strips that stay as they are, so that what is compiled of them can be kept by their identity."""
        # The vertex after each strip, which its end bends towards: by it an undo is noticed.
        self._next: list[Vertex] = []

    def update(self, vertices: Sequence[Vertex], tail: Sequence[Vertex]) -> Strip:
        """Bring the sealed strips up to date.

        Args:
            vertices: of the line, of which earlier calls have seen the beginning, or an undo took the end.
            tail: what follows them until the next call.

        Returns:
            The strip of all that follows the sealed ones; it is never empty where there is a vertex.
        """
        while self.sealed and not self._holds(vertices):
            self.sealed.pop()
            self._next.pop()
        while len(vertices) > (end := (len(self.sealed) + 1) * STRIP_VERTICES) + 1:
            first = end - STRIP_VERTICES
            self.sealed.append(self._strip(vertices[max(0, first - 1) : end + 2], first > 0, goes_on=True))
            self._next.append(vertices[end + 1])
        first = len(self.sealed) * STRIP_VERTICES
        rest = [*vertices[max(0, first - 1) :], *tail]
        return self._strip(rest, first > 0, goes_on=False)

    def _holds(self, vertices: Sequence[Vertex]) -> bool:
        """Whether the last strip is still one of the line's."""
        after = len(self.sealed) * STRIP_VERTICES + 1
        return len(vertices) > after and vertices[after] is self._next[-1]

    def _strip(self, line: Sequence[Vertex], goes_before: bool, *, goes_on: bool) -> Strip:
        """A strip along a line; where it goes before or on, the outermost vertices only give directions."""
        points = [line[0]] if line else []
        points += [point for before, point in pairwise(line) if point[:2] != before[:2]]
        if len(points) < 2:
            return self._dot(line)
        # A neighbour at the same place gives no direction; then the strip has an end of its own there.
        goes_before = goes_before and line[0][:2] != line[1][:2]
        goes_on = goes_on and line[-1][:2] != line[-2][:2]
        headings = [math.atan2(end[1] - start[1], end[0] - start[0]) for start, end in pairwise(points)]
        strip: Strip = []
        last = len(points) - 1
        for index, point in enumerate(points):
            if (index == 0 and goes_before) or (index == last and goes_on):
                continue
            half = self._width(point[2]) / 2
            arriving = headings[max(0, index - 1)]
            leaving = headings[min(index, last - 1)]
            if index == 0:
                _cap(strip, point, leaving, half, opens=True)
            self._bend(strip, point, arriving, leaving, half)
            if index == last:
                _cap(strip, point, arriving, half, opens=False)
        return strip

    def _bend(self, strip: Strip, point: Vertex, arriving: float, leaving: float, half: float) -> None:
        """The cross-sections at a vertex: one, or where it bends sharply one after the other around it."""
        turn = math.remainder(leaving - arriving, math.tau)
        if abs(turn) <= _TURN:
            # In between, and longer by as much as it is aslant to both sides.
            _cross(strip, point, arriving + turn / 2, half / math.cos(turn / 2))
            return
        steps = math.ceil(abs(turn) / _TURN)
        for step in range(steps + 1):
            _cross(strip, point, arriving + turn * step / steps, half)

    def _dot(self, line: Sequence[Vertex]) -> Strip:
        strip: Strip = []
        if line:
            half = max(self._width(point[2]) for point in line) / 2
            _cap(strip, line[0], 0.0, half, opens=True)
            _cap(strip, line[0], 0.0, half, opens=False)
        return strip


def _cross(strip: Strip, point: Vertex, heading: float, half: float) -> None:
    """A cross-section square to a heading."""
    dx, dy = half * math.sin(heading), half * math.cos(heading)
    strip.append((point[0] + dx, point[1] - dy))
    strip.append((point[0] - dx, point[1] + dy))


def _cap(strip: Strip, point: Vertex, heading: float, half: float, *, opens: bool) -> None:
    """The half disc before the first or after the last vertex, as cross-sections of its own."""
    steps = math.ceil(math.pi / 2 / _TURN)
    for step in range(steps + 1) if opens else range(steps, -1, -1):
        angle = math.pi / 2 * step / steps
        away = half * math.cos(angle) * (-1 if opens else 1)
        middle = (point[0] + away * math.cos(heading), point[1] + away * math.sin(heading), point[2])
        _cross(strip, middle, heading, half * math.sin(angle))
