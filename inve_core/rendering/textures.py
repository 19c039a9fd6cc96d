"""Textures that follow the shot: warped with the atlas, or held to tracked points (INVE, Secs. 3.3, 3.4).

All three kinds of tracking come down to where a pixel lies on the drawn frame; from there on the texture is
a rectangle with a rotation.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from inve_core.coordinates import determinant, inverse
from inve_core.edits import Texture
from inve_core.model import LayeredAtlas
from inve_core.tracking import follow

LOOKUP_VERTICES = 128
LANDMARKS_A_SIDE = 5


@dataclass(frozen=True, eq=False)
class Placement:
    """A texture's rectangle on the frame it was placed on, in picture pixels."""

    centre: tuple[float, float]
    width: float
    height: float
    rotation: float  # degrees, clockwise as seen

    @classmethod
    def of(cls, edit: Texture) -> "Placement":
        """Of a texture edit."""
        return cls((edit.x, edit.y), edit.width, edit.height, edit.rotation)

    def to_local(self, xy: Tensor) -> Tensor:
        """Picture pixels [n, 2] to pixels along the rectangle's own axes from its centre."""
        cos, sin = math.cos(math.radians(self.rotation)), math.sin(math.radians(self.rotation))
        turn = xy.new_tensor([[cos, -sin], [sin, cos]])
        return (xy - xy.new_tensor(self.centre)) @ turn

    def outline(self, a_side: int) -> np.ndarray:
        """Points around the rectangle, [4 * a_side, 2] picture pixels."""
        return self.grid_points(
            np.concatenate(
                [
                    np.stack((edge, np.full_like(edge, level))[::order], 1)
                    for edge in (np.linspace(-0.5, 0.5, a_side),)
                    for level in (-0.5, 0.5)
                    for order in (1, -1)
                ]
            )
        )

    def grid_points(self, unit: np.ndarray) -> np.ndarray:
        """Points given from -1/2 to 1/2 along the sides, [n, 2], as picture pixels."""
        cos, sin = math.cos(math.radians(self.rotation)), math.sin(math.radians(self.rotation))
        local = unit * (self.width, self.height)
        return local @ np.array([[cos, sin], [-sin, cos]]) + self.centre


