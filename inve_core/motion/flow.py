"""Optical flow over several gaps, each with a forward-backward check.

Flow of gap 1 is OpenCV's DIS (Kroeger et al. 2016); longer gaps are made by doubling: the flow from frame i
to i + 2g is the flow to i + g followed by the flow from there, so that a point is held to its place over
many frames and not only to the next one.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np

from inve_core.threads import mapped_in_threads

# LNA: a flow vector counts where going there and back ends within a pixel of the start.
CONSISTENT_PX = 1.0
# DIS at its medium preset matches patches of 8 pixels at half size: nearer than this to an object's outline
# a patch sees both sides, and flow of one side is written over the other, consistently both ways.
PATCH_REACH_PX = 8


@dataclass(frozen=True, eq=False)
class GapFlow:
    """Flow between frames `gap` apart, both ways, in working pixels.

    Attributes:
        forward: [n - gap, height, width, 2] float16, from frame i to i + gap.
        forward_valid: [n - gap, height, width] bool.
        backward: the same from frame i + gap to i, stored at index i.
        backward_valid: as forward_valid.
    """

    gap: int
    forward: np.ndarray
    forward_valid: np.ndarray
    backward: np.ndarray
    backward_valid: np.ndarray


def gaps_for(frame_count: int, longest: int) -> tuple[int, ...]:
    """1, 2, 4, ... up to `longest`, as far as the clip has pairs for them."""
    gaps = []
    gap = 1
    while gap <= longest and gap < frame_count:
        gaps.append(gap)
        gap *= 2
    return tuple(gaps)


def dis_flow(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """DIS flow, medium preset.

    Args:
        source: [height, width] uint8.
        target: [height, width] uint8.

    Returns:
        [height, width, 2] float32, pixels.
    """
    algorithm = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    # DIS needs a few pyramid levels; tiny pictures are grown so that it has them.
    height, width = source.shape
    grow = max(1, -(-64 // min(height, width)))
    if grow > 1:
        size = (width * grow, height * grow)
        source, target = (cv2.resize(picture, size) for picture in (source, target))
    no_guess: Any = None  # OpenCV's type stub does not know that a first guess is optional.
    flow = algorithm.calc(source, target, no_guess)
    if grow > 1:
        flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_AREA) / grow
    return np.asarray(flow, np.float32)


def sample_at(field: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """`field` [height, width, c] read bilinearly at each pixel's place moved by `flow` [height, width, 2]."""
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return cv2.remap(
        field, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def consistent(
    flow: np.ndarray, back: np.ndarray, mattes: np.ndarray, target_mattes: np.ndarray
) -> np.ndarray:
    """Where flow can be believed: it comes back, stays in the picture, and stays on its video layer.

    Args:
        flow, back: [height, width, 2] float32, pixels.
        mattes, target_mattes: [mattes, height, width] float32 at the flow's start and end.

    Returns:
        [height, width] bool.
    """
    height, width = flow.shape[:2]
    round_trip = flow + sample_at(back, flow)
    valid = (round_trip**2).sum(-1) < CONSISTENT_PX**2
    x = np.arange(width, dtype=np.float32) + flow[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    valid &= (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    for matte, target in zip(mattes, target_mattes, strict=True):
        valid &= np.abs(matte - sample_at(np.ascontiguousarray(target), flow)) < 0.5
    return valid


def clear_of_outlines(mattes: np.ndarray) -> np.ndarray:
    """Pixels whose flow no outline can have mixed up. [mattes, height, width] to [height, width] bool.

    Where an object or a gap is too thin to have any such pixel (limbs), the inner half of it counts.
    """
    height, width = mattes.shape[1:]
    clear = np.ones((height, width), bool)
    window = np.ones((2 * PATCH_REACH_PX + 1,) * 2, np.uint8)
    for matte in mattes:
        inside = matte > 0.5
        for side in (inside, ~inside):
            if side.all():
                continue
            depth = cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, 3)
            # Half of the greatest depth around: the middle of a limb, and more than a patch elsewhere.
            needed = np.minimum(PATCH_REACH_PX, 0.5 * cv2.dilate(depth, window))
            clear &= ~side | (depth >= needed)
    return clear


def flow_over_gaps(
    grey: np.ndarray,
    mattes: np.ndarray,
    gaps: tuple[int, ...],
    on_pair: Callable[[], None] = lambda: None,
) -> tuple[GapFlow, ...]:
    """Flow between all frames `gaps` apart.

    Args:
        grey: [n, height, width] uint8.
        mattes: [n, mattes, height, width] float32.
        gaps: 1, 2, 4, ...; see `gaps_for`.
        on_pair: called after each pair of frames, e.g. to report progress or to raise Cancelled.
    """
    results: list[GapFlow] = []
    clear = np.stack([clear_of_outlines(frame) for frame in mattes])
    for gap in gaps:
        work = partial(_pair, grey, mattes, clear, gap, results[-1] if results else None)
        pairs = []
        with mapped_in_threads(work, range(len(grey) - gap), os.cpu_count() or 1) as done:
            for pair in done:
                pairs.append(pair)
                on_pair()
        results.append(GapFlow(gap, *(np.stack(part) for part in zip(*pairs, strict=True))))
    return tuple(results)


def _pair(
    grey: np.ndarray, mattes: np.ndarray, clear: np.ndarray, gap: int, half: GapFlow | None, i: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Flow and validity between frames i and i + gap, in the order of GapFlow's fields."""
    if half is None:
        ahead, back = dis_flow(grey[i], grey[i + gap]), dis_flow(grey[i + gap], grey[i])
    else:
        step = half.gap
        ahead, back = half.forward[i].astype(np.float32), half.backward[i + step].astype(np.float32)
        ahead = ahead + sample_at(half.forward[i + step].astype(np.float32), ahead)
        back = back + sample_at(half.backward[i].astype(np.float32), back)
    start, end = mattes[i], mattes[i + gap]
    return (
        ahead.astype(np.float16),
        consistent(ahead, back, start, end) & clear[i],
        back.astype(np.float16),
        consistent(back, ahead, end, start) & clear[i + gap],
    )
