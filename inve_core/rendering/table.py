"""The table that pixels are painted from: for each cell of the atlas, the segments that can reach into it.

Strokes and outlines of consecutive edit layers become one table. A pixel finds its cell by its uv, walks the
cell's entries in the order of the edits, keeps the distance to the nearest segment of each edit, and lays the
edit over what it has so far. How many edits there are elsewhere does not matter to it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inve_core.model import LayeredAtlas
from inve_core.rendering.chains import (
    END,
    SCALE,
    SEGMENT_FLOATS,
    SPREAD,
    START,
    TO_DRAWN,
    WIDTHS,
    MappedLine,
)
from inve_core.rendering.edit_rows import (
    ADJUSTS,
    BLEND,
    CLOSED,
    EDIT_FLOATS,
    HEAD_FLOATS,
    LAYER_BLEND,
    RADIUS,
    SOFTNESS,
    TAPERED,
    VIDEO_LAYER,
)

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

CELL_PX = 8.0
MOST_CELLS_A_SIDE = 1024
# Room around a video layer's box, as a share of its size; what lies further off counts to the border's cells.
MARGIN = 0.25
# Rounding must not move a segment out of a cell that a pixel finds it from.
SLACK_PX = 0.01
# From this reach on, in cells, it pays to leave out segments that are nowhere the nearest.
WIDE_CELLS = 2.0

# So many parts of what is known of a table's cells are gone through before they are counted anew.
MOST_PARTS = 6

# The second number of an entry: the edit, whether the whole cell lies inside of its outline, and whether this
# is the edit's last entry in the cell.
EDIT_SHIFT, SOLID, LAST = 2, 2, 1
# A segment that is nowhere near anything, for cells deep inside an outline.
NO_SEGMENT = 0
FAR_AWAY_PX = 1e6


@dataclass(frozen=True)
class CellGrid:
    """The cells of one video layer; a place outside counts to the nearest."""

    x0: float
    y0: float
    cell: float
    columns: int
    rows: int
    first: int  # its first cell among those of all layers

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.columns * self.rows

    def column(self, u: npt.NDArray) -> Ints:
        """Columns of atlas positions."""
        return np.clip(np.floor((u - self.x0) / self.cell), 0, self.columns - 1).astype(np.int64)

    def row(self, v: npt.NDArray) -> Ints:
        """Rows of atlas positions."""
        return np.clip(np.floor((v - self.y0) / self.cell), 0, self.rows - 1).astype(np.int64)


def cell_grids(model: LayeredAtlas) -> tuple[CellGrid, ...]:
    """Cells over each video layer's box and some room around it."""
    grids: list[CellGrid] = []
    for box in model.geometry.boxes:
        extent = box.size * (1 + 2 * MARGIN)
        cell = max(CELL_PX, extent / MOST_CELLS_A_SIDE)
        side = max(1, math.ceil(extent / cell))
        first = grids[-1].first + grids[-1].cells if grids else 0
        grids.append(
            CellGrid(box.x0 - MARGIN * box.size, box.y0 - MARGIN * box.size, cell, side, side, first)
        )
    return tuple(grids)


class Reached(NamedTuple):
    """Which cells of a rectangle of a grid some edits reach into.

    Attributes:
        column, row: its first cell.
        sums: [rows + 1, columns + 1] int32, how many of the cells above and left of each corner.
    """

    column: int
    row: int
    sums: npt.NDArray[np.int32]

    @classmethod
    def by(cls, cells: npt.NDArray[np.bool_], column: int = 0, row: int = 0) -> "Reached":
        """Of a rectangle [rows, columns] whose first cell is given."""
        sums = np.zeros((cells.shape[0] + 1, cells.shape[1] + 1), np.int32)
        np.cumsum(cells, 0, out=sums[1:, 1:])
        np.cumsum(sums[1:, 1:], 1, out=sums[1:, 1:])
        return cls(column, row, sums)

    def within(self, x0: Ints, x1: Ints, y0: Ints, y1: Ints) -> npt.NDArray[np.bool_]:
        """Whether there is one in boxes of cells, from the first to before the last, [n] each."""
        bottom, right = self.sums.shape[0] - 1, self.sums.shape[1] - 1
        # `clip` takes several times as long for so few.
        x0, x1 = (np.minimum(np.maximum(x - self.column, 0), right) for x in (x0, x1))
        y0, y1 = (np.minimum(np.maximum(y - self.row, 0), bottom) for y in (y0, y1))
        return self.sums[y1, x1] - self.sums[y0, x1] - self.sums[y1, x0] + self.sums[y0, x0] > 0


