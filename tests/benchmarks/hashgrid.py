"""The hash grid's hand-written backward against what autograd makes of the same gathers, side by side.

    python tests/benchmarks/hashgrid.py [--device cpu]

Prints a ratio for each shape of grid that training uses; on a CPU only the ratio means something.
"""

import argparse
import time

import torch
from torch import Tensor
from torch.nn import functional

from inve_core.encodings.hashgrid import GridSettings, HashGrid, corner_weights

SHAPES = {
    "mapping": (GridSettings.spanning(3, base=4, finest=16, levels=4, log2_table=16), 20_000),
    "opacity": (GridSettings.spanning(3, base=16, finest=128, levels=8, log2_table=16), 15_000),
    "atlas": (GridSettings.spanning(2, base=16, finest=900, levels=10, log2_table=16), 20_000),
}


def by_autograd(grid: HashGrid, x: Tensor) -> Tensor:
    """The same encoding with the gathers left to autograd."""
    rows, _ = grid.corners(x.detach())
    position = x.t()[:, None, :] * grid.scales + 0.5
    fractions = list((position - position.detach().floor()).unbind(0))
    terms = [
        functional.embedding(row, grid.table) * weight[..., None]
        for row, weight in zip(rows, corner_weights(fractions), strict=True)
    ]
    return torch.stack(terms).sum(0).transpose(0, 1).flatten(1)


def seconds(encode: object, grid: HashGrid, x: Tensor, repeats: int) -> float:
    """Mean time of a forward and a backward pass."""
    for count in (2, repeats):
        started = time.perf_counter()
        for _ in range(count):
            grid.table.grad = None
            encode(x).square().sum().backward()  # type: ignore[operator]
        if x.is_cuda:
            torch.cuda.synchronize()
        mean = (time.perf_counter() - started) / count
    return mean


def main() -> None:
    """Measure every shape and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    for name, (settings, n) in SHAPES.items():
        torch.manual_seed(0)
        grid = HashGrid(settings).to(options.device)
        x = torch.rand(n, settings.dims, device=options.device).requires_grad_()
        difference = (grid(x) - by_autograd(grid, x)).abs().max().item()
        slow = seconds(lambda points, grid=grid: by_autograd(grid, points), grid, x, options.repeats)
        fast = seconds(grid, grid, x, options.repeats)
        print(
            f"{name}: autograd {slow * 1e3:.1f} ms, ours {fast * 1e3:.1f} ms, "
            f"{slow / fast:.1f} times faster (largest difference {difference:.1e})"
        )


if __name__ == "__main__":
    main()
