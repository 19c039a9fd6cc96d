"""Adjusting all frames' transforms together, so that a chain of them does not drift.

Levenberg-Marquardt on the Huber loss. A match between frames a and b concerns these two frames' transforms
only, so that the normal equations are built from blocks of 16x16, one for each pair of frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

HUBER_PX = 1.0
MOST_STEPS = 30
# A step that brings less than this share of the loss is the last.
LEAST_GAIN = 1e-4
# Columns are models, rows the homography's eight numbers (a, b, x, y, c, d, g, h) in the update
# [[1 + a, b, x], [c, 1 + d, y], [g, h, 1]].
_BASES = {
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
    """Places that flow says are the same, between two frames, in working pixels."""

    source: int
    target: int
    start: np.ndarray  # [m, 2]
    end: np.ndarray  # [m, 2]


def refine(transforms: np.ndarray, matches: Sequence[Matches], model: str, reference: int) -> np.ndarray:
    """Adjust all frames' transforms together to matches over all gaps.

    Minimises the Huber loss (1 px) of how far a match's end lies from where the transforms take its start,
    measured in the end's own frame, so that nothing is gained by shrinking.

    Args:
        transforms: [n, 3, 3], frame to reference.
        model: the kind of change that a transform may take; see `parametric.MODELS`.
        reference: index of the frame whose transform stays as it is.

    Returns:
        [n, 3, 3], or the transforms as given where the fit did not get better.
    """
    matches = [match for match in matches if len(match.start)]
    if not matches or len(transforms) < 2:
        return transforms
    # Work in units of the picture's size about its middle, which keeps the eight numbers alike in weight.
    unit = max(float(max(match.start.max(), match.end.max())) for match in matches) / 2
    normalise = np.array([[1 / unit, 0, -1], [0, 1 / unit, -1], [0, 0, 1]])
    basis = _BASES[model]
    current = normalise @ transforms @ np.linalg.inv(normalise)
    scaled = [Matches(m.source, m.target, m.start / unit - 1, m.end / unit - 1) for m in matches]
    loss, normal, gradient = _equations(current, scaled, basis, unit)
    fixed = np.arange(reference * basis.shape[1], (reference + 1) * basis.shape[1])
    damping = 1e-3
    for _ in range(MOST_STEPS):
        normal[fixed], normal[:, fixed], gradient[fixed] = 0.0, 0.0, 0.0
        diagonal = np.diag(normal)
        damped = normal + np.diag(damping * diagonal + 1e-9 * diagonal.max() + 1e-12)
        delta = np.linalg.solve(damped, -gradient).reshape(len(current), -1) @ basis.T
        trial = _normalised(current @ _updates(delta))
        trial_loss, trial_normal, trial_gradient = _equations(trial, scaled, basis, unit)
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


def huber_of(transforms: np.ndarray, matches: Sequence[Matches]) -> float:
    """The mean Huber loss that `refine` minimises, in pixels; the slow twin of its equations."""
    losses = []
    for match in matches:
        between = np.linalg.inv(transforms[match.target]) @ transforms[match.source]
        moved = np.c_[match.start, np.ones(len(match.start))] @ between.T
        error = np.linalg.norm(moved[:, :2] / moved[:, 2:] - match.end, axis=1)
        losses.append(np.where(error < HUBER_PX, 0.5 * error**2, HUBER_PX * (error - 0.5 * HUBER_PX)))
    return float(np.concatenate(losses).mean())


def _normalised(matrices: np.ndarray) -> np.ndarray:
    result: np.ndarray = matrices / matrices[:, 2:, 2:]
    return result


def _updates(delta: np.ndarray) -> np.ndarray:
    """Small changes [n, 8] as matrices [n, 3, 3]."""
    a, b, x, y, c, d, g, h = delta.T
    one = np.ones_like(a)
    return np.stack((1 + a, b, x, c, 1 + d, y, g, h, one), 1).reshape(-1, 3, 3)


def _equations(
    transforms: np.ndarray, matches: Sequence[Matches], basis: np.ndarray, unit: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """Mean Huber loss in pixels, and the normal equations of its reweighted least squares."""
    free = basis.shape[1]
    size = len(transforms) * free
    normal, gradient = np.zeros((size, size)), np.zeros(size)
    inverses = np.linalg.inv(transforms)
    total, count = 0.0, 0
    for match in matches:
        between = inverses[match.target] @ transforms[match.source]
        mapped = np.c_[match.start, np.ones(len(match.start))] @ between.T
        depth = np.where(np.abs(mapped[:, 2:]) < 1e-9, 1e-9, mapped[:, 2:])
        point = mapped[:, :2] / depth
        error = (point - match.end) * unit
        length = np.linalg.norm(error, axis=1)
        inner = length < HUBER_PX
        total += float(np.where(inner, 0.5 * length**2, HUBER_PX * (length - 0.5 * HUBER_PX)).sum())
        count += len(length)
        weight = np.where(inner, 1.0, HUBER_PX / np.maximum(length, 1e-12))
        # d(point)/d(start) of the homography `between`, and what the two frames' updates do to their points.
        slope = (between[:2, :2] - point[:, :, None] * between[2:, :2]) / depth[:, :, None]
        forth = slope @ (_generators(match.start) @ basis)
        back = -_generators(point) @ basis
        jacobian = np.concatenate((forth, back), 2) * unit
        weighted = jacobian * weight[:, None, None]
        block = np.einsum("nki,nkj->ij", weighted, jacobian, optimize=True)
        part = np.einsum("nki,nk->i", weighted, error)
        a = slice(match.source * free, (match.source + 1) * free)
        b = slice(match.target * free, (match.target + 1) * free)
        normal[a, a] += block[:free, :free]
        normal[b, b] += block[free:, free:]
        normal[a, b] += block[:free, free:]
        normal[b, a] += block[free:, :free]
        gradient[a] += part[:free]
        gradient[b] += part[free:]
    return total / count, normal / count, gradient / count


def _generators(points: np.ndarray) -> np.ndarray:
    """How a small update moves points [n, 2]: [n, 2, 8]."""
    x, y = points.T
    zero, one = np.zeros_like(x), np.ones_like(x)
    along_x = np.stack((x, y, one, zero, zero, zero, -x * x, -x * y), 1)
    along_y = np.stack((zero, zero, zero, one, x, y, -x * y, -y * y), 1)
    return np.stack((along_x, along_y), 1)
