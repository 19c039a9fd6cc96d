"""The hash grid on tiny-cuda-nn against the torch reference, where tiny-cuda-nn is installed."""

import dataclasses
import importlib.util

import pytest
import torch

from inve_core.encodings import backends
from inve_core.encodings.backends import GridBackend, grid_backend
from inve_core.encodings.hashgrid import GridSettings, HashGrid
from inve_core.presets import preset
from inve_core.training import Trainer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        importlib.util.find_spec("tinycudann") is None, reason="tinycudann is not installed here"
    ),
]

GRIDS = [
    GridSettings(dims=2, levels=8, features=2, log2_table=15, base=16, growth=1.5),
    GridSettings(dims=3, levels=10, features=2, log2_table=14, base=16, growth=1.25),
    GridSettings(dims=3, levels=4, features=2, log2_table=19, base=4, growth=1.6),
    GridSettings(dims=2, levels=3, features=1, log2_table=8, base=4, growth=2.0),
    GridSettings(dims=3, levels=2, features=4, log2_table=12, base=12, growth=2.0),
]


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.delenv("INVE_BACKEND", raising=False)
    backends.forget()
    yield
    backends.forget()


def random_case(settings: GridSettings, n: int) -> tuple[HashGrid, torch.Tensor, torch.Tensor]:
    """A grid, points with the borders of the unit cube among them, where dense indexing wraps, a gradient."""
    generator = torch.Generator("cuda").manual_seed(0)
    grid = HashGrid(settings).cuda()
    with torch.no_grad():
        grid.table.normal_(generator=generator)
    x = torch.rand(n, settings.dims, device="cuda", generator=generator)
    x[::5, 0] = x[::5, 0].round()
    x[::7] = x[::7].round()
    weight = torch.randn(n, grid.output_dims, device="cuda", generator=generator)
    return grid, x.requires_grad_(), weight


def results(encoded, weight, grid, x):
    return encoded.detach(), *torch.autograd.grad((encoded * weight).sum(), (grid.table, x))


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("n", [1, 37, 256, 5000, 100_003])
@pytest.mark.parametrize("settings", GRIDS)
def test_agrees_in_values_and_gradients(settings, n, half):
    from inve_core.encodings import tcnn_grid

    grid, x, weight = random_case(settings, n)
    if half:
        grid.table.data = grid.table.data.half()
    encoded = tcnn_grid.encode(x, grid)
    assert encoded.dtype == torch.float32
    values, table, inputs = (
        ((ours.float() - right.float()).abs() / right.float().abs().max()).flatten()
        for ours, right in zip(
            results(encoded, weight, grid, x),
            results(grid.encode_reference(x), weight, grid, x),
            strict=True,
        )
    )
    # A position differs by the rounding of scale times input, which the finest levels see most of. In half
    # each of a row's additions is rounded, and 100 000 points put thousands into one row: 1 % of its sum on
    # average, three times that in the worst row.
    most = (2e-3, 5e-2) if half else (2e-4, 1e-3)
    assert values.max() <= most[0]
    assert table.max() <= most[1]
    # Points within rounding of a vertex may count as on its other side, where the slope is another.
    assert (inputs > (5e-3 if half else 1e-3)).float().mean() <= 1e-4


def test_no_points():
    from inve_core.encodings import tcnn_grid

    grid, x, weight = random_case(GRIDS[0], 0)
    encoded, table, inputs = results(tcnn_grid.encode(x, grid), weight, grid, x)
    assert encoded.shape == (0, grid.output_dims)
    assert not table.any()
    assert inputs.shape == x.shape


def test_it_can_be_asked_for_and_passes_its_check(monkeypatch):
    monkeypatch.setenv("INVE_BACKEND", "tinycudann")
    assert grid_backend("cuda") == GridBackend("tinycudann")
    from inve_core.encodings import tcnn_grid

    grid, x, _ = random_case(GRIDS[0], 1000)
    assert torch.equal(grid(x), tcnn_grid.encode(x, grid))


def test_triton_comes_first_and_it_comes_second(monkeypatch):
    assert grid_backend("cuda").name == "triton"
    backends.forget()
    real = backends._failure
    monkeypatch.setattr(
        backends, "_failure", lambda name, device: "no Triton" if name == "triton" else real(name, device)
    )
    backends._chosen.cache_clear()
    with pytest.warns(RuntimeWarning, match="run on tinycudann, .*: no Triton"):
        assert grid_backend("cuda") == GridBackend("tinycudann", "no Triton")
    monkeypatch.undo()


def test_works_inside_a_cuda_graph():
    from inve_core.encodings import tcnn_grid

    grid, x, weight = random_case(GRIDS[1], 20_000)
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        results(tcnn_grid.encode(x, grid), weight, grid, x)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=aside, capture_error_mode="relaxed"):
        captured = results(tcnn_grid.encode(x, grid), weight, grid, x)
    with torch.no_grad():
        x.copy_(torch.rand_like(x))
        grid.table.normal_()
    graph.replay()
    for ours, right in zip(captured, results(tcnn_grid.encode(x, grid), weight, grid, x), strict=True):
        # Atomics add in any order.
        assert (ours - right).abs().max() <= 1e-5 * right.abs().max()


def test_a_training_is_captured_and_learns_as_on_triton(clip, monkeypatch):
    """The mapping, the looks at the quality and the inverse mappings, all of them recorded with its grids."""
    settings = dataclasses.replace(
        preset("fast", working_size=160), iterations=300, least_iterations=300, inverse_iterations=30
    )
    found = {}
    for name in ("triton", "tinycudann"):
        monkeypatch.setenv("INVE_BACKEND", name)
        backends.forget()
        trainer = Trainer(clip, settings, device="cuda", seed=3)
        list(trainer.run())
        assert trainer.forward_step.captured
        assert trainer.inverse_step.captured
        assert trainer.report["backend"] == name
        found[name] = trainer.report
    assert found["tinycudann"]["psnr_db"] > found["triton"]["psnr_db"] - 1.0
    assert found["tinycudann"]["matte_iou"] > found["triton"]["matte_iou"] - 0.02
