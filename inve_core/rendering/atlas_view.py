"""A video layer's atlas as a picture, with and without the edits on it."""

import numpy as np
import torch
from torch import Tensor

from inve_core.coordinates import determinant, pixel_centres
from inve_core.edits import Adjustment, Edit, EditStack, Texture
from inve_core.media.colour import srgb_to_linear
from inve_core.media.pictures import Picture, PictureSpec
from inve_core.rendering import strokes
from inve_core.rendering.adjustments import adjust, is_identity
from inve_core.rendering.fields import pixel_area
from inve_core.rendering.texturing import TexturePainter

CHUNK = 65_536
SEEN_EVERY = 3  # Working pixels between the samples that tell which part of the atlas is seen at all.
SEEN_CELLS = 128


@torch.no_grad()
def atlas_picture(painter: TexturePainter, layer: int, stack: EditStack | None, long_edge: int) -> Picture:
    """Atlas colours over a video layer's box, transparent where no frame shows that part."""
    model = painter.model
    box = model.geometry.boxes[layer]
    centres = pixel_centres(long_edge, long_edge, model.device) / long_edge
    uv = box.from_unit(centres)
    colour = torch.cat([model.colour(layer, part) for part in uv.view(-1, 2).split(CHUNK)])
    linear = srgb_to_linear(colour.cpu().numpy()) / model.geometry.exposure
    rgba = torch.ones(long_edge, long_edge, 4, device=model.device)
    rgba[..., :3] = (
        torch.from_numpy(np.asarray(linear, np.float32)).to(model.device).view(long_edge, long_edge, 3)
    )
    seen = torch.nn.functional.interpolate(
        seen_part(painter, layer)[None, None], (long_edge, long_edge), mode="bilinear"
    )[0, 0]
    rgba[..., 3] = (seen > 0.25).float()
    for edit_layer in stack.layers if stack else ():
        if edit_layer.enabled:
            for edit in edit_layer.edits:
                _draw(painter, layer, edit, edit_layer.opacity, uv, rgba)
    rgba[..., :3] *= rgba[..., 3:]
    spec = PictureSpec(
        width=long_edge,
        height=long_edge,
        pixel_aspect=1.0,
        data_window=(0, 0, long_edge, long_edge),
        source_type="half",
        colour_space="lin_rec709",
        channels=("R", "G", "B", "A"),
    )
    return Picture(spec, rgba.cpu().numpy().astype(np.float16))


def seen_part(painter: TexturePainter, layer: int) -> Tensor:
    """Which cells of a layer's box some frame shows: [SEEN_CELLS, SEEN_CELLS] of 0 or 1."""
    model, grid = painter.model, painter.model.geometry.grid
    pixels = pixel_centres(grid.working_width, grid.working_height, model.device)[::SEEN_EVERY, ::SEEN_EVERY]
    pixels = pixels.reshape(-1, 2)
    cells = torch.zeros(SEEN_CELLS * SEEN_CELLS, device=model.device)
    count = len(model.geometry.frames)
    for frame in range(0, count, max(1, count // 12)):
        t = torch.full((len(pixels),), frame, device=model.device)
        shown = model.visibility(pixels, t)[:, layer] > 0.5
        unit = model.geometry.boxes[layer].to_unit(model.map(layer, pixels[shown], t[shown]))
        place = (unit.clamp(0, 0.9999) * SEEN_CELLS).long()
        cells[place[:, 1] * SEEN_CELLS + place[:, 0]] = 1.0
    # Samples lie apart, so that cells between them are filled from their neighbours.
    grown = torch.nn.functional.max_pool2d(cells.view(1, 1, SEEN_CELLS, SEEN_CELLS), 3, 1, 1)
    return grown[0, 0]


def _draw(painter: TexturePainter, layer: int, edit: Edit, opacity: float, uv: Tensor, rgba: Tensor) -> None:
    """Draw one edit onto atlas colours [h, w, 4], straight alpha, in place."""
    flat, area = uv.view(-1, 2), pixel_area(uv).view(-1)
    target = rgba.view(-1, 4)
    if isinstance(edit, Texture):
        surface = painter.surface(edit)
        if surface.layer != layer:
            return
        here = surface.lookup.inside(flat).nonzero()[:, 0]
        painted = painter.surface_colour(edit, surface, flat[here], area[here]) * opacity
    else:
        chain = strokes.chain_of_edit(painter.model, edit)
        if chain.layer != layer or (isinstance(edit, Adjustment) and is_identity(edit)):
            return
        here = _near(chain, flat, area)
        cover = _coverage(chain, flat[here], area[here])[:, None] * opacity
        if isinstance(edit, Adjustment):
            painted = torch.cat((adjust(target[here], edit) * cover, cover), 1)
        else:
            alpha = edit.color[3]
            painted = torch.cat((cover.new_tensor(edit.color[:3]) * alpha * cover, alpha * cover), 1)
    target[here, :3] = painted[:, :3] + target[here, :3] * (1 - painted[:, 3:])
    target[here, 3] = painted[:, 3] + target[here, 3] * (1 - painted[:, 3])


def _near(chain: strokes.Chain, uv: Tensor, area: Tensor) -> Tensor:
    """Indices of the atlas positions [n, 2] that a chain can cover: those in a box around it."""
    atlas_px_a_drawn_px = float(determinant(chain.to_drawn).abs().clamp_min(1e-6).rsqrt().max())
    margin = chain.reach_px * atlas_px_a_drawn_px * 1.5 + float(area.max().sqrt()) + 1.0
    inside = (uv >= chain.uv.amin(0) - margin) & (uv <= chain.uv.amax(0) + margin)
    return inside.all(1).nonzero()[:, 0]


def _coverage(chain: strokes.Chain, uv: Tensor, area: Tensor) -> Tensor:
    parts = zip(uv.split(CHUNK), area.split(CHUNK), strict=True)
    return torch.cat([strokes.chain_coverage(chain, *part) for part in parts])
