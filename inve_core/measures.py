"""How good a learned atlas is, measured on fixed random samples of its own clip."""

import math
from dataclasses import asdict, dataclass

import torch

from inve_core.coordinates import determinant, transform_jacobian
from inve_core.model import LayeredAtlas
from inve_core.sampling import Sampler, Samples

COARSE_SAMPLES = 16_384
FINE_SAMPLES = 262_144
CHUNK = 32_768
SAMPLE_SEED = 20_230_715


@dataclass(frozen=True)
class Quality:
    """Figures of merit.

    Attributes:
        psnr_db: of the reconstruction, on colours as encoded for learning.
        flow_error_px: mean distance, in working pixels of the frame, between where flow of gap 1 takes a
            pixel and where the map of the layer that is seen there says it goes; consistent flow only.
            None where the clip has none.
        matte_iou: intersection over union of opacity and mattes, both above one half, least over the
            mattes. None without mattes.
        folded_share: share of seen samples whose mapping turns inside out (negative Jacobian).
    """

    psnr_db: float
    flow_error_px: float | None
    matte_iou: float | None
    folded_share: float

    def to_dict(self) -> dict[str, float | None]:
        """The figures by name."""
        return asdict(self)


@torch.no_grad()
def measure(model: LayeredAtlas, sampler: Sampler, fine: bool) -> Quality:
    """Measure on the same samples at every call. `fine` takes sixteen times as many of them."""
    total = FINE_SAMPLES if fine else COARSE_SAMPLES
    generator = torch.Generator(sampler.device).manual_seed(SAMPLE_SEED)
    squared = flow_sum = flow_count = folded = 0.0
    fronts = model.layer_count - 1
    both = torch.zeros(fronts, device=sampler.device)
    either = torch.zeros(fronts, device=sampler.device)
    size = sampler.count * sampler.height * sampler.width
    for _ in range(max(1, total // CHUNK)):
        n = min(CHUNK, total)
        place = torch.randint(size, (n,), generator=generator, device=sampler.device)
        way = torch.randint(2, (n,), generator=generator, device=sampler.device)
        samples = sampler.at(place, 0, torch.zeros_like(place), way)
        squared += float((model.reconstruct(samples.xy, samples.t) - samples.rgb).square().mean()) * n
        visible = model.visibility(samples.xy, samples.t)
        inside, marked = visible[:, :fronts] > 0.5, samples.mattes > 0.5
        both += (inside & marked).sum(0)
        either += (inside | marked).sum(0)
        errors, weights, folds = _motion_errors(model, samples, visible.argmax(1))
        flow_sum += float((errors * weights).sum())
        flow_count += float(weights.sum())
        folded += float(folds.sum())
    samples_seen = max(1, total // CHUNK) * min(CHUNK, total)
    error = squared / samples_seen
    iou = (both / either.clamp_min(1)).min() if fronts else None
    return Quality(
        psnr_db=-10 * math.log10(max(error, 1e-12)),
        flow_error_px=flow_sum / flow_count if flow_count else None,
        matte_iou=None if iou is None else float(iou),
        folded_share=folded / samples_seen,
    )


def _motion_errors(
    model: LayeredAtlas, samples: Samples, seen: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    errors = samples.xy.new_zeros(len(samples.t))
    folds = torch.zeros_like(samples.flow_valid)
    steps = samples.xy.new_tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    for layer in range(model.layer_count):
        here = seen == layer
        xy, t = samples.xy[here], samples.t[here]
        probes = (xy[None] + steps[:, None]).flatten(0, 1)
        uv = model.map(layer, probes, t.repeat(3)).view(3, -1, 2)
        target = model.map(layer, samples.target_xy[here], samples.target_t[here])
        motion = transform_jacobian(model.transforms[layer][t], xy)
        scale = determinant(motion).abs().clamp_min(1e-6).sqrt()
        errors[here] = (uv[0] - target).norm(dim=-1) / scale
        turned = determinant(torch.stack((uv[1] - uv[0], uv[2] - uv[0]), -1)) <= 0
        folds[here] = turned
    return errors, samples.flow_valid.float(), folds
