"""Triton's hash grid in Triton's interpreter, and the choice between it and the reference.

The interpreter must be switched on before Triton is imported and stays on after that, so that a child process
runs it: the functions `check_*` are the tests of that child.
"""

import itertools
import sys
import threading

import pytest
import torch

from inve_core.encodings import backends
from inve_core.encodings.backends import GridBackend, grid_backend
from inve_core.encodings.hashgrid import GridSettings, HashGrid
from inve_core.errors import DeviceError

GRIDS = [
    # Two dense levels, two hashed ones.
    GridSettings(dims=2, levels=4, features=2, log2_table=8, base=4, growth=2.0),
    GridSettings(dims=3, levels=4, features=2, log2_table=9, base=4, growth=1.7),
    # A level too large for copies of its sums, dense and hashed.
    GridSettings(dims=3, levels=2, features=2, log2_table=12, base=12, growth=2.0),
    GridSettings(dims=2, levels=1, features=2, log2_table=4, base=6, growth=1.0),
]
# Single precision; the kernels do the reference's arithmetic in another order.
TOLERANCE = 1e-6


def random_grid(settings: GridSettings) -> HashGrid:
    torch.manual_seed(0)
    grid = HashGrid(settings)
    grid.table.data.normal_()
    return grid


def random_points(n: int, dims: int) -> torch.Tensor:
    """Borders first: dense levels wrap around there."""
    torch.manual_seed(1)
    borders = torch.tensor(list(itertools.product((1.0, 0.0, 0.5), repeat=dims)))[:n]
    return torch.cat((borders, torch.rand(n - len(borders), dims)))


def random_weight(encoded: torch.Tensor) -> torch.Tensor:
    return torch.randn(encoded.shape, generator=torch.Generator().manual_seed(2))


def gradients(encoded: torch.Tensor, *wanted: torch.Tensor) -> tuple[torch.Tensor, ...]:
    weight = random_weight(encoded)
    return torch.autograd.grad((encoded * weight).sum(), wanted)


def close(actual: torch.Tensor, expected: torch.Tensor, more: float = 0.0) -> bool:
    return bool((actual - expected).abs().max() <= TOLERANCE * expected.abs().max() + more)


def rounding_of_sums(weight: torch.Tensor) -> float:
    """The most that fixed point may be off: half a step for each point, where all meet in one row."""
    return len(weight) * 2.0**-31 * float(weight.abs().sum(0).max())


@pytest.fixture
def kernels(monkeypatch):
    """The module under test, with few and large programs, since each one costs the interpreter its time."""
    from inve_core.encodings import triton_grid

    monkeypatch.setattr(triton_grid, "THREADS", 512)
    return triton_grid


@pytest.mark.parametrize("n", [1, 37, 1000])
@pytest.mark.parametrize("settings", GRIDS)
def check_values_and_gradients(kernels, settings, n):
    grid = random_grid(settings)
    x = random_points(n, settings.dims).requires_grad_()
    expected = grid.encode_reference(x)
    actual = kernels.encode(x, grid)
    assert close(actual, expected)
    ours, right = gradients(actual, grid.table, x), gradients(expected, grid.table, x)
    assert close(ours[0], right[0], rounding_of_sums(random_weight(expected)))
    assert close(ours[1], right[1])


@pytest.mark.parametrize("settings", GRIDS[:2])
def check_one_gradient_alone_is_the_same(kernels, settings):
    grid = random_grid(settings)
    x = random_points(100, settings.dims).requires_grad_()
    both = gradients(kernels.encode(x, grid), grid.table, x)
    assert torch.equal(gradients(kernels.encode(x.detach(), grid), grid.table)[0], both[0])
    grid.table.requires_grad_(False)
    assert torch.equal(gradients(kernels.encode(x, grid), x)[0], both[1])


def check_the_order_of_points_changes_no_bit_of_the_table_gradient(kernels, monkeypatch):
    # So few that of four programs two share a copy.
    monkeypatch.setattr(kernels, "COPIES", 3)
    grid = random_grid(GRIDS[1])
    x = random_points(900, 3)
    weight = torch.randn(900, grid.output_dims)
    results = []
    for order in (torch.arange(900), torch.randperm(900)):
        encoded = kernels.encode(x[order], grid)
        results += torch.autograd.grad((encoded * weight[order]).sum(), grid.table)
    assert torch.equal(*results)
    (expected,) = torch.autograd.grad((grid.encode_reference(x) * weight).sum(), grid.table)
    assert close(results[0], expected, rounding_of_sums(weight))


@pytest.mark.parametrize("size", [0.0, 1e-28, 1e-20, 1e30])
def check_gradients_of_any_size(kernels, size):
    grid = random_grid(GRIDS[0])
    encoded = kernels.encode(random_points(50, 2), grid)
    (actual,) = torch.autograd.grad(encoded, grid.table, torch.full_like(encoded, size))
    encoded = grid.encode_reference(random_points(50, 2))
    (expected,) = torch.autograd.grad(encoded, grid.table, torch.full_like(encoded, size))
    # A step of fixed point is 2^-110 at the least.
    most = rounding_of_sums(torch.full_like(encoded, size)) + 100 * 2.0**-110
    assert torch.allclose(actual, expected, rtol=1e-5, atol=1e-6 * size + most)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # NumPy's, where the interpreter casts NaN
