"""LNA's losses as pure functions; all are unreduced, one value a sample.

Colours are 0..1 as encoded for learning, distances are working pixels.
"""

import torch
from torch import Tensor
from torch.nn import functional

from inve_core.coordinates import determinant


def reconstruction_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Squared colour error (LNA's reconstruction loss). [n, 3] and [n, 3] to [n]."""
    return (predicted - target).square().sum(-1)


def gradient_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Squared error of colour differences to the next pixel (LNA's gradient loss).

    Args:
        predicted, target: [n, 2, 3], the differences to the pixel to the right and to the one below.
    """
    return (predicted - target).square().sum((-1, -2))


def rigidity_loss(jacobian: Tensor) -> Tensor:
    """Penalty for a mapping that is not locally rigid (LNA, Eq. 9).

    Args:
        jacobian: [n, 2, 2], d(uv)/d(xy) without unit; here relative to the layer's parametric motion,
            so that a zoom or turn of the camera costs nothing.

    Returns:
        |J'J|_F + |(J'J)^-1|_F per sample; its minimum, 2*sqrt(2), is at a rotation.

    Raises:
        ValueError: the last two dimensions are not 2x2.
    """
    if jacobian.shape[-2:] != (2, 2):
        raise ValueError(f"jacobian must be [n, 2, 2], got {list(jacobian.shape)}")
    metric = jacobian.transpose(-1, -2) @ jacobian
    # The inverse of a 2x2 matrix is its adjugate over its determinant, and the adjugate's norm is its own.
    norm = (metric.square().sum((-1, -2)) + 1e-12).sqrt()
    return norm + norm / determinant(metric).clamp_min(1e-3)


def flow_loss(uv: Tensor, uv_at_target: Tensor, weight: Tensor) -> Tensor:
    """Distance in the atlas between the two ends of a flow vector (LNA's consistency loss).

    Args:
        uv, uv_at_target: [n, 2] pixels.
        weight: [n], the layer's visibility where the flow is consistent, else 0.
    """
    return weight * ((uv - uv_at_target).square().sum(-1) + 1e-8).sqrt()


def opacity_flow_loss(opacity: Tensor, opacity_at_target: Tensor, valid: Tensor) -> Tensor:
    """Opacity must not change along flow (LNA, opacity consistency). [n, fronts] twice and [n] to [n]."""
    return valid * (opacity - opacity_at_target).abs().sum(-1)


def sparsity_loss(colour: Tensor, opacity: Tensor) -> Tensor:
    """A front atlas is to be black where it is not seen (LNA's sparsity loss). [n, 3] and [n] to [n]."""
    return ((1 - opacity[:, None]) * colour).square().sum(-1)


def lighting_loss(log_light: Tensor, visible: Tensor) -> Tensor:
    """What the atlas can explain is not to be explained by light. [n, 3] and [n] to [n]."""
    return visible * log_light.abs().sum(-1)


def matte_loss(logits: Tensor, inside: Tensor, matte: Tensor) -> Tensor:
    """Binary cross-entropy between opacity and the given mattes (LNA's bootstrap).

    Args:
        logits, inside: [n, fronts] as `LayeredAtlas.opacity_logits` gives them.
        matte: [n, fronts] in 0..1.
    """
    error = functional.binary_cross_entropy_with_logits(logits, matte, reduction="none")
    return torch.where(inside, error, torch.zeros_like(error)).sum(-1)
