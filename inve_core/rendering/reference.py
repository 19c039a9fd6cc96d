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
from inve_core.rendering.edges import edge_light, own_light
from inve_core.rendering.fields import TILE, DrawnPixel, FrameSize, pixel_area, snap, tile_pixels
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
    on_frame = _on_frame(model, pixels, size)
    own = _own_light(model, xy, t, visible, size, plate)
    # Every video layer's edits over its own light, as if it were seen wholly.
    painted, touched = own.clone(), torch.zeros(own.shape[:3], dtype=torch.bool, device=own.device)
    for layer in stack.rendered:
        top = torch.zeros_like(painted)
        for edit in layer.edits:
            if edit.video_layer == "auto":
                edit = replace(edit, video_layer=layer.video_layer)
            if isinstance(edit, Texture):
                laid = _texture(painter, edit, size, model.layer_count)
                top = laid + top * (1 - laid[..., 3:])
                continue
            if isinstance(edit, Adjustment) and is_identity(edit):
                continue
            drawn = strokes.is_drawn_on(model, edit, size.t)
            chain = strokes.drawn_chain_of(model, edit) if drawn else strokes.chain_of_edit(model, edit)
            k = chain.layer
            where, pixel_areas = on_frame if drawn else (uv[k], area[k])
            # Strokes of a layer that is itself blended meet that layer alone.
            beneath = top[k] + left(painted[k], top[k][..., 3:]) if layer.blend == "over" else top[k]
            cover = coverage(chain, where, pixel_areas).view(plate.shape[:2])
            if isinstance(edit, Adjustment):
                colour = torch.cat((adjust(beneath, edit), torch.ones_like(beneath[..., :1])), -1)
                share, blend = cover * edit.opacity, "over"
            else:
                colour = beneath.new_tensor((*edit.color[:3], 1.0)).expand_as(beneath)
                share, blend = cover * edit.color[3], edit.blend
            over = lay(blend, colour * share[..., None], beneath, top[k])
            # What the edit does not reach keeps its bits, numbers or not.
            top[k] = torch.where((cover >= FAINTEST)[..., None] & (share > 0)[..., None], over, top[k])
        changed = (top != 0).any(-1)
        result = lay(layer.blend, top * layer.opacity, painted, painted)
        if layer.kind == "adjustment":
            result[..., 3] = painted[..., 3]
        painted = torch.where(changed[..., None], result, painted)
        touched |= changed
    seen = visible.permute(2, 0, 1)
    touched &= seen >= FAINTEST
    change = torch.where(touched[..., None], (painted - own) * seen[..., None], torch.zeros_like(own))
    # A layer that is seen wholly is not mixed.
    whole = touched & (seen == 1)
    mixed = torch.where(whole[..., None], painted, torch.zeros_like(painted)).sum(0)
    mixed = torch.where(whole.any(0)[..., None], mixed, plate + change.sum(0))
    any_touched = touched.any(0)
    return torch.where(any_touched[..., None], mixed, plate), any_touched


def _on_frame(model: LayeredAtlas, pixels: Tensor, size: FrameSize) -> tuple[Tensor, Tensor]:
    """Where a frame's pixels lie in the picture [n, 2], and the area of each there [n]."""
    pixel = DrawnPixel.of(model.geometry.grid, size)
    places = _whole(size, pixels * pixels.new_tensor((pixel.width, pixel.height))).reshape(-1, 2)
    return places, places.new_full((len(places),), pixel.span**2)


def _own_light(
    model: LayeredAtlas, xy: Tensor, t: Tensor, visible: Tensor, size: FrameSize, plate: Tensor
) -> Tensor:
    """Each video layer's own light and the plate's alpha, [layers, height, width, 4]; see `edges`."""
    padded = torch.zeros(size.rows * TILE, size.columns * TILE, model.layer_count, device=plate.device)
    padded[: size.height, : size.width] = visible
    shown = _tiled(size, padded)
    parts = zip(xy.split(CHUNK), t.split(CHUNK), shown.split(CHUNK), strict=True)
    apart = torch.cat([edge_light(model, *part) for part in parts])
    apart = _whole(size, apart.flatten(1)).view(*plate.shape[:2], -1, 3).permute(2, 0, 1, 3)
    seen = visible.permute(2, 0, 1)[..., None]
    light = own_light(plate[..., :3].expand_as(apart), apart, seen.clamp_min(FAINTEST))
    soft = ((visible > 0) & (visible < 1)).any(-1)[..., None]
    light = torch.where(soft, light, plate[..., :3])
    return torch.cat((light, plate[..., 3:].expand(*light.shape[:-1], 1)), -1)


def lay(blend: str, paint: Tensor, beneath: Tensor, rest: Tensor) -> Tensor:
    """Lay paint that meets what is beneath it over the rest, [..., 4] premultiplied each."""
    rgb, alpha, b, solid = paint[..., :3], paint[..., 3:], beneath[..., :3], beneath[..., 3:]
    if blend == "erase":
        return left(rest, alpha)
    if blend == "add":
        rgb = rgb + alpha * b
    elif blend == "multiply":
        rgb = rgb * (1 - solid) + rgb * b
    elif blend == "screen":
        rgb = alpha * b + rgb * (1 - b.minimum(solid))
    return torch.cat((rgb, alpha), -1) + left(rest, alpha)


def left(rest: Tensor, alpha: Tensor) -> Tensor:
    """What is left of colours [..., 4] under paint of an alpha [..., 1]; nothing where that hides them."""
    return torch.where(alpha < 1, rest * (1 - alpha), torch.zeros_like(rest))


def coverage(chain: strokes.Chain, uv: Tensor, area: Tensor) -> Tensor:
    """Coverage [n] by a whole chain at atlas positions uv [n, 2] of pixel area [n]."""
    parts = zip(uv.split(CHUNK), area.split(CHUNK), strict=True)
    return torch.cat([strokes.chain_coverage(chain, *part) for part in parts])


def _whole(size: FrameSize, values: Tensor) -> Tensor:
    """Tiles' pixels [n, c] as a picture [height, width, c]."""
    tiled = values.view(size.rows, size.columns, TILE, TILE, -1).transpose(1, 2)
    return tiled.reshape(size.rows * TILE, size.columns * TILE, -1)[: size.height, : size.width]


def _tiled(size: FrameSize, values: Tensor) -> Tensor:
    """A picture of whole tiles [rows * TILE, columns * TILE, c] as tiles' pixels [n, c]."""
    tiled = values.view(size.rows, TILE, size.columns, TILE, -1).transpose(1, 2)
    return tiled.reshape(-1, values.shape[-1])


def _texture(painter: TexturePainter, edit: Texture, size: FrameSize, layers: int) -> Tensor:
    """Its colour on each video layer that it covers, [layers, height, width, 4]."""
    every = torch.zeros(layers, size.rows * size.columns, TILE, TILE, 4, device=painter.model.device)
    for patch in painter.patches(edit, size):
        tiles = torch.from_numpy(patch.tiles).to(every.device)
        for k in range(patch.layer, layers if patch.in_front else patch.layer + 1):
            every[k, tiles] = patch.colour
    return torch.stack([_whole(size, one.view(-1, 4)) for one in every])