@dataclass(frozen=True, eq=False)
class PaintTable:
    """Edits, their segments, and which of them reach into which cell.

    Attributes:
        grids: cells of each video layer.
        footprint_px: what is in the table holds for pixels that span up to so many atlas pixels.
        edits: [edits, EDIT_FLOATS], bottom to top.
        segments: [segments, SEGMENT_FLOATS]; the first is NO_SEGMENT.
        starts: [cells + 1] int32, where each cell's entries begin.
        entries: [entries, 2] int32, segment and edit (see EDIT_SHIFT), in the order of the edits.
    """

    grids: tuple[CellGrid, ...]
    footprint_px: float
    edits: Floats
    segments: Floats
    starts: npt.NDArray[np.int32]
    entries: npt.NDArray[np.int32]
    _copies: dict[tuple[str, torch.device], tuple[Tensor, ...]] = field(default_factory=dict, init=False)
    # By video layer; together they are all cells that have entries.
    _reached: dict[int, tuple[Reached, ...]] = field(default_factory=dict, init=False)

    @cached_property
    def layers(self) -> tuple[int, ...]:
        """Video layers that some edit lies on."""
        return tuple(int(k) for k in np.unique(self.edits[:, VIDEO_LAYER]))

    @cached_property
    def has_tapers(self) -> bool:
        """Whether some line's width or opacity changes along it."""
        return bool((self.edits[:, TAPERED] > 0).any())

    @cached_property
    def has_outlines(self) -> bool:
        """Whether some edit fills an outline."""
        return bool((self.edits[:, CLOSED] > 0).any())

    @cached_property
    def has_adjustments(self) -> bool:
        """Whether some edit changes what is beneath it."""
        return bool((self.edits[:, ADJUSTS] > 0).any())

    @cached_property
    def has_blends(self) -> bool:
        """Whether some stroke or edit layer is laid in another way than over what is beneath it."""
        return bool((self.edits[:, [BLEND, LAYER_BLEND]] > 0).any())

    @cached_property
    def runs(self) -> tuple[Ints, Ints, Ints]:
        """Entries of one edit in one cell, as runs.

        Returns:
            [cells + 1] where each cell's runs begin, [runs + 1] where each run's entries do, and [runs] the
            run's edit, shifted and flagged as in `entries`.
        """
        ends = np.flatnonzero(self.entries[:, 1] & LAST) + 1
        begins = np.concatenate(([0], ends))
        return np.searchsorted(begins, self.starts), begins, self.entries[begins[:-1], 1].astype(np.int64)

    def reaches(self, layer: int, low: Floats, high: Floats) -> npt.NDArray[np.bool_]:
        """Whether boxes of atlas pixels, corners [n, 2], hold a cell that some edit reaches into."""
        grid = self.grids[layer]
        if layer not in self._reached:
            starts = self.starts[grid.first : grid.first + grid.cells + 1]
            cells = (starts[1:] > starts[:-1]).reshape(grid.rows, grid.columns)
            self._reached[layer] = (Reached.by(cells),)
        x0, x1 = grid.column(low[:, 0]), grid.column(high[:, 0]) + 1
        y0, y1 = grid.row(low[:, 1]), grid.row(high[:, 1]) + 1
        return np.any([one.within(x0, x1, y0, y1) for one in self._reached[layer]], 0)

    def _extend(self, below: "PaintTable", cells: npt.NDArray[np.integer]) -> None:
        """Know what a table of the first edits knows of its cells, and those [n] of what was added to it."""
        for layer, known in below._reached.items():
            # To count all cells anew takes longer than a stroke should, to go through many parts as well.
            if len(known) > MOST_PARTS:
                continue
            grid = self.grids[layer]
            own = cells[(cells >= grid.first) & (cells < grid.first + grid.cells)] - grid.first
            if len(own):
                row, column = np.divmod(own, grid.columns)
                first_row, first_column = int(row.min()), int(column.min())
                row, column = row - first_row, column - first_column
                part = np.zeros((int(row.max()) + 1, int(column.max()) + 1), bool)
                part[row, column] = True
                known = (*known, Reached.by(part, first_column, first_row))
            self._reached[layer] = known

    def on(self, device: torch.device) -> tuple[Tensor, ...]:
        """Edits, segments, starts and entries on a device; copied there once."""
        arrays = (self.edits, self.segments, self.starts, self.entries)
        return self.copied("rows", device, lambda: tuple(torch.from_numpy(one).to(device) for one in arrays))

    def heads(self, device: torch.device) -> Tensor:
        """What most painters want of each edit on a device: [edits, HEAD_FLOATS]."""
        return self.copied("heads", device, lambda: (self.on(device)[0][:, :HEAD_FLOATS].contiguous(),))[0]

    def segment_columns(self, device: torch.device) -> Tensor:
        """Segments on a device with the columns outermost: [SEGMENT_FLOATS, segments]."""
        return self.copied("columns", device, lambda: (self.on(device)[1].t().contiguous(),))[0]

    def runs_on(self, device: torch.device) -> tuple[Tensor, ...]:
        """`runs` on a device."""
        return self.copied("runs", device, lambda: tuple(torch.from_numpy(r).to(device) for r in self.runs))

    def copied(
        self, what: str, device: torch.device, make: Callable[[], tuple[Tensor, ...]]
    ) -> tuple[Tensor, ...]:
        """What belongs to the table on a device under a name; made at the first call."""
        key = (what, device)
        if key not in self._copies:
            self._copies[key] = make()
        return self._copies[key]


