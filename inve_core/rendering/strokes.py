"""Vector strokes and outlines: coverage from the distance to a chain in the atlas (INVE, Sec. 3.5).

The control points are resampled to a few pixels' spacing and mapped to the atlas (INVE, Eqs. 4-6). Each
segment keeps the inverse Jacobian of the mapping where it was drawn, so that a distance in the atlas is
turned back into pixels of the drawn frame: the stroke keeps its width where the mapping stretches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from inve_core.coordinates import determinant, inverse
from inve_core.edits import Adjustment, Stroke
from inve_core.model import LayeredAtlas
from inve_core.tracking import frame_index, layer_under

SEGMENTS_A_CHUNK = 32
PAIRS_A_CHUNK = 4_000_000
SPACING_PX = (1.0, 4.0)


@dataclass(frozen=True, eq=False)
class Chain:
    """A stroke or outline in the atlas.

    Attributes:
        layer: index of its video layer.
        uv: [k, 2] atlas pixels.
        to_drawn: [s, 2, 2] per segment, atlas pixels to picture pixels of the drawn frame.
        width: picture pixels of the drawn frame, between the points of half coverage.
        hardness: 0..1; the edge is soft over (1 - hardness) * width.
        closed: the outline's inside is covered, and not the line itself.
    """

    layer: int
    uv: Tensor
    to_drawn: Tensor
    width: float
    hardness: float
    closed: bool

    @property
    def starts(self) -> Tensor:
        """First point of each segment, [s, 2]."""
        return self.uv[: len(self.to_drawn)]

    @property
    def ends(self) -> Tensor:
        """Last point of each segment, [s, 2]."""
        if self.closed:
            return self.uv.roll(-1, 0)
        return self.uv[-len(self.to_drawn) :]

    @cached_property
    def reach_px(self) -> float:
        """How far from the chain coverage can be other than inside or outside, in drawn pixels."""
        soft = (1 - self.hardness) * self.width / 2
        return soft if self.closed else self.width / 2 + soft


def resample(points: Sequence[tuple[float, float]] | np.ndarray, spacing: float, closed: bool) -> np.ndarray:
    """Points along a polyline at most `spacing` apart, with all of its corners. Returns [k, 2] float64."""
    corners = np.asarray(points, float).reshape(-1, 2)
    if closed and len(corners) > 1:
        corners = np.concatenate((corners, corners[:1]))
    pieces = []
    for start, end in pairwise(corners):
        steps = max(1, int(np.ceil(np.hypot(*(end - start)) / spacing)))
        pieces.append(start + (end - start) * (np.arange(steps) / steps)[:, None])
    if not closed or len(corners) == 1:
        pieces.append(corners[-1:])
    return np.concatenate(pieces)


@torch.no_grad()
def map_with_jacobian(
    model: LayeredAtlas, layer: int, picture_xy: Tensor, t: Tensor
) -> tuple[Tensor, Tensor]:
    """Atlas positions [k, 2] and d(uv)/d(picture pixel) [k, 2, 2] at picture coordinates of frames t [k]."""
    half = 0.5
    offsets = picture_xy.new_tensor([[0, 0], [half, 0], [-half, 0], [0, half], [0, -half]])
    probes = model.geometry.grid.to_working((picture_xy[None] + offsets[:, None]).flatten(0, 1))
    uv = model.map(layer, probes, t.repeat(5)).view(5, -1, 2)
    return uv[0], torch.stack((uv[1] - uv[2], uv[3] - uv[4]), -1) / (2 * half)


def invert_jacobian(jacobian: Tensor) -> Tensor:
    """Inverse of [..., 2, 2]; where the map is all but flat, the inverse of its scale alone."""
    area = determinant(jacobian).abs()
    scale = jacobian.square().sum((-1, -2)).clamp_min(1e-8).div(2).sqrt()
    flat = area < 0.01 * scale.square()
    upright = torch.eye(2, device=jacobian.device) * scale[..., None, None]
    return inverse(torch.where(flat[..., None, None], upright, jacobian))


def chain_of(
    model: LayeredAtlas,
    layer: int,
    t: int,
    points: Sequence[tuple[float, float]],
    width: float,
    hardness: float,
    closed: bool = False,
) -> Chain:
    """Map a polyline, drawn in picture coordinates on frame index t, to the atlas."""
    spacing = float(np.clip(width / 3, *SPACING_PX))
    fine = resample(points, spacing, closed)
    xy = torch.tensor(fine, dtype=torch.float32, device=model.device)
    uv, jacobian = map_with_jacobian(model, layer, xy, torch.full((len(xy),), t, device=xy.device))
    back = invert_jacobian(jacobian)
    if len(uv) == 1:
        to_drawn = back
    elif closed:
        to_drawn = (back + back.roll(-1, 0)) / 2
    else:
        to_drawn = (back[:-1] + back[1:]) / 2
    return Chain(layer, uv, to_drawn, width, hardness, closed and len(uv) > 2)


def chain_of_edit(model: LayeredAtlas, edit: Stroke | Adjustment) -> Chain:
    """One edit's chain in the atlas."""
    t = frame_index(model, edit.frame)
    xy = torch.tensor(edit.points, dtype=torch.float32, device=model.device)
    layer = layer_under(model, model.geometry.grid.to_working(xy), t, edit.video_layer)
    closed = isinstance(edit, Adjustment) and edit.closed
    return chain_of(model, layer, t, edit.points, edit.width, edit.hardness, closed)


