"""Losses against twins written with plain loops, and at the values they are known to take."""

import math

import numpy as np
import pytest
import torch

from inve_core.losses import (
    flow_loss,
    gradient_loss,
    matte_loss,
    opacity_flow_loss,
    reconstruction_loss,
    rigidity_loss,
    sparsity_loss,
)
from inve_core.model import visibility_of


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_reconstruction_is_the_squared_distance():
    a, b = random(5, 3), random(5, 3, seed=1)
    expected = [
        sum((x - y) ** 2 for x, y in zip(p, q, strict=True))
        for p, q in zip(a.tolist(), b.tolist(), strict=True)
    ]
    assert reconstruction_loss(a, b).tolist() == pytest.approx(expected)


def test_gradient_sums_both_directions():
    a, b = random(4, 2, 3), random(4, 2, 3, seed=1)
    assert gradient_loss(a, b).tolist() == pytest.approx(((a - b) ** 2).flatten(1).sum(1).tolist())


def test_rigidity_agrees_with_its_formula():
    jacobians = random(20, 2, 2) + torch.eye(2, dtype=torch.float64)
    for jacobian, loss in zip(jacobians.numpy(), rigidity_loss(jacobians).tolist(), strict=True):
        metric = jacobian.T @ jacobian
        expected = np.linalg.norm(metric) + np.linalg.norm(np.linalg.inv(metric))
        assert loss == pytest.approx(expected, rel=1e-6)


def test_rigidity_is_least_at_a_rotation():
    angle = 0.7
    rotation = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    assert rigidity_loss(rotation[None]).item() == pytest.approx(2 * math.sqrt(2), rel=1e-5)
    assert rigidity_loss(1.1 * rotation[None]).item() > 2 * math.sqrt(2) + 1e-3
    jacobian = rotation.double()[None].requires_grad_()
    (gradient,) = torch.autograd.grad(rigidity_loss(jacobian).sum(), jacobian)
    assert gradient.abs().max() < 1e-5


def test_rigidity_refuses_other_shapes():
    with pytest.raises(ValueError, match="2, 2"):
        rigidity_loss(torch.zeros(4, 3, 3))


def test_rigidity_gradient_is_finite_where_the_map_is_flat():
    flat = torch.zeros(1, 2, 2, requires_grad=True)
    rigidity_loss(flat).sum().backward()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()


def test_flow_is_a_weighted_distance():
    a, b, weight = random(6, 2), random(6, 2, seed=1), random(6, seed=2)
    expected = [w * math.dist(p, q) for p, q, w in zip(a.tolist(), b.tolist(), weight.tolist(), strict=True)]
    # The loss has a rounded tip of 1e-4 px so that its gradient exists at zero.
    assert flow_loss(a, b, weight).tolist() == pytest.approx(expected, abs=1e-4)
    same = a.clone().requires_grad_()
    flow_loss(same, a, weight).sum().backward()
    assert same.grad is not None
    assert same.grad.isfinite().all()


def test_opacity_flow_counts_valid_samples_only():
    a, b = random(3, 2), random(3, 2, seed=1)
    valid = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    loss = opacity_flow_loss(a, b, valid)
    assert loss[1] == 0
    assert loss[0].item() == pytest.approx((a[0] - b[0]).abs().sum().item())


def test_sparsity_is_nothing_where_the_layer_is_seen():
    colour = random(2, 3)
    loss = sparsity_loss(colour, torch.tensor([1.0, 0.25], dtype=torch.float64))
    assert loss[0] == 0
    assert loss[1].item() == pytest.approx((0.75 * colour[1]).square().sum().item())


def test_matte_loss_is_cross_entropy_inside_the_box():
    logits, matte = random(4, 1) * 4 - 2, random(4, 1, seed=1)
    inside = torch.tensor([[True], [True], [False], [True]])
    p = torch.sigmoid(logits)
    expected = -(matte * p.log() + (1 - matte) * (1 - p).log()) * inside
    assert matte_loss(logits, inside, matte).tolist() == pytest.approx(expected[:, 0].tolist())


def test_visibility_composites_front_to_back():
    opacity = random(5, 3)
    shares = visibility_of(opacity)
    for row, (a, b, c) in zip(shares.tolist(), opacity.tolist(), strict=True):
        assert row == pytest.approx([a, (1 - a) * b, (1 - a) * (1 - b) * c, (1 - a) * (1 - b) * (1 - c)])
    assert torch.allclose(shares.sum(1), torch.ones(5, dtype=torch.float64))
    assert visibility_of(torch.zeros(4, 0)).tolist() == [[1.0]] * 4
