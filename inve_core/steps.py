"""One optimiser step, called again and again; on a GPU it becomes a CUDA graph.

A training step launches many small kernels, and each launch from Python costs more than the kernel itself. A
graph launches them all at once. It replays the very kernels that it was captured from, so that the numbers
are those of the eager step.
"""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from inve_core.cuda_graphs import aside, capture
from inve_core.fields import Field, parameter_groups
from inve_core.sampling import Samples

if TYPE_CHECKING:
    from inve_core.triton_objective import FusedObjective

# Eager steps before a capture: they make the optimiser's state, and lazily made handles and plans.
WARM_UP = 3
# Steps that may lie in the queue of the GPU; an edit to be rendered waits for these and no more.
IN_FLIGHT = 8

Moments = dict[int, dict[str, Tensor]]


class Update(Protocol):
    """A fresh batch's loss, its gradients, and the parameters' update."""

    def __call__(self) -> Tensor:
        """Take one step; returns the loss, []. Everything in it stays on the device."""

    def set_rate(self, rate: float) -> None:
        """Go on at a share of the full learning rates."""

    def renew(self) -> None:
        """The loss has changed."""

    def moments(self) -> Moments:
        """The optimiser's state, as `torch.optim.Adam.state_dict()["state"]` has it."""

    def restore(self, moments: Moments) -> None:
        """Put the optimiser's state back."""

    def forget(self) -> None:
        """Drop the optimiser's state, which a step that went wrong has spoiled."""


class AutogradUpdate:
    """The reference: autograd and torch's Adam.

    Args:
        loss: computes the loss of a fresh batch.
        fields: what is trained.
        grid_rate, mlp_rate: full learning rates of tables and of weights.
    """

    def __init__(
        self, loss: Callable[[], Tensor], fields: list[Field], grid_rate: float, mlp_rate: float
    ) -> None:
        self._loss = loss
        groups: list[dict[str, Any]] = parameter_groups(fields, grid_rate, mlp_rate)
        device = fields[0].encoding.table.device
        self._on_gpu = device.type == "cuda"
        self._full_rates = torch.tensor([grid_rate, mlp_rate], device=device)
        self._rates = self._full_rates.clone()
        if self._on_gpu:
            # A graph reads its rates from memory, where they may change between replays.
            groups = [group | {"lr": rate} for group, rate in zip(groups, self._rates, strict=True)]
        self._optimiser = torch.optim.Adam(
            groups, betas=(0.9, 0.99), eps=1e-15, fused=self._on_gpu, capturable=self._on_gpu
        )

    def __call__(self) -> Tensor:
        """See `Update`."""
        self._optimiser.zero_grad(set_to_none=True)
        loss = self._loss()
        loss.backward()
        self._optimiser.step()
        return loss.detach()

    def set_rate(self, rate: float) -> None:
        """See `Update`."""
        if self._on_gpu:
            torch.mul(self._full_rates, rate, out=self._rates)
            return
        for group, full in zip(self._optimiser.param_groups, self._full_rates.tolist(), strict=True):
            group["lr"] = full * rate

    def renew(self) -> None:
        """See `Update`; the loss is asked anew at every step."""

    def moments(self) -> Moments:
        """See `Update`."""
        moments: Moments = self._optimiser.state_dict()["state"]
        return moments

    def restore(self, moments: Moments) -> None:
        """See `Update`."""
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": moments, "param_groups": groups})
        if self._on_gpu:
            for group, rate in zip(self._optimiser.param_groups, self._rates, strict=True):
                group["lr"] = rate

    def forget(self) -> None:
        """See `Update`."""
        self._optimiser.state.clear()


class FusedUpdate:
    """The fast way on a GPU: Triton's kernels for loss, gradients and Adam.

    Args:
        draw: draws a batch.
        objective: makes the loss as it is at present.
        fields: what is trained, in the order of the objective's gradients.
        grid_rate, mlp_rate: full learning rates of tables and of weights.
    """

    def __init__(
        self,
        draw: Callable[[], Samples],
        objective: "Callable[[], FusedObjective]",
        fields: list[Field],
        grid_rate: float,
        mlp_rate: float,
    ) -> None:
        from inve_core.triton_adam import FusedAdam

        self._draw = draw
        self._make = objective
        self._full_rates = torch.tensor([grid_rate, mlp_rate], device=fields[0].encoding.table.device)
        self._rates = self._full_rates.clone()
        self._adam = FusedAdam(fields, self._rates)
        self._objective: FusedObjective | None = None

    def __call__(self) -> Tensor:
        """See `Update`."""
        if self._objective is None:
            self._objective = self._make()
        loss = self._objective(self._draw())
        self._adam.step(self._objective.gradients, self._objective.parts)
        return loss

    def set_rate(self, rate: float) -> None:
        """See `Update`."""
        torch.mul(self._full_rates, rate, out=self._rates)

    def renew(self) -> None:
        """See `Update`."""
        self._objective = None

    def moments(self) -> Moments:
        """See `Update`."""
        return self._adam.moments()

    def restore(self, moments: Moments) -> None:
        """See `Update`."""
        self._adam.restore(moments)

    def forget(self) -> None:
        """See `Update`."""
        self._adam.forget()


class OptimiserStep:
    """Loss, gradients, update.

    Args:
        update: what a step does.
        generator: what it draws random numbers from.
    """

    def __init__(self, update: Update, generator: torch.Generator):
        self._update = update
        self._generator = generator
        self._device = generator.device
        self._on_gpu = self._device.type == "cuda"
        self._stream = torch.cuda.Stream(self._device) if self._on_gpu else None
        self.eager_only = False
        self._calls = 0
        self.reset()

    def moments(self) -> Moments:
        """The optimiser's state, as `restore` takes it."""
        return self._update.moments()

    def restore(self, moments: Moments) -> None:
        """Put the optimiser's state back."""
        self._update.restore(moments)
        self.reset()

    def forget(self) -> None:
        """Drop the optimiser's state, which a step that went wrong has spoiled."""
        self._update.forget()
        self.reset()

    def reset(self) -> None:
        """The loss has changed, or the optimiser's state was replaced: capture anew."""
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result: Tensor | None = None
        self._warm = 0
        self._update.renew()

    @property
    def captured(self) -> bool:
        """Whether steps are replays of a graph by now."""
        return self._graph is not None

    def __call__(self, rate: float) -> Tensor:
        """Take one step at a share of the full learning rates; returns the loss, without dimensions."""
        if not self._on_gpu:
            self._update.set_rate(rate)
            return self._update()
        with torch.cuda.device(self._device):
            self._update.set_rate(rate)
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
        assert self._stream is not None
        return aside(self._update, self._stream)

    def _capture(self) -> None:
        assert self._stream is not None
        try:
            self._graph, self._result = capture(self._update, self._stream, (self._generator,))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            warnings.warn(f"training goes on without a CUDA graph, more slowly: {error}", stacklevel=2)
            self.eager_only = True
