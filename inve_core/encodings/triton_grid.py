"""The hash grid of `hashgrid` as Triton kernels: one launch encodes, one takes all gradients back.

Same values as `HashGrid.encode_reference`, whose names this file uses. Triton may be missing or broken, and
then importing this file fails; `backends` finds out.

Gradients to the table are summed in fixed point, so that they have the same bits whatever the order of the
additions. A row's two features share one 64-bit word, 32 bits each, and one atomic addition: the sum of all
magnitudes of a column bounds every row's sum in it, and is given 30 of them. A part of average size is then
some 1 000 steps of fixed point in a batch of 100 000 points, and what rounding loses is far below a batch's
own noise.

What the kernels cost, on paper, for an H100 (132 multiprocessors, about 150 random 32-byte sectors and 50
to 75 random atomics a nanosecond from its L2 cache), with n points, L levels and C = 2^dims corners:

    forward     n L C gathers of one table row: 9 µs for 20 000 points in a 3-D grid of 8 levels.
    table       n L C 64-bit atomics: 17 to 26 µs for the same.
    inputs      the gathers of forward again, in the same pass as the atomics and hidden behind them.

A level of few vertices would put its atomics on few addresses, and so on few of the L2 cache's slices,
each of which adds about once a cycle: 100 000 points on 64 vertices would stand in line for 60 µs and more.
Such levels have COPIES sums, and programs take turns; the programs of one moment work on all levels.
"""

import functools
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from inve_core.encodings.hashgrid import HASH_PRIMES, GridSettings, HashGrid, grid_levels

# Threads of a program, all kernels.
THREADS = 128
# Rows that one program of `_to_float` turns into floats.
CHUNK = 512
# Levels of at most this many rows have this many sums of each.
FEW_ROWS = 1024
COPIES = 32
FEATURES = 2
# Steps of fixed point that the bound takes.
FIXED_POINT = 2.0**30
# The bound counts as at least 2^-80, so that neither it nor its inverse leaves single precision.
LEAST = 2.0**-80
# Fused multiply-adds would put points that lie within rounding of a vertex into another cell than the
# reference does, where the gradient to the inputs is another.
_LAUNCH: dict[str, Any] = {"num_warps": THREADS // 32, "enable_fp_fusion": False}

_PRIME_Y = tl.constexpr(HASH_PRIMES[1])
_PRIME_Z = tl.constexpr(HASH_PRIMES[2])
_FEATURES = tl.constexpr(FEATURES)
_LEAST = tl.constexpr(LEAST)
_FIXED_POINT = tl.constexpr(FIXED_POINT)


def supports(settings: GridSettings) -> bool:
    """Whether the kernels can do this grid; all others are the reference's."""
    return settings.dims in (2, 3) and settings.features == FEATURES


def encode(x: Tensor, grid: HashGrid) -> Tensor:
    """What `HashGrid.encode_reference` returns, for single precision x [n, dims] on the grid's device.

    The table may be half; sums are single all the same, and only the table's gradient is rounded at its end.
    The table's gradient has the same bits every time. Nothing waits for the device, so that both passes may
    be captured in a CUDA graph once they have run outside of it (kernels are compiled at their first use).
    """
    encoded: Tensor = _Encode.apply(x, grid.table, grid)
    return encoded


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, table: Tensor, grid: HashGrid) -> Tensor:
        x, table = x.contiguous(), table.contiguous()
        ctx.save_for_backward(x, table)
        ctx.grid = grid  # type: ignore[attr-defined]
        encoded = x.new_empty(len(x), grid.output_dims)
        forward_into(encoded, x, table, grid)
        return encoded

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, table = ctx.saved_tensors  # type: ignore[attr-defined]
        grid: HashGrid = ctx.grid  # type: ignore[attr-defined]
        wants_x, wants_table = ctx.needs_input_grad[:2]  # type: ignore[attr-defined]
        if not len(x):
            return torch.zeros_like(x), torch.zeros_like(table), None
        grad = grad.contiguous()
        # A corner's weight is at most one: no sum is larger than this.
        bound = grad.abs().sum(0).amax()
        sums = new_sums(grid) if wants_table else None
        slopes = x.new_empty(grid.settings.levels, *x.shape) if wants_x else None
        backward_into(sums, slopes, grad, bound, x, table, grid)
        grad_table = None
        if sums is not None:
            grad_table = torch.empty_like(table)
            to_float_into(grad_table, sums, bound, grid)
        return None if slopes is None else slopes.sum(0), grad_table, None


