"""The hash grid's hand-written backward against what autograd makes of the same gathers, side by side.

    python tests/benchmarks/hashgrid.py [--device cpu]

Prints a ratio for each shape of grid that training uses; on a CPU only the ratio means something. On a GPU it
also prints what the reference and Triton's kernels take there, forward and backward, by the GPU's own clock.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from inve_core.encodings.backends import grid_backend
from inve_core.encodings.hashgrid import GridSettings, HashGrid, corner_weights

Encode = Callable[[Tensor], Tensor]
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


def microseconds(step: Callable[[], object], repeats: int) -> float:
    """Median time on the GPU of a step that is replayed from a CUDA graph: launches cost nothing there."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    times = []
    for _ in range(repeats):
        started, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        started.record()
        graph.replay()
        ended.record()
        ended.synchronize()
        times.append(started.elapsed_time(ended) * 1e3)
    return statistics.median(times)


def forward(encode: Encode, x: Tensor) -> None:
    """The values alone."""
    with torch.no_grad():
        encode(x)


def forward_and_backward(encode: Encode, x: Tensor, weight: Tensor, wanted: list[Tensor]) -> None:
    """The values, and the gradients to what is wanted."""
    torch.autograd.grad(encode(x), wanted, weight)


def print_gpu_times(grid: HashGrid, n: int, repeats: int) -> None:
    """Forward and backward times of the reference and, where it works, of Triton's kernels."""
    encoders: dict[str, Encode] = {"reference": grid.encode_reference}
    backend = grid_backend(grid.table.device)
    if backend.name == "triton":
        from inve_core.encodings import triton_grid

        encoders["triton"] = partial(triton_grid.encode, grid=grid)
    else:
        print(f"    no triton: {backend.reason}")
    x = torch.rand(n, grid.settings.dims, device=grid.table.device)
    weight = torch.randn(n, grid.output_dims, device=x.device)
    for name, encode in encoders.items():
        there = microseconds(partial(forward, encode, x), repeats)
        table = microseconds(partial(forward_and_backward, encode, x, weight, [grid.table]), repeats)
        leaf = x.clone().requires_grad_()
        both = microseconds(partial(forward_and_backward, encode, leaf, weight, [grid.table, leaf]), repeats)
        print(
            f"    {name}, {n} points: forward {there:.0f} µs, backward to the table {table - there:.0f} µs, "
            f"to table and inputs {both - there:.0f} µs"
        )


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
        difference = (grid.encode_reference(x) - by_autograd(grid, x)).abs().max().item()
        slow = seconds(lambda points, grid=grid: by_autograd(grid, points), grid, x, options.repeats)
        fast = seconds(grid.encode_reference, grid, x, options.repeats)
        print(
            f"{name}: autograd {slow * 1e3:.1f} ms, ours {fast * 1e3:.1f} ms, "
            f"{slow / fast:.1f} times faster (largest difference {difference:.1e})"
        )
        if x.is_cuda:
            for count in (n, 100_000):
                print_gpu_times(grid, count, max(20, options.repeats))


if __name__ == "__main__":
    main()
