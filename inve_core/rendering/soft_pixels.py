"""Pixels where layers mix: each video layer's light at them, and the mix of what was painted over it.

This is in torch; `triton_soft` does the same in one launch each. See `edges` for what a layer's own light is.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inve_core.rendering.blending import stored
from inve_core.rendering.edges import own_light
from inve_core.rendering.fields import FULL
from inve_core.rendering.painting import FAINTEST, Canvas


class SoftTiles(NamedTuple):
    """Tiles with soft pixels, and their fields.

    Attributes:
        visible: [slots, TILE, TILE, layers], as `FieldCache.visible`.
        light: [homes, layers, TILE, TILE, 3], as `EdgePool.light`.
        columns: [n, 5] picture, x and y of the corner on it (may lie outside), slot in `visible`, place in
            `light`.
        counts: [n] how many soft pixels each has.
    """

    visible: Tensor
    light: Tensor
    columns: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]


class SoftPixels(NamedTuple):
    """Soft pixels of some tiles, as rows: tile by tile, line by line.

    Attributes:
        rows: [tiles, TILE, TILE] int32, the row of each pixel, -1 where it is not soft.
        targets: [rows] int64, where it lies among all pixels of the plates, -1 outside of them.
        shown: [rows, layers] float32 visibility, zero of layers that are hardly seen.
        own: [rows, layers, 4] float32, each layer's own light, and the plate's alpha.
    """

    rows: Tensor
    targets: Tensor
    shown: Tensor
    own: Tensor

    def joined(self, more: "SoftPixels") -> "SoftPixels":
        """These and those of more tiles, whose rows were counted on."""
        return SoftPixels(*(torch.cat(both) for both in zip(self, more, strict=True)))


def lift(tiles: SoftTiles, plates: Tensor, first: int) -> SoftPixels:
    """Each video layer's light at the soft pixels of tiles.

    Args:
        plates: [k, h, w, 4] the frames without edits.
        first: the first row's number.
    """
    device = plates.device
    picture, x, y, slot, home = torch.from_numpy(tiles.columns).to(device).unbind(1)
    visible = tiles.visible[slot]
    soft = ((visible > 0) & (visible < FULL)).any(-1)
    tile, down, across = soft.nonzero(as_tuple=True)
    rows = torch.full(soft.shape, -1, dtype=torch.int32, device=device)
    rows[tile, down, across] = torch.arange(first, first + len(tile), dtype=torch.int32, device=device)
    _, height, width, _ = plates.shape
    x, y = x[tile] + across, y[tile] + down
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    targets = torch.where(inside, (picture[tile] * height + y) * width + x, -torch.ones_like(x))
    shown = visible[soft].float() / FULL
    shown = torch.where(shown >= FAINTEST, shown, torch.zeros_like(shown))
    plate = plates.reshape(-1, 4)[targets.clamp_min(0)].float()[:, None]
    apart = tiles.light[home[tile], :, down, across].float()
    light = own_light(plate[..., :3], apart, shown[..., None].clamp_min(FAINTEST))
    own = torch.cat((light, plate[..., 3:].expand(*light.shape[:-1], 1)), -1)
    return SoftPixels(rows, targets, shown, own)


def mixed(pixels: SoftPixels, plates: Tensor, now: Tensor, touched: Tensor) -> Tensor:
    """The mix of what has been painted, [rows, 4]; nothing of use for rows outside of the plates.

    Args:
        plates: as in `lift`.
        now: [rows, layers, 4] what has been painted over each layer's light.
        touched: [rows, layers] bool, where something was.
    """
    plate = plates.reshape(-1, 4)[pixels.targets.clamp_min(0)].float()
    share = pixels.shown[..., None]
    change = torch.where(touched[..., None], now - pixels.own, torch.zeros_like(share))
    # By choice: nothing of what is no number is not nothing.
    change = torch.where(share > 0, share * change, torch.zeros_like(change))
    return plate + change.sum(1)


def mix(pixels: SoftPixels, plates: Tensor, now: Tensor, touched: Tensor, canvas: Canvas) -> None:
    """Put the mix in the place of what was painted there over the plates; the arguments are as in `mixed`.

    Args:
        canvas: of the plates' size.
    """
    inside = pixels.targets >= 0
    targets = pixels.targets[inside]
    changed = (touched & (pixels.shown > 0)).any(1)[inside]
    result = stored(mixed(pixels, plates, now, touched)[inside], canvas.pixels.dtype)
    before = plates.reshape(-1, 4)[targets].to(canvas.pixels.dtype)
    canvas.pixels.view(-1, 4)[targets] = torch.where(changed[:, None], result, before)
    canvas.touched.view(-1)[targets] = changed
