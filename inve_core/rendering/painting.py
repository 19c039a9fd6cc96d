"""Painting pixels from a table of segments, in torch: every device's fallback, and what a CPU runs.

Work is done on lists of (pixel, edit) and (pixel, segment) pairs, so that the time goes with what is covered
and not with how many edits there are. `triton_paint` does the same in one launch; `reference` says the same
slowly.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inve_core.rendering import edit_rows, strokes, table
from inve_core.rendering.blending import stored
from inve_core.rendering.cells import Ints
from inve_core.rendering.chains import (
    ALONG,
    END,
    OPACITIES,
    PER_LENGTH,
    SCALE,
    SLOPE,
    START,
    TO_DRAWN,
    WIDTHS,
)
from inve_core.rendering.compositing import composite
from inve_core.rendering.fields import FULL, LARGEST_FOOTPRINT_PX, TILE, TILE_PIXELS, DrawnPixel
from inve_core.rendering.table import PaintTable

# Coverage below this is none: half a step of an 8-bit matte.
FAINTEST = 1 / 512
TILES_A_CALL = 64
# On a CPU what is worked on at once should stay in its cache.
PAIRS_A_CALL = {"cpu": 1 << 17, "cuda": 1 << 22}


# What of `Work` is a row for each tile.
_BY_TILE = ("places", "slots", "active", "frames", "corners")


class TileFields(Protocol):
    """Tiles: uv [slots, layers, TILE, TILE, 2], visible [slots, TILE, TILE, layers]; see `FieldCache`."""

    @property
    def uv(self) -> Tensor:
        """Atlas pixels, float32."""

    @property
    def visible(self) -> Tensor:
        """From 0 to FULL, int16."""


@dataclass(frozen=True, eq=False)
class Work:
    """Tiles to paint on, of one frame or of several of one size.

    Attributes:
        places: [n, 3] picture in the batch, and x and y of the tile's corner on it; may lie outside. On a
            canvas of single pixels the first is a tile of its `index`, and the others say nothing.
        slots: [n] where the tile's fields are.
        active: [n, layers] which video layers have an edit there, and uv that are worked out.
        frames: [n] index of the frame, or NO_FRAME: what was drawn on that one lies there as it was drawn.
        corners: [n, 2] x and y of the tile's corner on its frame.
        pixel: of the frame.
    """

    places: Ints
    slots: Ints
    active: npt.NDArray[np.bool_]
    frames: Ints
    corners: Ints
    pixel: DrawnPixel

    def __len__(self) -> int:
        return len(self.slots)

    def of(self, which: slice | Ints) -> "Work":
        """Some of the tiles."""
        return replace(self, **{name: getattr(self, name)[which] for name in _BY_TILE})

    def on_picture(self, number: int) -> "Work":
        """The same tiles on another picture of the batch."""
        places = self.places.copy()
        places[:, 0] = number
        return replace(self, places=places)

    @classmethod
    def joined(cls, works: Sequence["Work"]) -> "Work":
        """All tiles of several."""
        columns = {name: np.concatenate([getattr(work, name) for work in works]) for name in _BY_TILE}
        return cls(**columns, pixel=works[0].pixel)


@dataclass(frozen=True, eq=False)
class Canvas:
    """Pictures that are painted on in place, or single pixels of some tiles that hold several colours each.

    Attributes:
        pixels: [k, h, w, 4] float16 or float32; pixels that nothing touches keep their bits. With an `index`
            [rows, layers, 4] float32, of each video layer by itself: its edits are painted over its own
            colour, as if it were seen wholly.
        touched: [k, h, w] or [rows, layers] bool, set where something did.
        painted: as `pixels`, float32, premultiplied, where asked for: what, laid *over* the pixels as they
            were, makes them what they are. The table must then hold one edit layer alone.
        index: [tiles, TILE, TILE] int32, where in the rows a tile's pixel is, -1 where it is none of them.
    """

    pixels: Tensor
    touched: Tensor
    painted: Tensor | None = None
    index: Tensor | None = None


@torch.no_grad()
def paint(edits: PaintTable, fields: TileFields, work: Work, canvas: Canvas) -> None:
    """Paint a table's edits on tiles of a canvas."""
    for low in range(0, len(work), TILES_A_CALL):
        _paint_tiles(edits, fields, work.of(slice(low, low + TILES_A_CALL)), canvas)


