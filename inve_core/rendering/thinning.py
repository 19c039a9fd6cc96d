"""Which of the segments that reach into a cell can matter there.

A wide brush has every cell within reach of hundreds of segments, of which few decide what is covered. They
are looked for from large blocks of cells down to single ones: what matters nowhere in a block matters in none
of its cells, so that the work goes with what is left and not with all that there was.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inve_core.rendering.cells import CellGrid, Ints, Reached
from inve_core.rendering.chains import ALONG, OPACITIES, PER_LENGTH, SCALE, START, TO_DRAWN, WIDTHS
from inve_core.rendering.edit_rows import RADIUS, SOFTNESS

Floats = npt.NDArray[np.float32]
Floats64 = npt.NDArray[np.float64]
# Least and most of what counts, [n] each, of segments [n], at places that lie within least and most distances
# [n] of them, in drawn pixels.
Bounds = Callable[[Ints, Floats64, Floats64], tuple[Floats64, Floats64]]

PAIRS_A_CALL = 1 << 18
# Rounding must not move a segment out of a cell that a pixel finds it from.
SLACK_PX = 0.01


def nearness(_: Ints, least: Floats64, most: Floats64) -> tuple[Floats64, Floats64]:
    """What counts for a line of one width: the segment nearest by says it all."""
    return -most, -least


@dataclass(frozen=True, eq=False)
class Tapered:
    """What counts for lines whose width and opacity change along them: the most that any segment covers.

    Attributes:
        radius, softness, opacity: [2, segments] the least and the most, in drawn pixels but for opacity.
        half_px: [segments] half of the most drawn pixels that a pixel spans.
    """

    radius: Floats64
    softness: Floats64
    opacity: Floats64
    half_px: Floats64

    @classmethod
    def of(cls, segments: Floats, edits: Floats, footprint_px: float) -> "Tapered":
        """Of segments [n, SEGMENT_FLOATS] of edits [n, EDIT_FLOATS], for pixels that span atlas pixels."""
        widths, opacities = (
            np.sort(segments[:, column : column + 2].T.astype(np.float64), 0)
            for column in (WIDTHS, OPACITIES)
        )
        half_px = segments[:, SCALE].astype(np.float64) * footprint_px / 2
        return cls(widths * edits[:, RADIUS], widths * edits[:, SOFTNESS], opacities, half_px)

    def cover(self, which: Ints, least: Floats64, most: Floats64) -> tuple[Floats64, Floats64]:
        """Bounds of `strokes.line_coverage` times the opacity, whatever a pixel spans."""
        # It grows with the radius and falls with the distance, for either profile of the edge.
        low = self.radius[0, which]
        sharp, blunt = self._edges(0, which)
        inner = (low - most) / np.where(low > most, blunt, sharp)
        covered = np.maximum(_profile(inner, np.minimum) + _profile((low + most) / blunt, np.minimum) - 1, 0)
        high = self.radius[1, which]
        sharp, blunt = self._edges(1, which)
        reached = _profile((high - least) / np.where(high > least, sharp, blunt), np.maximum)
        return covered * self.opacity[0, which], reached * self.opacity[1, which]

    def _edges(self, end: int, which: Ints) -> tuple[Floats64, Floats64]:
        """Half of the width of the narrowest and of the widest edge that pixels can see."""
        softness = np.maximum(self.softness[end, which], 1e-9)
        return softness, np.maximum(softness, self.half_px[which])


def _profile(z: Floats64, choose: Callable[[Floats64, Floats64], Floats64]) -> Floats64:
    """The lesser or the greater of the two profiles of `strokes.edge_profile`."""
    ramp = np.clip(0.5 + 0.5 * z, 0, 1)
    return choose(ramp, ramp * ramp * (3 - 2 * ramp))


def thinned(
    grid: CellGrid, reached: Reached, segments: Floats, which: Ints, bounds: Bounds
) -> tuple[Ints, Ints]:
    """Cells that segments reach into and may matter in, and the segment of each.

    A segment whose most is no more than some other one's least, of the same edit, does not matter.

    Args:
        reached: of all segments.
        segments: [n, SEGMENT_FLOATS].
        which: the segments that are asked for, in order.
    """
    stretch = _largest_stretch(segments)
    found = [(which[:0], which[:0])]
    level = (max(grid.columns, grid.rows) - 1).bit_length()
    # Pairs of a block of 2^level x 2^level cells and a segment, those of an edit in a block side by side.
    # Last in, first out: no more is in work at a time than a few calls' pairs a level.
    waiting = [(level, np.zeros_like(which), np.zeros_like(which), which)] if len(which) else []
    while waiting:
        level, x, y, source = waiting.pop()
        block = grid.cell * 2**level
        centre = grid.x0 + (x + 0.5) * block, grid.y0 + (y + 0.5) * block
        distance = _distance(segments[source], *centre)
        span = (block * math.sqrt(0.5) + SLACK_PX) * stretch[source]
        least, most = bounds(source, np.maximum(distance - span, 0), distance + span)
        first = _groups(reached.owner[source], x, y)
        best = np.repeat(np.maximum.reduceat(least, first), np.diff(first, append=len(source)))
        kept = most > best
        # Of several that are the same one is enough.
        holds = np.flatnonzero(least == best)
        kept[holds[np.searchsorted(holds, first)]] = True
        # Cells at the border stand for all that lies beyond, of which their middle says nothing.
        kept |= (x == 0) | (y == 0) | (x + 1 << level >= grid.columns) | (y + 1 << level >= grid.rows)
        x, y, source = x[kept], y[kept], source[kept]
        if level == 0:
            found.append((y * grid.columns + x, source))
            continue
        waiting += _halved(level, x, y, source, reached)
    cells, sources = (np.concatenate(part) for part in zip(*found, strict=True))
    return cells, sources


def _halved(
    level: int, x: Ints, y: Ints, source: Ints, reached: Reached
) -> list[tuple[int, Ints, Ints, Ints]]:
    """Pairs with the quarters of their blocks that the segment reaches into, some calls' worth of them."""
    level, source = level - 1, np.repeat(source, 4)
    x, y = ((2 * one[:, None] + half).ravel() for one, half in ((x, (0, 1, 0, 1)), (y, (0, 0, 1, 1))))
    inside = np.ones(len(source), bool)
    for place, (low, high) in ((x, reached.columns), (y, reached.rows)):
        inside &= (place >= low[source] >> level) & (place <= high[source] >> level)
    x, y, source = x[inside], y[inside], source[inside]
    order = np.lexsort((x, y, reached.owner[source]))
    x, y, source = x[order], y[order], source[order]
    first = _groups(reached.owner[source], x, y)
    cuts = np.searchsorted(first, np.arange(PAIRS_A_CALL, len(source), PAIRS_A_CALL))
    cuts = first[np.unique(cuts[cuts < len(first)])]
    return [(level, *part) for part in zip(*(np.split(one, cuts) for one in (x, y, source)), strict=True)]


