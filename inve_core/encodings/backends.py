"""Which code encodes on a device: Triton kernels where they work, the torch reference everywhere else.

The environment variable INVE_BACKEND (`torch` or `triton`) takes the choice away.
"""

import functools
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch import Tensor

from inve_core.errors import DeviceError

if TYPE_CHECKING:
    from inve_core.encodings.hashgrid import HashGrid

Encode: TypeAlias = "Callable[[Tensor, HashGrid], Tensor]"

VARIABLE = "INVE_BACKEND"
# Single precision sums in another order; the reference differs by 1.5e-7 of the largest value between a GPU
# and a CPU.
TOLERANCE = 2e-6


@dataclass(frozen=True)
class GridBackend:
    """The code in use, and why a faster one was passed over, if one was."""

    name: Literal["torch", "triton"]
    reason: str | None = None


def grid_backend(device: torch.device | str) -> GridBackend:
    """The backend of hash grids on a device; the first call for a GPU compiles kernels and checks them.

    Must have been called once before a CUDA graph is captured.

    Raises:
        DeviceError: INVE_BACKEND names no backend, or one that does not work on this device.
    """
    device = torch.device(device)
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    return _chosen(device)


@functools.cache
def _chosen(device: torch.device) -> GridBackend:
    asked = os.environ.get(VARIABLE, "")
    if asked not in ("", "torch", "triton"):
        raise DeviceError(f"{VARIABLE} must be torch, triton or unset, got {asked!r}; use one of these.")
    if asked == "torch":
        return GridBackend("torch", f"{VARIABLE}=torch asks for it")
    if not asked and device.type != "cuda":
        return GridBackend("torch")
    return _triton_if_it_works(device, forced=bool(asked))


def _triton_if_it_works(device: torch.device, forced: bool) -> GridBackend:
    reason = _triton_failure(device)
    if reason is None:
        return GridBackend("triton")
    if forced:
        raise DeviceError(
            f"{VARIABLE}=triton needs Triton's hash grid to work on {device}, but {reason}; "
            f"mend that, or unset {VARIABLE}."
        )
    warnings.warn(
        f"Hash grids on {device} run several times slower than they could, in plain torch: {reason}. "
        f"{VARIABLE}=torch asks for that without this warning.",
        RuntimeWarning,
        stacklevel=4,
    )
    return GridBackend("torch", reason)


def _triton_failure(device: torch.device) -> str | None:
    """Why Triton's kernels cannot be used on a device, or None where they can."""
    if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        return "it needs a CUDA device, or TRITON_INTERPRET=1"
    # Whatever goes wrong here, in Triton, a C compiler, a driver or a full disk, the reference still works.
    try:
        from inve_core.encodings import triton_grid
    except Exception as error:  # noqa: BLE001
        return f"Triton cannot be imported ({_in_a_line(error)})"
    try:
        wrong = mismatch(device, triton_grid.encode)
    except Exception as error:  # noqa: BLE001
        return f"its kernels do not run ({_in_a_line(error)})"
    return wrong and f"its kernels give wrong results ({wrong})"


def _in_a_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def mismatch(device: torch.device, encode: Encode) -> str | None:
    """What `encode` gets wrong on small grids, values and gradients, or None where it gets nothing wrong."""
    from inve_core.encodings.hashgrid import GridSettings, HashGrid

    # The caller's modes and random numbers are not ours to touch.
    with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for dims, base in ((2, 16), (3, 4)):
            # Dense and hashed levels, of fewer rows and of more than what Triton's code sums in copies.
            grid = HashGrid(GridSettings(dims, levels=4, features=2, log2_table=11, base=base, growth=1.7))
            grid.table.data.normal_()
            # Several blocks of points and a part of one, and borders, where dense levels wrap around.
            x = torch.rand(301, dims)
            x[:3] = torch.tensor([[0.0], [1.0], [0.5]])
            x[3, 0], x[4, -1] = 0.0, 1.0
            weight = torch.randn(len(x), grid.output_dims).to(device)
            grid, x = grid.to(device), x.to(device)
            for wants_x in (True, False):
                expected = _results(_reference, x, grid, weight, wants_x)
                actual = _results(encode, x, grid, weight, wants_x)
                for name, right in expected.items():
                    error = float((actual[name] - right).abs().max() / right.abs().max())
                    if not error <= TOLERANCE:
                        return f"{name} in {dims} dimensions differ by {error:.1e} of the largest"
    return None


def _reference(x: Tensor, grid: "HashGrid") -> Tensor:
    return grid.encode_reference(x)


def _results(encode: Encode, x: Tensor, grid: "HashGrid", weight: Tensor, wants_x: bool) -> dict[str, Tensor]:
    x = x.clone().requires_grad_(wants_x)
    encoded = encode(x, grid)
    wanted = [grid.table, x] if wants_x else [grid.table]
    gradients = torch.autograd.grad((encoded * weight).sum(), wanted)
    names = ("values", "gradients to the table", "gradients to the inputs")
    return dict(zip(names, (encoded.detach(), *gradients), strict=False))
