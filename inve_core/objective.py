"""What training minimises: LNA's losses on a batch, evaluated with one call per network."""

from dataclasses import dataclass

import torch
from torch import Tensor

from inve_core.coordinates import determinant, inverse, shifted, transform_jacobian
from inve_core.losses import (
    flow_loss,
    gradient_loss,
    lighting_loss,
    matte_loss,
    opacity_flow_loss,
    reconstruction_loss,
    rigidity_loss,
    sparsity_loss,
)
from inve_core.model import LayeredAtlas, visibility_of
from inve_core.presets import LossWeights, TrainingSettings
from inve_core.sampling import Samples

# LNA's long rigidity step is 100 px of a 768 px picture.
LONG_STEP_SHARE = 100 / 768


@dataclass(frozen=True)
class Phase:
    """Which of the losses that LNA ends early still count."""

    global_rigidity: bool
    matte: bool

    @classmethod
    def at(cls, progress: float, settings: TrainingSettings) -> "Phase":
        """`progress`: iterations so far as a share of the most there may be."""
        return cls(progress < settings.global_until, progress < settings.matte_until)


def weighted_losses(
    model: LayeredAtlas, weights: LossWeights, samples: Samples, phase: Phase
) -> dict[str, Tensor]:
    """All weighted losses of a batch, by name, reduced to scalars.

    Nothing in here waits for the device or copies to it, so that a CUDA graph can be made of it.
    """
    n, m = len(samples.t), len(samples.difference)
    grid = model.geometry.grid
    long_px = LONG_STEP_SHARE * max(grid.working_width, grid.working_height)
    near, near_t = samples.xy[:m], samples.t[:m]
    # One call per network: the samples, their neighbours right and below, the other end of the flow,
    # and for the mappings two far neighbours.
    xy = torch.cat((samples.xy, shifted(near, 1, 0), shifted(near, 0, 1), samples.target_xy))
    t = torch.cat((samples.t, near_t, near_t, samples.target_t))
    if phase.global_rigidity:
        xy_far = torch.cat((shifted(near, long_px, 0), shifted(near, 0, long_px)))
        map_xy, map_t = torch.cat((xy, xy_far)), torch.cat((t, near_t, near_t))
    else:
        map_xy, map_t = xy, t
    logits, inside = model.opacity_logits(xy, t)
    opacity = torch.sigmoid(logits) * inside
    visible = visibility_of(opacity)
    uv = [model.map(layer, map_xy, map_t) for layer in range(model.layer_count)]

    seen = slice(0, n + 2 * m)
    colours = model.colours([(layer, uv[layer][seen]) for layer in range(model.layer_count)])
    shown = visible[seen] if model.lighting is None else visible[seen].detach()
    predicted = _composite(shown, colours)
    difference = torch.stack(
        (predicted[n : n + m] - predicted[:m], predicted[n + m : n + 2 * m] - predicted[:m]), 1
    )
    gradient = gradient_loss(difference, samples.difference) * samples.difference_valid
    terms = {
        "reconstruction": weights.reconstruction * reconstruction_loss(predicted[:n], samples.rgb).mean(),
        "gradient": weights.gradient * gradient.mean(),
    }
    target = slice(n + 2 * m, 2 * n + 2 * m)
    terms |= _motion_losses(
        model, weights, samples, uv, visible[:n].detach(), target, m, long_px, phase.global_rigidity
    )
    if model.lighting is not None:
        terms |= _lighting_losses(model, weights, samples, [colour[:n] for colour in colours], visible[:n])
    if model.layer_count > 1:
        along_flow = opacity_flow_loss(opacity[:n], opacity[target], samples.flow_valid)
        terms["opacity_flow"] = weights.opacity_flow * along_flow.mean()
        fronts = range(model.layer_count - 1)
        sparsity = torch.stack([sparsity_loss(colours[k][:n], opacity[:n, k]) for k in fronts])
        terms["sparsity"] = weights.sparsity * sparsity.sum(0).mean()
        if phase.matte:
            terms["matte"] = weights.matte * matte_loss(logits[:n], inside[:n], samples.mattes).mean()
    return terms


def _composite(visible: Tensor, colours: list[Tensor]) -> Tensor:
    return torch.stack([visible[:, k, None] * colour for k, colour in enumerate(colours)]).sum(0)


def _lighting_losses(
    model: LayeredAtlas, weights: LossWeights, samples: Samples, colours: list[Tensor], visible: Tensor
) -> dict[str, Tensor]:
    """Light explains what the atlas leaves over.

    Atlas and mappings learn as if there were no light, so that it cannot take over what a better mapping
    would explain; light and opacity learn from the lit picture, so that shading does not pull at outlines.
    """
    lights = model.log_lights(samples.xy, samples.t)
    lit = [colour.detach() * light.exp() for colour, light in zip(colours, lights, strict=True)]
    error = reconstruction_loss(_composite(visible, lit), samples.rgb)
    amount = torch.stack(
        [lighting_loss(light, visible[:, k].detach()) for k, light in enumerate(lights)]
    ).sum(0)
    return {
        "lit_reconstruction": weights.reconstruction * error.mean(),
        "lighting": weights.lighting * amount.mean(),
    }


def _motion_losses(
    model: LayeredAtlas,
    weights: LossWeights,
    samples: Samples,
    uv: list[Tensor],
    visible: Tensor,
    target: slice,
    m: int,
    long_px: float,
    wants_global: bool,
) -> dict[str, Tensor]:
    n = len(samples.t)
    flow = rigidity = far = uv[0].new_zeros(())
    for layer in range(model.layer_count):
        # Lengths in the atlas are pixels of the reference frame; the motion's own scale at the sample
        # turns them into pixels of the frame, and its Jacobian takes camera zoom out of rigidity.
        motion = transform_jacobian(model.transforms[layer][samples.t], samples.xy)
        scale = determinant(motion).abs().clamp_min(1e-6).sqrt()
        weight = visible[:, layer] * samples.flow_valid / scale
        flow = flow + flow_loss(uv[layer][:n], uv[layer][target], weight).mean()
        to_motion = inverse(motion[:m])
        here = uv[layer][:m]
        local = torch.stack((uv[layer][n : n + m] - here, uv[layer][n + m : n + 2 * m] - here), -1)
        rigidity = rigidity + rigidity_loss(local @ to_motion).mean()
        if wants_global:
            start = 2 * n + 2 * m
            ends = uv[layer][start : start + m], uv[layer][start + m : start + 2 * m]
            wide = torch.stack((ends[0] - here, ends[1] - here), -1) / long_px
            ground = layer == model.layer_count - 1
            factor = weights.global_rigidity_background if ground else weights.global_rigidity_foreground
            far = far + factor * rigidity_loss(wide @ to_motion).mean()
    return {"flow": weights.flow * flow, "rigidity": weights.rigidity * rigidity, "global_rigidity": far}
