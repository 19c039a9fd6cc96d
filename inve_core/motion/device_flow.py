"""What follows DIS, for all layers and several pairs at once, on a GPU; the fast twin of `flow_jobs`.

Pairs come in order, and flow over the longer gaps is composed as soon as the frames that it needs are there.
Only the last few frames' flow by layers is kept, and all of this hides behind DIS. Every layer fills the
whole picture here, so that one call serves all of them; what lies outside a layer's crop counts for nothing.

The result is one tensor in device memory, where it fits into a share of it; else it goes to the host's.
"""

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from inve_core.devices import free_bytes
from inve_core.motion.flow import GapFlow, most_miss_px, smoothing_px
from inve_core.motion.flow_jobs import FlowJob, empty_arrays
from inve_core.motion.separation import Crop, LayerView

# Of the memory that is free, what the result may take.
SHARE_OF_FREE_MEMORY = 0.5
# Fields of vectors that are worked on at once. One of 768x432 takes 2.7 MB, and a dozen of that on the way.
FIELDS_AT_ONCE = 12

# DIS flow of each layer, of a part of the picture, there and back.
Raw: TypeAlias = list[tuple[Crop, np.ndarray, np.ndarray]]
# Two neighbours and the flow between them, all under way.
_Waiting: TypeAlias = tuple[Future[list[LayerView]], Future[list[LayerView]], Future[Raw]]


@dataclass(frozen=True, eq=False)
class StackedFlow(GapFlow):
    """Flow over one gap, as a part of one tensor for all gaps.

    Attributes:
        stack: [n, gaps, 2, height, width, 2] float16, of each frame, forward and backward; NaN where it is
            not valid. What `forward` and `backward` are views of.
    """

    stack: Tensor