def new_sums(grid: HashGrid) -> Tensor:
    """Cleared room for the table's gradient, a word a row, with copies of the first levels behind it."""
    rows = len(grid.table) + (COPIES - 1) * rows_in_copies(grid.settings)
    return torch.zeros(rows, dtype=torch.int64, device=grid.table.device)


def forward_into(encoded: Tensor, x: Tensor, table: Tensor, grid: HashGrid) -> None:
    """Write the encoding of x [n, dims] into [n, levels * features]; all tensors contiguous."""
    if not len(x):
        return
    settings = grid.settings
    with torch.cuda.device_of(x):
        _forward[triton.cdiv(len(x), THREADS), settings.levels](
            encoded,
            x,
            table,
            *_shape_of(grid),
            len(x),
            settings.levels,
            grid.dense_levels,
            DIMS=settings.dims,
            BLOCK=THREADS,
            **_LAUNCH,
        )


def backward_into(
    sums: Tensor | None,
    slopes: Tensor | None,
    grad: Tensor,
    bound: Tensor,
    x: Tensor,
    table: Tensor,
    grid: HashGrid,
) -> None:
    """Gradients of `forward_into`, as far as they are asked for.

    Args:
        sums: as `new_sums` gives it; what is there is added to, in units of `bound` / FIXED_POINT.
        slopes: [levels, n, dims], written: each level's share of the gradient to x.
        grad: [n, levels * features].
        bound: [] the largest sum of magnitudes in a column of `grad`, or more.
    """
    settings = grid.settings
    unused = grad
    with torch.cuda.device_of(x):
        _backward[(triton.cdiv(len(x), THREADS) * settings.levels,)](
            unused if sums is None else sums,
            unused if slopes is None else slopes,
            grad,
            bound,
            x,
            table,
            *_shape_of(grid),
            len(x),
            settings.levels,
            grid.dense_levels,
            len(table),
            rows_in_copies(settings),
            DIMS=settings.dims,
            BLOCK=THREADS,
            COPIES=COPIES,
            WANTS_TABLE=sums is not None,
            WANTS_X=slopes is not None,
            **_LAUNCH,
        )


def to_float_into(grad_table: Tensor, sums: Tensor, bound: Tensor, grid: HashGrid) -> None:
    """Write what `backward_into` summed as floats [rows, features]."""
    with torch.cuda.device_of(sums):
        _to_float[(triton.cdiv(len(grad_table), CHUNK),)](
            grad_table,
            sums,
            bound,
            len(grad_table),
            rows_in_copies(grid.settings),
            CHUNK=CHUNK,
            COPIES=COPIES,
            **_LAUNCH,
        )


def _shape_of(grid: HashGrid) -> tuple[Tensor, ...]:
    return grid.scales, grid.resolutions, grid.sizes, grid.offsets


@functools.cache
def rows_in_copies(settings: GridSettings) -> int:
    """Rows of the leading levels that are small enough for COPIES sums."""
    rows = 0
    for level in grid_levels(settings):
        if level.size > FEW_ROWS:
            break
        rows += level.size
    return rows


@triton.jit
def _position(x, points, inside, scale, AXIS: tl.constexpr, DIMS: tl.constexpr):
    """Position inside the cell and the lower vertex along one axis; both are 0 on the third of two axes."""
    if AXIS < DIMS:
        position = tl.load(x + points * DIMS + AXIS, mask=inside, other=0.0) * scale + 0.5
        low = tl.floor(position)
        fraction = position - low
        vertex = low.to(tl.int32).to(tl.uint32)
    else:
        fraction = tl.zeros(points.shape, tl.float32)
        vertex = tl.zeros(points.shape, tl.uint32)
    return fraction, vertex


