"""Adam on the gradients that `triton_objective` leaves: one pass over each table, and one over all weights.

`torch.optim.Adam` is the reference. It wants a table's gradient in single precision: clearing the fixed-point
sums, turning them into floats, writing these, and reading them again moves 20 bytes a value, next to the 24
of the update itself. Here the update reads the sums and clears them where they are not clear: 32 bytes at the
most, 0.37 GB for the 11.5 million values of `fast`, or 0.12 ms of an H100's memory.

A row without any gradient in a step is left alone, moments and all, as tiny-cuda-nn does for grids: most
rows of a fine level see no sample in a step, and to go on moving them by old momentum is of no use.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from inve_core.encodings.triton_grid import COPIES, FEATURES, gradient_of, rows_in_copies
from inve_core.fields import Field
from inve_core.triton_objective import FieldGradient

BETAS = (0.9, 0.99)
EPSILON = 1e-15
# Rows of a table that one program updates, and weights, and rows of their partial sums read at a time.
CHUNK = 512
WEIGHTS = 64
ROWS = 32
_LAUNCH: dict[str, Any] = {"num_warps": 4, "enable_fp_fusion": False}
_BETA1, _BETA2, _EPSILON = tl.constexpr(BETAS[0]), tl.constexpr(BETAS[1]), tl.constexpr(EPSILON)
_LOG2_BETA1, _LOG2_BETA2 = (tl.constexpr(math.log2(beta)) for beta in BETAS)


class FusedAdam:
    """Adam for fields, with the moments in the order of `fields.parameter_groups`.

    Makes the fields' weights parts of one tensor, so that they are updated at once.

    Args:
        fields: of one device.
        rates: [2] learning rates of tables and of weights, read at every step.
    """

    def __init__(self, fields: Sequence[Field], rates: Tensor):
        self._tables = [one.encoding.table for one in fields]
        self._rates = rates
        weights = [weight for one in fields for weight in one.weights]
        self._sizes = [weight.numel() for weight in weights]
        self._shapes = [weight.shape for weight in weights]
        self._flat = torch.cat([weight.detach().flatten() for weight in weights])
        for weight, part in zip(weights, self._flat.split(self._sizes), strict=True):
            weight.data = part.view_as(weight)
        self._moments = [(torch.zeros_like(table), torch.zeros_like(table)) for table in self._tables]
        self._flat_moments = (torch.zeros_like(self._flat), torch.zeros_like(self._flat))
        self._step = torch.zeros((), device=rates.device)

    def step(self, gradients: Sequence[FieldGradient], parts: Tensor) -> None:
        """Update all parameters, and clear the tables' sums.

        Args:
            gradients: of the fields, in their order.
            parts: [programs, weights], the partial sums of all fields' weights in that order.
        """
        self._step.add_(1)
        with torch.cuda.device_of(self._flat):
            for table, moments, gradient in zip(self._tables, self._moments, gradients, strict=True):
                settings = gradient.field.settings.grid
                _update_table[(triton.cdiv(len(table), CHUNK),)](
                    table,
                    *moments,
                    gradient.sums,
                    gradient.bound,
                    self._rates,
                    self._step,
                    len(table),
                    rows_in_copies(settings),
                    CHUNK=CHUNK,
                    COPIES=COPIES,
                    FEATURES=FEATURES,
                    **_LAUNCH,
                )
            _update_weights[(triton.cdiv(len(self._flat), WEIGHTS),)](
                self._flat,
                *self._flat_moments,
                parts,
                self._rates,
                self._step,
                len(self._flat),
                len(parts),
                WEIGHTS=WEIGHTS,
                ROWS=ROWS,
                **_LAUNCH,
            )

    def moments(self) -> dict[int, dict[str, Tensor]]:
        """As `torch.optim.Adam.state_dict()["state"]`; empty before the first step."""
        if not float(self._step):
            return {}
        return {
            index: {"step": self._step.clone(), "exp_avg": mean, "exp_avg_sq": square}
            for index, (mean, square) in enumerate(self._all_moments())
        }

    def restore(self, moments: dict[int, dict[str, Tensor]]) -> None:
        """Take back what `moments` gave."""
        self.forget()
        for index, (mean, square) in enumerate(self._all_moments()):
            if index in moments:
                mean.copy_(moments[index]["exp_avg"])
                square.copy_(moments[index]["exp_avg_sq"])
                self._step.copy_(moments[index]["step"])

    def forget(self) -> None:
        """Drop all moments, which a step that went wrong has spoiled."""
        for pair in (*self._moments, self._flat_moments):
            for moment in pair:
                moment.zero_()
        self._step.zero_()

    def _all_moments(self) -> list[tuple[Tensor, Tensor]]:
        split = [
            [part.view(shape) for part, shape in zip(flat.split(self._sizes), self._shapes, strict=True)]
            for flat in self._flat_moments
        ]
        return [*self._moments, *zip(*split, strict=True)]


@triton.jit
def _adam(value, mean, square, gradient, rate, step):
    """One value's update."""
    mean = mean * _BETA1 + gradient * (1.0 - _BETA1)
    square = square * _BETA2 + gradient * gradient * (1.0 - _BETA2)
    correction1, correction2 = 1.0 - tl.exp2(step * _LOG2_BETA1), 1.0 - tl.exp2(step * _LOG2_BETA2)
    value -= rate / correction1 * mean / (tl.sqrt(square) / tl.sqrt(correction2) + _EPSILON)
    return value, mean, square


