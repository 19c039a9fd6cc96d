"""A field's small MLP as two Triton kernels: hidden layers stay in registers.

Same values as `Field.mlp`, which is the reference. On paper, for an H100 and a step of `fast` (170 000 rows
over all networks, about 5 500 weights each): 0.94 G multiply-adds forward and three times as many with the
backward pass, 6 GFLOP in all, which its tensor cores do in 20 µs in TF32; rows in and out move 40 MB. As
separate matrix products the hidden layers alone would move 170 MB, and single precision without tensor cores
takes 0.6 ms.

PRECISION says how products are rounded: `tf32x3` splits each factor and comes within a few roundings of
single precision, `tf32` keeps 10 bits of each factor's mantissa, and so does `half`, of less range. Sums are
single precision in all of them.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

Precision: TypeAlias = Literal["ieee", "tf32x3", "tf32", "half"]

# Rows that a program works on at a time, forward and backward.
FORWARD_ROWS = 128
BACKWARD_ROWS = 64
# Programs of the backward kernel: each keeps sums of its own of the gradients to the weights.
PROGRAMS = 264
# Matrix products on tensor cores take no fewer columns.
LEAST = 16
# A share of the length of what is compared: a hidden unit near zero may be on in one and not in the other.
TOLERANCE = 1e-3
_LAUNCH: dict[str, Any] = {"num_warps": 4}


def supports(widths: Sequence[int]) -> bool:
    """Whether the kernels can do an MLP of these widths, inputs first: two hidden layers of one width."""
    if len(widths) != 4 or widths[1] != widths[2]:
        return False
    inputs, hidden, _, outputs = widths
    return inputs <= 64 and hidden in (16, 32, 64) and outputs <= LEAST


def mismatch(device: torch.device) -> str | None:
    """What the kernels get wrong, values and gradients, or None where they get nothing wrong."""
    random = torch.Generator().manual_seed(0)
    # The caller's modes are not ours to touch.
    with torch.inference_mode(False), torch.enable_grad():
        for inputs, hidden, outputs in ((16, 64, 2), (28, 32, 3)):
            x = torch.randn(301, inputs, generator=random).to(device).requires_grad_()
            shapes = ((hidden, inputs), (hidden, hidden), (outputs, hidden))
            weights = [
                (torch.randn(shape, generator=random) / shape[1] ** 0.5).to(device).requires_grad_()
                for shape in shapes
            ]
            weight = torch.randn(301, outputs, generator=random).to(device)
            right = ((x @ weights[0].t()).relu() @ weights[1].t()).relu() @ weights[2].t()
            ours = mlp(x, weights)
            both = [(out, *torch.autograd.grad((out * weight).sum(), [x, *weights])) for out in (ours, right)]
            for number, (actual, expected) in enumerate(zip(*both, strict=True)):
                error = float((actual - expected).detach().norm() / expected.detach().norm())
                if not error <= TOLERANCE:
                    what = f"gradient {number}" if number else "values"
                    return f"{what} with {inputs} inputs are off by {error:.1e} of their length"
    return None


def mlp(x: Tensor, weights: Sequence[Tensor], precision: Precision = "tf32x3") -> Tensor:
    """The MLP without biases, ReLU inside.

    Args:
        x: [n, inputs] single precision.
        weights: [hidden, inputs], [hidden, hidden] and [outputs, hidden].

    Returns:
        [n, outputs]. Gradients have the same bits every time.
    """
    result: Tensor = _Mlp.apply(x, *weights, precision)
    return result


class _Mlp(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, w1: Tensor, w2: Tensor, w3: Tensor, precision: Precision
    ) -> Tensor:
        x = x.contiguous()
        weights = [weight.contiguous() for weight in (w1, w2, w3)]
        ctx.save_for_backward(x, *weights)
        ctx.precision = precision  # type: ignore[attr-defined]
        out = x.new_empty(len(x), len(w3))
        forward_into(out, x, weights, precision)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, *weights = ctx.saved_tensors  # type: ignore[attr-defined]
        precision: Precision = ctx.precision  # type: ignore[attr-defined]
        grad = grad.contiguous()
        # Half precision has a narrow range: gradients go through it as shares of the largest.
        scale = grad.abs().amax().clamp_min(2.0**-100) if precision == "half" and len(x) else None
        grad_x = torch.empty_like(x)
        parts = new_parts(weights)
        backward_into(grad_x, parts, None, grad if scale is None else grad / scale, x, weights, precision)
        summed = parts.sum(0)
        if scale is not None:
            grad_x, summed = grad_x * scale, summed * scale
        grads = summed.split([weight.numel() for weight in weights])
        return grad_x, *(part.view_as(w) for part, w in zip(grads, weights, strict=True)), None


def new_parts(weights: Sequence[Tensor]) -> Tensor:
    """Room for what `backward_into` writes: [PROGRAMS, weights]."""
    return weights[0].new_empty(PROGRAMS, sum(weight.numel() for weight in weights))


def forward_into(out: Tensor, x: Tensor, weights: Sequence[Tensor], precision: Precision) -> None:
    """Write the MLP of x [n, inputs] into out [n, outputs]; all tensors contiguous."""
    if not len(x):
        return
    with torch.cuda.device_of(x):
        _forward[(triton.cdiv(len(x), FORWARD_ROWS),)](
            out, x, *weights, len(x), **_shape_of(weights), ROWS=FORWARD_ROWS, PRECISION=precision, **_LAUNCH
        )


def backward_into(
    grad_x: Tensor,
    parts: Tensor,
    columns: Tensor | None,
    grad: Tensor,
    x: Tensor,
    weights: Sequence[Tensor],
    precision: Precision,
) -> None:
    """Gradients of `forward_into`, which is worked out again on the way.

    Args:
        grad_x: [n, inputs], written.
        parts: [PROGRAMS, weights], rows any way apart, written: sums of the gradients to all weights, one
            after the other.
        columns: [PROGRAMS, inputs], rows any way apart, written: sums of the magnitudes in the columns of
            `grad_x`; or None.
        grad: [n, outputs].
    """
    with torch.cuda.device_of(x):
        _backward[(PROGRAMS,)](
            grad_x,
            parts,
            parts if columns is None else columns,
            grad,
            x,
            *weights,
            len(x),
            parts.stride(0),
            0 if columns is None else columns.stride(0),
            **_shape_of(weights),
            ROWS=BACKWARD_ROWS,
            PRECISION=precision,
            WANTS_COLUMNS=columns is not None,
            **_LAUNCH,
        )


def _shape_of(weights: Sequence[Tensor]) -> dict[str, int]:
    hidden, inputs = weights[0].shape
    return {
        "INPUTS": inputs,
        "PADDED": max(LEAST, triton.next_power_of_2(inputs)),
        "HIDDEN": hidden,
        "OUTPUTS": len(weights[2]),
        "LEAST": LEAST,
    }


@triton.jit
def _dot(a, b, PRECISION: tl.constexpr):
    if PRECISION == "half":
        return tl.dot(a.to(tl.float16), b.to(tl.float16))
    else:  # noqa: RET505 (Triton takes one return a branch)
        return tl.dot(a, b, input_precision=PRECISION)


@triton.jit
def _tile(source, first, rows, count, COLUMNS: tl.constexpr, PADDED: tl.constexpr):
    """Rows `first + rows` of a matrix with `count` rows and COLUMNS columns, padded with zeros."""
    places = first + rows[:, None]
    columns = tl.arange(0, PADDED)[None, :]
    mask = (places < count) & (columns < COLUMNS)
    return tl.load(source + places.to(tl.int64) * COLUMNS + columns, mask=mask, other=0.0)


@triton.jit(do_not_specialize=["n"])
def _forward(
    out,
    x,
    w1,
    w2,
    w3,
    n,
    INPUTS: tl.constexpr,
    PADDED: tl.constexpr,
    HIDDEN: tl.constexpr,
    OUTPUTS: tl.constexpr,
    LEAST: tl.constexpr,
    ROWS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """One block of rows."""
    hidden = tl.arange(0, HIDDEN)
    outputs = tl.arange(0, LEAST)
    rows = tl.arange(0, ROWS)
    first = tl.program_id(0) * ROWS
    first_weights = _tile(w1, 0, hidden, HIDDEN, INPUTS, PADDED)
    second_weights = _tile(w2, 0, hidden, HIDDEN, HIDDEN, HIDDEN)
    last_weights = _tile(w3, 0, outputs, OUTPUTS, HIDDEN, HIDDEN)
    inputs = _tile(x, first, rows, n, INPUTS, PADDED)
    # A NaN must come out as one, and not as the maximum's other number.
    a1 = _dot(inputs, tl.trans(first_weights), PRECISION)
    h1 = tl.where(a1 <= 0.0, 0.0, a1)
    a2 = _dot(h1, tl.trans(second_weights), PRECISION)
    h2 = tl.where(a2 <= 0.0, 0.0, a2)
    result = _dot(h2, tl.trans(last_weights), PRECISION)
    places = first + rows[:, None]
    mask = (places < n) & (outputs[None, :] < OUTPUTS)
    tl.store(out + places.to(tl.int64) * OUTPUTS + outputs[None, :], result, mask=mask)


@triton.jit(do_not_specialize=["n", "stride", "sums_stride"])
def _backward(
    grad_x,
    parts,
    column_sums,
    grad,
    x,
    w1,
    w2,
    w3,
    n,
    stride,
    sums_stride,
    INPUTS: tl.constexpr,
    PADDED: tl.constexpr,
    HIDDEN: tl.constexpr,
    OUTPUTS: tl.constexpr,
    LEAST: tl.constexpr,
    ROWS: tl.constexpr,
    PRECISION: tl.constexpr,
    WANTS_COLUMNS: tl.constexpr,
):
    """Every so many blocks of rows; the gradients to the weights are summed over all of them."""
    hidden = tl.arange(0, HIDDEN)
    outputs = tl.arange(0, LEAST)
    columns = tl.arange(0, PADDED)
    rows = tl.arange(0, ROWS)
    first_weights = _tile(w1, 0, hidden, HIDDEN, INPUTS, PADDED)
    second_weights = _tile(w2, 0, hidden, HIDDEN, HIDDEN, HIDDEN)
    last_weights = _tile(w3, 0, outputs, OUTPUTS, HIDDEN, HIDDEN)
    sum1 = tl.zeros([HIDDEN, PADDED], tl.float32)
    sum2 = tl.zeros([HIDDEN, HIDDEN], tl.float32)
    sum3 = tl.zeros([LEAST, HIDDEN], tl.float32)
    magnitudes = tl.zeros([PADDED], tl.float32)
    for block in range(tl.program_id(0), tl.cdiv(n, ROWS), tl.num_programs(0)):
        first = block * ROWS
        inputs = _tile(x, first, rows, n, INPUTS, PADDED)
        a1 = _dot(inputs, tl.trans(first_weights), PRECISION)
        h1 = tl.where(a1 <= 0.0, 0.0, a1)
        a2 = _dot(h1, tl.trans(second_weights), PRECISION)
        h2 = tl.where(a2 <= 0.0, 0.0, a2)
        d3 = _tile(grad, first, rows, n, OUTPUTS, LEAST)
        d2 = tl.where(a2 <= 0.0, 0.0, _dot(d3, last_weights, PRECISION))
        d1 = tl.where(a1 <= 0.0, 0.0, _dot(d2, second_weights, PRECISION))
        sum3 += _dot(tl.trans(d3), h2, PRECISION)
        sum2 += _dot(tl.trans(d2), h1, PRECISION)
        sum1 += _dot(tl.trans(d1), inputs, PRECISION)
        d0 = _dot(d1, first_weights, PRECISION)
        places = first + rows[:, None]
        mask = (places < n) & (columns[None, :] < INPUTS)
        tl.store(grad_x + places.to(tl.int64) * INPUTS + columns[None, :], d0, mask=mask)
        if WANTS_COLUMNS:
            magnitudes += tl.sum(tl.abs(d0), 0)
    place = parts + tl.program_id(0).to(tl.int64) * stride
    tl.store(place + hidden[:, None] * INPUTS + columns[None, :], sum1, mask=columns[None, :] < INPUTS)
    place += HIDDEN * INPUTS
    tl.store(place + hidden[:, None] * HIDDEN + hidden[None, :], sum2)
    place += HIDDEN * HIDDEN
    tl.store(place + outputs[:, None] * HIDDEN + hidden[None, :], sum3, mask=outputs[:, None] < OUTPUTS)
    if WANTS_COLUMNS:
        place = column_sums + tl.program_id(0) * sums_stride + columns
        tl.store(place, magnitudes, mask=columns < INPUTS)
