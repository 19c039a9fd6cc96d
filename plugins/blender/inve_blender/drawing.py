"""A stroke or an outline while it is drawn: smoothed, thinned, in the end cut to what the daemon takes."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

from inve_client.plugin.polyline import Thinner, Vertex, clip_line, clip_outline

MAX_VERTICES = 60_000
"""Where a line stops growing. An edit may have 100,000 points, and clipping adds one for two at most."""

_REACH = 6  # samples to either side that smooth one
_SPREAD = 1.5  # how far they count, in trembles: a standard deviation
_PRESSURE_S = 0.02  # a pen's pressure trembles faster than a hand changes it
_DECIMALS = 3


@dataclass(frozen=True)
class Brush:
    """What turns a hand's movement into a line.

    Attributes:
        width: at full pressure, in pixels of the source picture; of an outline that of its soft edge.
        jitter_px: how far a hand and its device tremble, in pixels of the source picture: some two pixels of
            the screen. 0 leaves every sample where it is.
        pressure_width: whether pressure changes the width, down to `least_width` of it.
        pressure_opacity: whether pressure changes the opacity, from 0.
        least_width: share of the width that is left at no pressure, 0 to 1.
    """

    width: float
    jitter_px: float = 0.0
    pressure_width: bool = True
    pressure_opacity: bool = False
    least_width: float = 0.0

    def width_factor(self, pressure: float) -> float:
        """The share of the width at a pressure."""
        return self.least_width + (1 - self.least_width) * pressure if self.pressure_width else 1.0


@dataclass(frozen=True)
class DrawnLine:
    """A line as an edit has it: points in pixels of the source picture; factors of the width, and opacities,
    for each of them, or None where they are 1 throughout.
    """

    points: tuple[tuple[float, float], ...]
    point_widths: tuple[float, ...] | None = None
    point_opacities: tuple[float, ...] | None = None

    def fields(self) -> dict[str, Any]:
        """The fields of a stroke or an adjustment in EDITS.json that it fills."""
        fields: dict[str, Any] = {"points": [list(point) for point in self.points]}
        for name, values in (("point_widths", self.point_widths), ("point_opacities", self.point_opacities)):
            if values is not None:
                fields[name] = list(values)
        return fields


@dataclass(frozen=True)
class _Sample:
    x: float
    y: float
    pressure: float
    way: float
    """Length of the line up to here."""


class StrokeCapture:
    """Takes the pen's positions one by one, each at the same small cost, however long the line is.

    A line has segments, from pen down to pen up; the next one goes on from the end of the last. A sample is
    final once `_REACH` more have come, and is then the mean of its neighbours on both sides: so nothing lags
    behind, and the ends of a segment stay where they were put. While the pen is down `vertices` only grows,
    and `tail` is what follows it up to the pen, a few points that change.

    Args:
        brush: what to draw with.
        picture_width, picture_height: size of the source picture in pixels.
        closed: whether it is the outline of a region.
    """

    def __init__(
        self, brush: Brush, picture_width: int, picture_height: int, *, closed: bool = False
    ) -> None:
        self.brush = brush
        self.closed = closed
        self._picture = (picture_width, picture_height)
        # A tenth of a pixel at the edge of the line, and no step that one would see.
        self._thinner = Thinner(min(0.01, max(0.001, 0.2 / brush.width)))
        self.vertices: list[Vertex] = []
        self._starts: list[int] = []
        self._down = False
        self._clear_segment()

    def _clear_segment(self) -> None:
        self._recent: deque[_Sample] = deque(maxlen=2 * _REACH + 1)
        self._count = 0
        self._head: _Sample | None = None
        self._strongest = 0.0
        self._time = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is drawn."""
        return not self.vertices

    @property
    def is_full(self) -> bool:
        """Whether it takes no more points."""
        return len(self.vertices) >= MAX_VERTICES

    @property
    def segments(self) -> int:
        """How many segments there are, one that is being drawn included."""
        return len(self._starts)

    def add(self, x: float, y: float, pressure: float, time: float) -> None:
        """Take a position of the pen; the first one after `lift` starts a segment.

        Args:
            x, y: in pixels of the source picture, also outside of it.
            pressure: 0 to 1; 1 for a mouse.
            time: seconds on any clock that runs on, for evening out the pressure.

        Raises:
            ValueError: a number is not finite.
        """
        if not all(map(math.isfinite, (x, y, pressure, time))):
            raise ValueError(f"A pen's position must be finite numbers, got {(x, y, pressure, time)}.")
        pressure = min(max(pressure, 0.0), 1.0)
        if self.is_full:
            return
        if not self._down:
            self._down = True
            self._starts.append(len(self.vertices))
            self._time = time
            self._accept(_Sample(x, y, pressure, 0.0))
            return
        assert self._head is not None
        follow = -math.expm1(min(0.0, self._time - time) / _PRESSURE_S)
        pressure = self._head.pressure + (pressure - self._head.pressure) * follow
        self._time = max(self._time, time)
        last = self._recent[-1]
        step = math.hypot(x - last.x, y - last.y)
        sample = _Sample(x, y, pressure, last.way + step)
        if step <= self.brush.jitter_px / 2:
            # Too near to tell a movement from a tremble; it is where the pen is all the same.
            self._head = sample
            self._strongest = max(self._strongest, pressure)
        else:
            self._accept(sample)

    def lift(self) -> None:
        """The pen is up: the segment ends where it was."""
        if not self._down:
            return
        assert self._head is not None
        if self._count == 1:
            # A tap, wherever it trembled, as wide as it was pressed.
            dot = self._recent[0]
            self.vertices[self._starts[-1] :] = [(dot.x, dot.y, self._strongest)]
        else:
            if self._head is not self._recent[-1]:
                self._accept(self._head)
            for index in range(max(1, self._count - _REACH), self._count):
                self._keep(self._thinner.push(self._smoothed(index)))
            self._keep(self._thinner.finish())
        self._thinner.finish()
        self._down = False
        self._clear_segment()

    def undo(self) -> bool:
        """Take back the last segment, also one that is being drawn; False where there is none."""
        if not self._starts:
            return False
        del self.vertices[self._starts.pop() :]
        self._thinner.finish()
        self._down = False
        self._clear_segment()
        return True

    def cancel(self) -> None:
        """Take back everything."""
        while self.undo():
            pass

    def tail(self) -> list[Vertex]:
        """What follows the vertices up to the pen while it is down."""
        if not self._down:
            return []
        points = [] if self._thinner.last is None else [self._thinner.last]
        points += [self._smoothed(index) for index in range(max(1, self._count - _REACH), self._count)]
        if self._head is not None and self._head is not self._recent[-1]:
            points.append((self._head.x, self._head.y, self._head.pressure))
        return points

    def finish(self) -> tuple[DrawnLine, ...]:
        """Lift the pen and give what was drawn, cut to the picture and half a width around it.

        Returns:
            One line for each time that it was in the picture, () where it never was; for an outline one or
            none: none where it encloses nothing.
        """
        self.lift()
        # Rounding must not carry a point over the daemon's limit.
        margin = self.brush.width / 2 - 10**-_DECIMALS
        box = (-margin, -margin, self._picture[0] + margin, self._picture[1] + margin)
        if self.is_empty:
            return ()
        if self.closed:
            outline = clip_outline(self.vertices, box)
            return (DrawnLine(_rounded_points(outline)),) if outline else ()
        return tuple(self._line(run) for run in clip_line(self.vertices, box))

    def _accept(self, sample: _Sample) -> None:
        self._recent.append(sample)
        self._head = sample
        self._count += 1
        self._strongest = max(self._strongest, sample.pressure)
        if self._count == 1:
            self._keep(self._thinner.push((sample.x, sample.y, sample.pressure)))
        elif self._count > _REACH + 1:
            self._keep(self._thinner.push(self._smoothed(self._count - 1 - _REACH)))

    def _keep(self, vertex: Vertex | None) -> None:
        if vertex is not None:
            self.vertices.append(vertex)

    def _smoothed(self, index: int) -> Vertex:
        """A sample of the segment as the mean of itself and its neighbours, as many on one side as on the
        other, by a Gaussian of their distance along the line.
        """
        oldest = self._count - len(self._recent)
        own = self._recent[index - oldest]
        jitter = self.brush.jitter_px
        reach = min(_REACH, index, self._count - 1 - index)
        if jitter <= 0 or reach == 0:
            return own.x, own.y, own.pressure
        total, x, y, pressure = 1.0, own.x, own.y, own.pressure
        for step in range(1, reach + 1):
            before, after = self._recent[index - oldest - step], self._recent[index - oldest + step]
            away = (after.way - before.way) / 2 / (jitter * _SPREAD)
            weight = math.exp(-away * away / 2)
            total += 2 * weight
            x += weight * (before.x + after.x)
            y += weight * (before.y + after.y)
            pressure += weight * (before.pressure + after.pressure)
        dx, dy = x / total - own.x, y / total - own.y
        # What moves farther than a tremble is a corner.
        share = min(1.0, jitter / max(math.hypot(dx, dy), 1e-12))
        return own.x + dx * share, own.y + dy * share, pressure / total

    def _line(self, run: list[Vertex]) -> DrawnLine:
        brush = self.brush
        widths = opacities = None
        if brush.pressure_width:
            widths = tuple(round(brush.width_factor(vertex[2]), _DECIMALS) for vertex in run)
        if brush.pressure_opacity:
            opacities = tuple(round(vertex[2], _DECIMALS) for vertex in run)
        return DrawnLine(_rounded_points(run), _unless_one(widths), _unless_one(opacities))


def _unless_one(values: tuple[float, ...] | None) -> tuple[float, ...] | None:
    return values if values is not None and any(value != 1 for value in values) else None


def _rounded_points(vertices: list[Vertex]) -> tuple[tuple[float, float], ...]:
    return tuple((round(x, _DECIMALS), round(y, _DECIMALS)) for x, y, _ in vertices)
