"""Adjusting all frames' transforms together, so that a chain of them does not drift.

Levenberg-Marquardt on the Huber loss. A match between frames a and b concerns these two frames' transforms
only, so that the normal equations are built from blocks of 16x16, one for each pair of frames.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

HUBER_PX = 1.0
MOST_STEPS = 30
# A step that brings less than this share of the loss is the last.
LEAST_GAIN = 1e-4
# Columns are models, rows the homography's eight numbers (a, b, x, y, c, d, g, h) in the update
# [[1 + a, b, x], [c, 1 + d, y], [g, h, 1]].
BASES = {
    "homography": np.eye(8),
    "affine": np.eye(8)[:, :6],
    "similarity": np.array(
        [[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 1, 0, 0], [1, 0, 0, 0]] + [[0] * 4] * 2,
        float,
    ),
    "translation": np.eye(8)[:, 2:4],
}


@dataclass(frozen=True, eq=False)
class Matches:
    """Places that flow says are the same, between pairs of frames, in working pixels.

    Attributes:
        source, target: [pairs] int64, indices of frames.
        usable: [pairs, m] bool; pairs may have less than m matches.
        start, end: [pairs, m, 2] float64, in the source and in the target.
    """

    source: np.ndarray
    target: np.ndarray
    usable: np.ndarray
    start: np.ndarray
    end: np.ndarray

    def pairs(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Starts and ends of each pair of frames, [m, 2] each."""
        for usable, start, end in zip(self.usable, self.start, self.end, strict=True):
            yield start[usable], end[usable]


def refine(
    transforms: np.ndarray, matches: Matches, model: str, reference: int, device: torch.device | str = "cpu"
) -> np.ndarray:
    """Adjust all frames' transforms together to matches over all gaps.

    Minimises the Huber loss (1 px) of how far a match's end lies from where the transforms take its start,
    measured in the end's own frame, so that nothing is gained by shrinking.

    Args:
        transforms: [n, 3, 3], frame to reference.
        model: the kind of change that a transform may take; see `parametric.MODELS`.
        reference: index of the frame whose transform stays as it is.
        device: where the equations are made.

    Returns:
        [n, 3, 3], or the transforms as given where the fit did not get better.
    """
    if not matches.usable.any() or len(transforms) < 2:
        return transforms
    # Work in units of the picture's size about its middle, which keeps the eight numbers alike in weight.
    unit = float(max(matches.start[matches.usable].max(), matches.end[matches.usable].max())) / 2
    normalise = np.array([[1 / unit, 0, -1], [0, 1 / unit, -1], [0, 0, 1]])
    basis = BASES[model]
    current = normalise @ transforms @ np.linalg.inv(normalise)
    scaled = replace(matches, start=matches.start / unit - 1, end=matches.end / unit - 1)
    loss, normal, gradient = equations(current, scaled, basis, unit, device)
    fixed = np.arange(reference * basis.shape[1], (reference + 1) * basis.shape[1])
    damping = 1e-3
    for _ in range(MOST_STEPS):
        normal[fixed], normal[:, fixed], gradient[fixed] = 0.0, 0.0, 0.0
        diagonal = np.diag(normal)
        damped = normal + np.diag(damping * diagonal + 1e-9 * diagonal.max() + 1e-12)
        try:
            delta = np.linalg.solve(damped, -gradient).reshape(len(current), -1) @ basis.T
        except np.linalg.LinAlgError:
            # Too few matches to say anything about some frame: what was found so far has to do.
            break
        trial = _normalised(current @ _updates(delta))
        trial_loss, trial_normal, trial_gradient = equations(trial, scaled, basis, unit, device)
        if trial_loss < loss:
            gain = (loss - trial_loss) / loss
            current, loss, normal, gradient = trial, trial_loss, trial_normal, trial_gradient
            damping = max(damping / 10, 1e-9)
            if gain < LEAST_GAIN:
                break
        else:
            damping *= 10
            if damping > 1e6:
                break
    return _normalised(np.linalg.inv(normalise) @ current @ normalise)


def _normalised(matrices: np.ndarray) -> np.ndarray:
    result: np.ndarray = matrices / matrices[:, 2:, 2:]
    return result


