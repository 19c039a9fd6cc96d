"""Painting pixels from a table of segments, in torch: every device's fallback, and what a CPU runs.

Work is done on lists of (pixel, edit) and (pixel, segment) pairs, so that the time goes with what is covered
and not with how many edits there are. `triton_paint` does the same in one launch; `reference` says the same
slowly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inve_core.rendering import strokes, table
from inve_core.rendering.chains import ALONG, END, PER_LENGTH, SCALE, SLOPE, START, TO_DRAWN
from inve_core.rendering.fields import FULL, LARGEST_FOOTPRINT_PX, TILE, TILE_PIXELS
from inve_core.rendering.table import PaintTable

# Coverage below this is none: half a step of an 8-bit matte.
FAINTEST = 1 / 512
TILES_A_CALL = 64
# On a CPU what is worked on at once should stay in its cache.
PAIRS_A_CALL = {"cpu": 1 << 17, "cuda": 1 << 22}


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
        places: [n, 3] picture in the batch, and x and y of the tile's corner on it; may lie outside.
        slots: [n] where the tile's fields are.
        active: [n, layers] which video layers have an edit there, and uv that are worked out.
    """

    places: npt.NDArray[np.int64]
    slots: npt.NDArray[np.int64]
    active: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.slots)

    def on_picture(self, number: int) -> "Work":
        """The same tiles on another picture of the batch."""
        places = self.places.copy()
        places[:, 0] = number
        return Work(places, self.slots, self.active)

    @classmethod
    def joined(cls, works: Sequence["Work"]) -> "Work":
        """All tiles of several."""
        names = ("places", "slots", "active")
        return cls(*(np.concatenate([getattr(work, name) for work in works]) for name in names))


@dataclass(frozen=True, eq=False)
class Canvas:
    """Pictures that are painted on in place.

    Attributes:
        pixels: [k, h, w, 4] float16 or float32; pixels that nothing touches keep their bits.
        touched: [k, h, w] bool, set where something did.
        painted: [k, h, w, 4] float32, premultiplied: what was laid over, where asked for. The table must
            then hold one edit layer alone.
    """

    pixels: Tensor
    touched: Tensor
    painted: Tensor | None = None


@torch.no_grad()
def paint(edits: PaintTable, fields: TileFields, work: Work, canvas: Canvas) -> None:
    """Paint a table's edits on tiles of a canvas."""
    for low in range(0, len(work), TILES_A_CALL):
        part = slice(low, low + TILES_A_CALL)
        _paint_tiles(edits, fields, Work(work.places[part], work.slots[part], work.active[part]), canvas)


def _paint_tiles(edits: PaintTable, fields: TileFields, work: Work, canvas: Canvas) -> None:
    device = canvas.pixels.device
    places = torch.from_numpy(work.places).to(device)
    _, height, width, _ = canvas.pixels.shape
    offsets = torch.arange(TILE, device=device)
    x = (places[:, 1, None] + offsets)[:, None, :]
    y = (places[:, 2, None] + offsets)[:, :, None]
    inside = ((x >= 0) & (x < width) & (y >= 0) & (y < height)).view(-1)
    targets = ((places[:, 0, None, None] * height + y) * width + x).view(-1)
    found = []
    for layer in edits.layers:
        own = np.flatnonzero(work.active[:, layer])
        if len(own):
            found.append(_covers(edits, fields, work.slots[own], own, layer, inside))
    pixels, numbers, covers = (torch.cat(part) for part in zip(*found, strict=True))
    if not len(pixels):
        return
    if len(found) > 1:
        order = (pixels * len(edits.edits) + numbers).argsort()
        pixels, numbers, covers = pixels[order], numbers[order], covers[order]
    _composite(edits, targets, pixels, numbers, covers, canvas)


