"""A frame painted edit by edit, pixel by pixel, over all of it: what the fast ways must agree with.

Nothing is cached and no tile is left out. Tests and benchmarks call it.
"""

import numpy as np
import torch
from msgspec.structs import replace
from torch import Tensor

from inve_core.edits import Adjustment, EditStack, Texture
from inve_core.model import LayeredAtlas
from inve_core.rendering import strokes
from inve_core.rendering.adjustments import adjust, is_identity
from inve_core.rendering.fields import TILE, FrameSize, pixel_area, snap, tile_pixels
from inve_core.rendering.painting import FAINTEST
from inve_core.rendering.texturing import TexturePainter

CHUNK = 65_536


@torch.no_grad()
def paint_frame(
    model: LayeredAtlas, stack: EditStack, size: FrameSize, plate: Tensor, painter: TexturePainter
) -> tuple[Tensor, Tensor]:
    """Paint a stack on one whole frame.

    Args:
        plate: [height, width, 4] float32.
        painter: what paints the textures.

    Returns:
        The edited frame, and [height, width] bool of the pixels that an edit touched.
    """
    tiles = np.arange(size.columns * size.rows)
    grid = model.geometry.grid
    pixels = tile_pixels(size, tiles, model.device).view(-1, 2)
    xy = pixels * pixels.new_tensor((grid.working_width / size.width, grid.working_height / size.height))
    t = torch.full((len(xy),), size.t, device=xy.device)
    parts = list(zip(xy.split(CHUNK), t.split(CHUNK), strict=True))
    visible = _whole(size, snap(torch.cat([model.visibility(*part) for part in parts])))
    uv, area = [], []
    for k in range(model.layer_count):
        mapped = torch.cat([model.map(k, *part) for part in parts])
        uv.append(_whole(size, mapped).reshape(-1, 2))
        area.append(_whole(size, pixel_area(mapped.view(-1, TILE, TILE, 2)).view(-1, 1)).reshape(-1))
    current, touched = plate.clone(), torch.zeros(plate.shape[:2], dtype=torch.bool, device=plate.device)
    for layer in stack.rendered:
        top = torch.zeros_like(current)
        for edit in layer.edits:
            if edit.video_layer == "auto":
                edit = replace(edit, video_layer=layer.video_layer)
            # Strokes of a layer that is itself blended meet that layer alone.
            beneath = top + current * (1 - top[..., 3:]) if layer.blend == "over" else top
            if isinstance(edit, Texture):
                laid = _texture(painter, edit, size)
                top = laid + top * (1 - laid[..., 3:])
                continue
            if isinstance(edit, Adjustment) and is_identity(edit):
                continue
            chain = strokes.chain_of_edit(model, edit)
            covered = coverage(chain, uv[chain.layer], area[chain.layer]).view(plate.shape[:2])
            cover = covered * visible[..., chain.layer]
            if isinstance(edit, Adjustment):
                colour = torch.cat((adjust(beneath, edit), torch.ones_like(beneath[..., :1])), -1)
                share, blend = cover * edit.opacity, "over"
            else:
                colour = beneath.new_tensor((*edit.color[:3], 1.0)).expand_as(beneath)
                share, blend = cover * edit.color[3], edit.blend
            painted = lay(blend, colour * share[..., None], beneath, top)
            # What the edit does not reach keeps its bits, numbers or not.
            top = torch.where((cover >= FAINTEST)[..., None] & (share > 0)[..., None], painted, top)
        changed = (top != 0).any(-1)
        result = lay(layer.blend, top * layer.opacity, current, current)
        if layer.kind == "adjustment":
            result[..., 3] = current[..., 3]
        current = torch.where(changed[..., None], result, current)
        touched |= changed
    return current, touched


def lay(blend: str, paint: Tensor, beneath: Tensor, rest: Tensor) -> Tensor:
    """Lay paint that meets what is beneath it over the rest, [..., 4] premultiplied each."""
    rgb, alpha, b, solid = paint[..., :3], paint[..., 3:], beneath[..., :3], beneath[..., 3:]
    if blend == "erase":
        return torch.where(alpha < 1, rest * (1 - alpha), torch.zeros_like(rest))
    if blend == "add":
        rgb = rgb + alpha * b
    elif blend == "multiply":
        rgb = rgb * (1 - solid) + rgb * b
    elif blend == "screen":
        rgb = alpha * b + rgb * (1 - b.minimum(solid))
    return torch.cat((rgb, alpha), -1) + rest * (1 - alpha)


def coverage(chain: strokes.Chain, uv: Tensor, area: Tensor) -> Tensor:
    """Coverage [n] by a whole chain at atlas positions uv [n, 2] of pixel area [n]."""
    parts = zip(uv.split(CHUNK), area.split(CHUNK), strict=True)
    return torch.cat([strokes.chain_coverage(chain, *part) for part in parts])


def _whole(size: FrameSize, values: Tensor) -> Tensor:
    """Tiles' pixels [n, c] as a picture [height, width, c]."""
    tiled = values.view(size.rows, size.columns, TILE, TILE, -1).transpose(1, 2)
    return tiled.reshape(size.rows * TILE, size.columns * TILE, -1)[: size.height, : size.width]


def _texture(painter: TexturePainter, edit: Texture, size: FrameSize) -> Tensor:
    every = torch.zeros(size.rows * size.columns, TILE, TILE, 4, device=painter.model.device)
    for patch in painter.patches(edit, size):
        every[torch.from_numpy(patch.tiles).to(every.device)] = patch.over
    return _whole(size, every.view(-1, 4))
