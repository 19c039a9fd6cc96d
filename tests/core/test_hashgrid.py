"""The vectorised hash grid against a twin that follows tiny-cuda-nn's definition one vertex at a time."""

import itertools
import math

import numpy as np
import pytest
import torch

from inve_core.encodings.hashgrid import (
    HASH_PRIMES,
    GridSettings,
    HashGrid,
    accumulate,
    accumulate_in_fixed_point,
    grid_levels,
)

GRIDS = [
    GridSettings(dims=2, levels=4, features=2, log2_table=8, base=4, growth=1.7),
    GridSettings(dims=3, levels=5, features=2, log2_table=9, base=4, growth=1.5),
    GridSettings(dims=3, levels=1, features=4, log2_table=12, base=16, growth=1.0),
]


def slow_encode(grid: HashGrid, x: list[float]) -> torch.Tensor:
    """One input, with Python's integers, straight from the definition."""
    settings = grid.settings
    encoded = []
    offset = 0
    for level in range(settings.levels):
        growth = np.float32(level) * np.log2(np.float32(settings.growth))
        scale = float(np.exp2(growth) * np.float32(settings.base) - np.float32(1))
        resolution = math.ceil(scale) + 1
        size = min(-(-(resolution**settings.dims) // 8) * 8, 2**settings.log2_table)
        position = [value * scale + 0.5 for value in x]
        low = [math.floor(value) for value in position]
        fraction = [value - floor for value, floor in zip(position, low, strict=True)]
        total = torch.zeros(settings.features, dtype=grid.table.dtype)
        for corner in itertools.product((0, 1), repeat=settings.dims):
            vertex = [a + b for a, b in zip(low, corner, strict=True)]
            weight = math.prod(f if c else 1 - f for f, c in zip(fraction, corner, strict=True))
            if resolution**settings.dims <= size:
                index = sum(v * resolution**axis for axis, v in enumerate(vertex))
            else:
                index = 0
                for value, prime in zip(vertex, HASH_PRIMES, strict=False):
                    index ^= (value * prime) & 0xFFFFFFFF
            total = total + weight * grid.table[offset + (index & 0xFFFFFFFF) % size]
        encoded.append(total)
        offset += size
    return torch.cat(encoded)


def random_grid(settings: GridSettings) -> HashGrid:
    grid = HashGrid(settings).double()
    generator = torch.Generator().manual_seed(0)
    grid.table.data.normal_(generator=generator)
    return grid


@pytest.mark.parametrize("settings", GRIDS)
def test_agrees_with_the_definition_in_values_and_gradients(settings):
    grid = random_grid(settings)
    generator = torch.Generator().manual_seed(1)
    inside = torch.rand(20, settings.dims, dtype=torch.float64, generator=generator)
    borders = torch.tensor(list(itertools.product((0.0, 1.0), repeat=settings.dims)), dtype=torch.float64)
    x = torch.cat((inside, borders)).requires_grad_()
    fast = grid(x)
    slow = torch.stack([slow_encode(grid, row) for row in x.tolist()])
    # Both are double precision sums of the same terms in another order.
    assert torch.allclose(fast, slow, atol=1e-12)
    weight = torch.randn(fast.shape, dtype=torch.float64, generator=generator)
    (expected,) = torch.autograd.grad((slow * weight).sum(), grid.table)
    (actual,) = torch.autograd.grad((fast * weight).sum(), grid.table, retain_graph=True)
    assert torch.allclose(actual, expected, atol=1e-12)


@pytest.mark.parametrize("settings", GRIDS)
def test_gradients_agree_with_finite_differences(settings):
    grid = random_grid(settings)
    x = torch.rand(6, settings.dims, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    def encode(points: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(grid, {"table": table}, (points,))

    assert torch.autograd.gradcheck(encode, (x.requires_grad_(), grid.table))


def test_level_sizes_follow_the_definition():
    levels = grid_levels(GridSettings(dims=3, levels=3, features=2, log2_table=10, base=5, growth=2.0))
    assert [level.resolution for level in levels] == [5, 10, 20]
    assert [level.size for level in levels] == [128, 1000, 1024]
    assert [level.offset for level in levels] == [0, 128, 1128]
    assert [level.dense for level in levels] == [True, True, False]


def test_spanning_reaches_the_finest_resolution():
    levels = grid_levels(GridSettings.spanning(2, base=16, finest=300, levels=7, log2_table=12))
    assert levels[0].resolution == 16
    assert levels[-1].resolution in (300, 301)


def test_fixed_point_sums_equal_floating_point_sums():
    generator = torch.Generator().manual_seed(3)
    rows = [torch.randint(40, (3, 500), generator=generator) for _ in range(2)]
    parts = [torch.randn(2, 3, 500, generator=generator) for _ in range(2)]
    exact = torch.zeros(2, 40, dtype=torch.float64)
    for row, part in zip(rows, parts, strict=True):
        for feature in range(2):
            exact[feature].index_add_(0, row.flatten(), part[feature].flatten().double())
    # Single precision sums of about 40 terms of size one; the fixed point's steps are far smaller.
    assert torch.allclose(accumulate(rows, parts, 40).double(), exact, atol=1e-5)
    assert torch.allclose(accumulate_in_fixed_point(rows, parts, 40).double(), exact, atol=1e-6)
