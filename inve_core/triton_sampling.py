"""A batch in one launch: what `sampling` does in sixty, as a Triton kernel with the same bits.

On paper, for an H100 and a batch of 10 000: each sample touches about six sectors of 32 bytes in device
memory (three colours, a matte, a flow vector, a near pixel) and writes some 100 bytes, 3 MB in all, 1 µs;
the chain of dependent loads (the search for a slot, its pixel, the pixel's frame) is what takes the time,
a few µs.
"""

from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from inve_core import sampling
from inve_core.frame_slots import FrameSlots
from inve_core.motion.flow import GapFlow
from inve_core.sampling import EIGHT_BITS, RANDOM_BELOW, Samples

# Samples of a program: few, so that a batch has programs for all multiprocessors.
BLOCK = 32
# A difference of two products is rounded as the reference rounds it, not fused into one.
_LAUNCH: dict[str, Any] = {"num_warps": 1, "enable_fp_fusion": False}

_EIGHT_BITS = tl.constexpr(EIGHT_BITS)


def drawn(slots: FrameSlots, random: Tensor, front: int, neighbours: int) -> Samples:
    """`sampling.gathered` at the `sampling.places` of random numbers."""
    return _launch(slots, (random, random, random), front, neighbours, from_random=True)


def gathered(slots: FrameSlots, place: Tensor, gap: Tensor, way: Tensor, neighbours: int) -> Samples:
    """`sampling.gathered`; the arguments are int64 and contiguous."""
    return _launch(slots, (place, gap, way), 0, neighbours, from_random=False)


def _launch(
    slots: FrameSlots, inputs: tuple[Tensor, Tensor, Tensor], front: int, neighbours: int, from_random: bool
) -> Samples:
    n, fronts = len(inputs[0]), slots.mattes.shape[1]
    neighbours = min(n, neighbours)
    of = inputs[0].device

    def make(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=of)

    # Eight bits and not one: what a kernel may store to is then the same in every release of Triton.
    inside, valid = make(neighbours, dtype=torch.uint8), make(n, dtype=torch.uint8)
    t, target_t = make(n, dtype=torch.int64), make(n, dtype=torch.int64)
    xy, target_xy, rgb, mattes = make(n, 2), make(n, 2), make(n, 3), make(n, fronts)
    difference = make(neighbours, 2, 3)
    if n:
        with torch.cuda.device_of(inputs[0]):
            _gather[(triton.cdiv(n, BLOCK),)](
                t,
                xy,
                rgb,
                mattes,
                difference,
                inside,
                target_t,
                target_xy,
                valid,
                *inputs,
                slots.rgb,
                slots.mattes,
                slots.flow,
                slots.frames,
                slots.gaps,
                slots.near_pixels,
                slots.near_ends,
                n,
                neighbours,
                front,
                len(slots),
                slots.rgb.shape[1],
                slots.rgb.shape[2],
                len(slots.gaps),
                slots.near_pixels.shape[1],
                len(slots).bit_length(),
                FRONTS=fronts,
                HAS_FLOW=len(slots.gaps) > 0,
                FROM_RANDOM=from_random,
                BLOCK=BLOCK,
                **_LAUNCH,
            )
    return Samples(
        t, xy, rgb, mattes, difference, inside.view(torch.bool), target_t, target_xy, valid.view(torch.bool)
    )


@triton.jit
def _colour(rgb, pixel, channel, mask):
    return tl.load(rgb + pixel * 3 + channel, mask=mask, other=0).to(tl.float32) * _EIGHT_BITS