class TexturePyramid:
    """A texture and its halved copies, with a transparent border, sampled trilinearly."""

    def __init__(self, rgba: np.ndarray, device: torch.device):
        """rgba: [h, w, 4] float32, premultiplied, scene-linear."""
        level = torch.from_numpy(np.ascontiguousarray(rgba)).to(device).permute(2, 0, 1)[None]
        self.size = (rgba.shape[1], rgba.shape[0])
        self.levels = [level]
        while max(level.shape[-2:]) > 1:
            height, width = (max(1, side // 2) for side in level.shape[-2:])
            level = functional.adaptive_avg_pool2d(level, (height, width))
            self.levels.append(level)

    def sample(self, place: Tensor, texels_per_pixel: Tensor) -> Tensor:
        """Premultiplied RGBA.

        Args:
            place: [n, 2] from 0 to 1 across the texture.
            texels_per_pixel: [n], how many texels a pixel spans; chooses the level.
        """
        level = texels_per_pixel.clamp_min(1.0).log2().clamp_max(len(self.levels) - 1)
        low = level.floor()
        result = torch.zeros(len(place), 4, device=place.device)
        for number in range(int(low.min()), min(int(low.max()) + 2, len(self.levels))):
            weight = (1 - (level - number).abs()).clamp_min(0.0)
            used = weight > 0
            if used.any():
                grid = (place[used] * 2 - 1)[None, None]
                values = functional.grid_sample(
                    self.levels[number], grid, mode="bilinear", padding_mode="border", align_corners=False
                )
                result[used] += weight[used, None] * values[0, :, 0].t()
        return result


def paint(pyramid: TexturePyramid, placement: Placement, drawn_xy: Tensor, drawn_area: Tensor) -> Tensor:
    """Premultiplied RGBA of a texture at pixels.

    Args:
        drawn_xy: [n, 2], where each pixel lies on the frame the texture was placed on, picture pixels.
        drawn_area: [n], the area of a pixel there.
    """
    local = placement.to_local(drawn_xy)
    size = local.new_tensor((placement.width, placement.height))
    footprint = drawn_area.sqrt()
    # The rectangle's edge is antialiased by how much of the pixel lies inside of it, side by side.
    inside = ((size / 2 - local.abs()) / footprint[:, None] + 0.5).clamp(0.0, 1.0)
    inside = inside.minimum((size / footprint[:, None]).clamp_max(1.0))
    texels = math.sqrt(pyramid.size[0] * pyramid.size[1] / (placement.width * placement.height)) * footprint
    return pyramid.sample(local / size + 0.5, texels) * inside.prod(1, keepdim=True)


class DrawnLookup:
    """Atlas position to position on one frame, tabulated over a texture's part of the atlas.

    Numerical inversion at every pixel of every frame would cost a hundred times the rest of a render; the
    mapping's residual is so smooth that a table with bilinear reads loses nothing that could be seen.
    """

    def __init__(self, model: LayeredAtlas, layer: int, t: int, low: Tensor, high: Tensor):
        """low, high: [2] atlas pixels, the corners of the part that is tabulated."""
        self.low, self.high = low, high
        steps = torch.linspace(0, 1, LOOKUP_VERTICES, device=model.device)
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        uv = low + torch.stack((x, y), -1).view(-1, 2) * (high - low)
        found, _ = model.unmap(layer, uv, torch.full((len(uv),), t, device=model.device))
        picture = model.geometry.grid.to_picture(found)
        self.table = picture.t().view(1, 2, LOOKUP_VERTICES, LOOKUP_VERTICES)

    def __call__(self, uv: Tensor) -> Tensor:
        """[n, 2] atlas pixels to [n, 2] picture pixels; outside the table the nearest edge answers."""
        grid = ((uv - self.low) / (self.high - self.low) * 2 - 1)[None, None]
        found = functional.grid_sample(
            self.table, grid, mode="bilinear", padding_mode="border", align_corners=True
        )
        return found[0, :, 0].t()

    def inside(self, uv: Tensor) -> Tensor:
        """Whether [n, 2] lie in the tabulated part. Returns [n] bool."""
        return ((uv >= self.low) & (uv <= self.high)).all(1)


@dataclass(frozen=True, eq=False)
class Similarities:
    """Where a rectangle goes on every frame: x_t = matrix_t @ x_drawn + offset_t, picture pixels."""

    matrices: Tensor  # [n, 2, 2]
    offsets: Tensor  # [n, 2]

    def to_drawn(self, t: int, xy: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels [n, 2] of frame index t to the drawn frame: positions [n, 2] and a pixel's area [n]."""
        back = inverse(self.matrices[t])
        area = determinant(back).abs().expand(len(xy))
        return (xy - self.offsets[t]) @ back.t(), area

    def from_drawn(self, t: int, xy: Tensor) -> Tensor:
        """Positions on the drawn frame [n, 2] to frame index t."""
        return xy @ self.matrices[t].t() + self.offsets[t]


@torch.no_grad()
def track_placement(
    model: LayeredAtlas, layer: int, t: int, placement: Placement, turning: bool
) -> Similarities:
    """Follow a rectangle by its centre alone, or (`turning`) by landmarks all over it.

    With landmarks a similarity is fitted to each frame by weighted least squares (Umeyama 1991); those that
    are on the video layer where the texture was placed count, wherever they go.
    """
    device, grid = model.device, model.geometry.grid
    frames = list(range(len(model.geometry.frames)))
    centre = torch.tensor([placement.centre], dtype=torch.float32, device=device)
    path = grid.to_picture(follow(model, layer, grid.to_working(centre), t, frames)[0][0])
    shift = path - centre
    upright = torch.eye(2, device=device).repeat(len(frames), 1, 1)
    if not turning:
        return Similarities(upright, shift)
    side = np.linspace(-0.5, 0.5, LANDMARKS_A_SIDE)
    unit = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    points = torch.tensor(placement.grid_points(unit), dtype=torch.float32, device=device)
    within = ((points >= 0) & (points <= points.new_tensor((grid.width, grid.height)))).all(1)
    points = points[within]
    seen = model.visibility(grid.to_working(points), torch.full((len(points),), t, device=device))[:, layer]
    points = points[seen > 0.5]
    if len(points) < 3:
        return Similarities(upright, shift)
    tracked = grid.to_picture(follow(model, layer, grid.to_working(points), t, frames)[0]).transpose(0, 1)
    start = points - points.mean(0)
    end = tracked - tracked.mean(1, keepdim=True)
    # As complex numbers a similarity is one factor: least squares gives it in closed form.
    a = (end * start).sum((1, 2)) / start.square().sum()
    b = (end[..., 1] * start[:, 0] - end[..., 0] * start[:, 1]).sum(1) / start.square().sum()
    matrices = torch.stack((torch.stack((a, -b), -1), torch.stack((b, a), -1)), -2)
    # The anchor itself stays on its own track, so that turning and scaling happen about it.
    offsets = path - (matrices @ centre[0])
    matrices[t], offsets[t] = torch.eye(2, device=device), torch.zeros(2, device=device)
    return Similarities(matrices, offsets)
