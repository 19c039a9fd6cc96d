"""A frame painted edit by edit, pixel by pixel, over all of it: what the fast ways must agree with.

Nothing is cached and no tile is left out. Tests and benchmarks call it.
"""

import numpy as np
import torch
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
    for layer in stack.layers:
        if not layer.enabled or not layer.opacity:
            continue
        painted = torch.zeros_like(current)
        for edit in layer.edits:
            if isinstance(edit, Texture):
                over = _texture(painter, edit, size) * layer.opacity
            elif isinstance(edit, Adjustment) and is_identity(edit):
                continue
            else:
                chain = strokes.chain_of_edit(model, edit)
                covered = coverage(chain, uv[chain.layer], area[chain.layer]).view(plate.shape[:2])
                cover = covered * visible[..., chain.layer]
                cover = torch.where(cover < FAINTEST, torch.zeros_like(cover), cover) * layer.opacity
                if isinstance(edit, Adjustment):
                    beneath = painted + current * (1 - painted[..., 3:])
                    colour = torch.cat((adjust(beneath, edit), torch.ones_like(cover)[..., None]), -1)
                else:
                    red, green, blue, alpha = edit.color
                    colour = cover.new_tensor((red * alpha, green * alpha, blue * alpha, alpha))
                over = colour * cover[..., None]
                # NaN in the plate must not spread to where the edit does not reach.
                over = torch.where(cover[..., None] > 0, over, torch.zeros_like(over))
            painted = over + painted * (1 - over[..., 3:])
        changed = (painted != 0).any(-1)
        result = painted + current * (1 - painted[..., 3:])
        if layer.kind == "adjustment":
            result[..., 3] = current[..., 3]
        current = torch.where(changed[..., None], result, current)
        touched |= changed
    return current, touched


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