def build_table(
    grids: tuple[CellGrid, ...],
    lines: Sequence[MappedLine],
    rows: Floats,
    footprint_px: float,
    below: PaintTable | None = None,
) -> PaintTable:
    """Sort edits into cells.

    Args:
        lines: where each edit lies, bottom to top.
        rows: each edit's numbers, [edits, EDIT_FLOATS].
        footprint_px: the largest span of a pixel, in atlas pixels, that the table must hold for.
        below: a table of the first of these edits for the same pixels, to which the others are added.
    """
    if below is None:
        nowhere = np.zeros((1, SEGMENT_FLOATS), np.float32)
        nowhere[0, START : START + 4] = -FAR_AWAY_PX
        cells = np.zeros(grids[-1].first + grids[-1].cells + 1, np.int32)
        nothing = np.zeros((0, EDIT_FLOATS), np.float32)
        below = PaintTable(grids, footprint_px, nothing, nowhere, cells, np.zeros((0, 2), np.int32))
    had, had_segments = len(below.edits), len(below.segments)
    lines, rows = lines[had:], rows[had:].copy()
    rows[:, VIDEO_LAYER] = [line.layer for line in lines]
    segments = np.concatenate([below.segments, *[line.segments for line in lines]])
    counts = np.array([len(line.segments) for line in lines], np.int64)
    owner = np.repeat(np.arange(len(lines)), counts)
    first = np.cumsum(counts) - counts
    scale = np.maximum.reduceat(segments[had_segments:, SCALE], first) if len(lines) else np.zeros(0)
    # Beyond this distance, on the drawn frame, no pixel of that span is covered by the segment.
    widest = segments[had_segments:, WIDTHS : WIDTHS + 2].max(1)
    line_radius = rows[:, RADIUS] * (rows[:, CLOSED] == 0)
    reach = np.maximum(widest * rows[owner, SOFTNESS], (footprint_px * scale / 2)[owner])
    reach += widest * line_radius[owner]
    parts = [(np.zeros(0, np.int64),) * 3]
    for layer, grid in enumerate(grids):
        own = np.flatnonzero(rows[owner, VIDEO_LAYER] == layer)
        if len(own):
            parts.append(_layer_entries(grid, segments, own + had_segments, owner[own], reach[own], rows))
    cells, numbers, edits = (np.concatenate(part) for part in zip(*parts, strict=True))
    # A stable sort keeps an edit's segments in their order.
    order = np.argsort(cells * (len(lines) + 1) + (edits >> EDIT_SHIFT), kind="stable")
    cells, numbers, edits = cells[order], numbers[order], edits[order]
    last = np.ones(len(cells), bool)
    last[:-1] = (cells[1:] != cells[:-1]) | (edits[1:] >> EDIT_SHIFT != edits[:-1] >> EDIT_SHIFT)
    edits = (edits + (had << EDIT_SHIFT)) | np.where(last, LAST, 0)
    # Edits further up go behind what a cell has already. An entry's two numbers as one are quicker to insert.
    added = np.stack((numbers, edits), 1).astype(np.int32).view(np.int64)[:, 0]
    joined = np.insert(below.entries.view(np.int64)[:, 0], below.starts[cells + 1], added)
    entries = joined.view(np.int32).reshape(-1, 2)
    starts = below.starts.copy()
    starts[1:] += np.cumsum(np.bincount(cells, minlength=len(starts) - 1), dtype=np.int32)
    made = PaintTable(grids, footprint_px, np.concatenate((below.edits, rows)), segments, starts, entries)
    made._extend(below, cells)
    return made


