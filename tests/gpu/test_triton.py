"""Triton's hash grid on a GPU against the reference there, at the sizes of training."""

import pytest
import torch

from inve_core.encodings.backends import GridBackend, grid_backend
from inve_core.encodings.hashgrid import GridSettings, HashGrid

pytestmark = pytest.mark.gpu

GRIDS = [
    # Training's shapes: mapping, opacity, atlas. Dense levels of few and of many rows, and hashed ones.
    GridSettings.spanning(3, base=4, finest=16, levels=4, log2_table=16),
    GridSettings.spanning(3, base=16, finest=128, levels=8, log2_table=16),
    GridSettings.spanning(2, base=16, finest=900, levels=10, log2_table=16),
    GridSettings(dims=2, levels=3, features=2, log2_table=8, base=4, growth=2.0),
    GridSettings(dims=3, levels=2, features=2, log2_table=12, base=12, growth=2.0),
]
SIZES = [1, 37, 5000, 100_003]


@pytest.fixture(autouse=True)
def unforced(monkeypatch):
    monkeypatch.delenv("INVE_BACKEND", raising=False)


def random_case(settings: GridSettings, n: int) -> tuple[HashGrid, torch.Tensor, torch.Tensor]:
    """A grid, points with borders among them, and a gradient."""
    torch.manual_seed(0)
    grid = HashGrid(settings)
    grid.table.data.normal_()
    x = torch.rand(n, settings.dims)
    x[::5, 0] = x[::5, 0].round()
    x[::7] = x[::7].round()
    weight = torch.randn(n, grid.output_dims)
    return grid.cuda(), x.cuda().requires_grad_(), weight.cuda()


def gradients(encoded, weight, *wanted):
    return torch.autograd.grad((encoded * weight).sum(), wanted)


def test_the_kernels_pass_their_check_here():
    assert grid_backend("cuda") == GridBackend("triton")


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("settings", GRIDS)
def test_agrees_with_the_reference(settings, n):
    from inve_core.encodings import triton_grid

    grid, x, weight = random_case(settings, n)
    expected = grid.encode_reference(x)
    actual = triton_grid.encode(x, grid)
    pairs = zip(
        (actual, *gradients(actual, weight, grid.table, x)),
        (expected, *gradients(expected, weight, grid.table, x)),
        strict=True,
    )
    # Half a step of fixed point for each point, for the table.
    rounding = n * 2.0**-31 * float(weight.abs().sum(0).max())
    for (ours, right), more in zip(pairs, (0.0, rounding, 0.0), strict=True):
        # Single precision sums in another order.
        assert (ours - right).abs().max() <= 2e-6 * right.abs().max() + more


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("settings", GRIDS[:3])
def test_table_gradients_repeat_themselves_to_the_bit(settings, n):
    from inve_core.encodings import triton_grid

    grid, x, weight = random_case(settings, n)
    runs = [gradients(triton_grid.encode(x, grid), weight, grid.table, x) for _ in range(3)]
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(run, runs[0], strict=True))


def test_points_in_one_cell():
    """The most that one row can be asked to take: every point, on one vertex."""
    from inve_core.encodings import triton_grid

    grid, x, weight = random_case(GRIDS[0], 100_003)
    x = torch.full_like(x, 1.0).requires_grad_()
    weight = torch.ones_like(weight)
    (ours,) = gradients(triton_grid.encode(x, grid), weight, grid.table)
    (right,) = gradients(grid.encode_reference(x), weight, grid.table)
    # Every part is rounded the same way, by half a step of fixed point.
    assert (ours - right).abs().max() <= len(x) * 2.0**-31 * float(weight.abs().sum(0).max())


def test_a_gradient_that_is_no_number_is_not_hidden():
    """The interpreter's minimum and maximum keep a NaN, a GPU's do not."""
    from inve_core.encodings import triton_grid

    grid, x, weight = random_case(GRIDS[0], 5000)
    weight[7, 3] = torch.nan
    assert gradients(triton_grid.encode(x, grid), weight, grid.table)[0].isnan().any()


@pytest.mark.parametrize("settings", GRIDS[:3])
def test_works_inside_a_cuda_graph(settings):
    from inve_core.encodings import triton_grid

    grid, x, weight = random_case(settings, 20_000)

    def step():
        encoded = triton_grid.encode(x, grid)
        return encoded, *gradients(encoded, weight, grid.table, x)

    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    for seed in (1, 2):
        torch.manual_seed(seed)
        with torch.no_grad():
            x.copy_(torch.rand_like(x))
            grid.table.normal_()
            weight.normal_()
        graph.replay()
        assert all(torch.equal(a, b) for a, b in zip(captured, step(), strict=True))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("settings", GRIDS)
def test_a_half_table_is_read_as_it_is_and_its_gradient_rounded_once(settings, n):
    grid, x, weight = random_case(settings, n)
    grid.table.data = grid.table.data.half()
    expected, actual = grid.encode_reference(x), grid(x)
    assert actual.dtype == expected.dtype == torch.float32
    assert (actual - expected).abs().max() <= 2e-6 * expected.abs().max()
    ours, right = (gradients(encoded, weight, grid.table, x) for encoded in (actual, expected))
    assert ours[0].dtype == right[0].dtype == torch.float16
    # The same sums but for single precision's rounding, which tips a few to the next half number.
    assert (ours[0].float() - right[0].float()).abs().max() <= 2**-10 * right[0].float().abs().max()
    assert (ours[1] - right[1]).abs().max() <= 2e-6 * right[1].abs().max()
