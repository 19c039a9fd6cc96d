"""One optimiser step, called again and again; on a GPU it becomes a CUDA graph.

A training step launches hundreds of small kernels, and each launch from Python costs more than the kernel
itself. A graph launches them all at once. It replays the very kernels that it was captured from, so that the
numbers are those of the eager step.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# Eager steps before a capture: they make the optimiser's state, and lazily made handles and plans.
WARM_UP = 3
# Steps that may lie in the queue of the GPU; an edit to be rendered waits for these and no more.
IN_FLIGHT = 8


class OptimiserStep:
    """Loss, gradients, update.

    Args:
        loss: computes the loss of a fresh batch; everything in it stays on the device.
        groups: Adam's parameter groups, each with its own full `lr`.
        generator: what `loss` draws random numbers from.
    """

    def __init__(self, loss: Callable[[], Tensor], groups: list[dict[str, Any]], generator: torch.Generator):
        self._loss = loss
        self._generator = generator
        self._device = generator.device
        self._on_gpu = self._device.type == "cuda"
        self._full_rates = torch.tensor([group["lr"] for group in groups], device=self._device)
        self._rates = self._full_rates.clone()
        if self._on_gpu:
            # A graph reads its rates from memory, where they may change between replays.
            groups = [group | {"lr": rate} for group, rate in zip(groups, self._rates, strict=True)]
        self.optimiser = torch.optim.Adam(
            groups, betas=(0.9, 0.99), eps=1e-15, fused=self._on_gpu, capturable=self._on_gpu
        )
        self._stream = torch.cuda.Stream(self._device) if self._on_gpu else None
        self.eager_only = False
        self._calls = 0
        self.reset()

    def restore(self, moments: dict[int, dict[str, Tensor]]) -> None:
        """Put the optimiser's state back, as `optimiser.state_dict()["state"]` gave it."""
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})
        if self._on_gpu:
            for group, rate in zip(self.optimiser.param_groups, self._rates, strict=True):
                group["lr"] = rate
        self.reset()

    def forget(self) -> None:
        """Drop the optimiser's moments, which a step that went wrong has spoiled."""
        self.optimiser.state.clear()
        self.reset()

    def reset(self) -> None:
        """The loss has changed, or the optimiser's state was replaced: capture anew."""
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result: Tensor | None = None
        self._warm = 0

    @property
    def captured(self) -> bool:
        """Whether steps are replays of a graph by now."""
        return self._graph is not None

    def __call__(self, rate: float) -> Tensor:
        """Take one step at a share of the full learning rates; returns the loss, without dimensions."""
        if not self._on_gpu:
            for group, full in zip(self.optimiser.param_groups, self._full_rates.tolist(), strict=True):
                group["lr"] = full * rate
            return self._eager()
        with torch.cuda.device(self._device):
            torch.mul(self._full_rates, rate, out=self._rates)
            result = self._on_the_gpu()
            self._calls += 1
            if self._calls % IN_FLIGHT == 0:
                torch.cuda.current_stream().synchronize()
        return result

    def _on_the_gpu(self) -> Tensor:
        if not self.eager_only and self._graph is None and self._warm >= WARM_UP:
            self._capture()
        if self._graph is not None:
            self._graph.replay()
            assert self._result is not None
            return self._result
        self._warm += 1
        stream = self._stream
        assert stream is not None
        # Ordered after what was queued before, and before what follows.
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            result = self._eager()
        torch.cuda.current_stream().wait_stream(stream)
        return result

    def _eager(self) -> Tensor:
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._loss()
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def _capture(self) -> None:
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        try:
            # Relaxed: kernels' own libraries may allocate while they are captured.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="relaxed"):
                self._result = self._eager()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            warnings.warn(f"training goes on without a CUDA graph, more slowly: {error}", stacklevel=2)
            self.eager_only = True
            return
        self._graph = graph
