"""Optical flow of each video layer over several gaps, with a forward-backward check.

Flow of gap 1 is OpenCV's DIS (Kroeger et al. 2016), computed for each video layer by itself (see
`separation`); longer gaps are made by doubling: the flow from frame i to i + 2g is the flow to i + g followed
by the flow from there, so that a point is held to its place over many frames and not only to the next one.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np

from inve_core.motion.separation import Crop, LayerView, layer_view, smoothed, snapped
from inve_core.threads import mapped_in_threads

# LNA: a flow vector counts where going there and back ends within a pixel of the start.
CONSISTENT_PX = 1.0
# Composed flow rounds and drifts: a vector over 16 frames may miss by twice as much.
CONSISTENT_GROWTH = 0.25
# An object's flow is blurred this much, as a share of the long edge (4 pixels at 768).
SMOOTHING_SHARE = 4 / 768


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


def sample_at(field: np.ndarray, at: Crop, flow: np.ndarray, of: Crop) -> np.ndarray:
    """Values of a cropped field where cropped flow leads, read bilinearly; its border's values beyond it.

    Args:
        field: [h, w] or [h, w, c], the part `at` of a picture.
        flow: [height, width, 2] float32, pixels, of the part `of` of a picture.

    Returns:
        [height, width] or [height, width, c] float32.
    """
    x, y = of.ends(flow)
    field = field.astype(np.float32, copy=False)
    return cv2.remap(field, x - at.x0, y - at.y0, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@dataclass(frozen=True, eq=False)
class LayerFlow:
    """Flow of one video layer from one frame to another, where the layer is.

    Attributes:
        crop: the part of the picture that `vectors` is of.
        vectors: [height, width, 2] float16, pixels.
        valid: [height, width] bool.
    """

    crop: Crop
    vectors: np.ndarray
    valid: np.ndarray


def round_trip(flow: np.ndarray, crop: Crop, back: np.ndarray, back_crop: Crop) -> np.ndarray:
    """Distance between each pixel and where it ends by way of `flow` and `back`; [h, w] pixels."""
    miss = flow + sample_at(back, back_crop, flow, crop)
    return cv2.magnitude(miss[..., 0], miss[..., 1])


def consistent(
    flow: np.ndarray, back: np.ndarray, start: LayerView, end: LayerView, most_px: float = CONSISTENT_PX
) -> np.ndarray:
    """Where flow of one video layer can be believed: it comes back, and ends in the picture on its layer.

    Args:
        flow, back: [h, w, 2] float32, pixels, of the crops of `start` and of `end`.
        most_px: how far from its start the way there and back may end.

    Returns:
        [h, w] bool, of the crop of `start`.
    """
    height, width = end.share.shape
    x, y = start.crop.ends(flow)
    valid = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    valid &= round_trip(flow, start.crop, back, end.crop) < most_px
    valid &= sample_at(end.share, Crop.whole(end.share), flow, start.crop) > 0.5
    return valid & start.clear[start.crop.slices]


def layer_flow(start: LayerView, end: LayerView) -> tuple[np.ndarray, np.ndarray]:
    """Flow of one video layer between two frames, there and back: [h, w, 2] float32 of their crops."""
    box = start.crop.joined(end.crop)
    sources = [np.ascontiguousarray(view.grey[box.slices]) for view in (start, end)]
    whole = dis_flow(*sources), dis_flow(*reversed(sources))
    if start.nearest is None and end.nearest is None:
        inner = (start.crop.within(box), end.crop.within(box))
        return whole[0][inner[0]], whole[1][inner[1]]
    sigma_px = SMOOTHING_SHARE * max(start.grey.shape)
    results = []
    for flow, back, here, there in ((*whole, start, end), (*reversed(whole), end, start)):
        miss = round_trip(flow, box, back, box)
        soft = smoothed(flow, miss, here.share[box.slices], sigma_px)[here.crop.within(box)]
        results.append(snapped(soft, here.crop, there))
    return results[0], results[1]


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
    if not gaps:
        return ()
    threads = os.cpu_count() or 1
    layers = range(mattes.shape[1] + 1)

    def separate(i: int) -> list[LayerView]:
        return [layer_view(grey[i], mattes[i], layer) for layer in layers]

    with mapped_in_threads(separate, range(len(grey)), threads) as done:
        views = list(done)
    results: list[GapFlow] = []
    half: list[_Pair] = []
    for gap in gaps:
        result = _empty(gap, grey)
        with mapped_in_threads(partial(_pair, views, result, half), range(len(grey) - gap), threads) as found:
            pairs = []
            for pair in found:
                pairs.append(pair)
                on_pair()
        results.append(result)
        half = pairs
    return tuple(results)


def _empty(gap: int, grey: np.ndarray) -> GapFlow:
    count, height, width = grey.shape
    shape = (count - gap, height, width)
    ways = [(np.empty((*shape, 2), np.float16), np.empty(shape, bool)) for _ in range(2)]
    return GapFlow(gap, *ways[0], *ways[1])


# Flow of each layer between two frames, there and back.
_Pair = list[tuple[LayerFlow, LayerFlow]]


def _pair(views: list[list[LayerView]], result: GapFlow, half: list[_Pair], i: int) -> _Pair:
    """Flow of each layer from frame i over a gap; composed, where there is flow of half the gap.

    Also written into `result`, all layers in one field.
    """
    gap = result.gap
    most_px = CONSISTENT_PX * (1 + CONSISTENT_GROWTH * math.log2(gap))
    pair = []
    for layer, (start, end) in enumerate(zip(views[i], views[i + gap], strict=True)):
        if half:
            first, second = half[i][layer], half[i + gap // 2][layer]
            ahead, back = _composed(first[0], second[0]), _composed(second[1], first[1])
        else:
            ahead, back = layer_flow(start, end)
        valid = consistent(ahead, back, start, end, most_px), consistent(back, ahead, end, start, most_px)
        pair.append(
            (
                LayerFlow(start.crop, ahead.astype(np.float16), valid[0]),
                LayerFlow(end.crop, back.astype(np.float16), valid[1]),
            )
        )
    _join(result.forward[i], result.forward_valid[i], [ahead for ahead, _ in pair], views[i])
    _join(result.backward[i], result.backward_valid[i], [back for _, back in pair], views[i + gap])
    return pair


def _composed(first: LayerFlow, second: LayerFlow) -> np.ndarray:
    """The way along `first` and on along `second`, float32 of the crop of `first`."""
    vectors = first.vectors.astype(np.float32)
    return vectors + sample_at(second.vectors, second.crop, vectors, first.crop)


def _join(
    field: np.ndarray, valid: np.ndarray, flows: Sequence[LayerFlow], views: Sequence[LayerView]
) -> None:
    """Write one field for all layers: each pixel takes the flow of the layer that it shows."""
    field[:], valid[:] = flows[-1].vectors, flows[-1].valid
    for flow, view in zip(flows[:-1], views[:-1], strict=True):
        mask = view.share[flow.crop.slices] > 0.5
        np.copyto(field[flow.crop.slices], flow.vectors, where=mask[..., None])
        np.copyto(valid[flow.crop.slices], flow.valid, where=mask)