class DeviceFlow(FlowJob):
    """Flow whose DIS is computed by threads, and the rest on a device, by a thread of its own.

    Args:
        shape: number of frames, height, width.
        fronts: number of mattes.
        gaps: 1, 2, 4, ...
        device: where.
        budget_bytes: the most that the result may take there; by default a share of what is free.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        fronts: int,
        gaps: tuple[int, ...],
        device: str,
        budget_bytes: int | None = None,
    ):
        super().__init__(sum(shape[0] - gap for gap in gaps))
        # Made by the thread itself, so that a GPU that has to be woken up first does so beside DIS.
        self._make_chain = partial(Chain, shape, fronts, gaps, device, budget_bytes)
        self._chain: Chain | None = None
        self._at_once = max(1, FIELDS_AT_ONCE // (2 * (fronts + 1)))
        # One thread: the launches of one do not get faster by being given out by several.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="flow")
        self._waiting: list[_Waiting] = []

    def add(self, start: Future[list[LayerView]], end: Future[list[LayerView]], raw: Future[Raw]) -> None:
        """Take the next pair of neighbours in."""
        self._waiting.append((start, end, raw))
        if len(self._waiting) == self._at_once:
            self._hand_over()

    def end(self) -> None:
        """Say that there are no more pairs."""
        if self._waiting:
            self._hand_over()
        self._thread.shutdown(wait=False)

    def _hand_over(self) -> None:
        self._thread.submit(self._batch, self._waiting)
        self._waiting = []

    def _batch(self, waiting: list[_Waiting]) -> None:
        self._counted(0, self._add_batch, waiting)

    def _add_batch(self, waiting: list[_Waiting]) -> None:
        if self._chain is None:
            self._chain = self._make_chain()
        raws: list[Raw] = []
        views: list[list[LayerView]] = []
        for start, end, raw in waiting:
            if not self._chain.frames and not views:
                views.append(start.result())
            views.append(end.result())
            raws.append(raw.result())
        for _ in range(self._chain.add(views, raws)):
            self._done.put(None)

    def _result(self) -> tuple[GapFlow, ...]:
        assert self._chain is not None
        return self._chain.result()


class Chain:
    """Flow by layers of the last few frames, and the flow of all frames that is made of it."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        fronts: int,
        gaps: tuple[int, ...],
        device: str,
        budget_bytes: int | None = None,
    ):
        self.frames = 0
        self._shape, self._gaps, self._device = shape, gaps, device
        count, self._height, self._width = shape
        stack = (count, len(gaps), 2, self._height, self._width)
        if budget_bytes is None:
            budget_bytes = int(SHARE_OF_FREE_MEMORY * free_bytes(device))
        self._stack: Tensor | None = None
        if np.prod(stack) * (4 + 1) <= budget_bytes:
            self._stack = torch.full((*stack, 2), torch.nan, dtype=torch.float16, device=device)
            self._valid = torch.zeros(stack, dtype=torch.bool, device=device)
        else:
            self._host = tuple(empty_arrays(gap, shape) for gap in gaps)
        self._views: dict[int, _DeviceViews] = {}
        # By gap and first frame: [layers, 2, 2, h, w] float32, forward and backward, x and y.
        self._flows: list[dict[int, Tensor]] = [{} for _ in gaps]
        sigma_px = smoothing_px(self._height, self._width)
        self._blurs = (
            blur_matrix(self._height, sigma_px).to(device),
            blur_matrix(self._width, sigma_px).to(device),
        )
        y, x = torch.meshgrid(
            torch.arange(self._height, dtype=torch.float32, device=device),
            torch.arange(self._width, dtype=torch.float32, device=device),
            indexing="ij",
        )
        self._places = torch.stack((x, y))

    def result(self) -> tuple[GapFlow, ...]:
        """The flow, once all pairs are in."""
        if self._stack is None:
            return tuple(GapFlow(gap, *arrays) for gap, arrays in zip(self._gaps, self._host, strict=True))
        stack, valid, count = self._stack, self._valid, self._shape[0]
        return tuple(
            StackedFlow(
                gap,
                stack[: count - gap, level, 0],
                valid[: count - gap, level, 0],
                stack[gap:, level, 1],
                valid[gap:, level, 1],
                stack,
            )
            for level, gap in enumerate(self._gaps)
        )

    def add(self, views: list[list[LayerView]], raws: list[Raw]) -> int:
        """Take the next frames in, and DIS flow between neighbours, the last frame before them included.

        Returns:
            For how many more pairs of frames, over all gaps, the flow is there now.
        """
        for view in views:
            self._views[self.frames] = _DeviceViews.of(view, self._device)
            self.frames += 1
        done = 0
        end = self.frames - 1
        for level, gap in enumerate(self._gaps):
            first, last = max(0, end - len(raws) - gap + 1), end - gap + 1
            if last <= first:
                break
            flow = self._composed(level, first, last) if level else self._neighbours(raws, first, last)
            valid = self._valid_of(flow, gap, first, last)
            self._flows[level].update(zip(range(first, last), flow, strict=True))
            self._write(level, first, last, flow, valid)
            done += last - first
        self._forget()
        return done

    def _forget(self) -> None:
        """Let go of what no later pair needs."""
        for level, flows in enumerate(self._flows):
            longer = self._gaps[level + 1] if level + 1 < len(self._gaps) else 0
            for i in [i for i in flows if i + longer < self.frames]:
                del flows[i]
        for i in [i for i in self._views if i + self._gaps[-1] < self.frames]:
            del self._views[i]

    def _neighbours(self, raws: list[Raw], first: int, last: int) -> Tensor:
        """DIS flow of each layer, smoothed and snapped to the layer where that is an object.

        Returns:
            [pairs, layers, 2, 2, h, w].
        """
        layers = len(raws[0])
        flow = torch.zeros((len(raws), layers, 2, 2, self._height, self._width), device=self._device)
        for pair, raw in zip(flow, raws, strict=True):
            for layer, (box, *ways) in zip(pair, raw, strict=True):
                rows, columns = box.slices
                for target, vectors in zip(layer, ways, strict=True):
                    target[:, rows, columns] = torch.from_numpy(vectors).to(self._device).permute(2, 0, 1)
        for layer in range(layers - 1):
            # Objects are there in nearly every frame: runs of them are sliced, and nothing is copied.
            for begin, end in _runs([self._is_object(layer, i) for i in range(first, last)]):
                here = range(first + begin, first + end)
                flow[begin:end, layer] = self._of_object(flow[begin:end, layer], layer, here)
        return flow

    def _is_object(self, layer: int, i: int) -> bool:
        """Whether a layer ends somewhere in the picture, in a frame or the next."""
        return self._views[i].is_object[layer] or self._views[i + 1].is_object[layer]

    def _of_object(self, flow: Tensor, layer: int, frames: range) -> Tensor:
        """Smoothed and snapped; flow [pairs, 2, 2, h, w] from `frames` to the next ones to the same."""
        # Forward vectors start in the first frame of a pair and lead to the second, backward ones do not.
        starts = torch.stack([self._both("share", i, i + 1)[:, layer] for i in frames])
        flow, starts = flow.flatten(0, 1), starts.flatten(0, 1)
        back = self._swapped(flow)
        miss = (flow + self._read(back, self._ends(flow))).square().sum(1)
        weight = starts / (1 + miss) + 1e-6
        blurred = self._blurred(torch.cat((flow * weight[:, None], weight[:, None]), 1))
        flow = blurred[:, :2] / blurred[:, 2:]
        ends = self._ends(flow)
        nearest, distance = (
            torch.stack([self._both(name, i + 1, i)[:, layer] for i in frames]).flatten(0, 1)
            for name in ("nearest", "distance")
        )
        missed = self._read(distance[:, None], ends) > 1.0
        x = ends[:, 0].round().clamp(0, self._width - 1).long()
        y = ends[:, 1].round().clamp(0, self._height - 1).long()
        place = nearest.flatten(2).gather(2, (y * self._width + x).flatten(1)[:, None].expand(-1, 2, -1))
        flow = torch.where(missed, place.view_as(flow) - self._places, flow)
        return flow.unflatten(0, (-1, 2))

    def _composed(self, level: int, first: int, last: int) -> Tensor:
        """Flow over a gap out of that over its half; [pairs, layers, 2, 2, h, w]."""
        half, flows = self._gaps[level - 1], self._flows[level - 1]
        begin = torch.stack([flows[i] for i in range(first, last)])
        onward = torch.stack([flows[i + half] for i in range(first, last)])
        # There by the first half and on by the second; back by the second and on by the first.
        leading = torch.stack((begin[:, :, 0], onward[:, :, 1]), 2).flatten(0, 2)
        following = torch.stack((onward[:, :, 0], begin[:, :, 1]), 2).flatten(0, 2)
        return (leading + self._read(following, self._ends(leading))).view_as(begin)

    def _valid_of(self, flow: Tensor, gap: int, first: int, last: int) -> Tensor:
        """As `flow.consistent`, of flow [pairs, layers, 2, 2, h, w]; returns [pairs, layers, 2, h, w]."""
        pairs = [(i, i + gap) for i in range(first, last)]
        # [pairs, layers, 2, h, w], of the frame that a vector leads to, and of the one that it starts from.
        share = torch.stack([self._both("share", b, a).transpose(0, 1) for a, b in pairs])
        clear = torch.stack([self._both("clear", a, b).transpose(0, 1) for a, b in pairs])
        fields = flow.flatten(0, 2)
        ends = self._ends(fields)
        there = self._read(torch.cat((self._swapped(fields), share.flatten(0, 2)[:, None]), 1), ends)
        miss = (fields + there[:, :2]).square().sum(1).sqrt()
        valid = (ends >= 0).all(1) & (ends[:, 0] <= self._width - 1) & (ends[:, 1] <= self._height - 1)
        valid &= (miss < most_miss_px(gap)) & (there[:, 2] > 0.5)
        return valid.view_as(clear) & clear

    def _write(self, level: int, first: int, last: int, flow: Tensor, valid: Tensor) -> None:
        """Join the layers: each pixel takes the flow of the layer that it shows."""
        gap = self._gaps[level]
        joined, known = flow[:, -1], valid[:, -1]
        for layer in range(flow.shape[1] - 1):
            mask = torch.stack([self._both("share", i, i + gap)[:, layer] > 0.5 for i in range(first, last)])
            joined = torch.where(mask[:, :, None], flow[:, layer], joined)
            known = torch.where(mask, valid[:, layer], known)
        vectors = joined.movedim(2, -1).to(torch.float16)
        ways = ((0, first), (1, first + gap))
        if self._stack is not None:
            vectors = torch.where(known[..., None], vectors, torch.nan)
            for way, start in ways:
                self._stack[start : start + last - first, level, way] = vectors[:, way]
                self._valid[start : start + last - first, level, way] = known[:, way]
            return
        forward, forward_valid, backward, backward_valid = self._host[level]
        at = slice(first, last)
        here, here_known = vectors.cpu().numpy(), known.cpu().numpy()
        forward[at], backward[at] = here[:, 0], here[:, 1]
        forward_valid[at], backward_valid[at] = here_known[:, 0], here_known[:, 1]

    def _both(self, name: str, first: int, second: int) -> Tensor:
        """A layerwise picture of two frames: [2, layers, ...]."""
        return torch.stack((getattr(self._views[first], name), getattr(self._views[second], name)))

    def _swapped(self, fields: Tensor) -> Tensor:
        """Backward for forward and forward for backward, of [n * 2, 2, h, w]."""
        return fields.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)

    def _ends(self, flow: Tensor) -> Tensor:
        """Where vectors [n, 2, h, w] lead to, in pixels counted from 0."""
        return flow + self._places

    def _read(self, fields: Tensor, at: Tensor) -> Tensor:
        """Fields [n, c, h, w] at pixels [n, 2, h, w], bilinearly; beyond the border what is on it."""
        x, y = at[:, 0] * (2 / (self._width - 1)) - 1, at[:, 1] * (2 / (self._height - 1)) - 1
        unit = torch.stack((x, y), -1)
        return grid_sample(fields, unit, mode="bilinear", padding_mode="border", align_corners=True)

    def _blurred(self, fields: Tensor) -> Tensor:
        """Fields [n, c, h, w] under a Gaussian. Matrices, since cuDNN's convolutions round to TF32."""
        rows, columns = self._blurs
        return rows @ fields @ columns.t()