def _paint_tiles(edits: PaintTable, fields: TileFields, work: Work, canvas: Canvas) -> None:
    device, layers = canvas.pixels.device, fields.uv.shape[1]
    places = torch.from_numpy(work.places).to(device)
    if canvas.index is None:
        inside, targets = _on_pictures(places, canvas.pixels)
    else:
        rows = canvas.index[places[:, 0]].view(-1).long()
        inside, targets = rows >= 0, torch.cat([rows * layers + layer for layer in range(layers)])
    found, whole = [], canvas.index is not None
    firsts = edits.first_cells(work.frames)
    for layer in edits.layers:
        own = np.flatnonzero(work.active[:, layer])
        if len(own):
            found.append(_covers(edits, fields, work, own, firsts[own], layer, inside, whole))
    own = _drawn_tiles(edits, work)
    if len(own):
        found.append(_drawn_covers(edits, fields, work, own, firsts[own], inside, whole))
    if not found:
        return
    pixels, numbers, covers = (torch.cat(part) for part in zip(*found, strict=True))
    if not len(pixels):
        return
    if whole:
        # Each layer by itself.
        pixels = pixels + edits.heads(device)[numbers, edit_rows.VIDEO_LAYER].long() * len(inside)
    if len(found) > 1:
        order = (pixels * len(edits.edits) + numbers).argsort()
        pixels, numbers, covers = pixels[order], numbers[order], covers[order]
    _composite(edits, targets, pixels, numbers, covers, canvas)


