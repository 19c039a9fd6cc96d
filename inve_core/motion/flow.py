"""Optical flow of each video layer over several gaps, with a forward-backward check.

Flow of gap 1 is OpenCV's DIS (Kroeger et al. 2016), computed for each video layer by itself (see
`separation`), or what somebody gives in its place (see `given_flow`); longer gaps are made by doubling: the
flow from frame i to i + 2g is the flow to i + g followed by the flow from there, so that a point is held to
its place over many frames and not only to the next one.
"""

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from torch import Tensor

from inve_core.motion.given_flow import of_layer
from inve_core.motion.separation import Crop, LayerView, smoothed, snapped

Array: TypeAlias = "np.ndarray | Tensor"
# Flow that is given between two frames, there and back: [h, w, 2] float32 of the picture, pixels.
GivenPair: TypeAlias = tuple[np.ndarray, np.ndarray]

# LNA: a flow vector counts where going there and back ends within a pixel of the start.
CONSISTENT_PX = 1.0
# Composed flow rounds and drifts: a vector over 16 frames may miss by twice as much.
CONSISTENT_GROWTH = 0.25
# An object's flow is blurred this much, as a share of the long edge (4 pixels at 768).
SMOOTHING_SHARE = 4 / 768


@dataclass(frozen=True, eq=False)
class GapFlow:
    """Flow between frames `gap` apart, both ways, in working pixels.

    Numpy arrays, or tensors on the device that the clip was prepared on.

    Attributes:
        forward: [n - gap, height, width, 2] float16, from frame i to i + gap.
        forward_valid: [n - gap, height, width] bool.
        backward: the same from frame i + gap to i, stored at index i.
        backward_valid: as forward_valid.
    """

    gap: int
    forward: Array
    forward_valid: Array
    backward: Array
    backward_valid: Array


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
    # DIS needs a few pyramid levels; tiny pictures are grown so that it has them.
    height, width = source.shape
    grow = max(1, -(-64 // min(height, width)))
    if grow > 1:
        size = (width * grow, height * grow)
        source, target = (cv2.resize(picture, size) for picture in (source, target))
    no_guess: Any = None  # OpenCV's type stub does not know that a first guess is optional.
    flow = _dis().calc(source, target, no_guess)
    if grow > 1:
        flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_AREA) / grow
    return np.asarray(flow, np.float32)


_of_thread = threading.local()


def _dis() -> cv2.DISOpticalFlow:
    """The thread's own: it keeps its buffers from call to call."""
    found: cv2.DISOpticalFlow | None = getattr(_of_thread, "dis", None)
    if found is None:
        found = _of_thread.dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return found


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
        vectors: [height, width, 2] float32, pixels.
        valid: [height, width] bool.
    """

    crop: Crop
    vectors: np.ndarray
    valid: np.ndarray


def most_miss_px(gap: int) -> float:
    """How far from its start the way there and back over a gap may end."""
    return CONSISTENT_PX * (1 + CONSISTENT_GROWTH * math.log2(gap))


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
    valid &= cv2.remap(end.share, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) > 0.5
    valid &= start.clear[start.crop.slices]
    valid &= round_trip(flow, start.crop, back, end.crop) < most_px
    return valid


def raw_flow(
    start: LayerView, end: LayerView, given: GivenPair | None = None
) -> tuple[Crop, np.ndarray, np.ndarray]:
    """Flow of one video layer between two frames, there and back: DIS, or what is given.

    Returns:
        What holds the layer in both frames, and [h, w, 2] float32 of it, twice.
    """
    box = start.crop.joined(end.crop)
    if given is not None:
        width = start.grey.shape[1]
        ahead, behind = (
            of_layer(vectors[box.slices], view.share[box.slices], width)
            for vectors, view in zip(given, (start, end), strict=True)
        )
        return box, ahead, behind
    sources = [np.ascontiguousarray(view.grey[box.slices]) for view in (start, end)]
    return box, dis_flow(*sources), dis_flow(*reversed(sources))


def smoothing_px(height: int, width: int) -> float:
    """How much the flow of an object is blurred, as the sigma of a Gaussian."""
    return SMOOTHING_SHARE * max(height, width)


def layer_flow(
    start: LayerView, end: LayerView, given: GivenPair | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Flow of one video layer between two frames, there and back: [h, w, 2] float32 of their crops."""
    box, ahead, behind = raw_flow(start, end, given)
    if start.nearest is None and end.nearest is None:
        return ahead[start.crop.within(box)], behind[end.crop.within(box)]
    sigma_px = smoothing_px(*start.grey.shape)
    results = []
    for flow, back, here, there in ((ahead, behind, start, end), (behind, ahead, end, start)):
        miss = round_trip(flow, box, back, box)
        soft = smoothed(flow, miss, here.share[box.slices], sigma_px)[here.crop.within(box)]
        results.append(snapped(soft, here.crop, there))
    return results[0], results[1]


def composed(first: LayerFlow, second: LayerFlow) -> np.ndarray:
    """The way along `first` and on along `second`, float32 of the crop of `first`."""
    return first.vectors + sample_at(second.vectors, second.crop, first.vectors, first.crop)


def join(
    field: np.ndarray, valid: np.ndarray, flows: Sequence[LayerFlow], views: Sequence[LayerView]
) -> None:
    """Write one field for all layers: each pixel takes the flow of the layer that it shows."""
    field[:], valid[:] = flows[-1].vectors, flows[-1].valid
    # Two halves are copied as one number: a mask that is spread over both takes several times as long.
    whole = field.view(np.uint32)[..., 0]
    for flow, view in zip(flows[:-1], views[:-1], strict=True):
        mask = view.share[flow.crop.slices] > 0.5
        vectors = np.ascontiguousarray(flow.vectors.astype(np.float16)).view(np.uint32)[..., 0]
        np.copyto(whole[flow.crop.slices], vectors, where=mask)
        np.copyto(valid[flow.crop.slices], flow.valid, where=mask)