def _groups(*keys: Ints) -> Ints:
    """Where runs of equal keys [n] begin."""
    new = np.zeros(len(keys[0]), bool)
    new[:1] = True
    for key in keys:
        new[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(new)


def _distance(rows: Floats, u: Floats64, v: Floats64) -> Floats64:
    """Distances [n] in drawn pixels of atlas places u, v [n] to segments [n, SEGMENT_FLOATS]."""
    row = rows.astype(np.float64).T
    u, v = u - row[START], v - row[START + 1]
    away_x = row[TO_DRAWN] * u + row[TO_DRAWN + 1] * v
    away_y = row[TO_DRAWN + 2] * u + row[TO_DRAWN + 3] * v
    along_x, along_y = row[ALONG], row[ALONG + 1]
    share = np.clip((away_x * along_x + away_y * along_y) * row[PER_LENGTH], 0, 1)
    return np.asarray(np.hypot(away_x - share * along_x, away_y - share * along_y))


def _largest_stretch(segments: Floats) -> Floats64:
    """The most drawn pixels to an atlas pixel, in any direction: [n]."""
    total = (segments[:, TO_DRAWN : TO_DRAWN + 4].astype(np.float64) ** 2).sum(1)
    area = segments[:, SCALE].astype(np.float64) ** 2
    return np.sqrt((total + np.sqrt(np.maximum(total**2 - 4 * area**2, 0))) / 2)
