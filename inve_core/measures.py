"""How good a learned atlas is, measured on fixed random samples of its own clip."""

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from inve_core.coordinates import determinant, shifted, transform_jacobian
from inve_core.model import LayeredAtlas
from inve_core.sampling import Sampler, Samples

COARSE_SAMPLES = 16_384
FINE_SAMPLES = 262_144
CHUNK = 32_768
SAMPLE_SEED = 20_230_715
# Of a video layer with fewer samples than this a few folds are no share to go by; they count as of so many.
FEWEST_SEEN = 256


@dataclass(frozen=True)
class Quality:
    """Figures of merit.

    Attributes:
        psnr_db: of the reconstruction, on colours as encoded for learning.
        atlas_psnr_db: the same without the lighting term: what the mappings and the atlas alone explain.
        flow_error_px: mean distance, in working pixels of the frame, between where flow of gap 1 takes a
            pixel and where the map of the layer that is seen there says it goes; consistent flow only.
            None where the clip has none.
        far_flow_error_px: the same over the clip's longest gap.
        matte_iou: intersection over union of opacity and mattes, both above one half, least over the
            mattes. None without mattes.
        folded_share: share of a video layer's visible samples whose mapping turns inside out (negative
            Jacobian), largest over the layers.
    """

    psnr_db: float
    atlas_psnr_db: float
    flow_error_px: float | None
    far_flow_error_px: float | None
    matte_iou: float | None
    folded_share: float

    def to_dict(self) -> dict[str, float | None]:
        """The figures by name."""
        return asdict(self)


@torch.no_grad()
def measure(model: LayeredAtlas, sampler: Sampler, fine: bool) -> Quality:
    """Measure on the same samples at every call. `fine` takes sixteen times as many of them."""
    total = FINE_SAMPLES if fine else COARSE_SAMPLES
    device = sampler.device
    generator = torch.Generator(device).manual_seed(SAMPLE_SEED)
    fronts = model.layer_count - 1
    chunks = max(1, total // CHUNK)
    n = min(CHUNK, total)
    lit, unlit = torch.zeros((), device=device), torch.zeros((), device=device)
    both, either = torch.zeros(fronts, device=device), torch.zeros(fronts, device=device)
    seen, folded = torch.zeros(fronts + 1, device=device), torch.zeros(fronts + 1, device=device)
    # Sum of errors and number of samples, over the shortest and the longest gap.
    flow = torch.zeros(2, 2, device=device)
    for _ in range(chunks):
        place = torch.randint(sampler.size, (n,), generator=generator, device=device)
        way = torch.randint(2, (n,), generator=generator, device=device)
        near = sampler.at(place, 0, torch.zeros_like(place), way)
        far = sampler.at(place, 0, torch.full_like(place, max(0, len(sampler.gaps) - 1)), way)
        for total_error, colour in zip((lit, unlit), model.reconstructions(near.xy, near.t), strict=True):
            total_error += (colour - near.rgb).square().mean() / chunks
        visible = model.visibility(near.xy, near.t)
        inside, marked = visible[:, :fronts] > 0.5, near.mattes > 0.5
        both += (inside & marked).sum(0)
        either += (inside | marked).sum(0)
        layer = visible.argmax(1)
        for row, samples in enumerate((near, far)):
            errors = flow_errors(model, samples, layer)
            flow[row] += torch.stack((errors[samples.flow_valid].sum(), samples.flow_valid.sum()))
        seen += torch.bincount(layer, minlength=fronts + 1)
        folded += torch.bincount(layer[_folds(model, near, layer)], minlength=fronts + 1)
    near_px, far_px = (float(total / count) if count else None for total, count in flow)
    return Quality(
        psnr_db=-10 * math.log10(max(float(lit), 1e-12)),
        atlas_psnr_db=-10 * math.log10(max(float(unlit), 1e-12)),
        flow_error_px=near_px,
        far_flow_error_px=far_px,
        matte_iou=float((both / either.clamp_min(1)).min()) if fronts else None,
        folded_share=float((folded / seen.clamp_min(FEWEST_SEEN)).max()),
    )


@torch.no_grad()
def flow_errors(model: LayeredAtlas, samples: Samples, layer: Tensor) -> Tensor:
    """How far apart the two ends of each sample's flow lie in the atlas, in working pixels of its frame.

    Args:
        layer: [n] int64, the video layer that each sample belongs to.

    Returns:
        [n]; zero where the flow is not valid and so has no length.
    """
    errors = samples.xy.new_zeros(len(samples.t))
    for k in range(model.layer_count):
        here = layer == k
        xy, t = samples.xy[here], samples.t[here]
        gone = model.map(k, samples.target_xy[here], samples.target_t[here]) - model.map(k, xy, t)
        motion = transform_jacobian(model.transforms[k][t], xy)
        errors[here] = gone.norm(dim=-1) / determinant(motion).abs().clamp_min(1e-6).sqrt()
    return errors


def _folds(model: LayeredAtlas, samples: Samples, layer: Tensor) -> Tensor:
    """[n] bool, where the mapping of the sample's own layer turns inside out."""
    folds = torch.zeros_like(samples.flow_valid)
    for k in range(model.layer_count):
        here = layer == k
        xy, t = samples.xy[here], samples.t[here]
        uv, right, below = (model.map(k, shifted(xy, *step), t) for step in ((0, 0), (1, 0), (0, 1)))
        folds[here] = determinant(torch.stack((right - uv, below - uv), -1)) <= 0
    return folds
