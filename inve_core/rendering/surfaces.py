"""Textures that deform with the atlas: from an atlas position back to the place it had on the drawn frame."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from inve_core.coordinates import Box
from inve_core.model import LayeredAtlas
from inve_core.rendering.placements import Placement

LOOKUP_VERTICES = 128
OUTLINE_POINTS_A_SIDE = 64
# Around the quad's outline in the atlas: its edge may be seen there, and the outline bends in between.
SLACK_SHARE, SLACK_PX = 0.05, 4.0
# The atlas is seen inside of its layer's box, and by this share of the box's side around it.
BOX_MARGIN = 0.05


class _InBox:
    """A box of atlas pixels.

    Attributes:
        low, high: [2] its corners.
    """

    low: Tensor
    high: Tensor

    def inside(self, uv: Tensor) -> Tensor:
        """Whether [n, 2] atlas pixels lie where the lookup answers. Returns [n] bool."""
        return ((uv >= self.low) & (uv <= self.high)).all(1)


class DrawnLookup(_InBox):
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
        self.table = picture.t().reshape(1, 2, LOOKUP_VERTICES, LOOKUP_VERTICES)

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.table.nbytes

    def __call__(self, uv: Tensor) -> Tensor:
        """[n, 2] atlas pixels to [n, 2] picture pixels; outside the table the nearest edge answers."""
        grid = ((uv - self.low) / (self.high - self.low) * 2 - 1)[None, None]
        found = functional.grid_sample(
            self.table, grid, mode="bilinear", padding_mode="border", align_corners=True
        )
        return found[0, :, 0].t()


class AtlasLookup(_InBox):
    """Atlas position to shares of the atlas's side, for what was placed on the atlas itself."""

    nbytes = 0

    def __init__(self, box: Box, low: Tensor, high: Tensor):
        """box: the video layer's; low, high: [2] atlas pixels, what the texture can cover."""
        self.box, self.low, self.high = box, low, high

    def __call__(self, uv: Tensor) -> Tensor:
        """[n, 2] atlas pixels to [n, 2] shares of the atlas's side."""
        return self.box.to_unit(uv)


Lookup = DrawnLookup | AtlasLookup


@dataclass(frozen=True, eq=False)
class Surface:
    """A texture that deforms with the atlas.

    Attributes:
        lookup: atlas pixels to drawn coordinates.
        layer: index of its video layer.
        drawn_t: index of the frame that it was placed on, where it lies exactly so; None in atlas space.
    """

    lookup: Lookup
    layer: int
    drawn_t: int | None

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.lookup.nbytes

    def reach(self) -> tuple[np.ndarray, np.ndarray]:
        """Corners [2] and [2] of the box of atlas pixels that it can cover."""
        return self.lookup.low.cpu().numpy(), self.lookup.high.cpu().numpy()


@torch.no_grad()
def surface_on_frame(model: LayeredAtlas, layer: int, t: int, placement: Placement) -> Surface:
    """The surface of a texture that was placed on frame index t."""
    outline = torch.tensor(placement.outline(OUTLINE_POINTS_A_SIDE), dtype=torch.float32, device=model.device)
    times = torch.full((len(outline),), t, device=model.device)
    uv = model.map(layer, model.geometry.grid.to_working(outline), times)
    low, high = _slack(uv.amin(0), uv.amax(0))
    # A quad may reach far out of the picture; a table over all of it would be coarse where it is seen.
    box = model.geometry.boxes[layer]
    margin = BOX_MARGIN * box.size
    first = uv.new_tensor((box.x0, box.y0)) - margin
    last = first + box.size + 2 * margin
    low, high = low.maximum(first).minimum(last), high.maximum(first).minimum(last)
    return Surface(DrawnLookup(model, layer, t, low, high.maximum(low + 1e-3)), layer, t)


def surface_on_atlas(model: LayeredAtlas, layer: int, placement: Placement) -> Surface:
    """The surface of a texture that was placed on a view of the atlas."""
    box = model.geometry.boxes[layer]
    corners = torch.tensor(placement.corners, dtype=torch.float32, device=model.device)
    uv = box.from_unit(corners)
    return Surface(AtlasLookup(box, *_slack(uv.amin(0), uv.amax(0))), layer, None)


def _slack(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    slack = (high - low) * SLACK_SHARE + SLACK_PX
    return low - slack, high + slack
