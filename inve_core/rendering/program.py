"""What a stack comes down to: tables of lines and layers of textures, bottom to top, kept between frames."""

import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from functools import cached_property

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from inve_core.edits import EditLayer, EditStack, Line, Texture
from inve_core.model import LayeredAtlas
from inve_core.rendering.cells import CellGrids, cell_grids
from inve_core.rendering.chains import LineMapper, MappedLine
from inve_core.rendering.edit_rows import Placed, edit_rows, flattened
from inve_core.rendering.fields import (
    LARGEST_FOOTPRINT_PX,
    TILE,
    DrawnPixel,
    FieldCache,
    FrameSize,
    TileIndices,
)
from inve_core.rendering.painting import Work
from inve_core.rendering.table import PaintTable, build_table

PROGRAMS_KNOWN = 4
WORKS_KNOWN = 1024
# Tables are made for pixels that span up to a power of two of atlas pixels.
SMALLEST_FOOTPRINT, LARGEST_FOOTPRINT = -4, round(math.log2(LARGEST_FOOTPRINT_PX))


@dataclass(frozen=True)
class Window:
    """The part of a frame that is painted on, in pixels of the rendered size."""

    x: int
    y: int
    width: int
    height: int


@dataclass(eq=False)
class TextureStep:
    """One edit layer of textures."""

    layer: EditLayer

    @cached_property
    def edits(self) -> tuple[Texture, ...]:
        """Its edits, bottom to top; those that stick to "auto" stick to what the layer says."""
        return tuple(
            edit if edit.video_layer != "auto" else replace(edit, video_layer=self.layer.video_layer)
            for edit in self.layer.edits
            if isinstance(edit, Texture)
        )


@dataclass(eq=False)
class TableStep:
    """Consecutive edit layers of strokes and adjustments, and their tables by the pixel's span."""

    layers: tuple[EditLayer, ...]
    grids: CellGrids
    edits: list[Line]
    places: list[Placed]
    lines: list[MappedLine]
    rows: npt.NDArray[np.float32]
    # Tables of the first of these edits, made before there were more.
    below: dict[int, PaintTable]
    # The exponent of the table that tiles of a frame wanted the last time; only a guess for the next.
    spans: dict[FrameSize, int] = field(default_factory=dict)
    _tables: dict[int, PaintTable] = field(default_factory=dict)
    _works: OrderedDict[tuple[FrameSize, Window], tuple[int, list[tuple[PaintTable, Work]]]] = field(
        default_factory=OrderedDict
    )

    def table(self, exponent: int) -> PaintTable:
        """The table for pixels that span up to 2^exponent atlas pixels."""
        if exponent not in self._tables:
            below = self.below.pop(exponent, None)
            self._tables[exponent] = build_table(self.grids, self.lines, self.rows, 2.0**exponent, below)
        return self._tables[exponent]

    def begins(self, edits: list[Line], places: list[Placed]) -> bool:
        """Whether this step's edits are the first of some others."""
        count = len(self.edits)
        return 0 < count <= len(edits) and edits[:count] == self.edits and places[:count] == self.places

    def tables(self) -> dict[int, PaintTable]:
        """The tables made so far, by exponent."""
        return dict(self._tables)

    def works(self, fields: FieldCache, size: FrameSize, window: Window) -> Iterator[tuple[PaintTable, Work]]:
        """Tiles of a frame that the edits can touch, with their fields worked out, and the table for them.

        Where there is more than one, paint each before asking for the next: they do not fit side by side.
        """
        if not self.lines:
            return
        key = (size, window)
        known = self._works.get(key)
        if known is not None and known[0] == fields.generation:
            self._works.move_to_end(key)
            yield from known[1]
            return
        tiles = size.tiles_within(
            window.x, window.y, window.x + window.width - 1, window.y + window.height - 1
        )
        # An edit's tiles are found with a table for common pixels; where they hold larger ones, once more.
        exponent = self.spans.get(size)
        if exponent is None:
            exponent = exponent_of(float(np.median(fields.bounds(size).footprint)))
        table, active = self._active(fields, size, tiles, exponent)
        kept = active.any(1)
        tiles, active = tiles[kept], active[kept]
        if len(tiles) > fields.capacity:
            for low in range(0, len(tiles), fields.capacity):
                part = slice(low, low + fields.capacity)
                yield self._work(fields, size, window, tiles[part], table, active[part])
            return
        found = [self._work(fields, size, window, tiles, table, active)] if len(tiles) else []
        self._works[key] = (fields.generation, found)
        while len(self._works) > WORKS_KNOWN:
            self._works.popitem(last=False)
        yield from found

    def _active(
        self, fields: FieldCache, size: FrameSize, tiles: TileIndices, exponent: int
    ) -> tuple[PaintTable, npt.NDArray[np.bool_]]:
        """A table that holds for the tiles' pixels, and which video layers have edits in which tile."""
        bounds = fields.bounds(size)
        pixel = DrawnPixel.of(fields.model.geometry.grid, size)
        low, high = (
            (size.corners(tiles) + side) * np.array((pixel.width, pixel.height)) for side in (0, TILE)
        )
        while True:
            table = self.table(exponent)
            active = np.zeros((len(tiles), len(self.grids.atlas)), bool)
            own_layers = table.layers_drawn.get(size.t, ())
            on_frame = table.reaches_on_frame(size.t, low, high)
            for k in table.layers:
                reached = table.reaches(k, bounds.low[tiles, k], bounds.high[tiles, k])
                if k in own_layers:
                    reached |= on_frame
                active[:, k] = reached & bounds.seen[tiles, k]
            largest = float(bounds.footprint[tiles][active].max(initial=0.0))
            needed = exponent_of(max(largest, pixel.span / self.grids.picture_px) if own_layers else largest)
            if needed <= exponent:
                self.spans[size] = exponent
                return table, active
            exponent = needed

    def _work(
        self,
        fields: FieldCache,
        size: FrameSize,
        window: Window,
        tiles: TileIndices,
        table: PaintTable,
        active: npt.NDArray[np.bool_],
    ) -> tuple[PaintTable, Work]:
        """Work out the tiles' fields, after which less of them may be reached; see `_active`."""
        while True:
            before = fields.generation
            slots = fields.slots(size, tiles, ())
            for k in table.layers:
                fields.slots(size, tiles[active[:, k]], (k,))
            if fields.generation == before:
                break
            # Now that their pixels are worked out it is known exactly what they show, and their span.
            table, active = self._active(fields, size, tiles, self.spans[size])
        kept = active.any(1)
        corners = size.corners(tiles[kept])
        places = np.concatenate((np.zeros((len(corners), 1), np.int64), corners - (window.x, window.y)), 1)
        frames, pixel = np.full(len(corners), size.t), DrawnPixel.of(fields.model.geometry.grid, size)
        return table, Work(places, slots[kept], active[kept], frames, corners, pixel)


