"""Cells of the atlases and of pictures, and which of them a segment reaches into."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inve_core.model import LayeredAtlas

Ints = npt.NDArray[np.int64]

CELL_PX = 8.0
MOST_CELLS_A_SIDE = 1024
# Room around a video layer's box, as a share of its size; what lies further off counts to the border's cells.
MARGIN = 0.25
# Along the longer side of a picture; there is one cell of room around it, since no pixel lies outside.
PICTURE_CELLS = 64


@dataclass(frozen=True)
class CellGrid:
    """The cells of one video layer's atlas or of a frame; a place outside counts to the nearest."""

    x0: float
    y0: float
    cell: float
    columns: int
    rows: int
    first: int  # its first cell among those of all layers and frames

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


class CellGrids(NamedTuple):
    """All grids of a shot.

    Attributes:
        atlas: each video layer's.
        picture: that of any frame that is drawn on, in picture pixels; its first cell depends on the frame.
        picture_px: how many picture pixels a pixel of the working size spans at most, in x or y.
    """

    atlas: tuple[CellGrid, ...]
    picture: CellGrid
    picture_px: float

    @property
    def atlas_cells(self) -> int:
        """Number of cells of all video layers."""
        return self.atlas[-1].first + self.atlas[-1].cells


def picture_cells(width: int, height: int) -> CellGrid:
    """Cells over a picture, and one around it."""
    cell = max(CELL_PX, max(width, height) / PICTURE_CELLS)
    return CellGrid(-cell, -cell, cell, math.ceil(width / cell) + 2, math.ceil(height / cell) + 2, 0)


def cell_grids(model: LayeredAtlas) -> CellGrids:
    """Cells over each video layer's box and some room around it, and over the picture."""
    grids: list[CellGrid] = []
    for box in model.geometry.boxes:
        extent = box.size * (1 + 2 * MARGIN)
        cell = max(CELL_PX, extent / MOST_CELLS_A_SIDE)
        side = max(1, math.ceil(extent / cell))
        first = grids[-1].first + grids[-1].cells if grids else 0
        grids.append(
            CellGrid(box.x0 - MARGIN * box.size, box.y0 - MARGIN * box.size, cell, side, side, first)
        )
    grid = model.geometry.grid
    return CellGrids(tuple(grids), picture_cells(grid.width, grid.height), max(grid.factors))


@dataclass(frozen=True, eq=False)
class Reached:
    """Boxes of cells that segments reach into.

    Attributes:
        columns, rows: each the first and the last one, [n] and [n].
        owner: [n] the edit that each belongs to, not falling.
    """

    columns: tuple[Ints, Ints]
    rows: tuple[Ints, Ints]
    owner: Ints

    def cells(self, grid: CellGrid, which: Ints) -> tuple[Ints, Ints]:
        """Every cell of some of the boxes, and the box that it belongs to."""
        (x0, x1), (y0, y1) = ((low[which], high[which]) for low, high in (self.columns, self.rows))
        across = x1 - x0 + 1
        counts = across * (y1 - y0 + 1)
        sources = np.repeat(np.arange(len(which)), counts)
        place = np.arange(len(sources)) - np.repeat(np.cumsum(counts) - counts, counts)
        column, row = x0[sources] + place % across[sources], y0[sources] + place // across[sources]
        return row * grid.columns + column, which[sources]


class Occupied(NamedTuple):
    """Which cells of a rectangle of a grid some edits reach into.

    Attributes:
        column, row: its first cell.
        sums: [rows + 1, columns + 1] int32, how many of the cells above and left of each corner.
    """

    column: int
    row: int
    sums: npt.NDArray[np.int32]

    @classmethod
    def by(cls, cells: npt.NDArray[np.bool_], column: int = 0, row: int = 0) -> "Occupied":
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
