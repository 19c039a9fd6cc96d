"""The parametric start: each video layer's motion as one matrix a frame.

A homography a frame for the ground and a similarity for an object, fitted to the optical flow inside the
layer by RANSAC, chained to the layer's reference frame, and then refined together over all gaps so that the
chain does not drift. The mapping networks learn only what is left over, in pixels of the reference frame.

Where a model cannot be fitted the next simpler one is taken: homography, affine, similarity, translation.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from inve_core.coordinates import Box
from inve_core.motion.flow import GapFlow
from inve_core.motion.refinement import Matches, refine

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
    covered = np.zeros(mattes.shape[:1] + mattes.shape[2:], bool)
    masks = []
    for layer in range(mattes.shape[1]):
        inside = mattes[:, layer] > 0.5
        masks.append(inside & ~covered)
        covered |= inside
    return np.stack([*masks, ~covered], 1)


def matches_of(
    flows: Sequence[GapFlow], masks: np.ndarray, most: int, rng: np.random.Generator
) -> Iterator[Matches]:
    """Random consistent flow vectors inside a layer, at most `most` a pair of frames, both directions.

    Args:
        masks: [n, h, w] bool, the layer's pixels.
    """
    places = [np.flatnonzero(mask) for mask in masks]
    width = masks.shape[2]
    for flow in flows:
        for i in range(len(flow.forward)):
            j = i + flow.gap
            for a, b, vectors, valid in (
                (i, j, flow.forward[i], flow.forward_valid[i]),
                (j, i, flow.backward[i], flow.backward_valid[i]),
            ):
                # Shuffled candidates first: to list all valid pixels of each pair takes far longer.
                here = places[a]
                if len(here) > TRIES * most:
                    here = here[rng.integers(len(here), size=TRIES * most)]
                here = here[valid.reshape(-1)[here]]
                if len(here) > most:
                    here = rng.choice(here, most, replace=False)
                start = np.stack((here % width, here // width), 1) + 0.5
                yield Matches(a, b, start, start + vectors.reshape(-1, 2)[here].astype(np.float64))


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


def fit_layer(
    flows: Sequence[GapFlow], masks: np.ndarray, models: Sequence[str], reference: int, seed: int
) -> tuple[np.ndarray, str]:
    """Transforms [n, 3, 3] of one layer with the richest of `models` that gives a plausible motion."""
    count, height, width = masks.shape
    for model in models:
        # A fresh generator for each model, so that a fallback does not depend on what was tried before it.
        rng = np.random.default_rng(seed)
        steps = {}
        simpler = MODELS[MODELS.index(model) :]
        for match in matches_of(flows[:1], masks, POINTS_A_FIT, rng):
            fits = (fit_transform(match.start, match.end, kind) for kind in simpler)
            step = next((fit for fit in fits if fit is not None), None)
            if step is not None:
                steps[match.source, match.target] = step
        transforms = chain(steps, count, reference)
        if not plausible(transforms, width, height):
            continue
        refined = refine(transforms, list(matches_of(flows, masks, POINTS_A_PAIR, rng)), model, reference)
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
    motions = []
    for layer in range(layers):
        ground = layer == layers - 1
        reference = count // 2 if ground else int(masks[:, layer].sum((1, 2)).argmax())
        if identity or not flows:
            transforms, model = np.tile(np.eye(3), (count, 1, 1)), "identity"
        else:
            models = MODELS if ground else MODELS[2:]
            transforms, model = fit_layer(flows, masks[:, layer], models, reference, seed)
        seen = np.ones((count, height, width), bool) if ground else mattes[:, layer] > 0.02
        box = _box(transforms, seen, ground, margin_share)
        motions.append(LayerMotion(transforms, reference, model, box))
    return tuple(motions)


def _box(transforms: np.ndarray, seen: np.ndarray, ground: bool, margin_share: float) -> Box:
    """Where a layer's pixels land in its reference frame, with a margin for what the networks add."""
    height, width = seen.shape[1:]
    places = []
    for matrix, mask in zip(transforms, seen, strict=True):
        if ground:
            points = np.array([[0, 0], [width, 0], [0, height], [width, height]], float)
        else:
            y, x = np.nonzero(mask)
            if not len(x):
                continue
            points = (
                np.array([[x.min(), y.min()], [x.max(), y.min()], [x.min(), y.max()], [x.max(), y.max()]])
                + 0.5
            )
        mapped = np.c_[points, np.ones(len(points))] @ matrix.T
        places.append(mapped[:, :2] / mapped[:, 2:])
    if not places:
        places = [np.array([[0, 0], [width, height]], float)]
    low, high = np.concatenate(places).min(0), np.concatenate(places).max(0)
    margin = margin_share * float((high - low).max()) + 4.0
    size = float((high - low).max()) + 2 * margin
    return Box(float(low[0]) - margin, float(low[1]) - margin, size)
