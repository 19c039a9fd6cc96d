"""Where on a clip the demo paints, found from its mattes alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Points = NDArray[np.float64]

# How many other frames are looked at to find ground that the object passes over.
FRAMES_LOOKED_AT = 12


@dataclass(frozen=True)
class Spot:
    """A circle of free space: its centre and radius in picture pixels."""

    x: float
    y: float
    radius: float


@dataclass(frozen=True, eq=False)
class Placement:
    """Where each edit goes, in pixels of one frame.

    Attributes:
        frame: the frame to paint on.
        subject_stroke: [k, 2], across the object from edge to edge and a little beyond.
        large_logo, small_logo: free space beside it. All three are on the ground where there is no object.
        ground_stroke: [k, 2], on ground that the object passes over on other frames, where there is some.
        ground_region: free space on the ground.
    """

    frame: int
    subject_stroke: Points
    large_logo: Spot
    small_logo: Spot
    ground_stroke: Points
    ground_region: Spot


def place(
    frames: Sequence[int], width: int, height: int, matte: Callable[[int], NDArray[np.float32] | None]
) -> Placement:
    """Choose positions on the middle frame, or on the frame with the largest object where that one has none.

    Args:
        frames: the clip's frames.
        width, height: its size in pixels.
        matte: gives the object's matte [height, width] at a frame, or None where the clip has no mattes.
    """
    frame = frames[len(frames) // 2]
    near = frames[:: max(1, len(frames) // FRAMES_LOOKED_AT)]
    masks = {f: _mask(matte(f), width, height) for f in {*near, frame}}
    if not masks[frame].any():
        frame = max(masks, key=lambda f: (int(masks[f].sum()), f == frame))
    on_object = masks[frame]
    unit = min(width, height)
    # Paint on the ground keeps clear of the object's soft edge on the frame it is drawn on.
    margin = max(3, round(0.03 * unit))
    free = ~_grown(on_object, margin)
    passed_over = np.any([masks[f] for f in masks], axis=0) & free
    ground = _widest(passed_over)
    if ground.radius < 0.03 * unit:
        ground = _widest(free)
    ground_stroke = _line_through(free, ground, 0.25 * unit, beyond=-margin)
    region = _widest(free & ~_near_line(ground_stroke, width, height, margin))
    if on_object.any():
        subject, reach = on_object, float(max(width, height))
    else:
        subject, reach = free & ~_near_line(ground_stroke, width, height, margin), 0.2 * unit
        subject &= ~_disc(region, width, height)
    widest = _widest(subject)
    across = Spot(widest.x, widest.y + 0.4 * widest.radius, widest.radius)
    subject_stroke = _line_through(subject, across, reach, beyond=2.0)
    beside = subject & ~_near_line(subject_stroke, width, height, margin)
    large_logo = _widest(beside)
    return Placement(
        frame=frame,
        subject_stroke=subject_stroke,
        large_logo=large_logo,
        small_logo=_widest(beside & ~_disc(large_logo, width, height)),
        ground_stroke=ground_stroke,
        ground_region=region,
    )


def _mask(matte: NDArray[np.float32] | None, width: int, height: int) -> Mask:
    return np.zeros((height, width), np.bool_) if matte is None else matte >= 0.5


def _grown(mask: Mask, pixels: int) -> Mask:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return cv2.dilate(mask.astype(np.uint8), kernel) > 0


def _widest(mask: Mask) -> Spot:
    """The largest circle in a mask; the picture's border bounds it too."""
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    y, x = np.unravel_index(int(np.argmax(distance)), distance.shape)
    return Spot(float(x) + 0.5, float(y) + 0.5, float(distance[y, x]))


def _near_line(points: Points, width: int, height: int, margin: int) -> Mask:
    drawn = np.zeros((height, width), np.uint8)
    cv2.polylines(drawn, [np.rint(points).astype(np.int32)], isClosed=False, color=(1,), thickness=2 * margin)
    return drawn > 0


def _disc(spot: Spot, width: int, height: int) -> Mask:
    y, x = np.ogrid[:height, :width]
    return (x + 0.5 - spot.x) ** 2 + (y + 0.5 - spot.y) ** 2 <= spot.radius**2


def _line_through(mask: Mask, spot: Spot, reach: float, beyond: float) -> Points:
    """A slightly waving line through a spot, along the row or the column that stays longer in the mask.

    Args:
        mask: where the line may run.
        spot: what it runs through.
        reach: how far it may go from there, in pixels.
        beyond: how far past the mask's edge it goes on (negative: how far before it ends).

    Returns:
        Picture positions [k, 2].
    """
    height, width = mask.shape
    column, row = min(int(spot.x), width - 1), min(int(spot.y), height - 1)
    left, right = _run(mask[row], column)
    top, bottom = _run(mask[:, column], row)
    if right - left >= bottom - top:
        low, high, centre = left, right, spot.x
    else:
        low, high, centre = top, bottom, spot.y
    low, high = max(low - beyond, centre - reach), min(high + beyond, centre + reach)
    if high - low < 4.0:
        low, high = centre - 2.0, centre + 2.0
    along = np.linspace(low, high, 33)
    wave = 0.12 * min(spot.radius, high - low) * np.sin((along - low) / (high - low) * 3.0 * np.pi)
    points = np.stack([along, spot.y + wave], 1)
    if right - left < bottom - top:
        points = np.stack([spot.x + wave, along], 1)
    return np.clip(points, 0.0, (width, height))


def _run(line: Mask, start: int) -> tuple[float, float]:
    """The borders, in pixels, of the run of True that holds `start`; start itself where that is False."""
    if not line[start]:
        return float(start), float(start + 1)
    off = np.flatnonzero(~line)
    before, after = off[off < start], off[off > start]
    return float(before[-1] + 1 if len(before) else 0), float(after[0] if len(after) else len(line))
