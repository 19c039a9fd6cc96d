"""The paper's Figure 5: a stroke as a curve in the atlas, against a raster of the frame mapped onto it.

The losing twins draw the stroke on the frame's pixels and carry each pixel to where it lies in an atlas
raster: `nearest` to the texel it falls on, `linear` to the four around it by their shares. Where the mapping
spreads pixels apart no pixel falls on some texels, and these are gaps; where it does so less, the shares do
not add up to one, and the colour changes from place to place. `divided` repairs the latter by the shares' sum
and is left with a raster's sharpness. `ours` is the renderer's.

Gaps are pixels of the stroke's core with less than half of the coverage; the change of colour is the standard
deviation of what the core's pixels get, white paint on black; soft is how many pixels, in the whole picture,
are neither covered nor bare. The core is known from the synthetic scene, or else from the model's own tracks.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from edits_lines import DrawnLine, along, picture_of, places_to_draw
from edits_shots import LearnedShot
from numpy.typing import NDArray

from inve_core.coordinates import pixel_centres
from inve_core.model import LayeredAtlas
from inve_core.points import QueryPoint
from inve_core.rendering import Renderer
from inve_core.rendering.fields import snap
from inve_core.tracking import track_points

Picture = NDArray[np.float32]
LAYER = "foreground"
WIDTH_PX = 6.0
# The paper's atlases of 1000 texels a side for frames of 768 pixels.
TEXELS_A_PIXEL = 1000 / 768
CORE_PX = 1.5
SCALE = 2.0
WAYS = ("ours", "nearest", "linear", "divided")


@dataclass(frozen=True, eq=False)
class Figure:
    """Coverage [h, w] by way, and the true core [h, w] bool, on one frame."""

    frame: int
    coverage: dict[str, Picture]
    core: NDArray[np.bool_]


def curve(centre: NDArray[np.float64], reach: float) -> DrawnLine:
    """A line with bends of several radii."""
    s = np.linspace(-1, 1, 200)
    points = centre + reach * np.stack((0.8 * s, 0.45 * np.sin(2.6 * np.pi * s) * (1.1 - 0.5 * s)), 1) * 0.8
    return DrawnLine("curve", points, WIDTH_PX)


@torch.no_grad()
def fields_of(model: LayeredAtlas, t: int, width: int, height: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Atlas texels [n, 2] of every pixel, and the layer's visibility [h, w]."""
    grid, layer = model.geometry.grid, model.geometry.video_layers.index(LAYER)
    factors = torch.tensor((grid.working_width / width, grid.working_height / height))
    xy = pixel_centres(width, height).view(-1, 2) * factors
    times = torch.full((len(xy),), t)
    box = model.geometry.boxes[layer]
    texels = box.to_unit(model.map(layer, xy, times)) * side_of(model)
    visible = snap(model.visibility(xy, times)[:, layer])
    return texels, visible.view(height, width)


def side_of(model: LayeredAtlas) -> int:
    """Texels along the side of the twins' atlas."""
    layer, grid = model.geometry.video_layers.index(LAYER), model.geometry.grid
    return round(model.geometry.boxes[layer].size * grid.factors[0] * TEXELS_A_PIXEL)


def atlas_of_raster(drawn: Picture, texels: torch.Tensor, side: int, way: str) -> torch.Tensor:
    """A frame's coverage [h, w] carried to an atlas [side, side], pixel by pixel."""
    values = torch.from_numpy(drawn).view(-1)
    atlas, weights = torch.zeros(side * side), torch.zeros(side * side)
    if way == "nearest":
        place = texels.floor().long().clamp(0, side - 1)
        # Of several pixels on a texel one stays, here the one that covers most.
        return atlas.scatter_reduce(0, place[:, 1] * side + place[:, 0], values, "amax").view(side, side)
    corner = (texels - 0.5).floor()
    share = texels - 0.5 - corner
    for step_x in (0, 1):
        for step_y in (0, 1):
            place = (corner + torch.tensor([step_x, step_y])).long().clamp(0, side - 1)
            weight = (share[:, 0] if step_x else 1 - share[:, 0]) * (
                share[:, 1] if step_y else 1 - share[:, 1]
            )
            index = place[:, 1] * side + place[:, 0]
            atlas.index_add_(0, index, values * weight)
            weights.index_add_(0, index, weight)
    if way == "divided":
        atlas = atlas / weights.clamp_min(1e-6)
    return atlas.clamp_max(1.0).view(side, side)


