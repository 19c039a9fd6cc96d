"""How good a learned atlas is, measured on fixed random samples of its own clip."""

import math
import warnings
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from inve_core.coordinates import determinant, shifted, transform_jacobian
from inve_core.cuda_graphs import aside, capture
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
    tally = Tally(model, sampler, FINE_SAMPLES if fine else COARSE_SAMPLES)
    return tally.quality(tally.take())


class Tally:
    """Sums over fixed random samples, of which the figures are made. Nothing in `take` waits for the device.

    Args:
        model, sampler: what is measured, on which clip.
        total: number of samples.
    """

    def __init__(self, model: LayeredAtlas, sampler: Sampler, total: int):
        self._model, self._sampler, self._total = model, sampler, total
        device = sampler.device
        generator = torch.Generator(device).manual_seed(SAMPLE_SEED)
        self._chunks = []
        for _ in range(max(1, total // CHUNK)):
            n = min(CHUNK, total)
            place = torch.randint(sampler.size, (n,), generator=generator, device=device)
            way = torch.randint(2, (n,), generator=generator, device=device)
            self._chunks.append((place, way))

    @torch.no_grad()
    def take(self) -> Tensor:
        """The sums, one after the other in a vector of double precision."""
        return torch.stack([self._of_chunk(place, way) for place, way in self._chunks]).sum(0)

    def _of_chunk(self, place: Tensor, way: Tensor) -> Tensor:
        model, sampler = self._model, self._sampler
        near = sampler.at(place, 0, torch.zeros_like(place), way)
        far = sampler.at(place, 0, torch.full_like(place, max(0, len(sampler.gaps) - 1)), way)
        misses = [
            (colour - near.rgb).square().mean(1).sum() for colour in model.reconstructions(near.xy, near.t)
        ]
        visible = model.visibility(near.xy, near.t)
        fronts = model.layer_count - 1
        inside, marked = visible[:, :fronts] > 0.5, near.mattes > 0.5
        layer = visible.argmax(1)
        own = layer[:, None] == torch.arange(model.layer_count, device=layer.device)
        parts = [
            torch.stack(misses),
            *(
                torch.stack((errors.sum(), samples.flow_valid.sum()))
                for samples in (near, far)
                for errors in (flow_errors(model, samples, layer) * samples.flow_valid,)
            ),
            (inside & marked).sum(0),
            (inside | marked).sum(0),
            own.sum(0),
            (own & _folds(model, near, layer)[:, None]).sum(0),
        ]
        return torch.cat([part.double() for part in parts])

    def quality(self, sums: Tensor) -> Quality:
        """The figures of what `take` returned; waits for the device."""
        values = sums.tolist()
        fronts = self._model.layer_count - 1
        lit, unlit, near, near_count, far, far_count, *rest = values
        both, either = rest[:fronts], rest[fronts : 2 * fronts]
        seen, folded = rest[2 * fronts : 3 * fronts + 1], rest[3 * fronts + 1 :]
        # A number that is none stays one, and is noticed by the trainer.
        psnr, atlas_psnr = (
            -10 * math.log10(max(error / self._total, 1e-12)) if error == error else math.nan
            for error in (lit, unlit)
        )
        shares = [fold / max(count, FEWEST_SEEN) for fold, count in zip(folded, seen, strict=True)]
        return Quality(
            psnr_db=psnr,
            atlas_psnr_db=atlas_psnr,
            flow_error_px=near / near_count if near_count else None,
            far_flow_error_px=far / far_count if far_count else None,
            matte_iou=min(b / max(1.0, e) for b, e in zip(both, either, strict=True)) if fronts else None,
            folded_share=max(shares),
        )


class Looks:
    """`measure` on few samples, again and again while the model learns; on a GPU as a CUDA graph."""

    def __init__(self, model: LayeredAtlas, sampler: Sampler):
        self._tally = Tally(model, sampler, COARSE_SAMPLES)
        device = torch.device(sampler.device)
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._sums: Tensor | None = None
        self._eager_only = False

    def __call__(self) -> Quality:
        """Measure the model as it is now."""
        if self._stream is None:
            self._sums = self._tally.take()
        elif self._sums is None:
            # The first time eagerly: kernels are compiled at their first use.
            self._sums = aside(self._tally.take, self._stream)
        else:
            if self._graph is None and not self._eager_only:
                self._capture(self._stream)
            if self._graph is None:
                self._sums = self._tally.take()
            else:
                self._graph.replay()
        return self._tally.quality(self._sums)

    def _capture(self, stream: torch.cuda.Stream) -> None:
        try:
            self._graph, self._sums = capture(self._tally.take, stream)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            warnings.warn(f"looks at the quality go on without a CUDA graph: {error}", stacklevel=2)
            self._eager_only = True


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
        gone = model.map(k, samples.target_xy, samples.target_t) - model.map(k, samples.xy, samples.t)
        motion = transform_jacobian(model.transforms[k][samples.t], samples.xy)
        length = gone.norm(dim=-1) / determinant(motion).abs().clamp_min(1e-6).sqrt()
        errors = torch.where(layer == k, length, errors)
    return errors


def _folds(model: LayeredAtlas, samples: Samples, layer: Tensor) -> Tensor:
    """[n] bool, where the mapping of the sample's own layer turns inside out."""
    folds = torch.zeros_like(samples.flow_valid)
    for k in range(model.layer_count):
        uv, right, below = (
            model.map(k, shifted(samples.xy, *step), samples.t) for step in ((0, 0), (1, 0), (0, 1))
        )
        turned = determinant(torch.stack((right - uv, below - uv), -1)) <= 0
        folds = torch.where(layer == k, turned, folds)
    return folds