@dataclass(frozen=True, eq=False)
class _DeviceViews:
    """What a frame's `LayerView`s hold, for all layers, on the device.

    Attributes:
        share: [layers, h, w] float32.
        clear: [layers, h, w] bool.
        nearest: [fronts, 2, h, w] float32; a layer that is no object has itself, at no distance.
        distance: [fronts, h, w] float32.
        is_object: of each front layer, whether it ends somewhere in the picture.
    """

    share: Tensor
    clear: Tensor
    nearest: Tensor
    distance: Tensor
    is_object: tuple[bool, ...]

    @classmethod
    def of(cls, views: list[LayerView], device: str) -> "_DeviceViews":
        height, width = views[0].share.shape
        fronts = len(views) - 1
        nearest = torch.zeros((fronts, 2, height, width), device=device)
        distance = torch.zeros((fronts, height, width), device=device)
        for layer, view in enumerate(views[:-1]):
            if view.nearest is not None:
                nearest[layer] = torch.from_numpy(view.nearest[0]).to(device).permute(2, 0, 1)
                distance[layer] = torch.from_numpy(view.nearest[1]).to(device)
        share = torch.empty((fronts + 1, height, width), device=device)
        clear = torch.empty((fronts + 1, height, width), dtype=torch.bool, device=device)
        for layer, view in enumerate(views):
            share[layer] = torch.from_numpy(view.share).to(device)
            clear[layer] = torch.from_numpy(view.clear).to(device)
        return cls(share, clear, nearest, distance, tuple(view.nearest is not None for view in views[:-1]))


def _runs(flags: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """First and last-but-one index of each run of true flags."""
    end = 0
    for flag, run in itertools.groupby(flags):
        begin, end = end, end + len(list(run))
        if flag:
            yield begin, end


def blur_matrix(size: int, sigma_px: float) -> Tensor:
    """The matrix [size, size] that blurs a row of pixels as cv2.GaussianBlur does, reflected at its ends."""
    # OpenCV's own choice of the kernel's length for float pictures.
    length = round(sigma_px * 8 + 1) | 1
    kernel = cv2.getGaussianKernel(length, sigma_px, cv2.CV_32F)[:, 0]
    matrix = np.zeros((size, size), np.float32)
    at = np.arange(size)
    for offset, weight in zip(range(-(length // 2), length // 2 + 1), kernel, strict=True):
        reflected = (at + offset) % max(1, 2 * size - 2)
        np.add.at(matrix, (at, np.minimum(reflected, (2 * size - 2) - reflected)), weight)
    return torch.from_numpy(matrix)
