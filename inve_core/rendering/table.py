"""The table that pixels are painted from: for each cell of the atlas, the segments that can reach into it.

Behind the atlas's cells come those of each frame that was drawn on. On that frame a pixel finds what was
drawn there by its place in the picture, and what was drawn elsewhere by its uv: so an edit lies on its own
frame exactly where it was drawn, however the map bends.

Strokes and outlines of consecutive edit layers become one table. A pixel finds its cell by its uv, walks the
cell's entries in the order of the edits, keeps the distance to the nearest segment of each edit, and lays the
edit over what it has so far. How many edits there are elsewhere does not matter to it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inve_core.rendering.cells import CellGrid, CellGrids, Ints, Occupied, Reached
from inve_core.rendering.chains import (
    END,
    SCALE,
    SEGMENT_FLOATS,
    SPREAD,
    START,
    WIDTHS,
    MappedLine,
)
from inve_core.rendering.edit_rows import (
    ADJUSTS,
    BLEND,
    CLOSED,
    EDIT_FLOATS,
    FRAME,
    HEAD_FLOATS,
    LAYER_BLEND,
    RADIUS,
    SOFTNESS,
    TAPERED,
    VIDEO_LAYER,
)
from inve_core.rendering.thinning import SLACK_PX, Tapered, nearness, thinned

Floats = npt.NDArray[np.float32]
Floats64 = npt.NDArray[np.float64]

# From this reach on, in cells, it pays to leave out segments that matter nowhere in the cell.
WIDE_CELLS = 2.0

# So many parts of what is known of a table's cells are gone through before they are counted anew.
MOST_PARTS = 6

# The second number of an entry: the edit, whether the cell is one of the frame that it was drawn on, whether
# the whole cell lies inside of its outline, and whether this is the edit's last entry in the cell.
EDIT_SHIFT, DRAWN, SOLID, LAST = 3, 4, 2, 1
# A segment that is nowhere near anything, for cells deep inside an outline.
NO_SEGMENT = 0
FAR_AWAY_PX = 1e6


@dataclass(frozen=True, eq=False)
class PaintTable:
    """Edits, their segments, and which of them reach into which cell.

    Attributes:
        grids: cells of each video layer, and of a picture.
        footprint_px: what is in the table holds for pixels that span up to so many atlas pixels, and on the
            frames that were drawn on, so many pixels of the working size.
        edits: [edits, EDIT_FLOATS], bottom to top.
        segments: [segments, SEGMENT_FLOATS]; the first is NO_SEGMENT.
        starts: [cells + 1] int32, where each cell's entries begin.
        entries: [entries, 2] int32, segment and edit (see EDIT_SHIFT), in the order of the edits.
        drawn: the first cell of each frame that was drawn on, by the frame's index.
    """

    grids: CellGrids
    footprint_px: float
    edits: Floats
    segments: Floats
    starts: npt.NDArray[np.int32]
    entries: npt.NDArray[np.int32]
    drawn: dict[int, int] = field(default_factory=dict)
    _copies: dict[tuple[str, torch.device], tuple[Tensor, ...]] = field(default_factory=dict, init=False)
    # By grid; together they are all cells that have entries.
    _occupied: dict[CellGrid, tuple[Occupied, ...]] = field(default_factory=dict, init=False)

    @cached_property
    def layers(self) -> tuple[int, ...]:
        """Video layers that some edit lies on."""
        return tuple(int(k) for k in np.unique(self.edits[:, VIDEO_LAYER]))

    @cached_property
    def layers_drawn(self) -> dict[int, tuple[int, ...]]:
        """Video layers that some edit lies on, by the index of the frame that it was drawn on."""
        pairs = np.unique(self.edits[:, [FRAME, VIDEO_LAYER]], axis=0).astype(int).tolist()
        return {frame: tuple(k for other, k in pairs if other == frame) for frame in self.drawn}

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
        return self._reaches(self.grids.atlas[layer], low, high)

    def reaches_on_frame(self, frame: int, low: Floats64, high: Floats64) -> npt.NDArray[np.bool_]:
        """Whether boxes of picture pixels hold a cell that some edit drawn on that frame reaches into."""
        if frame not in self.drawn:
            return np.zeros(len(low), bool)
        return self._reaches(replace(self.grids.picture, first=self.drawn[frame]), low, high)

    def _reaches(self, grid: CellGrid, low: npt.NDArray, high: npt.NDArray) -> npt.NDArray[np.bool_]:
        if grid not in self._occupied:
            starts = self.starts[grid.first : grid.first + grid.cells + 1]
            cells = (starts[1:] > starts[:-1]).reshape(grid.rows, grid.columns)
            self._occupied[grid] = (Occupied.by(cells),)
        x0, x1 = grid.column(low[:, 0]), grid.column(high[:, 0]) + 1
        y0, y1 = grid.row(low[:, 1]), grid.row(high[:, 1]) + 1
        return np.any([one.within(x0, x1, y0, y1) for one in self._occupied[grid]], 0)

    def _extend(self, below: "PaintTable", cells: npt.NDArray[np.integer]) -> None:
        """Know what a table of the first edits knows of its cells, and those [n] of what was added to it."""
        for grid, known in below._occupied.items():
            # To count all cells anew takes longer than a stroke should, to go through many parts as well.
            if len(known) > MOST_PARTS:
                continue
            own = cells[(cells >= grid.first) & (cells < grid.first + grid.cells)] - grid.first
            if len(own):
                row, column = np.divmod(own, grid.columns)
                first_row, first_column = int(row.min()), int(column.min())
                row, column = row - first_row, column - first_column
                part = np.zeros((int(row.max()) + 1, int(column.max()) + 1), bool)
                part[row, column] = True
                known = (*known, Occupied.by(part, first_column, first_row))
            self._occupied[grid] = known

    def first_cells(self, frames: Ints) -> Ints:
        """The first cell of the pictures of frame indices [n], -1 of those that nothing was drawn on."""
        unique, which = np.unique(frames, return_inverse=True)
        return np.array([self.drawn.get(frame, -1) for frame in unique.tolist()], np.int64)[which]

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

    def run_homes_on(self, device: torch.device) -> tuple[Tensor, ...]:
        """The frames that the edits of `runs` were drawn on, and their video layers, on a device."""

        def make() -> tuple[Tensor, ...]:
            homes = self.edits[:, [FRAME, VIDEO_LAYER]][self.runs[2] >> EDIT_SHIFT].astype(np.int64)
            return tuple(torch.from_numpy(one).to(device) for one in np.ascontiguousarray(homes.T))

        return self.copied("homes", device, make)

    def copied(
        self, what: str, device: torch.device, make: Callable[[], tuple[Tensor, ...]]
    ) -> tuple[Tensor, ...]:
        """What belongs to the table on a device under a name; made at the first call."""
        key = (what, device)
        if key not in self._copies:
            self._copies[key] = make()
        return self._copies[key]


def build_table(
    grids: CellGrids,
    lines: Sequence[MappedLine],
    rows: Floats,
    footprint_px: float,
    below: PaintTable | None = None,
) -> PaintTable:
    """Sort edits into cells.

    Args:
        lines: where each edit lies, bottom to top.
        rows: each edit's numbers, [edits, EDIT_FLOATS].
        footprint_px: the largest span of a pixel that the table must hold for; see `PaintTable`.
        below: a table of the first of these edits for the same pixels, to which the others are added.
    """
    if below is None:
        nowhere = np.zeros((1, SEGMENT_FLOATS), np.float32)
        nowhere[0, START : START + 4] = -FAR_AWAY_PX
        empty = np.zeros(grids.atlas_cells + 1, np.int32)
        nothing = np.zeros((0, EDIT_FLOATS), np.float32)
        below = PaintTable(grids, footprint_px, nothing, nowhere, empty, np.zeros((0, 2), np.int32))
    had = len(below.edits)
    lines, rows = lines[had:], rows[had:].copy()
    rows[:, VIDEO_LAYER], rows[:, FRAME] = [line.layer for line in lines], [line.frame for line in lines]
    drawn, starts = _with_frames(below, lines)
    segments = np.concatenate([below.segments, *[part for line in lines for part in line.parts]])
    cells, numbers, edits = _new_entries(grids, lines, rows, segments, drawn, footprint_px)
    # A stable sort keeps an edit's segments in their order.
    order = np.argsort(cells * (len(lines) + 1) + (edits >> EDIT_SHIFT), kind="stable")
    cells, numbers, edits = cells[order], numbers[order], edits[order]
    last = np.ones(len(cells), bool)
    last[:-1] = (cells[1:] != cells[:-1]) | (edits[1:] >> EDIT_SHIFT != edits[:-1] >> EDIT_SHIFT)
    edits = (edits + (had << EDIT_SHIFT)) | np.where(last, LAST, 0)
    # Edits further up go behind what a cell has already. An entry's two numbers as one are quicker to insert.
    added = np.stack((numbers, edits), 1).astype(np.int32).view(np.int64)[:, 0]
    joined = np.insert(below.entries.view(np.int64)[:, 0], starts[cells + 1], added)
    entries = joined.view(np.int32).reshape(-1, 2)
    # What begins behind n of the new entries begins n later.
    starts += np.repeat(
        np.arange(len(cells) + 1, dtype=np.int32), np.diff(cells + 1, prepend=0, append=len(starts))
    )
    every = np.concatenate((below.edits, rows))
    made = PaintTable(grids, footprint_px, every, segments, starts, entries, drawn)
    made._extend(below, cells)
    return made


def _with_frames(
    below: PaintTable, lines: Sequence[MappedLine]
) -> tuple[dict[int, int], npt.NDArray[np.int32]]:
    """A table's `drawn` and `starts` with cells for the frames that more lines were drawn on."""
    drawn, cells = dict(below.drawn), len(below.starts) - 1
    for line in lines:
        if line.drawn is not None and line.frame not in drawn:
            drawn[line.frame] = cells
            cells += below.grids.picture.cells
    more = np.full(cells + 1 - len(below.starts), below.starts[-1], np.int32)
    return drawn, np.concatenate((below.starts, more))