def nearest(chain: Chain, segments: slice, uv: Tensor) -> tuple[Tensor, Tensor]:
    """Distance to the nearest of some segments.

    Args:
        uv: [n, 2].

    Returns:
        [n] picture pixels of the drawn frame, and [n] the nearest segment's area scale: drawn pixels squared
        for an atlas pixel squared.
    """
    to_drawn = chain.to_drawn[segments]
    start, end = chain.starts[segments], chain.ends[segments]
    along = (to_drawn @ (end - start)[..., None])[..., 0]
    length = along.square().sum(-1).clamp_min(1e-12)
    away = torch.einsum("sij,nsj->nsi", to_drawn, uv[:, None] - start)
    share = ((away * along).sum(-1) / length).clamp(0.0, 1.0)
    distance = (away - share[..., None] * along).square().sum(-1)
    best, index = distance.min(1)
    return best.sqrt(), determinant(to_drawn).abs()[index]


def inside_outline(chain: Chain, uv: Tensor) -> Tensor:
    """Whether points [n, 2] lie inside a closed chain, by the even-odd rule. Returns [n] bool."""
    odd = torch.zeros(len(uv), dtype=torch.bool, device=uv.device)
    rows = max(1, PAIRS_A_CHUNK // max(1, len(chain.uv)))
    starts, ends = chain.starts, chain.ends
    rise = ends[:, 1] - starts[:, 1]
    slope = (ends[:, 0] - starts[:, 0]) / torch.where(rise == 0, torch.ones_like(rise), rise)
    for low in range(0, len(uv), rows):
        x, y = uv[low : low + rows, None].unbind(-1)
        straddles = (starts[:, 1] > y) != (ends[:, 1] > y)
        left = x < starts[:, 0] + (y - starts[:, 1]) * slope
        odd[low : low + rows] = (straddles & left).sum(1) % 2 == 1
    return odd


def edge_profile(z: Tensor, soft: Tensor) -> Tensor:
    """Coverage across an edge: 0 below -1, 1 above 1; a ramp where hard, a smooth step where soft."""
    ramp = (0.5 + 0.5 * z).clamp(0.0, 1.0)
    return torch.where(soft, ramp * ramp * (3 - 2 * ramp), ramp)


def coverage(chain: Chain, distance: Tensor, footprint: Tensor, inside: Tensor | None) -> Tensor:
    """Coverage of pixels by a stroke or a filled outline.

    Args:
        distance: [n] to the chain, in drawn pixels.
        footprint: [n], how many drawn pixels a pixel spans.
        inside: [n] bool for a closed chain, else None.

    Returns:
        [n] in 0..1. Lines thinner than a pixel cover the share of it that they fill.
    """
    softness = (1 - chain.hardness) * chain.width / 2
    half = (footprint / 2).clamp_min(softness)
    soft = footprint / 2 < softness
    if inside is not None:
        return edge_profile(torch.where(inside, distance, -distance) / half, soft)
    radius = chain.width / 2
    return edge_profile((radius - distance) / half, soft) - edge_profile((-radius - distance) / half, soft)


def chain_coverage(chain: Chain, uv: Tensor, area: Tensor) -> Tensor:
    """Coverage [n] of atlas positions uv [n, 2], of pixel area [n], by all of a chain."""
    distance = torch.full_like(area, 1e6)
    # Where no segment is near (deep inside an outline) any segment's scale will do.
    scale = determinant(chain.to_drawn[:1]).abs().expand_as(area).clone()
    for low in range(0, len(chain.to_drawn), SEGMENTS_A_CHUNK):
        near, near_scale = nearest(chain, slice(low, low + SEGMENTS_A_CHUNK), uv)
        closer = near < distance
        distance = torch.where(closer, near, distance)
        scale = torch.where(closer, near_scale, scale)
    inside = inside_outline(chain, uv) if chain.closed else None
    return coverage(chain, distance, (area * scale).sqrt(), inside)
