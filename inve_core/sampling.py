"""Random pixels of a clip, with all that the losses ask of them. The clip lives on the training device."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from inve_core.clip import Clip


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
    """Draws batches. The order of draws depends on the generator only, so that a seed repeats them."""

    def __init__(self, clip: Clip, device: str, foreground_share: float):
        self.rgb = torch.from_numpy(clip.rgb).to(device)
        self.mattes = torch.from_numpy(clip.mattes).to(device)
        self.count, self.height, self.width = clip.rgb.shape[:3]
        self.size = self.count * self.height * self.width
        self.device = device
        self.gaps = torch.tensor([flow.gap for flow in clip.flows], device=device)
        # One tensor for all gaps and both directions, [gaps, 2, n, h, w, ...], padded with invalid flow,
        # so that a batch of mixed gaps is a single gather.
        shape = (len(clip.flows), 2, self.count, self.height, self.width)
        self.flow = torch.zeros((*shape, 2), dtype=torch.float16, device=device)
        self.flow_valid = torch.zeros(shape, dtype=torch.bool, device=device)
        for index, flow in enumerate(clip.flows):
            pairs = len(flow.forward)
            self.flow[index, 0, :pairs] = torch.as_tensor(flow.forward).to(device)
            self.flow_valid[index, 0, :pairs] = torch.as_tensor(flow.forward_valid).to(device)
            self.flow[index, 1, flow.gap :] = torch.as_tensor(flow.backward).to(device)
            self.flow_valid[index, 1, flow.gap :] = torch.as_tensor(flow.backward_valid).to(device)
        near = _near_mattes(clip.mattes)
        self.near_mattes = torch.from_numpy(near).to(device)
        self.foreground_share = foreground_share if len(near) else 0.0

    def draw(self, n: int, neighbours: int, generator: torch.Generator) -> Samples:
        """N random samples, the first `neighbours` of them with their differences to the next pixels."""
        place = torch.randint(self.size, (n,), generator=generator, device=self.device)
        front = int(n * self.foreground_share)
        if front:
            pick = torch.randint(len(self.near_mattes), (front,), generator=generator, device=self.device)
            # Every other sample, so that those with neighbours are mixed alike.
            order = torch.linspace(0, n - 1, front, device=self.device).long()
            place[order] = self.near_mattes[pick]
        gap = torch.randint(max(1, len(self.gaps)), (n,), generator=generator, device=self.device)
        way = torch.randint(2, (n,), generator=generator, device=self.device)
        return self.at(place, neighbours, gap, way)

    def at(self, place: Tensor, neighbours: int, gap: Tensor, way: Tensor) -> Samples:
        """Samples at given places.

        Args:
            place: [n] int64, index into all pixels of all frames.
            gap: [n] int64, index into the gaps of the flow.
            way: [n] int64, 0 forward, 1 backward.
        """
        t = place // (self.height * self.width)
        y = place // self.width % self.height
        x = place % self.width
        xy = torch.stack((x, y), 1) + 0.5
        rgb = self._colour(t, y, x)
        m = slice(0, neighbours)
        right = self._colour(t[m], y[m], (x[m] + 1).clamp_max(self.width - 1))
        below = self._colour(t[m], (y[m] + 1).clamp_max(self.height - 1), x[m])
        difference = torch.stack((right - rgb[m], below - rgb[m]), 1)
        inside = (x[m] < self.width - 1) & (y[m] < self.height - 1)
        if len(self.gaps):
            flow = self.flow[gap, way, t, y, x].float()
            valid = self.flow_valid[gap, way, t, y, x]
            step = torch.where(way == 0, self.gaps[gap], -self.gaps[gap])
            target_t = torch.where(valid, t + step, t)
            target_xy = torch.where(valid[:, None], xy + flow, xy)
        else:
            valid, target_t, target_xy = torch.zeros_like(t, dtype=torch.bool), t, xy
        return Samples(t, xy, rgb, self.mattes[t, :, y, x], difference, inside, target_t, target_xy, valid)

    def _colour(self, t: Tensor, y: Tensor, x: Tensor) -> Tensor:
        return self.rgb[t, y, x].float() / 255


def _near_mattes(mattes: np.ndarray) -> np.ndarray:
    """Flat indices of all pixels in or near a matte. [n, fronts, h, w] to [k] int64."""
    height, width = mattes.shape[2:]
    if not mattes.shape[1]:
        return np.zeros(0, np.int64)
    reach = max(3, round(0.03 * max(height, width)))
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    covered = (mattes.max(1) > 0.02).astype(np.uint8)
    return np.flatnonzero(np.stack([cv2.dilate(mask, kernel) for mask in covered]))
