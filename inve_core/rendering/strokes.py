"""Vector strokes and outlines: coverage from the distance to a chain in the atlas (INVE, Sec. 3.5).

On the frame that it was drawn on a chain lies in the picture instead: there the distance is known exactly.

The control points are resampled to a few pixels' spacing and mapped to the atlas (INVE, Eqs. 4-6). Each
segment keeps the inverse Jacobian of the mapping where it was drawn, so that a distance in the atlas is
turned back into pixels of the drawn frame: the stroke keeps its width where the mapping stretches. What is
drawn on the atlas itself is measured in shares of the side of its box in place of pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from inve_core.coordinates import determinant, inverse
from inve_core.edits import Line
from inve_core.model import LayeredAtlas
from inve_core.rendering import curves
from inve_core.tracking import frame_index, layer_under

SEGMENTS_A_CHUNK = 32
PAIRS_A_CHUNK = 4_000_000
SPACING_PX = (1.0, 4.0)


@dataclass(frozen=True, eq=False)
class Chain:
    """A stroke or outline in the atlas, or on the frame that it was drawn on.

    Attributes:
        layer: index of its video layer.
        uv: [k, 2] atlas pixels, or picture pixels of the drawn frame.
        to_drawn: [s, 2, 2] per segment, from these to picture pixels of the drawn frame.
        width: picture pixels of the drawn frame, between the points of half coverage.
        hardness: 0..1; the edge is soft over (1 - hardness) * width.
        closed: the outline's inside is covered, and not the line itself.
        taper: [k, 2] each point's factor of the width, and its opacity; None where both are 1 everywhere.
    """

    layer: int
    uv: Tensor
    to_drawn: Tensor
    width: float
    hardness: float
    closed: bool
    taper: Tensor | None = None

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
        widest = 1.0 if self.taper is None else float(self.taper[:, 0].max())
        return soft if self.closed else (self.width / 2 + soft) * widest


def resample(
    points: Sequence[tuple[float, ...]] | np.ndarray, spacing: float, closed: bool, smooth: bool = False
) -> np.ndarray:
    """Points along a polyline or spline at most `spacing` apart, with all of its corners.

    Args:
        points: [n, 2 + c] x and y, and what else belongs to a point, which is linear in between.

    Returns:
        [k, 2 + c] float64.
    """
    corners = np.asarray(points, float)
    if smooth:
        return curves.resample(corners, spacing, closed)
    if closed and len(corners) > 1:
        corners = np.concatenate((corners, corners[:1]))
    pieces = []
    for start, end in pairwise(corners):
        steps = max(1, int(np.ceil(np.hypot(*(end - start)[:2]) / spacing)))
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
    points: Sequence[tuple[float, ...]] | np.ndarray,
    width: float,
    hardness: float,
    closed: bool = False,
    smooth: bool = False,
) -> Chain:
    """Map a polyline or spline, drawn in picture coordinates on frame index t, to the atlas.

    Args:
        points: [n, 2], or [n, 4] with each point's factor of the width and its opacity.
    """
    fine = _resampled(points, width, closed, smooth)
    xy = torch.tensor(fine[:, :2], dtype=torch.float32, device=model.device)
    uv, jacobian = map_with_jacobian(model, layer, xy, torch.full((len(xy),), t, device=xy.device))
    back = invert_jacobian(jacobian)
    if len(uv) == 1:
        to_drawn = back
    elif closed:
        to_drawn = (back + back.roll(-1, 0)) / 2
    else:
        to_drawn = (back[:-1] + back[1:]) / 2
    return Chain(layer, uv, to_drawn, width, hardness, closed and len(uv) > 2, _taper(fine, model))


def _resampled(
    points: Sequence[tuple[float, ...]] | np.ndarray, width: float, closed: bool, smooth: bool
) -> np.ndarray:
    """Points that lie close enough for a line of a width."""
    return resample(points, float(np.clip(width / 3, *SPACING_PX)), closed, smooth)


def atlas_chain_of(model: LayeredAtlas, layer: int, edit: Line) -> Chain:
    """The chain of an edit that was drawn on a video layer's atlas; its unit is the side of the box."""
    box = model.geometry.boxes[layer]
    points = control_points(edit)
    points[:, :2] = points[:, :2] * box.size + (box.x0, box.y0)
    fine = _resampled(points, edit.width * box.size, edit.closed, edit.smooth)
    uv = torch.tensor(fine[:, :2], dtype=torch.float32, device=model.device)
    to_drawn = _upright(uv, edit.closed) / box.size
    return Chain(layer, uv, to_drawn, edit.width, edit.hardness, edit.closed, _taper(fine, model))


def control_points(edit: Line) -> np.ndarray:
    """An edit's points as x and y, and, where it has either, factor of the width and opacity: [n, 2 or 4]."""
    points = np.asarray(edit.points, float)
    if edit.point_widths is None and edit.point_opacities is None:
        return points
    even = np.ones(len(points))
    given = (edit.point_widths, edit.point_opacities)
    return np.column_stack((points, *(even if one is None else one for one in given)))


def _taper(fine: np.ndarray, model: LayeredAtlas) -> Tensor | None:
    if fine.shape[1] == 2:
        return None
    return torch.tensor(fine[:, 2:], dtype=torch.float32, device=model.device)


def chain_of_edit(model: LayeredAtlas, edit: Line) -> Chain:
    """One edit's chain in the atlas."""
    layer = _layer_of(model, edit)
    if edit.space == "atlas":
        return atlas_chain_of(model, layer, edit)
    t, points = frame_index(model, edit.frame), control_points(edit)
    return chain_of(model, layer, t, points, edit.width, edit.hardness, edit.closed, edit.smooth)


