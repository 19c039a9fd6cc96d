"""A clip's frames on the training device: all of them where they fit, else some of them in turns.

A slot holds one frame: its colours, its mattes, its flow over every gap and both ways, and which of its
pixels lie in or near a matte. That is all a sample needs, since the other end of a flow vector is only a
coordinate. The buffers stay where they are in memory, because a training step captured as a CUDA graph reads
them there.

Frames take turns in the order of one random permutation, again and again: every frame is in a slot for the
same number of steps, and none is in two. Which frame is in which slot follows from the seed and the iteration
alone, so that a resumed run finds the frames that an uninterrupted one would.
"""

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import torch
from torch import Tensor

from inve_core.devices import free_bytes
from inve_core.errors import DeviceError
from inve_core.motion.flow import GapFlow
from inve_core.threads import mapped_in_threads

# Numpy arrays, or tensors on any device: whoever prepared the clip knows where it was cheapest.
Array: TypeAlias = "np.ndarray | Tensor"

# Of the device memory that is free, the share that frames may take; networks and renders need some too.
SHARE_OF_FREE_MEMORY = 0.5
# A frame gives way at least this often, in iterations, and so often that each has this many turns in a run.
SWAP_EVERY = 8
ROUNDS_A_RUN = 2
# Frames brought to the device at a time where all fit; bounds what the conversion needs beside them.
FRAMES_AT_ONCE = 16
# Mattes above this, of 255, count as covered.
COVERED = 5