def check_a_gradient_that_is_no_number_is_not_hidden(kernels):
    grid = random_grid(GRIDS[0])
    encoded = kernels.encode(random_points(50, 2), grid)
    bad = torch.zeros_like(encoded)
    bad[7, 3] = torch.nan
    (table,) = torch.autograd.grad(encoded, grid.table, bad)
    assert table.isnan().any()


@pytest.mark.parametrize("settings", GRIDS[1:3])
def check_a_half_table_is_read_as_it_is_and_its_gradient_rounded_once(kernels, settings):
    grid = random_grid(settings)
    grid.table.data = grid.table.data.half()
    x = random_points(200, settings.dims).requires_grad_()
    expected = grid.encode_reference(x)
    actual = kernels.encode(x, grid)
    assert actual.dtype == expected.dtype == torch.float32
    assert close(actual, expected)
    ours, right = (gradients(encoded, grid.table, x) for encoded in (actual, expected))
    assert ours[0].dtype == right[0].dtype == torch.float16
    # The same sums but for single precision's rounding, which tips a few to the next half number.
    assert (ours[0].float() - right[0].float()).abs().max() <= 2**-10 * right[0].abs().max()
    assert close(ours[1], right[1])


def check_no_points(kernels):
    grid = random_grid(GRIDS[0])
    x = torch.empty(0, 2, requires_grad=True)
    encoded = kernels.encode(x, grid)
    assert encoded.shape == (0, grid.output_dims)
    table, inputs = gradients(encoded, grid.table, x)
    assert not table.any()
    assert inputs.shape == x.shape


def check_strided_inputs(kernels):
    grid = random_grid(GRIDS[0])
    x = random_points(40, 3)[:, ::2]
    assert close(kernels.encode(x, grid), grid.encode_reference(x))


def check_the_grid_uses_the_kernels_for_single_precision(kernels, monkeypatch):
    assert grid_backend("cpu") == GridBackend("triton")
    grid = random_grid(GRIDS[0])
    monkeypatch.setattr(kernels, "encode", lambda x, grid: "triton")
    assert grid(random_points(3, 2)) == "triton"
    assert isinstance(grid.double()(random_points(3, 2).double()), torch.Tensor)


def test_kernels_in_the_interpreter(interpreted):
    interpreted(__file__)


@pytest.fixture
def fresh(monkeypatch):
    """No choice made yet, and none asked for."""
    monkeypatch.delenv(backends.VARIABLE, raising=False)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    backends.forget()
    yield monkeypatch
    backends.forget()


def stand_in(fresh, name: str, module: object) -> None:
    """Put something in the place of a module of kernels."""
    fresh.setitem(sys.modules, f"inve_core.encodings.{name}", module)
    fresh.delattr(f"inve_core.encodings.{name}", raising=False)


class Right:
    encode = staticmethod(lambda x, grid: grid.encode_reference(x))


class Wrong:
    encode = staticmethod(lambda x, grid: 1.01 * grid.encode_reference(x))


@pytest.fixture
def cpu_as_gpu(fresh):
    """The CPU passes for a GPU, so that what is chosen on one can be seen everywhere."""

    class Device(str):
        type = "cuda"

    real = backends.mismatch
    fresh.setattr(backends, "mismatch", lambda device, *args: real(torch.device("cpu"), *args))
    return Device("cuda:0")


def test_a_cpu_runs_the_reference(fresh):
    assert grid_backend("cpu") == GridBackend("torch")
    assert not backends.triton_part("sampling", "cpu")
    backends.warm_up("cpu")
    assert backends.passed_over("cpu") == []


def test_an_unknown_backend_is_refused(fresh):
    fresh.setenv("INVE_BACKEND", "cuda")
    with pytest.raises(
        DeviceError, match="INVE_BACKEND must be torch, triton, tinycudann or unset, got 'cuda'"
    ):
        grid_backend("cpu")


@pytest.mark.parametrize("name", ["triton", "tinycudann"])
def test_a_backend_that_was_asked_for_and_fails_is_an_error(fresh, name):
    fresh.setenv("INVE_BACKEND", name)
    with pytest.raises(
        DeviceError, match=rf"INVE_BACKEND={name} needs .* on cpu, but .* needs a CUDA device"
    ):
        grid_backend("cpu")


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (None, "Triton cannot be imported"),
        (object(), "the kernels of Triton do not run"),
        (Wrong, "the kernels of Triton give wrong results"),
    ],
)
def test_a_gpu_where_triton_fails_runs_the_reference_and_says_so(cpu_as_gpu, fresh, module, reason):
    stand_in(fresh, "triton_grid", module)
    stand_in(fresh, "tcnn_grid", Wrong)
    with pytest.warns(RuntimeWarning, match=f"plain torch: .*{reason}.*tinycudann give wrong results"):
        chosen = backends._chosen(cpu_as_gpu)
    assert chosen.name == "torch"
    assert chosen.reason is not None
    assert reason in chosen.reason


