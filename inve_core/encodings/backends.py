"""Which code runs on a device: Triton kernels or tiny-cuda-nn where they work, plain torch everywhere else.

The hash grid has three backends, tried in this order: `triton`, which repeats itself to the bit, `tinycudann`
where it is installed, and `torch`, the reference. What else has Triton kernels (PARTS) has only these and its
reference. Each is checked against the reference before its first use; what does not load or gives other
results is passed over with a warning. The environment variable INVE_BACKEND takes the choice away.
"""

import contextlib
import functools
import importlib
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch import Tensor

from inve_core.errors import DeviceError

if TYPE_CHECKING:
    from inve_core.encodings.hashgrid import HashGrid

Encode: TypeAlias = "Callable[[Tensor, HashGrid], Tensor]"
BackendName: TypeAlias = Literal["torch", "triton", "tinycudann"]

VARIABLE = "INVE_BACKEND"
# Single precision sums in another order; the reference differs by 1.5e-7 of the largest value between a GPU
# and a CPU.
TOLERANCE = 2e-6
# tiny-cuda-nn fuses the product and the sum that make a position: of a product below 2^7 that saves an error
# of 2^-18, twice or thrice in a weight, and values lie up to twice the largest apart.
FUSED_TOLERANCE = 3e-5
# In half its weights, products and sums are rounded to 2^-11 each.
HALF_TOLERANCE = 2e-3

# Kernels beside the hash grid's, by what they do. A module's `mismatch(device)` compares them with their
# reference, and by that compiles them.
PARTS = {
    "MLP": "inve_core.encodings.triton_mlp",
    "sampling": "inve_core.triton_sampling",
    "training step": "inve_core.triton_check",
}

# One thread checks, others wait for what it finds. A CUDA graph must not be captured meanwhile: whoever
# captures one has asked before for what is in it, and has so waited.
_lock = threading.RLock()


@dataclass(frozen=True)
class GridBackend:
    """The code in use, and why a faster one was passed over, if one was."""

    name: BackendName
    reason: str | None = None


def grid_backend(device: torch.device | str) -> GridBackend:
    """The backend of hash grids on a device; the first call for a GPU compiles kernels and checks them.

    Must have been called once before a CUDA graph is captured.

    Raises:
        DeviceError: INVE_BACKEND names no backend, or one that does not work on this device.
    """
    with _lock:
        return _chosen(_exact(device))


def triton_part(part: str, device: torch.device | str) -> bool:
    """Whether to use the Triton kernels of one of PARTS on a device; as `grid_backend`, it may compile them.

    Raises:
        DeviceError: INVE_BACKEND asks for Triton, and they do not work on this device.
    """
    with _lock:
        in_use, _ = _part(part, _exact(device))
        return in_use


def passed_over(device: torch.device | str) -> list[str]:
    """Why what is faster is not in use, a sentence's part each; empty where nothing is."""
    with _lock:
        reasons = [grid_backend(device).reason, *(_part(part, _exact(device))[1] for part in PARTS)]
    return [reason for reason in reasons if reason is not None]


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Have all who ask for a backend in another thread wait meanwhile."""
    with _lock:
        yield


def warm_up(device: torch.device | str) -> None:
    """Choose, check and compile all that training and rendering use on a device, so that they need not wait.

    Seconds on a GPU when Triton's cache is empty, a moment otherwise. Who needs a backend meanwhile, in
    another thread, waits for it.

    Raises:
        DeviceError: as `grid_backend`.
    """
    with _lock:
        passed_over(device)


def forget() -> None:
    """Choose anew at the next call; for tests that change what there is to choose from."""
    for cached in (_chosen, _part, _failure):
        cached.cache_clear()


def _exact(device: torch.device | str) -> torch.device:
    device = torch.device(device)
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    return device


def _asked() -> str:
    asked = os.environ.get(VARIABLE, "")
    if asked not in ("", "torch", "triton", "tinycudann"):
        raise DeviceError(
            f"{VARIABLE} must be torch, triton, tinycudann or unset, got {asked!r}; use one of these."
        )
    return asked


@functools.cache
def _chosen(device: torch.device) -> GridBackend:
    asked = _asked()
    if asked == "torch":
        return GridBackend("torch", f"{VARIABLE}=torch asks for it")
    if asked:
        name: BackendName = "triton" if asked == "triton" else "tinycudann"
        reason = _failure(name, device)
        if reason is not None:
            raise _forced(name, "hash grid", device, reason)
        return GridBackend(name)
    return _first_that_works(device) if device.type == "cuda" else GridBackend("torch")


def _first_that_works(device: torch.device) -> GridBackend:
    no_triton = _failure("triton", device)
    if no_triton is None:
        return GridBackend("triton")
    no_tinycudann = _failure("tinycudann", device)
    if no_tinycudann is None:
        _warn(
            f"Hash grids on {device} run on tinycudann, and the same seed will not give the same result to "
            f"the bit: {no_triton}. {VARIABLE}=tinycudann asks for that without this warning."
        )
        return GridBackend("tinycudann", no_triton)
    reason = f"{no_triton}, and {no_tinycudann}"
    _warn(
        f"Hash grids on {device} run several times slower than they could, in plain torch: {reason}. "
        f"{VARIABLE}=torch asks for that without this warning."
    )
    return GridBackend("torch", reason)


@functools.cache
def _part(part: str, device: torch.device) -> tuple[bool, str | None]:
    """Whether a part's kernels are in use, and why not where that is a surprise."""
    asked = _asked()
    # Where Triton fails altogether, the grid says so.
    if asked == "torch" or not (device.type == "cuda" or asked == "triton") or _failure("triton", device):
        return False, None

    def check(kernels: ModuleType) -> str | None:
        return kernels.mismatch(device)

    reason = _tried(f"Triton's {part}", PARTS[part], check)
    if reason is not None and asked == "triton":
        raise _forced("triton", part, device, reason)
    if reason is not None:
        _warn(f"Training on {device} runs slower than it could: {reason}. {VARIABLE}=torch asks for that.")
    return reason is None, reason