def _new_entries(
    grids: CellGrids,
    lines: Sequence[MappedLine],
    rows: Floats,
    segments: Floats,
    drawn: dict[int, int],
    footprint_px: float,
) -> tuple[Ints, Ints, Ints]:
    """Cells, segments and edits (shifted, from the first of them on) of some edits, in no order.

    Args:
        lines, rows: of these edits.
        segments: of the whole table; theirs are the last.
        drawn, footprint_px: as in `PaintTable`.
    """
    parts = [part for line in lines for part in line.parts]
    counts = np.array([len(part) for part in parts], np.int64)
    before = len(segments) - int(counts.sum())
    new = segments[before:]
    # What was drawn on a frame has segments in the atlas and then those on that frame.
    part_edit = np.repeat(np.arange(len(lines)), np.array([len(line.parts) for line in lines], np.int64))
    part_drawn = np.diff(part_edit, prepend=-1) == 0
    part = np.repeat(np.arange(len(counts)), counts)
    owner, is_drawn = part_edit[part], part_drawn[part]
    scale = np.maximum.reduceat(new[:, SCALE], np.cumsum(counts) - counts) if len(lines) else np.zeros(0)
    spans = footprint_px * np.where(part_drawn, grids.picture_px, 1.0)
    # Beyond this distance, on the drawn frame, no pixel of that span is covered by the segment.
    widest = new[:, WIDTHS : WIDTHS + 2].max(1)
    line_radius = rows[:, RADIUS] * (rows[:, CLOSED] == 0)
    reach = np.maximum(widest * rows[owner, SOFTNESS], (spans * scale / 2)[part])
    reach += widest * line_radius[owner]
    wanted = [(grid, ~is_drawn & (rows[owner, VIDEO_LAYER] == k)) for k, grid in enumerate(grids.atlas)]
    wanted += [
        (replace(grids.picture, first=drawn[frame]), is_drawn & (rows[owner, FRAME] == frame))
        for frame in dict.fromkeys(line.frame for line in lines if line.drawn is not None)
    ]
    found: list[tuple[Ints, Ints, Ints]] = [(np.zeros(0, np.int64),) * 3]
    for grid, which in wanted:
        own = np.flatnonzero(which)
        if len(own):
            span = float(spans[part[own[0]]])
            found.append(_grid_entries(grid, segments, own + before, owner[own], reach[own], rows, span))
    cells, numbers, edits = (np.concatenate(one) for one in zip(*found, strict=True))
    edits[cells >= grids.atlas_cells] |= DRAWN
    return cells, numbers, edits