@triton.jit
def _row(CORNER: tl.constexpr, v0, v1, v2, resolution, size, dense):
    """The row of one corner, counted from its level's first."""
    v0 += CORNER & 1
    v1 += CORNER >> 1 & 1
    v2 += CORNER >> 2
    index = v0 + (v1 + v2 * resolution) * resolution
    index = tl.where(index >= size, index - size, index)
    index = tl.where(dense, index, (v0 ^ v1 * _PRIME_Y ^ v2 * _PRIME_Z) & (size - 1))
    # A point outside the unit cube is the caller's mistake, but none to overwrite memory for.
    return tl.minimum(index, size - 1)


@triton.jit
def _side(UPPER: tl.constexpr, fraction):
    if UPPER:
        return fraction
    else:  # noqa: RET505 (Triton takes one return a branch)
        return 1.0 - fraction


@triton.jit
def _weight(CORNER: tl.constexpr, f0, f1, f2, SKIP: tl.constexpr):
    """Multilinear weight of one corner, as `corner_weights`; SKIP leaves one axis out."""
    weight = tl.full(f0.shape, 1.0, tl.float32)
    if SKIP != 0:
        weight = weight * _side(CORNER & 1, f0)
    if SKIP != 1:
        weight = weight * _side(CORNER >> 1 & 1, f1)
    if SKIP != 2:
        weight = weight * _side(CORNER >> 2, f2)
    return weight


@triton.jit
def _slope(CORNER: tl.constexpr, f0, f1, f2, AXIS: tl.constexpr):
    """Derivative of one corner's weight along one axis, in cells."""
    weight = _weight(CORNER, f0, f1, f2, AXIS)
    if CORNER >> AXIS & 1:
        return weight
    else:  # noqa: RET505
        return -weight


