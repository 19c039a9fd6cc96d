"""The fast training step on a GPU: against the reference, and as exact a repetition of itself."""

import pytest
import torch

from inve_core.encodings import backends
from inve_core.encodings.triton_mlp import mlp
from inve_core.objective import Phase
from inve_core.triton_check import mismatch

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def unforced(monkeypatch):
    monkeypatch.delenv("INVE_BACKEND", raising=False)


def test_all_parts_are_in_use_here():
    assert all(backends.triton_part(part, "cuda") for part in backends.PARTS)
    assert backends.passed_over("cuda") == []


@pytest.mark.parametrize(
    ("precisions", "tolerance"),
    [
        (("ieee", "ieee"), 2e-3),
        (("tf32x3", "tf32x3"), 5e-3),
        (("tf32x3", "tf32"), 6e-2),
        (("half", "half"), 8e-2),
    ],
)
@pytest.mark.parametrize(("layers", "lit", "wide"), [(2, True, True), (1, True, False), (3, False, True)])
def test_losses_and_gradients(layers, lit, wide, precisions, tolerance):
    # Positions are rounded in another order: light's sign and a unit near zero may differ in a few samples.
    assert mismatch("cuda", layers, lit, Phase(wide, True), precisions, 3001, tolerance) is None


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("ieee", 1e-5), ("tf32x3", 1e-5), ("tf32", 3e-3), ("half", 3e-3)]
)
@pytest.mark.parametrize("n", [1, 37, 5000, 100_003])
def test_the_mlp(n, precision, tolerance):
    torch.manual_seed(0)
    x = torch.randn(n, 28, device="cuda").requires_grad_()
    weights = [
        (torch.randn(shape, device="cuda") / shape[1] ** 0.5).requires_grad_()
        for shape in ((64, 28), (64, 64), (3, 64))
    ]
    grad = torch.randn(n, 3, device="cuda")
    right = ((x @ weights[0].t()).relu() @ weights[1].t()).relu() @ weights[2].t()
    ours = mlp(x, weights, precision)
    assert (ours - right).abs().max() <= tolerance * right.abs().max()
    wanted = [x, *weights]
    for actual, expected in zip(
        torch.autograd.grad(ours, wanted, grad), torch.autograd.grad(right, wanted, grad), strict=True
    ):
        # Units near zero that are on in one and off in the other.
        assert (actual - expected).norm() <= 30 * tolerance * expected.norm()
    again = torch.autograd.grad(mlp(x, weights, precision), wanted, grad)
    once = torch.autograd.grad(mlp(x, weights, precision), wanted, grad)
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
