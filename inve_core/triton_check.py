"""Whether the fast training step does what the reference does on a device: tried on a small model."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from inve_core.coordinates import Box, PictureGrid
from inve_core.encodings.triton_mlp import Precision
from inve_core.model import Geometry, LayeredAtlas
from inve_core.objective import Phase, weighted_losses
from inve_core.presets import PRESETS, FieldShapes, LossWeights
from inve_core.sampling import Samples
from inve_core.triton_objective import FusedObjective

WIDTH, HEIGHT, FRAMES = 160, 96, 6
# A share of the gradients' length: products in TF32 keep ten bits, now and then a hidden unit near zero is on
# in one and off in the other, or a place is rounded into the next cell of a grid. A mistake is far larger.
TOLERANCE = 0.15
SMALL = FieldShapes(
    mapping_levels=3,
    opacity_levels=4,
    atlas_levels=4,
    lighting_levels=3,
    log2_table=9,
    lighting_log2_table=8,
    width=32,
)
_BOXES = (Box(20.0, 10.0, 90.0), Box(10.0, 5.0, 110.0), Box(-20.0, -40.0, 240.0))


def mismatch(
    device: torch.device | str,
    layers: int = 2,
    lit: bool = True,
    phase: Phase = Phase(True, True),  # noqa: B008 - a frozen value
    precisions: tuple[Precision, Precision] = ("tf32x3", "tf32"),
    samples: int = 70,
    tolerance: float = TOLERANCE,
) -> str | None:
    """What the fused objective gets wrong on a random model, losses and gradients; None where nothing is."""
    # The caller's modes and random numbers are not ours to touch.
    with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        # On a GPU with the networks of `fast`: what is compiled here need not be when training begins.
        on_gpu = torch.device(device).type == "cuda"
        shapes = replace(PRESETS["fast"].shapes, log2_table=12, lighting_log2_table=12) if on_gpu else SMALL
        model = random_model(layers, lit, shapes).to(device)
        batch = random_samples(samples, samples // 2 - 2, layers - 1, device)
    weights = LossWeights()
    losses = weighted_losses(model, weights, batch, phase)
    right_losses = {name: float(loss.detach()) for name, loss in losses.items()}
    fields = model.forward_fields()
    wanted = [tensor for one in fields for tensor in (one.encoding.table, *one.weights)]
    right = torch.autograd.grad(torch.stack(list(losses.values())).sum(), wanted)
    n, m = len(batch.t), len(batch.difference)
    fused = FusedObjective(model, weights, n, m, phase, *precisions)
    fused(batch)
    for name, loss in right_losses.items():
        ours = float(fused.terms[name])
        if not abs(ours - loss) <= tolerance * abs(loss):
            return f"the {name} loss is {ours:.6g} and should be {loss:.6g}"
    gradients = [tensor for gradient in fused.gradients for tensor in gradient.to_float()]
    for number, (actual, expected) in enumerate(zip(gradients, right, strict=True)):
        error = float((actual - expected).norm() / expected.norm().clamp_min(1e-30))
        if not error <= tolerance:
            return f"gradient {number} of {len(gradients)} is off by {error:.1e} of its length"
    return None


def random_model(layers: int, lit: bool, shapes: FieldShapes = SMALL) -> LayeredAtlas:
    """A small model with random networks and motion."""
    random = np.random.default_rng(0)
    transforms = np.tile(np.eye(3), (layers, FRAMES, 1, 1))
    transforms[..., :2, :] += random.normal(size=(layers, FRAMES, 2, 3)) * [0.05, 0.05, 5.0]
    transforms[..., 2, :2] += random.normal(size=(layers, FRAMES, 2)) * 2e-4
    names = (*(f"front{k}" for k in range(layers - 1)), "background")
    geometry = Geometry(
        PictureGrid(WIDTH, HEIGHT, WIDTH, HEIGHT),
        tuple(range(FRAMES)),
        names,
        _BOXES[-layers:],
        (0,) * layers,
        ("similarity",) * layers,
        1.0,
    )
    if not lit:
        shapes = replace(shapes, lighting_levels=0)
    model = LayeredAtlas(geometry, transforms, shapes)
    for one in model.forward_fields():
        one.encoding.table.data.normal_()
    for mapping in model.mappings:
        for weight in mapping.parameters():
            weight.data *= 0.5
    return model


def random_samples(n: int, m: int, fronts: int, device: torch.device | str) -> Samples:
    """A batch of which nothing makes sense."""

    def places() -> Tensor:
        return torch.rand(n, 2) * torch.tensor([float(WIDTH), float(HEIGHT)])

    batch = Samples(
        t=torch.randint(FRAMES, (n,)),
        xy=places(),
        rgb=torch.rand(n, 3),
        mattes=torch.rand(n, fronts),
        difference=torch.randn(m, 2, 3) * 0.1,
        difference_valid=torch.rand(m) > 0.2,
        target_t=torch.randint(FRAMES, (n,)),
        target_xy=places(),
        flow_valid=torch.rand(n) > 0.3,
    )
    return Samples(**{name: value.to(device) for name, value in vars(batch).items()})