def _layer_of(model: LayeredAtlas, edit: Line) -> int:
    """Index of one edit's video layer."""
    xy = torch.tensor(edit.points, dtype=torch.float32, device=model.device)
    t = frame_index(model, edit.frame)
    return layer_under(model, model.geometry.grid.to_working(xy), t, edit.video_layer)


def is_drawn_on(model: LayeredAtlas, edit: Line, t: int) -> bool:
    """Whether an edit was drawn on the frame of an index."""
    return edit.space == "frame" and frame_index(model, edit.frame) == t


def drawn_chain_of(model: LayeredAtlas, edit: Line) -> Chain:
    """One edit's chain on the frame that it was drawn on."""
    layer = _layer_of(model, edit)
    fine = _resampled(control_points(edit), edit.width, edit.closed, edit.smooth)
    places = torch.tensor(fine[:, :2], dtype=torch.float32, device=model.device)
    to_drawn = _upright(places, edit.closed)
    return Chain(layer, places, to_drawn, edit.width, edit.hardness, edit.closed, _taper(fine, model))


def _upright(places: Tensor, closed: bool) -> Tensor:
    """What leaves each segment as it is, of those between places [k, 2]: [s, 2, 2]."""
    count = len(places) if closed or len(places) == 1 else len(places) - 1
    return torch.eye(2, device=places.device).repeat(count, 1, 1)


def to_segments(chain: Chain, segments: slice, uv: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distances [n, s] of places [n, 2] to s segments, in picture pixels of the drawn frame.

    Also returned is [n, s] how far along a segment the nearest point lies, 0..1.
    """
    to_drawn = chain.to_drawn[segments]
    start, end = chain.starts[segments], chain.ends[segments]
    along = (to_drawn @ (end - start)[..., None])[..., 0]
    length = along.square().sum(-1).clamp_min(1e-12)
    away = torch.einsum("sij,nsj->nsi", to_drawn, uv[:, None] - start)
    share = ((away * along).sum(-1) / length).clamp(0.0, 1.0)
    return (away - share[..., None] * along).square().sum(-1), share


def nearest(chain: Chain, segments: slice, uv: Tensor) -> tuple[Tensor, Tensor]:
    """Distance to the nearest of some segments.

    Args:
        uv: [n, 2].

    Returns:
        [n] picture pixels of the drawn frame, and [n] the nearest segment's area scale: drawn pixels squared
        for an atlas pixel squared.
    """
    best, index = to_segments(chain, segments, uv)[0].min(1)
    return best.sqrt(), determinant(chain.to_drawn[segments]).abs()[index]


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


def line_coverage(distance: Tensor, footprint: Tensor, radius: Tensor, softness: Tensor) -> Tensor:
    """Coverage of pixels by a line; one thinner than a pixel covers the share of it that it fills.

    Args:
        distance: to the line's middle, in drawn pixels, as are all the others.
        footprint: how many drawn pixels a pixel spans.
        radius: half of the line's width.
        softness: half of its edge's width.

    Returns:
        0..1, in the shape that the others have together.
    """
    half = (footprint / 2).maximum(softness)
    soft = footprint / 2 < softness
    return edge_profile((radius - distance) / half, soft) - edge_profile((-radius - distance) / half, soft)


def filled_coverage(distance: Tensor, footprint: Tensor, inside: Tensor, softness: Tensor) -> Tensor:
    """Coverage of pixels by a filled outline, as `line_coverage`; inside: bool."""
    half = (footprint / 2).maximum(softness)
    return edge_profile(torch.where(inside, distance, -distance) / half, footprint / 2 < softness)


def chain_coverage(chain: Chain, uv: Tensor, area: Tensor) -> Tensor:
    """Coverage [n] of atlas positions uv [n, 2], of pixel area [n], by all of a chain."""
    if chain.taper is not None:
        return _tapered_coverage(chain, uv, area)
    distance = torch.full_like(area, 1e6)
    # Where no segment is near (deep inside an outline) any segment's scale will do.
    scale = determinant(chain.to_drawn[:1]).abs().expand_as(area).clone()
    for low in range(0, len(chain.to_drawn), SEGMENTS_A_CHUNK):
        near, near_scale = nearest(chain, slice(low, low + SEGMENTS_A_CHUNK), uv)
        closer = near < distance
        distance = torch.where(closer, near, distance)
        scale = torch.where(closer, near_scale, scale)
    footprint, softness = (area * scale).sqrt(), area.new_tensor((1 - chain.hardness) * chain.width / 2)
    if chain.closed:
        return filled_coverage(distance, footprint, inside_outline(chain, uv), softness)
    return line_coverage(distance, footprint, area.new_tensor(chain.width / 2), softness)


def _tapered_coverage(chain: Chain, uv: Tensor, area: Tensor) -> Tensor:
    """`chain_coverage` of a line whose width and opacity change along it: the most of any segment's.

    Which segment is the nearest says nothing here: one that is further off may be wider.
    """
    assert chain.taper is not None
    count = len(chain.to_drawn)
    first, last = chain.taper[:count], chain.taper[-count:]
    scale = determinant(chain.to_drawn).abs()
    most = torch.zeros_like(area)
    for low in range(0, count, SEGMENTS_A_CHUNK):
        own = slice(low, low + SEGMENTS_A_CHUNK)
        squared, share = to_segments(chain, own, uv)
        factor, opacity = (first[own] + (last[own] - first[own]) * share[..., None]).unbind(-1)
        radius = factor * (chain.width / 2)
        footprint = (area[:, None] * scale[own]).sqrt()
        cover = line_coverage(squared.sqrt(), footprint, radius, radius * (1 - chain.hardness))
        most = most.maximum((cover * opacity).amax(1))
    return most