def _grid_entries(
    grid: CellGrid,
    segments: Floats,
    own: Ints,
    owner: Ints,
    reach: Floats,
    edit_rows: Floats,
    footprint_px: float,
) -> tuple[Ints, Ints, Ints]:
    """Cells, segments and edits (shifted) of the segments `own` of one video layer or frame.

    Args:
        owner, reach: [own] the edit of each, and how far it reaches in drawn pixels.
        edit_rows: of all edits.
        footprint_px: the largest span of a pixel, in what the grid is measured in.
    """
    rows, closed = segments[own], edit_rows[:, CLOSED] > 0
    span = reach[:, None] * rows[:, SPREAD : SPREAD + 2] + SLACK_PX
    low = np.minimum(rows[:, START : START + 2], rows[:, END : END + 2]) - span
    high = np.maximum(rows[:, START : START + 2], rows[:, END : END + 2]) + span
    reached = Reached(
        (grid.column(low[:, 0]), grid.column(high[:, 0])), (grid.row(low[:, 1]), grid.row(high[:, 1])), owner
    )
    wide = reach * rows[:, SPREAD : SPREAD + 2].max(1) > WIDE_CELLS * grid.cell
    tapered = edit_rows[owner, TAPERED] > 0
    taper = Tapered.of(rows, edit_rows[owner], footprint_px)
    found = [
        reached.cells(grid, np.flatnonzero(~wide)),
        thinned(grid, reached, rows, np.flatnonzero(wide & ~tapered), nearness),
        thinned(grid, reached, rows, np.flatnonzero(wide & tapered), taper.cover),
    ]
    cells, sources = (np.concatenate(part) for part in zip(*found, strict=True))
    numbers, edits = own[sources], owner[sources]
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
