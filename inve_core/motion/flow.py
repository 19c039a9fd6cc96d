"""Optical flow of each video layer over several gaps, with a forward-backward check.

Flow of gap 1 is OpenCV's DIS (Kroeger et al. 2016), computed for each video layer by itself (see
`separation`), or what somebody gives in its place (see `given_flow`); longer gaps are made by doubling: the
flow from frame i to i + 2g is the flow to i + g followed by the flow from there, so that a point is held to
its place over many frames and not only to the next one.

DIS runs in threads, from the moment on that its two frames are read. What follows it is done here by the same
threads, or by a GPU in `device_flow`, of which this is the slow twin.
"""

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeAlias, TypeVar

import cv2
import numpy as np
from torch import Tensor

from inve_core.motion.given_flow import of_layer
from inve_core.motion.separation import Crop, LayerView, layer_view, smoothed, snapped
from inve_core.threads import opencv_threads, thread_pool, usable_cores

Array: TypeAlias = "np.ndarray | Tensor"
# Grey picture [h, w] uint8 and mattes [mattes, h, w] float32 of the frame of an index; may wait for them.
Frames: TypeAlias = Callable[[int], tuple[np.ndarray, np.ndarray]]
# Flow that is given at the frame of an index, [h, w, 2] float32 in pixels and NaN where it is not known: to
# the next frame, and to the last one. None where there is no such frame. May wait for them.
GivenFlow: TypeAlias = Callable[[int], tuple[np.ndarray | None, np.ndarray | None]]
# The same between two frames, there and back.
GivenPair: TypeAlias = tuple[np.ndarray, np.ndarray]
_Fields: TypeAlias = "Future[tuple[np.ndarray | None, np.ndarray | None]]"
# What is given at two neighbouring frames.
_GivenFrames: TypeAlias = tuple[_Fields, _Fields]
FlowArrays: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Result = TypeVar("Result")

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


# Flow of each layer between two frames, there and back.
Pair: TypeAlias = list[tuple[LayerFlow, LayerFlow]]


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


class FlowJob:
    """Flow between all frames of a clip, being computed by threads. Make one with `begin_flow`.

    Args:
        pairs: how many pairs of frames there are, over all gaps.
    """

    def __init__(self, pairs: int):
        self.pairs = pairs
        self._done: SimpleQueue[BaseException | None] = SimpleQueue()

    def collect(self, on_pair: Callable[[], None]) -> tuple[GapFlow, ...]:
        """Wait for all of it.

        Args:
            on_pair: called after each pair of frames, e.g. to report progress or to raise Cancelled.
        """
        for _ in range(self.pairs):
            error = self._done.get()
            if error is not None:
                raise error
            on_pair()
        return self._result()

    def _result(self) -> tuple[GapFlow, ...]:
        return ()

    def _counted(self, pairs: int, work: Callable[..., Result], *args: Any) -> Result:
        """Do work that so many pairs end with, and say so, or what went wrong, to whoever collects."""
        try:
            result = work(*args)
        except BaseException as error:
            self._done.put(error)
            raise
        for _ in range(pairs):
            self._done.put(None)
        return result


def begin_flow(
    pool: Executor,
    threads: int,
    frames: Frames,
    shape: tuple[int, int, int],
    fronts: int,
    gaps: tuple[int, ...],
    device: str | None = None,
    given: GivenFlow | None = None,
) -> FlowJob:
    """Start computing flow in threads.

    Args:
        pool: see `thread_pool`; leaving it ends the work.
        threads: how many it has.
        frames: the pictures. What it waits for is not to be behind this work in the same pool.
        shape: number of frames, height, width.
        fronts: number of mattes.
        gaps: 1, 2, 4, ...; see `gaps_for`.
        device: where torch does what follows DIS; None for the same threads, with OpenCV.
        given: takes the place of DIS; see `frames` of what it may wait for.
    """
    count = shape[0]
    if not gaps:
        return FlowJob(0)

    def separate(i: int) -> list[LayerView]:
        grey, mattes = frames(i)
        return [layer_view(grey, mattes, layer) for layer in range(fronts + 1)]

    # Work that others wait for goes first, by as many places in the queue as there are threads.
    ahead = max(2, threads)
    views: dict[int, Future[list[LayerView]]] = {}
    fields: dict[int, _Fields] = {}

    def begin_frame(i: int) -> None:
        views[i] = pool.submit(separate, i)
        if given is not None:
            fields[i] = pool.submit(given, i)

    def given_between(i: int) -> _GivenFrames | None:
        """What is given at frame i and the next; no other pair starts at i."""
        return None if given is None else (fields.pop(i), fields[i + 1])

    if device is not None:
        from inve_core.motion.device_flow import DeviceFlow

        on_device = DeviceFlow(shape, fronts, gaps, device)
        for step in range(count + ahead):
            if step < count:
                begin_frame(step)
            i = step - ahead
            if 0 <= i < count - 1:
                raw = pool.submit(_raw, views[i], views[i + 1], given_between(i))
                on_device.add(views.pop(i), views[i + 1], raw)
        on_device.end()
        return on_device
    job = HostFlow(shape, gaps)
    halves: list[dict[int, Future[Pair]]] = [{} for _ in gaps]
    for step in range(count + len(gaps) * ahead):
        if step < count:
            begin_frame(step)
        for level, gap in enumerate(gaps):
            # Each level follows the one that it is made of; the last frame of a pair was there `ahead` ago.
            i = step - (level + 1) * ahead - gap + 1
            if not 0 <= i < count - gap:
                continue
            half = gap // 2
            made_of = (halves[level - 1].pop(i), halves[level - 1][i + half]) if level else None
            between = None if level else given_between(i)
            halves[level][i] = pool.submit(job.pair, level, i, views[i], views[i + gap], made_of, between)
        views.pop(step - len(gaps) * ahead - gaps[-1] + 1, None)
    return job


