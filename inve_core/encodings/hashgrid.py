"""The multiresolution hash grid (Instant-NGP, Müller et al. 2022), as tiny-cuda-nn defines it.

This is the reference: plain torch, any device, exact gradients to the table and to the inputs. On a GPU
`triton_grid` or `tcnn_grid` stand in for it where they work, which `backends` finds out. It follows
tiny-cuda-nn and not the paper where the two differ: a level's scale is base * growth^level - 1, positions are
shifted by half a cell, a level whose vertices fit its table is indexed densely, and an index that runs past a
dense level's end wraps around.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from inve_core.encodings.backends import grid_backend

HASH_PRIMES = (1, 2654435761, 805459861)
INITIAL_RANGE = 1e-4
# Steps of fixed point that the largest value takes; 2^23 of them can be added without overflow.
FIXED_POINT = 2.0**40


@dataclass(frozen=True)
class GridSettings:
    """Shape of a hash grid. `dims` is 2 or 3, `base` and the finest level are counted in vertices."""

    dims: int
    levels: int
    features: int
    log2_table: int
    base: int
    growth: float

    @classmethod
    def spanning(
        cls, dims: int, base: int, finest: float, levels: int, log2_table: int, features: int = 2
    ) -> "GridSettings":
        """Levels spread geometrically from `base` to `finest` vertices."""
        ratio = max(1.0, finest / base)
        growth = ratio ** (1 / (levels - 1)) if levels > 1 else 1.0
        return cls(dims, levels, features, log2_table, base, growth)


@dataclass(frozen=True)
class GridLevel:
    """One level: `scale` cells a unit, `resolution` vertices an axis, `size` entries from `offset` on."""

    scale: float
    resolution: int
    size: int
    offset: int
    dense: bool


def grid_levels(settings: GridSettings) -> tuple[GridLevel, ...]:
    """The levels of a grid, coarse to fine; dense levels come before hashed ones."""
    levels = []
    offset = 0
    # In single precision, as tiny-cuda-nn does it: where a scale comes out near a whole number, rounding
    # decides how many vertices the level has.
    log2_growth = np.log2(np.float32(settings.growth))
    for level in range(settings.levels):
        scale = float(np.exp2(np.float32(level) * log2_growth) * np.float32(settings.base) - np.float32(1))
        resolution = math.ceil(scale) + 1
        vertices = -(-(resolution**settings.dims) // 8) * 8
        size = min(vertices, 1 << settings.log2_table)
        levels.append(GridLevel(scale, resolution, size, offset, resolution**settings.dims <= size))
        offset += size
    return tuple(levels)


class HashGrid(nn.Module):
    """Trainable features at the vertices of a pyramid of grids, interpolated linearly.

    Call with x [n, dims] inside [0, 1]; returns [n, levels * features], level by level. The table may be
    made half (`table.data = table.data.half()`), for half the memory and bandwidth; positions, interpolation
    and the result stay single.

    Args:
        settings: its shape.
        generator: of the first values; torch's own by default.
    """

    scales: Tensor  # [levels, 1], as all of these
    resolutions: Tensor
    sizes: Tensor
    offsets: Tensor

    def __init__(self, settings: GridSettings, generator: torch.Generator | None = None):
        super().__init__()
        self.settings = settings
        levels = grid_levels(settings)
        self.dense_levels = sum(level.dense for level in levels)
        entries = levels[-1].offset + levels[-1].size
        self.table = nn.Parameter(
            torch.empty(entries, settings.features).uniform_(
                -INITIAL_RANGE, INITIAL_RANGE, generator=generator
            )
        )

        def per_level(values: list[float] | list[int], dtype: torch.dtype) -> Tensor:
            return torch.tensor(values, dtype=dtype)[:, None]

        for name, tensor in {
            "scales": per_level([level.scale for level in levels], torch.float32),
            "resolutions": per_level([level.resolution for level in levels], torch.int64),
            "sizes": per_level([level.size for level in levels], torch.int64),
            "offsets": per_level([level.offset for level in levels], torch.int64),
        }.items():
            self.register_buffer(name, tensor, persistent=False)

    @property
    def output_dims(self) -> int:
        """Width of the encoding."""
        return self.settings.levels * self.settings.features

    def corners(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Table rows and interpolation positions of the vertices around each input.

        Args:
            x: [n, dims].

        Returns:
            rows: 2^dims tensors [levels, n] int64; in corner c, axis d takes the upper vertex where
                bit d of c is set.
            fractions: dims tensors [levels, n], the position between the lower and the upper vertex.
        """
        split = self.dense_levels
        fractions, sides = [], []
        for axis in range(self.settings.dims):
            position = x[None, :, axis] * self.scales + 0.5
            low = position.floor()
            fractions.append(position - low)
            vertex = low.long()
            stride = self.resolutions[:split] ** axis
            prime = HASH_PRIMES[axis]
            dense, hashed = vertex[:split] * stride, vertex[split:] * prime
            sides.append(((dense, dense + stride), (hashed, hashed + prime)))
        rows = []
        for corner in range(2**self.settings.dims):
            dense, hashed = (part[corner & 1] for part in sides[0])
            for axis in range(1, self.settings.dims):
                bit = corner >> axis & 1
                dense = dense + sides[axis][0][bit]
                hashed = hashed ^ sides[axis][1][bit]
            # Inside the unit cube an index runs past a dense level's end at most once, so that one
            # subtraction does for tiny-cuda-nn's modulo. A hashed level's size is a power of two.
            dense = torch.where(dense >= self.sizes[:split], dense - self.sizes[:split], dense)
            hashed = hashed & (self.sizes[split:] - 1)
            rows.append(torch.cat((dense, hashed)) + self.offsets)
        return rows, fractions

    def forward(self, x: Tensor) -> Tensor:
        """Encode positions x [n, dims] in [0, 1]; returns [n, output_dims]."""
        if x.dtype == torch.float32 and self.table.dtype in (torch.float32, torch.float16):
            # Imported here: what is not the backend may be missing.
            backend = grid_backend(x.device).name
            if backend == "triton":
                from inve_core.encodings import triton_grid

                if triton_grid.supports(self.settings):
                    return triton_grid.encode(x, self)
            elif backend == "tinycudann":
                from inve_core.encodings import tcnn_grid

                if tcnn_grid.supports(self.settings):
                    return tcnn_grid.encode(x, self)
        return self.encode_reference(x)

    def encode_reference(self, x: Tensor) -> Tensor:
        """What `forward` returns, in plain torch whatever the backend."""
        rows, fractions = self.corners(x.detach())
        encoded: Tensor = _Interpolate.apply(x, self.table, self.scales, rows, fractions)
        return encoded


