"""Errors of tracks, mattes and strokes against what is true; arrays in, numbers out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inve_core.synthetic import FIRST_FRAME, Layer, SyntheticClip, pixel_centres

Array = NDArray[np.float64]

GRID_STEP_PX = 12
# A stroke's centre is looked for this far beyond its own half width.
LOOK_BEYOND_PX = 4.0
PROFILE_STEP_PX = 0.125


# --- points -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class PointErrors:
    """How far tracks are from the truth.

    Attributes:
        distances_px: for each (point, frame) pair where the point is truly visible, other than the frame
            that it was picked on.
        visibility_right: share of all such pairs, visible or not, for which visibility was told right.
        by_layer_px: the median distance for each video layer.
        points: how many points were followed.
    """

    distances_px: Array
    visibility_right: float
    by_layer_px: dict[str, float]
    points: int


def query_points(
    clip: SyntheticClip, frames: Sequence[int], step: int = GRID_STEP_PX
) -> list[dict[str, Any]]:
    """A grid of track queries over the whole picture on each of some frames (numbers, not indices)."""
    height, width = clip.mattes.shape[1:]
    grid = pixel_centres(width, height)[step // 2 :: step, step // 2 :: step].reshape(-1, 2)
    return [
        {"id": f"f{frame}p{number}", "frame": frame, "x": float(x), "y": float(y), "video_layer": "auto"}
        for frame in frames
        for number, (x, y) in enumerate(grid)
    ]


def point_errors(
    clip: SyntheticClip, points: Sequence[Mapping[str, Any]], tracks: Mapping[str, Any]
) -> PointErrors:
    """Compare TRACKS.json with the truth; the true layer of a point is what is seen where it was picked."""
    found = {track["id"]: track for track in tracks["tracks"]}
    groups: dict[tuple[int, Layer], list[Mapping[str, Any]]] = {}
    for point in points:
        start = point["frame"] - FIRST_FRAME
        on_object = clip.visible("foreground", start, np.array([[point["x"], point["y"]]]))[0]
        groups.setdefault((start, "foreground" if on_object else "background"), []).append(point)
    distances: dict[Layer, list[Array]] = {"foreground": [], "background": []}
    right: list[NDArray[np.bool_]] = []
    for (start, layer), members in groups.items():
        picked = np.array([[point["x"], point["y"]] for point in members])
        answers = [found[point["id"]] for point in members]
        for number, frame in enumerate(tracks["frames"]):
            index = frame - FIRST_FRAME
            if index == start:
                continue
            true = clip.position(layer, start, picked, index)
            visible = clip.visible(layer, index, true)
            right.append(visible == np.array([answer["visible"][number] for answer in answers]))
            told = np.array([[answer["x"][number], answer["y"][number]] for answer in answers])
            distances[layer].append(np.hypot(*(told - true)[visible].T))
    by_layer = {name: np.concatenate(parts) for name, parts in distances.items() if parts}
    return PointErrors(
        distances_px=np.concatenate(list(by_layer.values())),
        visibility_right=float(np.concatenate(right).mean()),
        by_layer_px={name: float(np.median(values)) for name, values in by_layer.items() if len(values)},
        points=len(points),
    )


# --- mattes -------------------------------------------------------------------------------------------------


def iou(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Intersection over union of two mattes [h, w], each above one half; 1 where both are empty."""
    a, b = first >= 0.5, second >= 0.5
    either = int((a | b).sum())
    return float((a & b).sum() / either) if either else 1.0


def outside_share(coverage: NDArray[Any], matte: NDArray[Any]) -> float:
    """The share of an edit's coverage [h, w] that lies outside a matte [h, w]; 0 where there is none."""
    total = float(coverage.sum(dtype=np.float64))
    return float((coverage * (1.0 - matte)).sum(dtype=np.float64) / total) if total > 0 else 0.0


# --- strokes ------------------------------------------------------------------------------------------------


def resample(points: Array, spacing: float = 1.0) -> Array:
    """A polyline [k, 2] as positions [n, 2] at equal spacing along it."""
    lengths = np.hypot(*np.diff(points, axis=0).T)
    walked = np.concatenate([[0.0], np.cumsum(lengths)])
    at = np.linspace(0.0, walked[-1], max(2, round(walked[-1] / spacing) + 1))
    return np.stack([np.interp(at, walked, points[:, axis]) for axis in (0, 1)], 1)


def centreline_offsets(
    coverage: NDArray[np.float32], line: Array, width: float, clear: NDArray[np.bool_]
) -> Array:
    """How far a rendered stroke's centre is from where it belongs, in pixels, along the stroke.

    At each position the coverage is read across the line; its centre of gravity is the stroke's centre there.
    The ends, and positions where something else than the stroke's own edge may cut the profile, are left out.

    Args:
        coverage: [h, w].
        line: [n, 2], where the centre belongs, about a pixel apart.
        width: the stroke's width in pixels.
        clear: [h, w], the pixels on which the stroke, were it there, would be seen whole.

    Returns:
        Distances [m], m <= n; infinite where nothing of the stroke is found.
    """
    reach = width / 2 + LOOK_BEYOND_PX
    ends = int(np.ceil(width))
    tangent = np.gradient(line, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1) / np.hypot(*tangent.T)[:, None]
    steps = np.arange(-reach, reach + PROFILE_STEP_PX / 2, PROFILE_STEP_PX)
    profiles = (line[:, None] + steps[None, :, None] * normal[:, None])[ends : len(line) - ends]
    if not len(profiles):
        return np.zeros(0)
    profiles = profiles[_lookup(clear, profiles).all(1)]
    if not len(profiles):
        return np.zeros(0)
    index = (profiles - 0.5).astype(np.float32)
    values = cv2.remap(
        np.ascontiguousarray(coverage, np.float32),
        np.ascontiguousarray(index[..., 0]),
        np.ascontiguousarray(index[..., 1]),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    ).astype(np.float64)
    weight = values.sum(1)
    # A tenth of a pixel of full coverage is the least that can be called a stroke.
    there = weight * PROFILE_STEP_PX > 0.1
    return np.where(there, np.abs((values * steps).sum(1) / np.where(there, weight, 1.0)), np.inf)


def _lookup(mask: NDArray[np.bool_], xy: Array) -> NDArray[np.bool_]:
    """The mask's [h, w] value at the pixels under positions [..., 2]; False outside the picture."""
    x, y = np.floor(xy[..., 0]).astype(int), np.floor(xy[..., 1]).astype(int)
    height, width = mask.shape
    within = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    return within & mask[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]


# --- pass-through -------------------------------------------------------------------------------------------


def changed_bits(before: NDArray[Any], after: NDArray[Any], untouched: NDArray[np.bool_]) -> int:
    """How many of the untouched pixels [h, w] have other bits in `after` than in `before`, both [h, w, 4]."""
    if before.dtype != after.dtype or before.shape != after.shape:
        return int(untouched.sum())
    bits = f"u{before.dtype.itemsize}"
    differ = (np.ascontiguousarray(before).view(bits) != np.ascontiguousarray(after).view(bits)).any(-1)
    return int((differ & untouched).sum())
