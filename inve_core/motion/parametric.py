"""The parametric start: each video layer's motion as one matrix a frame.

A homography a frame for the ground and a similarity for an object, fitted to the optical flow inside the
layer by RANSAC, chained to the layer's reference frame, and then refined together over all gaps so that the
chain does not drift. The mapping networks learn only what is left over, in pixels of the reference frame.

Where a model cannot be fitted the next simpler one is taken: homography, affine, similarity, translation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import torch
from torch import Tensor

from inve_core.coordinates import Box
from inve_core.motion.flow import Array, GapFlow
from inve_core.motion.refinement import Matches, refine
from inve_core.threads import mapped_in_threads, opencv_threads, thread_pool, usable_cores

MODELS = ("homography", "affine", "similarity", "translation")
INLIER_PX = 1.0
POINTS_A_FIT = 2000
POINTS_A_PAIR = 128
TRIES = 4
FEWEST_POINTS = 12
FEWEST_INLIERS = 0.3
# What the networks may add around a layer, as a share of its size. LNA begins at 0.8 of its atlas.
MARGIN_SHARE = 0.05
LNA_MARGIN_SHARE = 0.125
# A transform that throws the picture further than this many long edges away is no plausible camera.
FURTHEST_LONG_EDGES = 6.0


@dataclass(frozen=True, eq=False)
class LayerMotion:
    """Parametric motion of one video layer.

    Attributes:
        transforms: [n, 3, 3] float64, working pixels of each frame to the reference frame's.
        reference: index of the reference frame, whose transform is the identity.
        model: the model that was fitted, one of MODELS, or "identity".
        box: where the layer lies in reference pixels, over all frames.
    """

    transforms: np.ndarray
    reference: int
    model: str
    box: Box


def layer_masks(mattes: np.ndarray) -> np.ndarray:
    """Which video layer each pixel shows. [n, mattes, h, w] to [n, layers, h, w] bool, exclusive."""
    count, fronts, height, width = mattes.shape
    masks = np.empty((count, fronts + 1, height, width), bool)

    def fill(i: int) -> None:
        free = masks[i, fronts]
        free[...] = True
        for layer in range(fronts):
            np.greater(mattes[i, layer], 0.5, out=masks[i, layer])
            masks[i, layer] &= free
            free &= ~masks[i, layer]

    with mapped_in_threads(fill, range(count), usable_cores()) as done:
        for _ in done:
            pass
    return masks


def matches_of(
    flows: Sequence[GapFlow], places: Sequence[np.ndarray], width: int, most: int, rng: np.random.Generator
) -> Matches:
    """Random consistent flow vectors inside a layer, at most `most` a pair of frames, both directions.

    Args:
        places: of each frame, the layer's pixels as int64 indices into the picture, row by row.
        width: the picture's.
        most: how many of each pair.
    """
    parts = [_matches_of_gap(flow, places, width, most, rng) for flow in flows]
    return Matches(*(np.concatenate(one) for one in zip(*parts, strict=True)))


def _matches_of_gap(
    flow: GapFlow, places: Sequence[np.ndarray], width: int, most: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What `Matches` holds, of one gap: forward pairs first, then backward ones."""
    count = len(flow.forward)
    first = np.arange(count)
    source = np.concatenate((first, first + flow.gap))
    target = np.concatenate((first + flow.gap, first))
    # Candidates first: to list all valid pixels of each pair takes far longer.
    candidates = np.zeros((2 * count, TRIES * most), np.int64)
    drawn = np.zeros(2 * count, np.int64)
    for row, frame in enumerate(source):
        here = places[frame]
        if len(here) > TRIES * most:
            candidates[row] = here[rng.integers(len(here), size=TRIES * most)]
        else:
            candidates[row, : len(here)] = rng.permutation(here)
        drawn[row] = min(len(here), TRIES * most)
    vectors, valid = zip(
        _at(flow.forward, flow.forward_valid, candidates[:count]),
        _at(flow.backward, flow.backward_valid, candidates[count:]),
        strict=True,
    )
    usable = np.concatenate(valid) & (np.arange(TRIES * most) < drawn[:, None])
    # The usable ones of each row to its front, in their order.
    order = np.argsort(~usable, axis=1, kind="stable")[:, :most]
    chosen = np.take_along_axis(candidates, order, 1)
    start = np.stack((chosen % width, chosen // width), -1) + 0.5
    end = start + np.take_along_axis(np.concatenate(vectors), order[..., None], 1)
    return source, target, np.take_along_axis(usable, order, 1), start, end


def _at(field: Array, valid: Array, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vectors [pairs, m, 2] float32 at pixels [pairs, m] of each pair's picture, and which are valid."""
    pair = np.arange(len(field))[:, None]
    row, column = np.divmod(pixels, field.shape[2])
    if isinstance(field, Tensor) and isinstance(valid, Tensor):
        index = [torch.from_numpy(one).to(field.device) for one in (pair, row, column)]
        return field[tuple(index)].float().cpu().numpy(), valid[tuple(index)].cpu().numpy()
    return np.asarray(field[pair, row, column], np.float32), np.asarray(valid[pair, row, column])


def fit_transform(start: np.ndarray, end: np.ndarray, model: str) -> np.ndarray | None:
    """Robust fit of one transform to point pairs [m, 2]; None where the pairs do not support the model."""
    if len(start) < FEWEST_POINTS:
        return None
    if model == "translation":
        matrix = np.eye(3)
        matrix[:2, 2] = np.median(end - start, axis=0)
        return matrix
    if model == "homography":
        found, inliers = cv2.findHomography(start, end, cv2.RANSAC, INLIER_PX)
    else:
        fit = cv2.estimateAffine2D if model == "affine" else cv2.estimateAffinePartial2D
        found, inliers = fit(start, end, method=cv2.RANSAC, ransacReprojThreshold=INLIER_PX)
    if found is None or inliers is None or inliers.mean() < FEWEST_INLIERS:
        return None
    matrix = np.eye(3)
    matrix[: len(found)] = found
    determinant = np.linalg.det(matrix[:2, :2])
    return matrix if 0.25 < determinant < 4.0 else None


def chain(steps: dict[tuple[int, int], np.ndarray], count: int, reference: int) -> np.ndarray:
    """Chain steps between neighbours to the reference. `steps[i, j]` takes i to j; missing ones hold."""
    transforms = np.tile(np.eye(3), (count, 1, 1))
    for i in range(reference - 1, -1, -1):
        transforms[i] = transforms[i + 1] @ steps.get((i, i + 1), np.eye(3))
    for i in range(reference + 1, count):
        transforms[i] = transforms[i - 1] @ steps.get((i, i - 1), np.eye(3))
    return transforms / transforms[:, 2:, 2:]


def plausible(transforms: np.ndarray, width: int, height: int) -> bool:
    """Whether every frame's corners stay in front of the camera and within reach."""
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], float).T
    mapped = transforms @ corners
    depth = mapped[:, 2]
    if not np.isfinite(mapped).all() or depth.min() < 0.2:
        return False
    reach = np.abs(mapped[:, :2] / depth[:, None]).max()
    return bool(reach < FURTHEST_LONG_EDGES * max(width, height))


def fit_step(start: np.ndarray, end: np.ndarray, models: Sequence[str]) -> np.ndarray | None:
    """The fit with the first of `models` that the point pairs [m, 2] support."""
    fits = (fit_transform(start, end, model) for model in models)
    return next((fit for fit in fits if fit is not None), None)


def fit_layer(
    flows: Sequence[GapFlow], masks: np.ndarray, models: Sequence[str], reference: int, seed: int
) -> tuple[np.ndarray, str]:
    """Transforms [n, 3, 3] of one layer with the richest of `models` that gives a plausible motion."""
    count, height, width = masks.shape
    threads = usable_cores()
    field = flows[0].forward
    device = field.device if isinstance(field, Tensor) else "cpu"
    with thread_pool(threads) as pool:
        places = list(pool.map(np.flatnonzero, masks))
        for model in models:
            # A fresh generator for each, so that a fallback does not depend on what was tried before it.
            rng = np.random.default_rng(seed)
            found = matches_of(flows[:1], places, width, POINTS_A_FIT, rng)
            simpler = MODELS[MODELS.index(model) :]
            fits = pool.map(partial(fit_step, models=simpler), *zip(*found.pairs(), strict=True))
            steps = {
                (int(a), int(b)): fit
                for a, b, fit in zip(found.source, found.target, fits, strict=True)
                if fit is not None
            }
            transforms = chain(steps, count, reference)
            if not plausible(transforms, width, height):
                continue
            matches = matches_of(flows, places, width, POINTS_A_PAIR, rng)
            refined = refine(transforms, matches, model, reference, device)
            return (refined if plausible(refined, width, height) else transforms), model
    return np.tile(np.eye(3), (count, 1, 1)), "identity"


def parametric_motion(
    flows: Sequence[GapFlow], mattes: np.ndarray, seed: int = 0, identity: bool = False
) -> tuple[LayerMotion, ...]:
    """Motion of every video layer, front to back.

    Args:
        flows: flow of gap 1 first; empty for a clip of one frame.
        mattes: [n, mattes, h, w] float32.
        identity: start as LNA does, with no motion at all (the `paper` preset).
    """
    masks = layer_masks(mattes)
    count, layers, height, width = masks.shape
    margin_share = LNA_MARGIN_SHARE if identity else MARGIN_SHARE

    def motion(layer: int) -> LayerMotion:
        ground = layer == layers - 1
        reference = (
            count // 2 if ground else int(np.argmax([np.count_nonzero(mask) for mask in masks[:, layer]]))
        )
        if identity or not flows:
            transforms, model = np.tile(np.eye(3), (count, 1, 1)), "identity"
        else:
            models = MODELS if ground else MODELS[2:]
            transforms, model = fit_layer(flows, masks[:, layer], models, reference, seed)
        seen = np.ones((count, height, width), bool) if ground else mattes[:, layer] > 0.02
        return LayerMotion(transforms, reference, model, _box(transforms, seen, ground, margin_share))

    with opencv_threads(1), mapped_in_threads(motion, range(layers), layers) as motions:
        return tuple(motions)


def _box(transforms: np.ndarray, seen: np.ndarray, ground: bool, margin_share: float) -> Box:
    """Where a layer's pixels land in its reference frame, with a margin for what the networks add."""
    height, width = seen.shape[1:]
    places = []
    for matrix, mask in zip(transforms, seen, strict=True):
        if ground:
            points = np.array([[0, 0], [width, 0], [0, height], [width, height]], float)
        else:
            x, y = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
            if not len(x):
                continue
            points = np.array([[a, b] for a in (x[0], x[-1]) for b in (y[0], y[-1])]) + 0.5
        mapped = np.c_[points, np.ones(len(points))] @ matrix.T
        places.append(mapped[:, :2] / mapped[:, 2:])
    if not places:
        places = [np.array([[0, 0], [width, height]], float)]
    low, high = np.concatenate(places).min(0), np.concatenate(places).max(0)
    margin = margin_share * float((high - low).max()) + 4.0
    size = float((high - low).max()) + 2 * margin
    return Box(float(low[0]) - margin, float(low[1]) - margin, size)