def _on_pictures(places: Tensor, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Which of tiles' pixels lie on pictures [k, h, w, 4], and where among all of their pixels: [pixels]."""
    _, height, width, _ = pictures.shape
    offsets = torch.arange(TILE, device=places.device)
    x = (places[:, 1, None] + offsets)[:, None, :]
    y = (places[:, 2, None] + offsets)[:, :, None]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return inside.view(-1), ((places[:, 0, None, None] * height + y) * width + x).view(-1)


class _Seen(NamedTuple):
    """Pixels in whose cells are edits.

    Attributes:
        pixel: [p] counted through all tiles.
        places: [p, 2] where it lies in the atlas, or on the frame that was drawn on.
        area: [p] of the pixel there.
        first, counts: [p] the runs of its cell; see `PaintTable.runs`.
    """

    pixel: Tensor
    places: Tensor
    area: Tensor
    first: Tensor
    counts: Tensor

    def runs(self) -> tuple[Tensor, Tensor]:
        """One row for each pixel and each edit that may reach it: which of the pixels, and the run."""
        owner = torch.arange(len(self.pixel), device=self.pixel.device).repeat_interleave(self.counts)
        before = self.counts.cumsum(0) - self.counts - self.first
        return owner, torch.arange(len(owner), device=owner.device) - before[owner]


def _covers(
    edits: PaintTable,
    fields: TileFields,
    work: Work,
    tiles: Ints,
    firsts: Ints,
    layer: int,
    inside: Tensor,
    whole: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """What one video layer's edits cover: pixels (counted through all tiles), edits, and how much, by pixel.

    What was drawn on a tile's own frame is left to `_drawn_covers`.

    Args:
        tiles: the tiles where the layer has edits.
        firsts: [tiles] see `PaintTable.first_cells`.
        inside: [all tiles' pixels] bool.
        whole: whether the layer counts as seen wholly where it is seen at all.
    """
    where = torch.from_numpy(work.slots[tiles]).to(inside.device)
    uv = fields.uv[where, layer].view(-1, 2)
    shown = fields.visible[where][..., layer].reshape(-1)
    numbered = _numbered(tiles, inside.device)
    grid = edits.grids.atlas[layer]
    column, row = ((uv - uv.new_tensor((grid.x0, grid.y0))) / grid.cell).floor().unbind(-1)
    # A place that is no number lies in no cell.
    known = (column == column) & (row == row)
    cell = row.nan_to_num().clamp(0, grid.rows - 1) * grid.columns
    cell = (cell + column.nan_to_num().clamp(0, grid.columns - 1)).long() + grid.first
    first, counts = _runs_of(edits, cell)
    pixel = (known & (counts > 0) & (shown > 0) & inside[numbered]).nonzero()[:, 0]
    seen = _Seen(numbered[pixel], uv[pixel], _areas(uv, pixel), first[pixel], counts[pixel])
    owner, run = seen.runs()
    if (firsts >= 0).any():
        frames = torch.from_numpy(work.frames).to(inside.device)[seen.pixel // TILE_PIXELS]
        elsewhere = (edits.run_homes_on(run.device)[0][run] != frames[owner]).nonzero()[:, 0]
        owner, run = owner[elsewhere], run[elsewhere]
    visible = torch.ones_like(seen.area) if whole else shown[pixel].float() / FULL
    return _covered(edits, seen, owner, run, visible[owner])


def _drawn_tiles(edits: PaintTable, work: Work) -> Ints:
    """Tiles that edits which were drawn on their own frames can reach."""
    pixel = np.array((work.pixel.width, work.pixel.height))
    low, high = (work.corners + side for side in (0, TILE))
    found = np.zeros(len(work), bool)
    for frame in edits.drawn.keys() & set(work.frames.tolist()):
        own = work.frames == frame
        found[own] = edits.reaches_on_frame(frame, low[own] * pixel, high[own] * pixel)
    return np.flatnonzero(found & work.active.any(1))


def _drawn_covers(
    edits: PaintTable,
    fields: TileFields,
    work: Work,
    tiles: Ints,
    firsts: Ints,
    inside: Tensor,
    whole: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """As `_covers`, of all layers' edits that were drawn on the tiles' own frames.

    Args:
        tiles: the tiles of such frames.
    """
    device, grid = inside.device, edits.grids.picture
    corners, begin = (torch.from_numpy(one).to(device) for one in (work.corners[tiles], firsts))
    offsets = torch.arange(TILE, device=device) + 0.5
    x = (corners[:, :1] + offsets) * work.pixel.width
    y = (corners[:, 1:] + offsets) * work.pixel.height
    column = ((x - grid.x0) / grid.cell).floor().clamp(0, grid.columns - 1).long()
    row = ((y - grid.y0) / grid.cell).floor().clamp(0, grid.rows - 1).long()
    row = row * grid.columns + begin[:, None]
    first, counts = _runs_of(edits, (row[:, :, None] + column[:, None]).view(-1))
    numbered = _numbered(tiles, device)
    pixel = ((counts > 0) & inside[numbered]).nonzero()[:, 0]
    line = pixel // TILE
    places = torch.stack((x[line // TILE, pixel % TILE], y.view(-1)[line]), 1)
    area = places.new_full((len(pixel),), work.pixel.span**2)
    seen = _Seen(numbered[pixel], places, area, first[pixel], counts[pixel])
    owner, run = seen.runs()
    layer = edits.run_homes_on(device)[1][run]
    shown = fields.visible[torch.from_numpy(work.slots[tiles]).to(device)].flatten(0, 2)[pixel]
    shown = shown * torch.from_numpy(work.active).to(device)[seen.pixel // TILE_PIXELS]
    visible = shown[owner, layer].float() / FULL
    kept = (visible > 0).nonzero()[:, 0]
    visible = torch.ones_like(visible) if whole else visible
    return _covered(edits, seen, owner[kept], run[kept], visible[kept])


def _numbered(tiles: Ints, device: torch.device) -> Tensor:
    """The pixels of some tiles, counted through all tiles."""
    first = torch.from_numpy(tiles).to(device)[:, None] * TILE_PIXELS
    return (first + torch.arange(TILE_PIXELS, device=device)).view(-1)


def _runs_of(edits: PaintTable, cell: Tensor) -> tuple[Tensor, Tensor]:
    """The first of the runs of cells, and how many there are."""
    starts = edits.runs_on(cell.device)[0]
    first = starts[cell]
    return first, starts[cell + 1] - first


def _covered(
    edits: PaintTable, seen: _Seen, owner: Tensor, run: Tensor, visible: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels, edits and covers of rows of `_Seen.runs`, of whose edit so much is to be seen: [n] each."""
    _, begins, run_edits = edits.runs_on(run.device)
    lengths = begins[run + 1] - begins[run]
    covered = _run_coverage(edits, seen.places, seen.area, owner, begins[run], lengths, run_edits[run])
    cover = covered * visible
    kept = (cover >= FAINTEST).nonzero()[:, 0]
    return seen.pixel[owner[kept]], run_edits[run[kept]] >> table.EDIT_SHIFT, cover[kept]


def _areas(uv: Tensor, pixel: Tensor) -> Tensor:
    """`fields.pixel_area` of some pixels of whole tiles: uv [tiles * TILE_PIXELS, 2], pixel [n]."""
    x, y = pixel % TILE, pixel // TILE % TILE
    left = pixel - (x == TILE - 1).long()
    top = pixel - TILE * (y == TILE - 1).long()
    along_x, along_y = uv[left + 1] - uv[left], uv[top + TILE] - uv[top]
    area = (along_x[:, 0] * along_y[:, 1] - along_x[:, 1] * along_y[:, 0]).abs()
    return area.nan_to_num(nan=0.0).clamp(1e-8, LARGEST_FOOTPRINT_PX**2)


def _run_coverage(
    edits: PaintTable,
    uv: Tensor,
    area: Tensor,
    owner: Tensor,
    begins: Tensor,
    lengths: Tensor,
    run_edits: Tensor,
) -> Tensor:
    """Coverage of pixels by single edits.

    Args:
        uv, area: [pixels, 2] and [pixels].
        owner: [n] the pixel of each row.
        begins, lengths: [n] each row's entries.
        run_edits: [n] its edit, shifted and flagged.
    """
    own = edits.heads(uv.device)[run_edits >> table.EDIT_SHIFT]
    if not edits.has_tapers:
        return _even_coverage(edits, uv, area, owner, begins, lengths, run_edits, own)
    tapered = own[:, edit_rows.TAPERED] > 0
    result = torch.empty(len(owner), device=uv.device)
    for kind, work_out in ((~tapered, _even_coverage), (tapered, _tapered_coverage)):
        part = kind.nonzero()[:, 0]
        rows = (values[part] for values in (owner, begins, lengths, run_edits, own))
        result[part] = work_out(edits, uv, area, *rows)
    return result


class _Pairs(NamedTuple):
    """Some rows' (row, segment) pairs.

    Attributes:
        part: the rows.
        counts: [rows] pairs of each.
        row, segment: [pairs]; rows count from the first of `part`.
        u, v: [pairs] where the pixel lies in the atlas.
        pixel: [pairs].
    """

    part: slice
    counts: Tensor
    row: Tensor
    segment: Tensor
    u: Tensor
    v: Tensor
    pixel: Tensor


def _pairs(edits: PaintTable, uv: Tensor, owner: Tensor, begins: Tensor, lengths: Tensor) -> Iterator[_Pairs]:
    """All pairs, so many rows at a time as fit."""
    entries, places = edits.on(uv.device)[3], uv.t().contiguous()
    ends, low = lengths.cumsum(0), 0
    most = PAIRS_A_CALL.get(uv.device.type, 1 << 17)
    while low < len(owner):
        limit = int(ends[low - 1]) if low else 0
        high = max(low + 1, int(torch.searchsorted(ends, limit + most, right=True)))
        part = slice(low, high)
        low = high
        count = lengths[part]
        row = torch.repeat_interleave(torch.arange(len(count), device=uv.device), count)
        skipped = count.cumsum(0) - count - begins[part]
        entry = torch.arange(len(row), device=uv.device) - skipped.index_select(0, row)
        segment, pixel = entries[:, 0].index_select(0, entry), owner[part].index_select(0, row)
        u, v = (axis.index_select(0, pixel) for axis in places)
        yield _Pairs(part, count, row, segment, u, v, pixel)


def _even_coverage(
    edits: PaintTable,
    uv: Tensor,
    area: Tensor,
    owner: Tensor,
    begins: Tensor,
    lengths: Tensor,
    run_edits: Tensor,
    own: Tensor,
) -> Tensor:
    """Coverage by lines of one width each, and by outlines. own: [n, HEAD_FLOATS] of the edits."""
    segments = edits.segment_columns(uv.device)
    distances, scales, odd = [], [], []
    for pairs in _pairs(edits, uv, owner, begins, lengths):
        squared = _squared_distance(segments, pairs.segment, pairs.u, pairs.v)[0]
        best = torch.segment_reduce(squared, "min", lengths=pairs.counts, unsafe=True)
        nearest = squared == best.index_select(0, pairs.row)
        scale = segments[SCALE].index_select(0, pairs.segment) * nearest
        distances.append(best)
        scales.append(torch.segment_reduce(scale, "max", lengths=pairs.counts, unsafe=True))
        if edits.has_outlines:
            crossed = _crossed(segments, pairs.segment, pairs.u, pairs.v).to(squared)
            odd.append(torch.segment_reduce(crossed, "sum", lengths=pairs.counts, unsafe=True) % 2 == 1)
    if not distances:
        return area.new_zeros(0)
    distance, footprint = torch.cat(distances).sqrt(), area[owner].sqrt() * torch.cat(scales)
    softness, radius = own[:, edit_rows.SOFTNESS], own[:, edit_rows.RADIUS]
    line = strokes.line_coverage(distance, footprint, radius, softness)
    if not edits.has_outlines:
        return line
    filled = strokes.filled_coverage(distance, footprint, torch.cat(odd), softness)
    filled = torch.where((run_edits & table.SOLID) > 0, torch.ones_like(filled), filled)
    return torch.where(own[:, edit_rows.CLOSED] > 0, filled, line)


def _tapered_coverage(
    edits: PaintTable,
    uv: Tensor,
    area: Tensor,
    owner: Tensor,
    begins: Tensor,
    lengths: Tensor,
    run_edits: Tensor,
    own: Tensor,
) -> Tensor:
    """Coverage by lines whose width and opacity change along them: the most of any segment's."""
    segments = edits.segment_columns(uv.device)
    found = []
    for pairs in _pairs(edits, uv, owner, begins, lengths):
        squared, share = _squared_distance(segments, pairs.segment, pairs.u, pairs.v)
        first, last, faint, fainter = (
            segments[column].index_select(0, pairs.segment)
            for column in (WIDTHS, WIDTHS + 1, OPACITIES, OPACITIES + 1)
        )
        width, opacity = first + (last - first) * share, faint + (fainter - faint) * share
        head = own[pairs.part]
        radius, softness = (
            head[:, column].index_select(0, pairs.row) * width
            for column in (edit_rows.RADIUS, edit_rows.SOFTNESS)
        )
        footprint = area[pairs.pixel].sqrt() * segments[SCALE].index_select(0, pairs.segment)
        cover = strokes.line_coverage(squared.sqrt(), footprint, radius, softness) * opacity
        found.append(torch.segment_reduce(cover, "max", lengths=pairs.counts, unsafe=True))
    return torch.cat(found) if found else area.new_zeros(0)


def _squared_distance(segments: Tensor, chosen: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distances [n], in drawn pixels, of places u, v [n] to the chosen [n] of segments' columns.

    Also returned is [n] how far along its segment the nearest point lies, 0..1.
    """

    def column(number: int) -> Tensor:
        return segments[number].index_select(0, chosen)

    x, y = u - column(START), v - column(START + 1)
    away_x = column(TO_DRAWN).mul_(x).addcmul_(column(TO_DRAWN + 1), y)
    away_y = column(TO_DRAWN + 2).mul_(x).addcmul_(column(TO_DRAWN + 3), y)
    along_x, along_y = column(ALONG), column(ALONG + 1)
    share = (away_x * along_x).addcmul_(away_y, along_y).mul_(column(PER_LENGTH)).clamp_(0.0, 1.0)
    away_x.addcmul_(share, along_x, value=-1)
    away_y.addcmul_(share, along_y, value=-1)
    return away_x.square_().addcmul_(away_y, away_y), share


def _crossed(segments: Tensor, chosen: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Whether a ray to the right from places crosses segments, as `strokes.inside_outline`."""

    def column(number: int) -> Tensor:
        return segments[number].index_select(0, chosen)

    top = column(START + 1)
    straddles = (top > v) != (column(END + 1) > v)
    return straddles & (u < column(START) + (v - top) * column(SLOPE))


def _composite(
    edits: PaintTable, targets: Tensor, pixels: Tensor, numbers: Tensor, covers: Tensor, canvas: Canvas
) -> None:
    """Lay edits over a canvas. pixels: [m] of each cover, not falling; targets: where those lie on it."""
    unique, place, counts = torch.unique_consecutive(pixels, return_inverse=True, return_counts=True)
    rank = torch.arange(len(pixels), device=pixels.device) - (counts.cumsum(0) - counts)[place]
    flat, where = canvas.pixels.view(-1, 4), targets[unique]
    made = composite(edits, flat[where].float(), place, rank, numbers, covers)
    changed = made.changed.nonzero()[:, 0]
    flat[where[changed]] = stored(made.colours[changed], flat.dtype)
    canvas.touched.view(-1)[where[changed]] = True
    if canvas.painted is not None:
        canvas.painted.view(-1, 4)[where] = made.part