@triton.jit(
    do_not_specialize=[
        "n",
        "neighbours",
        "front",
        "slots",
        "height",
        "width",
        "gap_count",
        "most",
        "halvings",
    ]
)
def _gather(
    t_out,
    xy_out,
    rgb_out,
    mattes_out,
    difference_out,
    inside_out,
    target_t_out,
    target_xy_out,
    valid_out,
    places,
    gap_indices,
    ways,
    rgb,
    mattes,
    flow,
    frames,
    gaps,
    near_pixels,
    near_ends,
    n,
    neighbours,
    front,
    slots,
    height,
    width,
    gap_count,
    most,
    halvings,
    FRONTS: tl.constexpr,
    HAS_FLOW: tl.constexpr,
    FROM_RANDOM: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """BLOCK samples. With FROM_RANDOM `places` are random numbers that decide all; see `sampling.places`."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    area = height.to(tl.int64) * width
    place = tl.load(places + i, mask=mask, other=0)
    if FROM_RANDOM:
        random = place
        size = area * slots
        place = random % size
        rest = random // size
        way = rest % 2
        gap = rest // 2 % tl.maximum(gap_count, 1)
        total = tl.load(near_ends + slots - 1)
        chosen = ((i + 1) * front // n > i * front // n) & (total > 0)
        if front > 0:
            pick = random % tl.maximum(total, 1)
            # The first slot whose end lies beyond the pick.
            low = tl.zeros([BLOCK], tl.int64)
            high = low + slots - 1
            for _ in range(halvings):
                middle = (low + high) // 2
                beyond = tl.load(near_ends + middle) > pick
                high = tl.where(beyond, middle, high)
                low = tl.where(beyond, low, tl.minimum(middle + 1, high))
            start = tl.load(near_ends + low - 1, mask=low > 0, other=0)
            near = tl.load(near_pixels + low * most + pick - start, mask=mask & chosen, other=0)
            place = tl.where(chosen, low * area + near, place)
    else:
        gap = tl.load(gap_indices + i, mask=mask, other=0)
        way = tl.load(ways + i, mask=mask, other=0)
    slot = place // area
    pixel = place % area
    y = pixel // width
    x = pixel % width
    t = tl.load(frames + slot)
    tl.store(t_out + i, t, mask=mask)
    px = x.to(tl.float32) + 0.5
    py = y.to(tl.float32) + 0.5
    tl.store(xy_out + i * 2, px, mask=mask)
    tl.store(xy_out + i * 2 + 1, py, mask=mask)

    wanted = i < neighbours
    right = tl.where(x < width - 1, place + 1, place)
    below = tl.where(y < height - 1, place + width, place)
    for channel in tl.static_range(3):
        own = _colour(rgb, place, channel, mask)
        tl.store(rgb_out + i * 3 + channel, own, mask=mask)
        tl.store(difference_out + i * 6 + channel, _colour(rgb, right, channel, wanted) - own, mask=wanted)
        tl.store(
            difference_out + i * 6 + 3 + channel, _colour(rgb, below, channel, wanted) - own, mask=wanted
        )
    inside = (x < width - 1) & (y < height - 1)
    tl.store(inside_out + i, inside.to(tl.uint8), mask=wanted)
    for matte in tl.static_range(FRONTS):
        covered = tl.load(mattes + (slot * FRONTS + matte) * area + pixel, mask=mask, other=0)
        tl.store(mattes_out + i * FRONTS + matte, covered.to(tl.float32) * _EIGHT_BITS, mask=mask)

    valid = tl.zeros([BLOCK], tl.int1)
    if HAS_FLOW:
        vector = flow + (((slot * gap_count + gap) * 2 + way) * area + pixel) * 2
        u = tl.load(vector, mask=mask, other=0.0).to(tl.float32)
        v = tl.load(vector + 1, mask=mask, other=0.0).to(tl.float32)
        # Not so for NaN.
        valid = u == u
        step = tl.load(gaps + gap, mask=mask, other=0)
        t = tl.where(valid, t + tl.where(way == 0, step, -step), t)
        px = tl.where(valid, px + u, px)
        py = tl.where(valid, py + v, py)
    tl.store(target_t_out + i, t, mask=mask)
    tl.store(target_xy_out + i * 2, px, mask=mask)
    tl.store(target_xy_out + i * 2 + 1, py, mask=mask)
    tl.store(valid_out + i, valid.to(tl.uint8), mask=mask)


def mismatch(device: torch.device) -> str | None:
    """What the kernel gets wrong on a small clip, or None where every bit is right."""
    # Not torch's own random numbers: another thread may be seeding them just now.
    rng = np.random.default_rng(0)
    flows = [_random_flow(gap, 3 - gap, 9, 7, rng) for gap in (1, 2)]
    mattes = np.zeros((3, 1, 9, 7), np.float32)
    mattes[:, :, 2:5, 3:6] = rng.random((3, 1, 3, 3), np.float32)
    rgb = rng.integers(0, 256, (3, 9, 7, 3), np.uint8)
    slots = FrameSlots(rgb, mattes, flows, device, iterations=1)
    random = torch.from_numpy(rng.integers(0, RANDOM_BELOW, 300)).to(device)
    for front in (0, 120):
        where = sampling.places(slots, random, front)
        right = sampling.gathered(slots, *where, 200)
        for ours in (drawn(slots, random, front, 200), gathered(slots, *where, 200)):
            for name, expected in vars(right).items():
                if not torch.equal(getattr(ours, name), expected):
                    return f"{name} of a batch differ"
    return None


def _random_flow(gap: int, pairs: int, height: int, width: int, rng: np.random.Generator) -> GapFlow:
    shape = (2, pairs, height, width)
    vectors = rng.standard_normal((*shape, 2), np.float32).astype(np.float16)
    valid = rng.random(shape, np.float32) < 0.7
    return GapFlow(gap, vectors[0], valid[0], vectors[1], valid[1])