def read_atlas(atlas: torch.Tensor, texels: torch.Tensor, linear: bool) -> torch.Tensor:
    """An atlas [side, side] at texels [n, 2]."""
    grid = (texels / len(atlas) * 2 - 1)[None, None]
    way = "bilinear" if linear else "nearest"
    read = torch.nn.functional.grid_sample(atlas[None, None], grid, mode=way, align_corners=False)
    return read[0, 0, 0]


def draw_figure(shot: LearnedShot, renderer: Renderer) -> Figure:
    """The stroke, drawn on the middle frame, on the frame at the end of the clip, by every way."""
    frames, source = shot.source.frames, shot.source
    drawn, shown = len(frames) // 2, len(frames) - 1
    centre, reach = places_to_draw(renderer, frames[drawn])[LAYER]
    line = curve(centre, reach)
    ours, _ = picture_of(renderer, line, LAYER, frames[drawn], frames[shown], SCALE)
    # What is carried over is the stroke where it is right: on the drawn frame itself.
    raster, _ = picture_of(renderer, line, LAYER, frames[drawn], frames[drawn], 1.0)
    coverage = {"ours": ours}
    texels, _ = fields_of(shot.model, drawn, source.width, source.height)
    height, width = ours.shape
    seen_texels, visible = fields_of(shot.model, shown, width, height)
    for way in WAYS[1:]:
        atlas = atlas_of_raster(raster, texels, side_of(shot.model), way)
        read = read_atlas(atlas, seen_texels, way != "nearest").view(height, width) * visible
        coverage[way] = read.numpy().astype(np.float32)
    places, _ = along(line.points, 0.5)
    if shot.truth is not None:
        true = shot.truth.position("foreground", drawn, places, shown)
    else:
        points = [
            QueryPoint(id=f"p{k}", frame=frames[drawn], x=float(x), y=float(y), video_layer=LAYER)
            for k, (x, y) in enumerate(places)
        ]
        true = track_points(shot.model, points, [frames[shown]]).xy[:, 0].numpy()
    ends = int(WIDTH_PX)
    canvas = np.ones((height, width), np.uint8)
    path = np.rint((true[ends:-ends] * SCALE - 0.5) * 256).astype(np.int32)
    cv2.polylines(canvas, [path], False, 0, 1, cv2.LINE_8, 8)
    near = cv2.distanceTransform(canvas, cv2.DIST_L2, 5) <= CORE_PX * SCALE
    return Figure(frames[shown], coverage, near & (visible.numpy() >= 1.0))


def measure_figure(figure: Figure) -> list[dict[str, Any]]:
    """A row for each way: gaps, their share of the core, and the colour's deviation."""
    rows = []
    for way in WAYS:
        core = figure.coverage[way][figure.core]
        gaps = int((core < 0.5).sum())
        soft = int(((figure.coverage[way] > 0.05) & (figure.coverage[way] < 0.95)).sum())
        rows.append({"way": way, "core": len(core), "gaps": gaps, "std": float(core.std()), "soft": soft})
    ours, *others = rows
    for row in rows:
        beaten = all(ours["std"] < other["std"] for other in others)
        row["reached"] = ours["gaps"] == 0 and beaten if row is ours else None
    return rows


def figure_table(name: str, rows: list[dict[str, Any]]) -> str:
    """The rows as text."""
    lines = [
        f"Figure 5, {name}".ljust(30)
        + "".join(one.rjust(10) for one in ("core px", "gaps", "colour", "soft"))
    ]
    for row in rows:
        mark = (
            ""
            if row["reached"] is None
            else f"   no gaps, least change: {'ok' if row['reached'] else 'MISSED'}"
        )
        figures = f"{row['core']:10d}{row['gaps']:10d}{row['std']:10.4f}{row['soft']:10d}"
        lines.append(f"{'  ' + row['way']:30s}{figures}{mark}")
    return "\n".join(lines)


def figure_picture(figure: Figure, plate: Picture) -> Picture:
    """The ways side by side, cut to the stroke: [h, w, 3] linear light."""
    height, width = figure.core.shape
    below = cv2.resize(plate, (width, height), interpolation=cv2.INTER_LINEAR)
    y, x = np.nonzero(figure.coverage["ours"] > 0)
    rows = slice(max(0, y.min() - 8), y.max() + 8)
    columns = slice(max(0, x.min() - 8), x.max() + 8)
    colour = np.array([0.02, 0.05, 0.9], np.float32)
    made = [below + figure.coverage[way][..., None] * (colour - below) for way in WAYS]
    return np.hstack([one[rows, columns] for one in made])