def test_a_gpu_where_triton_fails_and_tinycudann_works_runs_that_and_says_so(cpu_as_gpu, fresh):
    stand_in(fresh, "triton_grid", Wrong)
    stand_in(fresh, "tcnn_grid", Right)
    with pytest.warns(RuntimeWarning, match="run on tinycudann, .* Triton give wrong results"):
        chosen = backends._chosen(cpu_as_gpu)
    assert chosen.name == "tinycudann"
    assert "Triton give wrong results" in (chosen.reason or "")


def test_triton_comes_first_and_tinycudann_can_be_asked_for(cpu_as_gpu, fresh):
    for name in ("triton_grid", "tcnn_grid"):
        stand_in(fresh, name, Right)
    assert backends._chosen(cpu_as_gpu) == GridBackend("triton")
    backends.forget()
    fresh.setenv("INVE_BACKEND", "tinycudann")
    assert backends._chosen(cpu_as_gpu) == GridBackend("tinycudann")


def test_what_is_not_installed_is_called_so(cpu_as_gpu, fresh):
    fresh.setitem(sys.modules, "tinycudann", None)
    stand_in(fresh, "triton_grid", Wrong)
    fresh.delitem(sys.modules, "inve_core.encodings.tcnn_grid", raising=False)
    with pytest.warns(RuntimeWarning, match="and tinycudann is not installed"):
        assert backends._chosen(cpu_as_gpu).name == "torch"


@pytest.mark.parametrize("found", [None, "rgb of a batch differ"])
def test_a_part_whose_kernels_are_wrong_is_passed_over_alone(cpu_as_gpu, fresh, found):
    stand_in(fresh, "triton_grid", Right)
    kernels = type("Kernels", (), {"mismatch": staticmethod(lambda device: found)})
    fresh.setitem(sys.modules, "inve_core.triton_sampling", kernels)
    assert backends._chosen(cpu_as_gpu).name == "triton"
    if found is None:
        assert backends._part("sampling", cpu_as_gpu) == (True, None)
        return
    with pytest.warns(RuntimeWarning, match=f"runs slower than it could: .*Triton's sampling .*{found}"):
        in_use, reason = backends._part("sampling", cpu_as_gpu)
    assert not in_use
    assert found in (reason or "")


def test_who_needs_a_backend_while_it_is_checked_waits(cpu_as_gpu, fresh):
    """A second check beside the first would compile twice, or wait for the device inside a capture."""
    checks, inside, go_on = [], threading.Event(), threading.Event()

    def slowly(x, grid):
        checks.append(threading.get_ident())
        inside.set()
        assert go_on.wait(30)
        return grid.encode_reference(x)

    stand_in(fresh, "triton_grid", type("Slow", (), {"encode": staticmethod(slowly)}))
    stand_in_part = type("Kernels", (), {"mismatch": staticmethod(lambda device: None)})
    fresh.setitem(sys.modules, "inve_core.triton_sampling", stand_in_part)
    fresh.setattr(backends, "_exact", lambda device: cpu_as_gpu)
    threads = [threading.Thread(target=backends.warm_up, args=("cuda",)) for _ in range(2)]
    threads[0].start()
    assert inside.wait(30)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert set(checks) == {checks[0]}
    assert grid_backend("cuda").name == "triton"


def test_the_reference_can_be_asked_for(fresh):
    fresh.setenv("INVE_BACKEND", "torch")
    assert grid_backend("cpu").name == "torch"
    assert "INVE_BACKEND=torch" in (grid_backend("cpu").reason or "")


class _Skewed(torch.autograd.Function):
    """The identity, with gradients that are a little wrong."""

    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * 1.00001


def test_the_check_finds_each_kind_of_mistake():
    def in_values(x, grid):
        return grid.encode_reference(x) * 1.00001

    def in_table_gradients(x, grid):
        return torch.func.functional_call(grid, {"table": _Skewed.apply(grid.table)}, (x,))

    def in_input_gradients(x, grid):
        return grid.encode_reference(_Skewed.apply(x))

    def not_a_number(x, grid):
        return grid.encode_reference(x) * torch.nan

    cpu = torch.device("cpu")
    assert backends.mismatch(cpu, lambda x, grid: grid.encode_reference(x)) is None
    assert "values in 2" in (backends.mismatch(cpu, in_values) or "")
    assert "gradients to the table in 2" in (backends.mismatch(cpu, in_table_gradients) or "")
    assert "gradients to the inputs in 2" in (backends.mismatch(cpu, in_input_gradients) or "")
    assert "values" in (backends.mismatch(cpu, not_a_number) or "")


def test_the_check_leaves_random_numbers_alone_and_works_in_inference_mode():
    before = torch.get_rng_state()
    with torch.inference_mode():
        assert backends.mismatch(torch.device("cpu"), lambda x, grid: grid.encode_reference(x)) is None
    assert torch.equal(torch.get_rng_state(), before)