def flow_over_gaps(
    grey: np.ndarray,
    mattes: np.ndarray,
    gaps: tuple[int, ...],
    on_pair: Callable[[], None] = lambda: None,
    device: str | None = None,
    given: GivenFlow | None = None,
) -> tuple[GapFlow, ...]:
    """Flow between all frames `gaps` apart.

    Args:
        grey: [n, height, width] uint8.
        mattes: [n, mattes, height, width] float32.
        gaps: 1, 2, 4, ...; see `gaps_for`.
        on_pair: called after each pair of frames, e.g. to report progress or to raise Cancelled.
        device: where torch does what follows DIS, and the result stays, if it fits; None for threads and
            numpy arrays.
        given: takes the place of DIS.
    """
    threads = usable_cores()
    fronts = mattes.shape[1]
    with opencv_threads(1), thread_pool(threads) as pool:
        job = begin_flow(
            pool, threads, lambda i: (grey[i], mattes[i]), grey.shape, fronts, gaps, device, given
        )
        return job.collect(on_pair)


def empty_arrays(gap: int, shape: tuple[int, int, int]) -> FlowArrays:
    """For the flow over a gap between frames of a clip [n, height, width], in the order of `GapFlow`."""
    count, height, width = shape
    pairs = (count - gap, height, width)
    return (
        np.empty((*pairs, 2), np.float16),
        np.empty(pairs, bool),
        np.empty((*pairs, 2), np.float16),
        np.empty(pairs, bool),
    )


def _between(given: _GivenFrames | None) -> GivenPair | None:
    """There out of what is given at the first frame, and back out of that at the second."""
    if given is None:
        return None
    ahead, behind = given[0].result()[0], given[1].result()[1]
    assert ahead is not None
    assert behind is not None
    return ahead, behind


def _raw(
    start: Future[list[LayerView]], end: Future[list[LayerView]], given: _GivenFrames | None
) -> list[tuple[Crop, np.ndarray, np.ndarray]]:
    between = _between(given)
    return [raw_flow(*views, between) for views in zip(start.result(), end.result(), strict=True)]


class HostFlow(FlowJob):
    """Flow that is computed by threads alone."""

    def __init__(self, shape: tuple[int, int, int], gaps: tuple[int, ...]):
        super().__init__(sum(shape[0] - gap for gap in gaps))
        self._gaps = gaps
        self._arrays = tuple(empty_arrays(gap, shape) for gap in gaps)

    def _result(self) -> tuple[GapFlow, ...]:
        return tuple(GapFlow(gap, *arrays) for gap, arrays in zip(self._gaps, self._arrays, strict=True))

    def pair(
        self,
        level: int,
        i: int,
        start: Future[list[LayerView]],
        end: Future[list[LayerView]],
        halves: tuple[Future[Pair], Future[Pair]] | None,
        given: _GivenFrames | None,
    ) -> Pair:
        """Flow of each layer from frame i over the gap of a level; composed, where there are its halves."""
        return self._counted(1, self._pair, level, i, start, end, halves, given)

    def _pair(
        self,
        level: int,
        i: int,
        start: Future[list[LayerView]],
        end: Future[list[LayerView]],
        halves: tuple[Future[Pair], Future[Pair]] | None,
        given: _GivenFrames | None,
    ) -> Pair:
        forward, forward_valid, backward, backward_valid = self._arrays[level]
        most_px = most_miss_px(self._gaps[level])
        starts, ends = start.result(), end.result()
        made_of = None if halves is None else (halves[0].result(), halves[1].result())
        between = _between(given)
        pair = []
        for layer, (here, there) in enumerate(zip(starts, ends, strict=True)):
            if made_of is None:
                ahead, back = layer_flow(here, there, between)
            else:
                first, second = made_of[0][layer], made_of[1][layer]
                ahead, back = _composed(first[0], second[0]), _composed(second[1], first[1])
            pair.append(
                (
                    LayerFlow(here.crop, ahead, consistent(ahead, back, here, there, most_px)),
                    LayerFlow(there.crop, back, consistent(back, ahead, there, here, most_px)),
                )
            )
        _join(forward[i], forward_valid[i], [ahead for ahead, _ in pair], starts)
        _join(backward[i], backward_valid[i], [back for _, back in pair], ends)
        return pair


def _composed(first: LayerFlow, second: LayerFlow) -> np.ndarray:
    """The way along `first` and on along `second`, float32 of the crop of `first`."""
    return first.vectors + sample_at(second.vectors, second.crop, first.vectors, first.crop)


def _join(
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
