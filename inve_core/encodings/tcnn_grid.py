"""The hash grid of `hashgrid` on tiny-cuda-nn, where its bindings for torch are installed.

The only file that imports `tinycudann`, which raises without a CUDA device; `backends` finds out. Its tables
are laid out as ours are, so that `HashGrid.table` itself is what it encodes with and what its gradients go
to. It adds gradients in any order: unlike Triton's kernels and the reference it does not repeat itself to the
bit.
"""

import functools

import tinycudann
import torch
from torch import Tensor, nn

from inve_core.encodings.hashgrid import GridSettings, HashGrid


def supports(settings: GridSettings) -> bool:
    """Whether it can do this grid; all others are the reference's."""
    return settings.dims in (2, 3) and settings.features in (1, 2, 4, 8)


def encode(x: Tensor, grid: HashGrid) -> Tensor:
    """What `HashGrid.encode_reference` returns, for single precision x [n, dims] on the grid's CUDA device.

    It computes in the table's precision, single or half, and pads batches itself. A CUDA graph of it must be
    captured with `capture_error_mode="relaxed"`, once it has run outside of one.
    """
    encoding = _encoding(grid.settings, grid.table.dtype, grid.table.device)
    if not len(x):
        return x.new_empty(0, grid.output_dims) + 0 * (x.sum() + grid.table.sum().float())
    with torch.cuda.device_of(x):
        # Its own module knows how to pad, and the scale that gradients in half need; only the table is ours.
        encoded: Tensor = torch.func.functional_call(encoding, {"params": grid.table.flatten()}, (x,))
    return encoded.float()


@functools.cache
def _encoding(settings: GridSettings, dtype: torch.dtype, device: torch.device) -> nn.Module:
    config = {
        "otype": "HashGrid",
        "n_levels": settings.levels,
        "n_features_per_level": settings.features,
        "log2_hashmap_size": settings.log2_table,
        "base_resolution": settings.base,
        "per_level_scale": settings.growth,
        "interpolation": "Linear",
    }
    with torch.cuda.device(device):
        encoding: nn.Module = tinycudann.Encoding(settings.dims, config, dtype=dtype)
    # Its own table is never used.
    encoding.params = nn.Parameter(torch.empty(0, device=device), requires_grad=False)
    return encoding
