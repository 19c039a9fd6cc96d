"""Textures held to tracked points: where a placed quad goes on every frame (INVE, Secs. 3.3, 3.4).

A motion is a homography a frame, from pixels of the drawn frame to pixels of that frame. `point` moves by one
point's track. `similarity` and `corner` are fitted to landmarks all over the quad, its corners included, each
of them tracked as any point is. What counts are landmarks that lie in the picture and on the right video
layer where the texture was placed. On other frames hidden and badly tracked ones count for little, and the
fit is robust against those that went astray. So a corner outside of the picture, or on something else, is
carried by the rest of the quad.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from inve_core.edits import Tracking
from inve_core.model import LayeredAtlas
from inve_core.rendering.placements import Floats, Placement, projected
from inve_core.tracking import follow

# Landmarks a side; the finer grid where the coarse one has too few in the picture and on the layer.
LANDMARKS_A_SIDE = (7, 21)
ENOUGH_LANDMARKS = 24
# What a model takes: landmarks, and their spread in shares of the quad along the direction in which they
# spread least (all over the quad it is a third). A homography is thrown about by less.
FEWEST_FOR_SIMILARITY, FEWEST_FOR_CORNERS = 3, 8
LEAST_SPREAD_FOR_SIMILARITY, LEAST_SPREAD_FOR_CORNERS = 0.03, 0.1
# How much a hidden landmark counts, or one outside the picture, where a visible one counts 1.
HIDDEN_WEIGHT = 0.05
ROUNDS = 12
# Landmarks that miss the fit by less than this are told apart by nothing but noise.
NOISE_PX = 0.25
# A corner's motion that shows the quad so much smaller or larger than its similarity is none.
FURTHEST_AREA = 8.0
# An anchor that lies further from where the landmarks have it, in shares of the quad's size, was lost.
ASTRAY_SHARE = 0.25

Fit = Callable[[Floats, Floats, Floats], Floats]


@dataclass(frozen=True, eq=False)
class Motion:
    """Where what was drawn goes.

    Attributes:
        matrices: [n, 3, 3], picture pixels of the drawn frame to those of each frame index; the identity for
            the drawn frame itself.
    """

    matrices: Floats

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.matrices.nbytes

    def from_drawn(self, t: int, xy: Floats) -> Floats:
        """Positions on the drawn frame [k, 2] to frame index t."""
        return projected(self.matrices[t], xy)

    def to_drawn(self, t: int) -> Floats:
        """[3, 3] from frame index t to the drawn frame."""
        inverse: Floats = np.linalg.inv(self.matrices[t])
        return inverse


def track_placement(
    model: LayeredAtlas, layer: int, t: int, placement: Placement, tracking: Tracking
) -> Motion:
    """Follow a placed quad.

    Args:
        layer: the video layer that it sticks to.
        t: index of the frame that it was placed on.
        tracking: "point" follows the anchor and keeps the shape as it was placed. "similarity" turns and
            scales about the anchor, which stays on its own track unless that is lost. "corner" follows in
            perspective. Where too little of the quad is to be followed, "corner" falls back to "similarity",
            as it does on frames where the perspective found is none, and "similarity" to "point".
    """
    anchor = placement.anchor[None]
    path, _ = _follow(model, layer, t, anchor)
    motion = translations(path[0] - anchor)
    if tracking != "point":
        points, shares = _landmarks(model, layer, t, placement)
        anchored = len(_usable(model, layer, t, anchor)) > 0
        if _spread(shares) >= LEAST_SPREAD_FOR_SIMILARITY and len(points) >= FEWEST_FOR_SIMILARITY:
            tracked, weights = _follow(model, layer, t, points)
            tracked, weights = tracked.swapaxes(0, 1), weights.T
            motion = fit_robustly(fit_similarities, points, tracked, weights)
            if tracking == "corner":
                if _spread(shares) >= LEAST_SPREAD_FOR_CORNERS and len(points) >= FEWEST_FOR_CORNERS:
                    perspective = fit_robustly(fit_homographies, points, tracked, weights)
                    sound = is_sound(perspective, motion, placement.corners)
                    motion = np.where(sound[:, None, None], perspective, motion)
            elif anchored:
                shift = path[0] - projected(motion, anchor)[:, 0]
                astray = np.hypot(*shift.T) > ASTRAY_SHARE * np.sqrt(
                    _area(projected(motion, placement.corners))
                )
                motion[:, :2, 2] += np.where(astray[:, None], 0.0, shift)
    motion[t] = np.eye(3)
    return Motion(motion)


@torch.no_grad()
def _follow(model: LayeredAtlas, layer: int, t: int, points: Floats) -> tuple[Floats, Floats]:
    """Tracks of picture points [k, 2] on all frames: [k, n, 2] picture pixels, and their weights [k, n]."""
    grid, frames = model.geometry.grid, range(len(model.geometry.frames))
    xy = torch.tensor(points, dtype=torch.float32, device=model.device)
    found, seen, confidence = follow(model, layer, grid.to_working(xy), t, frames)
    weights = HIDDEN_WEIGHT + (1 - HIDDEN_WEIGHT) * (seen * confidence).double().cpu().numpy()
    tracks = grid.to_picture(found).double().cpu().numpy()
    # Where a network died there is no number; what is far off counts for nothing in a robust fit.
    return np.nan_to_num(tracks, nan=0.0, posinf=1e6, neginf=-1e6), np.nan_to_num(weights)


@torch.no_grad()
def _usable(model: LayeredAtlas, layer: int, t: int, points: Floats) -> np.ndarray:
    """Indices of the points [k, 2] that are in the picture and on a video layer on frame index t."""
    grid = model.geometry.grid
    inside = np.flatnonzero(((points >= 0) & (points <= (grid.width, grid.height))).all(1))
    xy = torch.tensor(points[inside], dtype=torch.float32, device=model.device)
    times = torch.full((len(xy),), t, device=model.device)
    seen = model.visibility(grid.to_working(xy), times)[:, layer].cpu().numpy()
    kept: np.ndarray = inside[seen > 0.5]
    return kept


def _landmarks(model: LayeredAtlas, layer: int, t: int, placement: Placement) -> tuple[Floats, Floats]:
    """Points of a placed quad that can be followed: [k, 2] picture pixels and [k, 2] shares of its sides."""
    for a_side in LANDMARKS_A_SIDE:
        side = np.linspace(0, 1, a_side)
        shares = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
        points = placement.points(shares)
        kept = _usable(model, layer, t, points)
        if len(kept) >= ENOUGH_LANDMARKS:
            break
    return points[kept], shares[kept]


def _spread(shares: Floats) -> float:
    """Standard deviation of places [k, 2] along the direction in which they spread least."""
    if len(shares) < 2:
        return 0.0
    return float(np.sqrt(np.linalg.eigvalsh(np.cov(shares.T, bias=True))[0].clip(0)))


def translations(shift: Floats) -> Floats:
    """Homographies [n, 3, 3] that move by [n, 2]."""
    matrices = np.tile(np.eye(3), (len(shift), 1, 1))
    matrices[:, :2, 2] = shift
    return matrices


def fit_similarities(start: Floats, end: Floats, weights: Floats) -> Floats:
    """Least squares fit of a similarity to each frame's landmarks (Umeyama 1991).

    Args:
        start: [k, 2].
        end: [n, k, 2].
        weights: [n, k], positive.

    Returns:
        [n, 3, 3].
    """
    share = (weights / weights.sum(1, keepdims=True))[..., None]
    centre, goal = (share * start).sum(1), (share * end).sum(1)
    before, after = start - centre[:, None], end - goal[:, None]
    # As complex numbers a similarity is one factor: least squares gives it in closed form.
    size = (share * before**2).sum((1, 2)).clip(1e-12)
    a = (share * before * after).sum((1, 2)) / size
    b = (share[..., 0] * (before[..., 0] * after[..., 1] - before[..., 1] * after[..., 0])).sum(1) / size
    flat = np.hypot(a, b) < 1e-3  # Tracks that fell into one point say nothing of size.
    a, b = np.where(flat, 1.0, a), np.where(flat, 0.0, b)
    matrices = np.tile(np.eye(3), (len(end), 1, 1))
    matrices[:, 0, 0] = matrices[:, 1, 1] = a
    matrices[:, 1, 0], matrices[:, 0, 1] = b, -b
    matrices[:, :2, 2] = goal - (matrices[:, :2, :2] @ centre[..., None])[..., 0]
    return matrices


def fit_homographies(start: Floats, end: Floats, weights: Floats) -> Floats:
    """Least squares fit of a homography to each frame's landmarks, on normalised points (Hartley 1997).

    The equations are linear in what they miss by times the depth; a second solution with the depths of the
    first one divided out misses least in pixels. Arguments and result as `fit_similarities`.
    """
    before, after = _normalising(start[None], weights.mean(0, keepdims=True))[0], _normalising(end, weights)
    x, y = (start @ before[:2, :2].T + before[:2, 2]).T
    u, v = np.moveaxis(end @ np.swapaxes(after[:, :2, :2], 1, 2) + after[:, None, :2, 2], -1, 0)
    ones, none = np.ones_like(u), np.zeros_like(u)
    for_u = np.stack((x * ones, y * ones, ones, none, none, none, -u * x, -u * y), -1)
    for_v = np.stack((none, none, none, x * ones, y * ones, ones, -v * x, -v * y), -1)
    rows, goals = np.concatenate((for_u, for_v), 1), np.concatenate((u, v), 1)
    depth = np.ones_like(u)
    for _ in range(2):
        weight = np.tile(weights / depth**2, 2)[..., None]
        normal = np.swapaxes(rows * weight, 1, 2) @ rows
        # A share of the trace too small to move a sound fit keeps a hopeless one solvable.
        normal += (1e-12 * np.trace(normal, axis1=1, axis2=2))[:, None, None] * np.eye(8)
        solved = np.linalg.solve(normal, (rows * weight * goals[..., None]).sum(1)[..., None])[..., 0]
        depth = (1 + solved[:, 6:7] * x + solved[:, 7:8] * y).clip(0.1, 10)
    fitted = np.concatenate((solved, np.ones((len(end), 1))), 1).reshape(-1, 3, 3)
    matrices = np.linalg.inv(after) @ fitted @ before
    # So that the depth is positive, and of the order of one, on the quad.
    centre = (matrices @ np.append(start.mean(0), 1))[:, 2, None, None]
    result: Floats = matrices / np.where(np.abs(centre) < 1e-9, 1e-9, centre)
    return result


def _normalising(points: Floats, weights: Floats) -> Floats:
    """Moves the centre of points [n, k, 2] to the origin and scales their spread to one: [n, 3, 3]."""
    share = (weights / weights.sum(1, keepdims=True))[..., None]
    centre = (share * points).sum(1)
    spread = np.sqrt((share * (points - centre[:, None]) ** 2).sum((1, 2)).clip(1e-12))
    matrices = np.tile(np.eye(3), (len(points), 1, 1))
    matrices[:, 0, 0] = matrices[:, 1, 1] = 1 / spread
    matrices[:, :2, 2] = -centre / spread[:, None]
    return matrices


def fit_robustly(fit: Fit, start: Floats, end: Floats, weights: Floats) -> Floats:
    """A fit in which landmarks that miss count the less, the more they miss (Cauchy, by reweighting).

    Arguments and result as the fits. What is common is told by the median miss of each frame.
    """
    matrices = fit(start, end, weights)
    for _ in range(ROUNDS):
        miss = np.linalg.norm(projected(matrices, start) - end, axis=2)
        miss = np.nan_to_num(miss, nan=1e9, posinf=1e9)
        common = np.maximum(1.5 * weighted_median(miss, weights), NOISE_PX)
        matrices = fit(start, end, weights / (1 + (miss / common[:, None]) ** 2) ** 2)
    return matrices


def weighted_median(values: Floats, weights: Floats) -> Floats:
    """Of each row: the value up to which half of the weight lies. [n, k] and [n, k] to [n]."""
    order = values.argsort(1)
    filled = np.take_along_axis(weights, order, 1).cumsum(1)
    middle = (filled < filled[:, -1:] / 2).sum(1, keepdims=True)
    return np.take_along_axis(values, np.take_along_axis(order, middle, 1), 1)[:, 0]


def is_sound(perspective: Floats, similarity: Floats, corners: Floats) -> np.ndarray:
    """Whether homographies show a quad as it may look: in front, not turned over, of a size to be expected.

    Args:
        perspective, similarity: [n, 3, 3].
        corners: [4, 2] of the quad.

    Returns:
        [n] bool.
    """
    depth = (perspective[:, None, 2] * np.append(corners, np.ones((4, 1)), 1)).sum(-1)
    shown = projected(perspective, corners)
    side, next_side = np.roll(shown, -1, 1) - shown, np.roll(shown, -2, 1) - np.roll(shown, -1, 1)
    convex = (side[..., 0] * next_side[..., 1] - side[..., 1] * next_side[..., 0] > 0).all(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = _area(shown) / _area(projected(similarity, corners))
    sound: np.ndarray = (
        np.isfinite(perspective).all((1, 2))
        & (depth > 1e-3).all(1)
        & convex
        & (ratio > 1 / FURTHEST_AREA)
        & (ratio < FURTHEST_AREA)
    )
    return sound


def _area(corners: Floats) -> Floats:
    """Of quads [n, 4, 2], counted positive where they go clockwise as seen: [n]."""
    after = np.roll(corners, -1, 1)
    area: Floats = (corners[..., 0] * after[..., 1] - corners[..., 1] * after[..., 0]).sum(1) / 2
    return area