@dataclass(frozen=True, eq=False)
class Rotation:
    """Which frame is in which slot at which iteration.

    Attributes:
        order: [frames] int, the order in which frames take their turns, round and round.
        slots: how many there are.
        iterations: how long the run is meant to be; frames change faster in a short one.
    """

    order: np.ndarray
    slots: int
    iterations: int

    @classmethod
    def of(cls, frames: int, slots: int, iterations: int, seed: int) -> "Rotation":
        """Every frame in its own slot where all have one, else in random order."""
        if slots >= frames:
            return cls(np.arange(frames), frames, iterations)
        return cls(np.random.default_rng(seed).permutation(frames), slots, iterations)

    def changes(self, iteration: int) -> int:
        """How many frames have given way before an iteration."""
        if self.slots >= len(self.order):
            return 0
        planned = iteration * ROUNDS_A_RUN * len(self.order) // max(1, self.iterations)
        return max(iteration // SWAP_EVERY, planned)

    def held(self, changes: int) -> np.ndarray:
        """[slots] frame index in each slot after so many changes; change k puts the next frame in slot k."""
        slot = np.arange(self.slots)
        # Turn q of the order goes to slot q % slots, and turns up to slots + changes have been taken.
        turn = slot + (self.slots + changes - 1 - slot) // self.slots * self.slots
        return self.order[turn % len(self.order)]


class FrameSlots:
    """The buffers, and what fills them.

    Args:
        rgb: [n, height, width, 3] uint8.
        mattes: [n, fronts, height, width] float32 in 0..1, or uint8.
        flows: flow over gaps, of this clip.
        device: where the slots are.
        iterations: how long the run is meant to be.
        seed: of the order in which frames take turns.
        budget_bytes: the most that all slots may take; None for half of a GPU's free memory, and without
            a limit on a CPU, where the clip is in memory anyway. The run can only be repeated with the same.

    Attributes:
        rgb: [slots, height, width, 3] uint8.
        mattes: [slots, fronts, height, width] uint8.
        flow: [slots, gaps, 2, height, width, 2] float16, forward then backward; NaN where it is not valid.
        near_pixels: [slots, most] int32, pixels of the frame in or near a matte, y * width + x; the first
            ones of a row count.
        near_ends: [slots] int64, how many there are in this slot and those before it.
        frames: [slots] int64, the frame in each slot.
        gaps: [gaps] int64, in frames.

    Raises:
        DeviceError: not even one frame fits.
    """

    def __init__(
        self,
        rgb: Array,
        mattes: Array,
        flows: Sequence[GapFlow],
        device: torch.device | str,
        *,
        iterations: int,
        seed: int = 0,
        budget_bytes: int | None = None,
    ):
        self.device = torch.device(device)
        pictures = _Pictures(rgb, mattes, flows)
        frames, height, width = pictures.shape
        with mapped_in_threads(pictures.near_pixels, range(frames), min(8, os.cpu_count() or 1)) as found:
            near = list(found)
        most = max(1, *map(len, near))
        stack = _stack_of(flows, (frames, len(flows), 2, height, width, 2), self.device)
        frame_bytes = height * width * (3 + mattes.shape[1] + 8 * len(flows)) + 4 * most
        if budget_bytes is None:
            budget_bytes = int(SHARE_OF_FREE_MEMORY * free_bytes(str(self.device)))
            # Flow that lies here already needs no more room, where all of it is wanted.
            if stack is not None and frames * frame_bytes <= budget_bytes + stack.nbytes:
                budget_bytes += stack.nbytes
        slots = min(frames, budget_bytes // frame_bytes)
        if slots < 1:
            raise DeviceError(
                f"training on {device} needs room for at least one frame with its flow, "
                f"{frame_bytes >> 10} KiB, but got {budget_bytes >> 10} KiB; choose a smaller working size, "
                "or free device memory."
            )
        stack = stack if slots == frames else None
        self._rotation = Rotation.of(frames, slots, iterations, seed)
        self._held = np.full(slots, -1)

        self._set = _FrameSet.empty(slots, pictures, most, self.device, flow=stack)
        self.rgb, self.mattes, self.flow = self._set.rgb, self._set.mattes, self._set.flow
        self.near_pixels = self._set.near_pixels
        self._near_counts = torch.zeros(slots, dtype=torch.int64, device=self.device)
        self.near_ends = torch.zeros_like(self._near_counts)
        self.frames = torch.arange(slots, device=self.device)
        self.gaps = torch.tensor([flow.gap for flow in flows], dtype=torch.int64, device=self.device)
        # Nothing here holds on to the clip where all of it has been copied.
        self._staging: _Staging | None = None
        if slots == frames:
            self._fill(pictures, near, with_flow=stack is None)
        else:
            self._staging = _Staging(pictures, near, most, self.device)
            self.advance(0)

    def __len__(self) -> int:
        return len(self._held)

    @property
    def resident(self) -> bool:
        """Whether every frame is here all the time; slot i is then frame i."""
        return self._staging is None

    def advance(self, iteration: int) -> None:
        """Bring in the frames of an iteration, in the current stream; does nothing where all are here.

        Call before every step, with the iterations so far.
        """
        staging = self._staging
        if staging is None:
            return
        changes = self._rotation.changes(iteration)
        wanted = self._rotation.held(changes)
        slots = np.flatnonzero(wanted != self._held)
        if not len(slots):
            return
        # The next to come in after these is made ready while the device computes.
        following = self._rotation.held(changes + 1)[changes % len(self)]
        frames = [int(frame) for frame in (*wanted[slots], following)]
        for slot, frame, after in zip(slots.tolist(), frames[:-1], frames[1:], strict=True):
            count = staging.move(frame, self._set.part(slot, slot + 1))
            staging.prepare(after)
            # Filled and not copied: a copy from memory that is not page-locked waits for the device.
            self.frames[slot].fill_(frame)
            self._near_counts[slot].fill_(count)
        torch.cumsum(self._near_counts, 0, out=self.near_ends)
        self._held = wanted

    def _fill(self, pictures: "_Pictures", near: list[np.ndarray], with_flow: bool) -> None:
        for first in range(0, len(self), FRAMES_AT_ONCE):
            last = min(len(self), first + FRAMES_AT_ONCE)
            pictures.copy_to(self._set.part(first, last), first, with_flow)
        padded = np.zeros(tuple(self.near_pixels.shape), np.int32)
        for row, pixels in zip(padded, near, strict=True):
            row[: len(pixels)] = pixels
        self.near_pixels.copy_(torch.from_numpy(padded))
        self._near_counts.copy_(torch.tensor([len(pixels) for pixels in near]))
        torch.cumsum(self._near_counts, 0, out=self.near_ends)


def _stack_of(flows: Sequence[GapFlow], shape: tuple[int, ...], device: torch.device) -> Tensor | None:
    """The one tensor that all flow is a part of, where it lies on the device as the slots would have it.

    Whoever made the flow on the device may have put it there, as its `stack`; then it need not be copied.
    """
    stack = getattr(flows[0], "stack", None) if flows else None
    if not isinstance(stack, Tensor) or not all(getattr(flow, "stack", None) is stack for flow in flows):
        return None
    fits = stack.shape == shape and stack.dtype == torch.float16 and stack.is_contiguous()
    # `cuda` and `cuda:0` may be the same device.
    return stack if fits and stack.device == torch.empty(0, device=device).device else None


@dataclass(frozen=True, eq=False)
class _FrameSet:
    """A few frames' buffers, shaped as `FrameSlots` has them."""

    rgb: Tensor
    mattes: Tensor
    flow: Tensor
    near_pixels: Tensor

    @classmethod
    def empty(
        cls,
        count: int,
        clip: "_Pictures",
        most: int,
        device: torch.device,
        *,
        pinned: bool = False,
        flow: Tensor | None = None,
    ) -> "_FrameSet":
        _, height, width = clip.shape
        fronts, gaps = clip.mattes.shape[1], len(clip.flows)

        def make(*shape: int, dtype: torch.dtype) -> Tensor:
            return torch.empty((count, *shape), dtype=dtype, device=device, pin_memory=pinned)

        return cls(
            make(height, width, 3, dtype=torch.uint8),
            make(fronts, height, width, dtype=torch.uint8),
            make(gaps, 2, height, width, 2, dtype=torch.float16) if flow is None else flow,
            make(most, dtype=torch.int32).zero_(),
        )

    def part(self, first: int, last: int) -> "_FrameSet":
        """Views of some of the frames."""
        of = slice(first, last)
        return _FrameSet(self.rgb[of], self.mattes[of], self.flow[of], self.near_pixels[of])

    def copy_(self, other: "_FrameSet") -> None:
        for ours, theirs in (
            (self.rgb, other.rgb),
            (self.mattes, other.mattes),
            (self.flow, other.flow),
            (self.near_pixels, other.near_pixels),
        ):
            ours.copy_(theirs, non_blocking=True)


@dataclass(frozen=True, eq=False)
class _Pictures:
    """A clip as it was prepared."""

    rgb: Array
    mattes: Array
    flows: Sequence[GapFlow]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, height, width."""
        count, height, width = self.rgb.shape[:3]
        return count, height, width

    def near_pixels(self, t: int) -> np.ndarray:
        """[k] int32, the pixels of a frame in or near a matte."""
        return _near_pixels(_eight_bits(_tensor(self.mattes[t])).cpu().numpy())

    def copy_to(self, target: _FrameSet, first: int, with_flow: bool = True) -> None:
        """Fill a set with the frames from `first` on; its `near_pixels` are not touched."""
        count, device = len(target.rgb), target.rgb.device
        last = first + count
        target.rgb.copy_(_tensor(self.rgb[first:last]))
        target.mattes.copy_(_eight_bits(_tensor(self.mattes[first:last]).to(device)))
        if not with_flow:
            return
        # A vector is two halves and moves as one number, three times as fast on a CPU.
        flows, nothing = _pairs(target.flow), _pairs(torch.full((2,), torch.nan).half().to(device))
        for index, flow in enumerate(self.flows):
            ways = (
                (flow.forward, flow.forward_valid, 0),
                (flow.backward, flow.backward_valid, flow.gap),
            )
            for way, (vectors, valid, start) in enumerate(ways):
                # Frame t has its flow at t - start, as far as there is any.
                begin = min(max(first, start), last)
                end = max(begin, min(last, start + len(vectors)))
                at = slice(begin - start, end - start)
                into = flows[:, index, way]
                into[: begin - first] = nothing
                into[end - first :] = nothing
                known, offsets = _tensor(valid[at]).to(device), _pairs(_tensor(vectors[at]).to(device))
                torch.where(known, offsets, nothing, out=into[begin - first : end - first])


class _Staging:
    """Brings single frames to the device by way of page-locked memory.

    A thread puts the next frame together while the device computes. Of two sets of buffers one is filled
    while the other may still be read by a copy.
    """

    def __init__(self, clip: _Pictures, near: list[np.ndarray], most: int, device: torch.device):
        self._clip = clip
        self._near = near
        gpu = device.type == "cuda"
        cpu = torch.device("cpu")
        self._sets = [_FrameSet.empty(1, clip, most, cpu, pinned=gpu) for _ in range(2)]
        self._device = device
        self._read = [torch.cuda.Event() if gpu else None for _ in range(2)]
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="frames")
        self._ready: tuple[int, Future[int]] | None = None
        self._turn = 0

    def prepare(self, frame: int) -> None:
        """Begin to put a frame together."""
        self._turn = 1 - self._turn
        self._ready = (frame, self._thread.submit(self._put_together, frame, self._turn))

    def move(self, frame: int, target: _FrameSet) -> int:
        """Copy a frame to the device, in the current stream; returns how many near pixels it has."""
        if self._ready is None or self._ready[0] != frame:
            self.prepare(frame)
        assert self._ready is not None
        turn = self._ready[1].result()
        self._ready = None
        target.copy_(self._sets[turn])
        event = self._read[turn]
        if event is not None:
            event.record(torch.cuda.current_stream(self._device))
        return len(self._near[frame])

    def _put_together(self, frame: int, turn: int) -> int:
        event = self._read[turn]
        if event is not None:
            event.synchronize()
        there, pixels = self._sets[turn], self._near[frame]
        self._clip.copy_to(there, frame)
        there.near_pixels[0, : len(pixels)] = torch.from_numpy(pixels)
        return turn


def _tensor(array: Array) -> Tensor:
    return array if isinstance(array, Tensor) else torch.from_numpy(array)


def _pairs(vectors: Tensor) -> Tensor:
    """[..., 2] float16 seen as [...] int32."""
    return vectors.view(torch.int32)[..., 0]


def _eight_bits(mattes: Tensor) -> Tensor:
    if mattes.dtype == torch.uint8:
        return mattes
    return (mattes.clamp(0, 1) * 255 + 0.5).to(torch.uint8)


def _near_pixels(mattes: np.ndarray) -> np.ndarray:
    """Indices of all pixels in or near a matte. [fronts, height, width] uint8 to [k] int32."""
    height, width = mattes.shape[1:]
    if not len(mattes):
        return np.zeros(0, np.int32)
    reach = max(3, round(0.03 * max(height, width)))
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    covered = (mattes.max(0) > COVERED).astype(np.uint8)
    return np.flatnonzero(cv2.dilate(covered, kernel)).astype(np.int32)
