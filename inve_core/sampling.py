"""Random pixels of a clip, with all that the losses ask of them, drawn on the training device."""

from dataclasses import dataclass

import torch
from torch import Tensor

from inve_core.clip import Clip
from inve_core.encodings.backends import triton_part
from inve_core.frame_slots import FrameSlots

# A factor and no quotient: on a GPU torch divides by a number as it multiplies by its inverse, on a CPU not.
EIGHT_BITS = 1 / 255
# One random number decides all of a sample, digit by digit; this many bits leave no digit visibly uneven.
RANDOM_BELOW = 2**63 - 1


@dataclass(frozen=True, eq=False)
class Samples:
    """A batch. n samples, of which the first m have neighbours.

    Attributes:
        t: [n] int64 frame index.
        xy: [n, 2] pixel centres, working pixels.
        rgb: [n, 3] in 0..1.
        mattes: [n, fronts] in 0..1.
        difference: [m, 2, 3] colour differences to the pixels to the right and below.
        difference_valid: [m] bool, false at the right and lower border.
        target_t, target_xy: [n], [n, 2], where flow says the pixel is in another frame.
        flow_valid: [n] bool.
    """

    t: Tensor
    xy: Tensor
    rgb: Tensor
    mattes: Tensor
    difference: Tensor
    difference_valid: Tensor
    target_t: Tensor
    target_xy: Tensor
    flow_valid: Tensor


class Sampler:
    """Draws batches. The order of draws depends on the generator only, so that a seed repeats them.

    Args:
        clip: what to draw from.
        device: where to draw.
        foreground_share: share of a batch that is drawn from the mattes and their surroundings.
        iterations: how long the run is meant to be; with `seed` it decides which frames are at hand when,
            where the clip does not fit into device memory.
        budget_bytes: the most device memory that the clip may take; see `FrameSlots`.

    Attributes:
        size: pixels of all frames that are at hand: indices of places are below it.
        gaps: [gaps] int64, of the flow, in frames.

    Raises:
        DeviceError: not even one frame fits.
    """

    def __init__(
        self,
        clip: Clip,
        device: str,
        foreground_share: float,
        *,
        iterations: int = 1,
        seed: int = 0,
        budget_bytes: int | None = None,
    ):
        self.slots = FrameSlots(
            clip.rgb,
            clip.mattes,
            clip.flows,
            device,
            iterations=iterations,
            seed=seed,
            budget_bytes=budget_bytes,
        )
        self.device = device
        self.gaps = self.slots.gaps
        self.size = pixels(self.slots)
        self.foreground_share = foreground_share if clip.mattes.shape[1] else 0.0
        self._fast = triton_part("sampling", device)

    def advance(self, iteration: int) -> None:
        """Bring in the frames of an iteration; call before every step, outside of a CUDA graph."""
        self.slots.advance(iteration)

    def draw(self, n: int, neighbours: int, generator: torch.Generator) -> Samples:
        """N random samples, the first `neighbours` of them with their differences to the next pixels.

        Where not all of the clip is at hand, the samples are of the frames that are.
        """
        random = torch.randint(RANDOM_BELOW, (n,), generator=generator, device=self.device)
        front = int(n * self.foreground_share)
        if self._fast:
            # Imported here: Triton may be missing where it is not the backend.
            from inve_core import triton_sampling

            return triton_sampling.drawn(self.slots, random, front, neighbours)
        return gathered(self.slots, *places(self.slots, random, front), neighbours)

    def at(self, place: Tensor, neighbours: int, gap: Tensor, way: Tensor) -> Samples:
        """Samples at given places.

        Args:
            place: [n] int64, index into all pixels of all frames at hand.
            gap: [n] int64, index into the gaps of the flow.
            way: [n] int64, 0 forward, 1 backward.
        """
        if self._fast:
            from inve_core import triton_sampling

            return triton_sampling.gathered(self.slots, place, gap, way, neighbours)
        return gathered(self.slots, place, gap, way, neighbours)


def pixels(slots: FrameSlots) -> int:
    """How many pixels the frames at hand have together."""
    return slots.rgb.shape[:3].numel()


def places(slots: FrameSlots, random: Tensor, front: int) -> tuple[Tensor, Tensor, Tensor]:
    """What samples random numbers stand for, in plain torch.

    Args:
        random: [n] int64, uniform in 0..RANDOM_BELOW.
        front: how many samples are drawn from the pixels in or near a matte. They are spread evenly, so that
            samples with and without neighbours are mixed alike. Where there are none, all pixels serve.

    Returns:
        [n] int64 each: place, gap and way, as `Sampler.at` takes them.
    """
    n, size = len(random), pixels(slots)
    place, rest = random % size, random // size
    way, rest = rest % 2, rest // 2
    gap = rest % max(1, len(slots.gaps))
    if front:
        i = torch.arange(n, device=random.device)
        chosen = (i + 1) * front // n > i * front // n
        total = slots.near_ends[-1]
        pick = random % total.clamp_min(1)
        slot = torch.searchsorted(slots.near_ends, pick, right=True).clamp_max(len(slots) - 1)
        start = torch.where(slot > 0, slots.near_ends[slot - 1], 0)
        near = slot * slots.rgb.shape[1:3].numel() + slots.near_pixels[slot, pick - start]
        place = torch.where(chosen & (total > 0), near, place)
    return place, gap, way


def gathered(slots: FrameSlots, place: Tensor, gap: Tensor, way: Tensor, neighbours: int) -> Samples:
    """What `Sampler.at` returns, in plain torch whatever the backend."""
    height, width = slots.rgb.shape[1:3]
    slot = place // (height * width)
    y = place // width % height
    x = place % width
    t = slots.frames[slot]
    xy = torch.stack((x, y), 1) + 0.5
    rgb = _unit(slots.rgb[slot, y, x])
    m = slice(0, neighbours)
    right = _unit(slots.rgb[slot[m], y[m], (x[m] + 1).clamp_max(width - 1)])
    below = _unit(slots.rgb[slot[m], (y[m] + 1).clamp_max(height - 1), x[m]])
    difference = torch.stack((right - rgb[m], below - rgb[m]), 1)
    inside = (x[m] < width - 1) & (y[m] < height - 1)
    mattes = _unit(slots.mattes[slot, :, y, x])
    if len(slots.gaps):
        flow = slots.flow[slot, gap, way, y, x].float()
        valid = ~flow[:, 0].isnan()
        step = torch.where(way == 0, slots.gaps[gap], -slots.gaps[gap])
        target_t = torch.where(valid, t + step, t)
        target_xy = torch.where(valid[:, None], xy + flow, xy)
    else:
        valid, target_t, target_xy = torch.zeros_like(t, dtype=torch.bool), t, xy
    return Samples(t, xy, rgb, mattes, difference, inside, target_t, target_xy, valid)


def _unit(eight_bits: Tensor) -> Tensor:
    return eight_bits.float() * EIGHT_BITS
