"""A video layer's atlas as a picture, with and without the edits on it.

Edits follow the rules of the reference painter, with the atlas's colour in the plate's place and all of the
layer visible. A texture that is tracked and not part of the surface lies where it lies on its own frame.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from inve_core.coordinates import determinant, pixel_centres
from inve_core.edits import Adjustment, EditLayer, EditStack, Texture
from inve_core.media.pictures import Picture, PictureSpec
from inve_core.model import LOST_PX
from inve_core.rendering import strokes
from inve_core.rendering.adjustments import adjust, is_identity
from inve_core.rendering.edges import scene_linear
from inve_core.rendering.fields import pixel_area
from inve_core.rendering.painting import FAINTEST
from inve_core.rendering.texturing import TexturePainter

CHUNK = 65_536
SEEN_EVERY = 3  # Working pixels between the samples that tell which part of the atlas is seen at all.
SEEN_CELLS = 128
# Points along a side at which it is found out whether a frame shows them; bilinear in between.
FRAME_POINTS = 192
DIMMED = 0.25
"""Share of its alpha that is left to what a frame does not show."""


@torch.no_grad()
def atlas_picture(
    painter: TexturePainter, layer: int, stack: EditStack | None, long_edge: int, t: int | None = None
) -> Picture:
    """Atlas colours over a video layer's box, transparent where no frame shows that part.

    Args:
        layer: index of the video layer.
        stack: the edits to draw on it; those of other video layers are left out.
        long_edge: pixels along each side.
        t: index of a frame; what of the atlas is not seen in it is left with DIMMED of its alpha.

    Returns:
        [long_edge, long_edge, 4] half, premultiplied, scene-linear.
    """
    model = painter.model
    centres = pixel_centres(long_edge, long_edge, model.device) / long_edge
    uv = model.geometry.boxes[layer].from_unit(centres)
    colour = torch.cat([model.colour(layer, part) for part in uv.view(-1, 2).split(CHUNK)])
    rgba = torch.ones(long_edge, long_edge, 4, device=model.device)
    rgba[..., :3] = scene_linear(model, colour).view(long_edge, long_edge, 3)
    shown = None if t is None else _enlarged(part_in_frame(painter, layer, t), long_edge)
    seen = _enlarged(seen_part(painter, layer), long_edge) > 0.25
    if shown is not None:
        # Not every frame is asked for what is seen at all.
        seen |= shown > 0.5
    rgba *= seen[..., None]
    for edit_layer in stack.rendered if stack else ():
        rgba = _with_layer(painter, layer, edit_layer, uv, rgba)
    if shown is not None:
        rgba *= (DIMMED + (1 - DIMMED) * shown)[..., None]
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


@torch.no_grad()
def part_in_frame(painter: TexturePainter, layer: int, t: int) -> Tensor:
    """How much a frame shows of each place of a layer's box: [FRAME_POINTS, FRAME_POINTS] in 0..1."""
    model, grid = painter.model, painter.model.geometry.grid
    unit = pixel_centres(FRAME_POINTS, FRAME_POINTS, model.device).view(-1, 2) / FRAME_POINTS
    parts = []
    for uv in model.geometry.boxes[layer].from_unit(unit).split(CHUNK):
        times = torch.full((len(uv),), t, device=model.device)
        xy, miss = model.unmap(layer, uv, times)
        size = xy.new_tensor((grid.working_width, grid.working_height))
        there = (xy >= 0).all(1) & (xy <= size).all(1) & (miss <= LOST_PX)
        parts.append(model.visibility(xy, times)[:, layer] * there)
    return torch.cat(parts).view(FRAME_POINTS, FRAME_POINTS)


def _enlarged(cells: Tensor, side: int) -> Tensor:
    """[n, n] to [side, side]."""
    return functional.interpolate(cells[None, None], (side, side), mode="bilinear")[0, 0]


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


def _with_layer(
    painter: TexturePainter, layer: int, edit_layer: EditLayer, uv: Tensor, current: Tensor
) -> Tensor:
    """One edit layer over atlas colours [h, w, 4], premultiplied."""
    flat, area = uv.view(-1, 2), pixel_area(uv).view(-1)
    below = current.view(-1, 4)
    painted = torch.zeros_like(below)
    for edit in edit_layer.edits:
        if isinstance(edit, Texture):
            surface = painter.surface(edit)
            if surface.layer != layer:
                continue
            here = surface.lookup.inside(flat).nonzero()[:, 0]
            over = painter.surface_colour(edit, surface, flat[here], area[here]) * edit_layer.opacity
        else:
            chain = strokes.chain_of_edit(painter.model, edit)
            if chain.layer != layer or (isinstance(edit, Adjustment) and is_identity(edit)):
                continue
            here = _near(chain, flat, area)
            cover = _coverage(chain, flat[here], area[here])[:, None]
            cover = torch.where(cover < FAINTEST, torch.zeros_like(cover), cover) * edit_layer.opacity
            if isinstance(edit, Adjustment):
                beneath = painted[here] + below[here] * (1 - painted[here, 3:])
                over = torch.cat((adjust(beneath, edit), beneath[:, 3:]), 1) * cover
            else:
                red, green, blue, alpha = edit.color
                over = cover * cover.new_tensor((red * alpha, green * alpha, blue * alpha, alpha))
        painted[here] = over + painted[here] * (1 - over[:, 3:])
    return (painted + below * (1 - painted[:, 3:])).view(current.shape)


def _near(chain: strokes.Chain, uv: Tensor, area: Tensor) -> Tensor:
    """Indices of the atlas positions [n, 2] that a chain can cover: those in a box around it."""
    atlas_px_a_drawn_px = float(determinant(chain.to_drawn).abs().clamp_min(1e-6).rsqrt().max())
    margin = chain.reach_px * atlas_px_a_drawn_px * 1.5 + float(area.max().sqrt()) + 1.0
    inside = (uv >= chain.uv.amin(0) - margin) & (uv <= chain.uv.amax(0) + margin)
    return inside.all(1).nonzero()[:, 0]


def _coverage(chain: strokes.Chain, uv: Tensor, area: Tensor) -> Tensor:
    parts = zip(uv.split(CHUNK), area.split(CHUNK), strict=True)
    return torch.cat([strokes.chain_coverage(chain, *part) for part in parts])