def _layer_entries(
    grid: CellGrid, segments: Floats, own: Ints, owner: Ints, reach: Floats, edit_rows: Floats
) -> tuple[Ints, Ints, Ints]:
    """Cells, segments and edits (shifted) of one video layer's segments `own`.

    Args:
        owner, reach: [own] the edit of each, and how far it reaches in drawn pixels.
        edit_rows: of all edits.
    """
    rows, closed = segments[own], edit_rows[:, CLOSED] > 0
    span = reach[:, None] * rows[:, SPREAD : SPREAD + 2] + SLACK_PX
    low = np.minimum(rows[:, START : START + 2], rows[:, END : END + 2]) - span
    high = np.maximum(rows[:, START : START + 2], rows[:, END : END + 2]) + span
    x0, x1 = grid.column(low[:, 0]), grid.column(high[:, 0])
    y0, y1 = grid.row(low[:, 1]), grid.row(high[:, 1])
    wide = reach * rows[:, SPREAD : SPREAD + 2].max(1) > WIDE_CELLS * grid.cell
    # Of a tapered line the nearest segment is not always the one that covers most.
    wide &= edit_rows[owner, TAPERED] == 0
    cells, sources = _expand(grid, x0, x1, y0, y1, np.flatnonzero(~wide))
    parts = [(cells, own[sources], owner[sources])]
    for edit in np.unique(owner[wide]):
        cells, sources = _expand(grid, x0, x1, y0, y1, np.flatnonzero(wide & (owner == edit)))
        kept = _can_be_nearest(grid, cells, rows[sources])
        parts.append((cells[kept], own[sources[kept]], owner[sources[kept]]))
    cells, numbers, edits = (np.concatenate(part) for part in zip(*parts, strict=True))
    outlines = [
        _outline_entries(
            grid, segments, own[owner == edit], int(edit), cells[edits == edit], numbers[edits == edit]
        )
        for edit in np.unique(owner[closed[owner]])
    ]
    lines = ~closed[edits]
    outlines.append((cells[lines], numbers[lines], edits[lines] << EDIT_SHIFT))
    cells, numbers, edits = (np.concatenate(part) for part in zip(*outlines, strict=True))
    return grid.first + cells, numbers, edits


def _expand(grid: CellGrid, x0: Ints, x1: Ints, y0: Ints, y1: Ints, which: Ints) -> tuple[Ints, Ints]:
    """Every cell of boxes of cells, and the box that it belongs to."""
    across = x1[which] - x0[which] + 1
    counts = across * (y1[which] - y0[which] + 1)
    sources = np.repeat(np.arange(len(which)), counts)
    place = np.arange(len(sources)) - np.repeat(np.cumsum(counts) - counts, counts)
    column = x0[which][sources] + place % across[sources]
    row = y0[which][sources] + place // across[sources]
    return row * grid.columns + column, which[sources]