@triton.jit(do_not_specialize=["n", "levels", "dense_levels"])
def _forward(
    encoded,
    x,
    table,
    scales,
    resolutions,
    sizes,
    offsets,
    n,
    levels,
    dense_levels,
    DIMS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One level of BLOCK points; a thread loads whole table rows."""
    level = tl.program_id(1)
    scale = tl.load(scales + level)
    resolution = tl.load(resolutions + level).to(tl.uint32)
    size = tl.load(sizes + level).to(tl.uint32)
    offset = tl.load(offsets + level)
    points = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = points < n
    f0, v0 = _position(x, points, inside, scale, 0, DIMS)
    f1, v1 = _position(x, points, inside, scale, 1, DIMS)
    f2, v2 = _position(x, points, inside, scale, 2, DIMS)
    features = tl.arange(0, _FEATURES)[None, :]
    total = tl.zeros([BLOCK, _FEATURES], tl.float32)
    for corner in tl.static_range(2**DIMS):
        row = _row(corner, v0, v1, v2, resolution, size, level < dense_levels).to(tl.int64) + offset
        values = tl.load(table + row[:, None] * _FEATURES + features).to(tl.float32)
        total += values * _weight(corner, f0, f1, f2, -1)[:, None]
    width = levels * _FEATURES
    tl.store(encoded + points[:, None] * width + level * _FEATURES + features, total, mask=inside[:, None])


@triton.jit(do_not_specialize=["n", "levels", "dense_levels", "entries", "few"])
def _backward(
    sums,
    slopes,
    grad,
    bound,
    x,
    table,
    scales,
    resolutions,
    sizes,
    offsets,
    n,
    levels,
    dense_levels,
    entries,
    few,
    DIMS: tl.constexpr,
    BLOCK: tl.constexpr,
    COPIES: tl.constexpr,
    WANTS_TABLE: tl.constexpr,
    WANTS_X: tl.constexpr,
):
    """One level of BLOCK points.

    Writes fixed-point sums [entries + copies], and each level's share of the gradient to the inputs
    [levels, n, dims].
    """
    level = tl.program_id(0) % levels
    block = tl.program_id(0) // levels
    scale = tl.load(scales + level)
    resolution = tl.load(resolutions + level).to(tl.uint32)
    size = tl.load(sizes + level).to(tl.uint32)
    offset = tl.load(offsets + level)
    points = block.to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = points < n
    f0, v0 = _position(x, points, inside, scale, 0, DIMS)
    f1, v1 = _position(x, points, inside, scale, 1, DIMS)
    f2, v2 = _position(x, points, inside, scale, 2, DIMS)
    place = grad + points * (levels * _FEATURES) + level * _FEATURES
    g0, g1 = tl.load(place, mask=inside, other=0.0), tl.load(place + 1, mask=inside, other=0.0)
    if WANTS_TABLE:
        copy = block % COPIES
        # Copies other than the first lie behind the sums of all levels.
        shift = tl.where((offset < few) & (copy > 0), entries + (copy - 1).to(tl.int64) * few, 0)
        limit = tl.load(bound)
        # A NaN compares as false and stays.
        unit = _FIXED_POINT / tl.where(limit < _LEAST, _LEAST, limit)
    s0 = tl.zeros([BLOCK], tl.float32)
    s1 = tl.zeros([BLOCK], tl.float32)
    s2 = tl.zeros([BLOCK], tl.float32)
    for corner in tl.static_range(2**DIMS):
        row = _row(corner, v0, v1, v2, resolution, size, level < dense_levels).to(tl.int64) + offset
        if WANTS_TABLE:
            weight = _weight(corner, f0, f1, f2, -1) * unit
            first, second = tl.floor(weight * g0 + 0.5).to(tl.int64), tl.floor(weight * g1 + 0.5).to(tl.int64)
            tl.atomic_add(sums + row + shift, first + (second << 32), mask=inside, sem="relaxed")
        if WANTS_X:
            first, second = tl.load(table + row * _FEATURES), tl.load(table + row * _FEATURES + 1)
            values = first.to(tl.float32) * g0 + second.to(tl.float32) * g1
            s0 += values * _slope(corner, f0, f1, f2, 0)
            s1 += values * _slope(corner, f0, f1, f2, 1)
            if DIMS == 3:
                s2 += values * _slope(corner, f0, f1, f2, 2)
    if WANTS_X:
        place = slopes + (level * n.to(tl.int64) + points) * DIMS
        tl.store(place, s0 * scale, mask=inside)
        tl.store(place + 1, s1 * scale, mask=inside)
        if DIMS == 3:
            tl.store(place + 2, s2 * scale, mask=inside)


@triton.jit
def gradient_of(words, bound):
    """Two features' gradients from words of fixed-point sums [rows]: [rows, features]."""
    # The lower half has a sign of its own, and has borrowed from the upper where it is negative.
    first = words.to(tl.int32)
    second = ((words - first.to(tl.int64)) >> 32).to(tl.int32)
    limit = tl.load(bound)
    step = tl.where(limit < _LEAST, _LEAST, limit) / _FIXED_POINT
    return tl.join(first.to(tl.float32) * step, second.to(tl.float32) * step)


@triton.jit(do_not_specialize=["count", "few"])
def _to_float(grad_table, sums, bound, count, few, CHUNK: tl.constexpr, COPIES: tl.constexpr):
    """Fixed-point sums [count + copies] as floats [count, features]; the first `few` have copies."""
    rows = tl.program_id(0).to(tl.int64) * CHUNK + tl.arange(0, CHUNK)
    words = tl.load(sums + rows, mask=rows < count, other=0)
    if tl.program_id(0) * CHUNK < few:
        for copy in range(COPIES - 1):
            words += tl.load(sums + count + copy * few + rows, mask=rows < few, other=0)
    features = tl.arange(0, _FEATURES)[None, :]
    gradient = gradient_of(words, bound)
    tl.store(grad_table + rows[:, None] * _FEATURES + features, gradient, mask=rows[:, None] < count)