def _updates(delta: np.ndarray) -> np.ndarray:
    """Small changes [n, 8] as matrices [n, 3, 3]."""
    a, b, x, y, c, d, g, h = delta.T
    one = np.ones_like(a)
    return np.stack((1 + a, b, x, c, 1 + d, y, g, h, one), 1).reshape(-1, 3, 3)


def equations(
    transforms: np.ndarray,
    matches: Matches,
    basis: np.ndarray,
    unit: float,
    device: torch.device | str = "cpu",
) -> tuple[float, np.ndarray, np.ndarray]:
    """Mean Huber loss in pixels, and the normal equations of its reweighted least squares.

    Args:
        transforms: [n, 3, 3], frame to reference.
        matches: in units of `unit` pixels.
        basis: [8, free], of the update; see `BASES`.
        device: where most of the work is done, in double precision.

    Returns:
        The loss, the matrix [n * free, n * free] and the gradient [n * free].
    """
    count, free = len(transforms), basis.shape[1]
    between = np.linalg.inv(transforms)[matches.target] @ transforms[matches.source]
    arrays = (between, basis, matches.start, matches.end, matches.usable)
    losses, blocks, slopes = (
        one.cpu().numpy() for one in _blocks(unit, *(torch.from_numpy(one).to(device) for one in arrays))
    )
    a, b = matches.source, matches.target
    normal, gradient = np.zeros((count, count, free, free)), np.zeros((count, free))
    for rows, first in ((a, slice(0, free)), (b, slice(free, None))):
        np.add.at(gradient, rows, slopes[:, first])
        for columns, second in ((a, slice(0, free)), (b, slice(free, None))):
            np.add.at(normal, (rows, columns), blocks[:, first, second])
    points = matches.usable.sum()
    size = count * free
    whole = normal.transpose(0, 2, 1, 3).reshape(size, size)
    return float(losses.sum() / points), whole / points, gradient.reshape(size) / points


def _blocks(
    unit: float, between: Tensor, basis: Tensor, start: Tensor, end: Tensor, usable: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """What each of p pairs adds to loss [p], matrix [p, 2 * free, 2 * free] and gradient [p, 2 * free]."""
    mapped = start @ between[:, :, :2].transpose(1, 2) + between[:, None, :, 2]
    depth = torch.where(mapped[..., 2:].abs() < 1e-9, 1e-9, mapped[..., 2:])
    point = mapped[..., :2] / depth
    error = (point - end) * unit
    length = error.norm(dim=-1)
    inner = length < HUBER_PX
    loss = torch.where(inner, 0.5 * length**2, HUBER_PX * (length - 0.5 * HUBER_PX)) * usable
    weight = torch.where(inner, 1.0, HUBER_PX / length.clamp_min(1e-12)) * usable
    # Half of the weight for each of the two factors of the products below.
    scale = weight.sqrt()[..., None]
    # d(point)/d(start) of the homography `between`, and what the two frames' updates do to their points.
    slope = (between[:, None, :2, :2] - point[..., None] * between[:, None, 2:, :2]) / depth[..., None]
    slope = slope * (unit * scale[..., None])
    # Products of thousands of tiny matrices, written out: one call a matrix would take far longer.
    moves = _generators(start, basis)
    forth = slope[..., :1] * moves[..., :1, :] + slope[..., 1:] * moves[..., 1:, :]
    back = _generators(point, basis) * (-unit * scale[..., None])
    rows = torch.cat((forth, back), -1).flatten(1, 2)
    columns = rows.transpose(1, 2)
    return loss.sum(1), columns @ rows, (columns @ (error * scale).flatten(1)[..., None])[..., 0]


def _generators(points: Tensor, basis: Tensor) -> Tensor:
    """How a small update of a basis [8, free] moves points [..., 2]: [..., 2, free]."""
    x, y = points.unbind(-1)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    # In the order of the rows of `BASES`.
    along_x = torch.stack((x, y, one, zero, zero, zero, -x * x, -x * y), -1)
    along_y = torch.stack((zero, zero, zero, one, x, y, -x * y, -y * y), -1)
    return torch.stack((along_x, along_y), -2) @ basis