def _can_be_nearest(grid: CellGrid, cells: Ints, rows: Floats) -> npt.NDArray[np.bool_]:
    """Which (cell, segment) pairs of one edit may hold the nearest segment of a place in the cell.

    A segment that is further from all of the cell than some other one is at most cannot.
    """
    row, column = np.divmod(cells, grid.columns)
    centre = np.stack((grid.x0 + (column + 0.5) * grid.cell, grid.y0 + (row + 0.5) * grid.cell), 1)
    start, end = rows[:, START : START + 2], rows[:, END : END + 2]
    # The largest and the smallest stretch of the way back to the drawn frame.
    to_drawn = rows[:, TO_DRAWN : TO_DRAWN + 4].astype(np.float64)
    total, area = (to_drawn**2).sum(1), rows[:, SCALE].astype(np.float64) ** 2
    largest = np.sqrt((total + np.sqrt(np.maximum(total**2 - 4 * area**2, 0))) / 2)
    smallest = area / np.maximum(largest, 1e-12)
    apart = np.hypot(*(centre - (start + end) / 2).T)
    half = np.hypot(*(end - start).T) / 2
    corner = grid.cell * math.sqrt(0.5) + SLACK_PX
    least = np.maximum(apart - half - corner, 0) * smallest
    most = (np.maximum(apart - half, 0) + half + corner) * largest
    nearest = np.full(grid.cells, np.inf)
    np.minimum.at(nearest, cells, most)
    # Cells at the border stand for all that lies beyond, of which their middle says nothing.
    border = (row == 0) | (column == 0) | (row == grid.rows - 1) | (column == grid.columns - 1)
    return (least <= nearest[cells]) | border


def _outline_entries(
    grid: CellGrid, segments: Floats, own: Ints, edit: int, near_cells: Ints, near: Ints
) -> tuple[Ints, Ints, Ints]:
    """Entries of one closed outline.

    Cells that its line can reach into get what reaches there, and all edges that a ray to the right can cross
    from there: those of the same row of cells that do not end left of it. Cells that lie wholly inside get
    one entry that says so.

    Args:
        own: its segments.
        near_cells, near: pairs of a cell and a segment that can reach into it.
    """
    start, end = segments[own, START : START + 2], segments[own, END : END + 2]
    y0, y1 = grid.row(np.minimum(start[:, 1], end[:, 1])), grid.row(np.maximum(start[:, 1], end[:, 1]))
    rightmost = grid.column(np.maximum(start[:, 0], end[:, 0]))
    reached = np.unique(near_cells)
    row, column = np.divmod(reached, grid.columns)
    cells, numbers = [near_cells], [near]
    for one in np.unique(row):
        here = column[row == one]
        edges = np.flatnonzero((y0 <= one) & (one <= y1))
        place, edge = np.nonzero(here[:, None] <= rightmost[edges])
        cells.append(one * grid.columns + here[place])
        numbers.append(own[edges[edge]])
    inside = _cells_inside(grid, start, end)
    inside[reached] = False
    solid = np.flatnonzero(inside)
    # Each pair once: an edge that is crossed twice is not crossed at all.
    pairs = np.unique(np.concatenate(cells) * len(segments) + np.concatenate(numbers))
    edits = np.full(len(pairs), edit << EDIT_SHIFT)
    return (
        np.concatenate((pairs // len(segments), solid)),
        np.concatenate((pairs % len(segments), np.full(len(solid), NO_SEGMENT))),
        np.concatenate((edits, np.full(len(solid), edit << EDIT_SHIFT | SOLID))),
    )


def _cells_inside(grid: CellGrid, start: Floats, end: Floats) -> npt.NDArray[np.bool_]:
    """Whether the middle of each cell lies inside an outline, by the even-odd rule. [cells]."""
    middles = grid.y0 + (np.arange(grid.rows) + 0.5) * grid.cell
    low = np.searchsorted(middles, np.minimum(start[:, 1], end[:, 1]))
    high = np.searchsorted(middles, np.maximum(start[:, 1], end[:, 1]))
    edge = np.repeat(np.arange(len(start)), high - low)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(high - low) - (high - low), high - low) + low[edge]
    rise = end[edge, 1] - start[edge, 1]
    share = (middles[row] - start[edge, 1]) / rise
    crossing = start[edge, 0] + share * (end[edge, 0] - start[edge, 0])
    # All cells whose middle lies left of the crossing change sides.
    left = np.clip(np.ceil((crossing - grid.x0) / grid.cell - 0.5), 0, grid.columns).astype(np.int64)
    counts = np.bincount(row * (grid.columns + 1) + left, minlength=grid.rows * (grid.columns + 1))
    counts = counts.reshape(grid.rows, grid.columns + 1)[:, ::-1].cumsum(1)[:, ::-1]
    return (counts[:, 1:] % 2 == 1).ravel()