def _covers(
    edits: PaintTable,
    fields: TileFields,
    slots: npt.NDArray[np.int64],
    tiles: npt.NDArray[np.int64],
    layer: int,
    inside: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """What one video layer's edits cover: pixels (counted through all tiles), edits, and how much, by pixel.

    Args:
        slots, tiles: of the tiles where the layer has edits.
        inside: [all tiles' pixels] bool.
    """
    device = inside.device
    where = torch.from_numpy(slots).to(device)
    uv = fields.uv[where, layer].view(-1, 2)
    shown = fields.visible[where][..., layer].reshape(-1)
    starts, begins, run_edits = edits.runs_on(device)
    grid = edits.grids[layer]
    column, row = ((uv - uv.new_tensor((grid.x0, grid.y0))) / grid.cell).floor().unbind(-1)
    # A place that is no number lies in no cell.
    known = (column == column) & (row == row)
    cell = row.nan_to_num().clamp(0, grid.rows - 1) * grid.columns
    cell = (cell + column.nan_to_num().clamp(0, grid.columns - 1)).long() + grid.first
    first = starts[cell]
    counts = starts[cell + 1] - first
    numbered = (torch.from_numpy(tiles).to(device)[:, None] * TILE_PIXELS).add(
        torch.arange(TILE_PIXELS, device=device)
    )
    numbered = numbered.view(-1)
    pixel = (known & (counts > 0) & (shown > 0) & inside[numbered]).nonzero()[:, 0]
    counts, first = counts[pixel], first[pixel]
    area = _areas(uv, pixel)
    visible = shown[pixel].float() / FULL
    uv = uv[pixel]
    # One row for each pixel and each edit that may reach it.
    owner = torch.repeat_interleave(torch.arange(len(pixel), device=device), counts)
    run = torch.arange(len(owner), device=device) - (counts.cumsum(0) - counts - first)[owner]
    lengths = begins[run + 1] - begins[run]
    covered = _run_coverage(edits, uv, area, owner, begins[run], lengths, run_edits[run])
    cover = covered * visible[owner]
    kept = (cover >= FAINTEST).nonzero()[:, 0]
    owner = owner[kept]
    return numbered[pixel[owner]], run_edits[run[kept]] >> table.EDIT_SHIFT, cover[kept]


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
    rows, _, _, entries = edits.on(uv.device)
    segments, places = edits.segment_columns(uv.device), uv.t().contiguous()
    own = rows[run_edits >> table.EDIT_SHIFT]
    has_outlines = bool((edits.edits[:, table.CLOSED] > 0).any())
    distances, scales, odd = [], [], []
    ends, low = lengths.cumsum(0), 0
    most = PAIRS_A_CALL.get(uv.device.type, 1 << 17)
    while low < len(owner):
        limit = int(ends[low - 1]) if low else 0
        high = max(low + 1, int(torch.searchsorted(ends, limit + most, right=True)))
        part = slice(low, high)
        low = high
        count = lengths[part]
        pair_row = torch.repeat_interleave(torch.arange(len(count), device=uv.device), count)
        skipped = count.cumsum(0) - count - begins[part]
        entry = torch.arange(len(pair_row), device=uv.device) - skipped.index_select(0, pair_row)
        segment, pixel = entries[:, 0].index_select(0, entry), owner[part].index_select(0, pair_row)
        u, v = (axis.index_select(0, pixel) for axis in places)
        squared = _squared_distance(segments, segment, u, v)
        best = torch.segment_reduce(squared, "min", lengths=count, unsafe=True)
        nearest = squared == best.index_select(0, pair_row)
        scale = segments[SCALE].index_select(0, segment) * nearest
        distances.append(best)
        scales.append(torch.segment_reduce(scale, "max", lengths=count, unsafe=True))
        if has_outlines:
            crossed = _crossed(segments, segment, u, v).to(squared)
            odd.append(torch.segment_reduce(crossed, "sum", lengths=count, unsafe=True) % 2 == 1)
    if not distances:
        return area.new_zeros(0)
    distance, footprint = torch.cat(distances).sqrt(), area[owner].sqrt() * torch.cat(scales)
    softness, radius = own[:, table.SOFTNESS], own[:, table.RADIUS]
    half = (footprint / 2).maximum(softness)
    soft = footprint / 2 < softness
    line = strokes.edge_profile((radius - distance) / half, soft)
    line = line - strokes.edge_profile((-radius - distance) / half, soft)
    if not has_outlines:
        return line
    inner = torch.cat(odd)
    filled = strokes.edge_profile(torch.where(inner, distance, -distance) / half, soft)
    filled = torch.where((run_edits & table.SOLID) > 0, torch.ones_like(filled), filled)
    return torch.where(own[:, table.CLOSED] > 0, filled, line)


def _squared_distance(segments: Tensor, chosen: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Squared distance, in drawn pixels, of places u, v [n] to the chosen [n] of segments' columns."""

    def column(number: int) -> Tensor:
        return segments[number].index_select(0, chosen)

    x, y = u - column(START), v - column(START + 1)
    away_x = column(TO_DRAWN).mul_(x).addcmul_(column(TO_DRAWN + 1), y)
    away_y = column(TO_DRAWN + 2).mul_(x).addcmul_(column(TO_DRAWN + 3), y)
    along_x, along_y = column(ALONG), column(ALONG + 1)
    share = (away_x * along_x).addcmul_(away_y, along_y).mul_(column(PER_LENGTH)).clamp_(0.0, 1.0)
    away_x.addcmul_(share, along_x, value=-1)
    away_y.addcmul_(share, along_y, value=-1)
    return away_x.square_().addcmul_(away_y, away_y)


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
    """Lay edits over pixels in their order: the lowest of each pixel, then the next of each, and so on."""
    rows = edits.on(pixels.device)[0]
    unique, place, counts = torch.unique_consecutive(pixels, return_inverse=True, return_counts=True)
    rank = torch.arange(len(pixels), device=pixels.device) - (counts.cumsum(0) - counts)[place]
    flat = canvas.pixels.view(-1, 4)
    where = targets[unique]
    below = flat[where].float()
    painted = torch.zeros_like(below)
    level = below.new_full((len(unique),), -1.0)
    keeps = torch.zeros(len(unique), dtype=torch.bool, device=pixels.device)
    touched = torch.zeros_like(keeps)
    order = rank.argsort(stable=True)
    for chosen in order.split(torch.bincount(rank).tolist()):
        at, row, cover = place[chosen], rows[numbers[chosen]], covers[chosen]
        ground, top, was = below[at], painted[at], keeps[at]
        fresh = (level[at] != row[:, table.LAYER]) & (top != 0).any(-1)
        merged = over(top, ground, was)
        ground = torch.where(fresh[:, None], merged, ground)
        top = torch.where(fresh[:, None], torch.zeros_like(top), top)
        touched[at] |= fresh
        laid = _laid(row, cover * row[:, table.OPACITY], top, ground)
        below[at], painted[at] = ground, laid + top * (1 - laid[:, 3:])
        level[at], keeps[at] = row[:, table.LAYER], row[:, table.ADJUSTS] > 0
    last = (painted != 0).any(-1)
    result = torch.where(last[:, None], over(painted, below, keeps), below)
    touched |= last
    changed = touched.nonzero()[:, 0]
    flat[where[changed]] = result[changed].to(flat.dtype)
    canvas.touched.view(-1)[where[changed]] = True
    if canvas.painted is not None:
        canvas.painted.view(-1, 4)[where] = painted


def _laid(row: Tensor, cover: Tensor, top: Tensor, ground: Tensor) -> Tensor:
    """What edits [n, EDIT_FLOATS] lay over pixels: premultiplied RGBA [n, 4]."""
    plain = row[:, table.COLOUR : table.COLOUR + 4]
    adjusts = row[:, table.ADJUSTS] > 0
    if bool(adjusts.any()):
        beneath = top + ground * (1 - top[:, 3:])
        matrix = row[:, table.MATRIX : table.MATRIX + 9].view(-1, 3, 3)
        rgb = (matrix * beneath[:, None, :3]).sum(-1) + row[:, table.BRIGHTNESS, None] * beneath[:, 3:]
        adjusted = torch.cat((rgb, torch.ones_like(rgb[:, :1])), 1)
        plain = torch.where(adjusts[:, None], adjusted, plain)
    return plain * cover[:, None]


def over(painted: Tensor, below: Tensor, keeps_alpha: Tensor) -> Tensor:
    """An edit layer over what is below it, [n, 4] each; adjustments leave alpha as it is."""
    result = painted + below * (1 - painted[:, 3:])
    result[:, 3] = torch.where(keeps_alpha, below[:, 3], result[:, 3])
    return result