def _forced(name: str, part: str, device: torch.device, reason: str) -> DeviceError:
    return DeviceError(
        f"{VARIABLE}={name} needs its {part} to work on {device}, but {reason}; mend that, or unset "
        f"{VARIABLE}."
    )


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=5)


@functools.cache
def _failure(name: BackendName, device: torch.device) -> str | None:
    """Why a backend of the hash grid cannot be used on a device, or None where it can."""
    single, half = torch.float32, torch.float16
    if name == "triton":
        if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
            return "Triton needs a CUDA device, or TRITON_INTERPRET=1"
        return _tried(
            "Triton",
            "inve_core.encodings.triton_grid",
            lambda kernels: mismatch(device, kernels.encode, TOLERANCE, single),
        )
    if device.type != "cuda":
        return "tinycudann needs a CUDA device"
    return _tried(
        "tinycudann",
        "inve_core.encodings.tcnn_grid",
        lambda kernels: (
            mismatch(device, kernels.encode, FUSED_TOLERANCE, single)
            or mismatch(device, kernels.encode, HALF_TOLERANCE, half)
        ),
    )


def _tried(name: str, module: str, check: Callable[[ModuleType], str | None]) -> str | None:
    """Why a module cannot be used, or None where it is there and passes its check."""
    # Whatever goes wrong here, in an extension, a compiler, a driver or a full disk, the reference works.
    try:
        kernels = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name in ("triton", "tinycudann"):
            return f"{name} is not installed"
        return f"{name} cannot be imported ({_in_a_line(error)})"
    except Exception as error:  # noqa: BLE001
        return f"{name} cannot be imported ({_in_a_line(error)})"
    try:
        wrong = check(kernels)
    except Exception as error:  # noqa: BLE001
        return f"the kernels of {name} do not run ({_in_a_line(error)})"
    return wrong and f"the kernels of {name} give wrong results ({wrong})"


def _in_a_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def mismatch(
    device: torch.device,
    encode: Encode,
    tolerance: float = TOLERANCE,
    dtype: torch.dtype = torch.float32,
) -> str | None:
    """What `encode` gets wrong on small grids, values and gradients, or None where it gets nothing wrong.

    Args:
        tolerance: how far off it may be, of the largest value.
        dtype: of the grid's table.
    """
    from inve_core.encodings.hashgrid import GridSettings, HashGrid

    # The caller's modes are not ours to touch, nor are torch's own random numbers, which another thread may
    # be seeding just now.
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode(False), torch.enable_grad():
        for dims, base in ((2, 16), (3, 4)):
            # Dense and hashed levels, of fewer rows and of more than what Triton's code sums in copies.
            settings = GridSettings(dims, levels=4, features=2, log2_table=11, base=base, growth=1.7)
            grid = HashGrid(settings, generator)
            grid.table.data = torch.randn(grid.table.shape, generator=generator).to(dtype)
            # Several blocks of points and a part of one, and borders, where dense levels wrap around.
            x = torch.rand(301, dims, generator=generator)
            x[:3] = torch.tensor([[0.0], [1.0], [0.5]])
            x[3, 0], x[4, -1] = 0.0, 1.0
            weight = torch.randn(len(x), grid.output_dims, generator=generator).to(device)
            grid, x = grid.to(device), x.to(device)
            for wants_x in (True, False):
                expected = _results(_reference, x, grid, weight, wants_x)
                actual = _results(encode, x, grid, weight, wants_x)
                for name, right in expected.items():
                    error = float((actual[name] - right).abs().max() / right.abs().max())
                    if not error <= tolerance:
                        precision = "single" if dtype == torch.float32 else "half"
                        return (
                            f"{name} in {dims} dimensions, {precision}, differ by {error:.1e} of the largest"
                        )
    return None


def _reference(x: Tensor, grid: "HashGrid") -> Tensor:
    return grid.encode_reference(x)


def _results(encode: Encode, x: Tensor, grid: "HashGrid", weight: Tensor, wants_x: bool) -> dict[str, Tensor]:
    x = x.clone().requires_grad_(wants_x)
    encoded = encode(x, grid)
    wanted = [grid.table, x] if wants_x else [grid.table]
    gradients = torch.autograd.grad((encoded * weight).sum(), wanted)
    names = ("values", "gradients to the table", "gradients to the inputs")
    return {name: one.detach().float() for name, one in zip(names, (encoded, *gradients), strict=False)}