def corner_weights(fractions: list[Tensor], skip: int | None = None) -> list[Tensor]:
    """Multilinear weights of the 2^dims corners, each shaped as a fraction; `skip` leaves one axis out."""
    weights = []
    for corner in range(2 ** len(fractions)):
        weight = torch.ones_like(fractions[0])
        for axis, fraction in enumerate(fractions):
            if axis != skip:
                weight = weight * (fraction if corner >> axis & 1 else 1 - fraction)
        weights.append(weight)
    return weights


def accumulate(rows: list[Tensor], parts: list[Tensor], size: int) -> Tensor:
    """Sum values into table rows, the same way every time.

    Args:
        rows: tensors [levels, n] int64, as `HashGrid.corners` gives them.
        parts: for each, values [features, levels, n].

    Returns:
        [features, size].
    """
    if parts[0].is_cuda:
        return accumulate_in_fixed_point(rows, parts, size)
    sums = parts[0].new_zeros(len(parts[0]), size)
    _scatter(sums, rows, parts)
    return sums


def accumulate_in_fixed_point(rows: list[Tensor], parts: list[Tensor], size: int) -> Tensor:
    """`accumulate` with 64-bit integers.

    Floating-point atomics on a GPU add in any order, and then a seed would not repeat itself; the order of
    integer additions does not matter.
    """
    # At least 2^-80, so that neither it nor its inverse leaves single precision.
    largest = torch.stack([part.abs().amax() for part in parts]).amax().clamp_min(2.0**-80)
    unit = FIXED_POINT / largest.double()
    sums = torch.zeros(len(parts[0]), size, dtype=torch.int64, device=parts[0].device)
    _scatter(sums, rows, [(part * unit).long() for part in parts])
    return (sums / unit).to(parts[0].dtype)


def _scatter(sums: Tensor, rows: list[Tensor], parts: list[Tensor]) -> None:
    # One column at a time: a one-dimensional scatter is the fast kind.
    for row, part in zip(rows, parts, strict=True):
        for column, values in zip(sums, part, strict=True):
            column.scatter_add_(0, row.flatten(), values.flatten())


class _Interpolate(torch.autograd.Function):
    """Weighted sum of table rows with gradients to the table and to the inputs.

    Written by hand because autograd's own backward of a gather took nine tenths of a CPU step.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        table: Tensor,
        scales: Tensor,
        rows: list[Tensor],
        fractions: list[Tensor],
    ) -> Tensor:
        levels, n = rows[0].shape
        encoded = x.new_zeros(levels, n, table.shape[1])
        for row, weight in zip(rows, corner_weights(fractions), strict=True):
            values = table.index_select(0, row.flatten()).to(x.dtype).view_as(encoded)
            encoded.addcmul_(values, weight[..., None])
        ctx.save_for_backward(table, scales, *rows, *fractions)
        ctx.corner_count = len(rows)  # type: ignore[attr-defined]
        return encoded.transpose(0, 1).reshape(n, levels * table.shape[1])

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        table, scales, *saved = ctx.saved_tensors  # type: ignore[attr-defined]
        rows, fractions = saved[: ctx.corner_count], saved[ctx.corner_count :]  # type: ignore[attr-defined]
        levels, n = rows[0].shape
        features = table.shape[1]
        grad = grads[0].reshape(n, levels, features).permute(2, 1, 0).contiguous()
        wants_x, wants_table = ctx.needs_input_grad[:2]  # type: ignore[attr-defined]
        grad_table = None
        if wants_table:
            parts = [weight * grad for weight in corner_weights(fractions)]
            grad_table = accumulate(rows, parts, table.shape[0]).t().to(table.dtype)
        grad_x = None
        if wants_x:
            # The dot product of each corner's features with the gradient serves all axes.
            dots = [
                (table.index_select(0, row.flatten()).view(levels, n, features).permute(2, 0, 1) * grad).sum(
                    0
                )
                for row in rows
            ]
            per_axis = []
            for axis in range(len(fractions)):
                slope = torch.zeros_like(fractions[0])
                for corner, weight in enumerate(corner_weights(fractions, skip=axis)):
                    sign = 1.0 if corner >> axis & 1 else -1.0
                    slope = slope + sign * weight * dots[corner]
                per_axis.append((slope * scales).sum(0))
            grad_x = torch.stack(per_axis, 1)
        return grad_x, grad_table, None, None, None
