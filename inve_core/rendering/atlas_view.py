"""A video layer's atlas as a picture, with and without the edits on it.

It is painted as a frame is, with the atlas's colour in the plate's place, each pixel where it lies and all of
the layer visible. A texture that is tracked and not part of the surface lies where it lies on its own frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from inve_core.coordinates import Box, pixel_centres
from inve_core.media.pictures import Picture, PictureSpec
from inve_core.model import LOST_PX
from inve_core.rendering.blending import lay_layer
from inve_core.rendering.chains import NO_FRAME
from inve_core.rendering.edges import scene_linear
from inve_core.rendering.fields import FULL, TILE, DrawnPixel, FrameSize, pixel_area, tile_pixels
from inve_core.rendering.painting import TILES_A_CALL, Canvas, Work, paint
from inve_core.rendering.program import Step, TableStep, TextureStep, exponent_of
from inve_core.rendering.texturing import TexturePainter

CHUNK = 65_536
SEEN_EVERY = 3  # Working pixels between the samples that tell which part of the atlas is seen at all.
SEEN_CELLS = 128
# Points along a side at which it is found out whether a frame shows them; bilinear in between.
FRAME_POINTS = 192
# No tile of the view is one of a frame.
NO_PIXEL = DrawnPixel(1.0, 1.0, 1.0)
DIMMED = 0.25
"""Share of its alpha that is left to what a frame does not show."""


@torch.no_grad()
def atlas_picture(
    painter: TexturePainter, layer: int, steps: Sequence[Step], long_edge: int, t: int | None = None
) -> Picture:
    """Atlas colours over a video layer's box, transparent where no frame shows that part.

    Args:
        layer: index of the video layer.
        steps: the edits to draw on it, bottom to top; those of other video layers are left out.
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
    for step in steps:
        if isinstance(step, TextureStep):
            _lay_textures(painter, step, layer, uv, rgba)
        else:
            _lay_lines(step, layer, model.geometry.boxes[layer], rgba)
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


@dataclass(frozen=True, eq=False)
class _Tiles:
    """Tiles of the view, as `painting.TileFields`: all of the layer is visible."""

    uv: Tensor
    visible: Tensor


def _lay_lines(step: TableStep, layer: int, box: Box, pixels: Tensor) -> None:
    """Paint strokes and adjustments on atlas colours [side, side, 4], premultiplied, in place."""
    side, layers = len(pixels), len(step.grids.atlas)
    size, pixel = FrameSize(0, side, side), box.size / side
    table = step.table(exponent_of(pixel))
    if layer not in table.layers:
        return
    tiles = np.arange(size.columns * size.rows)
    low = size.corners(tiles) * pixel + (box.x0, box.y0)
    tiles = tiles[table.reaches(layer, low, low + TILE * pixel)]
    touched = torch.zeros(1, side, side, dtype=torch.bool, device=pixels.device)
    for start in range(0, len(tiles), TILES_A_CALL):
        part = tiles[start : start + TILES_A_CALL]
        uv = box.from_unit(tile_pixels(size, part, pixels.device) / side)
        visible = torch.full((len(part), TILE, TILE, layers), FULL, dtype=torch.int16)
        active = np.zeros((len(part), layers), bool)
        active[:, layer] = True
        places = np.column_stack((np.zeros(len(part), np.int64), size.corners(part)))
        fields = _Tiles(uv[:, None].expand(-1, layers, -1, -1, -1), visible.to(uv.device))
        no_frames = np.full(len(part), NO_FRAME)
        work = Work(places, np.arange(len(part)), active, no_frames, size.corners(part), NO_PIXEL)
        paint(table, fields, work, Canvas(pixels[None], touched))


def _lay_textures(painter: TexturePainter, step: TextureStep, layer: int, uv: Tensor, pixels: Tensor) -> None:
    """Lay textures over atlas colours [h, w, 4], premultiplied, at atlas positions uv [h, w, 2], in place."""
    flat, area, below = uv.view(-1, 2), pixel_area(uv).view(-1), pixels.view(-1, 4)
    top = torch.zeros_like(below)
    for edit in step.edits:
        surface = painter.surface(edit)
        here = surface.lookup.inside(flat).nonzero()[:, 0]
        if surface.layer != layer or not len(here):
            continue
        over = painter.surface_colour(edit, surface, flat[here], area[here])
        top[here] = over + top[here] * (1 - over[:, 3:])
    changed = (top != 0).any(-1)
    below[changed] = lay_layer(step.layer, top[changed], below[changed]).result