@triton.jit(do_not_specialize=["count", "few"])
def _update_table(
    table,
    means,
    squares,
    sums,
    bound,
    rates,
    steps,
    count,
    few,
    CHUNK: tl.constexpr,
    COPIES: tl.constexpr,
    FEATURES: tl.constexpr,
):
    """CHUNK rows; fixed-point sums [count + copies] are cleared, the first `few` with their copies."""
    rows = tl.program_id(0).to(tl.int64) * CHUNK + tl.arange(0, CHUNK)
    inside = rows < count
    words = tl.load(sums + rows, mask=inside, other=0)
    clear = tl.zeros([CHUNK], tl.int64)
    tl.store(sums + rows, clear, mask=inside & (words != 0))
    if tl.program_id(0) * CHUNK < few:
        for copy in range(COPIES - 1):
            place = sums + count + copy * few + rows
            more = tl.load(place, mask=rows < few, other=0)
            tl.store(place, clear, mask=(rows < few) & (more != 0))
            words += more
    limit = tl.zeros([CHUNK], tl.float32) + tl.load(bound)
    # What is no number must come through, to be noticed.
    touched = (inside & ((words != 0) | (limit != limit)))[:, None]
    gradient = gradient_of(words, bound)
    places = rows[:, None] * FEATURES + tl.arange(0, FEATURES)[None, :]
    value = tl.load(table + places, mask=touched, other=0.0)
    mean = tl.load(means + places, mask=touched, other=0.0)
    square = tl.load(squares + places, mask=touched, other=0.0)
    value, mean, square = _adam(value, mean, square, gradient, tl.load(rates), tl.load(steps))
    tl.store(table + places, value, mask=touched)
    tl.store(means + places, mean, mask=touched)
    tl.store(squares + places, square, mask=touched)


@triton.jit(do_not_specialize=["count", "programs"])
def _update_weights(
    weights,
    means,
    squares,
    parts,
    rates,
    steps,
    count,
    programs,
    WEIGHTS: tl.constexpr,
    ROWS: tl.constexpr,
):
    """WEIGHTS weights, whose gradient is the sum of `parts` [programs, count]."""
    places = tl.program_id(0) * WEIGHTS + tl.arange(0, WEIGHTS)
    inside = places < count
    total = tl.zeros([ROWS, WEIGHTS], tl.float32)
    for first in range(0, programs, ROWS):
        rows = first + tl.arange(0, ROWS)[:, None]
        mask = (rows < programs) & inside[None, :]
        total += tl.load(parts + rows * count + places[None, :], mask=mask, other=0.0)
    gradient = tl.sum(total, 0)
    value = tl.load(weights + places, mask=inside, other=0.0)
    mean = tl.load(means + places, mask=inside, other=0.0)
    square = tl.load(squares + places, mask=inside, other=0.0)
    value, mean, square = _adam(value, mean, square, gradient, tl.load(rates + 1), tl.load(steps))
    tl.store(weights + places, value, mask=inside)
    tl.store(means + places, mean, mask=inside)
    tl.store(squares + places, square, mask=inside)
