"""Soft pixels as Triton kernels, one launch each: the same as `soft_pixels`, whose names this file uses.

Triton may be missing or broken, and then importing this file fails; `backends` finds out.
"""

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from inve_core.rendering.fields import FULL, TILE, TILE_PIXELS
from inve_core.rendering.painting import FAINTEST, Canvas
from inve_core.rendering.soft_pixels import SoftPixels, SoftTiles
from inve_core.rendering.triton_colour import finite_in_half

ROWS_A_PROGRAM = 128
COLUMNS = 6

_TILE = tl.constexpr(TILE)
_TILE_PIXELS = tl.constexpr(TILE_PIXELS)
_FULL = tl.constexpr(FULL)
_FAINTEST = tl.constexpr(FAINTEST)
_COLUMNS = tl.constexpr(COLUMNS)


@torch.no_grad()
def lift(tiles: SoftTiles, plates: Tensor, first: int) -> SoftPixels:
    """Each video layer's light at the soft pixels of tiles."""
    device, layers = plates.device, tiles.visible.shape[-1]
    begins = tiles.counts.cumsum() - tiles.counts
    columns = np.concatenate((tiles.columns, begins[:, None]), 1).astype(np.int32)
    rows = int(tiles.counts.sum())
    made = SoftPixels(
        torch.empty(len(columns), TILE, TILE, dtype=torch.int32, device=device),
        torch.empty(rows, dtype=torch.int64, device=device),
        torch.empty(rows, layers, device=device),
        torch.empty(rows, layers, 4, device=device),
    )
    _, height, width, _ = plates.shape
    with torch.cuda.device_of(plates):
        _lift[(len(columns),)](
            plates.contiguous(),
            tiles.visible,
            tiles.light,
            torch.from_numpy(columns).to(device),
            *made,
            height,
            width,
            first,
            rows,
            LAYERS=layers,
            num_warps=8,
        )
    return made


@torch.no_grad()
def mix(pixels: SoftPixels, plates: Tensor, now: Tensor, touched: Tensor, canvas: Canvas) -> None:
    """Put the mix in the place of what was painted there over the plates."""
    rows, layers = touched.shape
    if not rows:
        return
    with torch.cuda.device_of(plates):
        _mix[(triton.cdiv(rows, ROWS_A_PROGRAM),)](
            plates.contiguous(),
            pixels.targets,
            pixels.shown,
            pixels.own,
            now,
            touched.view(torch.uint8),
            canvas.pixels,
            canvas.touched.view(torch.uint8),
            rows,
            LAYERS=layers,
            BLOCK=ROWS_A_PROGRAM,
        )


@triton.jit(do_not_specialize=["height", "width", "first", "rows"])
def _lift(
    plates, visible, light, work, index, targets, shown, own, height, width, first, rows, LAYERS: tl.constexpr
):
    """One tile."""
    tile = tl.program_id(0)
    columns = work + tile * _COLUMNS
    picture = tl.load(columns).to(tl.int64)
    slot = tl.load(columns + 3).to(tl.int64)
    home = tl.load(columns + 4).to(tl.int64)
    pixel = tl.arange(0, _TILE_PIXELS)
    soft = pixel < 0
    seen = visible + (slot * _TILE_PIXELS + pixel) * LAYERS
    for k in range(LAYERS):
        value = tl.load(seen + k)
        soft = soft | ((value > 0) & (value < _FULL))
    row = tl.load(columns + 5) + tl.cumsum(soft.to(tl.int32), 0) - 1
    tl.store(index + tile.to(tl.int64) * _TILE_PIXELS + pixel, tl.where(soft, row + first, -1))
    soft = soft & (row < rows)
    row = row.to(tl.int64)
    x = tl.load(columns + 1) + pixel % _TILE
    y = tl.load(columns + 2) + pixel // _TILE
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    target = tl.where(inside, (picture * height + y) * width + x, -1)
    tl.store(targets + row, target, mask=soft)
    place = tl.maximum(target, 0) * 4
    alpha = tl.load(plates + place + 3, mask=soft, other=0.0).to(tl.float32)
    for k in range(LAYERS):
        share = tl.load(seen + k, mask=soft, other=0).to(tl.float32) / _FULL
        tl.store(shown + row * LAYERS + k, tl.where(share >= _FAINTEST, share, 0.0), mask=soft)
        share = tl.maximum(share, _FAINTEST)
        for channel in range(3):
            plate = tl.load(plates + place + channel, mask=soft, other=0.0).to(tl.float32)
            apart = light + ((home * LAYERS + k) * _TILE_PIXELS + pixel) * 3 + channel
            value = plate + tl.load(apart, mask=soft, other=0.0).to(tl.float32)
            # As `edges.own_light`; what is no number stays none.
            least = tl.where(plate < 0, plate, 0.0)
            most = tl.where(plate > 0, plate, 0.0) / share
            value = tl.where(value < least, least, value)
            value = tl.where(value > most, most, value)
            tl.store(own + (row * LAYERS + k) * 4 + channel, value, mask=soft)
        tl.store(own + (row * LAYERS + k) * 4 + 3, alpha, mask=soft)


@triton.jit
def _change(own, now, place, hit, share):
    """How much a layer changes one channel of the mix."""
    change = tl.load(now + place, mask=hit, other=0.0) - tl.load(own + place, mask=hit, other=0.0)
    return tl.where(hit, share * change, 0.0)


@triton.jit
def _put(plates, pixels, place, inside, changed, change):
    """One channel of the mix, or the plate's where nothing changed."""
    plate = tl.load(plates + place, mask=inside, other=0.0)
    kind = pixels.dtype.element_ty
    value = plate.to(tl.float32) + change
    if kind == tl.float16:
        value = finite_in_half(value)
    tl.store(pixels + place, tl.where(changed, value.to(kind), plate.to(kind)), mask=inside)


@triton.jit(do_not_specialize=["rows"])
def _mix(
    plates, targets, shown, own, now, touched, pixels, marks, rows, LAYERS: tl.constexpr, BLOCK: tl.constexpr
):
    """BLOCK rows."""
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    target = tl.load(targets + row, mask=row < rows, other=-1)
    inside = target >= 0
    row = row.to(tl.int64)
    zero = tl.zeros([BLOCK], tl.float32)
    changed = zero > 1.0
    r = zero
    g = zero
    b = zero
    a = zero
    for k in range(LAYERS):
        one = row * LAYERS + k
        share = tl.load(shown + one, mask=inside, other=0.0)
        hit = inside & (tl.load(touched + one, mask=inside, other=0) != 0) & (share > 0)
        changed = changed | hit
        r += _change(own, now, one * 4, hit, share)
        g += _change(own, now, one * 4 + 1, hit, share)
        b += _change(own, now, one * 4 + 2, hit, share)
        a += _change(own, now, one * 4 + 3, hit, share)
    _put(plates, pixels, target * 4, inside, changed, r)
    _put(plates, pixels, target * 4 + 1, inside, changed, g)
    _put(plates, pixels, target * 4 + 2, inside, changed, b)
    _put(plates, pixels, target * 4 + 3, inside, changed, a)
    tl.store(marks + target, changed.to(tl.uint8), mask=inside)