Step = TableStep | TextureStep


def exponent_of(footprint_px: float) -> int:
    """Of the smallest tables that hold for pixels that span so many atlas pixels."""
    smallest = 2.0**SMALLEST_FOOTPRINT
    return min(LARGEST_FOOTPRINT, math.ceil(math.log2(max(footprint_px, smallest)) - 1e-6))


class Programs:
    """Turns stacks into steps; keeps the last ones, and every line's place in the atlas."""

    def __init__(self, model: LayeredAtlas):
        self._map = LineMapper(model)
        self._grids = cell_grids(model)
        self._known: list[tuple[EditStack, bool, list[Step]]] = []

    def record(self) -> None:
        """Get ready for edits that come one by one; see `LineNetworks.record`."""
        self._map.networks.record()

    def steps(self, stack: EditStack, *, apart: bool) -> list[Step]:
        """The steps of a stack, bottom to top; `apart` keeps every edit layer to itself.

        Raises:
            PointError: an edit names a frame or a video layer that the shot lacks.
        """
        for number, (known, was_apart, steps) in enumerate(self._known):
            if was_apart == apart and (known is stack or known == stack):
                self._known.insert(0, self._known.pop(number))
                return steps
        steps = self._make(stack, apart)
        self._known.insert(0, (stack, apart, steps))
        del self._known[PROGRAMS_KNOWN:]
        return steps

    def _make(self, stack: EditStack, apart: bool) -> list[Step]:
        groups: list[list[EditLayer]] = []
        for layer in stack.rendered:
            joins = layer.kind != "texture" and groups and groups[-1][0].kind != "texture"
            if joins and not apart:
                groups[-1].append(layer)
            else:
                groups.append([layer])
        return [
            TextureStep(group[0]) if group[0].kind == "texture" else self._table_step(tuple(group))
            for group in groups
        ]

    def _table_step(self, layers: tuple[EditLayer, ...]) -> TableStep:
        edits, places = flattened(layers)
        known = (step for _, _, steps in self._known for step in steps if isinstance(step, TableStep))
        # Mostly an artist adds to what is there: then only that is mapped and sorted in. It takes a while to
        # compare many edits, and the longest that fits will do.
        longest_first = sorted(known, key=lambda step: len(step.edits), reverse=True)
        below = next((step for step in longest_first if step.begins(edits, places)), None)
        if below is None:
            lines, rows = self._map(edits), edit_rows(edits, places)
            return TableStep(layers, self._grids, edits, places, lines, rows, {})
        count = len(below.edits)
        if count == len(edits):
            return replaced(below, layers=layers)
        lines = below.lines + self._map(edits[count:])
        rows = np.concatenate((below.rows, edit_rows(edits[count:], places[count:])))
        return TableStep(layers, self._grids, edits, places, lines, rows, below.tables(), dict(below.spans))
